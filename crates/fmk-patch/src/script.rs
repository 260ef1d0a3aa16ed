//! A parsed script, and in it the class and the methods that the edits belong to.

use std::collections::BTreeMap;
use std::fmt::Display;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ModModule, Stmt, StmtClassDef, StmtFunctionDef, WithItem};
use ruff_python_parser::{Parsed, parse_module};
use ruff_text_size::{Ranged, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::lines;
use crate::nesting;
use crate::refused::Refused;

/// The name of the class that both edits are about.
pub const CLASS: &str = "FMK";

/// A text that is Python by the grammar.
pub struct Script<'t> {
    /// The text that all offsets refer to.
    pub text: &'t str,
    parsed: Parsed<ModModule>,
    line_starts: Vec<usize>,
}

impl<'t> Script<'t> {
    /// Parses `text`, unless it is nested too deep for that.
    pub fn parse(text: &'t str) -> Result<Script<'t>, Refused> {
        nesting::check(text)?;
        let parsed = parse_module(text).map_err(|error| Refused::Syntax {
            message: error.error.to_string(),
            line: lines::line_at(text.as_bytes(), error.location.start().to_usize()),
        })?;
        Ok(Script { text, parsed, line_starts: lines::starts(text.as_bytes()) })
    }

    /// The statements outside all classes and functions, in order.
    pub fn body(&self) -> &[Stmt] {
        &self.parsed.syntax().body
    }

    /// The number, from 1, of the line that `offset` lies on.
    pub fn line(&self, offset: TextSize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset.to_usize())
    }

    /// A conflict: what is in the way at `offset`.
    pub fn conflict(&self, offset: TextSize, what: impl Display) -> Status {
        Status::Conflict { reason: format!("{what} at line {}", self.line(offset)) }
    }

    /// What was looked for in the class or method at `offset`, and is not there.
    pub fn not_found(&self, offset: TextSize, what: impl Display) -> Status {
        Status::NotFound { reason: format!("{what} at line {}", self.line(offset)) }
    }

    /// What is at several places, or at one too many.
    pub fn ambiguous(&self, offsets: impl ExactSizeIterator<Item = TextSize>, what: impl Display) -> Status {
        Status::Ambiguous { reason: format!("{what} {}", self.at_lines(offsets)) }
    }

    /// `at line 3`, or `at lines 3, 9`; of many only the first, because a message is read by people.
    pub fn at_lines(&self, offsets: impl ExactSizeIterator<Item = TextSize>) -> String {
        const MOST: usize = 5;
        let count = offsets.len();
        let first: Vec<String> = offsets.take(MOST).map(|offset| self.line(offset).to_string()).collect();
        let more = if count > MOST { format!(" and {} more", count - MOST) } else { String::new() };
        format!("at line{} {}{more}", if count == 1 { "" } else { "s" }, first.join(", "))
    }
}

/// The class `FMK` of a script.
pub struct Fmk<'a> {
    pub script: &'a Script<'a>,
    /// Its definition.
    pub class: &'a StmtClassDef,
    methods: BTreeMap<&'a str, Vec<&'a StmtFunctionDef>>,
}

impl<'a> Fmk<'a> {
    /// The only class `FMK` of the module, whose name is bound nowhere else.
    pub fn find(script: &'a Script<'a>) -> Result<Fmk<'a>, Status> {
        let classes = statements_of_scope(script.body()).into_iter().filter_map(|stmt| stmt.as_class_def_stmt());
        let classes: Vec<&StmtClassDef> = classes.filter(|class| class.name.as_str() == CLASS).collect();
        let bindings = Bindings::of_body(script.body());
        let class = match (&classes[..], bindings.of(CLASS)) {
            ([], _) => return Err(Status::NotFound { reason: format!("there is no class `{CLASS}`") }),
            ([class], [_]) => class,
            (_, bound) => return Err(script.ambiguous(bound.iter().copied(), format_args!("`{CLASS}` is bound"))),
        };
        let mut methods: BTreeMap<&str, Vec<&StmtFunctionDef>> = BTreeMap::new();
        for method in statements_of_scope(&class.body).into_iter().filter_map(|stmt| stmt.as_function_def_stmt()) {
            methods.entry(method.name.as_str()).or_default().push(method);
        }
        Ok(Fmk { script, class, methods })
    }

    /// Its only method called `name`.
    pub fn method(&self, name: &str) -> Result<&'a StmtFunctionDef, Status> {
        match self.methods.get(name).map(Vec::as_slice) {
            None | Some([]) => {
                let what = format_args!("no method `{name}` in class `{CLASS}`");
                Err(self.script.not_found(self.class.name.start(), what))
            }
            Some([method]) => Ok(method),
            Some(several) => {
                let places = several.iter().map(|method| method.name.start());
                Err(self.script.ambiguous(places, format_args!("`{CLASS}.{name}` is defined")))
            }
        }
    }

    /// What `method` calls the instance that it is called on.
    pub fn instance_in(&self, method: &'a StmtFunctionDef) -> Result<&'a str, Status> {
        let what = format_args!("`{CLASS}.{}` is not a method of an instance", method.name);
        self_of(method).ok_or_else(|| self.script.conflict(method.name.start(), what))
    }

    /// All of its methods, by their names.
    pub fn methods(&self) -> impl Iterator<Item = &'a StmtFunctionDef> {
        self.methods.values().flatten().copied()
    }
}

