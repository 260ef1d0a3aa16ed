//! Completion of `cargo xtask …` in a shell: clap's script, which completes a program `cargo_xtask`, and a hook by which
//! the shell asks it when `cargo xtask` is typed.

use clap::Command;
use clap_complete::generate;

/// The shells that have a hook.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// What the scripts complete.
const NAME: &str = "cargo_xtask";

/// The script for the shell to read when it starts.
pub fn script(shell: Shell, command: Command) -> String {
    let (generator, hook) = match shell {
        Shell::Bash => (clap_complete::Shell::Bash, include_str!("completions/hook.bash")),
        Shell::Fish => (clap_complete::Shell::Fish, include_str!("completions/hook.fish")),
        Shell::Zsh => (clap_complete::Shell::Zsh, include_str!("completions/hook.zsh")),
    };
    let mut script = Vec::new();
    // A blank in the name would be one in zsh's patterns, and the script for bash loses subcommands of a name with a hyphen.
    generate(generator, &mut command.name(NAME), NAME, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if let Shell::Zsh = shell {
        // A colon in the name of a value would end it.
        script = script.replace(":KIND:PATH:", ":KIND\\:PATH:").replace(":HOST[:PORT]:", ":HOST[\\:PORT]:");
    }
    script + hook
}
