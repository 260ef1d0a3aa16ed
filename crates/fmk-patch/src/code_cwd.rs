//! Edit *code-cwd*: every `with self.switch_directory(…)` of `FMK.run` goes to the folder of the user's code.

use file_edit::Splice;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ExprCall, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use crate::edit::Status;
use crate::lines::line_at;
use crate::meaning::Meaning;
use crate::os_module::{self, Os};
use crate::outcome::{Outcome, conflict};
use crate::scope;
use crate::script::{CLASS, Fmk, Script, self_of};
use crate::value::Value;

const METHOD: &str = "run";
const SWITCH: &str = "switch_directory";

/// Most places that are edited; each takes a walk through the script. The vendor's have two at most.
const MAX_SWITCHES: usize = 50;

/// Appendix B of the manual, word for word.
const ARGUMENT: &str = r#"os.getenv("MODEL_TASK_CWD", os.getcwd())"#;

/// Judges the edit on `script`.
pub fn judge<'a>(script: &'a Script<'a>, fmk: &Fmk<'a>, meaning: &mut Meaning<'a>) -> Result<Outcome, Status> {
    let method = fmk.method(METHOD)?;
    let instance =
        self_of(method).ok_or_else(|| conflict(format!("`{CLASS}.{METHOD}` is not a method of an instance")))?;
    let line = |at: TextSize| line_at(script.text.as_bytes(), at.to_usize());
    let mut switches = Switches { instance, functions: Vec::new(), rebound: 0, found: Vec::new(), strays: Vec::new() };
    switches.visit_function(method, 1);
    if let Some(stray) = switches.strays.first() {
        return Err(conflict(format!(
            "line {} uses `{SWITCH}` other than in `with {instance}.{SWITCH}(…)`",
            line(*stray)
        )));
    }
    if switches.found.is_empty() {
        return without_switch(script, fmk);
    }
    if switches.found.len() > MAX_SWITCHES {
        return Err(conflict(format!("`{CLASS}.{METHOD}` has {} calls of `{SWITCH}`", switches.found.len())));
    }
    let followed = meaning.follow(method);
    let mut present = Vec::new();
    let mut lines = Vec::new();
    let mut splices = Vec::new();
    for Switch { call, functions } in &switches.found {
        let argument = only_argument(script, call)?;
        let known = followed.switched_to.get(&argument.range()).cloned();
        if known.unwrap_or_else(|| meaning.value_of(method, argument)) == Value::CodeCwd {
            present.push(script.line(*call));
            continue;
        }
        match os_module::judge(script, fmk, functions, argument.start()) {
            Os::Module => {}
            Os::Missing(import) => splices.push(import),
            Os::Taken(reason) => return Err(conflict(reason)),
        }
        splices.push(Splice { range: argument.range().to_std_range(), text: ARGUMENT.into() });
        lines.push(script.line(*call));
    }
    if splices.is_empty() {
        return Ok(Outcome::Done(Status::AlreadyApplied { lines: present }));
    }
    Ok(Outcome::Change { lines, splices })
}

/// The argument that is to be replaced, of which nothing else may be needed.
fn only_argument<'a>(script: &Script<'_>, call: &'a ExprCall) -> Result<&'a Expr, Status> {
    let argument = match (&*call.arguments.args, call.arguments.keywords.as_slice()) {
        ([argument], []) if !argument.is_starred_expr() => argument,
        ([], [keyword]) if keyword.arg.is_some() => &keyword.value,
        _ => return Err(conflict(format!("`{SWITCH}` at line {} has not just one argument", script.line(call)))),
    };
    let mut effects = Effects(false);
    effects.visit_expr(argument);
    if effects.0 {
        let line = script.line(call);
        return Err(conflict(format!("the argument of `{SWITCH}` at line {line} does more than name a folder")));
    }
    Ok(argument)
}

/// Looks for what would be lost with an argument: assignments, `await`, `yield`; and for a generator, whose brackets are
/// the call's.
struct Effects(bool);

