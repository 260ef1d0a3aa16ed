//! Finding the registry: names without DNS, plain HTTP, proxies, and nobody there.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use expect_test::expect;
use registry::{Cause, CredentialSource, Credentials, FileServer, Proxies, Registry, RegistryOptions, Retry, Secret};
use registry_fake::{Auth, FakeRegistry, Fault, Options, What};

use crate::fixture::{Image, bytes, client_with, noting, options, shown};

fn named(fake: &FakeRegistry, options: RegistryOptions) -> Registry {
    Registry::new(format!("registry.test:{}", fake.port()).parse().unwrap(), options)
}

fn loopback() -> RegistryOptions {
    RegistryOptions { ip: Some(Ipv4Addr::LOCALHOST.into()), ..options() }
}

/// Nothing is tried a second time. Port 1, which nothing gets by itself, is one where nothing listens.
fn impatient() -> RegistryOptions {
    let retry = Retry { sleep: Arc::new(|_| panic!("waited")), ..Retry::default() };
    RegistryOptions { retry, ..loopback() }
}

#[test]
fn a_registry_in_plain_http_is_refused_unless_called_insecure() {
    let fake = FakeRegistry::start();
    let error = named(&fake, loopback()).ping().unwrap_err();
    expect![[r#"
        failed to reach registry `registry.test:PORT`
        caused by: `registry.test:PORT` answered in plain HTTP where HTTPS was expected
        hint: if this registry has no HTTPS: `--insecure`"#]]
    .assert_eq(&shown(&error, &fake));
    let registry = named(&fake, RegistryOptions { insecure: true, ..loopback() });
    Image::new(&[bytes(1, 100)]).push(&registry).unwrap();
    assert!(fake.tag("o/r", "t").is_some());
}

/// What is sent to another machine is not spared from TLS by the name alone. Linux takes 0.0.0.0 for itself, but it is no
/// address of loopback.
#[test]
fn localhost_at_the_address_of_another_machine_is_not_on_this_one() {
    let fake = FakeRegistry::start();
    let ping = |ip| {
        let options = RegistryOptions { ip, ..options() };
        Registry::new(format!("localhost:{}", fake.port()).parse().unwrap(), options).ping()
    };
    ping(None).unwrap();
    ping(Some(Ipv4Addr::LOCALHOST.into())).unwrap();
    let error = ping(Some(Ipv4Addr::UNSPECIFIED.into())).unwrap_err();
    assert!(matches!(error.cause(), Cause::PlainHttp(_)), "{}", shown(&error, &fake));
}

#[test]
fn a_registry_that_is_down_is_told_at_once() {
    for host in ["127.0.0.1:1", "registry.test:1"] {
        for insecure in [false, true] {
            let options = RegistryOptions { insecure, ..impatient() };
            let error = Registry::new(host.parse().unwrap(), options).ping().unwrap_err();
            assert_eq!(error.cause().to_string(), format!("connection refused by `{host}`"));
            assert!(error.hint().is_some());
        }
    }
}

/// A proxy, which leads all to the registry on one port, or answers with a status that is none.
struct Proxy {
    address: String,
    served: thread::JoinHandle<Vec<String>>,
}

/// What a proxy does that allows tunnels to port 443 alone.
const NO_TUNNELS: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\n<html>";

impl Proxy {
    /// Answers to CONNECT and to whole URLs, where they are not led on.
    fn start(target: u16, tunnels: Option<&'static str>, urls: Option<&'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = thread::spawn(move || {
            let mut asked = Vec::new();
            for stream in listener.incoming() {
                let mut client = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && client.read_line(&mut head).unwrap() > 0 {}
                if head.is_empty() {
                    break;
                }
                asked.push(head.lines().next().unwrap().to_owned());
                asked.extend(head.lines().find(|line| line.starts_with("Proxy-Authorization")).map(str::to_owned));
                // The start of a body may have come with the head.
                let read = [head.as_bytes(), client.buffer()].concat();
                let mut client = client.into_inner();
                let is_tunnel = head.starts_with("CONNECT ");
                if let Some(refusal) = if is_tunnel { tunnels } else { urls } {
                    client.write_all(refusal.as_bytes()).unwrap();
                    continue;
                }
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).unwrap();
                match is_tunnel {
                    true => client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap(),
                    false => server.write_all(&read).unwrap(),
                }
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
            asked
        });
        Self { address, served }
    }

    /// What it was asked.
    fn stop(self) -> Vec<String> {
        // An empty request is the sign to stop.
        drop(TcpStream::connect(&self.address).unwrap());
        self.served.join().unwrap()
    }
}

fn through(address: &str, except: &str) -> Proxies {
    let url = format!("http://me:hunter2@{address}");
    let (all, except) = (url.clone(), except.to_owned());
    Proxies::from_lookup(move |name| match name {
        "HTTPS_PROXY" | "HTTP_PROXY" => Some(all.clone()),
        "NO_PROXY" => Some(except.clone()),
        _ => None,
    })
}

/// Names that only the proxy knows: it is asked for a tunnel for HTTPS, and for whole URLs for plain HTTP.
#[test]
fn a_registry_without_tls_is_reached_through_a_proxy_with_and_without_tunnels() {
    for tunnels in [None, Some(NO_TUNNELS)] {
        let auth = Auth::Basic { user: "u".into(), password: "p".into() };
        let fake = FakeRegistry::with(Options { auth, ..Options::default() });
        let proxy = Proxy::start(fake.port(), tunnels, None);
        let given = Credentials::Basic { user: "u".into(), password: Secret::new("p") };
        let options = RegistryOptions {
            insecure: true,
            proxies: through(&proxy.address, ""),
            credentials: CredentialSource::Given(given),
            ..options()
        };
        let registry = named(&fake, options);
        let image = Image::new(&[bytes(1, 2_000_000), bytes(2, 100)]);
        let sent = image.push(&registry).unwrap().sent;
        assert_eq!(fake.tag("o/r", "t"), Some(image.digest()));
        assert!(sent.overhead < 100_000, "{sent:?}");
        // Connections to the proxy are used again.
        let asked = proxy.stop();
        assert!(asked.len() < 14, "{asked:?}");
        let name = format!("registry.test:{}", fake.port());
        for line in [format!("CONNECT {name} HTTP/1.1"), format!("GET http://{name}/v2/ HTTP/1.1")] {
            assert!(asked.contains(&line), "{asked:?}");
        }
        let is_login = |line: &&String| *line == "Proxy-Authorization: Basic bWU6aHVudGVyMg==";
        assert_eq!(asked.iter().filter(is_login).count() * 2, asked.len(), "{asked:?}");
        let authorities: Vec<_> = fake.log().into_iter().map(|entry| entry.host).collect();
        assert!(authorities.iter().all(|host| *host == name), "{authorities:?}");
    }
}

#[test]
fn loopback_exceptions_and_given_addresses_go_past_the_proxy() {
    let fake = FakeRegistry::start();
    // Nothing listens on port 1: whoever goes there fails.
    let nowhere = through("127.0.0.1:1", "");
    client_with(&fake, RegistryOptions { proxies: nowhere.clone(), ..options() }).ping().unwrap();
    named(&fake, RegistryOptions { insecure: true, proxies: nowhere.clone(), ..loopback() }).ping().unwrap();
    let error = named(&fake, RegistryOptions { proxies: nowhere, ..options() }).ping().unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

/// What is behind a proxy may be busy, too, and say it in words of its own.
#[test]
fn a_server_that_is_busy_is_waited_for_through_a_proxy() {
    let fake = FakeRegistry::start();
    let proxy = Proxy::start(fake.port(), None, None);
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    fake.plan(Fault::on("GET", "/v2/", What::Answer { status: 503, headers, body: "<html>".to_owned() }));
    let (options, waits) = noting();
    let options = RegistryOptions { proxies: through(&proxy.address, ""), ..options };
    FileServer::new("http://registry.test/v2", options).unwrap().unchecked("", 100).unwrap();
    assert_eq!(waits.lock().unwrap().len(), 1);
    proxy.stop();
}

/// It is the proxy that is not there, is not known or refuses, and not the registry.
#[test]
fn a_proxy_that_fails_is_named() {
    let fake = FakeRegistry::start();
    let denied = "HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\n<html></html";
    let wants_login = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let unreachable = "HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\nContent-Length: 0\r\n\r\n";
    let mut said = String::new();
    for (what, answer, address) in [
        ("refuses", denied, ""),
        ("wants a login", wants_login, ""),
        ("finds nobody", unreachable, ""),
        ("hangs up", "", ""),
        ("is down", "", "127.0.0.1:1"),
        // Two dots: no name server is asked.
        ("is unknown", "", "proxy..invalid:3128"),
        ("is no address", "", "a b"),
    ] {
        let proxy = Proxy::start(0, Some(answer), Some(answer));
        let address = if address.is_empty() { &proxy.address } else { address };
        let [https, http] = ["https", "http"].map(|scheme| {
            let options = RegistryOptions { proxies: through(address, ""), ip: None, ..impatient() };
            let server = FileServer::new(&format!("{scheme}://registry.test/x"), options).unwrap();
            let error = server.unchecked("file", 100).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"));
            let shown = shown(&error, &fake).replace(address, "PROXY").replace("proxy..invalid", "PROXY");
            shown.replace(&format!("{scheme}://registry.test"), "URL")
        });
        said.push_str(&format!("# {what}\n{https}\n"));
        if http != https {
            said.push_str(&format!("# {what}, without TLS\n{http}\n"));
        }
        proxy.stop();
    }
    expect_test::expect_file!["snapshots/proxies.txt"].assert_eq(&said);
}

/// HTTPS, without a proxy, finds nobody at an address of this machine that is not a loopback one.
#[test]
fn a_proxy_for_plain_http_alone_is_named() {
    for (address, said) in [
        ("127.0.0.1:1", "can't reach `0.0.0.0:1` through the proxy `127.0.0.1:1`"),
        ("proxy..invalid:3128", "can't reach `0.0.0.0:1` through the proxy `proxy..invalid:3128`"),
        ("a b", "the address of the proxy for `0.0.0.0:1` is not valid"),
    ] {
        let proxies = Proxies::from_lookup(move |name| (name == "HTTP_PROXY").then(|| format!("http://{address}")));
        let options = RegistryOptions { insecure: true, proxies, ip: None, ..impatient() };
        let error = Registry::new("0.0.0.0:1".parse().unwrap(), options).ping().unwrap_err();
        assert_eq!(error.cause().to_string(), said);
    }
}
