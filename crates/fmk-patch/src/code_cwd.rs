//! Edit *code-cwd*: every `with self.switch_directory(…)` of `FMK.run` goes to the folder of the user's code.

use std::collections::HashSet;

use file_edit::Splice;
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextSize};

use crate::bindings::Bindings;
use crate::edit::{Status, Verdict};
use crate::needs;
use crate::script::{
    CLASS, Fmk, Script, expressions, expressions_in, expressions_within, is_dotted, named, statements_of_scope,
};
use crate::starts::{self, SWITCH, is_code_cwd};

const METHOD: &str = "run";

/// Appendix B of the manual, word for word.
const ARGUMENT: &str = r#"os.getenv("MODEL_TASK_CWD", os.getcwd())"#;

/// Judges the edit on `script`.
pub fn judge(script: &Script<'_>, fmk: &Fmk<'_>) -> Result<Verdict, Status> {
    let method = fmk.method(METHOD)?;
    let uses = named(&expressions(&method.body), SWITCH);
    if uses.is_empty() {
        return without_switch(script, fmk);
    }
    let instance = fmk.instance_in(method)?;
    needs::check_bindings(script, method, &Bindings::of_function(method), &[(instance, 1), ("os", 0)])?;
    let switches = format!("{instance}.{SWITCH}");
    let (mut calls, mut held) = (Vec::new(), HashSet::new());
    for with in statements_of_scope(&method.body).into_iter().filter_map(|stmt| stmt.as_with_stmt()) {
        let items = with.items.iter().enumerate();
        let items = items.filter_map(|(at, item)| Some((at, item.context_expr.as_call_expr()?)));
        let items: Vec<(usize, &ExprCall)> = items.filter(|(_, call)| is_dotted(&call.func, &switches)).collect();
        // All that an outer one holds is known already.
        if let Some((at, _)) = items.first().filter(|(_, call)| !held.contains(&call.range())) {
            held.extend(expressions_within(&with.items[at + 1..], &with.body).into_iter().map(Ranged::range));
        }
        calls.extend(items.into_iter().map(|(_, call)| call));
    }
    let known: HashSet<TextSize> = calls.iter().map(|call| call.func.start()).collect();
    if let Some(stray) = uses.iter().find(|at| !known.contains(at)) {
        let what =
            format_args!("`{SWITCH}` is used other than in a `with {instance}.{SWITCH}(…)` of `{CLASS}.{METHOD}`");
        return Err(script.conflict(*stray, what));
    }
    let mut present = Vec::new();
    let mut lines = Vec::new();
    let mut splices = Vec::new();
    for call in &calls {
        let line = script.line(call.start());
        let argument = only_argument(script, call)?;
        if is_code_cwd(argument) {
            present.push(line);
        } else {
            splices.push(Splice { range: argument.range().to_std_range(), text: ARGUMENT.into() });
            lines.push(line);
        }
    }
    starts::check(fmk, method, &held, calls[0].start())?;
    if splices.is_empty() {
        return Ok(Status::AlreadyApplied { lines: present }.into());
    }
    needs::check_import(fmk, "os")?;
    Ok(Verdict { status: Status::Applied { lines }, splices })
}

/// The argument that is to be replaced, of which nothing else may be needed.
fn only_argument<'a>(script: &Script<'_>, call: &'a ExprCall) -> Result<&'a Expr, Status> {
    let argument = match (&*call.arguments.args, &*call.arguments.keywords) {
        ([argument], []) if !argument.is_starred_expr() => argument,
        ([], [keyword]) if keyword.arg.is_some() => &keyword.value,
        _ => return Err(script.conflict(call.start(), format_args!("`{SWITCH}` has not just one argument"))),
    };
    // An assignment would be lost with it, and the brackets of a generator are the call's.
    let does_more = |expr: &Expr| {
        matches!(expr, Expr::Named(_) | Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Generator(_))
    };
    if expressions_in(argument).into_iter().any(does_more) {
        let what = format_args!("the argument of `{SWITCH}` does more than name a folder");
        return Err(script.conflict(call.start(), what));
    }
    Ok(argument)
}

/// The status of a script whose `FMK.run` switches to no folder.
fn without_switch(script: &Script<'_>, fmk: &Fmk<'_>) -> Result<Verdict, Status> {
    let everywhere = expressions(script.body());
    if let Some(at) = named(&everywhere, SWITCH).first() {
        return Err(script.conflict(*at, format_args!("`{SWITCH}` is used outside `{CLASS}.{METHOD}`")));
    }
    let method = fmk.method(METHOD)?;
    let in_class = expressions(&fmk.class.body);
    let exprs = if named(&in_class, "Popen").is_empty() { everywhere } else { in_class };
    let Some(at) = named(&exprs, "Popen").first().copied() else {
        let what = format_args!("no `with self.{SWITCH}(…)` in `{CLASS}.{METHOD}`");
        return Err(script.not_found(method.name.start(), what));
    };
    let starts = starts::starts(&exprs);
    starts::check_imports(fmk, &starts)?;
    starts::check_options(fmk, method, &starts)?;
    starts::check_folder(fmk)?;
    let reason = format!("no `{SWITCH}` around Popen at line {}", script.line(at));
    Ok(Status::NotApplicable { reason }.into())
}
