//! `entry_points.txt`: the commands that an installer makes (PyPA, "Entry points specification").

use serde::{Deserialize, Serialize};

/// A command that runs a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Name of the file.
    pub name: String,
    /// Module that is imported.
    pub module: String,
    /// Function of it, dotted where it lies in a class.
    pub function: String,
    /// Whether it is one of a desktop; on Linux the same thing.
    pub gui: bool,
}

/// More commands than any wheel has.
const COMMANDS: usize = 5000;

/// Reads the sections `console_scripts` and then `gui_scripts`; the error names the line.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Command>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut commands: Vec<Command> = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        let gui = section == "gui_scripts";
        if !gui && section != "console_scripts" {
            continue;
        }
        let command = command(line, gui)?;
        // As in Python's dictionaries, the last one of a name counts and keeps the first one's place.
        match commands.iter().position(|other| (&other.name, other.gui) == (&command.name, gui)) {
            Some(at) => commands[at] = command,
            None if commands.len() == COMMANDS => return Err(format!("it has more than {COMMANDS} commands")),
            None => commands.push(command),
        }
    }
    commands.sort_by_key(|command| command.gui);
    Ok(commands)
}

fn command(line: &str, gui: bool) -> Result<Command, String> {
    let refuse = |reason: &str| format!("command `{line}`: {reason}");
    let (name, value) = line.split_once('=').ok_or_else(|| refuse("it has no `=`"))?;
    let (name, value) = (name.trim(), value.trim());
    // Extras in brackets are allowed and mean nothing.
    let object = value.split_once('[').map_or(value, |(object, _)| object).trim();
    let (module, function) = object.split_once(':').ok_or_else(|| refuse("it names no function"))?;
    let (module, function) = (module.trim(), function.trim());
    let dotted = |text: &str| text.split('.').all(is_identifier);
    if !dotted(module) || !dotted(function) {
        return Err(refuse("it is not of the form `module:function`"));
    }
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0', '[']) || name.len() > 255 {
        return Err(refuse("its name is not that of a file"));
    }
    // Of a name with spaces pip would make something else.
    if name.contains(char::is_whitespace) {
        return Err(refuse("its name has a space"));
    }
    Ok(Command { name: name.to_owned(), module: module.to_owned(), function: function.to_owned(), gui })
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_numeric())
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::parse;

    fn check(text: &str, expect: Expect) {
        let text = match parse(text.as_bytes()) {
            Ok(commands) => commands
                .into_iter()
                .map(|one| {
                    let mark = if one.gui { " (gui)" } else { "" };
                    format!("{} -> {}:{}{mark}\n", one.name, one.module, one.function)
                })
                .collect(),
            Err(error) => error,
        };
        expect.assert_eq(&text);
    }

    #[test]
    fn reads_commands() {
        check(
            "# made by hand\n[console_scripts]\nmindpet = mindpet.tk_main:main\n tk=mindpet.tk_main:Tool.main [extra]\n\
             \n[other]\nx = y\n[gui_scripts]\nwin = a.b : c\n[console_scripts]\ntk = new:main\n",
            expect![[r#"
                mindpet -> mindpet.tk_main:main
                tk -> new:main
                win -> a.b:c (gui)
            "#]],
        );
    }

    #[test]
    fn refuses_commands_that_can_not_be_made() {
        let one = |line: &str| format!("[console_scripts]\n{line}\n");
        check(&one("x"), expect!["command `x`: it has no `=`"]);
        check(&one("x = module"), expect!["command `x = module`: it names no function"]);
        check(&one("x = a-b:c"), expect!["command `x = a-b:c`: it is not of the form `module:function`"]);
        check(&one("x = a:c();boom"), expect!["command `x = a:c();boom`: it is not of the form `module:function`"]);
        check(&one("../x = a:c"), expect!["command `../x = a:c`: its name is not that of a file"]);
        let long = format!("{} = a:c", "n".repeat(256));
        assert_eq!(parse(one(&long).as_bytes()), Err(format!("command `{long}`: its name is not that of a file")));
        check(&one("a b = a:c"), expect!["command `a b = a:c`: its name has a space"]);
    }
}
