//! Who binds a name in one scope: the scoping rules of Python for the few names that the edits use.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt, StmtFunctionDef, StmtImport,
    StmtImportFrom,
};
use ruff_text_size::{Ranged, TextSize};

/// What a binding makes of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// `import name`, `import name.part` or `import name as name`: the module of that name.
    Module,
    /// Perhaps anything: `from x import *`.
    Star,
    /// Something else.
    Other,
}

/// One binding of a name.
#[derive(Debug, Clone, Copy)]
pub struct Binding {
    /// What the name is afterwards.
    pub made: Made,
    /// Where.
    pub at: TextSize,
    /// Whether it is a statement of the scope itself and not of a block in it, which may not run.
    pub sure: bool,
}

/// All that a scope does to one name, in the order of the text.
#[derive(Debug, Default)]
pub struct Uses {
    /// Its bindings.
    pub bindings: Vec<Binding>,
    /// Whether the scope declares it `global` or `nonlocal`, so that the bindings are another scope's.
    pub declared_elsewhere: bool,
}

/// What the statements `body` of a module do to `name`; nested functions that declare it `global` count.
pub fn of_module(body: &[Stmt], name: &str) -> Uses {
    let mut uses = of_body(body, name);
    let mut globals = Globals { name, bindings: Vec::new() };
    globals.visit_body(body);
    uses.bindings.append(&mut globals.bindings);
    uses
}

/// What `function` does to `name` in its own scope, parameters included.
pub fn of_function(function: &StmtFunctionDef, name: &str) -> Uses {
    let mut uses = of_body(&function.body, name);
    if has_parameter(&function.parameters, name) {
        uses.bindings.insert(0, Binding { made: Made::Other, at: function.parameters.start(), sure: true });
    }
    uses
}

/// Whether `name` is one of `parameters`.
pub fn has_parameter(parameters: &Parameters, name: &str) -> bool {
    parameters.iter().any(|parameter| parameter.name().as_str() == name)
}

fn of_body(body: &[Stmt], name: &str) -> Uses {
    let mut collector = Collector { name, uses: Uses::default(), depth: 0 };
    collector.visit_body(body);
    collector.uses
}

struct Collector<'n> {
    name: &'n str,
    uses: Uses,
    depth: usize,
}

impl Collector<'_> {
    fn bind(&mut self, made: Made, node: &impl Ranged) {
        // Statements of the body itself are visited at depth 1.
        self.uses.bindings.push(Binding { made, at: node.start(), sure: self.depth <= 1 });
    }

    fn import(&mut self, import: &StmtImport) {
        for alias in &import.names {
            let module = alias.name.as_str();
            match &alias.asname {
                Some(name) if name.as_str() == self.name => {
                    self.bind(if module == self.name { Made::Module } else { Made::Other }, import);
                }
                None if module.split('.').next() == Some(self.name) => self.bind(Made::Module, import),
                _ => {}
            }
        }
    }

    fn import_from(&mut self, import: &StmtImportFrom) {
        for alias in &import.names {
            match alias.asname.as_ref().unwrap_or(&alias.name).as_str() {
                "*" => self.bind(Made::Star, import),
                name if name == self.name => self.bind(Made::Other, import),
                _ => {}
            }
        }
    }
}

impl<'a> Visitor<'a> for Collector<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.depth += 1;
        match stmt {
            Stmt::FunctionDef(function) => {
                if function.name.as_str() == self.name {
                    self.bind(Made::Other, function);
                }
                // Decorators and defaults are evaluated in this scope; the body is another.
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                self.visit_parameters(&function.parameters);
            }
            Stmt::ClassDef(class) => {
                if class.name.as_str() == self.name {
                    self.bind(Made::Other, class);
                }
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                class.arguments.iter().for_each(|arguments| self.visit_arguments(arguments));
            }
            Stmt::Import(import) => self.import(import),
            Stmt::ImportFrom(import) => self.import_from(import),
            Stmt::Global(global) => {
                self.uses.declared_elsewhere |= global.names.iter().any(|it| it.as_str() == self.name)
            }
            Stmt::Nonlocal(outer) => {
                self.uses.declared_elsewhere |= outer.names.iter().any(|it| it.as_str() == self.name)
            }
            _ => visitor::walk_stmt(self, stmt),
        }
        self.depth -= 1;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(it) if it.id == self.name && matches!(it.ctx, ExprContext::Store | ExprContext::Del) => {
                self.bind(Made::Other, it);
            }
            // Its parameters and assignments are its own.
            Expr::Lambda(lambda) => lambda.parameters.iter().for_each(|parameters| self.visit_parameters(parameters)),
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_comprehension(&mut self, comprehension: &'a Comprehension) {
        // Its target is its own; only `:=` binds in this scope.
        self.visit_expr(&comprehension.iter);
        comprehension.ifs.iter().for_each(|condition| self.visit_expr(condition));
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        // It is a block like any other, only not a statement.
        self.depth += 1;
        if inner.name.as_ref().is_some_and(|name| name.as_str() == self.name) {
            self.bind(Made::Other, inner);
        }
        visitor::walk_except_handler(self, handler);
        self.depth -= 1;
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let captured = match pattern {
            Pattern::MatchAs(it) => it.name.as_ref(),
            Pattern::MatchStar(it) => it.name.as_ref(),
            Pattern::MatchMapping(it) => it.rest.as_ref(),
            _ => None,
        };
        if captured.is_some_and(|name| name.as_str() == self.name) {
            self.bind(Made::Other, pattern);
        }
        visitor::walk_pattern(self, pattern);
    }
}

