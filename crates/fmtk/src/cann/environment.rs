//! CANN's variables, as its own `set_env.sh` sets them: sourced in a clean shell, of which only the difference to the
//! base's variables is kept, and of that only what a table or the recipe names.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use glob::Pattern;
use serde::Deserialize;

use crate::{
    recipe::{Cann, ENGINE_PATH},
    terminal::{report::WithHint, shell},
};

/// Names and values.
pub type Variables = BTreeMap<String, String>;

/// What is kept. See the file.
pub const TABLE: &str = include_str!("variables.toml");

/// Where versions of the toolkit have it, the newest first.
const OF_TOOLKIT: [&str; 4] = [
    "/usr/local/Ascend/cann/set_env.sh",
    "/usr/local/Ascend/ascend-toolkit/set_env.sh",
    "/usr/local/Ascend/nnae/set_env.sh",
    "/usr/local/Ascend/nnrt/set_env.sh",
];
/// Where nnal has it.
pub const NNAL_SET_ENV: &str = "/usr/local/Ascend/nnal/atb/set_env.sh";
/// The variable that leads to nnal.
pub const NNAL_HOME: &str = "ATB_HOME_PATH";

/// Which of the scripts are sourced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Sourced {
    /// The toolkit's, and nnal's where it is.
    All,
    /// nnal's: the base has the variables of its own CANN already.
    Nnal,
}

#[derive(Deserialize)]
struct Table {
    kept: Vec<String>,
    lists: Vec<String>,
    dropped: Vec<String>,
}

fn table() -> Table {
    // The file is this crate's own, as the tests show.
    toml_edit::de::from_str(TABLE).unwrap_or(Table { kept: Vec::new(), lists: Vec::new(), dropped: Vec::new() })
}

/// Lines for `/bin/sh` that choose the shell: nnal's script is one for bash.
pub const SHELL: &str = "shell=/bin/sh\n[ ! -x /bin/bash ] || shell=/bin/bash\n";

/// Lines that put the scripts which are there into the positional parameters.
pub fn find(sourced: Sourced) -> String {
    let of_toolkit = match sourced {
        Sourced::All => OF_TOOLKIT.join(" "),
        Sourced::Nnal => String::new(),
    };
    format!(
        "set --\nfor file in {of_toolkit}; do\n    if [ -f \"$file\" ]; then set -- \"$file\"; break; fi\ndone\n\
         if [ -f {NNAL_SET_ENV} ]; then set -- \"$@\" {NNAL_SET_ENV}; fi\n"
    )
}

/// Lines that print what the scripts make of the variables of the base, each ended by NUL, and nothing else. Whatever a
/// script says goes nowhere; of one that fails, `failed`, the status, and its last lines are printed instead.
pub fn learn(cann: &Cann, sourced: Sourced, base: &Variables) -> String {
    let usual = [("HOME", "/root"), ("PATH", ENGINE_PATH)].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let variables: Variables = usual.into_iter().chain(base.clone()).collect();
    let pairs: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let clean = shell::line(["/usr/bin/env", "-i"].into_iter().chain(pairs.iter().map(String::as_str)));
    let abi = cann.cxx_abi;
    let source = format!(
        "for file; do set --; if [ \"$file\" = {NNAL_SET_ENV} ]; then set -- --cxx_abi={abi}; fi; . \"$file\" || exit; done"
    );
    let quiet = shell::word(format!("exec 3>&1 >/dev/null 2>&1; {source}; exec /usr/bin/env -0 >&3"));
    let loud = shell::word(format!("exec 2>&1; {source}"));
    let find = find(sourced);
    format!(
        "{SHELL}{find}if [ $# = 0 ]; then printf 'failed\\nthere is none'; exit 0; fi\n\
         {clean} \"$shell\" -c {quiet} sh \"$@\" && exit 0\n\
         printf 'failed\\nstatus %s\\n' $?\n{clean} \"$shell\" -c {loud} sh \"$@\" </dev/null | tail -n 20\n"
    )
}

/// What the lines of [`learn`] printed, less what the base has, as far as it is kept.
pub fn learned(printed: &[u8], cann: &Cann, base: &Variables) -> anyhow::Result<Variables> {
    let printed = String::from_utf8_lossy(printed);
    let hint = "use the whole package of this version, or name `ASCEND_HOME_PATH` and the others in `[environment]`";
    if let Some(said) = printed.strip_prefix("failed\n") {
        let said: String = said.lines().map(|line| format!("\n    {line}")).collect();
        return Err(anyhow!("CANN's `set_env.sh` failed, so that the image's variables are not known:{said}"))
            .hint(hint);
    }
    let Table { kept, lists, dropped } = table();
    let matches = |patterns: &[String], name: &str| {
        patterns.iter().any(|pattern| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name)))
    };
    let is_kept = |name: &str| {
        cann.keep_env.contains(name) || matches(&kept, name) && !matches(&dropped, name) || matches(&lists, name)
    };
    let mut found = Variables::new();
    for (name, value) in printed.split('\0').filter_map(|entry| entry.split_once('=')) {
        let value = if matches(&lists, name) { without_empty(value) } else { value.to_owned() };
        let of_base =
            base.get(name).map(|value| if matches(&lists, name) { without_empty(value) } else { value.clone() });
        let of_base = of_base.or_else(|| (name == "PATH").then(|| ENGINE_PATH.to_owned()));
        if is_kept(name) && of_base.as_ref() != Some(&value) && !value.contains(char::is_control) {
            found.insert(name.to_owned(), value);
        }
    }
    if found.is_empty() {
        return Err(anyhow!("CANN's `set_env.sh` sets none of the variables that an image keeps")).hint(hint);
    }
    Ok(found)
}

