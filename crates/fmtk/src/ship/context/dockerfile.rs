//! The text of a context's Dockerfile: a pure function of the image.

use oci_image::ConfigEdits;

use crate::terminal::report::Problems;

/// What the text begins with, by which an earlier context is known.
pub const FIRST: &str = "# fmtk: build context of ";

/// The text; an error where the config holds what no Dockerfile can say. `base` is what `FROM` takes, `steps` are the lines
/// of the layers, bottom to top, and `config` is what the image's config has that the base's has not.
pub fn dockerfile(
    image: &str,
    base: &str,
    base_said: &str,
    steps: &str,
    config: &ConfigEdits,
) -> anyhow::Result<String> {
    let ConfigEdits { env, labels, user, working_dir, .. } = config;
    let mut problems = Problems::default();
    let lines = |text: &str| text.contains(['\n', '\r', '\0']);
    let named = env.iter().map(|(name, value)| ("variable", name, value));
    for (kind, name, value) in named.chain(labels.iter().map(|(name, value)| ("label", name, value))) {
        if lines(name) || lines(value) {
            let hint = "write a `docker-archive:FILE` instead".to_owned();
            problems.push(
                format_args!("the {kind} `{name}` has a line break, which a Dockerfile can't express"),
                Some(hint),
            );
        }
    }
    problems.into_result()?;
    let variables: Vec<(String, &str)> = env.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
    let labels: Vec<(String, &str)> = labels.iter().map(|(name, value)| (quoted(name), value.as_str())).collect();
    let config = [pairs("ENV", &variables), pairs("LABEL", &labels)].concat();
    Ok(format!(
        include_str!("../../../../../docker/context.Dockerfile.in"),
        IMAGE = one_line(image),
        BASE_SAID = format_args!("# {}", one_line(base_said)),
        BASE = base,
        LAYERS = steps,
        CONFIG = config.trim_end(),
        WORKDIR = word(working_dir.as_deref().unwrap_or("/")),
        USER = word(user.as_deref().unwrap_or("0:0")),
    ))
}

/// The lines that unpack an archive of the context; what it holds is `said`.
pub fn unpack(said: &str, file: &str) -> String {
    format!("\n# {}\nADD {file} /\n", one_line(said))
}

/// The lines that remove paths of the layers below; why is `said`.
pub fn remove(said: &str, paths: &[String]) -> String {
    // As a list, no shell reads the names, nor is one needed; a line each, as builders limit the length of lines.
    let paths: Vec<String> = paths.iter().map(|path| format!("     {}", json(path))).collect();
    format!("\n# {}\nRUN [\"rm\", \"-rf\", \"--\", \\\n{}]\n", one_line(said), paths.join(", \\\n"))
}

/// An instruction of names and values, a line each.
fn pairs(instruction: &str, pairs: &[(String, &str)]) -> String {
    let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("{instruction} {}\n", lines.join(" \\\n    ")),
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value in double quotes, in which nothing is a variable.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, &['\\', '"', '$']))
}

/// The rest of a line, in which nothing is a variable nor a quote.
fn word(text: &str) -> String {
    escaped(text, &['\\', '"', '\'', '$'])
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if special.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A comment must not end before its text does.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &ConfigEdits) -> anyhow::Result<String> {
        dockerfile("a:b", "c", "The base.", "", config)
    }

    #[test]
    fn a_config_without_variables_and_labels_has_no_such_lines() {
        let text = of(&ConfigEdits { user: Some("1000".to_owned()), ..ConfigEdits::default() }).unwrap();
        assert_eq!(text.split_once("USER root\n").unwrap().1, "\n\nWORKDIR /\nUSER 1000\n");
    }

    #[test]
    fn line_breaks_are_refused_by_name() {
        let labels = [("note".to_owned(), "a\nUSER root".to_owned())].into();
        let error = of(&ConfigEdits { labels, ..ConfigEdits::default() }).unwrap_err();
        assert_eq!(error.to_string(), "the label `note` has a line break, which a Dockerfile can't express");
    }
}
