//! Where the process of a rank is started, and whether it begins in the folder that its parent is in then.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use ruff_python_ast::{DictItem, Expr, ExprCall, StmtFunctionDef};
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
    check_options(script, run, starts)?;
    let is_other = |range: &TextRange| {
        let after = starts.partition_point(|start| start.start() < range.start());
        *range != fmk.class.range() && starts.get(after).is_none_or(|start| range.end() <= start.start())
    };
    let classes = script.body().iter().filter(|stmt| stmt.is_class_def_stmt()).map(Ranged::range).filter(is_other);
    let switches = fmk.methods().filter(|method| method.name.as_str() == "switch_directory").map(Ranged::range);
    let exempt = Ranges::new(classes.chain(switches));
    let everywhere = expressions(script.body());
    let mut changes = named(&everywhere, "chdir").into_iter().chain(named(&everywhere, "fchdir"));
    match changes.find(|at| !exempt.contain(TextRange::empty(*at))) {
        Some(at) => Err(script.conflict(at, "the folder is changed other than by `switch_directory`")),
        None => Ok(()),
    }
}

fn check_options(script: &Script<'_>, run: &StmtFunctionDef, starts: &[&ExprCall]) -> Result<(), Status> {
    let conflict = |at: &dyn Ranged, what: &str| Err(script.conflict(at.start(), what));
    let is_harmless = |value: &Expr| ["os.setsid", "os.setpgrp"].iter().any(|it| is_dotted(value, it));
    let check = |name: Option<&str>, value: &Expr| match name {
        _ if value.is_none_literal_expr() => Ok(()),
        None => conflict(value, "a process is started with options that are not recognised"),
        Some("cwd") => conflict(value, "`cwd` gives the process another folder"),
        Some("preexec_fn") if !is_harmless(value) => conflict(value, "`preexec_fn` may go to another folder"),
        Some(_) => Ok(()),
    };
    let mut displays = displays(run);
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

/// The displays of `run` by the names that stand for them and nothing else.
fn displays(run: &StmtFunctionDef) -> HashMap<&str, &[DictItem]> {
    let bindings = Bindings::of_function(run);
    let in_run = expressions(&run.body);
    let owners = in_run.iter().filter_map(|expr| match expr {
        Expr::Subscript(it) => it.value.as_name_expr(),
        Expr::Attribute(it) => it.value.as_name_expr(),
        _ => None,
    });
    let changed: HashSet<&str> = owners.map(|name| name.id.as_str()).collect();
    let assigned = statements_of_scope(&run.body).into_iter().filter_map(|stmt| stmt.as_assign_stmt());
    let displays = assigned.filter_map(|it| match (&it.targets[..], &*it.value) {
        ([Expr::Name(name)], Expr::Dict(dict)) => Some((name.id.as_str(), &dict.items[..])),
        _ => None,
    });
    displays.filter(|(name, _)| bindings.of(name).len() == 1 && !changed.contains(name)).collect()
}

/// Parts of a text, which may be nested.
pub struct Ranges(Vec<TextRange>);

impl Ranges {
    pub fn new(ranges: impl Iterator<Item = TextRange>) -> Ranges {
        let mut outermost: Vec<TextRange> = ranges.collect();
        outermost.sort_by_key(|range| (range.start(), Reverse(range.end())));
        outermost.dedup_by(|next, outer| next.start() < outer.end());
        Ranges(outermost)
    }

    /// Whether one of them has all of `range`.
    pub fn contain(&self, range: TextRange) -> bool {
        let after = self.0.partition_point(|it| it.end() < range.end());
        self.0.get(after).is_some_and(|it| it.contains_range(range))
    }
}
