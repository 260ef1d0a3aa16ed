//! The statements of edit *log-path* where a script has them already: in `FMK.gen_env_for_fmk`, or in a method to which
//! that hands its environment.

use std::collections::HashSet;

use ruff_python_ast::{Expr, ExprCall, FStringPart, InterpolatedStringElement, Operator, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use crate::bindings::Bindings;
use crate::edit::Status;
use crate::needs;
use crate::script::{
    CLASS, Fmk, Script, expressions, is_decorated, is_dotted, is_string, self_of, statements_of_scope,
};

/// The variable that the edit sets.
pub const KEY: &str = "ASCEND_PROCESS_LOG_PATH";

/// The folder that it names, as [`Body::spell`] has it.
const LOG_PATH: &str = "{log_dir}/{job_id}/ascend/process_log/rank_{rank_id}";

/// Most expressions that are looked at to spell a path, and most bytes of one. The edit's has ten and fifty.
const MAX_STEPS: usize = 1000;
const MAX_PATH: usize = 500;

/// Where the code names the variable other than to read it. Other classes are none of our business.
pub fn mentions(script: &Script<'_>) -> Vec<TextSize> {
    let of_interest = |stmt: &&Stmt| !matches!(stmt, Stmt::ClassDef(it) if it.name.as_str() != CLASS);
    let mut reads = HashSet::new();
    let mut found = Vec::new();
    for expr in script.body().iter().filter(of_interest).flat_map(|stmt| expressions(std::slice::from_ref(stmt))) {
        match expr {
            Expr::Subscript(it) if it.ctx.is_load() => drop(reads.insert(it.slice.start())),
            Expr::Call(call) => {
                let is_reader = match &*call.func {
                    Expr::Attribute(it) => matches!(it.attr.as_str(), "get" | "getenv"),
                    func => is_dotted(func, "getenv"),
                };
                reads.extend(call.arguments.args.first().filter(|_| is_reader).map(Ranged::start));
                let keywords = call.arguments.keywords.iter();
                let named = keywords.filter(|keyword| keyword.arg.as_ref().is_some_and(|name| name.as_str() == KEY));
                found.extend(named.map(Ranged::start));
            }
            Expr::StringLiteral(it) if is_string(expr, KEY) && !reads.contains(&it.start()) => found.push(it.start()),
            Expr::FString(it)
                if it.value.elements().any(|part| part.as_literal().is_some_and(|it| &*it.value == KEY)) =>
            {
                found.push(it.start());
            }
            _ => {}
        }
    }
    found
}

/// The lines of a block that does what the edit would, `mention` being the only place that names the variable.
pub fn judge(script: &Script<'_>, fmk: &Fmk<'_>, own: Body<'_>, mention: TextSize) -> Result<Vec<usize>, Status> {
    let conflict = |what: &str| script.conflict(mention, format_args!("{KEY} is {what}"));
    let is_copy = own.is_copy();
    for body in own.with_helpers(script, fmk) {
        let Some(stmt) = body.steps().find(|stmt| stmt.range().contains(mention)) else { continue };
        let Some(path) = body.path_set_by(stmt) else { break };
        if !body.is_log_path(path) {
            return Err(conflict("set to another path, or one that is not recognised,"));
        }
        // What the environment names can't be created before it is set, but the path itself can.
        let creates = |other: &&Stmt| {
            folder_created_by(other).is_some_and(|folder| {
                body.is_log_path(folder) || (body.is_entry(folder) && other.start() > stmt.start())
            })
        };
        let created = body.steps().find(creates);
        let created = created.ok_or_else(|| conflict("set, but nothing recognised there creates its folder,"))?;
        if is_copy == Some(false)
            && stmt.is_expr_stmt()
            && folder_created_by(created).is_some_and(|folder| body.is_entry(folder))
        {
            return Err(conflict("looked up in a new dictionary, which lacks it if it was set before,"));
        }
        let mut lines = vec![script.line(stmt.start()), script.line(created.start())];
        lines.sort_unstable();
        return Ok(lines);
    }
    Err(conflict("used in a way that is not recognised"))
}

/// A method that fills an environment, whose names mean there the same from the first line to the last.
pub struct Body<'a> {
    function: &'a StmtFunctionDef,
    /// What it calls the instance, if it has one.
    instance: Option<&'a str>,
    /// What it calls the environment, and where that begins.
    pub environment: &'a str,
    begins: TextSize,
    bindings: Bindings<'a>,
}

