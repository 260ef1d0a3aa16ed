//! Where the process of a rank is started, and whether it begins in the folder that its parent is in then.

use ruff_python_ast::{Expr, ExprCall, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::script::{Fmk, Script, expressions, is_dotted, named, statements_of_scope};

/// The calls among `exprs` that start a process, but for one that reads what another writes, as the `tee` of the logs.
pub fn starts<'a>(exprs: &[&'a Expr]) -> Vec<&'a ExprCall> {
    let reads_another = |call: &ExprCall| {
        let stdin = call.arguments.find_keyword("stdin");
        stdin.is_some_and(|it| matches!(&it.value, Expr::Attribute(it) if it.attr.as_str() == "stdout"))
    };
    let others = ["subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output"];
    let is_start = |func: &Expr| match func {
        Expr::Attribute(it) if it.attr.as_str() == "Popen" => true,
        func => is_dotted(func, "Popen") || others.iter().any(|name| is_dotted(func, name)),
    };
    let calls = exprs.iter().filter_map(|expr| expr.as_call_expr());
    calls.filter(|call| is_start(&call.func) && !reads_another(call)).collect()
}

/// No process of `starts` may go to a folder of its own, nor may the script go there: classes that start none of them are
/// none of our business. `run` is the method in which names of options are looked up.
pub fn check_folder(fmk: &Fmk<'_>, run: &StmtFunctionDef, starts: &[&ExprCall]) -> Result<(), Status> {
    let script = fmk.script;
    for call in starts {
        check_options(script, run, call)?;
    }
    let is_other = |range: &TextRange| {
        *range != fmk.class.range() && !starts.iter().any(|start| range.contains_range(start.range()))
    };
    let classes = script.body().iter().filter(|stmt| stmt.is_class_def_stmt()).map(Ranged::range).filter(is_other);
    let switches = fmk.methods().filter(|method| method.name.as_str() == "switch_directory").map(Ranged::range);
    let exempt: Vec<TextRange> = classes.chain(switches).collect();
    let everywhere = expressions(script.body());
    let mut changes = named(&everywhere, "chdir").into_iter().chain(named(&everywhere, "fchdir"));
    match changes.find(|at| !exempt.iter().any(|range| range.contains(*at))) {
        Some(at) => Err(script.conflict(at, "the folder is changed other than by `switch_directory`")),
        None => Ok(()),
    }
}

fn check_options(script: &Script<'_>, run: &StmtFunctionDef, call: &ExprCall) -> Result<(), Status> {
    let conflict = |at: &dyn Ranged, what: &str| Err(script.conflict(at.start(), what));
    // The tenth parameter is `cwd`.
    if call.arguments.args.len() > 9 || call.arguments.args.iter().any(Expr::is_starred_expr) {
        return conflict(call, "a process is started with arguments that may name a folder");
    }
    for keyword in &call.arguments.keywords {
        let options = match &keyword.arg {
            Some(name) => Some(vec![(name.as_str(), &keyword.value)]),
            None => options(run, &keyword.value),
        };
        let Some(options) = options else {
            return conflict(keyword, "a process is started with options that are not recognised");
        };
        let harmless = |value: &Expr| ["os.setsid", "os.setpgrp"].iter().any(|it| is_dotted(value, it));
        for (name, value) in options.into_iter().filter(|(_, value)| !value.is_none_literal_expr()) {
            match name {
                "cwd" => return conflict(value, "`cwd` gives the process another folder"),
                "preexec_fn" if !harmless(value) => return conflict(value, "`preexec_fn` may go to another folder"),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What `**value` stands for: a display, be it by a name to which `run` gives nothing else.
fn options<'a>(run: &'a StmtFunctionDef, value: &'a Expr) -> Option<Vec<(&'a str, &'a Expr)>> {
    let mut display = value;
    if let Expr::Name(name) = value {
        let is_it = |expr: &Expr| is_dotted(expr, &name.id);
        let changes = |expr: &&Expr| match expr {
            Expr::Subscript(it) => is_it(&it.value),
            Expr::Attribute(it) => is_it(&it.value),
            _ => false,
        };
        let is_plain =
            Bindings::of_function(run).of(&name.id).len() == 1 && !expressions(&run.body).iter().any(changes);
        let mut assigned = statements_of_scope(&run.body).into_iter().filter_map(|stmt| stmt.as_assign_stmt());
        display = &*assigned.find(|it| is_plain && it.targets.iter().any(is_it))?.value;
    }
    let items = display.as_dict_expr()?.items.iter();
    items.map(|item| Some((item.key.as_ref()?.as_string_literal_expr()?.value.to_str(), &item.value))).collect()
}
