//! Which proxy leads to a host: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, in capitals or not.

use std::{env, net::IpAddr};

use image_name::Host;

use crate::credentials::Secret;

/// The proxies of the environment. Their URLs may hold passwords, so `Debug` shows none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    https: Option<Secret>,
    http: Option<Secret>,
    except: Vec<String>,
}

impl Proxies {
    /// What the environment says.
    pub fn from_env() -> Self {
        Self::from_lookup(|name| env::var(name).ok())
    }

    /// The same from anywhere else: `lookup` gives the value of a variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| {
            let value = lookup(name).or_else(|| lookup(&name.to_ascii_lowercase()));
            value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let all = get("ALL_PROXY");
        let secret = |value: Option<String>| value.or_else(|| all.clone()).map(Secret::new);
        let except = get("NO_PROXY").unwrap_or_default();
        let except = except.split(',').map(|entry| entry.trim().to_ascii_lowercase());
        Self {
            https: secret(get("HTTPS_PROXY")),
            http: secret(get("HTTP_PROXY")),
            except: except.filter(|entry| !entry.is_empty()).collect(),
        }
    }

    /// Whether a registry, which may do without HTTPS, is reached through one of them, which then looks its name up.
    pub fn lead_to(&self, host: &Host, insecure: bool) -> bool {
        let has_proxy = self.https.is_some() || (insecure && self.http.is_some());
        has_proxy && !self.is_direct(host.name(), host.port().unwrap_or(443))
    }

    /// The proxy for requests of this scheme, whatever the host.
    pub(crate) fn of_scheme(&self, https: bool) -> Option<&Secret> {
        if https { self.https.as_ref() } else { self.http.as_ref() }
    }

    /// Whether a host is reached without a proxy: loopback always, else as `NO_PROXY` says. An entry is `*`, an
    /// address, a network (`10.0.0.0/8`), or a name, which stands for all names below it too; with `:PORT` for that
    /// port only.
    pub(crate) fn is_direct(&self, name: &str, port: u16) -> bool {
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let address: Option<IpAddr> = name.parse().ok();
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.except.iter().any(|entry| {
            if entry == "*" {
                return true;
            }
            let (entry, only) = match entry.rsplit_once(':') {
                Some((host, digits)) if !host.contains(':') => (host, digits.parse::<u16>().ok()),
                _ => (entry.as_str(), None),
            };
            if only.is_some_and(|only| only != port) {
                return false;
            }
            match address {
                Some(address) => covers(entry, address),
                None => {
                    let domain = entry.trim_start_matches('*').trim_start_matches('.');
                    let below = name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
                    below || (name == domain && !entry.starts_with(['*', '.']))
                }
            }
        })
    }
}

/// Whether an address or network written as text has this address in it.
fn covers(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let (Ok(network), Some(bits)) = (network.trim_start_matches('[').trim_end_matches(']').parse(), bits) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Proxies::from_lookup(find)
    }

    #[test]
    fn hosts_of_no_proxy_are_reached_directly() {
        let rules = proxies(&[("no_proxy", "a.com, .b.com,*.c.com,10.0.0.0/8,192.168.1.5,d.com:5000,fd00::/8,[::9]")]);
        let direct =
            ["a.com", "x.a.com", "X.A.COM", "y.b.com", "z.c.com", "10.9.8.7", "192.168.1.5", "fd12::1", "[::9]"];
        for host in direct.into_iter().chain(["localhost", "127.3.2.1", "[::1]"]) {
            assert!(rules.is_direct(host, 443), "{host}");
        }
        for host in ["b.com", "c.com", "xa.com", "11.0.0.1", "192.168.1.6", "d.com", "fe00::1", "a.com.evil"] {
            assert!(!rules.is_direct(host, 443), "{host}");
        }
        assert!(rules.is_direct("d.com", 5000));
        assert!(proxies(&[("NO_PROXY", "*")]).is_direct("any.com", 443));
        assert!(proxies(&[("NO_PROXY", "0.0.0.0/0")]).is_direct("8.8.8.8", 443));
    }

    #[test]
    fn a_proxy_is_chosen_by_scheme_and_capitals_win() {
        let rules =
            proxies(&[("HTTPS_PROXY", "http://one"), ("https_proxy", "http://two"), ("all_proxy", "http://all")]);
        assert_eq!(rules.of_scheme(true).map(Secret::reveal), Some("http://one"));
        assert_eq!(rules.of_scheme(false).map(Secret::reveal), Some("http://all"));
        assert!(proxies(&[("HTTPS_PROXY", " ")]).of_scheme(true).is_none());
        assert!(!format!("{rules:?}").contains("one"));
        let host = |name: &str| name.parse().unwrap();
        assert!(rules.lead_to(&host("r.x"), false) && !rules.lead_to(&host("127.0.0.1"), false));
        let http = proxies(&[("HTTP_PROXY", "http://one")]);
        assert!(http.lead_to(&host("r.x"), true) && !http.lead_to(&host("r.x"), false));
    }
}
