//! What imported names stand for, as dotted paths: after `from os import path as p`, `p` is `os.path`.

use std::collections::HashMap;

use ruff_python_ast::{Expr, Stmt};

use crate::script::statements_of_scope;

/// Names of a module: imports and string constants.
#[derive(Default)]
pub struct Names {
    imported: HashMap<String, String>,
    constants: HashMap<String, Option<String>>,
}

impl Names {
    /// The names that `body` and its blocks bind, functions and classes apart.
    pub fn of(body: &[Stmt]) -> Names {
        let mut names = Names::default();
        for stmt in statements_of_scope(body) {
            names.import(stmt);
            names.assign(stmt);
        }
        names
    }

    /// Learns from `stmt` if it is an import.
    pub fn import(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.as_str();
                    if let Some(name) = &alias.asname {
                        self.imported.insert(name.to_string(), module.to_owned());
                    }
                }
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                let Some(module) = &import.module else { return };
                for alias in &import.names {
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.imported.insert(name.to_string(), format!("{module}.{}", alias.name));
                }
            }
            _ => {}
        }
    }

    fn assign(&mut self, stmt: &Stmt) {
        let (target, value) = match stmt {
            Stmt::Assign(assign) => match assign.targets.as_slice() {
                [target] => (target, Some(&*assign.value)),
                _ => return,
            },
            Stmt::AnnAssign(assign) => (&*assign.target, assign.value.as_deref()),
            Stmt::AugAssign(assign) => (&*assign.target, None),
            _ => return,
        };
        if let Expr::Name(name) = target {
            let text = value.and_then(|value| value.as_string_literal_expr()).map(|it| it.value.to_str().to_owned());
            // A second assignment makes it no constant.
            self.constants.entry(name.id.to_string()).and_modify(|constant| *constant = None).or_insert(text);
        }
    }

    /// The dotted path of a name that no variable has; itself where nothing was imported under it.
    pub fn resolve(&self, name: &str) -> String {
        self.imported.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// The text of a name that is assigned a string, once.
    pub fn constant(&self, name: &str) -> Option<&str> {
        self.constants.get(name)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    #[test]
    fn imports_and_constants() {
        let text = "import os\nimport os.path as p\nfrom os import getenv, path as q\nfrom . import own\n\
                    A = 'a'\nB: str = 'b'\nC = 'c'\nif A:\n    C = 'd'\nD = 'd'\nD += 'e'\nE = F = 'g'\n";
        let script = Script::parse(text).unwrap();
        let names = Names::of(script.body());
        for (name, path) in
            [("os", "os"), ("p", "os.path"), ("getenv", "os.getenv"), ("q", "os.path"), ("own", "own"), ("x", "x")]
        {
            assert_eq!(names.resolve(name), path);
        }
        assert_eq!(
            ["A", "B", "C", "D", "E"].map(|name| names.constant(name)),
            [Some("a"), Some("b"), None, None, None]
        );
    }
}
