//! Whether `os` is the module `os` where an edit wants to use it, and the import that makes it so.

use file_edit::Splice;
use ruff_python_ast::{Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use crate::lines::{ending_of_line, line_at};
use crate::scope::{self, Binding, Made};
use crate::script::{Fmk, Script};

/// What `os` is at some place.
#[derive(Debug, PartialEq, Eq)]
pub enum Os {
    /// The module.
    Module,
    /// Not surely the module, but it is after this import.
    Missing(Splice),
    /// Something else, for this reason.
    Taken(String),
}

/// Judges `os` at `at`, inside `functions` of class `fmk`, outermost first.
pub fn judge(script: &Script<'_>, fmk: &Fmk<'_>, functions: &[&StmtFunctionDef], at: TextSize) -> Os {
    let line = |binding: &Binding| line_at(script.text.as_bytes(), binding.at.to_usize());
    for function in functions.iter().rev() {
        let uses = scope::of_function(function, "os");
        if uses.declared_elsewhere {
            break;
        }
        if let Some(other) = uses.bindings.iter().find(|binding| binding.made != Made::Module) {
            return Os::Taken(format!("`os` is not the module in `{}`: see line {}", function.name, line(other)));
        }
        if uses.bindings.iter().any(|binding| binding.sure && binding.at < at) {
            return Os::Module;
        }
        if let Some(late) = uses.bindings.first() {
            return Os::Taken(format!(
                "`os` may not be imported yet: `{}` does so at line {}",
                function.name,
                line(late)
            ));
        }
    }
    judge_module(script, fmk, line)
}

fn judge_module(script: &Script<'_>, fmk: &Fmk<'_>, line: impl Fn(&Binding) -> usize) -> Os {
    let bindings = scope::of_module(script.body(), "os").bindings;
    if let Some(other) = bindings.iter().find(|binding| binding.made == Made::Other) {
        return Os::Taken(format!("`os` is not only the module: see line {}", line(other)));
    }
    let class = fmk.class.start();
    let last_star = bindings.iter().filter(|binding| binding.made == Made::Star).map(|binding| binding.at).max();
    let last_sure = bindings.iter().filter(|it| it.made == Made::Module && it.sure).map(|binding| binding.at).max();
    match (last_sure, last_star) {
        (Some(_), None) => Os::Module,
        (Some(sure), Some(star)) if star < sure => Os::Module,
        (_, Some(star)) if star > class => {
            let line = line_at(script.text.as_bytes(), star.to_usize());
            Os::Taken(format!("`os` may be something else after the `import *` at line {line}"))
        }
        _ => Os::Missing(import(script, class)),
    }
}

/// `import os` behind the last top-level import before `class`, else behind the docstring, else first of all.
fn import(script: &Script<'_>, class: TextSize) -> Splice {
    let before_class = || script.body().iter().take_while(|stmt| stmt.start() < class);
    let docstring = || before_class().next().filter(|first| is_string(first));
    let imports = before_class().filter(|stmt| matches!(stmt, Stmt::Import(_) | Stmt::ImportFrom(_)));
    let text = script.text.as_bytes();
    match imports.last().or_else(docstring) {
        Some(stmt) => {
            let ending = ending_of_line(text, stmt.end().to_usize());
            Splice::insert(script.end_of_logical_line(stmt.end()), [&b"import os"[..], newline_or(ending)].concat())
        }
        None => {
            let first = script.body().first().map_or(text.len(), |stmt| stmt.start().to_usize());
            Splice::insert(first, [&b"import os"[..], newline_or(ending_of_line(text, first))].concat())
        }
    }
}

fn newline_or(ending: &[u8]) -> &[u8] {
    if ending.is_empty() { b"\n" } else { ending }
}

fn is_string(stmt: &Stmt) -> bool {
    matches!(stmt, Stmt::Expr(expr) if expr.value.is_string_literal_expr())
}
