//! The base and the registry: name, transport, login.

use std::{
    net::{IpAddr, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::Duration,
};

use image_name::{Host, ImageRef};
use registry::{Cause, Error, Logins, ManifestRef, Registry, RegistryOptions, Retry, Timeouts};

use super::{
    Learned, Patient,
    finding::{Finding, Fix, State},
    inputs::problems,
};
use crate::{
    host::login::LoginRecord,
    resolve::{
        base::{self, engine_image},
        connect,
    },
    terminal::{
        clock, hints,
        machine::on_path,
        progress::{Progress, bytes},
        report,
    },
};

/// One attempt, and a second for each step of it: a push has more patience.
pub fn impatient(options: RegistryOptions) -> RegistryOptions {
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { connect: second, progress: second, commit: second };
    RegistryOptions { timeouts, retry: Retry { attempts: 1, ..Retry::default() }, ..options }
}

const NAME_ANOTHER: &str = "name another with `--base`";

/// The base can be had.
pub fn base(patient: &Patient) -> Learned {
    let check = "base";
    let recipe = &patient.recipe;
    if let ImageRef::Registry(reference) = &recipe.base.source {
        let options = connect::options(&reference.host, &patient.args.registry_args, &recipe.registry);
        let registry = Registry::new(reference.host.clone(), impatient(options));
        let found = match (&reference.digest, &reference.tag) {
            (Some(digest), _) => registry.manifest(&reference.path, ManifestRef::Digest(digest)).map(|it| it.is_some()),
            (None, Some(tag)) => registry.resolve(&reference.path, tag).map(|it| it.is_some()),
            (None, None) => Ok(false),
        };
        match found {
            Ok(true) => {}
            Ok(false) => {
                let says = format!("`{reference}` is not there");
                return vec![Finding::wrong(check, says, "check the name; `--base` names another")].into();
            }
            Err(error) => return problems(check, &error.into(), NAME_ANOTHER).into(),
        }
    }
    if let ImageRef::Engine { program, name } = &recipe.base.source {
        return engine_base(patient, program, name);
    }
    let quiet = Progress::new(true);
    match base::open(&recipe.base.source, &patient.args.registry_args, &recipe.registry, &patient.store, &quiet) {
        Ok(opened) => {
            let digest = opened.base.manifest_digest;
            let says = format!("`{}` is there, {}", recipe.base.reference, digest.short());
            Learned::of_base(vec![Finding::good(check, says)], Some(digest))
        }
        Err(error) => problems(check, &error, NAME_ANOTHER).into(),
    }
}

/// The engine has it. To take it out is left to a build: that may be gigabytes.
fn engine_base(patient: &Patient, program: &'static str, name: &str) -> Learned {
    let (check, reference) = ("base", patient.recipe.base.reference.to_string());
    let known = engine_image::find(program, name)
        .and_then(|found| engine_image::known(&reference, &found, &patient.store).map(|known| (found, known)));
    match known {
        Ok((_, Some(opened))) => {
            let digest = opened.base.manifest_digest;
            let says = format!("`{reference}` is there, {}", digest.short());
            Learned::of_base(vec![Finding::good(check, says)], Some(digest))
        }
        Ok((found, None)) => {
            let says = format!("`{reference}` is there; the first build takes {} out of {program}", bytes(found.size));
            vec![Finding::good(check, says)].into()
        }
        Err(error) => problems(check, &error, NAME_ANOTHER).into(),
    }
}

const NAME: &str = "registry name";
const TRANSPORT: &str = "registry";
const LOGIN: &str = "login";

/// The registry that a push goes to.
pub fn registry(patient: &Patient) -> Vec<Finding> {
    let host = &patient.host;
    let options = impatient(connect::options(host, &patient.args.registry_args, &patient.recipe.registry));
    let (name, reachable) = name(host, options.ip);
    if !reachable {
        let unknown = |check| Finding::new(check, State::Unknown, "not asked: its name has no address");
        return vec![name, unknown(TRANSPORT), unknown(LOGIN)];
    }
    let strict = Registry::new(host.clone(), RegistryOptions { insecure: false, ..options.clone() }).ping();
    let lax = options.insecure;
    let believed = strict.as_ref().map_or_else(|error| has_answered(error.cause()), |()| true);
    // No HTTPS there, or a certificate that is not believed.
    let answer = if lax && !believed { Registry::new(host.clone(), options).ping() } else { strict };
    let (transport, asked) = transport(host, &answer, believed);
    let login = if asked { login(patient, &answer) } else { Finding::new(LOGIN, State::Unknown, "not asked") };
    vec![name, transport, login]
}

/// The address of the name, and whether there is one for a push.
fn name(host: &Host, ip: Option<IpAddr>) -> (Finding, bool) {
    let setup = |ip: &str| format!("`sudo cargo xtask host-setup --registry {host} --ip {ip}`");
    match (ip, resolved(host)) {
        (Some(ip), None) if on_path("docker") => {
            let says = format!("`{}` is taken to be at {ip}; docker on this host does not know that", host.name());
            (Finding::warning(NAME, says, setup(&ip.to_string())).fixed_by(Fix::HostSetup), true)
        }
        (Some(ip), _) => (Finding::good(NAME, format!("`{}` is taken to be at {ip}", host.name())), true),
        (None, Some(found)) => (Finding::good(NAME, format!("`{}` is at {found}", host.name())), true),
        (None, None) => {
            let way_out = format!("give `--resolve IP`, or `ip` under `[registry]`; for docker too: {}", setup("IP"));
            (Finding::wrong(NAME, format!("`{}` is not in DNS", host.name()), way_out), false)
        }
    }
}

/// What the system takes for the name's address. A second: a name server that says nothing takes many.
fn resolved(host: &Host) -> Option<IpAddr> {
    let (send, receive) = mpsc::channel();
    let (name, port) = (host.name().to_owned(), host.port().unwrap_or(443));
    thread::spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().ok().and_then(|mut found| found.next());
        // Nobody listens any more where it took too long.
        let _ = send.send(found.map(|found| found.ip()));
    });
    receive.recv_timeout(Duration::from_secs(1)).ok().flatten()
}

