//! Which module uses which, as the sources say it: by `use` and by paths in the text.

use std::collections::{BTreeMap, BTreeSet};

/// The path of a module from the root of its crate, which is empty.
type Module = Vec<String>;

/// One module uses another; both lie in the same folder, and the path is how the text says it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Whose folder it is.
    pub folder: Module,
    /// Who uses, by the name in the folder: what lies below counts as its own.
    pub from: String,
    /// Who is used.
    pub to: String,
    /// The module and the path in it, for people.
    pub said: String,
}

/// What modules of a crate use of each other, its tests aside. A file is told by its path below `src`.
pub fn arrows(files: &[(String, String)]) -> Vec<Arrow> {
    let is_test = |path: &str| path.split(['/', '.']).any(|part| part == "tests");
    let texts: BTreeMap<Module, String> =
        files.iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| (module(path), code(text))).collect();
    let sources = Sources {
        imports: texts.iter().map(|(module, text)| (module.clone(), imports(text))).collect(),
        modules: texts.keys().cloned().collect(),
    };
    let mut found = BTreeMap::new();
    for (user, text) in &texts {
        for path in paths(text) {
            let Some(used) = sources.resolve(user, &path, 0) else { continue };
            let shared = user.iter().zip(&used).take_while(|(one, other)| one == other).count();
            // A module and those below it are one family.
            if let (Some(from), Some(to)) = (user.get(shared), used.get(shared)) {
                let said = format!("{}: {}", user.join("::"), path.join("::"));
                found.entry((user[..shared].to_vec(), from.clone(), to.clone())).or_insert(said);
            }
        }
    }
    found.into_iter().map(|((folder, from, to), said)| Arrow { folder, from, to, said }).collect()
}

/// The arrows that are part of circles, or lie between two.
pub fn circles(mut arrows: Vec<Arrow>) -> Vec<Arrow> {
    loop {
        let ends = |end: fn(&Arrow) -> &String| -> BTreeSet<(Module, String)> {
            arrows.iter().map(|arrow| (arrow.folder.clone(), end(arrow).clone())).collect()
        };
        let (users, used) = (ends(|arrow| &arrow.from), ends(|arrow| &arrow.to));
        let before = arrows.len();
        arrows.retain(|Arrow { folder, from, to, .. }| {
            used.contains(&(folder.clone(), from.clone())) && users.contains(&(folder.clone(), to.clone()))
        });
        if arrows.len() == before {
            return arrows;
        }
    }
}

fn module(path: &str) -> Module {
    let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| ["lib", "main", "mod"].contains(&name.as_str())) {
        module.pop();
    }
    module
}

struct Sources {
    modules: BTreeSet<Module>,
    /// What each module calls things by, and what they are.
    imports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

impl Sources {
    /// The module that a path in another leads to. What is only handed on there is looked for where it comes from.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let (mut module, mut rest) = match path.first()?.as_str() {
            "crate" => (Module::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from[..from.len().checked_sub(supers)?].to_vec(), &path[supers..]),
            child if self.modules.contains(&below(from, child)) => (from.clone(), path),
            _ => return None,
        };
        while let [name, after @ ..] = rest
            && self.modules.contains(&below(&module, name))
        {
            (module, rest) = (below(&module, name), after);
        }
        if let [name, after @ ..] = rest
            && module != *from
            && depth < 8
            && let Some(import) = self.imports.get(&module).and_then(|imports| imports.get(name))
        {
            let handed_on = [import, after].concat();
            return self.resolve(&module, &handed_on, depth + 1).or(Some(module));
        }
        Some(module)
    }
}

fn below(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The text without comments, without what literals hold and without the tests at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut code = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|after| after.len() - after.trim_start_matches('#').len());
        let length = match rest.as_bytes() {
            [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'"', ..] => quoted(rest),
            [b'\'', b'\\', ..] => 3 + rest[3..].find('\'').unwrap_or(0),
            [b'\'', ..] if rest.chars().nth(2) == Some('\'') => rest.chars().take(3).map(char::len_utf8).sum(),
            _ => match raw {
                Some(marks) if !ends_a_word(&code) && rest[1 + marks..].starts_with('"') => {
                    let end = format!("\"{}", "#".repeat(marks));
                    let begin = 2 + marks;
                    rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
                }
                _ => {
                    code.push(letter);
                    rest = &rest[letter.len_utf8()..];
                    continue;
                }
            },
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

fn ends_a_word(code: &str) -> bool {
    code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
}

/// How long a string is, with its quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => return at + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Every path of `use`, and what it is called here.
fn used(code: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if !ends_a_word(&code[..at]) {
            let statement = code[at + 4..].split(';').next().unwrap_or_default();
            expand(&[], statement, &mut found);
        }
    }
    found
}

