//! What a base has in place of defaults that do not fit it: its Python, its system, and the user that it lacks.
//!
//! A key that is written counts more, and is held against the base by the plan. A recipe that the base fits as it is
//! stays what it is, to its digest.

use std::cmp::Reverse;

use image_name::TagPart;
use oci_image::{BaseIndex, Interpreter};
use serde::{Deserialize, Serialize};
use toml_edit::Value;
use wheel_layer::Elf;

use super::{Account, Draft, Recipe, environment::ENGINE_PATH};

/// Where the Python of the system is, which its own tools are written for.
const OF_SYSTEM: [&str; 2] = ["/usr/bin/", "/bin/"];
/// Its rank among others.
const SYSTEM: u8 = 4;
/// Whose group the devices are in.
const OF_DEVICES: &str = "HwHiAiUser";

/// Keys with what the base has for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Each key and its value in TOML.
    keys: Vec<(String, String)>,
    /// In words, with what might have been taken instead.
    pub notes: Vec<String>,
}

/// A Python that may be meant.
struct Choice<'a> {
    python: &'a Interpreter,
    /// Where pip would put wheels for it, and the folder above that.
    site: String,
    prefix: String,
    order: (u8, usize, u8, Reverse<(u32, u32)>),
}

impl Found {
    /// Each key and its value in TOML.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl Draft {
    /// Whether what the base has may complete it. That of the manual is what the defaults were written for.
    pub fn asks_base(&self) -> bool {
        self.asks_python() || !self.recipe.base.is_standard() && !self.document.is_given(&["user"])
    }

    /// The same of what decides which wheels fit.
    pub fn asks_python(&self) -> bool {
        let of_python = ["prefix", "interpreter", "site_packages"].map(|key| ["python", key]);
        let keys = [["versions", "python"], ["versions", "os"]].into_iter().chain(of_python);
        !self.recipe.base.is_standard() && !keys.into_iter().all(|keys| self.document.is_given(&keys))
    }

    /// What decides what is found in a base.
    pub fn question(&self) -> String {
        let Recipe { python, versions, user, .. } = &self.recipe;
        let given = |keys: &[&str], value: String| if self.document.is_given(keys) { value } else { String::new() };
        [
            given(&["versions", "python"], versions.get("python").unwrap_or_default().to_owned()),
            given(&["versions", "os"], versions.get("os").unwrap_or_default().to_owned()),
            given(&["python", "prefix"], python.prefix.to_string()),
            given(&["python", "interpreter"], python.interpreter.to_string()),
            given(&["python", "site_packages"], python.site_packages.to_string()),
            given(&["python", "glibc"], python.glibc.to_string()),
            given(&["user"], user.to_string()),
        ]
        .join("\n")
    }

    /// What this base has in place of defaults that do not fit it; `path` is the `PATH` of its config.
    pub fn find(&self, index: &BaseIndex, path: Option<&str>) -> Found {
        let mut found = Found::default();
        let Recipe { python, versions, .. } = &self.recipe;
        if !index.has_python(python.interpreter.as_str(), python.version) {
            self.python(index, path.unwrap_or(ENGINE_PATH), &mut found);
        }
        let fits = versions.get("os").is_none_or(|os| is_os(index, os));
        if let Some(os) = os_of(index).filter(|_| !fits) {
            self.put(&mut found, &["versions", "os"], &os);
        }
        // Wheels are held against the base's own in any case; this is for what is fetched.
        if let Some((major, minor)) = index.glibc.filter(|_| !found.keys.is_empty()) {
            self.put(&mut found, &["python", "glibc"], &format!("{major}.{minor}"));
        }
        let account = Account::default();
        if !self.document.is_given(&["user"]) && index.user(&account.name.to_string()).is_none() {
            found.keys.push(("user".to_owned(), format!("{{ name = \"{}\"{} }}", account.name, device_groups(index))));
        }
        if !found.keys.is_empty() {
            let keys: Vec<String> = found.keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            found.notes.insert(0, format!("from the base: {}", keys.join(", ")));
        }
        found
    }

    /// The recipe with what was found.
    pub fn completed(&self, found: &Found) -> anyhow::Result<Recipe> {
        let toml: String = found.keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let mut document = self.document.clone();
        document.put_below(&toml);
        document.complete();
        Recipe::of(document, &self.file)
    }

    /// Notes a text for a key that is not written.
    fn put(&self, found: &mut Found, key: &[&str], value: &str) {
        if !self.document.is_given(key) {
            found.keys.push((key.join("."), Value::from(value).to_string()));
        }
    }

