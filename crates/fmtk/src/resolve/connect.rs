//! How a registry is reached: the flags, over what the recipe says of that host.

use image_name::{Host, NameError};
use registry::{Registry, RegistryOptions};

use crate::{
    options::RegistryArgs,
    recipe::{self, Chunk},
    terminal::progress::Progress,
};

/// A registry as it is typed; where plain HTTP is meant, the flag for that is told.
pub fn host(text: &str) -> Result<Host, String> {
    let plain = text.to_ascii_lowercase().starts_with("http://");
    text.parse().map_err(|error: NameError| match plain {
        true => format!("{error}\nhint: `--insecure` takes plain HTTP"),
        false => error.to_string(),
    })
}

/// The registry at `host`. What the recipe says under `[registry]` holds for the recipe's own host alone, save for
/// `chunk`: a base may come from elsewhere.
pub fn registry(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> Registry {
    Registry::new(host.clone(), options(host, args, recipe))
}

/// Passes on what the registry wants its users to know.
pub fn warn_of(registry: &Registry, progress: &Progress) {
    for warning in registry.warnings() {
        progress.warning(&format!("`{}` says: {warning}", registry.host()));
    }
}

/// How the registry at `host` is reached, with the logins that are stored.
pub fn options(host: &Host, args: &RegistryArgs, recipe: &recipe::Registry) -> RegistryOptions {
    let own = (*host == recipe.host).then_some(recipe);
    let none = RegistryArgs::default();
    let args = if args.only.as_ref().is_none_or(|only| only == host) { args } else { &none };
    let ca = args.ca.clone().or_else(|| own.and_then(|own| own.ca.as_ref()).map(|ca| ca.path().to_owned()));
    let default = RegistryOptions::default();
    RegistryOptions {
        insecure: args.insecure || own.is_some_and(|own| own.insecure),
        ip: args.resolve.or_else(|| own.and_then(|own| own.ip)),
        ca_files: ca.into_iter().collect(),
        // The line is the same whichever registry is at its end.
        chunk: recipe.chunk.map_or(default.chunk, Chunk::bytes),
        ..default
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use expect_test::expect;

    use super::*;
    use crate::recipe::{Overrides, Recipe};

    /// The flags of a push were also used for the registry that a layer of the image comes from.
    #[test]
    fn each_registry_is_reached_as_is_said_of_it() {
        let recipe = "registry = { host = 'own.example', ip = '10.0.0.1', insecure = true, chunk = '2 MiB' }";
        let recipe = Recipe::parse(recipe, "image.toml", Path::new("/"), Overrides::default()).unwrap().registry;
        let [own, target, other]: [Host; 3] =
            ["own.example", "target.example", "other.example"].map(|host| host.parse().unwrap());
        let flags = RegistryArgs {
            resolve: Some("10.0.0.2".parse().unwrap()),
            insecure: true,
            ca: Some("/ca.pem".into()),
            ..RegistryArgs::default()
        };
        let pushed = flags.only_for(&target);
        let reached = |host: &Host, args: &RegistryArgs| {
            let options = options(host, args, &recipe);
            assert_eq!(options.chunk, 2 << 20, "{host}");
            (options.ip.map(|ip| ip.to_string()), options.insecure, options.ca_files.len())
        };
        let flagged = (Some("10.0.0.2".to_owned()), true, 1);
        assert_eq!(reached(&target, &pushed), flagged);
        assert_eq!(reached(&own, &pushed), (Some("10.0.0.1".to_owned()), true, 0));
        assert_eq!(reached(&other, &pushed), (None, false, 0));
        assert_eq!(reached(&other, &flags), flagged);
    }

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
