//! A Dockerfile as a list of instructions, as every builder since docker 1.13 reads it (Dockerfile reference, "Format").

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// In capitals.
    pub name: String,
    /// Words before the rest that begin with `--`.
    pub flags: Vec<String>,
    /// What follows, lines that were continued joined.
    pub rest: String,
}

/// The parser directives at the top (`# syntax=…`), as line, name and value.
pub fn directives(text: &str) -> Vec<(usize, String, String)> {
    let directive = |line: &str| {
        let (name, value) = line.trim().strip_prefix('#')?.split_once('=')?;
        let name = name.trim().to_lowercase();
        let known = ["syntax", "escape", "check"].contains(&name.as_str());
        known.then(|| (name, value.trim().to_owned()))
    };
    let top = text.lines().map(directive).enumerate();
    top.map_while(|(index, found)| found.map(|(name, value)| (index + 1, name, value))).collect()
}

/// The instructions in their order. Comments and empty lines are passed over, between continued lines too.
pub fn instructions(text: &str) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut begun: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (line, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line.trim_end(), false),
        };
        let (at, mut whole) = begun.take().unwrap_or((index + 1, String::new()));
        whole.push_str(line);
        match goes_on {
            true => begun = Some((at, whole)),
            false => found.push(instruction(at, &whole)),
        }
    }
    found.extend(begun.map(|(at, whole)| instruction(at, &whole)));
    found
}

fn instruction(line: usize, text: &str) -> Instruction {
    let (name, mut rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    let mut flags = Vec::new();
    loop {
        rest = rest.trim_start();
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        // `--` alone ends them.
        if !word.starts_with("--") || word.len() == 2 {
            break;
        }
        flags.push(word.to_owned());
        rest = &rest[word.len()..];
    }
    Instruction { line, name: name.to_uppercase(), flags, rest: rest.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn continued_lines_are_one_and_comments_none() {
        let text = "# syntax=x\n\nfrom a \\\n# b\n\n  as b\nCOPY --chown=1:2  --from=a x \\\n";
        let read: Vec<_> =
            instructions(text).into_iter().map(|one| (one.line, one.name, one.flags, one.rest)).collect();
        let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<String>>();
        assert_eq!(
            read,
            [
                (3, "FROM".to_owned(), flags(&[]), "a   as b".to_owned()),
                (7, "COPY".to_owned(), flags(&["--chown=1:2", "--from=a"]), "x".to_owned()),
            ]
        );
        assert_eq!(directives(text), [(1, "syntax".to_owned(), "x".to_owned())]);
        assert_eq!(directives("FROM a\n# syntax=x\n"), []);
    }
}
