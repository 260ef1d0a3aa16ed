//! What the new statements need the class to have.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ExprContext, Stmt, StmtClassDef, StmtFunctionDef};

use crate::edit::Status;
use crate::outcome::conflict;
use crate::script::{CLASS, Fmk, Kind, Script, kind_of, statements_of_scope};

/// `FMK.name(…)` must be callable on the class with `count` arguments.
pub fn check_helper(script: &Script<'_>, fmk: &Fmk<'_>, name: &str, count: usize) -> Result<(), Status> {
    let Some(helper) = find_method(script, fmk.class, name) else {
        return Err(conflict(format!("class `{CLASS}` has no method `{name}`")));
    };
    let bound = usize::from(kind_of(helper) == Kind::Class);
    let parameters = &helper.parameters;
    let required = parameters.posonlyargs.iter().chain(&parameters.args).filter(|it| it.default.is_none()).count();
    let most = parameters.posonlyargs.len() + parameters.args.len();
    let fits = required <= count + bound
        && (count + bound <= most || parameters.vararg.is_some())
        && parameters.kwonlyargs.iter().all(|it| it.default.is_some());
    if !fits {
        let line = script.line(&helper.name);
        let arguments = if count == 1 { "argument" } else { "arguments" };
        return Err(conflict(format!(
            "`{CLASS}.{name}` at line {line} can't be called on the class with {count} {arguments}"
        )));
    }
    Ok(())
}

/// Most classes that a method is looked for in; each takes a walk through the script.
const MAX_CLASSES: usize = 32;

/// The method of `class`, or of its bases as far as the script has them; each class is looked at once.
fn find_method<'a>(script: &'a Script<'_>, class: &'a StmtClassDef, name: &str) -> Option<&'a StmtFunctionDef> {
    let mut classes = vec![class];
    let mut next = 0;
    while let Some(class) = classes.get(next).copied().filter(|_| next < MAX_CLASSES) {
        let own = statements_of_scope(&class.body).into_iter().filter_map(|stmt| stmt.as_function_def_stmt());
        // Of several the last counts.
        if let Some(method) = own.filter(|method| method.name.as_str() == name).last() {
            return Some(method);
        }
        let bases = class.arguments.iter().flat_map(|arguments| &arguments.args).filter_map(|base| base.as_name_expr());
        for base in bases {
            let defined = script.body().iter().filter_map(|stmt| stmt.as_class_def_stmt());
            let defined = defined.filter(|it| it.name.as_str() == base.id.as_str()).last();
            classes.extend(defined.filter(|it| classes.iter().all(|known| known.range != it.range)));
        }
        next += 1;
    }
    None
}

/// `self.name` must be something that the class sets, unless a base class of another file may; and no number, as a path
/// is made of it.
pub fn check_attribute(script: &Script<'_>, fmk: &Fmk<'_>, name: &str) -> Result<(), Status> {
    let mut assigned = Assigned { name, found: false, number: None };
    assigned.visit_body(&fmk.class.body);
    if let Some(number) = assigned.number {
        return Err(conflict(format!("`self.{name}` is no string but a number at line {}", script.line(number))));
    }
    let in_class = statements_of_scope(&fmk.class.body)
        .into_iter()
        .any(|stmt| matches!(stmt, Stmt::FunctionDef(it) if it.name.as_str() == name));
    let inherited = fmk.class.arguments.as_ref().is_some_and(|arguments| {
        arguments.args.iter().any(|base| !matches!(base, Expr::Name(it) if it.id.as_str() == "object"))
    });
    if assigned.found || in_class || inherited {
        return Ok(());
    }
    Err(conflict(format!("class `{CLASS}` never sets `self.{name}`")))
}

struct Assigned<'a, 'n> {
    name: &'n str,
    found: bool,
    /// Where a number is assigned.
    number: Option<&'a Stmt>,
}

impl<'a> Visitor<'a> for Assigned<'a, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let value = match stmt {
            Stmt::Assign(it) if it.targets.iter().any(|target| self.is_it(target)) => Some(&*it.value),
            Stmt::AnnAssign(it) if self.is_it(&it.target) => it.value.as_deref(),
            _ => None,
        };
        let is_int = |expr: &Expr| expr.as_name_expr().is_some_and(|it| it.id == "int");
        let is_number = match value {
            Some(Expr::Call(call)) => is_int(&call.func),
            Some(value) => value.is_number_literal_expr(),
            None => false,
        };
        if is_number {
            self.number.get_or_insert(stmt);
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.found |= self.is_it(expr);
        visitor::walk_expr(self, expr);
    }
}

impl Assigned<'_, '_> {
    fn is_it(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Attribute(it) => it.ctx == ExprContext::Store && it.attr.as_str() == self.name,
            Expr::Name(it) => it.ctx == ExprContext::Store && it.id == self.name,
            _ => false,
        }
    }
}