/// Reads `a::{b, c::{self, d as e}}`.
fn expand(before: &[String], text: &str, found: &mut Vec<(String, Vec<String>)>) {
    let (head, group) = match text.split_once('{') {
        Some((head, group)) => (head, Some(group.trim_end().strip_suffix('}').unwrap_or(group))),
        None => (text, None),
    };
    let (head, name) = head.split_once(" as ").map_or((head, None), |(head, name)| (head, Some(name.trim())));
    let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty());
    let mut path: Vec<String> = before.iter().cloned().chain(parts.map(str::to_owned)).collect();
    let Some(group) = group else {
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(last) = path.last().cloned() {
            found.push((name.map_or(last, str::to_owned), path));
        }
        return;
    };
    let (mut depth, mut begin) = (0, 0);
    for (at, letter) in group.char_indices().chain([(group.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&path, &group[begin..at], found);
                begin = at + 1;
            }
            _ => {}
        }
    }
}

fn imports(code: &str) -> BTreeMap<String, Vec<String>> {
    used(code).into_iter().collect()
}

/// Every path that may lead to another module of the crate.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = used(code).into_iter().map(|(_, path)| path).collect();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            if !ends_a_word(&code[..at]) && !code[..at].ends_with("::") {
                let end = code[at..].find(|letter: char| !(letter.is_alphanumeric() || "_:".contains(letter)));
                let path = &code[at..end.map_or(code.len(), |end| at + end)];
                found.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let files: Vec<(String, String)> = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        let short = |arrows: Vec<Arrow>| -> Vec<String> {
            let short = |Arrow { folder, from, to, .. }: Arrow| format!("{}/{from}>{to}", folder.join("/"));
            arrows.into_iter().map(short).collect()
        };
        (short(arrows(&files)), short(circles(arrows(&files))))
    }

    #[test]
    fn uses_and_paths_are_arrows_and_comments_literals_and_tests_are_none() {
        let a = "//! crate::z\nuse std::{fmt, io};\nuse crate::{b::{self, C as D}, c};\n\
            const X: &str = \"crate::z \\\" crate::z\";\nconst R: &str = r#\"crate::z\"#;\nconst Q: char = '\"';\n\
            fn f<'a>() { crate::d::e(&['\\'']); }\n// crate::z\n#[cfg(test)]\nmod tests {\n    use crate::z;\n}\n";
        let empty = ["b.rs", "c.rs", "d/mod.rs", "z.rs", "a/tests.rs"].map(|path| (path, "use crate::a;"));
        let (arrows, circles) = said(&[&[("a.rs", a), ("lib.rs", "mod a;")], &empty[..]].concat());
        assert_eq!(arrows, ["/a>b", "/a>c", "/a>d", "/b>a", "/c>a", "/d>a", "/z>a"]);
        assert_eq!(circles, ["/a>b", "/a>c", "/a>d", "/b>a", "/c>a", "/d>a"]);
    }

    #[test]
    fn what_is_handed_on_is_used_where_it_comes_from() {
        let files = [
            ("lib.rs", "mod a; mod b;\npub use a::A;\npub(crate) use self::b::inner::B;"),
            ("a.rs", "pub struct A(crate::B);"),
            ("b/mod.rs", "mod inner;\nmod other;"),
            ("b/inner.rs", "pub struct B(super::other::O);"),
            ("b/other.rs", "fn f(a: super::super::A) {}"),
        ];
        let both = ["/a>b", "/b>a", "b/inner>other"];
        assert_eq!(
            said(&files),
            (both.map(str::to_owned).into(), both[..2].iter().map(|arrow| (*arrow).into()).collect())
        );
    }

    #[test]
    fn a_folder_and_what_is_in_it_are_no_circle() {
        let files =
            [("a/mod.rs", "mod b;\nuse self::b::B;"), ("a/b.rs", "use super::A;\nuse crate::C;"), ("lib.rs", "")];
        assert_eq!(said(&files), (Vec::new(), Vec::new()));
    }
}