/// Bindings of a module's name from within functions.
struct Globals<'n> {
    name: &'n str,
    bindings: Vec<Binding>,
}

impl<'a> Visitor<'a> for Globals<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::FunctionDef(function) = stmt {
            let uses = of_function(function, self.name);
            if uses.declared_elsewhere {
                self.bindings.extend(uses.bindings.into_iter().map(|binding| Binding { sure: false, ..binding }));
            }
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, _: &'a Expr) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    /// The bindings of `os` in `body`, the body of `def f(a)`: M, S or O by what they make of it, in lower case where they
    /// are not sure; and `!` where the name is another scope's.
    fn bindings(body: &str) -> String {
        let text: String = body.lines().map(|line| format!(" {line}\n")).collect();
        let text = format!("def f(a):\n{text}");
        let script = Script::parse(&text).unwrap();
        let uses = of_function(script.body()[0].as_function_def_stmt().unwrap(), "os");
        let letter = |binding: &Binding| match (binding.made, binding.sure) {
            (Made::Module, true) => 'M',
            (Made::Module, false) => 'm',
            (Made::Star, _) => 'S',
            (Made::Other, true) => 'O',
            (Made::Other, false) => 'o',
        };
        let elsewhere = if uses.declared_elsewhere { "!" } else { "" };
        uses.bindings.iter().map(letter).collect::<String>() + elsewhere
    }

    #[test]
    fn every_way_to_bind_a_name() {
        for (body, expected) in [
            ("import os", "M"),
            ("import os.path", "M"),
            ("import os as os", "M"),
            ("import os as o, sys as os", "O"),
            ("import os.path as os", "O"),
            ("from os import path", ""),
            ("from x import os", "O"),
            ("from x import *", "S"),
            ("os = 1", "O"),
            ("a, (*os, b) = c", "O"),
            ("os += 1", "O"),
            ("os: int", "O"),
            ("del os", "O"),
            ("os.x = os[1] = 2", ""),
            ("for os in a: pass", "O"),
            ("if a:\n import os\nelse:\n os = 1", "mo"),
            ("try: import os\nexcept E as os: pass", "mo"),
            ("with a as os: pass", "O"),
            ("print(os := 1)", "O"),
            ("[os for os in a]", ""),
            ("[x for x in a if (os := x)]", "O"),
            ("lambda os: os", ""),
            ("lambda x=(os := 1): x", "O"),
            ("def os(): pass", "O"),
            ("class os: pass", "O"),
            ("def g(os): os = 1", ""),
            ("def g(x=(os := 1)): pass", "O"),
            ("class A:\n os = 1", ""),
            ("match a:\n case [os]: pass", "O"),
            ("match a:\n case {**os}: pass", "O"),
            ("match a:\n case [*os]: pass", "O"),
            ("global os\nimport os", "M!"),
            ("def g():\n nonlocal a", ""),
        ] {
            assert_eq!(bindings(body), expected, "{body}");
        }
    }

    #[test]
    fn globals_of_functions_are_bindings_of_the_module() {
        let text = "import os\ndef f():\n def g():\n  global os\n  os = 1\nclass A:\n def h(self):\n  os = 2\n";
        let script = Script::parse(text).unwrap();
        let bindings = of_module(script.body(), "os").bindings;
        assert_eq!(
            bindings.iter().map(|it| (it.made, it.sure)).collect::<Vec<_>>(),
            [(Made::Module, true), (Made::Other, false)]
        );
    }
}
