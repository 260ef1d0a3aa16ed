//! Which module uses which, as the sources say it: by `use` and by paths in the text.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module from the root of its crate, which is empty.
type Module = Vec<String>;

/// A path in a module, and what `use` makes its last part be called there.
type Named = (Option<String>, Vec<String>);

/// One module uses another; both lie in the same folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Whose folder it is.
    pub folder: Module,
    /// Who uses, by the name in the folder: what lies below counts as its own.
    pub from: String,
    pub to: String,
    /// The module and the path in it, for people.
    pub said: String,
}

/// What modules of a crate use of each other, its tests aside. A file is told by its path below `src`.
pub fn arrows(files: &[(String, String)]) -> Vec<Arrow> {
    let is_test = |path: &str| path.split(['/', '.']).any(|part| part == "tests");
    let sources = files.iter().filter(|(path, _)| !is_test(path));
    let modules: BTreeMap<Module, Vec<Named>> = sources.map(|(path, text)| (module(path), paths(text))).collect();
    let mut found = BTreeMap::new();
    for (user, paths) in &modules {
        for (_, path) in paths {
            let Some(used) = resolve(&modules, user, path, 0) else { continue };
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

/// The module that a path in another leads to. What is only handed on there is looked for where it comes from.
fn resolve(modules: &BTreeMap<Module, Vec<Named>>, from: &Module, path: &[String], depth: usize) -> Option<Module> {
    let below = |module: &[String], name: &String| [module, std::slice::from_ref(name)].concat();
    let supers = path.iter().take_while(|part| *part == "super").count();
    let (mut module, mut rest) = match path.first()?.as_str() {
        "crate" => (Module::new(), &path[1..]),
        "self" => (from.clone(), &path[1..]),
        "super" => (from[..from.len().checked_sub(supers)?].to_vec(), &path[supers..]),
        _ if modules.contains_key(&below(from, &path[0])) => (from.clone(), path),
        _ => return None,
    };
    while let [name, after @ ..] = rest
        && modules.contains_key(&below(&module, name))
    {
        (module, rest) = (below(&module, name), after);
    }
    if let [name, after @ ..] = rest
        && module != *from
        && depth < 8
        && let Some((_, import)) = modules.get(&module)?.iter().find(|(called, _)| called.as_ref() == Some(name))
    {
        return resolve(modules, &module, &[import, after].concat(), depth + 1).or(Some(module));
    }
    Some(module)
}

/// Every path in a text, the tests at its end aside.
fn paths(text: &str) -> Vec<Named> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut found = Vec::new();
    collect(text.parse().unwrap(), &[], false, &mut found);
    found
}

/// Reads `a::b`, and in braces behind `::` what goes on with the path before them.
fn collect(stream: TokenStream, before: &[String], mut is_use: bool, found: &mut Vec<Named>) {
    let (mut path, mut colons, mut is_renamed) = (before.to_vec(), 0, false);
    let end = TokenTree::Punct(proc_macro2::Punct::new(';', proc_macro2::Spacing::Alone));
    for token in stream.into_iter().chain([end]) {
        let goes_on = colons == 2 || path.len() == before.len();
        match token {
            TokenTree::Punct(mark) if mark.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Ident(name) if is_use && name == "as" => is_renamed = true,
            TokenTree::Ident(name) if is_renamed => {
                found.push((Some(name.to_string()), std::mem::replace(&mut path, before.to_vec())));
                is_renamed = false;
            }
            TokenTree::Ident(name) if goes_on && name != "use" => path.push(name.to_string()),
            TokenTree::Group(group) if colons == 2 && group.delimiter() == Delimiter::Brace => {
                collect(group.stream(), &std::mem::replace(&mut path, before.to_vec()), is_use, found);
            }
            token => {
                if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                    path.pop();
                }
                if path.len() > before.len().max(1) || is_use && !path.is_empty() {
                    found.push((path.last().filter(|_| is_use).cloned(), path));
                }
                path = before.to_vec();
                match token {
                    TokenTree::Ident(name) if name == "use" => is_use = true,
                    TokenTree::Ident(name) => path.push(name.to_string()),
                    TokenTree::Group(group) => collect(group.stream(), &[], false, found),
                    TokenTree::Punct(mark) if mark.as_char() == ';' && before.is_empty() => is_use = false,
                    _ => {}
                }
            }
        }
        colons = 0;
    }
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