/// A list without empty elements and repetitions.
fn without_empty(list: &str) -> String {
    let mut seen = BTreeSet::new();
    list.split(':').filter(|one| !one.is_empty() && seen.insert(*one)).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use expect_test::expect;

    use super::*;
    use crate::{
        recipe::{Overrides, Recipe},
        terminal::report,
    };

    /// What is learned of scripts with these texts, run by this machine's shell.
    fn learned_of(toolkit: &str, nnal: &str, sourced: Sourced, set: &[&str], base: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("usr/local/Ascend").display().to_string();
        for (path, text) in [("ascend-toolkit/set_env.sh", toolkit), ("nnal/atb/set_env.sh", nnal)] {
            let path = Path::new(&root).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !text.is_empty() {
                fs::write(path, text).unwrap();
            }
        }
        let set: Vec<String> = set.iter().map(|one| (*one).to_owned()).collect();
        let recipe =
            Recipe::parse("", "image.toml", Path::new("/"), Overrides { set: &set, ..Overrides::default() }).unwrap();
        let base: Variables = base.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let script = learn(&recipe.cann, sourced, &base).replace("/usr/local/Ascend", &root);
        let output = Command::new("/bin/sh").args(["-c", &script]).env("LEAKED", "yes").output().unwrap();
        match learned(&output.stdout, &recipe.cann, &base) {
            Ok(found) => found.iter().map(|(name, value)| format!("{name}={value}\n")).collect(),
            Err(error) => report::render(&error),
        }
        .replace(&root, "/Ascend")
    }

    const TOOLKIT: &str = "
        export ASCEND_HOME_PATH=/usr/local/Ascend/ascend-toolkit/latest
        export LD_LIBRARY_PATH=$ASCEND_HOME_PATH/lib64:$LD_LIBRARY_PATH
        export PYTHONPATH=$PYTHONPATH:$ASCEND_HOME_PATH/python/site-packages
        export PATH=$ASCEND_HOME_PATH/bin:$PATH
        export TOOLCHAIN_HOME=$# PASSWORD=1234 ASCEND_LOGIN=$LEAKED ATB_TOKEN=1234 OWN=kept
        echo $PASSWORD; echo $PASSWORD >&2
        ";
    const NNAL: &str = "
        export ATB_HOME_PATH=$ASCEND_HOME_PATH/../nnal/${1#--} ASDOPS_LOG_PATH=~ ATB_EMPTY=
        [ -n $ATB_HOME_PATH ]
        ";

    #[test]
    fn what_scripts_set_is_kept_as_far_as_it_is_known_and_nothing_that_they_say() {
        let base = [("LD_LIBRARY_PATH", "/base::/base"), ("PYTHONPATH", "/py"), ("OTHER", "x y")];
        expect![[r#"
            ASCEND_HOME_PATH=/usr/local/Ascend/ascend-toolkit/latest
            ATB_EMPTY=
            ATB_HOME_PATH=/usr/local/Ascend/ascend-toolkit/latest/../nnal/cxx_abi=0
            LD_LIBRARY_PATH=/usr/local/Ascend/ascend-toolkit/latest/lib64:/base
            OWN=kept
            PATH=/usr/local/Ascend/ascend-toolkit/latest/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
            PYTHONPATH=/py:/usr/local/Ascend/ascend-toolkit/latest/python/site-packages
            TOOLCHAIN_HOME=0
        "#]]
        .assert_eq(&learned_of(TOOLKIT, NNAL, Sourced::All, &["cann.cxx_abi=0", "cann.keep_env=['OWN']"], &base));
        let own = [("ASCEND_HOME_PATH", "/own"), ("PATH", "/bin:/usr/bin")];
        expect![[r#"
            ATB_EMPTY=
            ATB_HOME_PATH=/own/../nnal/cxx_abi=1
        "#]]
        .assert_eq(&learned_of(TOOLKIT, NNAL, Sourced::Nnal, &[], &own));
    }

    #[test]
    fn a_script_that_fails_is_told_with_its_last_lines() {
        let said = |toolkit: &str| learned_of(toolkit, "", Sourced::All, &[], &[]);
        expect![[r#"
            error: CANN's `set_env.sh` failed, so that the image's variables are not known:
                  status 7
                  no such
                  bye
            hint: use the whole package of this version, or name `ASCEND_HOME_PATH` and the others in `[environment]`
        "#]]
        .assert_eq(&said("echo no such; echo bye >&2; exit 7"));
        assert_eq!(said("echo no such; echo bye >&2; return 7").lines().nth(1), Some("      status 7"));
        assert!(said("").contains("there is none"), "{}", said(""));
        for nothing in ["exit 0", "export PASSWORD=1234"] {
            assert!(said(nothing).contains("sets none of the variables"), "{}", said(nothing));
        }
    }
}
