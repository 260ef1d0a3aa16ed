//! A parsed script: its statements with their places, and the class and methods that the edits belong to.

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ModModule, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_python_parser::{ParseError, Parsed, parse_module};
use ruff_text_size::{Ranged, TextSize};

use crate::edit::Status;
use crate::lines::line_at;
use crate::nesting;
use crate::refused::Refused;
use crate::scope::{self, Made};

/// A text that is Python by the grammar.
pub struct Script<'t> {
    /// The text that all places refer to.
    pub text: &'t str,
    parsed: Parsed<ModModule>,
}

impl<'t> Script<'t> {
    /// Parses `text`, unless it is nested too deep for that.
    pub fn parse(text: &'t str) -> Result<Script<'t>, Refused> {
        nesting::check(text, |head| parse_module(head).err().map(|error| syntax(head, &error)))?;
        match parse_module(text) {
            Ok(parsed) => Ok(Script { text, parsed }),
            Err(error) => Err(syntax(text, &error)),
        }
    }

    /// The statements outside all classes and functions, in order.
    pub fn body(&self) -> &[Stmt] {
        &self.parsed.syntax().body
    }

    /// The number, from 1, of the line that `node` starts on.
    pub fn line(&self, node: &impl Ranged) -> usize {
        line_at(self.text.as_bytes(), node.start().to_usize())
    }

    /// The last token before `offset` that is more than layout: no comment, line break within brackets or indentation.
    pub fn token_before(&self, offset: TextSize) -> Option<&Token> {
        self.parsed.tokens().before(offset).iter().rev().find(|token| {
            !matches!(
                token.kind(),
                TokenKind::Indent | TokenKind::Dedent | TokenKind::Comment | TokenKind::NonLogicalNewline
            )
        })
    }

    /// Whether a backslash joins lines between `offset` and the token before it.
    pub fn joins_lines_before(&self, offset: TextSize) -> bool {
        let layout = |token: &&Token| !matches!(token.kind(), TokenKind::Indent | TokenKind::Dedent);
        let start =
            self.parsed.tokens().before(offset).iter().rev().find(layout).map_or(0, |token| token.end().to_usize());
        self.text[start..offset.to_usize()].contains('\\')
    }

    /// Where the logical line that holds `offset` ends: behind its line ending, or at the end of the text.
    pub fn end_of_logical_line(&self, offset: TextSize) -> usize {
        let newline = self.parsed.tokens().after(offset).iter().find(|token| token.kind() == TokenKind::Newline);
        newline.map_or(self.text.len(), |token| token.end().to_usize())
    }
}

fn syntax(text: &str, error: &ParseError) -> Refused {
    Refused::Syntax {
        message: error.error.to_string(),
        line: line_at(text.as_bytes(), error.location.start().to_usize()),
    }
}

/// The statements of one scope, blocks included, but nothing of the functions and classes defined in it.
pub fn statements_of_scope(body: &[Stmt]) -> Vec<&Stmt> {
    struct Flatten<'a>(Vec<&'a Stmt>);
    impl<'a> Visitor<'a> for Flatten<'a> {
        fn visit_stmt(&mut self, stmt: &'a Stmt) {
            self.0.push(stmt);
            if !matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, stmt);
            }
        }
        fn visit_expr(&mut self, _: &'a Expr) {}
    }
    let mut flatten = Flatten(Vec::new());
    flatten.visit_body(body);
    flatten.0
}

/// The class `FMK` of a script.
#[derive(Clone, Copy)]
pub struct Fmk<'a> {
    script: &'a Script<'a>,
    /// Its definition.
    pub class: &'a StmtClassDef,
}

/// The name of the class that both edits are about.
pub const CLASS: &str = "FMK";

