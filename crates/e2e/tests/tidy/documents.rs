//! The documents: nothing in them leads nowhere, and what one language says the other says too.

use std::collections::{BTreeMap, BTreeSet};

use crate::{commands, files, refuse, workspace};

/// The English and the Chinese page of each subject.
fn pairs() -> Vec<(String, String)> {
    let pages = commands::pages().into_iter().map(|(page, _)| page);
    let english = pages.filter_map(|page| Some((page.clone(), page.strip_prefix("docs/en/")?.to_owned())));
    let mut pairs: Vec<(String, String)> = english.map(|(page, name)| (page, format!("docs/zh/{name}"))).collect();
    assert!(pairs.len() > 8, "`docs/en` has next to no pages");
    pairs.push(("README.md".to_owned(), "README.zh-CN.md".to_owned()));
    pairs
}

fn texts() -> BTreeMap<String, String> {
    commands::pages().into_iter().collect()
}

#[test]
fn every_page_is_there_in_english_and_in_chinese() {
    let pages = texts();
    let of = |folder: &str| -> BTreeSet<String> {
        pages.keys().filter_map(|page| page.strip_prefix(folder)).map(str::to_owned).collect()
    };
    assert_eq!(of("docs/en/"), of("docs/zh/"));
}

#[test]
fn both_languages_show_the_same_commands() {
    let shown = commands::shown();
    let of = |page: &str| -> Vec<String> {
        shown.iter().filter(|(of, _)| of == page).map(|(_, words)| words.join(" ")).collect()
    };
    for (english, chinese) in pairs() {
        assert_eq!(of(&english), of(&chinese), "`{english}` and `{chinese}`");
    }
    assert!(of("README.md").len() >= 2, "README.md shows no commands");
}

#[test]
fn both_languages_name_the_same_things() {
    let pages = texts();
    let named = |page: &str| -> BTreeSet<String> {
        let (prose, _) = commands::parts(&pages[page]);
        prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut lonely = Vec::new();
    for (english, chinese) in pairs() {
        let (english_names, chinese_names) = (named(&english), named(&chinese));
        lonely.extend(english_names.difference(&chinese_names).map(|name| format!("only in {english}: `{name}`")));
        lonely.extend(chinese_names.difference(&english_names).map(|name| format!("only in {chinese}: `{name}`")));
    }
    refuse("name it in both languages", lonely);
    assert!(named("docs/en/jobs.md").len() > 20, "`docs/en/jobs.md` names next to nothing");
}

#[test]
fn the_readmes_fit_a_reader_in_a_hurry() {
    let pages = texts();
    for page in ["README.md", "README.zh-CN.md"] {
        let lines = pages[page].lines().count();
        assert!(lines <= 150, "`{page}` has {lines} lines, more than 150: move a part to `docs/`");
    }
}

#[test]
fn the_readmes_lead_to_every_page() {
    let pages = texts();
    let mut lost = Vec::new();
    for (english, chinese) in pairs().into_iter().filter(|(english, _)| english != "README.md") {
        for (readme, page) in [("README.md", english), ("README.zh-CN.md", chinese)] {
            if !pages[readme].contains(&format!("]({page})")) {
                lost.push(format!("{readme}: {page}"));
            }
        }
    }
    refuse("link the page", lost);
}

/// The targets of the links in a page, code left out.
fn links(text: &str) -> Vec<String> {
    let (prose, _) = commands::parts(text);
    let outside: String = prose.split('`').step_by(2).collect();
    let targets = outside.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    targets.collect()
}

/// What a heading is called in links, as GitHub makes it: small letters, no punctuation, blanks as hyphens.
fn anchors(text: &str) -> BTreeSet<String> {
    let (prose, _) = commands::parts(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let pages = texts();
    let mut broken = Vec::new();
    let mut seen = 0;
    for (page, text) in &pages {
        for link in links(text).into_iter().filter(|link| !link.starts_with("https://")) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let page_folder = workspace().join(page).parent().unwrap().to_owned();
            let target = if path.is_empty() { workspace().join(page) } else { page_folder.join(path) };
            // One that leads out of the workspace is not there for others.
            let target = target.canonicalize().ok().filter(|target| target.is_file());
            let name = target.and_then(|it| Some(it.strip_prefix(workspace().canonicalize().ok()?).ok()?.to_owned()));
            let is_there = name.is_some_and(|name| {
                let text = pages.get(&*name.to_string_lossy());
                anchor.is_empty() || text.is_some_and(|text| anchors(text).contains(anchor))
            });
            if !is_there {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(seen > 80, "found next to no links");
    refuse("name what is there", broken);
}

/// Readers search the troubleshooting page for the words on their terminal. `…` in it stands for what differs.
#[test]
fn messages_to_look_up_are_in_the_sources() {
    let sources = files(&[".rs"]).into_iter().filter(|(path, _)| !path.starts_with("crates/e2e/"));
    // String literals that go on in the next line are one line to whoever reads the message.
    let joined = sources.map(|(_, text)| text.split("\\\n").map(str::trim_start).collect::<String>());
    let sources = joined.collect::<Vec<String>>().join("\n");
    let pages = texts();
    let rows = pages["docs/en/troubleshooting.md"].lines().filter_map(|line| line.strip_prefix("| "));
    let messages = rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2));
    let parts: Vec<&str> = messages.flat_map(|message| message.split('…')).map(str::trim).collect();
    assert!(parts.len() > 50, "found next to no messages");
    let gone = parts.iter().filter(|part| !sources.contains(**part)).map(|part| (*part).to_owned());
    refuse("no message has these words", gone.collect());
}
