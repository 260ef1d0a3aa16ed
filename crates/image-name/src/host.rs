//! The host of a registry: `swr.cn-central-221.ovaijisuan.com`, `127.0.0.1:5000`, `[::1]:5000`.

use std::net::{IpAddr, Ipv6Addr};

use crate::{
    error::Broken,
    names::{characters, length, name},
};

name! {
    /// A DNS name, IPv4 address or bracketed IPv6 address, with a port where one is given.
    Host, "registry host", check
}

/// Text that begins as an address of the web does: what browsers show is copied.
pub(crate) fn no_scheme(text: &str) -> Result<(), Broken> {
    match ["http://", "https://"].iter().find(|scheme| text.to_ascii_lowercase().starts_with(**scheme)) {
        Some(_) => Err(Broken::new("start with the name itself: leave `http://` or `https://` away", 0)),
        None => Ok(()),
    }
}

fn check(text: &str) -> Result<(), Broken> {
    no_scheme(text)?;
    // 253 characters of a DNS name (RFC 1035, 2.3.4), a colon and five digits.
    length(text, 259)?;
    let (name, port) = split(text);
    if let Some(inner) = name.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|address| address.parse::<Ipv6Addr>().ok());
        if address.is_none() {
            return Err(Broken::new("have an IPv6 address between `[` and `]`", 1));
        }
    } else {
        labels(name)?;
    }
    let Some(port) = port else { return Ok(()) };
    let at = name.len() + 1;
    characters(port, "digits", |c| c.is_ascii_digit()).map_err(|broken| broken.in_part("port", at))?;
    if port.starts_with('0') || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(Broken::new("have a port of 1–65535 after the colon", at));
    }
    Ok(())
}

fn labels(name: &str) -> Result<(), Broken> {
    characters(name, "letters, digits, `-` and `.`", |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))?;
    let mut offset = 0;
    for label in name.split('.') {
        let broken = |rule: &str, at| Err(Broken::new(rule, offset + at));
        match label {
            "" => return broken("have a letter or digit on both sides of a dot", 0),
            _ if label.len() > 63 => return broken("have at most 63 characters between dots", 63),
            _ if label.starts_with('-') => return broken("not begin a label with `-`", 0),
            _ if label.ends_with('-') => return broken("not end a label with `-`", label.len() - 1),
            _ => offset += label.len() + 1,
        }
    }
    Ok(())
}

/// Splits at the colon of the port, which is not one of those within brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    let search = text.find(']').unwrap_or(0);
    match text[search..].find(':') {
        Some(at) => (&text[..search + at], Some(&text[search + at + 1..])),
        None => (text, None),
    }
}

impl Host {
    /// The name or address without the port; an IPv6 address without its brackets.
    pub fn name(&self) -> &str {
        split(&self.0).0.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, where one is given.
    pub fn port(&self) -> Option<u16> {
        split(&self.0).1.and_then(|port| port.parse().ok())
    }

    /// Whether the registry runs on this machine. Like docker, callers may then try plain HTTP.
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}
