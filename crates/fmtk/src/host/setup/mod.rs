//! `host-setup`: what the manual has people do by hand for a registry without TLS and DNS, as one command.

mod change;
mod hosts;
mod options;
mod service;
mod system;

#[cfg(test)]
mod tests;

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use image_name::Host;

use self::{
    change::{Change, Edit},
    system::System,
};
use crate::{
    host::say_and_run,
    resolve::place,
    terminal::{
        clock, machine,
        progress::Progress,
        report::{self, Problems, WithHint},
        shell,
    },
};

const HOSTS: &str = "etc/hosts";

/// Flags of `host-setup`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
`cargo xtask push` needs none of this: it is for `docker push` and `docker pull` on this host.
Lines in the hosts file are marked `# fmtk`; the previous file stays beside it as `FILE.fmtk-backup-TIMESTAMP`.")]
pub struct HostSetupArgs {
    /// Registry that docker takes without TLS [default: the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::resolve::connect::host)]
    pub registry: Option<Host>,
    /// Address that its name gets in `/etc/hosts` [default: the recipe's; without one the hosts file stays]
    #[arg(long, value_name = "IP")]
    pub ip: Option<IpAddr>,
    /// Name that gets the same address
    #[arg(long, value_name = "HOST")]
    pub modelarts_host: Option<Host>,
    /// Print the changes as a diff and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Remove these changes and nothing else
    #[arg(long)]
    pub undo: bool,
    /// Leave docker running with its old settings
    #[arg(long)]
    pub no_restart: bool,
    /// Recipe that names the registry [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Folder that stands for `/`, for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub root: PathBuf,
}

/// Runs the command.
pub fn run(args: &HostSetupArgs, progress: &Progress) -> anyhow::Result<()> {
    let recipe = place::recipe(args.recipe.as_deref())?;
    let host = args.registry.as_ref().unwrap_or(&recipe.registry.host);
    let own = *host == recipe.registry.host;
    let ip = args.ip.or(recipe.registry.ip.filter(|_| own));
    let mut names = vec![host.name().to_owned()];
    names.extend(args.modelarts_host.as_ref().map(|host| host.name().to_owned()));
    // What is an address already needs none.
    names.retain(|name| name.parse::<IpAddr>().is_err());
    if ip.is_none() && args.modelarts_host.is_some() && !args.undo {
        return Err(anyhow!("`--modelarts-host` needs the address that it has")).hint("give `--ip IP`").input();
    }
    let (changes, system) = plan(args, host.as_str(), ip, names)?;
    let needed: Vec<&Change> = changes.iter().filter(|change| change.is_needed()).collect();
    if needed.is_empty() {
        progress.line(if args.undo { "there is nothing to undo" } else { "everything is set up already" });
        return Ok(());
    }
    if args.dry_run {
        for file in needed.iter().flat_map(|change| change.removes()) {
            progress.line(&format!("would remove `{}`", file.display()));
        }
        return report::data(&needed.iter().map(|change| change.diff()).collect::<String>());
    }
    let real = args.root == Path::new("/");
    if real && !machine::is_root() {
        return Err(anyhow!("changing `/etc` needs root; nothing was changed")).hint(format!("run `{}`", with_sudo()));
    }
    let stamp = clock::now_local()?.to_string();
    let mut problems = Problems::default();
    for error in needed.iter().filter_map(|change| change.check().err()) {
        problems.push(error, None);
    }
    problems.into_result()?;
    for (before, change) in needed.iter().enumerate() {
        let written = change.write(&stamp, args.undo);
        match &needed[..before] {
            [] => written?,
            [first, ..] => written.with_context(|| {
                format!("`{}` is changed already; `--undo` takes that back", first.path().display())
            })?,
        }
        progress.line(&format!("changed `{}`", change.path().display()));
    }
    if needed.iter().any(|change| !change.path().ends_with(HOSTS)) {
        restart(&system, real && !args.no_restart, progress)?;
    }
    Ok(())
}

/// The changes to docker's file and to the hosts file; all that is in the way comes as one error.
fn plan(
    args: &HostSetupArgs,
    host: &str,
    ip: Option<IpAddr>,
    names: Vec<String>,
) -> anyhow::Result<(Vec<Change>, System)> {
    let make = if args.undo { Change::undo } else { Change::plan };
    let mut problems = Problems::default();
    let mut changes = Vec::new();
    let mut add = |change: anyhow::Result<Change>| match change {
        Ok(change) => changes.push(change),
        Err(error) => {
            for (message, hint) in report::problems(&error) {
                problems.push(format!("{message}; nothing was changed"), hint);
            }
        }
    };
    let mut system = System::default();
    match system::look(&args.root, host) {
        Err(error) => add(Err(error)),
        Ok(found) => {
            system = found;
            match system.edits(host, args.undo) {
                Err(error) => add(Err(error)),
                Ok(edits) => edits.iter().for_each(|(path, edit)| add(make(path, edit))),
            }
        }
    }
    if !names.is_empty() && (ip.is_some() || args.undo) {
        add(make(&args.root.join(HOSTS), &Edit::Hosts { ip, names }));
    }
    problems.into_result()?;
    Ok((changes, system))
}

/// The command line of this run, for root.
fn with_sudo() -> String {
    // Root may have no cargo: this very program is named.
    let program = std::env::current_exe().map_or_else(|_| "xtask".into(), PathBuf::into_os_string);
    let words = std::iter::once(program).chain(std::env::args_os().skip(1));
    format!("sudo {}", shell::line(words.map(|word| word.to_string_lossy().into_owned())))
}

fn restart(system: &System, may: bool, progress: &Progress) -> anyhow::Result<()> {
    if !system.has_service {
        progress.line("docker is not a service here; restart it where it runs");
        return Ok(());
    }
    if !may || fs::metadata("/run/systemd/system").is_err() {
        progress.line("restart docker for the change to count: `systemctl daemon-reload && systemctl restart docker`, or `service docker restart`");
        return Ok(());
    }
    say_and_run(&["systemctl", "daemon-reload"], progress)
        .and_then(|()| say_and_run(&["systemctl", "restart", "docker"], progress))
        .context("docker was not restarted; the files are changed, `--undo` takes that back")
}