/// Whether the registry is there and judged the login.
fn has_answered(cause: &Cause) -> bool {
    matches!(cause, Cause::Unauthorized { .. } | Cause::Denied { .. })
}

/// How it is spoken to, and whether it has said anything of the login.
fn transport(host: &Host, answer: &Result<(), Error>, believed: bool) -> (Finding, bool) {
    match answer {
        Err(error) if !has_answered(error.cause()) => {
            let hint = hints::of_registry(error).unwrap_or_else(|| "check the network to it".to_owned());
            (Finding::wrong(TRANSPORT, report::one_line(error), hint), false)
        }
        _ => {
            let how = match believed {
                true => "and `--insecure` is not needed",
                false => "with `--insecure`: its certificate is not believed here, or it has no HTTPS",
            };
            (Finding::good(TRANSPORT, format!("`{host}` answers, {how}")), true)
        }
    }
}

fn login(patient: &Patient, answer: &Result<(), Error>) -> Finding {
    let host = &patient.host;
    let way_out = format!("`{}`, with the console's line on stdin", hints::login(host));
    let stored = match Logins::from_env().find(host.as_str()) {
        Ok(stored) => stored.is_some(),
        Err(error) => {
            let way_out = hints::of_registry(&error).unwrap_or(way_out);
            return Finding::wrong(LOGIN, report::one_line(&error), way_out);
        }
    };
    let left =
        LoginRecord::load(&patient.store, host).ok().flatten().and_then(|record| record.left(clock::unix_seconds()));
    judge_login(stored, answer.as_ref().err().map(|error| (report::one_line(error), error.cause())), left, way_out)
}

/// 2 h: a push over a slow line may take as long.
const SOON: u64 = 2 * 3600;

fn judge_login(stored: bool, refusal: Option<(String, &Cause)>, left: Option<u64>, way_out: String) -> Finding {
    let wrong = |says: String| Finding::wrong(LOGIN, says, way_out.clone()).fixed_by(Fix::Login);
    match (stored, refusal, left) {
        (false, None, _) => Finding::good(LOGIN, "none is stored, and the registry wants none to be asked"),
        (false, Some(_), _) => wrong("none is stored".to_owned()),
        (true, Some((_, Cause::Unauthorized { .. } | Cause::Denied { .. })), Some(0)) => {
            wrong("the stored one was refused: it is older than 24 hours".to_owned())
        }
        (true, Some((_, Cause::Unauthorized { .. } | Cause::Denied { .. })), _) => {
            wrong("the stored one was refused".to_owned())
        }
        (true, Some((said, _)), _) => Finding::new(LOGIN, State::Unknown, said),
        (true, None, Some(0)) => Finding::good(LOGIN, "accepted, and older than 24 hours: one that lasts"),
        (true, None, Some(left)) if left < SOON => {
            Finding::warning(LOGIN, format!("accepted; it ends in {} min", left / 60), way_out)
        }
        (true, None, Some(left)) => Finding::good(LOGIN, format!("accepted; it ends in {} h", left / 3600)),
        (true, None, None) => Finding::good(LOGIN, "accepted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_judged_by_the_registry_and_by_its_age() {
        let refused = Cause::Unauthorized { host: "r".into(), had_credentials: true, message: String::new() };
        let judge = |stored, refused: Option<&Cause>, left| {
            judge_login(stored, refused.map(|cause| ("said".to_owned(), cause)), left, "log in".to_owned()).state
        };
        for (stored, refused, left, expected) in [
            (false, Some(&refused), None, State::Wrong),
            (false, None, None, State::Good),
            (true, Some(&refused), Some(0), State::Wrong),
            (true, None, Some(3600), State::Warning),
            (true, None, Some(0), State::Good),
            (true, None, Some(80_000), State::Good),
            (true, None, None, State::Good),
        ] {
            assert_eq!(judge(stored, refused, left), expected, "{stored} {refused:?} {left:?}");
        }
    }
}
