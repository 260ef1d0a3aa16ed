//! The image's user, where the recipe says what it is: its lines in the base's `/etc/passwd` and the files beside it, its
//! groups and its home. What the base has of it stays.

use std::collections::BTreeMap;

use oci_image::{Attr, BaseIndex, MTIME, ParentDirs};

use super::{Inputs, PlannedFolder, PlannedLayer, scripts::planned};
use crate::{
    recipe::{Account, Create, Name},
    resolve::accounts::{FILES, GROUP, GSHADOW, PASSWD, SHADOW},
    terminal::report::Problems,
};

/// The user that CANN's installer is given where it wants one.
const OF_CANN: &str = "HwHiAiUser";

/// The layer of it; none where the base has it as the recipe says. The home, where it is new, comes to be `known`.
pub(super) fn account(
    inputs: &Inputs<'_>,
    known: &mut ParentDirs,
    problems: &mut Problems,
    notes: &mut Vec<String>,
) -> Option<PlannedLayer> {
    let account = inputs.recipe.user.account.as_ref()?;
    let Some(index) = inputs.index else {
        problems.push(
            format_args!(
                "base `{}` not inspected, so what it lacks of the user `{}` is not known",
                inputs.recipe.base.reference, account.name
            ),
            Some(format!(
                "leave out `--no-inspect`, or set `user` to \"{}\", which the base must have then",
                account.name
            )),
        );
        return None;
    };
    let mut making = Making { inputs, index, account, files: Files::of_base(inputs, problems)?, problems, notes };
    let is_new = index.user(&account.name.to_string()).is_none();
    if is_new {
        making.user();
    } else {
        making.compare();
    }
    making.group(&account.group, Some(account.gid.0));
    for group in &account.groups {
        making.group(&group.name, group.gid.map(|gid| gid.0));
        making.files.join(&group.name, &account.name);
    }
    let changed = making.files.changed();
    let home = account.home();
    let folder = (is_new && !known.contains_key(&home)).then(|| {
        let named = inputs.recipe.layout.dirs.iter().find(|(path, _)| path.as_str() == home);
        let mode = named.map_or(0o750, |(_, dir)| dir.mode.bits());
        known.insert(home.clone(), Attr { mode, uid: account.uid.0, gid: account.gid.0, mtime: MTIME });
        PlannedFolder { path: home, mode, uid: account.uid.0, gid: account.gid.0 }
    });
    let wrote = inputs.installed().flat_map(|one| &one.outside).any(|path| FILES.contains(&path.as_str()));
    let is_installed = inputs.cann.as_ref().is_some_and(|cann| !cann.steps.is_empty());
    let adds = wrote || is_installed && inputs.recipe.cann.user && index.user(OF_CANN).is_none();
    if adds && !changed.is_empty() {
        problems.push(
            format_args!("CANN's installation adds users to the base, and so does `user`: one would undo the other"),
            Some(format!("use a base that has the user `{OF_CANN}`, or one that has `{}`", account.name)),
        );
    }
    let files = changed.into_iter().map(|(path, attr, text)| planned(inputs, path, attr, text.into_bytes())).collect();
    let layer = PlannedLayer::Account { user: account.name.to_string(), files, home: folder };
    (!layer.paths().is_empty()).then_some(layer)
}

/// The user and what of the base becomes of it.
struct Making<'a> {
    inputs: &'a Inputs<'a>,
    index: &'a BaseIndex,
    account: &'a Account,
    files: Files,
    problems: &'a mut Problems,
    notes: &'a mut Vec<String>,
}

