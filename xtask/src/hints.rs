//! This very call in words, so that a hint names the command and the arguments that help it, and no other's.

use fmtk::{
    options::{Call, RecipeArgs},
    terminal::shell,
};

/// The call with these arguments.
pub fn call(args: &RecipeArgs) -> Call {
    let mut arguments = String::new();
    let mut add = |flag: &str, value: &str| arguments.push_str(&format!(" {flag} {}", shell::word(value)));
    if let Some(recipe) = &args.recipe {
        add("--recipe", &recipe.to_string_lossy());
    }
    if let Some(pkg) = &args.pkg {
        add("--pkg", &pkg.to_string_lossy());
    }
    args.set.iter().for_each(|set| add("--set", set));
    let sample = if args.sample { " --sample" } else { "" };
    Call {
        fetch: format!("cargo xtask fetch{sample}{arguments}"),
        lock: format!("cargo xtask lock{arguments}"),
        sample: args.sample,
        requirements_given: args.set.iter().any(|set| {
            let key = set.split('=').next().unwrap_or_default().trim();
            matches!(key, "pypi" | "pypi.requirements")
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn args(sample: bool, pkg: Option<&str>, set: &[&str]) -> RecipeArgs {
        let set = set.iter().map(|set| (*set).to_owned()).collect();
        RecipeArgs { recipe: None, set, pkg: pkg.map(PathBuf::from), sample }
    }

    #[test]
    fn the_command_has_the_arguments_of_the_call() {
        let fetch = |args: &RecipeArgs| call(args).fetch;
        let plain = call(&args(false, None, &[]));
        assert_eq!((plain.fetch.as_str(), plain.lock.as_str()), ("cargo xtask fetch", "cargo xtask lock"));
        assert!(!plain.sample && !plain.requirements_given);
        assert!(call(&args(false, None, &["pypi.requirements=[]"])).requirements_given);
        assert!(!call(&args(false, None, &["pypi.constraints=[]"])).requirements_given);
        let set = ["packages.cann.required=false"];
        assert_eq!(call(&args(false, None, &set)).lock, "cargo xtask lock --set packages.cann.required=false");
        let set = ["versions.mindspore=1.9.0", "pypi.requirements=['a', \"it's\"]"];
        assert_eq!(
            fetch(&args(true, Some("my pkg"), &set)),
            r#"cargo xtask fetch --sample --pkg 'my pkg' --set versions.mindspore=1.9.0 --set 'pypi.requirements=['\''a'\'', "it'\''s"]'"#
        );
    }
}