impl<'a> Body<'a> {
    /// The method `function`; an error is a name that is bound once too often.
    pub fn new(script: &Script<'_>, function: &'a StmtFunctionDef, environment: &'a str) -> Result<Body<'a>, Status> {
        let bindings = Bindings::of_function(function);
        let instance = self_of(function);
        needs::check_bindings(script, function, &bindings, &[(CLASS, 0), ("os", 0), (environment, 1)])?;
        if let Some(instance) = instance {
            needs::check_bindings(script, function, &bindings, &[(instance, 1)])?;
        }
        let begins = bindings.of(environment).first().copied().unwrap_or(function.start());
        Ok(Body { function, instance, environment, begins, bindings })
    }

    /// It, and the methods that it hands its environment to.
    fn with_helpers(self, script: &Script<'_>, fmk: &Fmk<'a>) -> Vec<Body<'a>> {
        let mut seen = HashSet::from([self.function.name.as_str()]);
        let mut helpers = Vec::new();
        for call in self.steps().filter_map(as_call) {
            let Some(name) = self.own_method(call).filter(|name| !seen.contains(name)) else { continue };
            let Ok(method) = fmk.method(name) else { continue };
            let place = call.arguments.args.iter().position(|argument| is_dotted(argument, self.environment));
            let plain = call.arguments.keywords.is_empty() && !call.arguments.args.iter().any(Expr::is_starred_expr);
            let Some(place) = place.filter(|_| plain && !method.is_async) else { continue };
            let first = match &method.decorator_list[..] {
                [] if !is_dotted(&call.func, &format!("{CLASS}.{name}")) => 1,
                [_] if is_decorated(method, "staticmethod") => 0,
                // Called without an instance, or up to its decorator.
                _ => continue,
            };
            let parameter = method.parameters.posonlyargs.iter().chain(&method.parameters.args).nth(first + place);
            let Some(parameter) = parameter else { continue };
            seen.insert(name);
            helpers.extend(Body::new(script, method, parameter.parameter.name.as_str()));
        }
        let mut bodies = vec![self];
        bodies.append(&mut helpers);
        bodies
    }

