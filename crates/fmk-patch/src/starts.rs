//! Where the process of a rank is started, and whether it begins in the folder that its parent is in then.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Alias, DictItem, Expr, ExprAttribute, ExprCall, ExprSubscript, Keyword, Stmt, StmtFunctionDef, WithItem,
};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::needs;
use crate::script::{
    CLASS, Fmk, expressions, expressions_in, is_decorated, is_dotted, is_string, named, self_of, statements_of_scope,
};

/// The method that changes the folder for the length of a `with`.
pub const SWITCH: &str = "switch_directory";

/// The calls in `body` that start the process of a rank.
pub fn starts(body: &[Stmt]) -> Vec<&ExprCall> {
    expressions(body).into_iter().filter_map(Expr::as_call_expr).filter(|call| is_start(call)).collect()
}

fn is_start(call: &ExprCall) -> bool {
    if is_dotted(&call.func, "subprocess.Popen") || is_dotted(&call.func, "Popen") {
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
/// which is at `first`, and nothing else may choose its folder.
pub fn check(fmk: &Fmk<'_>, run: &StmtFunctionDef, instance: &str, first: TextSize) -> Result<(), Status> {
    let conflict = |at, what: &str| Err(fmk.script.conflict(at, format_args!("{what} the `with self.{SWITCH}(…)`")));
    check_switch(fmk)?;
    let mut starters = HashSet::new();
    for method in fmk.methods() {
        let starts = starts(&method.body);
        check_starts(fmk, method, &starts)?;
        // One that switches itself may do so for its process.
        if !starts.is_empty() && named(&expressions(&method.body), SWITCH).is_empty() {
            starters.insert(method.name.as_str());
        }
    }
    let mut calls = Calls::default();
    calls.visit_body(&run.body);
    calls.found.retain(|(call, _)| {
        let own = call.func.as_attribute_expr().filter(|func| is_dotted(&func.value, instance));
        is_start(call) || own.is_some_and(|func| starters.contains(func.attr.as_str()))
    });
    match calls.found.iter().find(|(_, is_held)| !is_held) {
        Some((call, _)) => return conflict(call.start(), "a process is started outside"),
        None if calls.found.is_empty() => return conflict(first, "nothing recognised starts a process in"),
        None => {}
    }
    check_folder(fmk)
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

/// `switch_directory` must surely go to the folder that it is given, and stay there until it yields.
fn check_switch(fmk: &Fmk<'_>) -> Result<(), Status> {
    let method = fmk.method(SWITCH)?;
    let is_manager = is_decorated(method, "contextmanager") || is_decorated(method, "contextlib.contextmanager");
    let parameter = method.parameters.args.get(usize::from(self_of(method).is_some()));
    let folder = parameter.map_or("", |it| it.parameter.name.as_str());
    let goes = |stmt: &Stmt| {
        let call = stmt.as_expr_stmt().and_then(|it| it.value.as_call_expr());
        let call = call.filter(|call| is_dotted(&call.func, "os.chdir") && call.arguments.keywords.is_empty());
        call.is_some_and(|call| matches!(&*call.arguments.args, [argument] if is_dotted(argument, folder)))
    };
    let exprs = expressions(&method.body);
    let changes = named(&exprs, "chdir");
    let yields = exprs.iter().find(|expr| expr.is_yield_expr()).map_or(method.start(), Ranged::start);
    // An error of one in a `try` must not lead to a `yield` behind that.
    let tries = method.body.iter().filter_map(Stmt::as_try_stmt).map(|it| &it.body);
    let is_known = std::iter::once(&method.body).chain(tries).any(|block| {
        let mut rest = block.iter().skip_while(|stmt| !goes(stmt));
        let only = |stmt: &Stmt| changes.iter().all(|at| stmt.range().contains(*at) || *at > yields);
        rest.next().is_some_and(only) && rest.any(|stmt| stmt.range().contains(yields))
    });
    if is_manager && is_known && Bindings::of_function(method).of(folder).len() == 1 {
        return Ok(());
    }
    let what = format_args!("`{CLASS}.{SWITCH}` does not just go to the folder that it is given");
    Err(fmk.script.conflict(method.name.start(), what))
}

/// Nothing in the script but `switch_directory` may go to another folder, or give one to a process.
pub fn check_folder(fmk: &Fmk<'_>) -> Result<(), Status> {
    let mut words = Words { switch: fmk.method(SWITCH).ok().map(Ranged::range), ..Words::default() };
    words.functions.insert("os");
    words.visit_body(fmk.script.body());
    // What a function of the script does is among the words.
    let is_known = |expr: &Expr| expr.as_name_expr().is_none_or(|name| words.functions.contains(name.id.as_str()));
    let unknown = words.preexec.into_iter().filter(|it| !expressions_in(it).into_iter().all(is_known));
    let unknown = unknown.map(|it| (it.start(), "`preexec_fn` may go to another folder"));
    match words.found.into_iter().chain(unknown).min() {
        Some((at, what)) => Err(fmk.script.conflict(at, what)),
        None => Ok(()),
    }
}

/// The words by which a script chooses folders of processes, outside `switch`.
#[derive(Default)]
struct Words<'a> {
    switch: Option<TextRange>,
    /// Where there is one, and what that means.
    found: Vec<(TextSize, &'static str)>,
    /// What is called in new processes, and the names of what the script defines to be called.
    preexec: Vec<&'a Expr>,
    functions: HashSet<&'a str>,
}

impl<'a> Words<'a> {
    fn word(&mut self, word: &str, at: &impl Ranged) {
        if matches!(word, "chdir" | "fchdir") {
            self.found.push((at.start(), "the folder is changed other than by `switch_directory`"));
        }
    }

    fn option(&mut self, name: &str, value: &'a Expr) {
        match name {
            _ if value.is_none_literal_expr() => {}
            "cwd" if !is_code_cwd(value) => self.found.push((value.start(), "`cwd` gives the process another folder")),
            "preexec_fn" => self.preexec.push(value),
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Words<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::FunctionDef(it) = stmt {
            self.functions.extend(self_of(it).into_iter().chain([it.name.as_str()]));
        }
        if Some(stmt.range()) != self.switch {
            visitor::walk_stmt(self, stmt);
        }
    }

    fn visit_alias(&mut self, alias: &'a Alias) {
        self.word(&alias.name, alias);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        self.option(keyword.arg.as_ref().map_or("", |name| name.as_str()), &keyword.value);
        visitor::walk_keyword(self, keyword);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(it) => self.word(&it.id, it),
            Expr::Attribute(it) if it.ctx.is_store() && matches!(it.attr.as_str(), SWITCH | "Popen") => {
                self.found.push((it.start(), "what starts the process, or where, is replaced"));
            }
            Expr::Attribute(it) => self.word(&it.attr, it),
            Expr::StringLiteral(it) if it.value == *"cwd" => {
                self.found.push((it.start(), "`cwd` may give the process another folder"));
            }
            Expr::StringLiteral(it) => self.word(it.value.to_str(), it),
            Expr::Dict(it) => it.items.iter().for_each(|item| {
                let key = item.key.as_ref().and_then(Expr::as_string_literal_expr);
                self.option(key.map_or("", |key| key.value.to_str()), &item.value);
            }),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// `starts`, which are in `method`, must be calls of the module's functions with options that are all in sight.
pub fn check_starts(fmk: &Fmk<'_>, method: &StmtFunctionDef, starts: &[&ExprCall]) -> Result<(), Status> {
    let conflict = |at: &dyn Ranged, what: &str| Err(fmk.script.conflict(at.start(), what));
    let bindings = Bindings::of_function(method);
    for (import, name) in [("subprocess", "subprocess"), ("subprocess.Popen", "Popen")] {
        if starts.iter().any(|call| call.func.is_name_expr() == (name == "Popen")) {
            needs::check_import(fmk, import)?;
            needs::check_bindings(fmk.script, method, &bindings, &[(name, 0)])?;
        }
    }
    let displays = displays(method, &bindings);
    for call in starts {
        // The tenth parameter is `cwd`.
        if call.arguments.args.len() > 9 || call.arguments.args.iter().any(Expr::is_starred_expr) {
            return conflict(call, "a process is started with arguments that may name a folder");
        }
        for unpacked in call.arguments.keywords.iter().filter(|it| it.arg.is_none()) {
            let is_in_sight = is_display(&unpacked.value)
                || unpacked.value.as_name_expr().is_some_and(|name| displays.contains(name.id.as_str()));
            if !is_in_sight {
                return conflict(&unpacked.value, "a process is started with options that are not recognised");
            }
        }
    }
    Ok(())
}

/// Whether `expr` is a dictionary whose keys are all spelled out.
fn is_display(expr: &Expr) -> bool {
    let is_spelled = |item: &DictItem| item.key.as_ref().is_some_and(Expr::is_string_literal_expr);
    expr.as_dict_expr().is_some_and(|dict| dict.items.iter().all(is_spelled))
}

/// The names of `method` that stand for such a dictionary and nothing else.
fn displays<'a>(method: &'a StmtFunctionDef, bindings: &Bindings<'_>) -> HashSet<&'a str> {
    let assigned = statements_of_scope(&method.body).into_iter().filter_map(Stmt::as_assign_stmt);
    let displays = assigned.filter_map(|it| match &it.targets[..] {
        [Expr::Name(name)] if is_display(&it.value) => Some(name.id.as_str()),
        _ => None,
    });
    let mut names: HashSet<&str> = displays.filter(|name| bindings.of(name).len() == 1).collect();
    for expr in expressions(&method.body) {
        if let Expr::Subscript(ExprSubscript { value, .. }) | Expr::Attribute(ExprAttribute { value, .. }) = expr
            && let Expr::Name(owner) = &**value
        {
            names.remove(owner.id.as_str());
        }
    }
    names
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
