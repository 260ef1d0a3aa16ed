//! The scripts that an installer makes or changes.

use crate::{Command, Layout};

/// The longest first line that Linux before 5.1 takes whole.
const LONGEST: usize = 127;

/// A generated script: its file name and its contents.
pub(crate) fn generated(commands: &[Command], layout: &Layout) -> Vec<(String, Vec<u8>)> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    for command in &versioned(commands, layout.python) {
        let bytes = text(command, &layout.interpreter).into_bytes();
        // What is made later overwrites.
        match out.iter_mut().find(|(name, _)| *name == command.name) {
            Some((_, old)) => *old = bytes,
            None => out.push((command.name.clone(), bytes)),
        }
    }
    out
}

/// pip and easy_install come with commands that carry the version of the Python that built the wheel; pip makes those
/// of the target's instead.
fn versioned(commands: &[Command], (major, minor): (u32, u32)) -> Vec<Command> {
    let mut out = Vec::new();
    let mut rest: Vec<Command> = commands.to_vec();
    let mut replace = |base: &str, names: &[String], is_variant: fn(&str) -> bool| {
        if let Some(at) = rest.iter().position(|command| !command.gui && command.name == base) {
            let command = rest.remove(at);
            rest.retain(|other| other.gui || !is_variant(&other.name));
            out.extend(names.iter().map(|name| Command { name: name.clone(), ..command.clone() }));
        }
    };
    replace("pip", &["pip".to_owned(), format!("pip{major}"), format!("pip{major}.{minor}")], |name| {
        name.strip_prefix("pip").is_some_and(|version| version.split('.').count() <= 2 && is_version(version))
    });
    replace("easy_install", &["easy_install".to_owned(), format!("easy_install-{major}.{minor}")], |name| {
        name.strip_prefix("easy_install-").is_some_and(|version| version.split('.').count() == 2 && is_version(version))
    });
    out.extend(rest);
    out
}

fn is_version(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn text(command: &Command, interpreter: &str) -> String {
    let Command { module, function, .. } = command;
    let imported = function.split('.').next().unwrap_or(function);
    format!(
        "{}import sys\n\nfrom {module} import {imported}\n\nif __name__ == \"__main__\":\n    \
         if sys.argv[0].endswith(\".exe\"):\n        sys.argv[0] = sys.argv[0][:-4]\n    sys.exit({function}())\n",
        shebang(interpreter)
    )
}

/// The first line or lines, which are Python as well: where the interpreter's path is too long for the kernel or has a
/// space, `sh` starts it.
fn shebang(interpreter: &str) -> String {
    let blank = interpreter.contains(' ');
    if !blank && interpreter.len() + 3 <= LONGEST {
        return format!("#!{interpreter}\n");
    }
    let quoted = if blank { format!("\"{interpreter}\"") } else { interpreter.to_owned() };
    format!("#!/bin/sh\n'''exec' {quoted} \"$0\" \"$@\"\n' '''\n")
}

/// How a script of the wheel that wants its interpreter named begins.
pub(crate) const PLACEHOLDER: &[u8] = b"#!python";

/// Names the interpreter in the first line of a script that begins with [`PLACEHOLDER`]; what else that line says is
/// dropped, as pip does.
pub(crate) fn with_interpreter(script: &[u8], interpreter: &str) -> Vec<u8> {
    let rest = script.iter().position(|&byte| byte == b'\n').map_or(&[][..], |end| &script[end + 1..]);
    let mut out = format!("#!{interpreter}\n").into_bytes();
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{Command, generated, shebang, with_interpreter};
    use crate::Layout;

    fn command(name: &str, module: &str, function: &str, gui: bool) -> Command {
        Command { name: name.to_owned(), module: module.to_owned(), function: function.to_owned(), gui }
    }

    fn names(console: &[&str], gui: &[&str]) -> String {
        let list = |names: &[&str], gui| -> Vec<_> { names.iter().map(|name| command(name, "m", "f", gui)).collect() };
        let commands = [list(console, false), list(gui, true)].concat();
        let made = generated(&commands, &Layout::posix_prefix("/usr", (3, 9), 0));
        made.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_script_imports_and_runs() {
        let command = command("tk", "mindpet.tk", "Tool.main", false);
        expect![[r##"
            #!/opt/py/bin/python3.9
            import sys

            from mindpet.tk import Tool

            if __name__ == "__main__":
                if sys.argv[0].endswith(".exe"):
                    sys.argv[0] = sys.argv[0][:-4]
                sys.exit(Tool.main())
        "##]]
        .assert_eq(&super::text(&command, "/opt/py/bin/python3.9"));
    }

    #[test]
    fn pip_and_easy_install_get_the_targets_version() {
        assert_eq!(names(&["pip", "pip3", "pip3.11", "pipx", "pip3.11.2"], &[]), "pip pip3 pip3.9 pipx pip3.11.2");
        assert_eq!(
            names(&["x", "easy_install", "easy_install-3.8", "easy_install-3"], &["y"]),
            "easy_install easy_install-3.9 x easy_install-3 y"
        );
        assert_eq!(names(&["pip3.11"], &["pip3.11"]), "pip3.11");
    }

    #[test]
    fn long_and_blank_interpreters_go_through_sh() {
        let at = |length: usize| format!("/{}", "p".repeat(length - 1));
        assert!(shebang(&at(124)).starts_with("#!/p"));
        assert!(shebang(&at(125)).starts_with("#!/bin/sh\n'''exec' /p"));
        assert_eq!(shebang("/my py/bin"), "#!/bin/sh\n'''exec' \"/my py/bin\" \"$0\" \"$@\"\n' '''\n");
    }

    #[test]
    fn the_placeholder_line_is_replaced_whole() {
        let change = |script: &[u8]| String::from_utf8(with_interpreter(script, "/py")).unwrap();
        assert_eq!(change(b"#!python -u\r\nx = 1\r\n"), "#!/py\nx = 1\r\n");
        assert_eq!(change(b"#!pythonw"), "#!/py\n");
    }
}
