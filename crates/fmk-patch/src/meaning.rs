//! Follows what a method does, as far as the two edits are concerned: which variables it puts into which environment,
//! which folders it creates, and into which folder it switches.
//!
//! Statements are followed in order, into helpers of the class and of the module with their arguments. What is not
//! understood is some [`Value::Thing`]; what happens only under a condition is marked so.

mod calls;
mod evaluate;
mod guards;
mod statements;

use std::collections::HashMap;

use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};
use ruff_text_size::{TextRange, TextSize};

use crate::names::Names;
use crate::script::{Fmk, Script, statements_of_scope};
use crate::value::Value;
use guards::Guard;

/// Expressions that are followed in all, calls of helpers included. The vendor's methods have some hundred; helpers that
/// call helpers would otherwise take for ever.
const MAX_STEPS: usize = 100_000;

/// Deepest chain of helpers that is followed.
const MAX_CALLS: usize = 8;

/// Something that a method does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Puts [`crate::value::LOG_PATH_KEY`] into an environment.
    Set {
        /// The [`Value::Thing`] that is the environment.
        environment: Value,
        /// What it is set to.
        value: Value,
        /// Whether it happens always, save where the variable is set already.
        sure: bool,
        /// Where.
        at: TextSize,
    },
    /// Makes a folder with its parents, whether or not it exists.
    Create {
        /// Its path.
        folder: Value,
        /// Whether it happens always, save where the folder exists already.
        sure: bool,
        /// Where.
        at: TextSize,
    },
    /// Does something else with [`crate::value::LOG_PATH_KEY`].
    Unclear {
        /// Where.
        at: TextSize,
    },
}

/// Follows methods of one class.
pub struct Meaning<'a> {
    module_names: Names,
    class_names: Names,
    /// Attributes of the instance that only `__init__` assigns, once.
    attributes: HashMap<String, Value>,
    /// How often the class assigns each attribute of anything.
    assignments: HashMap<&'a str, usize>,
    methods: Functions<'a>,
    functions: Functions<'a>,
    events: Vec<Event>,
    switched_to: HashMap<TextRange, Value>,
    guards: Vec<Guard>,
    things: u32,
    steps: usize,
    calls: usize,
}

/// The functions of a scope by name; nothing under a name that has several.
type Functions<'a> = HashMap<&'a str, Option<&'a StmtFunctionDef>>;

/// A call in progress.
struct Frame<'a> {
    function: &'a StmtFunctionDef,
    variables: HashMap<String, Value>,
    /// Imports of the function itself.
    names: Names,
    returned: Vec<Value>,
}

/// What a method was seen to do.
pub struct Followed {
    /// In order.
    pub events: Vec<Event>,
    /// What it returns, one value for each `return`.
    pub returned: Vec<Value>,
    /// The argument of each `self.switch_directory(…)`, by its place.
    pub switched_to: HashMap<TextRange, Value>,
    /// Whether the method was too involved to be followed to its end.
    pub gave_up: bool,
}

impl<'a> Meaning<'a> {
    /// Knows the module and the class, and what `__init__` assigns.
    pub fn new(script: &'a Script<'a>, fmk: &'a Fmk<'a>) -> Meaning<'a> {
        let mut meaning = Meaning {
            module_names: Names::of(script.body()),
            class_names: Names::of(&fmk.class.body),
            attributes: HashMap::new(),
            assignments: evaluate::attribute_assignments(&fmk.class.body),
            methods: functions_of(&fmk.class.body),
            functions: functions_of(script.body()),
            events: Vec::new(),
            switched_to: HashMap::new(),
            guards: Vec::new(),
            things: 0,
            steps: MAX_STEPS,
            calls: 0,
        };
        if let Some(Some(init)) = meaning.methods.get("__init__") {
            meaning.follow(init);
        }
        meaning
    }

    /// What `method` does when it is called on an instance.
    pub fn follow(&mut self, method: &'a StmtFunctionDef) -> Followed {
        self.events.clear();
        self.switched_to.clear();
        self.guards.clear();
        self.steps = MAX_STEPS;
        let returned = self.enter(method, vec![Value::Instance], Vec::new());
        Followed {
            events: std::mem::take(&mut self.events),
            returned,
            switched_to: std::mem::take(&mut self.switched_to),
            gave_up: self.steps == 0,
        }
    }

    /// What `expr` in `function` means where nothing is known of variables.
    pub fn value_of(&mut self, function: &'a StmtFunctionDef, expr: &'a Expr) -> Value {
        self.steps = MAX_STEPS;
        let mut frame = Frame { function, variables: HashMap::new(), names: Names::default(), returned: Vec::new() };
        self.evaluate(&mut frame, expr)
    }

    /// Runs the body of `function` on its arguments; what its `return`s return.
    fn enter(
        &mut self,
        function: &'a StmtFunctionDef,
        positional: Vec<Value>,
        mut named: Vec<(String, Value)>,
    ) -> Vec<Value> {
        let mut frame = Frame { function, variables: HashMap::new(), names: Names::default(), returned: Vec::new() };
        let parameters = &function.parameters;
        let mut positional = positional.into_iter();
        for parameter in parameters.posonlyargs.iter().chain(&parameters.args) {
            let name = parameter.parameter.name.as_str();
            let given = positional.next().or_else(|| take_named(&mut named, name));
            let value = given.unwrap_or_else(|| self.default_of(&mut frame, parameter.default.as_deref()));
            frame.variables.insert(name.to_owned(), value);
        }
        for parameter in &parameters.kwonlyargs {
            let name = parameter.parameter.name.as_str();
            let given = take_named(&mut named, name);
            let value = given.unwrap_or_else(|| self.default_of(&mut frame, parameter.default.as_deref()));
            frame.variables.insert(name.to_owned(), value);
        }
        for parameter in parameters.vararg.iter().chain(&parameters.kwarg) {
            let value = self.thing();
            frame.variables.insert(parameter.name.to_string(), value);
        }
        let outer = self.guards.len();
        self.run_body(&mut frame, &function.body);
        self.guards.truncate(outer);
        frame.returned
    }

    /// A thing that is no other.
    fn thing(&mut self) -> Value {
        self.things += 1;
        Value::Thing(self.things)
    }

    /// Takes one step; false when there are none left.
    fn step(&mut self, cost: usize) -> bool {
        self.steps = self.steps.saturating_sub(cost);
        self.steps > 0
    }

    fn unclear(&mut self, range: TextRange) {
        self.events.push(Event::Unclear { at: range.start() });
    }
}

fn functions_of(body: &[Stmt]) -> Functions<'_> {
    let mut functions = Functions::new();
    for function in statements_of_scope(body).into_iter().filter_map(|stmt| stmt.as_function_def_stmt()) {
        functions.entry(function.name.as_str()).and_modify(|known| *known = None).or_insert(Some(function));
    }
    functions
}

fn take_named(named: &mut Vec<(String, Value)>, name: &str) -> Option<Value> {
    let at = named.iter().position(|(it, _)| it == name)?;
    Some(named.swap_remove(at).1)
}
