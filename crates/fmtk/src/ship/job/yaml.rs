//! JSON values as YAML, in the block style that people edit.

use serde_json::Value;

/// The documents as one file.
pub fn documents(documents: impl IntoIterator<Item = Value>) -> String {
    let text = |document: Value| lines(&document).join("\n") + "\n";
    documents.into_iter().map(text).collect::<Vec<_>>().join("---\n")
}

/// The lines of a value that begins in the first column.
fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().flat_map(|(key, value)| member(&scalar(key), value)).collect()
        }
        Value::Array(items) if !items.is_empty() => items.iter().flat_map(item).collect(),
        Value::Object(_) => vec!["{}".to_owned()],
        Value::Array(_) => vec!["[]".to_owned()],
        Value::String(text) => vec![scalar(text)],
        Value::Null | Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

fn member(key: &str, value: &Value) -> Vec<String> {
    let inner = lines(value);
    let is_block = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    match is_block {
        true => std::iter::once(format!("{key}:")).chain(inner.iter().map(|line| format!("  {line}"))).collect(),
        false => vec![format!("{key}: {}", inner.concat())],
    }
}

fn item(value: &Value) -> Vec<String> {
    let mark = |at: usize| if at == 0 { "- " } else { "  " };
    lines(value).iter().enumerate().map(|(at, line)| format!("{}{line}", mark(at))).collect()
}

/// The text as it is where no parser could take it for anything else, else in double quotes.
fn scalar(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    // What YAML 1.1 has for booleans and nothing.
    let means_other = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    if starts && text.chars().all(is_plain) && !means_other.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    // JSON's strings are YAML's, but for the characters that YAML wants escaped and JSON does not.
    let escaped = |letter: char| match letter {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
            format!("\\u{:04x}", u32::from(letter))
        }
        other => other.to_string(),
    };
    Value::from(text).to_string().chars().map(escaped).collect()
}

#[cfg(test)]
pub mod tests;
