//! What expressions of a script mean, as far as the two edits are concerned.

/// The variable that edit *log-path* sets.
pub const LOG_PATH_KEY: &str = "ASCEND_PROCESS_LOG_PATH";

/// The variable that edit *code-cwd* reads.
pub const CODE_CWD_KEY: &str = "MODEL_TASK_CWD";

/// Longest path or list that is followed; longer ones become things, so that copies of them can't take all time and
/// memory. Those of the edits have five parts.
const MAX_PARTS: usize = 16;
const MAX_LITERAL: usize = 512;

/// The meaning of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Some object, told apart from all others by its number.
    Thing(u32),
    /// The instance of the class that a method runs on.
    Instance,
    /// The class itself.
    Class,
    /// A string or path.
    Text(Text),
    /// The thing's item [`LOG_PATH_KEY`].
    Entry(u32),
    /// The current folder.
    Cwd,
    /// The folder that [`CODE_CWD_KEY`] names, or nothing.
    CodeCwdOnly,
    /// The folder that [`CODE_CWD_KEY`] names, or the current one.
    CodeCwd,
    /// Something reached through imports and builtins, by its dotted path.
    Dotted(String),
    /// A tuple or list of values that are no lists.
    List(Vec<Value>),
}

/// One part of a [`Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Written out.
    Literal(String),
    /// What `FMK.get_log_dir()` returns.
    LogDir,
    /// `self.job_id`.
    JobId,
    /// `self.rank_id`.
    RankId,
}

/// A string of which all parts are known; neighbouring literals are joined.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(Vec<Piece>);

impl Text {
    /// A literal.
    pub fn literal(text: &str) -> Text {
        Text(if text.is_empty() { Vec::new() } else { vec![Piece::Literal(text.to_owned())] })
    }

    /// One of the known parts.
    pub fn piece(piece: Piece) -> Text {
        Text(vec![piece])
    }

    /// The folder that edit *log-path* wants.
    pub fn process_log_path() -> Text {
        Text(vec![
            Piece::LogDir,
            Piece::Literal("/".to_owned()),
            Piece::JobId,
            Piece::Literal("/ascend/process_log/rank_".to_owned()),
            Piece::RankId,
        ])
    }

    /// The text if it is written out as a whole.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// `self` followed by `other`; nothing where that gets too long.
    pub fn then(mut self, other: Text) -> Option<Text> {
        for piece in other.0 {
            match (self.0.last_mut(), piece) {
                (Some(Piece::Literal(last)), Piece::Literal(next)) => {
                    last.push_str(&next);
                    if last.len() > MAX_LITERAL {
                        return None;
                    }
                }
                (_, piece) => self.0.push(piece),
            }
        }
        (self.0.len() <= MAX_PARTS).then_some(self)
    }

    /// The path `self/other`, as `os.path.join` makes it.
    pub fn join(self, other: Text) -> Option<Text> {
        if self.0.is_empty() || matches!(other.0.first(), Some(Piece::LogDir)) || other.starts_with_slash() {
            return Some(other);
        }
        let ends_with_slash = matches!(self.0.last(), Some(Piece::Literal(last)) if last.ends_with('/'));
        let parent = if ends_with_slash { Some(self) } else { self.then(Text::literal("/")) };
        parent?.then(other)
    }

