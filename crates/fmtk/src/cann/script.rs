//! What is run in the container.

use super::environment::{self, SHELL, Sourced};
use crate::{recipe::Cann, terminal::shell};

/// Where the package folder's installer is to be seen in the container. It is no part of the image.
pub const MOUNT: &str = "/tmp/.fmtk-packages";
/// What the installer is told (the manual of CANN 5.1 has the flags).
pub const OPTIONS: [&str; 4] = ["--quiet", "--install", "--install-path=/usr/local/Ascend", "--install-for-all"];

/// The user that installers of some versions ask for. Its lines are written here, since `useradd` puts today's date
/// into `/etc/shadow`; the id is the first from 1001 on that is free.
const USER: &str = r#"
taken() {
    while IFS=: read -r _ _ id _; do
        if [ "$id" = "$1" ]; then return 0; fi
    done < "$2"
    return 1
}
there() {
    while IFS=: read -r name _; do
        if [ "$name" = HwHiAiUser ]; then return 0; fi
    done < /etc/passwd
    return 1
}
if ! there; then
    new=1001
    while taken "$new" /etc/passwd || taken "$new" /etc/group; do new=$((new + 1)); done
    echo "HwHiAiUser:*:$new:" >> /etc/group
    echo "HwHiAiUser:*:$new:$new::/home/HwHiAiUser:/bin/sh" >> /etc/passwd
fi
"#;

/// The command line of the installer. It is called by its interpreter, as its own bits may not let it run.
pub fn command(interpreter: &str, file: &str) -> String {
    let file = format!("{MOUNT}/{file}");
    shell::line([interpreter, &file].into_iter().chain(OPTIONS))
}

/// The text for `/bin/sh -c`: it runs the command, in the shell of what `sourced` names where that is given, and then
/// `learn`. Only the last prints to stdout.
pub fn script(cann: &Cann, command: &str, sourced: Option<Sourced>, learn: &str) -> String {
    let user = if cann.user { USER } else { "" };
    let command = match sourced {
        None => format!("{command} >&2\n"),
        // A script of the vendor need not stand `set -eu`, nor have its last command succeed.
        Some(sourced) => {
            let line =
                shell::word(format!("for file; do set --; . \"$file\" >/dev/null 2>&1; done; exec {command} >&2"));
            format!("{SHELL}{}\"$shell\" -c {line} sh \"$@\"\n", environment::find(sourced))
        }
    };
    format!("set -eu\numask 0022\n{user}{command}set +eu\n{learn}")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::recipe::{Overrides, Recipe};

    #[test]
    fn a_strange_name_is_one_word() {
        let recipe = Recipe::parse("", "image.toml", std::path::Path::new("/"), Overrides::default()).unwrap();
        expect![[r#"
            set -eu
            umask 0022
            /bin/bash '/tmp/.fmtk-packages/it'\''s $(x).run' --quiet --install --install-path=/usr/local/Ascend --install-for-all >&2
            set +eu
        "#]]
        .assert_eq(&script(&recipe.cann, &command("/bin/bash", "it's $(x).run"), None, ""));
    }
}
