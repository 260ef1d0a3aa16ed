//! The value of an expression.

use std::collections::HashMap;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    BoolOp, ConversionFlag, Expr, ExprContext, ExprFString, FStringPart, InterpolatedStringElement, Keyword, Operator,
    Stmt,
};
use ruff_text_size::{Ranged, TextRange};

use super::guards::Guard;
use super::{Frame, Meaning};
use crate::script::CLASS;
use crate::value::{CODE_CWD_KEY, LOG_PATH_KEY, Piece, Text, Value};

impl<'a> Meaning<'a> {
    pub(super) fn evaluate(&mut self, frame: &mut Frame<'a>, expr: &'a Expr) -> Value {
        if !self.step(1) {
            return self.thing();
        }
        let known = match expr {
            Expr::StringLiteral(it) => Text::default().then(Text::literal(it.value.to_str())).map(Value::Text),
            Expr::FString(it) => self.f_string(frame, it).map(Value::Text),
            Expr::Name(it) => Some(self.name(frame, it.id.as_str())),
            Expr::Attribute(it) => {
                let owner = self.evaluate(frame, &it.value);
                self.attribute(owner, it.attr.as_str())
            }
            Expr::Call(it) => self.call(frame, it),
            Expr::BinOp(it) => {
                let left = self.evaluate(frame, &it.left);
                let right = self.evaluate(frame, &it.right);
                Some(self.operate(it.op, left, right))
            }
            Expr::BoolOp(it) => self.any_or_all(frame, it.op, &it.values),
            Expr::If(it) => {
                self.evaluate(frame, &it.test);
                self.guards.push(Guard::Maybe);
                let body = self.evaluate(frame, &it.body);
                let orelse = self.evaluate(frame, &it.orelse);
                self.guards.pop();
                (body == orelse).then_some(body)
            }
            Expr::Subscript(it) => {
                let owner = self.evaluate(frame, &it.value);
                let key = self.evaluate(frame, &it.slice);
                match owner {
                    Value::Thing(thing) if key.is_literal(LOG_PATH_KEY) => Some(Value::Entry(thing)),
                    Value::Dotted(path) if path == "os.environ" && key.is_literal(CODE_CWD_KEY) => {
                        Some(Value::CodeCwdOnly)
                    }
                    _ => None,
                }
            }
            Expr::Tuple(it) => Value::list(it.elts.iter().map(|item| self.evaluate(frame, item)).collect()),
            Expr::List(it) => Value::list(it.elts.iter().map(|item| self.evaluate(frame, item)).collect()),
            Expr::Dict(it) => {
                for item in &it.items {
                    let key = item.key.as_ref().map(|key| self.evaluate(frame, key));
                    self.evaluate(frame, &item.value);
                    if key.is_some_and(|key| key.is_literal(LOG_PATH_KEY)) {
                        self.unclear(expr.range());
                    }
                }
                None
            }
            Expr::Named(it) => {
                let value = self.evaluate(frame, &it.value);
                self.assign(frame, &it.target, value.clone());
                Some(value)
            }
            Expr::Compare(it) => {
                self.evaluate(frame, &it.left);
                it.comparators.iter().for_each(|side| drop(self.evaluate(frame, side)));
                None
            }
            Expr::UnaryOp(it) => {
                self.evaluate(frame, &it.operand);
                None
            }
            Expr::Await(it) => Some(self.evaluate(frame, &it.value)),
            Expr::Starred(it) => {
                self.evaluate(frame, &it.value);
                None
            }
            // Comprehensions and lambdas are not followed, so they had better not be about the variable.
            other => {
                self.mentions(other.range(), |mention| mention.visit_expr(other));
                None
            }
        };
        known.unwrap_or_else(|| self.thing())
    }

    /// The value of what `+=` and its like change.
    pub(super) fn evaluate_target(&mut self, frame: &mut Frame<'a>, target: &'a Expr) -> Value {
        match target {
            Expr::Name(_) => self.evaluate(frame, target),
            _ => self.thing(),
        }
    }

    /// A parameter's default, `None` where there is none.
    pub(super) fn default_of(&mut self, frame: &mut Frame<'a>, default: Option<&'a Expr>) -> Value {
        match default {
            Some(default) => self.evaluate(frame, default),
            None => self.thing(),
        }
    }

    fn name(&mut self, frame: &Frame<'a>, name: &str) -> Value {
        if let Some(value) = frame.variables.get(name) {
            return value.clone();
        }
        if name == CLASS {
            return Value::Class;
        }
        if let Some(text) = self.module_names.constant(name) {
            return Value::literal(text);
        }
        let local = frame.names.resolve(name);
        Value::Dotted(if local == name { self.module_names.resolve(name) } else { local })
    }

