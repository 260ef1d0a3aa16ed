//! Where the process of a rank is started, and whether it begins in the folder that its parent is in then.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{DictItem, Expr, ExprCall, Stmt, StmtFunctionDef, WithItem};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::script::{Fmk, expressions, expressions_in, is_dotted, is_string, named, self_of, statements_of_scope};

/// The method that changes the folder for the length of a `with`.
pub const SWITCH: &str = "switch_directory";

/// The calls among `exprs` that start the process of a rank.
pub fn starts<'a>(exprs: &[&'a Expr]) -> Vec<&'a ExprCall> {
    exprs.iter().filter_map(|expr| expr.as_call_expr()).filter(|call| is_start(call)).collect()
}

fn is_start(call: &ExprCall) -> bool {
    if is_dotted(&call.func, "Popen") || matches!(&*call.func, Expr::Attribute(it) if it.attr.as_str() == "Popen") {
        // One that reads what another writes is the `tee` of the logs.
        let stdin = call.arguments.find_keyword("stdin");
        return !stdin.is_some_and(|it| matches!(&it.value, Expr::Attribute(it) if it.attr.as_str() == "stdout"));
    }
    // What is waited for is a rank only where it is not spelled out, as in `call(['mkdir', folder])`.
    let is_spelled = |command: &Expr| command.is_list_expr() || command.is_string_literal_expr();
    ["run", "call", "check_call", "check_output"]
        .iter()
        .any(|name| is_dotted(&call.func, &format!("subprocess.{name}")))
        && !call.arguments.args.first().is_some_and(is_spelled)
}

/// What `run` starts, by itself or by another method of the class, must be started in a `with` that switches, the first of
/// which is at `first`, and stay in that folder.
pub fn check(fmk: &Fmk<'_>, run: &StmtFunctionDef, instance: &str, first: TextSize) -> Result<(), Status> {
    let conflict = |at, what: &str| Err(fmk.script.conflict(at, format_args!("{what} the `with self.{SWITCH}(…)`")));
    let mut calls = Calls::default();
    calls.visit_body(&run.body);
    let others = fmk.methods().filter(|method| method.name != run.name).map(|method| {
        let exprs = expressions(&method.body);
        // One that switches itself may do so for its process.
        let starts = if named(&exprs, SWITCH).is_empty() { starts(&exprs) } else { Vec::new() };
        (method.name.as_str(), (method, starts))
    });
    let mut others: HashMap<_, _> = others.filter(|(_, (_, starts))| !starts.is_empty()).collect();
    let (mut starts, mut by_others) = (Vec::new(), Vec::new());
    for (call, is_held) in calls.found {
        let own = call.func.as_attribute_expr().filter(|func| is_dotted(&func.value, instance));
        match own.and_then(|func| others.get_mut(func.attr.as_str())) {
            Some((method, inner)) => {
                check_options(fmk, method, inner)?;
                by_others.append(inner);
            }
            None if is_start(call) => starts.push(call),
            None => continue,
        }
        if !is_held {
            return conflict(call.start(), "a process is started outside");
        }
    }
    check_options(fmk, run, &starts)?;
    starts.append(&mut by_others);
    if starts.is_empty() {
        return conflict(first, "nothing recognised starts a process in");
    }
    starts.sort_by_key(|start| start.start());
    check_folder(fmk, &starts)
}

/// The calls of a method, each with whether it is surely made in a `with` that switches.
#[derive(Default)]
struct Calls<'a> {
    is_held: bool,
    found: Vec<(&'a ExprCall, bool)>,
}

impl<'a> Visitor<'a> for Calls<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let is_held = self.is_held;
        // What is defined here runs later, when the `with` may have ended.
        self.is_held &= !(stmt.is_function_def_stmt() || stmt.is_class_def_stmt());
        visitor::walk_stmt(self, stmt);
        self.is_held = is_held;
    }

    fn visit_with_item(&mut self, item: &'a WithItem) {
        visitor::walk_with_item(self, item);
        let func = item.context_expr.as_call_expr().and_then(|call| call.func.as_attribute_expr());
        self.is_held |= func.is_some_and(|func| func.attr.as_str() == SWITCH);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let is_held = self.is_held;
        self.found.extend(expr.as_call_expr().map(|call| (call, is_held)));
        self.is_held &= !(expr.is_lambda_expr() || expr.is_generator_expr());
        visitor::walk_expr(self, expr);
        self.is_held = is_held;
    }
}