    /// The Python that is most likely meant.
    fn python(&self, index: &BaseIndex, path: &str, found: &mut Found) {
        let choices = self.choices(index, path);
        let Some(Choice { python, site, prefix: taken, .. }) = choices.first() else { return };
        let name = format!("python{}.{}", python.version.0, python.version.1);
        let is_it = |path: &String| index.interpreter(path).is_some_and(|other| other.real == python.real);
        let folder = python.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let exact = [format!("{taken}/bin/{name}"), format!("{folder}/{name}")].into_iter().find(is_it);
        self.put(found, &["versions", "python"], &format!("{}.{}", python.version.0, python.version.1));
        self.put(found, &["python", "prefix"], taken);
        let prefix = match self.document.is_given(&["python", "prefix"]) {
            true => self.recipe.python.prefix.as_str(),
            false => taken,
        };
        if *site != format!("{prefix}/lib/{name}/site-packages") {
            self.put(found, &["python", "site_packages"], site);
        }
        let interpreter = exact.as_ref().unwrap_or(&python.path);
        if *interpreter != format!("{prefix}/bin/{name}") {
            self.put(found, &["python", "interpreter"], interpreter);
        }
        let mut others: Vec<(&str, String)> = Vec::new();
        // Every system has one, and it is meant only where there is no other.
        let are_meant = choices.iter().filter(|other| other.order.0 != SYSTEM && other.prefix != *taken);
        for other in are_meant {
            if !others.iter().any(|(prefix, _)| *prefix == other.prefix) {
                let (major, minor) = other.python.version;
                others.push((&other.prefix, format!("Python {major}.{minor} in `{}`", other.prefix)));
            }
        }
        if !others.is_empty() {
            let others: Vec<String> = others.into_iter().map(|(_, words)| words).collect();
            found.notes.push(format!("the base also has {}; `python.prefix` chooses", others.join(", ")));
        }
    }

    /// The Pythons that fit what is written, the most likely first: what `PATH` leads to, unless it is the system's own;
    /// environments of conda; Pythons built from source below `/usr/local`; conda's own; the system's; any other, the newest
    /// first.
    fn choices<'a>(&self, index: &'a BaseIndex, path: &str) -> Vec<Choice<'a>> {
        let given = |key: &str| self.document.is_given(&["python", key]);
        let wanted = &self.recipe.python;
        let folders: Vec<String> = path.split(':').filter(|it| !it.is_empty()).map(|it| index.real_path(it)).collect();
        let mut choices = Vec::new();
        for python in
            index.interpreters.iter().filter(|one| one.version.0 == 3 && one.machine == Some(Elf::AARCH64.machine))
        {
            let Some(sites) = index.sites(python) else { continue };
            let Some(first) = sites.first() else { continue };
            // Where wheels with code alone were installed so far, they are replaced.
            let with_code = first.replacen("/lib/", "/lib64/", 1);
            let in_lib64 = !index.has_dir(first) && sites.contains(&with_code) && index.has_dir(&with_code);
            let site = if in_lib64 { &with_code } else { first };
            let prefix = BaseIndex::prefix_of_site(site);
            let is_prefix = [prefix, &python.prefix].contains(&&*index.real_path(wanted.prefix.as_str()));
            let same = || index.interpreter(wanted.interpreter.as_str()).is_some_and(|one| one.real == python.real);
            let fits = (!self.document.is_given(&["versions", "python"]) || python.version == wanted.version)
                && (!given("prefix") || is_prefix)
                && (!given("interpreter") || same())
                && (!given("site_packages") || sites.contains(&index.real_path(wanted.site_packages.as_str())));
            if !fits {
                continue;
            }
            let (folder, name) = python.path.rsplit_once('/').unwrap_or_default();
            let on_path = folders.iter().position(|one| one == folder);
            let of_system = OF_SYSTEM.iter().any(|folder| python.real.starts_with(folder));
            let conda = index.has_dir(&format!("{prefix}/conda-meta"));
            let environment = conda && prefix.contains("/envs/");
            let rank = match on_path {
                Some(_) if !of_system && (environment || !conda) => 0,
                _ if environment => 1,
                _ if prefix.starts_with("/usr/local/python") => 2,
                _ if conda => 3,
                Some(_) if of_system => SYSTEM,
                _ => 5,
            };
            // `python3` is what is meant by whoever names no version.
            let exact = ["python3", "python"].iter().position(|one| *one == name).unwrap_or(2) as u8;
            let (at, exact) = if rank == 0 || rank == SYSTEM { (on_path.unwrap_or(0), exact) } else { (0, 0) };
            let order = (rank, at, exact, Reverse(python.version));
            choices.push(Choice { python, site: site.clone(), prefix: prefix.to_owned(), order });
        }
        choices.sort_by(|one, other| one.order.cmp(&other.order).then_with(|| one.python.path.cmp(&other.python.path)));
        choices
    }
}

/// The end of a table `user` that adds one: the key `groups` with the group that owns the devices, if the base has it.
pub fn device_groups(index: &BaseIndex) -> String {
    let has_group = index.groups.iter().any(|group| group.name == OF_DEVICES);
    if has_group { format!(", groups = [\"{OF_DEVICES}\"]") } else { String::new() }
}

/// Whether the base is this system, as far as its os-release tells: `debian_11.5` is a Debian 11, `debian_11` names it
/// too, and `euler` is short for `euleros`.
pub fn is_os(index: &BaseIndex, os: &str) -> bool {
    let wanted = os.to_lowercase();
    let (name, version) = wanted.split_once('_').unwrap_or((&wanted, ""));
    let Some(id) = index.os_release.get("ID").map(|id| id.to_lowercase()) else { return true };
    let found = index.os_release.get("VERSION_ID").map_or("", String::as_str);
    let either = |one: &str, other: &str| one.starts_with(other) || other.starts_with(one);
    // EulerOS says 2.0 of all its service packs.
    either(name, &id) && (id == "euleros" || either(version, found))
}

/// The system of the base as a tag has it, where its os-release tells.
pub fn os_of(index: &BaseIndex) -> Option<String> {
    let id = index.os_release.get("ID")?.to_lowercase();
    let os = match index.os_release.get("VERSION_ID").map_or("", String::as_str) {
        "" => id,
        version => format!("{id}_{version}"),
    };
    TagPart::new("os", &os).ok().map(|_| os)
}
