//! The depth of a text, measured on its tokens, so that the recursive parser is only given what it can bear.
//!
//! The tokens are the parser's own, so strings and comments can't fool the measure. It is an upper bound of the depth of
//! the syntax tree, and of the parser's recursion while it recovers from errors, when brackets and commas no longer mean
//! what they say: hence the bound that no comma resets.

use ruff_python_ast::token::TokenKind as K;
use ruff_python_parser::{Mode, lexer};

use crate::lines;
use crate::refused::Refused;

/// Deepest nesting of brackets with the operators before them, and of blocks. Python's own limits are 200 brackets and
/// 100 blocks.
pub const MAX_NESTING: usize = 200;

/// Most keywords of one logical line that open an expression or a statement. Long tables have a few hundred.
const MAX_OPENERS: usize = 1000;

/// Refuses a text that is too deep to parse.
pub fn check(text: &str) -> Result<(), Refused> {
    let Some((what, limit)) = excess(text) else { return Ok(()) };
    // Tokens come without their places, but what is too deep up to a line is so up to every later one.
    let ends = lines::starts(text.as_bytes()).split_off(1);
    let line = ends.partition_point(|&end| excess(&text[..end]).is_none()) + 1;
    Err(Refused::TooDeep { what, limit, line })
}

/// What is nested too deep, and its limit.
fn excess(text: &str) -> Option<(&'static str, usize)> {
    let mut lexer = lexer::lex(text, Mode::Module);
    // How many operators each open bracket, and the text outside all of them, has since its last comma; and whether the
    // bracket is of a call or subscript, which is an operator, too, when it is closed.
    let mut levels = vec![(0, false)];
    let (mut depth, mut blocks, mut openers) = (0usize, 0usize, 0usize);
    let mut after_operand = false;
    loop {
        let kind = lexer.next_token();
        let is_bracketed = levels.len() > 1;
        // There is always one: the first is never popped.
        let (operators, is_call) = levels.last_mut()?;
        match kind {
            K::EndOfFile => return None,
            K::Comment | K::NonLogicalNewline => continue,
            K::Indent => blocks += 1,
            K::Dedent => blocks = blocks.saturating_sub(1),
            K::Newline => (levels, depth, openers) = (vec![(0, false)], 0, 0),
            K::Lpar | K::Lsqb | K::Lbrace => {
                depth += 1;
                levels.push((0, after_operand));
            }
            K::Rpar | K::Rsqb | K::Rbrace if is_bracketed => {
                let stays = usize::from(*is_call);
                depth -= *operators + 1 - stays;
                levels.pop();
                levels.last_mut()?.0 += stays;
            }
            K::Comma | K::Semi => depth -= std::mem::take(operators),
            kind if is_compound(kind) => openers += 1,
            kind if is_flat(kind) => {}
            kind => {
                openers += usize::from(is_opener(kind));
                *operators += 1;
                depth += 1;
            }
        }
        after_operand = is_operand(kind) || kind.is_soft_keyword() || matches!(kind, K::Rpar | K::Rsqb | K::Rbrace);
        for (what, measure, limit) in [
            ("brackets and operators", depth, MAX_NESTING),
            ("blocks", blocks, MAX_NESTING),
            ("statements and expressions", openers, MAX_OPENERS),
        ] {
            if measure > limit {
                return Some((what, limit));
            }
        }
    }
}

/// Keywords after which the parser descends into a statement, wherever they stand.
fn is_compound(kind: K) -> bool {
    matches!(
        kind,
        K::While | K::With | K::Try | K::Except | K::Finally | K::Def | K::Class | K::Elif | K::Match | K::Case
    )
}

/// Those after which it descends into an expression, or a statement.
fn is_opener(kind: K) -> bool {
    matches!(kind, K::For | K::If | K::Else | K::Lambda | K::Yield | K::Await | K::Async | K::ColonEqual)
}

/// Tokens that never make a tree deeper: operands, assignments, separators, words that start a simple statement.
fn is_flat(kind: K) -> bool {
    is_operand(kind)
        || kind.as_augmented_assign_operator().is_some()
        || matches!(kind, K::Equal | K::Colon | K::Rarrow | K::Rpar | K::Rsqb | K::Rbrace | K::Unknown)
        || matches!(kind, K::FStringStart | K::FStringMiddle | K::TStringStart | K::TStringMiddle)
        || (kind.is_keyword() && !is_opener(kind) && !matches!(kind, K::Not | K::In | K::Is | K::And | K::Or))
}

fn is_operand(kind: K) -> bool {
    kind.is_singleton()
        || kind.is_interpolated_string_end()
        || matches!(kind, K::Name | K::String | K::Int | K::Float | K::Complex | K::Ellipsis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edits, patch};

    #[test]
    fn long_is_not_deep() {
        let many = |item: &str| format!("x = [{}]\n", item.repeat(900));
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
            assert_eq!(check(&text), Ok(()), "{}", &text[..60]);
        }
    }

    /// A bound that holds whatever the parser takes for the end of what: no comma resets it.
    #[test]
    fn recovery_is_bounded() {
        for statement in ["with a, ", "class A: ", "for x in a, ", "yield a, ", "lambda a, ", "try: ", "match a: "] {
            // As deep as may be, for the parser to bear.
            let text = |times: usize| statement.repeat(times);
            assert_eq!(check(&text(MAX_OPENERS)), Ok(()), "{statement}");
            patch(text(MAX_OPENERS).as_bytes(), Edits::ALL).unwrap_err();
            let refused = check(&text(MAX_OPENERS + 1)).unwrap_err().to_string();
            assert_eq!(
                refused, "its statements and expressions are nested deeper than 1000 near line 1",
                "{statement}"
            );
        }
    }
}
