//! The base and the registry: name, transport, login.

use std::{
    net::{IpAddr, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::Duration,
};

use image_name::{Host, ImageRef};
use registry::{
    Cause, CredentialSource, Credentials, CredentialsError, Error, Logins, ManifestRef, Registry, RegistryOptions,
    Retry, Timeouts,
};

use super::{
    DoctorArgs, Patient,
    finding::{Finding, Fix, State, problems},
};
use crate::{
    host::login::LoginRecord,
    recipe,
    resolve::{
        base::{self, engine_image},
        connect,
    },
    sample,
    terminal::{
        clock, hints,
        machine::on_path,
        progress::{Progress, bytes},
        report,
    },
};

/// One attempt, and a second for each step of it: a push has more patience.
fn impatient(options: RegistryOptions) -> RegistryOptions {
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { connect: second, progress: second, commit: second };
    RegistryOptions { timeouts, retry: Retry { attempts: 1, ..Retry::default() }, ..options }
}

const NAME_ANOTHER: &str = "name another with `--base`";

/// The base can be had.
pub fn base(patient: &Patient) -> Vec<Finding> {
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
                let says = format!("`{reference}` does not exist");
                return vec![Finding::wrong(says, "check the name, or name another base with `--base`")];
            }
            Err(error) => return problems(&error.into(), NAME_ANOTHER),
        }
    }
    // To take it out of an engine is left to a build: that may be gigabytes.
    let opened = match &recipe.base.source {
        ImageRef::Engine { program, name } => {
            let reference = recipe.base.reference.to_string();
            engine_image::find(program, name).and_then(|found| {
                let size = found.size;
                engine_image::known(&reference, &found, &patient.store).map(|known| known.ok_or((*program, size)))
            })
        }
        source => {
            let quiet = Progress::new(true);
            base::open(source, &patient.args.registry_args, &recipe.registry, &patient.store, &quiet).map(Ok)
        }
    };
    let reference = &recipe.base.reference;
    match opened {
        Ok(Ok(opened)) => {
            let digest = opened.base.manifest_digest;
            // The same where `--fix` has the checks run again.
            let _ = patient.base.set(digest);
            vec![Finding::good(format!("`{reference}` exists, {}", digest.short()))]
        }
        Ok(Err((program, size))) => {
            let says = format!("`{reference}` exists; the first build copies {} out of {program}", bytes(size));
            vec![Finding::good(says)]
        }
        Err(error) => problems(&error, NAME_ANOTHER),
    }
}

/// The sample's base: made, or what it will be made from.
pub fn sample_base(patient: &Patient) -> Vec<Finding> {
    let Some(own) = patient.sample.filter(|_| patient.args.base.is_none()) else { return base(patient) };
    let found = match sample::is_made(&patient.store, own) {
        Ok(true) => Ok(None),
        Ok(false) => sample::probe(&patient.store, own, impatient).map(Some),
        Err(error) => Err(error),
    };
    match found {
        Ok(None) => base(patient),
        Ok(Some((size, mirror))) => {
            vec![Finding::good(format!("will be built from Debian's packages, {} from {mirror}", bytes(size)))]
        }
        Err(error) => problems(&error, "name one of your own with `--base`"),
    }
}

/// The registry that a push goes to: its name, whether it answers, and the login.
pub fn registry(patient: &Patient) -> Vec<Finding> {
    let host = &patient.host;
    let recipe = &patient.recipe.registry;
    let stored = Logins::from_env().find(host.as_str(), &destination(&patient.args, recipe));
    let credentials = match &stored {
        Ok(Some(found)) => CredentialSource::Given(found.clone()),
        _ => CredentialSource::Anonymous,
    };
    let options = impatient(connect::options(host, &patient.args.registry_args, recipe));
    let options = RegistryOptions { credentials, ..options };
    let (name, transport, login) = ("registry name", "registry", "login");
    let (address, is_reachable) = address(host, &options);
    let mut findings = vec![address.named_by(name)];
    if !is_reachable {
        let unknown = |check| Finding::new(State::Unknown, "not checked: its name has no address").named_by(check);
        findings.extend([transport, login].map(unknown));
        return findings;
    }
    let strict = Registry::new(host.clone(), RegistryOptions { insecure: false, ..options.clone() }).ping();
    let lax = options.insecure;
    let believed = strict.as_ref().map_or_else(has_answered, |()| true);
    // No HTTPS there, or a certificate that is not believed.
    let answer = if lax && !believed { Registry::new(host.clone(), options).ping() } else { strict };
    findings.extend(match &answer {
        Err(error) if !has_answered(error) => {
            let hint = hints::of_registry(error).unwrap_or_else(|| "check the network to it".to_owned());
            let unknown = Finding::new(State::Unknown, "not checked");
            [Finding::wrong(report::one_line(error), hint).named_by(transport), unknown.named_by(login)]
        }
        _ => {
            let how = match believed {
                true => "and `--insecure` is not needed",
                false => "with `--insecure`: its certificate is not trusted here, or it has no HTTPS",
            };
            let good = Finding::good(format!("`{host}` answers, {how}"));
            [good.named_by(transport), check_login(patient, stored, answer.is_ok()).named_by(login)]
        }
    });
    findings
}

