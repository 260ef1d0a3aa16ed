//! The depth of a text, measured on its tokens, so that the recursive parser is only given what it can bear.
//!
//! The tokens are the parser's own, so strings and comments can't fool the measure. It is an upper bound of the depth of
//! the syntax tree, and of the parser's recursion while it recovers from errors, when brackets and commas no longer mean
//! what they say: hence the bounds that no comma resets.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

use crate::lines;
use crate::refused::Refused;

/// Deepest nesting of brackets with the operators before them, and of blocks. Python's own limits are 200 brackets and
/// 100 blocks.
pub const MAX_NESTING: usize = 200;

/// Most keywords of one logical line that open an expression or a statement. Long tables have a few hundred.
const MAX_OPENERS: usize = 2000;

/// What is too much, found at the last token that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Too deep for the limits above.
    Deep(&'static str, usize),
    /// Two statements with a block in one logical line, as an unclosed bracket or a lost line break leaves them. No
    /// Python has that; the parser would take each for the block of the one before.
    TwoCompounds,
}

impl Excess {
    fn refused(self, line: usize) -> Refused {
        match self {
            Excess::Deep(what, limit) => Refused::TooDeep { what, limit, line },
            Excess::TwoCompounds => Refused::Syntax { message: "Two statements share a line".to_owned(), line },
        }
    }
}

/// Refuses a text that is too deep to parse; `explain` may parse a text that ends with the first bad line, in which
/// there is just one excess, to say better what is wrong there.
pub fn check(text: &str, explain: impl Fn(&str) -> Option<Refused>) -> Result<(), Refused> {
    let Some(excess) = excess(text) else { return Ok(()) };
    // Tokens come without their places, but what is too deep up to a line is so up to every later one.
    let mut ends = lines::starts(text.as_bytes()).split_off(1);
    ends.push(text.len());
    let line = ends.partition_point(|&end| self::excess(&text[..end]).is_none());
    let explained = match (excess, ends.get(line)) {
        (Excess::TwoCompounds, Some(&end)) => explain(&text[..end]),
        _ => None,
    };
    Err(explained.unwrap_or_else(|| excess.refused(line + 1)))
}

/// What one bracket, or the text outside all of them, has piled up since the last comma.
#[derive(Default)]
struct Level {
    /// Operators that `and` and `or` end: arithmetic, comparisons, attributes, calls.
    tight: usize,
    /// Those that they don't: lambda, conditional expressions, yield.
    loose: usize,
    /// Lambdas before their colon; commas among their parameters end nothing.
    lambdas: usize,
    /// Whether the bracket is an atom, `(a)`, and not a call or subscript, which stays in the way up when it is closed.
    atom: bool,
}

fn excess(text: &str) -> Option<Excess> {
    let mut lexer = lexer::lex(text, Mode::Module);
    let mut levels = vec![Level::default()];
    let (mut depth, mut blocks, mut openers, mut compounds) = (0usize, 0usize, 0usize, 0usize);
    let mut after_operand = false;
    loop {
        let kind = lexer.next_token();
        let outermost = levels.len() == 1;
        // `levels` starts with one and the pop below keeps it; the default would only end the walk early.
        let level = levels.last_mut()?;
        match kind {
            TokenKind::EndOfFile => return None,
            TokenKind::Comment | TokenKind::NonLogicalNewline => continue,
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Newline => {
                depth = 0;
                levels = vec![Level::default()];
                (openers, compounds) = (0, 0);
            }
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                level.tight += 1;
                depth += 1;
                levels.push(Level { atom: !after_operand, ..Level::default() });
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace if !outermost => {
                depth -= level.tight + level.loose;
                let atom = level.atom;
                levels.pop();
                let outer = levels.last_mut()?;
                if atom && outer.tight > 0 {
                    outer.tight -= 1;
                    depth -= 1;
                }
            }
            TokenKind::Comma if level.lambdas > 0 => {}
            TokenKind::Comma | TokenKind::Semi => {
                depth -= level.tight + level.loose;
                (level.tight, level.loose) = (0, 0);
            }
            TokenKind::Colon => level.lambdas = level.lambdas.saturating_sub(1),
            TokenKind::And | TokenKind::Or => {
                depth -= level.tight;
                level.tight = 0;
                level.loose += 1;
                depth += 1;
            }
            TokenKind::While
            | TokenKind::With
            | TokenKind::Try
            | TokenKind::Except
            | TokenKind::Finally
            | TokenKind::Def
            | TokenKind::Class
            | TokenKind::Elif => compounds += 1,
            kind if is_opener(kind) => {
                // A lambda is ended by its colon and the next comma, in whatever state the parser is.
                level.lambdas += usize::from(kind == TokenKind::Lambda);
                openers += usize::from(kind != TokenKind::Lambda);
                level.loose += 1;
                depth += 1;
            }
            kind if is_flat(kind) => {}
            _ => {
                level.tight += 1;
                depth += 1;
            }
        }
        after_operand = ends_operand(kind);
        if compounds > 1 {
            return Some(Excess::TwoCompounds);
        }
        if depth > MAX_NESTING {
            return Some(Excess::Deep("brackets and operators", MAX_NESTING));
        }
        if blocks > MAX_NESTING {
            return Some(Excess::Deep("blocks", MAX_NESTING));
        }
        if openers > MAX_OPENERS {
            return Some(Excess::Deep("expressions", MAX_OPENERS));
        }
    }
}

