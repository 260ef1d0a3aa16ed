//! One statement after the other.

use std::collections::HashMap;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{ExceptHandler, Expr, ExprContext, Operator, Stmt, StmtAssign, StmtIf, StmtTry};

use ruff_text_size::Ranged;

use super::guards::Guard;
use super::{Frame, Meaning};
use crate::value::{LOG_PATH_KEY, Value};

type Variables = HashMap<String, Value>;

impl<'a> Meaning<'a> {
    pub(super) fn run_body(&mut self, frame: &mut Frame<'a>, body: &'a [Stmt]) {
        for stmt in body {
            if !self.step(1) {
                return;
            }
            let returns = frame.returned.len();
            self.run(frame, stmt);
            if frame.returned.len() > returns {
                // Whatever comes later in this call, `enter` takes the guard away with the call.
                self.guards.push(Guard::Maybe);
            }
        }
    }

    fn run(&mut self, frame: &mut Frame<'a>, stmt: &'a Stmt) {
        match stmt {
            Stmt::Expr(it) => drop(self.evaluate(frame, &it.value)),
            Stmt::Assign(it) => self.run_assign(frame, it),
            Stmt::AnnAssign(it) => {
                if let Some(value) = &it.value {
                    let value = self.evaluate(frame, value);
                    self.assign(frame, &it.target, value);
                }
            }
            Stmt::AugAssign(it) => {
                let old = self.evaluate_target(frame, &it.target);
                if it.op == Operator::BitOr && matches!(old, Value::Thing(_)) {
                    self.update(frame, old, &it.value);
                } else {
                    let added = self.evaluate(frame, &it.value);
                    let new = self.operate(it.op, old, added);
                    self.assign(frame, &it.target, new);
                }
            }
            Stmt::Return(it) => {
                let value = it.value.as_deref().map(|value| self.evaluate(frame, value));
                let value = value.unwrap_or_else(|| self.thing());
                frame.returned.push(value);
            }
            Stmt::If(it) => self.run_if(frame, it),
            Stmt::For(it) => {
                self.evaluate(frame, &it.iter);
                self.forget_assigned(frame, &it.body);
                let before = frame.variables.clone();
                let item = self.thing();
                self.assign(frame, &it.target, item);
                self.run_guarded(frame, Guard::Maybe, &it.body);
                self.merge(frame, before);
                self.run_guarded(frame, Guard::Maybe, &it.orelse);
            }
            Stmt::While(it) => {
                self.forget_assigned(frame, &it.body);
                self.evaluate(frame, &it.test);
                let before = frame.variables.clone();
                self.run_guarded(frame, Guard::Maybe, &it.body);
                self.merge(frame, before);
                self.run_guarded(frame, Guard::Maybe, &it.orelse);
            }
            Stmt::With(it) => {
                for item in &it.items {
                    self.evaluate(frame, &item.context_expr);
                    if let Some(target) = &item.optional_vars {
                        let value = self.thing();
                        self.assign(frame, target, value);
                    }
                }
                self.run_body(frame, &it.body);
            }
            Stmt::Try(it) => self.run_try(frame, it),
            Stmt::Match(it) => {
                self.evaluate(frame, &it.subject);
                for case in &it.cases {
                    let pattern = &case.pattern;
                    self.mentions(pattern.range(), |mention| mention.visit_pattern(pattern));
                    let before = frame.variables.clone();
                    self.run_guarded(frame, Guard::Maybe, &case.body);
                    self.merge(frame, before);
                }
            }
            Stmt::Delete(it) => {
                for target in &it.targets {
                    self.mentions(target.range(), |mention| mention.visit_expr(target));
                }
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => frame.names.import(stmt),
            // Not followed, so they had better not be about the variable.
            Stmt::FunctionDef(it) => {
                self.mentions(it.range, |mention| mention.visit_body(&it.body));
                let value = self.thing();
                frame.variables.insert(it.name.to_string(), value);
            }
            Stmt::ClassDef(it) => self.mentions(it.range, |mention| mention.visit_body(&it.body)),
            _ => {}
        }
    }

    /// Before a loop: what its body assigns may come from the round before.
    fn forget_assigned(&mut self, frame: &mut Frame<'a>, body: &'a [Stmt]) {
        let length = body.iter().map(|stmt| stmt.range().len().to_usize()).sum::<usize>();
        if !self.step(1 + length / 16) {
            return;
        }
        let mut assigned = Assigned(Vec::new());
        assigned.visit_body(body);
        for name in assigned.0 {
            let value = self.thing();
            frame.variables.insert(name.to_owned(), value);
        }
    }

    fn run_assign(&mut self, frame: &mut Frame<'a>, assign: &'a StmtAssign) {
        let value = self.evaluate(frame, &assign.value);
        for target in &assign.targets {
            self.assign(frame, target, value.clone());
        }
    }

    /// `target = value`.
    pub(super) fn assign(&mut self, frame: &mut Frame<'a>, target: &'a Expr, value: Value) {
        match target {
            Expr::Name(name) => drop(frame.variables.insert(name.id.to_string(), value)),
            Expr::Subscript(it) => {
                let mapping = self.evaluate(frame, &it.value);
                if self.evaluate(frame, &it.slice).is_literal(LOG_PATH_KEY) {
                    self.set(mapping, value, target.start());
                }
            }
            Expr::Attribute(it) if frame.function.name.as_str() == "__init__" => {
                let owner = self.evaluate(frame, &it.value);
                let once = self.assignments.get(it.attr.as_str()) == Some(&1);
                if owner == Value::Instance && once {
                    self.attributes.insert(it.attr.to_string(), value);
                }
            }
            Expr::Tuple(it) => self.unpack(frame, &it.elts, value),
            Expr::List(it) => self.unpack(frame, &it.elts, value),
            Expr::Starred(it) => {
                let value = self.thing();
                self.assign(frame, &it.value, value);
            }
            _ => {}
        }
    }

    fn unpack(&mut self, frame: &mut Frame<'a>, targets: &'a [Expr], value: Value) {
        let values = match value {
            Value::List(values) if values.len() == targets.len() => values,
            _ => targets.iter().map(|_| self.thing()).collect(),
        };
        for (target, value) in targets.iter().zip(values) {
            self.assign(frame, target, value);
        }
    }

    fn run_if(&mut self, frame: &mut Frame<'a>, stmt: &'a StmtIf) {
        self.evaluate(frame, &stmt.test);
        let guard = self.guard_of(frame, &stmt.test);
        let before = frame.variables.clone();
        self.run_guarded(frame, guard, &stmt.body);
        for clause in &stmt.elif_else_clauses {
            let after = std::mem::replace(&mut frame.variables, before.clone());
            if let Some(test) = &clause.test {
                self.evaluate(frame, test);
            }
            self.run_guarded(frame, Guard::Maybe, &clause.body);
            self.merge(frame, after);
        }
        if stmt.elif_else_clauses.iter().all(|clause| clause.test.is_some()) {
            self.merge(frame, before);
        }
    }

    fn run_try(&mut self, frame: &mut Frame<'a>, stmt: &'a StmtTry) {
        let catches_exists = stmt.handlers.iter().any(|ExceptHandler::ExceptHandler(handler)| {
            let Some(Expr::Name(name)) = handler.type_.as_deref() else { return false };
            matches!(name.id.as_str(), "FileExistsError" | "OSError")
        });
        let before = frame.variables.clone();
        let outer = self.guards.len();
        if catches_exists {
            self.guards.push(Guard::ExistsCaught);
        }
        self.run_body(frame, &stmt.body);
        if catches_exists {
            self.guards.remove(outer);
        }
        self.run_body(frame, &stmt.orelse);
        for ExceptHandler::ExceptHandler(handler) in &stmt.handlers {
            let after = std::mem::replace(&mut frame.variables, before.clone());
            if let Some(name) = &handler.name {
                let value = self.thing();
                frame.variables.insert(name.to_string(), value);
            }
            self.run_guarded(frame, Guard::Maybe, &handler.body);
            self.merge(frame, after);
        }
        self.run_body(frame, &stmt.finalbody);
    }

    /// Runs `body` under `guard`; the guards that its `return`s leave stay, the given one goes.
    fn run_guarded(&mut self, frame: &mut Frame<'a>, guard: Guard, body: &'a [Stmt]) {
        let at = self.guards.len();
        self.guards.push(guard);
        self.run_body(frame, body);
        self.guards.remove(at);
    }

    /// After a branch: variables that are not the same with and without it become new things.
    fn merge(&mut self, frame: &mut Frame<'a>, other: Variables) {
        self.step(other.len());
        let mut differing: Vec<String> = other
            .iter()
            .filter(|(name, value)| frame.variables.get(*name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect();
        differing.extend(frame.variables.keys().filter(|name| !other.contains_key(*name)).cloned());
        // In a fixed order, because things are numbered.
        differing.sort_unstable();
        for name in differing {
            let value = self.thing();
            frame.variables.insert(name, value);
        }
    }
}

/// Collects the names that are assigned or deleted; those of nested functions too, which does no harm.
struct Assigned<'a>(Vec<&'a str>);

impl<'a> Visitor<'a> for Assigned<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr
            && name.ctx != ExprContext::Load
        {
            self.0.push(name.id.as_str());
        }
        visitor::walk_expr(self, expr);
    }
}
