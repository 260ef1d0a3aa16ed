//! What the new statements need around them to mean what they should.

use ruff_python_ast::{Alias, Expr, Stmt, StmtFunctionDef, StmtImport};
use ruff_text_size::{Ranged, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::script::{CLASS, Fmk, Script, expressions, is_decorated, is_dotted, statements_of_scope};

/// None of `names` may be bound more often in `function` than it says.
pub fn check_bindings(
    script: &Script<'_>,
    function: &StmtFunctionDef,
    bindings: &Bindings<'_>,
    names: &[(&str, usize)],
) -> Result<(), Status> {
    match names.iter().find_map(|(name, most)| Some((name, bindings.of(name).get(*most)?))) {
        Some((name, at)) => Err(script.conflict(*at, format_args!("`{CLASS}.{}` binds `{name}`", function.name))),
        None => Ok(()),
    }
}

/// `os` must be the module for functions that do not bind it.
pub fn check_os(script: &Script<'_>, fmk: &Fmk<'_>) -> Result<(), Status> {
    let imports = script.body().iter().filter_map(Stmt::as_import_stmt).flat_map(imports_of_os);
    let imports: Vec<TextSize> = imports.collect();
    let Some(last) = imports.last() else {
        let what = format_args!("no `import os` outside all blocks for class `{CLASS}`");
        return Err(script.conflict(fmk.class.name.start(), what));
    };
    let bindings = Bindings::of_module(script.body());
    if let Some(&at) = bindings.of("os").iter().find(|at| imports.binary_search(at).is_err()) {
        return Err(script.conflict(at, "`os` is not only the module: it is bound"));
    }
    let stars = statements_of_scope(script.body()).into_iter().filter_map(|stmt| stmt.as_import_from_stmt());
    let mut stars = stars.filter(|import| import.names.iter().any(|alias| alias.name.as_str() == "*"));
    match stars.find(|star| star.start() > *last) {
        Some(star) => Err(script.conflict(star.start(), "`os` may be something else after the `import *`")),
        None => Ok(()),
    }
}

/// Where `import` makes `os` the module of that name.
fn imports_of_os(import: &StmtImport) -> impl Iterator<Item = TextSize> {
    let is_os = |alias: &&Alias| match &alias.asname {
        Some(name) => name.as_str() == "os" && alias.name.as_str() == "os",
        None => alias.name.split('.').next() == Some("os"),
    };
    import.names.iter().filter(is_os).map(Ranged::start)
}

/// `FMK.name(…)` must be callable on the class with `count` arguments.
pub fn check_static_method(script: &Script<'_>, fmk: &Fmk<'_>, name: &str, count: usize) -> Result<(), Status> {
    let method = fmk.method(name)?;
    let parameters = &method.parameters;
    let is_plain = parameters.len() == count && parameters.posonlyargs.len() + parameters.args.len() == count;
    let others = method.decorator_list.len() - usize::from(is_decorated(method, "staticmethod"));
    if is_plain && others == 0 {
        return Ok(());
    }
    let what = format_args!("`{CLASS}.{name}` is not a static method with {count} parameters");
    Err(script.conflict(method.name.start(), what))
}

/// `self.name` must be something that the class assigns, and no number, as a path is made of it.
pub fn check_attribute(script: &Script<'_>, fmk: &Fmk<'_>, name: &str) -> Result<(), Status> {
    let is_it = |expr: &Expr| matches!(expr, Expr::Attribute(it) if it.attr.as_str() == name && it.ctx.is_store());
    if !expressions(&fmk.class.body).into_iter().any(is_it) {
        return Err(
            script.conflict(fmk.class.name.start(), format_args!("`self.{name}` is never set in class `{CLASS}`"))
        );
    }
    for stmt in fmk.methods().flat_map(|method| statements_of_scope(&method.body)) {
        let value = match stmt {
            Stmt::Assign(it) if it.targets.iter().any(is_it) => Some(&*it.value),
            Stmt::AnnAssign(it) if is_it(&it.target) => it.value.as_deref(),
            _ => None,
        };
        let is_int = |value: &Expr| matches!(value, Expr::Call(call) if is_dotted(&call.func, "int"));
        if let Some(value) = value.filter(|value| is_int(value) || value.is_number_literal_expr()) {
            return Err(script.conflict(value.start(), format_args!("`self.{name}` is not a string but a number")));
        }
    }
    Ok(())
}
