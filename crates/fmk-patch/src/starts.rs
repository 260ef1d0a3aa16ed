//! Where the process of a rank is started, and whether it begins in the folder that its parent is in then.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Alias, DictItem, Expr, ExprAttribute, ExprCall, ExprSubscript, Keyword, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::needs;
use crate::script::{CLASS, Fmk, expressions, expressions_in, is_decorated, is_dotted, is_string, named, self_of};

/// The method that changes the folder for the length of a `with`.
pub const SWITCH: &str = "switch_directory";

/// The calls among `exprs` that start the process of a rank.
pub fn starts<'a>(exprs: &[&'a Expr]) -> Vec<&'a ExprCall> {
    exprs.iter().filter_map(|expr| expr.as_call_expr()).filter(|call| is_start(call)).collect()
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

/// What `run` starts, by itself or by another method of the class, must be among the calls `held` by a `with` that
/// switches, the first of which is at `first`, and nothing else may choose its folder.
pub fn check(fmk: &Fmk<'_>, run: &StmtFunctionDef, held: &HashSet<TextRange>, first: TextSize) -> Result<(), Status> {
    let conflict = |at, what: &str| Err(fmk.script.conflict(at, format_args!("{what} the `with self.{SWITCH}(…)`")));
    check_switch(fmk)?;
    let mut starters = HashSet::new();
    check_imports(fmk, &starts(&expressions(&fmk.class.body)))?;
    for method in fmk.methods() {
        let exprs = expressions(&method.body);
        let starts = starts(&exprs);
        check_options(fmk, method, &starts)?;
        // One that switches itself may do so for its process.
        if !starts.is_empty() && named(&exprs, SWITCH).is_empty() {
            starters.insert(method.name.as_str());
        }
    }
    let is_own = |func: &ExprAttribute| self_of(run).is_some_and(|name| is_dotted(&func.value, name));
    let exprs = expressions(&run.body);
    let starts = exprs.into_iter().filter_map(Expr::as_call_expr).filter(|call| {
        let own = call.func.as_attribute_expr().filter(|func| is_own(func));
        is_start(call) || own.is_some_and(|func| starters.contains(func.attr.as_str()))
    });
    let mut starts = starts.peekable();
    if starts.peek().is_none() {
        return conflict(first, "nothing recognised starts a process in");
    }
    match starts.find(|call| !held.contains(&call.range())) {
        Some(call) => conflict(call.start(), "a process is started outside"),
        None => check_folder(fmk),
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

/// `starts` must be calls of the module's own functions.
pub fn check_imports(fmk: &Fmk<'_>, starts: &[&ExprCall]) -> Result<(), Status> {
    for (import, is_direct) in [("subprocess.Popen", true), ("subprocess", false)] {
        if starts.iter().any(|call| call.func.is_name_expr() == is_direct) {
            needs::check_import(fmk, import)?;
        }
    }
    Ok(())
}

/// `starts`, which are in `method`, must have options that are all in sight.
pub fn check_options(fmk: &Fmk<'_>, method: &StmtFunctionDef, starts: &[&ExprCall]) -> Result<(), Status> {
    let conflict = |at: &dyn Ranged, what: &str| Err(fmk.script.conflict(at.start(), what));
    let bindings = Bindings::of_function(method);
    if !starts.is_empty() {
        needs::check_bindings(fmk.script, method, &bindings, &[("subprocess", 0), ("Popen", 0)])?;
    }
    // One of which an item or method is used may be changed.
    let exprs = expressions(&method.body);
    let changed: HashSet<&str> = exprs.iter().filter_map(|expr| owner(expr)).collect();
    let is_in_sight = |expr: &Expr| match expr {
        Expr::Name(it) => bindings.value(&it.id).is_some_and(is_display) && !changed.contains(it.id.as_str()),
        expr => is_display(expr),
    };
    for call in starts {
        // The tenth parameter is `cwd`.
        if call.arguments.args.len() > 9 || call.arguments.args.iter().any(Expr::is_starred_expr) {
            return conflict(call, "a process is started with arguments that may name a folder");
        }
        let mut unpacked = call.arguments.keywords.iter().filter(|it| it.arg.is_none());
        if let Some(it) = unpacked.find(|it| !is_in_sight(&it.value)) {
            return conflict(&it.value, "a process is started with options that are not recognised");
        }
    }
    Ok(())
}

/// Whether `expr` is a dictionary whose keys are all spelled out.
fn is_display(expr: &Expr) -> bool {
    let is_spelled = |item: &DictItem| item.key.as_ref().is_some_and(Expr::is_string_literal_expr);
    expr.as_dict_expr().is_some_and(|dict| dict.items.iter().all(is_spelled))
}

/// The name whose item or attribute `expr` is.
fn owner(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Subscript(ExprSubscript { value, .. }) | Expr::Attribute(ExprAttribute { value, .. }) => {
            value.as_name_expr().map(|name| name.id.as_str())
        }
        _ => None,
    }
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
