//! The rules for Dockerfiles: those of `docker/` and those that are written into contexts. What they rule out either
//! fails on builders that users have, or makes another image on another day.

use super::instructions::{Instruction, directives, instructions};

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    /// The rule that is broken.
    pub message: String,
}

/// Instructions of docker 18.09 and the flags that it takes without BuildKit.
const KNOWN: [(&str, &[&str]); 17] = [
    ("ADD", &["chown"]),
    ("ARG", &[]),
    ("CMD", &[]),
    ("COPY", &["chown", "from"]),
    ("ENTRYPOINT", &[]),
    ("ENV", &[]),
    ("EXPOSE", &[]),
    ("FROM", &[]),
    ("HEALTHCHECK", &["interval", "retries", "start-period", "timeout"]),
    ("LABEL", &[]),
    ("ONBUILD", &[]),
    ("RUN", &[]),
    ("SHELL", &[]),
    ("STOPSIGNAL", &[]),
    ("USER", &[]),
    ("VOLUME", &[]),
    ("WORKDIR", &[]),
];

/// Everything that breaks a rule, by line.
pub fn faults(text: &str) -> Vec<Fault> {
    let all = instructions(text);
    let mut faults: Vec<Fault> = directives(text)
        .into_iter()
        .map(|(line, name, _)| fault(line, format!("`# {name}=` is BuildKit's, or changes how all the rest is read")))
        .collect();
    for one in &all {
        faults.extend(builder(one));
        faults.extend(packages(one));
        faults.extend(secrets(one));
    }
    faults.extend(bases(&all));
    faults.extend(sources(&all));
    faults.extend(user(&all));
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// The faults as people read them.
pub fn listed(file: &str, faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{file}:{}: {}", fault.line, fault.message));
    lines.collect::<Vec<String>>().join("\n")
}

fn fault(line: usize, message: impl Into<String>) -> Fault {
    Fault { line, message: message.into() }
}

/// What builders without BuildKit do not know.
fn builder(one: &Instruction) -> Vec<Fault> {
    let Instruction { line, name, flags, rest } = one;
    let Some((_, takes)) = KNOWN.iter().find(|(known, _)| known == name) else {
        return vec![fault(*line, format!("there is no instruction `{name}`"))];
    };
    let mut faults = Vec::new();
    for flag in flags {
        let flag = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
        if !takes.contains(&flag) {
            faults.push(fault(*line, format!("`{name} --{flag}` needs BuildKit or a newer docker than 18.09")));
        }
    }
    if ["RUN", "COPY", "ADD"].contains(&name.as_str()) && rest.split_whitespace().any(is_heredoc) {
        faults.push(fault(*line, "a here-document needs BuildKit"));
    }
    if ["ENV", "LABEL"].contains(&name.as_str()) && !rest.split_whitespace().next().unwrap_or_default().contains('=') {
        faults.push(fault(*line, format!("`{name} name value` takes all the rest for the value; write `name=value`")));
    }
    faults
}

fn is_heredoc(word: &str) -> bool {
    let Some((_, behind)) = word.split_once("<<") else { return false };
    let name = behind.trim_start_matches(['-', '"', '\'']);
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
}

/// Package managers, told so that they neither ask nor leave their caches in a layer.
fn packages(one: &Instruction) -> Vec<Fault> {
    let Instruction { line, name, rest, .. } = one;
    if name != "RUN" {
        return Vec::new();
    }
    let words: Vec<&str> = rest.split(|c: char| c.is_whitespace() || ",[]\"';&|()".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let calls = |program: &str, command: &str| {
        let at = words.iter().position(|word| *word == program)?;
        words[at..].contains(&command).then_some(())
    };
    let mut faults = Vec::new();
    if words.contains(&"apt") {
        faults.push(fault(*line, "`apt` is for people, and changes; use `apt-get`"));
    }
    if calls("apt-get", "install").is_some() {
        let wanted = [
            ("update", words.contains(&"update"), "an old list of packages would be used; `apt-get update` first"),
            ("-y", words.contains(&"-y") || words.contains(&"--yes"), "it would ask; give `-y`"),
            (
                "--no-install-recommends",
                words.contains(&"--no-install-recommends"),
                "it brings what nothing needs; give `--no-install-recommends`",
            ),
            (
                "lists",
                rest.contains("/var/lib/apt/lists"),
                "its lists would stay in the layer; end with `rm -rf /var/lib/apt/lists/*`",
            ),
        ];
        let lacking = wanted.into_iter().filter(|(_, there, _)| !there);
        faults.extend(lacking.map(|(_, _, why)| fault(*line, format!("`apt-get install`: {why}"))));
    }
    if words.iter().any(|word| word.starts_with("pip")) && words.contains(&"install") {
        if !words.contains(&"--no-cache-dir") {
            faults.push(fault(*line, "`pip install`: its cache would stay in the layer; give `--no-cache-dir`"));
        }
        if !words.contains(&"--no-index") {
            faults.push(fault(*line, "`pip install`: what it finds changes from day to day; give `--no-index`"));
        }
    }
    for program in ["curl", "wget", "git"] {
        if words.contains(&program) {
            faults.push(fault(
                *line,
                format!("`{program}` in a build: what it gets is in no lock; put it into the context"),
            ));
        }
    }
    faults
}

/// Secrets stay in the history of an image.
fn secrets(one: &Instruction) -> Option<Fault> {
    let Instruction { line, name, rest, .. } = one;
    let names = rest.split_whitespace().map(|word| word.split('=').next().unwrap_or_default().to_uppercase());
    let mut suspect = names.filter(|name| {
        let parts: Vec<&str> = name.split('_').collect();
        ["PASSWORD", "PASSWD", "TOKEN", "SECRET", "AK", "SK"].iter().any(|part| parts.contains(part))
    });
    let found = suspect.next().filter(|_| name == "ARG" || name == "ENV")?;
    Some(fault(*line, format!("`{found}` looks like a secret, and would stay in the image's history")))
}

/// Bases that are another image tomorrow.
fn bases(all: &[Instruction]) -> Vec<Fault> {
    let mut stages: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    if !all.iter().any(|one| one.name == "FROM") {
        faults.push(fault(1, "there is no `FROM`"));
    }
    for Instruction { line, rest, .. } in all.iter().filter(|one| one.name == "FROM") {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let image = filled(words.first().copied().unwrap_or_default(), all);
        match image {
            Some(image) if image == "scratch" || stages.contains(&image) => {}
            Some(image) if image.contains('@') => {}
            Some(image) => match image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
                None => faults.push(fault(*line, format!("`FROM {image}` has no tag, which means `latest`"))),
                Some((_, "latest")) => faults.push(fault(*line, "`latest` is another image tomorrow")),
                Some(_) => {}
            },
            // Whoever builds has to name it.
            None => {}
        }
        if let [_, keyword, stage] = words[..]
            && keyword.eq_ignore_ascii_case("as")
        {
            stages.push(stage.to_owned());
        }
    }
    faults
}

/// An image's name with the default of an `ARG` filled in; none where that has none.
fn filled(image: &str, all: &[Instruction]) -> Option<String> {
    let Some(name) = image.strip_prefix('$').map(|name| name.trim_matches(['{', '}'])) else {
        return Some(image.to_owned());
    };
    let args = all.iter().filter(|one| one.name == "ARG");
    let (_, default) = args.filter_map(|one| one.rest.trim().split_once('=')).find(|(arg, _)| *arg == name)?;
    Some(default.trim_matches('"').to_owned())
}

/// What comes from outside of the context, and installers that would stay in a layer.
fn sources(all: &[Instruction]) -> Vec<Fault> {
    let last = all.iter().rposition(|one| one.name == "FROM").unwrap_or_default();
    let mut faults = Vec::new();
    for (index, one) in all.iter().enumerate().filter(|(_, one)| one.name == "ADD" || one.name == "COPY") {
        let Instruction { line, name, flags, rest } = one;
        let words: Vec<&str> = rest.split(|c: char| c.is_whitespace() || ",[]\"".contains(c)).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        for source in &words[..words.len().saturating_sub(1)] {
            if source.contains("://") || source.starts_with("git@") {
                faults.push(fault(*line, format!("`{name}` of an address: what is there is in no lock")));
            }
            if index > last && source.ends_with(".run") && !flags.iter().any(|flag| flag.starts_with("--from=")) {
                faults.push(fault(*line, "an installer that the final stage copies stays in its layer for ever"));
            }
            if index > last && matches!(*source, "." | "./" | "/") {
                faults.push(fault(*line, "the whole context would be in the image; name what is meant"));
            }
        }
    }
    faults
}

/// The image must not start as root because something was done as root.
fn user(all: &[Instruction]) -> Option<Fault> {
    let last = all.iter().rposition(|one| one.name == "FROM").unwrap_or_default();
    let set = all[last.min(all.len())..].iter().rfind(|one| one.name == "USER");
    let user = set?.rest.trim();
    let is_root = matches!(user.split(':').next(), Some("root" | "0"));
    is_root
        .then(|| fault(set.map_or(1, |one| one.line), "the image would start as root; end with the image's own `USER`"))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The faults of a text whose first line is `FROM a:1`, as `line: first words`.
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = faults(&format!("FROM a:1\n{text}\n"))
            .iter()
            .map(|fault| format!("{}: {}", fault.line, fault.message))
            .collect();
        assert_eq!(found.len(), expected.len(), "`{text}`: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "`{text}`: {found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn what_needs_buildkit_is_refused() {
        check("RUN --mount=type=cache,target=/x true", &["2: `RUN --mount`"]);
        check("RUN --network=none true", &["2: `RUN --network`"]);
        check("COPY --chmod=755 a /a", &["2: `COPY --chmod`"]);
        check("COPY --link --chown=1:1 a /a", &["2: `COPY --link`"]);
        check("ADD --checksum=sha256:0 a /a", &["2: `ADD --checksum`"]);
        check("ADD --from=x a /a", &["2: `ADD --from`"]);
        check(
            "RUN <<EOF\ntrue\nEOF",
            &["2: a here-document", "3: there is no instruction", "4: there is no instruction"],
        );
        check("COPY <<-\"END\" /a", &["2: a here-document"]);
        check("RUN x=$((1 << 2))", &[]);
        check("COPY --chown=1:1 a /a", &[]);
        assert_eq!(faults("# syntax=docker/dockerfile:1\nFROM a:1\n").len(), 1);
        assert_eq!(faults("# escape=`\nFROM a:1\n").len(), 1);
        assert_eq!(faults("# a comment with = in it\nFROM a:1\n"), []);
        assert_eq!(faults("FROM --platform=linux/arm64 a:1\n").len(), 1);
    }

    #[test]
    fn a_base_is_the_same_tomorrow() {
        for good in ["a:1", "h:5000/a:1", "a@sha256:00", "scratch", "${BASE}", "a:1 AS one\nFROM one"] {
            assert_eq!(faults(&format!("FROM {good}\n")), [], "{good}");
        }
        for bad in ["a", "a:latest", "h:5000/a", "a:1 AS one\nFROM two"] {
            assert_eq!(faults(&format!("FROM {bad}\n")).len(), 1, "{bad}");
        }
        assert_eq!(faults("ARG BASE=a:latest\nFROM ${BASE}\n").len(), 1);
        assert_eq!(faults("ARG BASE=a:1\nFROM $BASE\n"), []);
        assert_eq!(faults("RUN true\n").len(), 1);
    }

    #[test]
    fn package_managers_leave_nothing_and_ask_nothing() {
        let right =
            "RUN apt-get update && apt-get install -y --no-install-recommends x \\\n && rm -rf /var/lib/apt/lists/*";
        check(right, &[]);
        check(&right.replace("-y ", ""), &["2: `apt-get install`: it would ask"]);
        check(&right.replace("--no-install-recommends ", ""), &["2: `apt-get install`: it brings"]);
        check(&right.replace("apt-get update && ", ""), &["2: `apt-get install`: an old list"]);
        check(&right.replace(" \\\n && rm -rf /var/lib/apt/lists/*", ""), &["2: `apt-get install`: its lists"]);
        check("RUN apt show x", &["2: `apt` is for people"]);
        check("RUN [\"pip3\", \"install\", \"--no-index\", \"x.whl\"]", &["2: `pip install`: its cache"]);
        check("RUN pip install --no-cache-dir x", &["2: `pip install`: what it finds"]);
        check("RUN curl -O http://x", &["2: `curl`"]);
    }

    #[test]
    fn nothing_comes_from_outside_and_no_installer_stays() {
        check("ADD https://x/y /y", &["2: `ADD` of an address"]);
        check("COPY a.run /tmp/", &["2: an installer"]);
        check("ADD [\"a.run\", \"/tmp/\"]", &["2: an installer"]);
        check("COPY a.run /tmp/\nFROM b:1\nCOPY --from=0 /usr/local/Ascend /usr/local/Ascend", &[]);
        check("COPY . /x", &["2: the whole context"]);
    }

    #[test]
    fn secrets_and_root_are_refused() {
        check("ARG SWR_PASSWORD", &["2: `SWR_PASSWORD`"]);
        check("ENV MY_TOKEN=x", &["2: `MY_TOKEN`"]);
        check("ENV TASK=x TOKENIZERS=1", &[]);
        check("USER root\nRUN true", &["2: the image would start as root"]);
        check("USER 0:0", &["2: the image would start as root"]);
        check("USER root\nRUN true\nUSER ma-user", &[]);
        check("USER root\nFROM b:1", &[]);
    }

    #[test]
    fn old_forms_and_typing_errors_are_refused() {
        check("ENV A b", &["2: `ENV name value`"]);
        check("LABEL \"a\"=\"b\"", &[]);
        check("MAINTAINER me", &["2: there is no instruction `MAINTAINER`"]);
        check("COPPY a b", &["2: there is no instruction `COPPY`"]);
    }

    #[test]
    fn every_dockerfile_of_the_repository_keeps_the_rules() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker");
        let mut seen = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with("Dockerfile") {
                let faults = faults(&fs::read_to_string(&path).unwrap());
                assert!(faults.is_empty(), "{}", listed(&name, &faults));
                seen += 1;
            }
        }
        assert!(seen > 0, "no Dockerfile was found");
    }
}