impl<'a> Visitor<'a> for Effects {
    fn visit_expr(&mut self, expr: &'a Expr) {
        self.0 |=
            matches!(expr, Expr::Named(_) | Expr::Await(_) | Expr::Yield(_) | Expr::YieldFrom(_) | Expr::Generator(_));
        visitor::walk_expr(self, expr);
    }
}

/// The status of a script whose `FMK.run` switches to no folder.
fn without_switch(script: &Script<'_>, fmk: &Fmk<'_>) -> Result<Outcome, Status> {
    let mut module = Mentions { switch: None, popen: None };
    module.visit_body(script.body());
    let mut class = Mentions { switch: None, popen: None };
    class.visit_body(&fmk.class.body);
    let line = |at: TextSize| line_at(script.text.as_bytes(), at.to_usize());
    if let Some(at) = module.switch {
        return Err(conflict(format!("`{SWITCH}` is called at line {}, not in `{CLASS}.{METHOD}`", line(at))));
    }
    match class.popen.or(module.popen) {
        Some(at) => Ok(Outcome::Done(Status::NotApplicable {
            reason: format!("Popen at line {} runs in no `{SWITCH}`", line(at)),
        })),
        None => Err(Status::NotFound { reason: format!("`{CLASS}.{METHOD}` has no `with self.{SWITCH}(…)`") }),
    }
}

/// The first calls of two functions, whatever they are called on.
struct Mentions {
    switch: Option<TextSize>,
    popen: Option<TextSize>,
}

impl<'a> Visitor<'a> for Mentions {
    fn visit_expr(&mut self, expr: &'a Expr) {
        let name = match expr {
            Expr::Attribute(it) => it.attr.as_str(),
            Expr::Name(it) => it.id.as_str(),
            _ => "",
        };
        match name {
            SWITCH => drop(self.switch.get_or_insert(expr.start())),
            "Popen" => drop(self.popen.get_or_insert(expr.start())),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

/// One `with self.switch_directory(…)`.
struct Switch<'a> {
    call: &'a ExprCall,
    /// The functions that it is in, `run` first.
    functions: Vec<&'a StmtFunctionDef>,
}

/// Looks for them in `run` and the functions within.
struct Switches<'a> {
    instance: &'a str,
    functions: Vec<&'a StmtFunctionDef>,
    /// In how many of them the instance's name is something else.
    rebound: usize,
    found: Vec<Switch<'a>>,
    /// Other uses of the name.
    strays: Vec<TextSize>,
}

impl<'a> Switches<'a> {
    fn as_switch(&self, expr: &'a Expr) -> Option<&'a ExprCall> {
        let call = expr.as_call_expr()?;
        let func = call.func.as_attribute_expr()?;
        let on_instance = func.value.as_name_expr().is_some_and(|it| it.id == self.instance);
        (on_instance && func.attr.as_str() == SWITCH && self.rebound == 0).then_some(call)
    }

    /// Visits the body of `function`, which may bind the instance's name `bindings` times.
    fn visit_function(&mut self, function: &'a StmtFunctionDef, bindings: usize) {
        let rebound = usize::from(scope::of_function(function, self.instance).bindings.len() > bindings);
        self.rebound += rebound;
        self.functions.push(function);
        self.visit_body(&function.body);
        self.functions.pop();
        self.rebound -= rebound;
    }
}

impl<'a> Visitor<'a> for Switches<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::With(with) => {
                for item in &with.items {
                    match self.as_switch(&item.context_expr) {
                        Some(call) => {
                            self.visit_arguments(&call.arguments);
                            self.found.push(Switch { call, functions: self.functions.clone() });
                        }
                        None => self.visit_expr(&item.context_expr),
                    }
                    item.optional_vars.iter().for_each(|target| self.visit_expr(target));
                }
                self.visit_body(&with.body);
            }
            Stmt::FunctionDef(function) => {
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                self.visit_parameters(&function.parameters);
                self.visit_function(function, 0);
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if matches!(expr, Expr::Attribute(it) if it.attr.as_str() == SWITCH) {
            self.strays.push(expr.start());
        }
        visitor::walk_expr(self, expr);
    }
}
