//! Under which conditions a statement runs, and which of them do not matter.

use ruff_python_ast::{CmpOp, Expr, UnaryOp};
use ruff_text_size::TextSize;

use super::{Event, Frame, Meaning};
use crate::value::{LOG_PATH_KEY, Value};

/// A condition that a statement is under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The variable is not set yet.
    KeyAbsent,
    /// The folder does not exist yet.
    FolderAbsent(Value),
    /// None, but an error that the folder exists is caught.
    ExistsCaught,
    /// Some other: the statement may or may not run.
    Maybe,
}

impl<'a> Meaning<'a> {
    /// The condition that `test` puts on the block below it.
    pub(super) fn guard_of(&mut self, frame: &mut Frame<'a>, test: &'a Expr) -> Guard {
        let key_is_absent = match test {
            Expr::Compare(compare) => match (&*compare.ops, &*compare.comparators) {
                ([CmpOp::NotIn], _) => self.evaluate(frame, &compare.left).is_literal(LOG_PATH_KEY),
                ([CmpOp::Is | CmpOp::Eq], [Expr::NoneLiteral(_)]) => self.reads_key(frame, &compare.left),
                _ => false,
            },
            Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => match &*unary.operand {
                Expr::Compare(compare) if *compare.ops == [CmpOp::In] => {
                    self.evaluate(frame, &compare.left).is_literal(LOG_PATH_KEY)
                }
                Expr::Call(_) => match self.folder_asked_for(frame, &unary.operand) {
                    Some(folder) => return Guard::FolderAbsent(folder),
                    None => self.reads_key(frame, &unary.operand),
                },
                _ => false,
            },
            _ => false,
        };
        if key_is_absent { Guard::KeyAbsent } else { Guard::Maybe }
    }

    /// Whether `expr` is a call like `os.environ.get(key)`.
    fn reads_key(&mut self, frame: &mut Frame<'a>, expr: &'a Expr) -> bool {
        let Expr::Call(call) = expr else { return false };
        let is_reader = match &*call.func {
            Expr::Attribute(it) => matches!(it.attr.as_str(), "get" | "getenv"),
            Expr::Name(it) => it.id.as_str() == "getenv",
            _ => false,
        };
        let Some(first) = call.arguments.args.first() else { return false };
        is_reader && self.evaluate(frame, first).is_literal(LOG_PATH_KEY)
    }

    /// The path in `os.path.exists(path)` and its like.
    fn folder_asked_for(&mut self, frame: &mut Frame<'a>, expr: &'a Expr) -> Option<Value> {
        let Expr::Call(call) = expr else { return None };
        match (&*call.func, &*call.arguments.args) {
            (Expr::Attribute(it), []) if matches!(it.attr.as_str(), "exists" | "is_dir") => {
                Some(self.evaluate(frame, &it.value))
            }
            (func, [folder]) => match self.evaluate(frame, func) {
                Value::Dotted(path) if matches!(path.as_str(), "os.path.exists" | "os.path.isdir") => {
                    Some(self.evaluate(frame, folder))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Records that `environment` gets the variable here.
    pub(super) fn set(&mut self, environment: Value, value: Value, at: TextSize) {
        let sure = self.guards.iter().all(|guard| matches!(guard, Guard::KeyAbsent | Guard::ExistsCaught));
        self.events.push(Event::Set { environment, value, sure, at });
    }

    /// Records that `folder` is created here; `exist_ok` is whether the call bears that it exists.
    pub(super) fn create(&mut self, folder: Value, exist_ok: bool, at: TextSize) {
        let absent = Guard::FolderAbsent(folder.clone());
        let borne = exist_ok || self.guards.iter().any(|guard| *guard == absent || *guard == Guard::ExistsCaught);
        let sure = borne && self.guards.iter().all(|guard| *guard == absent || *guard == Guard::ExistsCaught);
        self.events.push(Event::Create { folder, sure, at });
    }
}
