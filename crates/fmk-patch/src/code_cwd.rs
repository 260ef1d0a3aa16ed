//! Edit *code-cwd*: every `with self.switch_directory(…)` of `FMK.run` goes to the folder of the user's code.

use std::collections::HashSet;

use file_edit::Splice;
use ruff_python_ast::{Expr, ExprCall, StmtFunctionDef, StmtWith};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::bindings::Bindings;
use crate::edit::{Status, Verdict};
use crate::needs;
use crate::script::{
    CLASS, Fmk, Script, expressions, expressions_in, is_dotted, is_string, named, statements_of_scope,
};
use crate::starts::{self, Ranges};

const METHOD: &str = "run";
const SWITCH: &str = "switch_directory";

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
    let withs = statements_of_scope(&method.body).into_iter().filter_map(|stmt| stmt.as_with_stmt());
    let items = withs.flat_map(|with| with.items.iter().map(move |item| (with, item.context_expr.as_call_expr())));
    let is_switch = |call: &&ExprCall| is_dotted(&call.func, &format!("{instance}.{SWITCH}"));
    let switches: Vec<(&StmtWith, &ExprCall)> =
        items.filter_map(|(with, call)| Some((with, call.filter(is_switch)?))).collect();
    let known: HashSet<TextSize> = switches.iter().map(|(_, call)| call.func.start()).collect();
    if let Some(stray) = uses.iter().find(|at| !known.contains(at)) {
        let what =
            format_args!("`{SWITCH}` is used other than in a `with {instance}.{SWITCH}(…)` of `{CLASS}.{METHOD}`");
        return Err(script.conflict(*stray, what));
    }
    let mut present = Vec::new();
    let mut lines = Vec::new();
    let mut splices = Vec::new();
    for (_, call) in &switches {
        let line = script.line(call.start());
        let argument = only_argument(script, call)?;
        if is_code_cwd(argument) {
            present.push(line);
        } else {
            splices.push(Splice { range: argument.range().to_std_range(), text: ARGUMENT.into() });
            lines.push(line);
        }
    }
    check_starts(fmk, method, &switches)?;
    if splices.is_empty() {
        return Ok(Status::AlreadyApplied { lines: present }.into());
    }
    needs::check_os(script, fmk)?;
    Ok(Verdict { status: Status::Applied { lines }, splices })
}

/// What `FMK.run` starts must be started in one of its `with`, and stay in that folder.
fn check_starts(fmk: &Fmk<'_>, method: &StmtFunctionDef, switches: &[(&StmtWith, &ExprCall)]) -> Result<(), Status> {
    let conflict = |at: &ExprCall, what: &str| {
        Err(fmk.script.conflict(at.start(), format_args!("{what} the `with self.{SWITCH}(…)`")))
    };
    let exprs = expressions(&method.body);
    let starts = starts::starts(&exprs);
    // What runs later, when the `with` may have ended.
    let later = exprs.iter().filter(|it| it.is_lambda_expr() || it.is_generator_expr()).map(Ranged::range);
    let functions = statements_of_scope(&method.body).into_iter().filter(|it| it.is_function_def_stmt());
    let later = Ranges::new(later.chain(functions.map(Ranged::range)));
    let held = Ranges::new(switches.iter().map(|(with, switch)| TextRange::new(switch.end(), with.end())));
    let is_in = |start: &ExprCall| held.contain(start.range()) && !later.contain(start.range());
    if let Some(start) = starts.iter().find(|start| !is_in(start)) {
        return conflict(start, "a process is started outside");
    }
    if let ([], [(_, first), ..]) = (&starts[..], switches) {
        return conflict(first, "nothing recognised starts a process in");
    }
    starts::check_folder(fmk, method, &starts)
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

/// Whether `expr` is [`ARGUMENT`], by its functions and constants.
fn is_code_cwd(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let reads = is_dotted(&call.func, "os.getenv") || is_dotted(&call.func, "os.environ.get");
    let is_cwd =
        |expr: &Expr| matches!(expr, Expr::Call(it) if is_dotted(&it.func, "os.getcwd") && it.arguments.is_empty());
    match (&*call.arguments.args, &*call.arguments.keywords) {
        ([key, default], []) => reads && is_string(key, "MODEL_TASK_CWD") && is_cwd(default),
        _ => false,
    }
}

/// The status of a script whose `FMK.run` switches to no folder.
fn without_switch(script: &Script<'_>, fmk: &Fmk<'_>) -> Result<Verdict, Status> {
    let everywhere = expressions(script.body());
    if let Some(at) = named(&everywhere, SWITCH).first() {
        return Err(script.conflict(*at, format_args!("`{SWITCH}` is used outside `{CLASS}.{METHOD}`")));
    }
    let in_class = expressions(&fmk.class.body);
    let method = fmk.method(METHOD)?;
    let exprs = if named(&in_class, "Popen").is_empty() { everywhere } else { in_class };
    let Some(at) = named(&exprs, "Popen").first().copied() else {
        let what = format_args!("no `with self.{SWITCH}(…)` in `{CLASS}.{METHOD}`");
        return Err(script.not_found(method.name.start(), what));
    };
    starts::check_folder(fmk, method, &starts::starts(&exprs))?;
    let reason = format!("no `{SWITCH}` around Popen at line {}", script.line(at));
    Ok(Status::NotApplicable { reason }.into())
}
