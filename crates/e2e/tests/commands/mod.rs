//! The commands that the documents show, for every test that reads them: each parser is tested where it is.

use std::{fs, path::Path};

/// The page and the words of every command in blocks of `shell`, and of every `cargo xtask …` in prose that is one
/// command and not the form of several.
pub fn shown() -> Vec<(String, Vec<String>)> {
    let pages = pages();
    let of_page = |(page, text): &(String, String)| -> Vec<(String, Vec<String>)> {
        let (prose, blocks) = parts(text);
        let in_blocks = blocks.iter().flat_map(|block| block.lines()).map(words).filter(|words| !words.is_empty());
        let spans = prose.split('`').skip(1).step_by(2);
        let whole = spans.filter(|span| span.starts_with("cargo xtask ") && !span.contains(['…', '|']));
        let mut in_prose: Vec<Vec<String>> = whole.map(words).collect();
        in_prose.sort();
        in_prose.dedup();
        in_blocks.chain(in_prose).map(|words| (page.clone(), words)).collect()
    };
    pages.iter().flat_map(of_page).collect()
}

/// Every page of the documents by its path in the workspace.
pub fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("Cargo.lock").exists());
    let root = root.unwrap();
    let mut pages = Vec::new();
    for folder in ["", "docs/en", "docs/zh", "docker", "pkg", "crates/launcher"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                pages.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    pages.sort();
    pages
}

/// A page's prose, and its blocks of shell commands with continued lines as one.
pub fn parts(text: &str) -> (String, Vec<String>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 0 {
            prose.push_str(part);
        } else if let Some(block) = part.strip_prefix("shell\n") {
            blocks.push(block.replace("\\\n", ""));
        }
    }
    (prose, blocks)
}

/// A line's words as a shell splits them. Comments are in the reader's language and are left out.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut quote, mut within) = (None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '#') if !within => break,
            (None, '\'' | '"') => {
                quote = Some(letter);
                if !within {
                    words.push(String::new());
                }
                within = true;
            }
            (None, _) if letter.is_whitespace() => within = false,
            _ => {
                if !within {
                    words.push(String::new());
                }
                within = true;
                words.last_mut().unwrap().push(letter);
            }
        }
    }
    words
}