/// Whether one of the decorators of `function` is just `name`.
pub fn is_decorated(function: &StmtFunctionDef, name: &str) -> bool {
    function.decorator_list.iter().any(|decorator| is_dotted(&decorator.expression, name))
}

/// The name that an instance method gives to its instance.
pub fn self_of(method: &StmtFunctionDef) -> Option<&str> {
    let first = method.parameters.posonlyargs.iter().chain(&method.parameters.args).next();
    let has_none = is_decorated(method, "staticmethod") || is_decorated(method, "classmethod");
    first.filter(|_| !has_none).map(|first| first.parameter.name.as_str())
}

/// Whether `expr` is a name or attribute spelled `name`, as `os.path.join`.
pub fn is_dotted(expr: &Expr, name: &str) -> bool {
    match (expr, name.rsplit_once('.')) {
        (Expr::Attribute(it), Some((owner, attribute))) => it.attr.as_str() == attribute && is_dotted(&it.value, owner),
        (Expr::Name(it), None) => it.id == name,
        _ => false,
    }
}

/// Whether `expr` is the string `text`.
pub fn is_string(expr: &Expr, text: &str) -> bool {
    matches!(expr, Expr::StringLiteral(it) if it.value.to_str() == text)
}

/// Where `name` is used, be it as a name or as an attribute.
pub fn named(exprs: &[&Expr], name: &str) -> Vec<TextSize> {
    let is_it = |expr: &&&Expr| match expr {
        Expr::Attribute(it) => it.attr.as_str() == name,
        Expr::Name(it) => it.id == name,
        _ => false,
    };
    exprs.iter().filter(is_it).map(|expr| expr.start()).collect()
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

/// Every expression in `body`, the outer before the inner, those of functions and classes too.
pub fn expressions(body: &[Stmt]) -> Vec<&Expr> {
    let mut collect = Collect::default();
    collect.visit_body(body);
    collect.found
}

/// `expr` and every expression in it.
pub fn expressions_in(expr: &Expr) -> Vec<&Expr> {
    let mut collect = Collect::default();
    collect.visit_expr(expr);
    collect.found
}

/// The expressions of `items` and `body` that are evaluated while the `with` of which they are lasts, not when something
/// that is defined there is called.
pub fn expressions_within<'a>(items: &'a [WithItem], body: &'a [Stmt]) -> Vec<&'a Expr> {
    let mut collect = Collect { only_now: true, ..Collect::default() };
    items.iter().for_each(|item| collect.visit_with_item(item));
    collect.visit_body(body);
    collect.found
}

#[derive(Default)]
struct Collect<'a> {
    found: Vec<&'a Expr>,
    only_now: bool,
}

impl<'a> Visitor<'a> for Collect<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if !(self.only_now && matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_))) {
            visitor::walk_stmt(self, stmt);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.found.push(expr);
        if !(self.only_now && matches!(expr, Expr::Lambda(_) | Expr::Generator(_))) {
            visitor::walk_expr(self, expr);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lines() {
        let script = Script::parse("1\r\n2\r3\n4\n5\n6\n").unwrap();
        let at_lines = |offsets: &[u32]| script.at_lines(offsets.iter().map(|&offset| TextSize::new(offset)));
        assert_eq!(at_lines(&[0]), "at line 1");
        assert_eq!(at_lines(&[2, 3, 5]), "at lines 1, 2, 3");
        assert_eq!(at_lines(&[0, 3, 5, 7, 9, 11, 12]), "at lines 1, 2, 3, 4, 5 and 2 more");
    }
}