impl<'a> Fmk<'a> {
    /// The only class `FMK` of the module.
    pub fn find(script: &'a Script<'a>) -> Result<Fmk<'a>, Status> {
        let classes: Vec<&StmtClassDef> = statements_of_scope(script.body())
            .into_iter()
            .filter_map(|stmt| stmt.as_class_def_stmt())
            .filter(|class| class.name.as_str() == CLASS)
            .collect();
        match classes.as_slice() {
            [] => Err(Status::NotFound { reason: format!("there is no class `{CLASS}`") }),
            [class] => {
                // A second binding of the name; a definition is one itself.
                let bindings = scope::of_module(script.body(), CLASS).bindings;
                let mut others = bindings.iter().filter(|it| it.made != Made::Star && it.at != class.start());
                match others.next() {
                    None => Ok(Fmk { script, class }),
                    Some(other) => {
                        let line = line_at(script.text.as_bytes(), other.at.to_usize());
                        Err(Status::Ambiguous { reason: format!("`{CLASS}` is bound again at line {line}") })
                    }
                }
            }
            several => Err(Status::Ambiguous {
                reason: format!(
                    "class `{CLASS}` is defined {}",
                    at_lines(several.iter().map(|class| script.line(&class.name)))
                ),
            }),
        }
    }

    /// Its only method called `name`.
    pub fn method(&self, name: &str) -> Result<&'a StmtFunctionDef, Status> {
        match self.methods(name).as_slice() {
            [] => Err(Status::NotFound { reason: format!("class `{CLASS}` has no method `{name}`") }),
            [method] => Ok(method),
            several => Err(Status::Ambiguous {
                reason: format!(
                    "method `{CLASS}.{name}` is defined {}",
                    at_lines(several.iter().map(|method| self.script.line(&method.name)))
                ),
            }),
        }
    }

    /// All of its methods called `name`.
    pub fn methods(&self, name: &str) -> Vec<&'a StmtFunctionDef> {
        self.all_methods().filter(|method| method.name.as_str() == name).collect()
    }

    /// All of its methods.
    pub fn all_methods(&self) -> impl Iterator<Item = &'a StmtFunctionDef> {
        statements_of_scope(&self.class.body).into_iter().filter_map(|stmt| stmt.as_function_def_stmt())
    }
}

/// How a method is bound when it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gets the instance first.
    Instance,
    /// Gets the class first.
    Class,
    /// Gets nothing but its arguments.
    Static,
}

/// The kind of `method`, by its decorators.
pub fn kind_of(method: &StmtFunctionDef) -> Kind {
    let decorated = |name: &str| {
        method
            .decorator_list
            .iter()
            .any(|decorator| decorator.expression.as_name_expr().is_some_and(|it| it.id == name))
    };
    match (decorated("staticmethod"), decorated("classmethod")) {
        (true, _) => Kind::Static,
        (_, true) => Kind::Class,
        _ => Kind::Instance,
    }
}

/// The name that an instance method gives to its instance.
pub fn self_of(method: &StmtFunctionDef) -> Option<&str> {
    (kind_of(method) == Kind::Instance)
        .then(|| method.parameters.posonlyargs.iter().chain(&method.parameters.args).next())
        .flatten()
        .map(|parameter| parameter.parameter.name.as_str())
}

/// `at line 3`, or `at lines 3, 9`; of many only the first, because counting lines takes a walk through the text each.
pub fn at_lines(lines: impl ExactSizeIterator<Item = usize>) -> String {
    const MOST: usize = 5;
    let count = lines.len();
    let first: Vec<String> = lines.take(MOST).map(|line| line.to_string()).collect();
    let more = if count > MOST { format!(" and {} more", count - MOST) } else { String::new() };
    format!("at line{} {}{more}", if count == 1 { "" } else { "s" }, first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lines() {
        assert_eq!(at_lines([3].into_iter()), "at line 3");
        assert_eq!(at_lines([3, 9].into_iter()), "at lines 3, 9");
        assert_eq!(at_lines(1..101), "at lines 1, 2, 3, 4, 5 and 95 more");
    }

    #[test]
    fn logical_lines() {
        let text = "x = (1,\n  2)  # all\ny = \\\n  3; z = 4\nz";
        let script = Script::parse(text).unwrap();
        let ends: Vec<&str> =
            script.body().iter().map(|stmt| &text[..script.end_of_logical_line(stmt.end())]).collect();
        let first = "x = (1,\n  2)  # all\n";
        let second = "x = (1,\n  2)  # all\ny = \\\n  3; z = 4\n";
        assert_eq!(ends, [first, second, second, text]);
        assert!(script.joins_lines_before(TextSize::new(28)));
    }
}
