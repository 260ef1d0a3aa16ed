//! Edit *log-path*: before the `return` of `FMK.gen_env_for_fmk`, name the folder of the process logs and create it.

use file_edit::Splice;
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt, StmtFunctionDef, StmtReturn};
use ruff_text_size::{Ranged, TextSize};

use crate::class_facts;
use crate::edit::Status;
use crate::lines::{ending_before, ending_of_line, line_at, start_of_line};
use crate::meaning::{Event, Followed, Meaning};
use crate::os_module::{self, Os};
use crate::outcome::{Outcome, conflict};
use crate::scope;
use crate::script::{CLASS, Fmk, Script, at_lines, self_of, statements_of_scope};
use crate::value::{LOG_PATH_KEY, Text, Value};

const METHOD: &str = "gen_env_for_fmk";

/// The variables that the new statements assign.
const VARIABLES: [&str; 2] = ["log_dir", "process_log_path"];

/// Appendix B of the manual, word for word but for the names of the instance and of the environment.
fn statements(instance: &str, environment: &str) -> [String; 4] {
    [
        "log_dir = FMK.get_log_dir()".to_owned(),
        format!(
            "process_log_path = os.path.join(log_dir, {instance}.job_id, 'ascend', 'process_log', 'rank_' + {instance}.rank_id)"
        ),
        format!("FMK.set_env_if_not_exist({environment}, 'ASCEND_PROCESS_LOG_PATH', process_log_path)"),
        format!("os.makedirs({environment}['ASCEND_PROCESS_LOG_PATH'], exist_ok=True)"),
    ]
}

/// Judges the edit on `script`.
pub fn judge<'a>(script: &'a Script<'a>, fmk: &Fmk<'a>, meaning: &mut Meaning<'a>) -> Result<Outcome, Status> {
    let method = fmk.method(METHOD)?;
    if let Some(lines) = find_present(script, &meaning.follow(method))? {
        return Ok(Outcome::Done(Status::AlreadyApplied { lines }));
    }
    if let Some(at) = set_in_run(fmk, meaning) {
        let line = line_at(script.text.as_bytes(), at.to_usize());
        return Err(conflict(format!("line {line} sets {LOG_PATH_KEY} outside `{CLASS}.{METHOD}`")));
    }
    let (stmt, environment) = find_return(script, method)?;
    let instance =
        self_of(method).ok_or_else(|| conflict(format!("`{CLASS}.{METHOD}` is not a method of an instance")))?;
    check_names(script, method, stmt, &[instance, environment])?;
    class_facts::check_helper(script, fmk, "get_log_dir", 0)?;
    class_facts::check_helper(script, fmk, "set_env_if_not_exist", 3)?;
    class_facts::check_attribute(script, fmk, "job_id")?;
    class_facts::check_attribute(script, fmk, "rank_id")?;
    let insertion = insertion(script, stmt, instance, environment)?;
    let import = match os_module::judge(script, fmk, &[method], stmt.start()) {
        Os::Module => None,
        Os::Missing(import) => Some(import),
        Os::Taken(reason) => return Err(conflict(reason)),
    };
    let lines = vec![script.line(stmt)];
    Ok(Outcome::Change { lines, splices: import.into_iter().chain([insertion]).collect() })
}

/// The lines of an equivalent block, if there is one; an error if there is one that is not quite equivalent.
fn find_present(script: &Script<'_>, followed: &Followed) -> Result<Option<Vec<usize>>, Status> {
    let line = |at: TextSize| line_at(script.text.as_bytes(), at.to_usize());
    if followed.gave_up {
        return Err(conflict(format!("`{CLASS}.{METHOD}` is too involved to tell what it sets")));
    }
    let returned = followed.returned.first().filter(|first| followed.returned.iter().all(|other| other == *first));
    let mut set_at = None;
    for (place, event) in followed.events.iter().enumerate() {
        match event {
            Event::Unclear { at } => {
                return Err(conflict(format!(
                    "line {} does something with {LOG_PATH_KEY} that is not understood",
                    line(*at)
                )));
            }
            Event::Set { environment, value, sure, at } => {
                let wrong = if returned != Some(environment) {
                    Some(", but not in what is returned")
                } else if !matches!(value, Value::Text(path) if path.same_path(&Text::process_log_path())) {
                    Some(" to another path")
                } else if !sure {
                    Some(" only under a condition")
                } else {
                    None
                };
                if let Some(wrong) = wrong {
                    return Err(conflict(format!("line {} sets {LOG_PATH_KEY}{wrong}", line(*at))));
                }
                set_at.get_or_insert((place, *at));
            }
            Event::Create { .. } => {}
        }
    }
    let Some((place, set_at)) = set_at else { return Ok(None) };
    let set_line = line(set_at);
    let created = || {
        followed.events.iter().enumerate().filter_map(|(at_place, event)| match event {
            // What the environment names can't be created before it is set, but the path itself can.
            Event::Create { folder: Value::Entry(_), .. } if at_place < place => None,
            Event::Create { folder, sure, at } if is_log_path(folder, returned) => Some((*sure, *at)),
            _ => None,
        })
    };
    match (created().find(|(sure, _)| *sure), created().next()) {
        (Some((_, at)), _) => {
            let mut lines = vec![set_line, line(at)];
            lines.sort_unstable();
            Ok(Some(lines))
        }
        (None, Some((_, at))) => Err(conflict(format!(
            "line {set_line} sets {LOG_PATH_KEY}, but line {} does not create its folder in every case",
            line(at)
        ))),
        (None, None) => Err(conflict(format!("line {set_line} sets {LOG_PATH_KEY}, but its folder is not created"))),
    }
}

