//! Calls: of the script's own functions, and of the library functions that paths and folders are made with.

use ruff_python_ast::{Expr, ExprCall, StmtFunctionDef};
use ruff_text_size::Ranged;

use super::{Frame, MAX_CALLS, Meaning};
use crate::script::{Kind, kind_of};
use crate::value::{CODE_CWD_KEY, LOG_PATH_KEY, Piece, Text, Value};

/// Functions that may be given the variable's name and do nothing with it.
const READERS: [&str; 12] = [
    "get",
    "getenv",
    "print",
    "isinstance",
    "debug",
    "info",
    "warning",
    "warn",
    "error",
    "exception",
    "critical",
    "log",
];

/// Evaluated arguments of a call.
struct Arguments<'a> {
    call: &'a ExprCall,
    positional: Vec<Value>,
    named: Vec<(String, Value)>,
    /// Whether all are seen: no `*` or `**` among them.
    plain: bool,
}

impl Arguments<'_> {
    /// The argument that is the `place`th or called `name`.
    fn get(&self, place: usize, name: &str) -> Option<&Value> {
        self.positional.get(place).or_else(|| self.named.iter().find(|(it, _)| it == name).map(|(_, value)| value))
    }

    /// Whether the argument at that place or of that name is `True`.
    fn is_true(&self, place: usize, name: &str) -> bool {
        let arguments = &self.call.arguments;
        let expr = arguments.args.get(place).or_else(|| arguments.find_keyword(name).map(|keyword| &keyword.value));
        matches!(expr, Some(Expr::BooleanLiteral(it)) if it.value)
    }

    fn mention_key(&self) -> bool {
        self.positional.iter().chain(self.named.iter().map(|(_, value)| value)).any(|it| it.is_literal(LOG_PATH_KEY))
            || self.named.iter().any(|(name, _)| name == LOG_PATH_KEY)
    }

    fn texts(&self) -> Option<Vec<Text>> {
        self.positional.iter().cloned().map(Value::into_text).collect()
    }
}

impl<'a> Meaning<'a> {
    pub(super) fn call(&mut self, frame: &mut Frame<'a>, call: &'a ExprCall) -> Option<Value> {
        let (owner, name) = match &*call.func {
            Expr::Attribute(it) => (self.evaluate(frame, &it.value), it.attr.as_str()),
            func => match self.evaluate(frame, func) {
                // `from os import makedirs` and `makedirs(…)`, or a function of the module, or a builtin.
                Value::Dotted(path) => {
                    let arguments = self.arguments(frame, call);
                    return self.call_function(&path, arguments);
                }
                other => (other, ""),
            },
        };
        // Before its argument is evaluated as a mere dictionary, in which the variable would be unclear.
        if let (Value::Thing(_), "update", [changes]) = (&owner, name, &*call.arguments.args) {
            self.update(frame, owner.clone(), changes);
        }
        if let (Value::Thing(_), "update", []) | (Value::Thing(_), "update", [_]) =
            (&owner, name, &*call.arguments.args)
        {
            for keyword in &call.arguments.keywords {
                let value = self.evaluate(frame, &keyword.value);
                if keyword.arg.as_ref().is_some_and(|name| name.as_str() == LOG_PATH_KEY) {
                    self.set(owner.clone(), value, keyword.start());
                }
            }
            return None;
        }
        let arguments = self.arguments(frame, call);
        match owner {
            Value::Instance | Value::Class => self.call_method(owner, name, arguments),
            Value::Dotted(path) => self.call_function(&format!("{path}.{name}"), arguments),
            Value::Thing(_) => self.call_on_thing(owner, name, &arguments),
            Value::Text(text) => self.call_on_text(text, name, &arguments),
            Value::Entry(_) if name == "mkdir" => {
                self.mkdir(owner, &arguments);
                None
            }
            _ => {
                self.unknown(name, &arguments);
                None
            }
        }
    }

