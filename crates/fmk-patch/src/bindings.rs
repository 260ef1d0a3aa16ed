//! Where the names of one scope are bound, so that a name that is bound again is not taken for what it was.

use std::collections::HashMap;

use ruff_python_ast::visitor::source_order::{self, SourceOrderVisitor};
use ruff_python_ast::{
    Alias, Expr, Identifier, Keyword, PatternKeyword, Stmt, StmtAnnAssign, StmtClassDef, StmtFunctionDef, StmtGlobal,
    StmtNonlocal,
};
use ruff_text_size::{Ranged, TextSize};

/// The bindings of a module or function. A name that an inner function declares `global` or `nonlocal` counts too, and so
/// does the variable of a comprehension: better one binding too many than one too few.
#[derive(Default)]
pub struct Bindings<'a> {
    by_name: HashMap<&'a str, Vec<TextSize>>,
    assigned: HashMap<&'a str, &'a Expr>,
    /// How many functions and classes inside the scope the visitor is.
    depth: usize,
}

impl<'a> Bindings<'a> {
    /// Those of a module or class with these statements.
    pub fn of_body(body: &'a [Stmt]) -> Bindings<'a> {
        let mut bindings = Bindings::default();
        bindings.visit_body(body);
        bindings
    }

    /// Those of `function`, its parameters among them.
    pub fn of_function(function: &'a StmtFunctionDef) -> Bindings<'a> {
        let mut bindings = Bindings::default();
        bindings.visit_parameters(&function.parameters);
        bindings.visit_body(&function.body);
        bindings
    }

    /// Where `name` is bound, in the order of the text.
    pub fn of(&self, name: &str) -> &[TextSize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// What `name` is assigned, if it is bound by that alone.
    pub fn value(&self, name: &str) -> Option<&'a Expr> {
        self.assigned.get(name).copied().filter(|_| self.of(name).len() == 1)
    }

    fn bind(&mut self, name: &'a str, node: &impl Ranged) {
        if self.depth == 0 {
            self.by_name.entry(name).or_default().push(node.start());
        }
    }

    fn assign(&mut self, targets: &'a [Expr], value: &'a Expr) {
        if let [Expr::Name(name)] = targets
            && self.depth == 0
        {
            self.assigned.insert(&name.id, value);
        }
    }
}

impl<'a> SourceOrderVisitor<'a> for Bindings<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(StmtFunctionDef { name, .. }) | Stmt::ClassDef(StmtClassDef { name, .. }) => {
                self.bind(name, name);
            }
            Stmt::Global(StmtGlobal { names, .. }) | Stmt::Nonlocal(StmtNonlocal { names, .. }) => {
                for name in names {
                    self.by_name.entry(name).or_default().push(name.start());
                }
                return;
            }
            Stmt::ImportFrom(it) => return it.names.iter().for_each(|alias| self.visit_alias(alias)),
            Stmt::Assign(it) => self.assign(&it.targets, &it.value),
            Stmt::AnnAssign(StmtAnnAssign { target, value: Some(value), .. }) => {
                self.assign(std::slice::from_ref(target), value);
            }
            _ => {}
        }
        let inner = usize::from(matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)));
        self.depth += inner;
        source_order::walk_stmt(self, stmt);
        self.depth -= inner;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(it) if !it.ctx.is_load() => self.bind(&it.id, it),
            Expr::Attribute(it) => self.visit_expr(&it.value),
            Expr::Lambda(it) => self.visit_expr(&it.body),
            _ => source_order::walk_expr(self, expr),
        }
    }

    fn visit_alias(&mut self, alias: &'a Alias) {
        let name = alias.asname.as_ref().unwrap_or(&alias.name);
        // `import os.path` binds `os`.
        self.bind(name.split('.').next().unwrap_or(name), alias);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        self.visit_expr(&keyword.value);
    }

    fn visit_pattern_keyword(&mut self, keyword: &'a PatternKeyword) {
        self.visit_pattern(&keyword.pattern);
    }

    /// Whatever else has a name binds it.
    fn visit_identifier(&mut self, name: &'a Identifier) {
        self.bind(name, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    #[test]
    fn every_way_to_bind_a_name() {
        for (body, count) in [
            ("import os", 1),
            ("import os.path", 1),
            ("import os as o, sys as os", 1),
            ("from os import path", 0),
            ("from x import os", 1),
            ("from x import *", 0),
            ("os = 1", 1),
            ("a, (*os, b) = c", 1),
            ("os += 1", 1),
            ("os: int", 1),
            ("del os", 1),
            ("os.x = os[1] = 2", 0),
            ("for os in a: pass", 1),
            ("if a:\n import os\nelse:\n os = 1", 2),
            ("try: import os\nexcept E as os: pass", 2),
            ("with a as os: pass", 1),
            ("print(os := 1)", 1),
            ("[x for x in a if (os := x)]", 1),
            ("lambda os: os", 0),
            ("def os(): pass", 1),
            ("class os: pass", 1),
            ("def g(os): os = 1", 0),
            ("class A:\n os = 1", 0),
            ("match a:\n case [os]: pass", 1),
            ("match a:\n case {**os}: pass", 1),
            ("match a:\n case [*os]: pass", 1),
            ("match a:\n case b.A(os=x): pass", 0),
            ("f(os=1)", 0),
            ("global os\nimport os", 2),
            ("def g():\n nonlocal os", 1),
            ("def g():\n class H:\n  def i():\n   global os", 1),
        ] {
            let indented: String = body.lines().map(|line| format!(" {line}\n")).collect();
            let text = format!("def f(a):\n{indented}");
            let script = Script::parse(&text).unwrap();
            let function = script.body()[0].as_function_def_stmt().unwrap();
            assert_eq!(Bindings::of_function(function).of("os").len(), count, "{body}");
        }
        let script = Script::parse("def f(a, *b, c=1, **d): pass\n").unwrap();
        let bindings = Bindings::of_function(script.body()[0].as_function_def_stmt().unwrap());
        assert_eq!(["a", "b", "c", "d"].map(|name| bindings.of(name).len()), [1; 4]);
    }
}
