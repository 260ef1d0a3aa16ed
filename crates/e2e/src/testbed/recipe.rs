//! Recipes for images of a few wheels on the sample's base.

use fmtk::sample;

/// The text of a recipe whose packages are these, by kind and glob, and nothing else.
pub fn recipe(packages: &[(&str, &str)]) -> String {
    let mut text = String::from("scripts = \"keep\"\npypi.requirements = []\nversions.cann = \"none\"\n");
    for setting in sample::RECIPE {
        if let Some((key, value)) = setting.split_once('=') {
            text.push_str(&format!("{key} = \"{value}\"\n"));
        }
    }
    for kind in ["cann", "moxing", "tuning-kit"] {
        text.push_str(&format!("packages.{kind}.required = false\n"));
    }
    for (kind, glob) in packages {
        text.push_str(&format!("packages.{kind}.glob = \"{glob}\"\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_recipe() {
        let text = recipe(&[("alpha", "alpha-*.whl")]);
        let nothing = fmtk::recipe::Overrides { set: &[], base: None };
        let parsed = fmtk::recipe::Recipe::parse(&text, "image.toml", std::path::Path::new("/"), nothing);
        assert!(parsed.is_ok(), "{parsed:?}\n{text}");
    }
}