/// The script may not change the folder other than by `switch_directory`. Other classes that have none of `starts`, which
/// are in order, are none of our business.
pub fn check_folder(fmk: &Fmk<'_>, starts: &[&ExprCall]) -> Result<(), Status> {
    let matters = |stmt: &&Stmt| {
        let after = starts.partition_point(|start| start.start() < stmt.start());
        let has_start = starts.get(after).is_some_and(|start| start.start() < stmt.end());
        !stmt.is_class_def_stmt() || stmt.range() == fmk.class.range() || has_start
    };
    let script = fmk.script;
    let exprs = script.body().iter().filter(matters).flat_map(|stmt| expressions(std::slice::from_ref(stmt)));
    let exprs: Vec<&Expr> = exprs.collect();
    let switch = fmk.method(SWITCH).map_or(TextRange::default(), Ranged::range);
    let mut changes = named(&exprs, "chdir").into_iter().chain(named(&exprs, "fchdir"));
    match changes.find(|at| !switch.contains(*at)) {
        Some(at) => Err(script.conflict(at, "the folder is changed other than by `switch_directory`")),
        None => Ok(()),
    }
}

/// None of `starts` may go to a folder of its own. Names of options are looked up in `method`.
pub fn check_options(fmk: &Fmk<'_>, method: &StmtFunctionDef, starts: &[&ExprCall]) -> Result<(), Status> {
    let conflict = |at: &dyn Ranged, what: &str| Err(fmk.script.conflict(at.start(), what));
    // A change of the folder in functions of the script itself is found elsewhere.
    let functions =
        fmk.script.body().iter().chain(statements_of_scope(&method.body)).filter_map(Stmt::as_function_def_stmt);
    let known: HashSet<&str> = functions.map(|it| it.name.as_str()).chain(self_of(method)).chain(["os"]).collect();
    let is_known = |expr: &Expr| expr.as_name_expr().is_none_or(|name| known.contains(name.id.as_str()));
    let check = |name: Option<&str>, value: &Expr| match name {
        _ if value.is_none_literal_expr() => Ok(()),
        None => conflict(value, "a process is started with options that are not recognised"),
        Some("cwd") if !is_code_cwd(value) => conflict(value, "`cwd` gives the process another folder"),
        Some("preexec_fn") if !expressions_in(value).into_iter().all(is_known) => {
            conflict(value, "`preexec_fn` may go to another folder")
        }
        Some(_) => Ok(()),
    };
    let mut displays = displays(method);
    for call in starts {
        // The tenth parameter is `cwd`.
        if call.arguments.args.len() > 9 || call.arguments.args.iter().any(Expr::is_starred_expr) {
            return conflict(call, "a process is started with arguments that may name a folder");
        }
        for keyword in &call.arguments.keywords {
            let display = match (&keyword.arg, &keyword.value) {
                // Nothing is left of one that was looked through for another call.
                (None, Expr::Name(it)) => displays.get_mut(it.id.as_str()).map(std::mem::take),
                (None, Expr::Dict(it)) => Some(&it.items[..]),
                _ => None,
            };
            match display {
                Some(items) => items.iter().try_for_each(|item| {
                    let key = item.key.as_ref().and_then(|key| key.as_string_literal_expr());
                    check(key.map(|key| key.value.to_str()), &item.value)
                })?,
                None => check(keyword.arg.as_ref().map(|name| name.as_str()), &keyword.value)?,
            }
        }
    }
    Ok(())
}

/// The displays of `method` by the names that stand for them and nothing else.
fn displays(method: &StmtFunctionDef) -> HashMap<&str, &[DictItem]> {
    let bindings = Bindings::of_function(method);
    let exprs = expressions(&method.body);
    let owners = exprs.iter().filter_map(|expr| match expr {
        Expr::Subscript(it) => it.value.as_name_expr(),
        Expr::Attribute(it) => it.value.as_name_expr(),
        _ => None,
    });
    let changed: HashSet<&str> = owners.map(|name| name.id.as_str()).collect();
    let assigned = statements_of_scope(&method.body).into_iter().filter_map(|stmt| stmt.as_assign_stmt());
    let displays = assigned.filter_map(|it| match (&it.targets[..], &*it.value) {
        ([Expr::Name(name)], Expr::Dict(dict)) => Some((name.id.as_str(), &dict.items[..])),
        _ => None,
    });
    displays.filter(|(name, _)| bindings.of(name).len() == 1 && !changed.contains(name)).collect()
}

/// Whether `expr` is the folder of the code as edit *code-cwd* has it, by its functions and constants.
pub fn is_code_cwd(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    let reads = is_dotted(&call.func, "os.getenv") || is_dotted(&call.func, "os.environ.get");
    let is_cwd =
        |expr: &Expr| matches!(expr, Expr::Call(it) if is_dotted(&it.func, "os.getcwd") && it.arguments.is_empty());
    match (&*call.arguments.args, &*call.arguments.keywords) {
        ([key, default], []) => reads && is_string(key, "MODEL_TASK_CWD") && is_cwd(default),
        _ => false,
    }
}
