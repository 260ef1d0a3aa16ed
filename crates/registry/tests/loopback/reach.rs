//! Finding the registry: names without DNS, plain HTTP, proxies, and nobody there.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    thread,
};

use expect_test::expect;
use registry::{Cause, Proxies, Registry, RegistryOptions};
use registry_fake::FakeRegistry;

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

/// A proxy that leads every CONNECT to one port; returns its address and what it was asked.
fn proxy(target: u16) -> (String, thread::JoinHandle<Vec<String>>, impl FnOnce()) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
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
            let mut client = client.into_inner();
            if target == 0 {
                client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
                continue;
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).unwrap();
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
    // An empty request is the sign to stop.
    let stop = move || drop(TcpStream::connect(address));
    (address.to_string(), served, stop)
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

#[test]
fn a_proxy_is_used_for_names_that_only_it_knows() {
    let fake = FakeRegistry::start();
    let (address, served, stop) = proxy(fake.port());
    let options = RegistryOptions { insecure: true, proxies: through(&address, ""), ..options() };
    let registry = named(&fake, options);
    Image::new(&[bytes(1, 2_000_000)]).push(&registry).unwrap();
    assert!(fake.tag("o/r", "t").is_some());
    stop();
    let asked = served.join().unwrap();
    let line = format!("CONNECT registry.test:{} HTTP/1.1", fake.port());
    assert!(asked.contains(&line), "{asked:?}");
    assert!(asked.contains(&"Proxy-Authorization: Basic bWU6aHVudGVyMg==".to_owned()), "{asked:?}");
}

#[test]
fn loopback_exceptions_and_given_addresses_go_past_the_proxy() {
    let fake = FakeRegistry::start();
    // Nothing listens on port 1: whoever goes there fails.
    let nowhere = through("127.0.0.1:1", "");
    client_with(&fake, RegistryOptions { proxies: nowhere.clone(), ..options() }).ping().unwrap();
    named(&fake, RegistryOptions { insecure: true, proxies: nowhere.clone(), ..loopback() }).ping().unwrap();
    let error = named(&fake, RegistryOptions { proxies: nowhere, ..options() }).ping().unwrap_err();
    // It is the proxy that is not there, and not the registry.
    assert!(matches!(error.cause(), Cause::Proxy { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_proxy_that_refuses_is_told_from_a_registry_that_does() {
    let fake = FakeRegistry::start();
    let (address, served, stop) = proxy(0);
    let options = RegistryOptions { proxies: through(&address, ""), ..options() };
    let error = named(&fake, options).ping().unwrap_err();
    expect![[r#"
        failed to reach registry `registry.test:PORT`
        caused by: the proxy did not connect to `registry.test:PORT`: proxy server responded 403/403
        hint: to go past the proxy, add `registry.test:PORT` to NO_PROXY"#]]
    .assert_eq(&shown(&error, &fake));
    stop();
    served.join().unwrap();
}