    fn starts_with_slash(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Literal(first)) if first.starts_with('/'))
    }

    /// The same path without doubled or final slashes.
    fn normal(&self) -> Text {
        let mut pieces = self.0.clone();
        for piece in &mut pieces {
            if let Piece::Literal(text) = piece {
                while text.contains("//") {
                    *text = text.replace("//", "/");
                }
            }
        }
        if let Some(Piece::Literal(last)) = pieces.last_mut()
            && last.len() > 1
            && last.ends_with('/')
        {
            last.pop();
        }
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        Text(pieces)
    }

    /// Whether both are the same path.
    pub fn same_path(&self, other: &Text) -> bool {
        self.normal() == other.normal()
    }

    /// The text after `%`, with each `%s` replaced by the next of `values`.
    pub fn percent(template: &str, values: &[Text]) -> Option<Text> {
        let mut values = values.iter().cloned();
        let mut parts = template.split('%');
        let mut text = Text::literal(parts.next()?);
        let mut doubled = false;
        for part in parts {
            if doubled {
                // The second `%` of `%%`, before which nothing stands.
                text = text.then(Text::literal("%"))?.then(Text::literal(part))?;
                doubled = false;
            } else if let Some(rest) = part.strip_prefix('s') {
                text = text.then(values.next()?)?.then(Text::literal(rest))?;
            } else if part.is_empty() {
                doubled = true;
            } else {
                return None;
            }
        }
        (values.next().is_none() && !doubled).then_some(text)
    }

    /// The text of `template.format(*values, **named)`, for fields that are only a place or a name.
    pub fn format(template: &str, values: &[Text], named: &[(&str, Text)]) -> Option<Text> {
        let mut text = Text::default();
        let mut automatic = 0..values.len();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, field) = rest.split_at(at);
            text = text.then(Text::literal(before))?;
            if let Some(after) = field.strip_prefix("{{").or_else(|| field.strip_prefix("}}")) {
                text = text.then(Text::literal(&field[..1]))?;
                rest = after;
                continue;
            }
            let (name, after) = field.strip_prefix('{')?.split_once('}')?;
            let value = match name {
                "" => values.get(automatic.next()?),
                name if name.bytes().all(|byte| byte.is_ascii_digit()) => values.get(name.parse::<usize>().ok()?),
                name => named.iter().find(|(it, _)| *it == name).map(|(_, value)| value),
            };
            text = text.then(value?.clone())?;
            rest = after;
        }
        text.then(Text::literal(rest))
    }
}

impl Value {
    /// A literal string.
    pub fn literal(text: &str) -> Value {
        Value::Text(Text::literal(text))
    }

    /// Whether it is the string `literal`.
    pub fn is_literal(&self, literal: &str) -> bool {
        matches!(self, Value::Text(text) if text.as_literal() == Some(literal))
    }

    /// Its text, if it is one.
    pub fn into_text(self) -> Option<Text> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list, unless it is too long or holds lists, of which copies could grow without end.
    pub fn list(values: Vec<Value>) -> Option<Value> {
        let flat = values.iter().all(|value| !matches!(value, Value::List(_)));
        (flat && values.len() <= MAX_PARTS).then_some(Value::List(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank() -> Text {
        Text::piece(Piece::RankId)
    }

    #[test]
    fn templates() {
        let expected = Text::literal("a/rank_").then(rank()).unwrap().then(Text::literal("%{")).unwrap();
        assert_eq!(Text::percent("a/rank_%s%%{", &[rank()]).unwrap(), expected);
        assert_eq!(Text::format("{}/rank_{}%{{", &[Text::literal("a"), rank()], &[]).unwrap(), expected);
        assert_eq!(Text::format("{1}/rank_{r}%{{", &[rank(), Text::literal("a")], &[("r", rank())]).unwrap(), expected);
        for bad in ["%s %s", "%d", "%", "%(name)s", "100%"] {
            assert_eq!(Text::percent(bad, &[rank()]), None, "{bad}");
        }
        for bad in ["{} {}", "{0!r}", "{0.x}", "{:>3}", "{", "}", "{x}"] {
            assert_eq!(Text::format(bad, &[rank()], &[]), None, "{bad}");
        }
    }

    #[test]
    fn paths() {
        let joined = |parts: &[Text]| parts.iter().cloned().try_fold(Text::default(), Text::join).unwrap();
        let ours = joined(&[
            Text::piece(Piece::LogDir),
            Text::piece(Piece::JobId),
            Text::literal("ascend//process_log/"),
            Text::literal("rank_").then(rank()).unwrap(),
        ]);
        assert!(ours.same_path(&Text::process_log_path()));
        assert!(!ours.same_path(&Text::literal("/x")));
        assert_eq!(joined(&[Text::literal("a"), Text::literal("/b"), Text::literal("c/")]), Text::literal("/b/c/"));
    }

    #[test]
    fn growth_is_bounded() {
        let mut text = rank();
        while let Some(longer) = text.clone().then(text.clone()) {
            text = longer;
        }
        assert!(text.0.len() <= MAX_PARTS);
    }
}