/// Where `FMK.run` sets the variable by itself, so that the new statements would set it a second time.
fn set_in_run<'a>(fmk: &Fmk<'a>, meaning: &mut Meaning<'a>) -> Option<TextSize> {
    let followed = meaning.follow(fmk.method("run").ok()?);
    followed.events.iter().find_map(|event| match event {
        Event::Set { at, .. } | Event::Unclear { at } => Some(*at),
        Event::Create { .. } => None,
    })
}

/// Whether `folder` is the one that the environment `returned` names.
fn is_log_path(folder: &Value, returned: Option<&Value>) -> bool {
    match folder {
        Value::Entry(thing) => returned == Some(&Value::Thing(*thing)),
        Value::Text(path) => path.same_path(&Text::process_log_path()),
        _ => false,
    }
}

/// The only `return` of `method` itself, and the variable that it returns.
fn find_return<'a>(script: &Script<'_>, method: &'a StmtFunctionDef) -> Result<(&'a StmtReturn, &'a str), Status> {
    let returns: Vec<&StmtReturn> =
        statements_of_scope(&method.body).into_iter().filter_map(|stmt| stmt.as_return_stmt()).collect();
    let stmt = match returns.as_slice() {
        [] => return Err(Status::NotFound { reason: format!("`{CLASS}.{METHOD}` has no `return`") }),
        [stmt] => stmt,
        several => {
            let lines = at_lines(several.iter().map(|stmt| script.line(*stmt)));
            return Err(Status::Ambiguous { reason: format!("`{CLASS}.{METHOD}` returns {lines}") });
        }
    };
    let Some(Expr::Name(name)) = stmt.value.as_deref() else {
        let line = script.line(*stmt);
        return Err(conflict(format!("`{CLASS}.{METHOD}` returns something other than a variable at line {line}")));
    };
    let uses = scope::of_function(method, name.id.as_str());
    if uses.declared_elsewhere || uses.bindings.is_empty() {
        return Err(conflict(format!("`{}`, which `{CLASS}.{METHOD}` returns, is no variable of its own", name.id)));
    }
    Ok((stmt, name.id.as_str()))
}

/// The names of the new statements must mean there what they should, and take nothing from the old ones.
fn check_names(
    script: &Script<'_>,
    method: &StmtFunctionDef,
    stmt: &StmtReturn,
    taken: &[&str; 2],
) -> Result<(), Status> {
    let [instance, _] = taken;
    if scope::of_function(method, instance).bindings.len() > 1 {
        return Err(conflict(format!("`{instance}` is assigned in `{CLASS}.{METHOD}`")));
    }
    if let Some(binding) = scope::of_function(method, CLASS).bindings.first() {
        let line = line_at(script.text.as_bytes(), binding.at.to_usize());
        return Err(conflict(format!("`{CLASS}` is something else in `{CLASS}.{METHOD}`: see line {line}")));
    }
    let is_last = method.body.iter().any(|it| matches!(it, Stmt::Return(it) if it.range() == stmt.range()));
    for variable in VARIABLES {
        let uses = scope::of_function(method, variable);
        let mut reads = Reads { name: variable, own: false, inner: false, depth: 0 };
        reads.visit_body(&method.body);
        // Assigned and used before the last statement, it may be assigned again.
        let free = if uses.bindings.is_empty() { !reads.own && !reads.inner } else { is_last && !reads.inner };
        if uses.declared_elsewhere || !free || taken.contains(&variable) {
            return Err(conflict(format!("`{CLASS}.{METHOD}` uses the name `{variable}` for something else")));
        }
    }
    Ok(())
}

/// Whether a name occurs in a function, and whether in what may run later.
struct Reads<'n> {
    name: &'n str,
    own: bool,
    inner: bool,
    depth: usize,
}

impl<'a> Visitor<'a> for Reads<'_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        let inner = usize::from(matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)));
        self.depth += inner;
        visitor::walk_stmt(self, stmt);
        self.depth -= inner;
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if matches!(expr, Expr::Name(it) if it.id == self.name) {
            self.own |= self.depth == 0;
            self.inner |= self.depth > 0;
        }
        let inner = usize::from(matches!(expr, Expr::Lambda(_) | Expr::Generator(_)));
        self.depth += inner;
        visitor::walk_expr(self, expr);
        self.depth -= inner;
    }
}

fn insertion(script: &Script<'_>, stmt: &StmtReturn, instance: &str, environment: &str) -> Result<Splice, Status> {
    let text = script.text.as_bytes();
    let at = stmt.start().to_usize();
    let line = script.line(stmt);
    let start = start_of_line(text, at);
    let indentation = &text[start..at];
    let begins_its_line = indentation.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\x0c'));
    let after_newline = script.token_before(stmt.start()).is_none_or(|token| token.kind() == TokenKind::Newline);
    if !begins_its_line || !after_newline || script.joins_lines_before(stmt.start()) {
        return Err(conflict(format!("the `return` at line {line} shares its line with another statement")));
    }
    let ending = match ending_of_line(text, at) {
        b"" => ending_before(text, start),
        ending => ending,
    };
    let mut new = Vec::new();
    for statement in statements(instance, environment) {
        new.extend_from_slice(indentation);
        new.extend_from_slice(statement.as_bytes());
        new.extend_from_slice(ending);
    }
    Ok(Splice::insert(start, new))
}
