//! What holds for texts that nobody has thought of.

use fmk_patch::{Edits, Status, patch};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::judged::{CALL, edited, judge, short_with};
use crate::layout::{LAYOUTS, Layout};

/// Blocks that may stand anywhere in a function. None uses a name of the edits.
const STATEMENTS: [&str; 16] = [
    "pass",
    "x = 1",
    "x, *y = [1, 2, (3, {'a': 4})]",
    "if x:\n    y = 1\nelif y:\n    pass\nelse:\n    x = 2",
    "for x in range(3):\n    continue\nelse:\n    pass",
    "while x: x -= 1",
    "try:\n    x = f(1)\nexcept (OSError, ValueError) as error:\n    log.info(error)\nfinally:\n    pass",
    "def inner(a, *b, c=1, **d):\n    return current_envs",
    "class Inner:\n    def run(self):\n        return self",
    "y = lambda a, b=1: (a, b)",
    "z = [a for a in y if a if not x]",
    "# return current_envs",
    "'''with self.switch_directory(1):\nreturn current_envs'''",
    "assert x, 'with self.switch_directory(x):'",
    "with open(x) as y, z:\n    pass",
    "x = f'{y!r:>{z}} {{current_envs}}' \\\n    'ASCEND'",
];

/// Blocks that may stand outside all functions.
const TOP_LEVEL: [&str; 8] = [
    "import re",
    "from common import (\n    A,\n    B as b,\n)",
    "try:\n    import json\nexcept ImportError:\n    json = None",
    "X = {'os': 1}",
    "def switch(directory):\n    yield directory",
    "class Other(object):\n    def gen_env_for_fmk(self):\n        return {}",
    "if X:\n    X = None",
    "# class FMK:",
];

/// A script that lacks both edits, and how it is laid out.
fn text() -> impl Strategy<Value = (String, (&'static str, Layout))> {
    let blocks = || vec(select(&STATEMENTS[..]), 0..5);
    let top_level = || vec(select(&TOP_LEVEL[..]), 0..4);
    let places = (top_level(), top_level(), blocks(), blocks(), 0..3usize);
    // Blanks and tabs fit each other in the short script only.
    let layouts = LAYOUTS.into_iter().filter(|(name, _)| *name != "tabs before blanks");
    (places, select(layouts.collect::<Vec<_>>())).prop_map(|((before, after, environment, run, switches), layout)| {
        let indent = |block: &str| block.lines().map(|line| format!("        {line}\n")).collect::<String>();
        let inside = |blocks: &[&str]| blocks.iter().map(|block| indent(block)).collect::<String>();
        let outside = |blocks: &[&str]| blocks.iter().map(|block| format!("{block}\n")).collect::<String>();
        let switches = indent(&format!("with {CALL}:\n    pass")).repeat(switches);
        let text = short_with(&[
            ("import os\n", &format!("{}import os\n{}", outside(&before), outside(&after))),
            ("        current_envs[", &format!("{}        current_envs[", inside(&environment))),
            ("        with self", &format!("{}{switches}        with self", inside(&run))),
        ]);
        (text, layout)
    })
}

/// The shapes to be damaged.
const SHAPES: [&str; 5] = [
    include_str!("../shapes/pristine.py"),
    include_str!("../shapes/newer.py"),
    include_str!("../shapes/package_relative.py"),
    include_str!("../shapes/refactored.py"),
    include_str!("../shapes/already_patched.py"),
];

/// What opens or joins something, beside the words and marks of the shapes.
const OPENERS: &str =
    "( [ { ) ] } ' \" ''' \"\"\" f' f'{ : , . @ lambda async await yield not - ** + match case try \u{feff} \u{4e2d}";

/// Texts that are mostly wrong: pieces of the shapes and openers in any order, some of them many times.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let openers: Vec<&str> = OPENERS.split_inclusive(' ').chain(OPENERS.split(' ')).collect();
    let words = SHAPES.iter().flat_map(|shape| shape.split_inclusive(|c: char| !c.is_alphanumeric()));
    let piece = prop_oneof![select(words.collect::<Vec<_>>()), select(openers)];
    let repeat = prop_oneof![8 => 1..2usize, 1 => 2..400usize, 1 => 3000..6000usize];
    vec((piece, repeat), 0..40)
        .prop_map(|pieces| pieces.iter().map(|(piece, times)| piece.repeat(*times)).collect::<String>().into_bytes())
}

/// What may happen to one line of a good script: it is lost, doubled, moved to the right or left, joined to the next, or
/// changes places with that.
const DAMAGES: [fn(&mut Vec<String>, usize); 6] = [
    |lines, at| drop(lines.remove(at)),
    |lines, at| lines.insert(at, lines[at].clone()),
    |lines, at| lines[at].insert_str(0, "    "),
    |lines, at| lines[at] = lines[at].replacen("    ", "", 1),
    |lines, at| lines[at] = lines[at].trim_end().to_owned(),
    |lines, at| {
        let next = (at + 1) % lines.len();
        lines.swap(at, next);
    },
];

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damages = vec((any::<prop::sample::Index>(), select(DAMAGES.to_vec())), 1..4);
    (select(SHAPES.to_vec()), damages).prop_map(|(shape, damages)| {
        let mut lines: Vec<String> = shape.split_inclusive('\n').map(str::to_owned).collect();
        for (index, damage) in damages {
            let at = index.index(lines.len());
            damage(&mut lines, at);
        }
        lines.concat().into_bytes()
    })
}

/// Whatever the text is: refused, or judged with all that [`judge`] checks.
fn judged_or_refused(text: &[u8]) {
    if patch(text, Edits::ALL).is_ok() {
        judge(text);
    }
}

proptest! {
    #[test]
    fn the_edits_are_made_in_any_surroundings((text, (name, layout)) in text()) {
        let report = judge(layout(&text));
        for (edit, status) in &report.edits {
            let applied = matches!(status, Status::Applied { .. });
            prop_assert!(applied, "{edit}: {status}\n{name}\n{text}");
        }
        prop_assert!(report.output == Some(layout(&edited(&text))), "{name}\n{text}");
    }

    #[test]
    fn damaged_scripts_are_never_damaged_further(text in damaged()) {
        judged_or_refused(&text);
    }

    #[test]
    fn nonsense_is_borne(text in soup()) {
        judged_or_refused(&text);
    }

    #[test]
    fn any_bytes_are_borne(text in vec(any::<u8>(), 0..300)) {
        judged_or_refused(&text);
    }
}