    fn arguments(&mut self, frame: &mut Frame<'a>, call: &'a ExprCall) -> Arguments<'a> {
        let mut plain = true;
        let mut positional = Vec::new();
        for argument in &call.arguments.args {
            plain &= !argument.is_starred_expr();
            positional.push(self.evaluate(frame, argument));
        }
        let mut named = Vec::new();
        for keyword in &call.arguments.keywords {
            let value = self.evaluate(frame, &keyword.value);
            match &keyword.arg {
                Some(name) => named.push((name.to_string(), value)),
                None => plain = false,
            }
        }
        Arguments { call, positional, named, plain }
    }

    /// `FMK.name(…)`, `self.name(…)`.
    fn call_method(&mut self, owner: Value, name: &str, arguments: Arguments<'a>) -> Option<Value> {
        match name {
            "get_log_dir" if arguments.positional.is_empty() => return Some(Value::Text(Text::piece(Piece::LogDir))),
            "set_env_if_not_exist" => {
                self.set_env_if_not_exist(&arguments);
                return None;
            }
            "switch_directory" => {
                let given = &arguments.call.arguments;
                match (&*given.args, &*given.keywords, &*arguments.positional, &*arguments.named) {
                    ([argument], [], [value], []) => self.switch_directory(argument, value.clone()),
                    ([], [keyword], [], [(_, value)]) => self.switch_directory(&keyword.value, value.clone()),
                    // More or fewer: the edit refuses those.
                    _ => {}
                }
                return None;
            }
            _ => {}
        }
        let Some(&Some(method)) = self.methods.get(name) else {
            self.unknown(name, &arguments);
            return None;
        };
        let bound = match (kind_of(method), &owner) {
            (Kind::Static, _) | (Kind::Instance, Value::Class) => None,
            (Kind::Class, _) => Some(Value::Class),
            (Kind::Instance, _) => Some(owner),
        };
        self.call_own(method, bound, arguments)
    }

    /// The same argument may be evaluated more than once, in calls of helpers.
    fn switch_directory(&mut self, argument: &Expr, value: Value) {
        let other = self.thing();
        self.switched_to
            .entry(argument.range())
            .and_modify(|known| {
                if *known != value {
                    *known = other;
                }
            })
            .or_insert(value);
    }

    /// A function or method of the script itself.
    fn call_own(
        &mut self,
        function: &'a StmtFunctionDef,
        bound: Option<Value>,
        arguments: Arguments<'a>,
    ) -> Option<Value> {
        if self.calls >= MAX_CALLS || !arguments.plain {
            self.unknown(function.name.as_str(), &arguments);
            return None;
        }
        self.calls += 1;
        let positional = bound.into_iter().chain(arguments.positional).collect();
        let returned = self.enter(function, positional, arguments.named);
        self.calls -= 1;
        let (first, others) = returned.split_first()?;
        others.iter().all(|other| other == first).then(|| first.clone())
    }

    fn call_function(&mut self, path: &str, arguments: Arguments<'a>) -> Option<Value> {
        match path {
            "os.path.join" | "posixpath.join" | "pathlib.Path" | "pathlib.PurePath" | "pathlib.PosixPath" => {
                if let (Some(entry @ Value::Entry(_)), 1) = (arguments.positional.first(), arguments.positional.len()) {
                    return Some(entry.clone());
                }
                arguments.texts()?.into_iter().try_fold(Text::default(), Text::join).map(Value::Text)
            }
            "os.path.normpath" | "os.path.abspath" | "os.path.realpath" | "os.path.expanduser" | "str"
            | "os.fspath" => arguments.positional.into_iter().next(),
            "os.makedirs" => {
                let folder = arguments.get(0, "name").cloned().unwrap_or_else(|| self.thing());
                self.create(folder, arguments.is_true(2, "exist_ok"), arguments.call.start());
                None
            }
            "os.getcwd" | "pathlib.Path.cwd" => Some(Value::Cwd),
            "os.getenv" | "os.environ.get" if arguments.get(0, "key").is_some_and(|it| it.is_literal(CODE_CWD_KEY)) => {
                match arguments.get(1, "default") {
                    Some(Value::Cwd) => Some(Value::CodeCwd),
                    None => Some(Value::CodeCwdOnly),
                    Some(_) => None,
                }
            }
            path => {
                let name = path.rsplit('.').next().unwrap_or(path);
                match self.functions.get(path).copied().flatten() {
                    _ if name == "set_env_if_not_exist" => self.set_env_if_not_exist(&arguments),
                    Some(function) => return self.call_own(function, None, arguments),
                    None => self.unknown(name, &arguments),
                }
                None
            }
        }
    }

    fn set_env_if_not_exist(&mut self, arguments: &Arguments<'a>) {
        let is_key = arguments.get(1, "env_name").is_some_and(|it| it.is_literal(LOG_PATH_KEY));
        match (arguments.get(0, "envs"), arguments.get(2, "env_value")) {
            (Some(environment @ Value::Thing(_)), Some(value)) if is_key => {
                self.set(environment.clone(), value.clone(), arguments.call.start());
            }
            _ => self.unknown("set_env_if_not_exist", arguments),
        }
    }

    fn call_on_thing(&mut self, owner: Value, name: &str, arguments: &Arguments<'a>) -> Option<Value> {
        match (&owner, name, arguments.positional.as_slice()) {
            (Value::Thing(thing), "get", [key, ..]) if key.is_literal(LOG_PATH_KEY) => Some(Value::Entry(*thing)),
            (Value::Thing(thing), "setdefault", [key, value]) if key.is_literal(LOG_PATH_KEY) => {
                let entry = Value::Entry(*thing);
                self.set(owner, value.clone(), arguments.call.start());
                Some(entry)
            }
            (_, "__setitem__", [key, value]) if key.is_literal(LOG_PATH_KEY) => {
                self.set(owner, value.clone(), arguments.call.start());
                None
            }
            _ => {
                self.unknown(name, arguments);
                None
            }
        }
    }

    fn call_on_text(&mut self, text: Text, name: &str, arguments: &Arguments<'a>) -> Option<Value> {
        let known = match name {
            "mkdir" => {
                self.mkdir(Value::Text(text), arguments);
                return None;
            }
            "joinpath" => arguments.texts()?.into_iter().try_fold(text, Text::join),
            "as_posix" | "absolute" | "resolve" | "expanduser" => Some(text),
            "format" => {
                let named: Option<Vec<(&str, Text)>> = arguments
                    .named
                    .iter()
                    .map(|(name, value)| Some((name.as_str(), value.clone().into_text()?)))
                    .collect();
                Text::format(text.as_literal()?, &arguments.texts()?, &named?)
            }
            "join" => {
                let [Value::List(items)] = arguments.positional.as_slice() else { return None };
                let mut items = items.iter().cloned().map(Value::into_text);
                let first = items.next()??;
                items.try_fold(first, |joined, item| joined.then(text.clone())?.then(item?))
            }
            _ => None,
        };
        known.map(Value::Text)
    }

    /// `pathlib.Path(…).mkdir(mode, parents, exist_ok)`.
    fn mkdir(&mut self, folder: Value, arguments: &Arguments<'a>) {
        if arguments.is_true(1, "parents") {
            self.create(folder, arguments.is_true(2, "exist_ok"), arguments.call.start());
        }
    }

    /// `mapping.update(changes)`, `mapping |= changes`.
    pub(super) fn update(&mut self, frame: &mut Frame<'a>, mapping: Value, changes: &'a Expr) {
        let Expr::Dict(changes) = changes else {
            self.evaluate(frame, changes);
            return;
        };
        for item in &changes.items {
            let key = item.key.as_ref().map(|key| self.evaluate(frame, key));
            let value = self.evaluate(frame, &item.value);
            if key.is_some_and(|key| key.is_literal(LOG_PATH_KEY)) {
                self.set(mapping.clone(), value, item.value.start());
            }
        }
    }

    /// A function that is not followed: unclear if it is given the variable's name, unless it is known to only look.
    fn unknown(&mut self, name: &str, arguments: &Arguments<'a>) {
        if arguments.mention_key() && !READERS.contains(&name) {
            self.unclear(arguments.call.range());
        }
    }
}
