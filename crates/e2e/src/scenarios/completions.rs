//! Completion of `cargo xtask` in the real shells, with and without the completion of cargo that each may have.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;

use super::world::World;
use crate::testbed::{data, read, script, write};

/// What is typed, and the arguments that `cargo` gets then.
const TYPED: [(&str, &str); 6] = [
    ("cargo xtask pu\\t\\n", "xtask push"),
    ("cargo xtask push --over\\t\\n", "xtask push --overwrite"),
    ("cargo xtask inspect an-im\\t\\n", "xtask inspect an-image.tar"),
    ("cargo xtask try -- an-im\\t\\n", "xtask try -- an-image.tar"),
    ("cargo xtask image --engine=doc\\t\\n", "xtask image --engine docker"),
    ("cargo +stable xtask image --eng\\tdoc\\t\\n", "+stable xtask image --engine docker"),
];
/// The same of what cargo's own completion knows.
const OF_CARGO: (&str, &str) = ("cargo bui\\t\\n", "build");

/// Notes its arguments where somebody runs it; completions ask for its list of commands through a pipe.
const CARGO: &str = r#"#!/bin/sh
if [ -t 1 ]; then echo "$@" >"$SAID.new" && mv "$SAID.new" "$SAID"; fi
if [ "$1" = --list ]; then printf 'Installed Commands:\n    build  Compile\n    xtask  alias: run\n'; fi
"#;

/// A Tab at the prompt of each shell.
pub fn run(world: &World) -> anyhow::Result<()> {
    let folder = world.folder("completions")?;
    script(&folder.join("cargo"), CARGO)?;
    write(&folder.join("an-image.tar"), "")?;
    let sysroot = world.command("rustc").words("--print sysroot").run()?;
    let sysroot = PathBuf::from(sysroot.text());
    for shell in ["bash", "zsh", "fish"] {
        let file = folder.join(format!("completions.{shell}"));
        write(&file, world.xtask().args(["completions", shell]).run()?.stdout)?;
        for own in [false, true] {
            let command = prepared(shell, own.then_some(&sysroot), &file, &folder)?;
            for (keys, expected) in TYPED.into_iter().chain(own.then_some(OF_CARGO)) {
                let said = folder.join("said");
                let _ = fs::remove_file(&said);
                let pressed = world.command("python3").arg(data("press_tab.py")).arg(&said).arg(keys).args(&command);
                let pressed = pressed.path_first(&folder).dir(&folder).env("SAID", &said).env("TERM", "xterm");
                pressed.env("HOME", &folder).env("ZDOTDIR", &folder).without(&["XDG_CONFIG_HOME"]).run()?;
                let got = read(&said)?.trim_end().replace("--engine=", "--engine ");
                ensure!(got == expected, "{shell}, cargo's completion {own}: `{keys}` ran `cargo {got}`");
            }
        }
        world.say(format!("{shell} completes `cargo xtask`, with cargo's own completion and without"));
    }
    Ok(())
}

/// The command line of a shell that reads the script as the documents say; with the sysroot of a toolchain, after cargo's
/// own completion.
fn prepared(shell: &str, sysroot: Option<&PathBuf>, file: &Path, folder: &Path) -> anyhow::Result<Vec<String>> {
    let (file, text) = (file.display(), |path: &Path| path.to_string_lossy().into_owned());
    Ok(match shell {
        "bash" => {
            let library = "source /usr/share/bash-completion/bash_completion\n";
            let own = |root: &PathBuf| format!("{library}source {}/etc/bash_completion.d/cargo\n", root.display());
            let own = sysroot.map(own).unwrap_or_default();
            let start = folder.join("bashrc");
            write(&start, format!("PS1='ready> '\n{own}source {file}\n"))?;
            vec!["bash".to_owned(), "--rcfile".to_owned(), text(&start), "-i".to_owned()]
        }
        "zsh" => {
            let own = |root: &PathBuf| format!("fpath+=({}/share/zsh/site-functions)\n", root.display());
            let own = sysroot.map(own).unwrap_or_default();
            let load = "autoload -U compinit\ncompinit -u -D\n";
            write(&folder.join(".zshrc"), format!("{own}{load}source {file}\nPROMPT='ready> '\n"))?;
            vec!["zsh".to_owned(), "--no-globalrcs".to_owned(), "-i".to_owned()]
        }
        _ => {
            // fish brings its completion of cargo with it.
            let none = if sysroot.is_none() { "set fish_complete_path\n" } else { "" };
            let prompt = "function fish_prompt; echo 'ready> '; end\nset -g fish_greeting\n";
            let start = folder.join("start.fish");
            write(&start, format!("{none}{prompt}source {file}\n"))?;
            vec!["fish".to_owned(), "--init-command".to_owned(), format!("source {}", start.display())]
        }
    })
}
