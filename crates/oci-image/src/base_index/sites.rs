//! Where a Python of a base looks for what is installed.

use super::{BaseIndex, Interpreter, python::prefix_of};

impl BaseIndex {
    /// The folders that this Python looks into by itself, where they really are, the one that pip installs into first;
    /// not all of them need exist. None where that can't be told: it is no ELF program, or its library is not where
    /// its own place says. What `.pth` files, `sitecustomize` or `PYTHONPATH` add is not among them.
    ///
    /// Python takes the folder above its `bin` for its prefix, all links followed (`getpath`). Only where that of the link
    /// has a `pyvenv.cfg` does it count for what is installed (`site`, PEP 405).
    pub fn sites(&self, python: &Interpreter) -> Option<Vec<String>> {
        python.machine?;
        let name = format!("python{}.{}", python.version.0, python.version.1);
        let of_program = python.real.rsplit_once("/bin/").map_or("", |(prefix, _)| prefix);
        let of_venv = python.is_venv.then(|| python.prefix.trim_end_matches('/'));
        let mut prefixes: Vec<&str> = of_venv.into_iter().chain([of_program]).collect();
        prefixes.dedup();
        let has_library =
            |prefix: &&str| ["lib", "lib64"].iter().any(|lib| self.has_dir(&format!("{prefix}/{lib}/{name}")));
        prefixes.retain(has_library);
        if prefixes.is_empty() {
            return None;
        }
        let mut sites: Vec<String> = prefixes.iter().flat_map(|prefix| self.sites_below(prefix, &name)).collect();
        // The last, since they are a user's own (PEP 370).
        sites.extend(self.users.iter().map(|user| format!("{}/.local/lib/{name}/site-packages", user.home)));
        let mut real = Vec::new();
        for site in sites.iter().map(|site| self.real_path(site)) {
            if !real.contains(&site) {
                real.push(site);
            }
        }
        Some(real)
    }

    /// Whether there is such a folder.
    pub fn has_dir(&self, path: &str) -> bool {
        self.dirs.contains_key(&self.real_path(path))
    }

    /// The folder that a Python is installed below, of one of its `site-packages` folders; of another folder itself.
    pub fn prefix_of_site(site: &str) -> &str {
        prefix_of(site)
    }

    fn sites_below(&self, prefix: &str, name: &str) -> Vec<String> {
        // Debian's own Python looks into folders of other names, and into these alone (its site.py).
        let of_debian = [
            format!("/usr/local/lib/{name}/dist-packages"),
            "/usr/lib/python3/dist-packages".to_owned(),
            format!("/usr/lib/{name}/dist-packages"),
        ];
        let usual = |prefix: &str| ["lib", "lib64"].map(|lib| format!("{prefix}/{lib}/{name}/site-packages"));
        match prefix {
            "/usr" if self.is_debian() => of_debian.into(),
            // Fedora's and EulerOS' look below /usr/local too; a system that does not say what it is may be any.
            "/usr" => [&usual("/usr")[..], &usual("/usr/local"), &of_debian].concat(),
            prefix => usual(prefix).into(),
        }
    }

    fn is_debian(&self) -> bool {
        let said = ["ID", "ID_LIKE"].iter().filter_map(|key| self.os_release.get(*key));
        said.flat_map(|ids| ids.split_whitespace()).any(|id| matches!(id, "debian" | "ubuntu"))
    }
}