    /// Its statements outside all blocks, from where the environment begins and as far as they surely run.
    fn steps(&self) -> impl Iterator<Item = &'a Stmt> {
        let goes_on =
            |stmt: &&Stmt| !statements_of_scope(std::slice::from_ref(*stmt)).iter().any(|it| it.is_return_stmt());
        self.function.body.iter().take_while(goes_on).filter(|stmt| stmt.start() > self.begins)
    }

    /// The name of a method of the class itself that `call` calls.
    fn own_method<'c>(&self, call: &'c ExprCall) -> Option<&'c str> {
        let func = call.func.as_attribute_expr()?;
        let owner = func.value.as_name_expr()?.id.as_str();
        (owner == CLASS || Some(owner) == self.instance).then_some(func.attr.as_str())
    }

    /// Whether `expr` is the environment's item [`KEY`].
    fn is_entry(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Subscript(it) if is_dotted(&it.value, self.environment) && is_string(&it.slice, KEY))
    }

    /// Whether the environment surely has, and keeps, all of the process's own, be it at once or by a later `update`; `None`
    /// where another function makes it, or gets it.
    pub fn is_copy(&self) -> Option<bool> {
        const COPIES: [&str; 3] = ["dict", "copy.copy", "copy.deepcopy"];
        let is_environ = |expr: &Expr| is_dotted(expr, "os.environ");
        let takes_it = |call: &ExprCall| {
            let unpacked = call.arguments.keywords.iter().filter(|it| it.arg.is_none()).map(|it| &it.value);
            call.arguments.args.iter().chain(unpacked).any(is_environ)
        };
        let method = |call: &ExprCall, name: &str| is_dotted(&call.func, &format!("{}.{name}", self.environment));
        // What is spelled out is another variable: this one is named elsewhere then.
        let is_spelled = |key: Option<&Expr>| key.is_some_and(Expr::is_string_literal_expr);
        let exprs = expressions(&self.function.body);
        let loses = exprs.iter().any(|expr| match expr {
            Expr::Subscript(it) => {
                it.ctx.is_del() && is_dotted(&it.value, self.environment) && !is_spelled(Some(&it.slice))
            }
            Expr::Call(call) => {
                ["clear", "popitem", "pop"].iter().any(|name| method(call, name))
                    && !is_spelled(call.arguments.args.first())
            }
            _ => false,
        });
        if loses {
            return Some(false);
        }
        let is_given = exprs.iter().filter_map(|expr| expr.as_call_expr()).any(|call| {
            self.own_method(call) != Some("set_env_if_not_exist")
                && call.arguments.iter_source_order().any(|it| is_dotted(it.value(), self.environment))
        });
        if self.steps().filter_map(as_call).any(|call| method(call, "update") && takes_it(call)) {
            return (!is_given).then_some(true);
        }
        let is_copy = match self.bindings.value(self.environment)? {
            Expr::Call(call) if is_dotted(&call.func, "os.environ.copy") => true,
            Expr::Call(call) if COPIES.iter().any(|name| is_dotted(&call.func, name)) => takes_it(call),
            Expr::Dict(dict) => dict.items.iter().any(|it| it.key.is_none() && is_environ(&it.value)),
            Expr::DictComp(_) => false,
            value if is_environ(value) => true,
            _ => return None,
        };
        (!(is_copy && is_given)).then_some(is_copy)
    }

    /// Whether some variable of the environment is just `self.name`.
    pub fn is_in_environment(&self, name: &str) -> bool {
        let is_variable =
            |target: &Expr| matches!(target, Expr::Subscript(it) if is_dotted(&it.value, self.environment));
        let is_it = |value: &Expr| matches!(value, Expr::Attribute(it) if it.attr.as_str() == name);
        self.steps().filter_map(Stmt::as_assign_stmt).any(|it| it.targets.iter().all(is_variable) && is_it(&it.value))
    }

    /// What `stmt` sets [`KEY`] to, unless it is preset.
    fn path_set_by<'s>(&self, stmt: &'s Stmt) -> Option<&'s Expr> {
        if let Stmt::Assign(assign) = stmt {
            let mut path = &*assign.value;
            if let Expr::Call(call) = path
                && is_dotted(&call.func, "os.environ.get")
                && let [key, default] = &*call.arguments.args
                && is_string(key, KEY)
            {
                path = default;
            }
            return matches!(&assign.targets[..], [target] if self.is_entry(target)).then_some(path);
        }
        let call = as_call(stmt)?;
        match (self.own_method(call)?, &*call.arguments.args, &*call.arguments.keywords) {
            ("set_env_if_not_exist", [environment, key, path], [])
                if is_dotted(environment, self.environment) && is_string(key, KEY) =>
            {
                Some(path)
            }
            _ => None,
        }
    }

    fn is_log_path(&self, expr: &Expr) -> bool {
        let mut steps = MAX_STEPS;
        self.spell(expr, &mut steps).as_deref() == Some(LOG_PATH)
    }

    /// `expr` as a template, by the constants, attributes and calls of which it is put together.
    fn spell(&self, expr: &Expr, steps: &mut usize) -> Option<String> {
        *steps = steps.checked_sub(1)?;
        let spelled = match expr {
            Expr::StringLiteral(it) => literal(it.value.to_str()),
            Expr::FString(it) => it
                .value
                .iter()
                .flat_map(|part| match part {
                    FStringPart::Literal(it) => vec![literal(&it.value)],
                    FStringPart::FString(it) => {
                        it.elements.iter().map(|element| self.spell_element(element, steps)).collect()
                    }
                })
                .collect(),
            Expr::Name(it) => {
                let value = self.bindings.value(&it.id).filter(|value| value.end() < it.start())?;
                self.spell(value, steps)
            }
            Expr::Attribute(it) if self.instance.is_some_and(|name| is_dotted(&it.value, name)) => {
                Some(format!("{{{}}}", it.attr))
            }
            Expr::BinOp(it) if it.op == Operator::Add => {
                Some(self.spell(&it.left, steps)? + &self.spell(&it.right, steps)?)
            }
            Expr::Call(call) if !call.arguments.keywords.is_empty() => None,
            Expr::Call(call) if is_dotted(&call.func, "os.path.join") => {
                let parts: Option<Vec<String>> =
                    call.arguments.args.iter().map(|part| self.spell(part, steps)).collect();
                Some(parts?.join("/"))
            }
            Expr::Call(call) => match (self.own_method(call), &*call.arguments.args) {
                (Some("get_log_dir"), []) => Some("{log_dir}".to_owned()),
                (None, [value]) if is_dotted(&call.func, "str") => self.spell(value, steps),
                _ => None,
            },
            _ => None,
        };
        spelled.filter(|text| text.len() <= MAX_PATH)
    }

    fn spell_element(&self, element: &InterpolatedStringElement, steps: &mut usize) -> Option<String> {
        match element {
            InterpolatedStringElement::Literal(it) => literal(&it.value),
            InterpolatedStringElement::Interpolation(it) => {
                let plain = it.debug_text.is_none() && it.format_spec.is_none() && it.conversion.is_none();
                self.spell(&it.expression, steps).filter(|_| plain)
            }
        }
    }
}

/// A constant part of a path, which must not pass for a name in a template.
fn literal(text: &str) -> Option<String> {
    (!text.contains('{')).then(|| text.to_owned())
}

fn as_call(stmt: &Stmt) -> Option<&ExprCall> {
    stmt.as_expr_stmt()?.value.as_call_expr()
}

/// The folder that `stmt` creates with its parents, whether or not it exists.
fn folder_created_by(stmt: &Stmt) -> Option<&Expr> {
    let call = as_call(stmt)?;
    let is_true = |name: &str| {
        let keyword = call.arguments.find_keyword(name);
        keyword.is_some_and(|keyword| matches!(&keyword.value, Expr::BooleanLiteral(it) if it.value))
    };
    let arguments = &*call.arguments.args;
    if let ([folder], true) = (arguments, is_dotted(&call.func, "os.makedirs")) {
        return Some(folder).filter(|_| is_true("exist_ok"));
    }
    let func = call.func.as_attribute_expr().filter(|func| func.attr.as_str() == "mkdir")?;
    let path = func.value.as_call_expr()?;
    let is_path = is_dotted(&path.func, "pathlib.Path") || is_dotted(&path.func, "Path");
    match &*path.arguments.args {
        [folder] if is_path && arguments.is_empty() && is_true("parents") && is_true("exist_ok") => Some(folder),
        _ => None,
    }
}
