//! Recipes for images of a few wheels on the sample's base.

use std::collections::BTreeMap;

use fmtk::sample;

/// The text of a recipe of nothing but the sample's base, with these settings changed or added: `packages.KIND.glob` and
/// others. A value is a text, a list or `false`.
pub fn recipe(changes: &[(&str, &str)]) -> String {
    let of_base = sample::BULLSEYE.recipe();
    let mut settings: BTreeMap<&str, &str> =
        [("bytecode", "off"), ("scripts", "keep"), ("pypi.requirements", "[]"), ("versions.cann", "none")].into();
    settings.extend(["packages.cann.required", "packages.moxing.required"].map(|key| (key, "false")));
    settings.insert("packages.tuning-kit.required", "false");
    settings.extend(of_base.iter().filter_map(|setting| setting.split_once('=')));
    settings.extend(changes.iter().copied());
    let line = |(key, value): (&str, &str)| match value == "false" || value.starts_with(['[', '\'']) {
        true => format!("{key} = {value}\n"),
        false => format!("{key} = \"{value}\"\n"),
    };
    settings.into_iter().map(line).collect()
}

/// The lines of a recipe that put own files into the image; they come last.
pub fn own_files(from: &str, to: &str, mode: &str) -> String {
    format!("[[files]]\nfrom = \"{from}\"\nto = \"{to}\"\nmode = \"{mode}\"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_recipe() {
        let text = recipe(&[("packages.alpha.glob", "alpha-*.whl"), ("scripts", "auto"), ("launch.front", "false")]);
        let text = text + &own_files("a", "/b", "0640");
        let nothing = fmtk::recipe::Overrides::default();
        let parsed = fmtk::recipe::Recipe::parse(&text, "image.toml", std::path::Path::new("/"), nothing);
        assert!(parsed.is_ok(), "{parsed:?}\n{text}");
    }
}