/// Keywords after which the parser descends, wherever they stand.
fn is_opener(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::For
            | TokenKind::If
            | TokenKind::Else
            | TokenKind::Lambda
            | TokenKind::Yield
            | TokenKind::Await
            | TokenKind::Async
            | TokenKind::ColonEqual
    )
}

/// Tokens that never make a tree deeper: operands, assignments, separators, words that start a simple statement.
fn is_flat(kind: TokenKind) -> bool {
    use TokenKind as K;
    is_operand(kind)
        || kind.as_augmented_assign_operator().is_some()
        || matches!(kind, K::Equal | K::Rarrow | K::Rpar | K::Rsqb | K::Rbrace | K::Unknown)
        || matches!(kind, K::FStringStart | K::FStringMiddle | K::TStringStart | K::TStringMiddle)
        || (kind.is_keyword() && !matches!(kind, K::Not | K::In | K::Is))
}

/// Whether a bracket after `kind` calls or subscripts what came before.
fn ends_operand(kind: TokenKind) -> bool {
    use TokenKind as K;
    is_operand(kind) || kind.is_soft_keyword() || matches!(kind, K::Rpar | K::Rsqb | K::Rbrace)
}

fn is_operand(kind: TokenKind) -> bool {
    use TokenKind as K;
    kind.is_singleton()
        || kind.is_interpolated_string_end()
        || matches!(kind, K::Name | K::String | K::Int | K::Float | K::Complex | K::Ellipsis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_is_not_deep() {
        let many = |item: &str| format!("x = [{}]\n", item.repeat(3000));
        for text in [
            many("(1 + 2, {3: f(4).g}), "),
            many("lambda a, b: a + b, "),
            many("'((((' \"[[[[\", # {{{{\n"),
            "x = 1 + 1; y = f(x)\n".repeat(3000),
            format!("x = '''{}'''\n# {}\n", "(".repeat(1000), "[".repeat(1000)),
            format!("x = ({})\n", "'a' ".repeat(3000)),
            format!("x = f'{}'\n", "{a} ".repeat(3000)),
            format!("x = y{}\n", " = z".repeat(3000)),
            format!("if a:\n    b\n{}", "elif a:\n    b\n".repeat(3000)),
            format!("x = {}\n", vec!["(a.b)"; 190].join(" or ")),
        ] {
            assert_eq!(check(&text, |_| None), Ok(()), "{}", &text[..60]);
        }
    }

    /// Bounds that hold whatever the parser takes for the end of what: no comma resets them.
    #[test]
    fn recovery_is_bounded() {
        for (statement, expected) in [
            ("with a, ", "it is not valid Python: Two statements share a line at line 1"),
            ("class A: ", "it is not valid Python: Two statements share a line at line 1"),
            ("for x in a, ", "its expressions are nested deeper than 2000 near line 1"),
            ("yield a, ", "its expressions are nested deeper than 2000 near line 1"),
            ("lambda a, ", "its brackets and operators are nested deeper than 200 near line 1"),
        ] {
            let refused = check(&statement.repeat(5000), |_| None).unwrap_err();
            assert_eq!(refused.to_string(), expected, "{statement}");
        }
    }
}
