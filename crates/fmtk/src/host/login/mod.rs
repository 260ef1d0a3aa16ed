//! `login`: takes the console's line or a key on stdin, tries it, and stores it where docker would.

mod line;
mod long_term;
mod record;
mod typed;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use image_name::Host;
use oci_image::Store;
use registry::{Cause, CredentialSource, Credentials, Logins, Registry, RegistryOptions, Secret, Stored};

pub use self::record::LoginRecord;
use crate::{
    options::RegistryArgs,
    recipe::{self, Recipe},
    resolve::{connect, place},
    terminal::{
        progress::Progress,
        report::{self, WithHint},
    },
};

/// A login that was given, and for which registry.
struct Given {
    host: Host,
    user: String,
    password: Secret,
    temporary: bool,
    /// What to do where the registry refuses it.
    if_refused: &'static str,
}

/// Flags of `login`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = "\
Reads from stdin, and never takes a secret as an argument:
  the line `docker login -u <region>@<AK> -p <key> <host>` of the console; or
  with --region and --ak, the secret key (SK), from which the long-term key is made; or
  with --username, the password.")]
pub struct LoginArgs {
    /// How the registry is reached.
    #[command(flatten)]
    pub registry_args: RegistryArgs,
    /// Region of the long-term key; stdin is the secret key (SK) then
    #[arg(long, value_name = "REGION", requires = "ak", conflicts_with = "username")]
    pub region: Option<String>,
    /// Access key (AK) of the long-term key
    #[arg(long, value_name = "AK", requires = "region")]
    pub ak: Option<String>,
    /// Name to log in with; stdin is the password then
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// As `docker login` takes it: taken only to be refused with the way that is meant
    #[arg(short, long, hide = true)]
    pub password: Option<String>,
    /// The rest of such a line
    #[arg(hide = true)]
    pub words: Vec<String>,
    /// Registry [default: the one of the line, else the recipe's]
    #[arg(long, value_name = "HOST[:PORT]", value_parser = crate::resolve::connect::host)]
    pub registry: Option<Host>,
    /// Store the login without asking the registry whether it accepts it
    #[arg(long)]
    pub no_check: bool,
    /// Recipe that names the registry [default: `image.toml` of the workspace]
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &LoginArgs, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    let recipe = place::recipe(args.recipe.as_deref())?;
    let given = given(args, &recipe)?;
    let Given { host, user, password, temporary, .. } = &given;
    if args.no_check {
        progress.line(&format!("not checking whether `{host}` accepts the login"));
    } else {
        check(&given, args, &recipe.registry)?;
    }
    let logins = Logins::from_env();
    let stored = logins.store(host.as_str(), user, password)?;
    LoginRecord::save(*temporary, store, host)?;
    let place = match stored {
        Stored::Helper(program) => format!("with `{program}`"),
        Stored::File(path) => format!("in `{}`, unencrypted, readable by its owner alone", path.display()),
    };
    let said = if args.no_check { "stored the login" } else { "logged in" };
    progress.line(&format!("{said} to {host} as {}; stored {place}", report::printable(user)));
    // A file that can't be read was no hindrance.
    for (key, file) in logins.for_parts(host.as_str()).unwrap_or_default() {
        let file = file.display();
        progress
            .warning(&format!("`{key}` has a login of its own in `{file}`, which is used there instead of this one"));
    }
    if *temporary {
        progress.warning(
            "a login made by the console expires after 24 hours; `cargo xtask login --region R --ak AK` stores a long-term one",
        );
    }
    Ok(())
}

fn given(args: &LoginArgs, recipe: &Recipe) -> anyhow::Result<Given> {
    if args.password.is_some() || !args.words.is_empty() {
        // Not which: it may be the secret.
        return Err(anyhow!(
            "a login is read from stdin: arguments are seen by others and kept in the shell's history"
        ))
        .hint(
            "run `cargo xtask login` and paste the console's whole line there, or give `--username NAME` and type the \
                 password; `--registry HOST` names the registry",
        )
        .input();
    }
    let host = args.registry.as_ref();
    let named = || host.unwrap_or(&recipe.registry.host).clone();
    let checked = |user: &str, what: &str| match user.contains([':', '\n', '\r', '\0']) || user.is_empty() {
        true => Err(anyhow!("`{what}` is empty or has a colon, which a login's name can't have")).input(),
        false => Ok(()),
    };
    if let (Some(region), Some(ak)) = (&args.region, &args.ak) {
        checked(region, "--region")?;
        checked(ak, "--ak")?;
        let secret = typed::secret(&format!("the secret key (SK) that belongs to `{ak}`"))?;
        let password = long_term::key(ak, &secret);
        let if_refused = "check the region, the access key and its secret key";
        return Ok(Given { host: named(), user: format!("{region}@{ak}"), password, temporary: false, if_refused });
    }
    if let Some(user) = &args.username {
        checked(user, "--username")?;
        let password = typed::secret(&format!("the password of `{user}`"))?;
        let if_refused = "check the name and the password";
        return Ok(Given { host: named(), user: user.clone(), password, temporary: false, if_refused });
    }
    let text = typed::text("the console's line `docker login -u … -p … HOST`")?;
    let line = line::parse(text.reveal())
        .map_err(anyhow::Error::msg)
        .hint("copy the whole line from the console: `docker login -u REGION@AK -p KEY HOST`")
        .input()?;
    checked(&line.user, "-u")?;
    let host = match (host, line.host) {
        (Some(named), Some(found)) if *named != found => {
            return Err(anyhow!("the line is for `{found}`, and `--registry` names `{named}`")).input();
        }
        (named, found) => named.cloned().or(found).unwrap_or_else(|| recipe.registry.host.clone()),
    };
    // The console's lines are for REGION@AK; a name without it is not SWR's.
    let temporary = line.user.contains('@');
    let if_refused = "the console's line is valid for 24 hours: create a new one there and copy all of it";
    Ok(Given { host, user: line.user, password: line.password, temporary, if_refused })
}

/// Asks the registry.
fn check(given: &Given, args: &LoginArgs, recipe: &recipe::Registry) -> anyhow::Result<()> {
    let credentials = Credentials::Basic { user: given.user.clone(), password: given.password.clone() };
    let options = RegistryOptions {
        credentials: CredentialSource::Given(credentials),
        ..connect::options(&given.host, &args.registry_args, recipe)
    };
    let host = &given.host;
    let refused = |error: registry::Error| match error.cause() {
        Cause::Unauthorized { .. } | Cause::Denied { .. } => {
            report::hinted(anyhow!("`{host}` refused the login; nothing was stored"), given.if_refused)
        }
        _ => error.into(),
    };
    Registry::new(host.clone(), options)
        .ping()
        .map_err(refused)
        .with_context(|| format!("failed to log in to `{host}`"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::recipe::Overrides;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: LoginArgs,
    }

    #[test]
    fn docker_s_arguments_are_told_to_be_pasted() {
        let recipe = Recipe::parse("", "image.toml", "/".as_ref(), Overrides::default()).unwrap();
        let key = "hunter2";
        for flags in
            [&["-u", "alice", "-p", key, "r.x"][..], &["-u", "a@b", "--password", key], &["alice", key], &[key]]
        {
            let Line { args } = Line::parse_from(["login"].iter().chain(flags));
            let error = given(&args, &recipe).err().unwrap();
            assert_eq!(report::exit(&error), report::Exit::Input);
            let said = report::render(&error);
            assert!(said.contains("hint: run `cargo xtask login` and paste the console's whole line"), "{said}");
            assert!(!said.contains(key), "it printed the key: {said}");
        }
    }
}
