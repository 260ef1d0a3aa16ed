//! Finding the registry: names without DNS, plain HTTP, proxies, and nobody there.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
};

use expect_test::expect;
use registry::{CredentialSource, Credentials, FileServer, Proxies, Registry, RegistryOptions, Secret};
use registry_fake::{Auth, FakeRegistry, Options};

use crate::fixture::{Image, bytes, client_with, options, shown};

fn named(fake: &FakeRegistry, options: RegistryOptions) -> Registry {
    Registry::new(format!("registry.test:{}", fake.port()).parse().unwrap(), options)
}

fn loopback() -> RegistryOptions {
    RegistryOptions { ip: Some(Ipv4Addr::LOCALHOST.into()), ..options() }
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

#[test]
fn a_registry_that_is_down_is_told_at_once() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    for host in [format!("127.0.0.1:{port}"), format!("registry.test:{port}")] {
        for insecure in [false, true] {
            let slept = std::sync::Arc::new(|_| panic!("waited"));
            let mut options = RegistryOptions { insecure, ..loopback() };
            options.retry.sleep = slept;
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

/// It is the proxy that is not there, is not known or refuses, and not the registry.
#[test]
fn a_proxy_that_fails_is_named() {
    let fake = FakeRegistry::start();
    let denied = "HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\n<html></html";
    let wants_login = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let unreachable = "HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\nContent-Length: 0\r\n\r\n";
    let nothing = "";
    let dead = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let mut said = String::new();
    for (what, answer, address) in [
        ("refuses", denied, ""),
        ("wants a login", wants_login, ""),
        ("finds nobody", unreachable, ""),
        ("hangs up", nothing, ""),
        ("is down", "", dead.as_str()),
        // Two dots: no name server is asked.
        ("is unknown", "", "proxy..invalid:3128"),
        ("is no address", "", "a b"),
    ] {
        let proxy = Proxy::start(0, Some(answer), Some(answer));
        let address = if address.is_empty() { &proxy.address } else { address };
        let slept = std::sync::Arc::new(|_| panic!("waited"));
        for (scheme, insecure) in [("https", false), ("http", true)] {
            // For the second the way by HTTPS is given up at once: nothing listens there.
            let url = format!("http://me:hunter2@{address}");
            let proxies = Proxies::from_lookup(|name| match name {
                "HTTPS_PROXY" if !insecure => Some(url.clone()),
                "HTTP_PROXY" => Some(url.clone()),
                _ => None,
            });
            let mut options = RegistryOptions { proxies, ..options() };
            options.retry.sleep = slept.clone();
            let server = FileServer::new(&format!("{scheme}://registry.test/x"), options.clone()).unwrap();
            let error = server.unchecked("file", 100).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"));
            let shown =
                shown(&error, &fake).replace(address, "PROXY").replace(address.split(':').next().unwrap(), "PROXY");
            said.push_str(&format!("# {what}, {scheme}\n{shown}\n"));
        }
        proxy.stop();
    }
    expect_test::expect_file!["snapshots/proxies.txt"].assert_eq(&said);
}