impl Making<'_> {
    /// The base has the user: with other numbers its files would be somebody else's.
    fn compare(&mut self) {
        let Account { name, uid, gid, .. } = self.account;
        let Some(there) = self.index.user(&name.to_string()) else { return };
        if (there.uid, there.gid) != (uid.0, gid.0) {
            self.problems.push(
                format_args!(
                    "`{name}` is {}:{} in the base `{}`, and `user` says {uid}:{gid}",
                    there.uid, there.gid, self.inputs.recipe.base.reference
                ),
                Some(format!("set `user.uid` to {} and `user.gid` to {}, or use another base", there.uid, there.gid)),
            );
        }
    }

    fn user(&mut self) {
        let Account { name, uid, gid, create, .. } = self.account;
        let base = &self.inputs.recipe.base.reference;
        let holders: Vec<&str> =
            self.index.users.iter().filter(|user| user.uid == uid.0).map(|user| user.name.as_str()).collect();
        for holder in holders {
            if *create == Create::IfMissing {
                self.problems.push(
                    format_args!(
                        "the user id {uid} is `{holder}`'s in the base `{base}`, and `user` wants it for `{name}`"
                    ),
                    Some(format!(
                        "set `user.create` to \"replace\", which removes `{holder}`; or `user.uid` to another number"
                    )),
                );
            }
            self.files.remove_user(holder);
            self.notes.push(format!("`{name}` replaces the base's user `{holder}`, whose files stay"));
        }
        // A shell that the base lacks would keep everybody from logging in.
        let has_bash = self.index.has_file(&format!("{}/bash", self.index.real_path("/bin")));
        let shell = if has_bash { "/bin/bash" } else { "/bin/sh" };
        let password = if self.files.has(SHADOW) { "x" } else { "*" };
        self.files.append(PASSWD, &format!("{name}:{password}:{uid}:{gid}::{}:{shell}", self.account.home()));
        // No password, and no date: that of the build would make another layer every day.
        self.files.append(SHADOW, &format!("{name}:!:::::::"));
    }

    /// The group, added where it is missing and has a number.
    fn group(&mut self, name: &Name, gid: Option<u64>) {
        let base = &self.inputs.recipe.base.reference;
        let there = self.index.groups.iter().find(|group| group.name == name.to_string());
        match (there, gid) {
            (Some(there), Some(gid)) if there.gid != gid => self.problems.push(
                format_args!("the group `{name}` is {} in the base `{base}`, and `user` says {gid}", there.gid),
                Some(format!("write {} in `user`, or give the group {gid} another name there", there.gid)),
            ),
            (Some(_), _) => {}
            (None, None) => self.problems.push(
                format_args!("the base `{base}` has no group `{name}`, which `user.groups` names"),
                Some(format!(
                    "add its number on the hosts, as in \"{name}:1000\" (`stat -c %g /dev/davinci0` prints it there)"
                )),
            ),
            (None, Some(gid)) => {
                if let Some(other) = self.index.groups.iter().find(|group| group.gid == gid) {
                    let other = &other.name;
                    self.notes.push(format!("the group `{name}` is another name of the base's `{other}`, {gid}"));
                }
                self.files.append(GROUP, &format!("{name}:x:{gid}:"));
                self.files.append(GSHADOW, &format!("{name}:!::"));
            }
        }
    }
}

/// The lines of the files by path, and as the base has them.
struct Files {
    base: BTreeMap<&'static str, (Attr, String)>,
    lines: BTreeMap<&'static str, Vec<String>>,
}

impl Files {
    fn of_base(inputs: &Inputs<'_>, problems: &mut Problems) -> Option<Self> {
        let mut base = BTreeMap::new();
        for path in FILES {
            let there = inputs.accounts.get(path).map(|(attr, bytes)| (*attr, String::from_utf8(bytes.clone())));
            match there {
                Some((attr, Ok(text))) => drop(base.insert(path, (attr, text))),
                None if !inputs.index.is_some_and(|index| index.has_file(path)) => {}
                _ => {
                    problems.push(
                        format_args!("`{path}` of the base `{}` can't be read", inputs.recipe.base.reference),
                        Some("use another base, or one that has the user already".to_owned()),
                    );
                    return None;
                }
            }
        }
        // Without these two there are no users at all.
        for path in [PASSWD, GROUP] {
            base.entry(path).or_insert((Attr { mode: 0o644, uid: 0, gid: 0, mtime: MTIME }, String::new()));
        }
        let lines = |text: &String| text.lines().map(str::to_owned).collect();
        let lines = base.iter().map(|(path, (_, text))| (*path, lines(text))).collect();
        Some(Self { base, lines })
    }

    fn has(&self, path: &str) -> bool {
        self.lines.contains_key(path)
    }

    /// Adds a line to the file, where the base has it, unless it is there.
    fn append(&mut self, path: &str, line: &str) {
        if let Some(lines) = self.lines.get_mut(path).filter(|lines| !lines.iter().any(|there| there == line)) {
            lines.push(line.to_owned());
        }
    }

    fn remove_user(&mut self, name: &str) {
        for path in [PASSWD, SHADOW] {
            let lines = self.lines.get_mut(path);
            lines.into_iter().for_each(|lines| lines.retain(|line| line.split(':').next() != Some(name)));
        }
        for path in [GROUP, GSHADOW] {
            for line in self.lines.get_mut(path).into_iter().flatten() {
                let Some((start, members)) = line.rsplit_once(':') else { continue };
                if members.split(',').any(|member| member == name) {
                    let left: Vec<&str> = members.split(',').filter(|member| *member != name).collect();
                    *line = format!("{start}:{}", left.join(","));
                }
            }
        }
    }

    /// Makes the user a member of the group.
    fn join(&mut self, group: &Name, user: &Name) {
        let (group, user) = (group.to_string(), user.to_string());
        for path in [GROUP, GSHADOW] {
            for line in self.lines.get_mut(path).into_iter().flatten() {
                let Some((_, members)) = line.rsplit_once(':').filter(|_| line.split(':').next() == Some(&group))
                else {
                    continue;
                };
                if members.is_empty() {
                    line.push_str(&user);
                } else if !members.split(',').any(|member| member == user) {
                    line.push_str(&format!(",{user}"));
                }
            }
        }
    }

    /// Those that are not as the base has them; each keeps its owner and mode.
    fn changed(&self) -> Vec<(&'static str, Attr, String)> {
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let file = |(path, (attr, base)): (&&'static str, &(Attr, String))| {
            let lines = &self.lines[path];
            let is_same = base.lines().eq(lines.iter().map(String::as_str));
            (!is_same).then(|| (*path, *attr, text(lines)))
        };
        self.base.iter().filter_map(file).collect()
    }
}
