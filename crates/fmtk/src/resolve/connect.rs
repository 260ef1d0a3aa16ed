//! How a registry is reached: the flags, over what the recipe says of that host.

use image_name::{Host, NameError};
use registry::{Registry, RegistryOptions};

use crate::{options::RegistryArgs, recipe};

/// A registry as it is typed; where plain HTTP is meant, the flag for that is told.
pub fn host(text: &str) -> Result<Host, String> {
    let plain = text.to_ascii_lowercase().starts_with("http://");
    text.parse().map_err(|error: NameError| match plain {
        true => format!("{error}\nhint: `--insecure` takes plain HTTP"),
        false => error.to_string(),
    })
}

/// The registry at `host`. What the recipe says under `[registry]` holds for the recipe's own host alone: a base may
/// come from elsewhere.
pub fn registry(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> Registry {
    Registry::new(host.clone(), options(host, args, recipe))
}

/// How the registry at `host` is reached, with the logins that are stored.
pub fn options(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> RegistryOptions {
    let own = (*host == recipe.host).then_some(recipe);
    let ca = args.ca.clone().or_else(|| own.and_then(|own| own.ca.as_ref()).map(|ca| ca.path().to_owned()));
    RegistryOptions {
        insecure: args.insecure || own.is_some_and(|own| own.insecure),
        ip: args.resolve.or_else(|| own.and_then(|own| own.ip)),
        ca_files: ca.into_iter().collect(),
        chunk: own.map_or(registry::CHUNK, |own| own.chunk.bytes()),
        ..RegistryOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn an_address_of_the_web_is_told_what_to_leave_away() {
        assert_eq!(host("swr.x.com:5000").unwrap().as_str(), "swr.x.com:5000");
        expect![[r#"
            registry host `http://swr.x.com` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)
            hint: `--insecure` takes plain HTTP"#]]
        .assert_eq(&host("http://swr.x.com").unwrap_err());
        expect!["registry host `https://swr.x.com/` must start with the name itself: leave `http://` or `https://` away (character 1, `h`)"]
            .assert_eq(&host("https://swr.x.com/").unwrap_err());
    }
}
