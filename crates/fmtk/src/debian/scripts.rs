//! What scripts of packages would do. None is run; what they would do on a fresh system beside registering libraries
//! and compiling Python is told, since the packages may not work without it.

use std::collections::BTreeSet;

/// The scripts that dpkg runs when it installs a package.
const AT_INSTALLATION: [&str; 2] = ["preinst", "postinst"];

/// Words before a command.
const KEYWORDS: [&str; 12] = ["if", "elif", "while", "until", "then", "else", "do", "!", "{", "(", "exec", "command"];

/// Commands without an effect on a new layer: shell, tests, text. Libraries are found without ld.so's cache, modules
/// without bytecode, and there are no services in a container.
const HARMLESS: &str = "fi done esac case for set exit return shift local read export break continue trap true false echo printf \
    test which type ldconfig dpkg-trigger dpkg-maintscript-helper py3compile py3clean pypy3compile pycompile \
    invoke-rc.d update-rc.d deb-systemd-helper deb-systemd-invoke systemctl db_version grep cut cat rm rmdir \
    dpkg dpkg-query basename dirname db_stop";

/// The commands of a script that would change the image, each once; as far as its text tells.
pub fn commands(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let lines = || joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let own: BTreeSet<&str> = lines().filter_map(|line| Some(line.split_once("()")?.0.trim())).collect();
    let mut found: Vec<String> = Vec::new();
    for line in lines().filter(|line| !line.contains("()")) {
        // `configure)` and `a|b)` are patterns of `case`.
        let line = match line.split_once(')') {
            Some((pattern, rest)) if !pattern.contains([' ', '(', '$']) => rest,
            _ => line,
        };
        for part in line.split([';', '|', '&']) {
            let words = part.split_whitespace().skip_while(|word| KEYWORDS.contains(word) || is_assignment(word));
            let Some(word) = words.into_iter().next() else { continue };
            let name = word.rsplit('/').next().unwrap_or(word).trim_matches(['"', '\'']);
            let is_command = name.starts_with(|c: char| c.is_ascii_alphabetic());
            if is_command
                && !HARMLESS.split(' ').any(|one| one == name)
                && !own.contains(name)
                && !found.iter().any(|one| one == name)
            {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// Each script of the package that would change the image, with its commands.
pub fn skipped(control: &debian_package::Control) -> Vec<(String, Vec<String>)> {
    let script = |name: &&str| Some(((*name).to_owned(), commands(&String::from_utf8_lossy(control.get(*name)?))));
    AT_INSTALLATION.iter().filter_map(script).filter(|(_, commands)| !commands.is_empty()).collect()
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_change_the_image_is_told() {
        for (script, expected) in [
            ("#!/bin/sh\n# Triggers.\nset -e\nif [ \"$1\" = configure ]; then\n\tldconfig\nfi\nexit 0\n", &[][..]),
            ("if command -v py3compile >/dev/null 2>&1; then\n py3compile -p x /usr/lib\nfi\n", &[]),
            ("dpkg-maintscript-helper rm_conffile /etc/x 1 -- \"$@\"\n", &[]),
            (
                "case \"$1\" in\n  configure|abort-upgrade)\n update-alternatives --install \\\n /a b /c 10\n ;;\nesac\n",
                &["update-alternatives"],
            ),
            (
                "setup() {\n  adduser --system x || true\n}\nA=1 setup\nif ! getent passwd x; then chown x /v; fi",
                &["adduser", "getent", "chown"],
            ),
            ("", &[]),
        ] {
            assert_eq!(commands(script), expected, "{script}");
        }
    }
}
