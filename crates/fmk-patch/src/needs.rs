//! What the new statements need around them to mean what they should.

use ruff_python_ast::{Alias, Expr, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::script::{CLASS, Fmk, Script, expressions, is_decorated, is_dotted, named, statements_of_scope};

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

/// `import` is a module, or a name and its module before a dot: it must be what it is for functions that do not bind it.
pub fn check_import(fmk: &Fmk<'_>, import: &str) -> Result<(), Status> {
    let script = fmk.script;
    let (module, name) = import.rsplit_once('.').unwrap_or(("", import));
    let imports: Vec<TextSize> = script.body().iter().flat_map(|stmt| imports_of(stmt, module, name)).collect();
    let from = if module.is_empty() { String::new() } else { format!("from {module} ") };
    let bindings = Bindings::of_body(script.body());
    if let Some(&at) = bindings.of(name).iter().find(|at| imports.binary_search(at).is_err()) {
        let what = format_args!("`{name}` is bound by something other than `{from}import {name}` outside all blocks");
        return Err(script.conflict(at, what));
    }
    let Some(last) = imports.last() else {
        let what = format_args!("no `{from}import {name}` outside all blocks for class `{CLASS}`");
        return Err(script.conflict(fmk.class.name.start(), what));
    };
    let stars = statements_of_scope(script.body()).into_iter().filter_map(|stmt| stmt.as_import_from_stmt());
    let mut stars = stars.filter(|import| import.names.iter().any(|alias| alias.name.as_str() == "*"));
    match stars.find(|star| star.start() > *last) {
        Some(star) => {
            Err(script.conflict(star.start(), format_args!("`{name}` may be something else after the `import *`")))
        }
        None => Ok(()),
    }
}

/// Where `stmt` makes `name` what it is in `module`, or the module of that name.
fn imports_of(stmt: &Stmt, module: &str, name: &str) -> Vec<TextSize> {
    let (from, aliases) = match stmt {
        Stmt::Import(it) => ("", &it.names),
        Stmt::ImportFrom(it) if it.level == 0 => (it.module.as_ref().map_or("", |it| it.as_str()), &it.names),
        _ => return Vec::new(),
    };
    let is_it = |alias: &&Alias| match &alias.asname {
        Some(other) => other.as_str() == name && alias.name.as_str() == name,
        // `import os.path` binds `os`.
        None => alias.name.split('.').next() == Some(name),
    };
    aliases.iter().filter(|_| from == module).filter(is_it).map(Ranged::start).collect()
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

/// `self.name` must be something that the class sets, be it a field or a property.
pub fn check_attribute(script: &Script<'_>, fmk: &Fmk<'_>, name: &str) -> Result<(), Status> {
    let plain = fmk.methods().find(|method| method.name.as_str() == name && method.decorator_list.is_empty());
    if let Some(method) = plain {
        return Err(script.conflict(method.name.start(), format_args!("`{CLASS}.{name}` is a method")));
    }
    let is_field = !Bindings::of_body(&fmk.class.body).of(name).is_empty();
    if is_field || expressions(&fmk.class.body).into_iter().any(|expr| is_set(expr, name)) {
        return Ok(());
    }
    Err(script.conflict(fmk.class.name.start(), format_args!("`self.{name}` is never set in class `{CLASS}`")))
}

/// Whether `self.name` is certainly text: all that is assigned to it is. What methods of others return is, too, where the
/// environment gets it as it is, `in_environment`: no process would start with anything else.
pub fn is_text(fmk: &Fmk<'_>, name: &str, in_environment: bool) -> bool {
    let everywhere = expressions(&fmk.class.body);
    // Annotated as it may be, or turned into text on the way.
    let is_doubtful = everywhere.iter().any(|expr| expr.is_dict_comp_expr())
        || !named(&everywhere, "items").is_empty()
        || !Bindings::of_body(&fmk.class.body).of(name).is_empty();
    let in_environment = in_environment && !is_doubtful;
    let is_text = |value: &Expr| match value {
        Expr::StringLiteral(_) | Expr::FString(_) => true,
        Expr::Call(call) => is_dotted(&call.func, "str") || (in_environment && call.func.is_attribute_expr()),
        value => in_environment && value.is_attribute_expr(),
    };
    let assigned = fmk.methods().flat_map(|method| statements_of_scope(&method.body)).filter_map(Stmt::as_assign_stmt);
    let texts = assigned.filter(|it| is_text(&it.value) && it.targets.iter().any(|target| is_set(target, name)));
    let count = everywhere.into_iter().filter(|expr| is_set(expr, name)).count();
    count > 0 && texts.count() == count
}

fn is_set(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Attribute(it) if it.attr.as_str() == name && it.ctx.is_store())
}
