//! Edit *log-path*: before the `return` of `FMK.gen_env_for_fmk`, name the folder of the process logs and create it.

use file_edit::Splice;
use ruff_python_ast::{Expr, StmtFunctionDef, StmtReturn};
use ruff_text_size::Ranged;

use crate::bindings::Bindings;
use crate::block::{self, Body, KEY};
use crate::edit::{Status, Verdict};
use crate::lines::{ending_before, ending_of_line, start_of_line};
use crate::needs;
use crate::script::{CLASS, Fmk, Script, expressions, statements_of_scope};

const METHOD: &str = "gen_env_for_fmk";

/// The variables that the new statements assign.
const VARIABLES: [&str; 2] = ["log_dir", "process_log_path"];

/// Appendix B of the manual, word for word but for the names of the instance and of the environment where its words are
/// right: they add the rank's id to text, and leave an environment that is not a copy without a variable that is preset.
fn statements(fmk: &Fmk<'_>, instance: &str, body: &Body<'_>) -> [String; 4] {
    let environment = body.environment;
    let text = |name: &str| match needs::is_text(fmk, name, body.is_in_environment(name)) {
        true => format!("{instance}.{name}"),
        false => format!("str({instance}.{name})"),
    };
    let (job, rank) = (text("job_id"), text("rank_id"));
    [
        "log_dir = FMK.get_log_dir()".to_owned(),
        format!("process_log_path = os.path.join(log_dir, {job}, 'ascend', 'process_log', 'rank_' + {rank})"),
        match body.is_copy() == Some(true) {
            true => format!("FMK.set_env_if_not_exist({environment}, '{KEY}', process_log_path)"),
            false => format!("{environment}['{KEY}'] = os.environ.get('{KEY}', process_log_path)"),
        },
        format!("os.makedirs({environment}['{KEY}'], exist_ok=True)"),
    ]
}

/// Judges the edit on `script`.
pub fn judge<'a>(script: &'a Script<'a>, fmk: &Fmk<'a>) -> Result<Verdict, Status> {
    let method = fmk.method(METHOD)?;
    let (stmt, environment) = find_return(script, method)?;
    let instance = fmk.instance_in(method)?;
    let body = Body::new(script, method, environment)?;
    match &block::mentions(script)[..] {
        [] => {}
        [mention] => {
            let lines = block::judge(script, fmk, body, *mention)?;
            return Ok(Status::AlreadyApplied { lines }.into());
        }
        several => return Err(script.ambiguous(several.iter().copied(), format_args!("{KEY} is named"))),
    }
    check_variables(script, method)?;
    needs::check_static_method(script, fmk, "get_log_dir", 0)?;
    needs::check_static_method(script, fmk, "set_env_if_not_exist", 3)?;
    needs::check_attribute(script, fmk, "job_id")?;
    needs::check_attribute(script, fmk, "rank_id")?;
    needs::check_import(fmk, "os")?;
    let insertion = insertion(script, stmt, &statements(fmk, instance, &body))?;
    let lines = vec![script.line(stmt.start())];
    Ok(Verdict { status: Status::Applied { lines }, splices: vec![insertion] })
}

/// The only `return` of `method` itself, its last statement, and the variable that it returns.
fn find_return<'a>(script: &Script<'_>, method: &'a StmtFunctionDef) -> Result<(&'a StmtReturn, &'a str), Status> {
    let returns = statements_of_scope(&method.body).into_iter().filter_map(|stmt| stmt.as_return_stmt());
    let returns: Vec<&StmtReturn> = returns.collect();
    let stmt = match returns[..] {
        [] => return Err(script.not_found(method.name.start(), format_args!("no `return` in `{CLASS}.{METHOD}`"))),
        [stmt] => stmt,
        _ => {
            let places = returns.iter().map(|stmt| stmt.start());
            return Err(script.ambiguous(places, format_args!("`{CLASS}.{METHOD}` returns")));
        }
    };
    let conflict = |what: &str| script.conflict(stmt.start(), format_args!("`{CLASS}.{METHOD}` {what}"));
    if method.body.last().is_none_or(|last| last.range() != stmt.range()) {
        return Err(conflict("returns in a block, or before its end,"));
    }
    match stmt.value.as_deref() {
        Some(Expr::Name(name)) if !Bindings::of_function(method).of(&name.id).is_empty() => Ok((stmt, &name.id)),
        _ => Err(conflict("returns something other than a variable of its own")),
    }
}

/// The new statements must take no name from the old ones.
fn check_variables(script: &Script<'_>, method: &StmtFunctionDef) -> Result<(), Status> {
    let parameters = method.parameters.iter().map(|parameter| (parameter.name().as_str(), parameter.start()));
    let names = expressions(&method.body).into_iter().filter_map(|expr| expr.as_name_expr());
    let mut used = parameters.chain(names.map(|name| (name.id.as_str(), name.start())));
    match used.find(|(name, _)| VARIABLES.contains(name)) {
        Some((name, at)) => {
            Err(script.conflict(at, format_args!("`{CLASS}.{METHOD}` uses the name `{name}` for something else")))
        }
        None => Ok(()),
    }
}

fn insertion(script: &Script<'_>, stmt: &StmtReturn, statements: &[String]) -> Result<Splice, Status> {
    let text = script.text.as_bytes();
    let at = stmt.start().to_usize();
    let start = start_of_line(text, at);
    let indentation = &text[start..at];
    let begins_its_line = indentation.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\x0c'));
    if !begins_its_line || text[..start].trim_ascii_end().ends_with(b"\\") {
        return Err(script.conflict(stmt.start(), "another statement shares the line of the `return`"));
    }
    let ending = match ending_of_line(text, at) {
        b"" => ending_before(text, start),
        ending => ending,
    };
    let mut new = Vec::new();
    for statement in statements {
        new.extend_from_slice(indentation);
        new.extend_from_slice(statement.as_bytes());
        new.extend_from_slice(ending);
    }
    Ok(Splice::insert(start, new))
}