/// The repository that a push goes to, as far as it is known: on one host, organisations may have logins of their own.
fn destination(args: &DoctorArgs, recipe: &recipe::Registry) -> String {
    let org = args.org.clone().or_else(|| recipe.org.as_ref().map(ToString::to_string));
    org.map_or_else(String::new, |org| format!("{org}/{}", recipe.repository))
}

/// The address of the name, and whether there is one for a push.
fn address(host: &Host, options: &RegistryOptions) -> (Finding, bool) {
    let ip = options.ip;
    let setup = |ip: &str| format!("`sudo cargo xtask host-setup --registry {host} --ip {ip}`");
    match (ip, resolved(host)) {
        (Some(ip), None) if on_path("docker") => {
            let says = format!(
                "`{}` is reached at {ip}, as configured; docker on this host does not know that address",
                host.name()
            );
            (Finding::warning(says, setup(&ip.to_string())).fixed_by(Fix::HostSetup), true)
        }
        (Some(ip), _) => (Finding::good(format!("`{}` is reached at {ip}, as configured", host.name())), true),
        (None, None) if options.proxies.lead_to(host, options.insecure) => {
            (Finding::good(format!("`{}` is looked up by the proxy", host.name())), true)
        }
        (None, Some(found)) if found.to_string() == host.name() => {
            (Finding::good(format!("`{found}` is an address, which needs no look-up")), true)
        }
        (None, Some(found)) => (Finding::good(format!("`{}` has the address {found}", host.name())), true),
        (None, None) => {
            let hint = format!("give `--resolve IP`, or `ip` under `[registry]`; for docker too: {}", setup("IP"));
            (Finding::wrong(format!("`{}` is not in DNS", host.name()), hint), false)
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
fn has_answered(error: &Error) -> bool {
    matches!(error.cause(), Cause::Unauthorized { .. } | Cause::Denied { .. })
}

fn check_login(patient: &Patient, stored: Result<Option<Credentials>, CredentialsError>, accepted: bool) -> Finding {
    let host = &patient.host;
    let hint = format!("`{}`, with the console's line on stdin", hints::login(host));
    let stored = match stored {
        Ok(stored) => stored.is_some(),
        Err(error) => return Finding::wrong(report::one_line(&error), hints::of_registry(&error).unwrap_or(hint)),
    };
    let record = LoginRecord::load(&patient.store, host).ok().flatten();
    judge_login(stored, accepted, record.and_then(|record| record.left(clock::unix_seconds())), hint)
}

/// 2 h: a push over a slow line may take as long.
const SOON: u64 = 2 * 3600;

/// Of a login that the registry has judged; `left` are the seconds that it lasts.
fn judge_login(stored: bool, accepted: bool, left: Option<u64>, hint: String) -> Finding {
    let wrong = |says: &str| Finding::wrong(says, hint.clone()).fixed_by(Fix::Login);
    match (stored, accepted, left) {
        (false, true, _) => Finding::good("none stored; the registry answers without one"),
        (false, false, _) => wrong("none stored"),
        (true, false, Some(0)) => wrong("the stored login was refused: it is more than 24 hours old"),
        (true, false, _) => wrong("the stored login was refused"),
        (true, true, None) => Finding::good("accepted"),
        (true, true, Some(0)) => {
            Finding::good("accepted, although it is more than 24 hours old: it is a long-term one")
        }
        (true, true, Some(left)) if left < SOON => {
            Finding::warning(format!("accepted; expires in {} min", left / 60), hint)
        }
        (true, true, Some(left)) => Finding::good(format!("accepted; expires in {} h", left / 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_judged_by_the_registry_and_by_its_age() {
        for (stored, accepted, left, expected) in [
            (false, false, None, State::Wrong),
            (false, true, None, State::Good),
            (true, false, Some(0), State::Wrong),
            (true, true, Some(3600), State::Warning),
            (true, true, Some(0), State::Good),
            (true, true, Some(80_000), State::Good),
            (true, true, None, State::Good),
        ] {
            let found = judge_login(stored, accepted, left, "log in".to_owned());
            assert_eq!(found.state, expected, "{stored} {accepted} {left:?}");
        }
    }
}