    fn attribute(&mut self, owner: Value, name: &str) -> Option<Value> {
        match (owner, name) {
            (Value::Instance, "job_id") => Some(Value::Text(Text::piece(Piece::JobId))),
            (Value::Instance, "rank_id") => Some(Value::Text(Text::piece(Piece::RankId))),
            (Value::Instance | Value::Class, "__class__") => Some(Value::Class),
            (Value::Instance, name) if self.attributes.contains_key(name) => self.attributes.get(name).cloned(),
            (Value::Instance | Value::Class, name) => self.class_names.constant(name).map(Value::literal),
            (Value::Dotted(path), name) => match format!("{path}.{name}") {
                path if path == "os.sep" || path == "os.path.sep" => Some(Value::literal("/")),
                path => Some(Value::Dotted(path)),
            },
            _ => None,
        }
    }

    pub(super) fn operate(&mut self, op: Operator, left: Value, right: Value) -> Value {
        let known = match (op, left, right) {
            (Operator::Add, Value::Text(left), Value::Text(right)) => left.then(right).map(Value::Text),
            (Operator::Add, Value::List(left), Value::List(right)) => Value::list([left, right].concat()),
            (Operator::Div, Value::Text(left), Value::Text(right)) => left.join(right).map(Value::Text),
            (Operator::Mod, Value::Text(template), values) => {
                let values = match values {
                    Value::List(values) => values.into_iter().map(Value::into_text).collect(),
                    value => value.into_text().map(|text| vec![text]),
                };
                template
                    .as_literal()
                    .zip(values)
                    .and_then(|(template, values)| Text::percent(template, &values))
                    .map(Value::Text)
            }
            _ => None,
        };
        known.unwrap_or_else(|| self.thing())
    }

    /// `a or b`, `a and b`: all but the first may not be evaluated.
    fn any_or_all(&mut self, frame: &mut Frame<'a>, op: BoolOp, operands: &'a [Expr]) -> Option<Value> {
        let mut values = Vec::new();
        let outer = self.guards.len();
        for operand in operands {
            values.push(self.evaluate(frame, operand));
            self.guards.push(Guard::Maybe);
        }
        self.guards.truncate(outer);
        match (op, values.as_slice()) {
            (BoolOp::Or, [Value::CodeCwdOnly | Value::CodeCwd, Value::Cwd]) => Some(Value::CodeCwd),
            _ => None,
        }
    }

    fn f_string(&mut self, frame: &mut Frame<'a>, string: &'a ExprFString) -> Option<Text> {
        let mut text = Some(Text::default());
        let mut add = |part: Option<Text>| {
            text = text.take().zip(part).and_then(|(text, part)| text.then(part));
        };
        for part in string.value.iter() {
            match part {
                FStringPart::Literal(literal) => add(Some(Text::literal(literal))),
                FStringPart::FString(string) => {
                    for element in &string.elements {
                        match element {
                            InterpolatedStringElement::Literal(literal) => add(Some(Text::literal(literal))),
                            InterpolatedStringElement::Interpolation(it) => {
                                let value = self.evaluate(frame, &it.expression);
                                let plain = it.debug_text.is_none()
                                    && it.format_spec.is_none()
                                    && matches!(it.conversion, ConversionFlag::None | ConversionFlag::Str);
                                add(value.into_text().filter(|_| plain));
                            }
                        }
                    }
                }
            }
        }
        text
    }

    /// Records it if what `walk` looks through, the text at `range`, has the variable's name in it.
    pub(super) fn mentions(&mut self, range: TextRange, walk: impl FnOnce(&mut Mention)) {
        // It is walked as a whole, each time that it is come to.
        if !self.step(1 + range.len().to_usize() / 16) {
            return;
        }
        let mut mention = Mention(false);
        walk(&mut mention);
        if mention.0 {
            self.unclear(range);
        }
    }
}

/// How often `body` assigns or deletes each attribute, of whatever object.
pub(super) fn attribute_assignments(body: &[Stmt]) -> HashMap<&str, usize> {
    let mut assignments = Assignments(HashMap::new());
    assignments.visit_body(body);
    assignments.0
}

struct Assignments<'a>(HashMap<&'a str, usize>);

impl<'a> Visitor<'a> for Assignments<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Attribute(it) = expr
            && it.ctx != ExprContext::Load
        {
            *self.0.entry(it.attr.as_str()).or_default() += 1;
        }
        visitor::walk_expr(self, expr);
    }
}

/// Looks for [`LOG_PATH_KEY`] as a string or a keyword.
pub(super) struct Mention(bool);

impl<'a> Visitor<'a> for Mention {
    fn visit_expr(&mut self, expr: &'a Expr) {
        self.0 |= matches!(expr, Expr::StringLiteral(it) if it.value.to_str() == LOG_PATH_KEY);
        visitor::walk_expr(self, expr);
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        self.0 |= keyword.arg.as_ref().is_some_and(|name| name.as_str() == LOG_PATH_KEY);
        visitor::walk_keyword(self, keyword);
    }
}
