//! Whether jobs can use what the image has for them: the modes of folders and of the Python program, as far as base,
//! recipe and CANN's installer tell them. Files are left to whoever made them.

use std::collections::BTreeSet;

use oci_image::{Attr, ParentDirs, is_within};

use super::{Inputs, PlannedFolder, PlannedLayer};
use crate::{
    cann,
    recipe::Account,
    resolve::{front, scripts, tools},
    terminal::{progress::count, report::Problems},
};

const READ: u32 = 4;
/// Of a folder to enter it, of a program to run it.
const ENTER: u32 = 1;

/// Folders of the loader and of the C library, as distributions have them.
const LIBRARIES: [&str; 6] =
    ["/lib", "/lib64", "/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/lib/aarch64-linux-gnu"];

/// Whoever a job runs as.
struct Runner {
    /// None for any user that owns nothing in the image.
    uid: Option<u64>,
    gids: Vec<u64>,
}

impl Runner {
    /// The image's own user.
    fn of_image(inputs: &Inputs<'_>) -> Self {
        let (users, groups) = inputs.index.map_or((&[][..], &[][..]), |index| (&index.users, &index.groups));
        let gid_of = |name: &str| groups.iter().find(|one| one.name == name).map(|one| one.gid);
        let joined = |user: &str| {
            let joined = groups.iter().filter(|group| group.members.iter().any(|member| member == user));
            joined.map(|group| group.gid).collect::<Vec<u64>>()
        };
        if let Some(Account { name, uid, gid, groups, .. }) = &inputs.recipe.user.account {
            let own = groups.iter().filter_map(|group| group.gid.map(|gid| gid.0).or(gid_of(&group.name.to_string())));
            let gids = [gid.0].into_iter().chain(own).chain(joined(&name.to_string())).collect();
            return Self { uid: Some(uid.0), gids };
        }
        let text = inputs.recipe.user.to_string();
        let (name, group) = text.split_once(':').map_or((&*text, None), |(name, group)| (name, Some(group)));
        let known = users.iter().find(|user| user.name == name || user.uid.to_string() == name);
        let gid = match group {
            Some(group) => group.parse().ok().or(gid_of(group)),
            None => known.map(|user| user.gid),
        };
        let owner = inputs.recipe.layout.owner;
        let joined = known.map(|user| joined(&user.name)).unwrap_or_default();
        let root = || (name == "root").then_some(0);
        Self {
            uid: Some(name.parse().ok().or(known.map(|user| user.uid)).or_else(root).unwrap_or(owner.uid)),
            gids: [gid.unwrap_or(owner.gid)].into_iter().chain(joined).collect(),
        }
    }

    /// Some pools run jobs under another user id, of the same group.
    fn of_pool(&self) -> Self {
        Self { uid: None, gids: self.gids[..1].to_vec() }
    }

    fn may(&self, attr: &Attr, bits: u32) -> bool {
        let class = match self.uid == Some(attr.uid) {
            true => 6,
            false if self.gids.contains(&attr.gid) => 3,
            false => 0,
        };
        self.uid == Some(0) || (attr.mode >> class) & bits == bits
    }
}

/// The folders that jobs need, where they really are, and whether they are searched or only gone through.
fn needed(inputs: &Inputs<'_>, known: &ParentDirs) -> Vec<(String, bool)> {
    let recipe = inputs.recipe;
    let above = |path: &str| path.rsplit_once('/').map_or("/", |(folder, _)| folder).to_owned();
    let interpreter = recipe.python.interpreter.as_str();
    let program = inputs.index.and_then(|index| index.interpreter(interpreter)).map(|found| above(&found.real));
    let [toolkit, settings] = cann::ROOTS.map(str::to_owned);
    let maybe = [(toolkit, true), (settings, true), (scripts::FOLDER.to_owned(), false), (above(front::PATH), false)];
    let libraries = LIBRARIES.map(|path| (path.to_owned(), false));
    let always = [
        (recipe.workdir.to_string(), false),
        (tools::FOLDER.to_owned(), false),
        (above(interpreter), false),
        (recipe.python.site_packages.to_string(), true),
    ];
    let real =
        |(path, searched): (String, bool)| (inputs.index.map_or(path.clone(), |it| it.real_path(&path)), searched);
    let maybe = maybe.into_iter().chain(libraries).map(real).filter(|(path, _)| known.contains_key(path));
    always.map(real).into_iter().chain(program.map(|path| (path, false))).chain(maybe).collect()
}

/// The first folder that ends the way to this one.
fn closed<'a>(known: &'a ParentDirs, path: &str, searched: bool, runner: &Runner) -> Option<(&'a String, &'a Attr)> {
    let ends = path.match_indices('/').map(|(at, _)| at.max(1)).chain([path.len()]);
    let bits = |folder: &str| if searched && folder == path { READ | ENTER } else { ENTER };
    ends.filter_map(|end| known.get_key_value(&path[..end])).find(|(folder, attr)| !runner.may(attr, bits(folder)))
}

/// What has to be said of the image's folders. `known` are all of them.
pub(super) fn check(inputs: &Inputs<'_>, known: &ParentDirs, problems: &mut Problems, warnings: &mut Vec<String>) {
    let user = &inputs.recipe.user;
    let own = Runner::of_image(inputs);
    let other = own.of_pool();
    let mut said = BTreeSet::new();
    for (path, searched) in needed(inputs, known) {
        if let Some((folder, attr)) = closed(known, &path, searched, &own) {
            let hint = match inputs.index.is_some_and(|index| index.dirs.contains_key(folder)) {
                true => "use a base in which it is accessible, or rebuild this one with `chmod a+rx` on it",
                false => "set its mode and owner in `[layout.dirs]`",
            };
            if said.insert(folder) {
                let message = format!("`{folder}` is {}, so `{user}` can't use `{path}`", shown(attr));
                problems.push(message, Some(hint.to_owned()));
            }
        } else if let Some((folder, attr)) = closed(known, &path, searched, &other).filter(|(it, _)| said.insert(it)) {
            warnings.push(format!(
                "`{folder}` is {}, so a job that does not run as `{user}` can't use `{path}`",
                shown(attr)
            ));
        }
    }
    let interpreter = inputs.recipe.python.interpreter.as_str();
    let program = inputs.index.and_then(|index| index.interpreter(interpreter));
    if let Some((program, attr)) = program.and_then(|found| Some((&found.real, found.attr?)))
        && !own.may(&attr, ENTER)
    {
        problems.push(
            format_args!("`{program}` is {}, so `{user}` can't run `{interpreter}`", shown(&attr)),
            Some("use a base in which it is executable, or rebuild this one with `chmod a+rx` on it".to_owned()),
        );
    }
}

fn shown(attr: &Attr) -> String {
    format!("{:04o} {}:{}", attr.mode, attr.uid, attr.gid)
}

/// A layer that opens the folders which CANN's installer made and closed: those on the way to what jobs need, and below
/// it those whose owner may do everything, as its umask leaves them. Other modes there were meant. They are changed in
/// `known`, so that the layers above agree.
pub(super) fn opened(inputs: &Inputs<'_>, known: &mut ParentDirs, warnings: &mut Vec<String>) -> Option<PlannedLayer> {
    // As the last installer left each.
    let installed: ParentDirs = inputs.installed().flat_map(|one| one.dirs.clone()).collect();
    let other = Runner::of_image(inputs).of_pool();
    let needed = needed(inputs, known);
    let of_base = |path: &str| inputs.index.and_then(|index| index.dirs.get(path)).map(|attr| attr.mode);
    let mut folders = Vec::new();
    for (path, attr) in &installed {
        let is_above = needed.iter().any(|(needed, _)| is_within(needed, path));
        let is_searched = needed.iter().any(|(needed, searched)| *searched && is_within(path, needed));
        let bits = if is_searched { READ | ENTER } else { ENTER };
        let by_umask = attr.mode & 0o700 == 0o700;
        let is_needed = is_above || is_searched && by_umask;
        if is_needed && of_base(path) != Some(attr.mode) && !other.may(attr, bits) {
            let attr = Attr { mode: attr.mode | 0o555, ..*attr };
            folders.push(PlannedFolder { path: path.clone(), mode: attr.mode, uid: attr.uid, gid: attr.gid });
            known.insert(path.clone(), attr);
        }
    }
    let first = &folders.first()?.path;
    warnings.push(format!(
        "CANN's installer left {} that not every job can read, for example `{first}` with {}; the image opens them",
        count(folders.len(), "folder"),
        shown(&installed[first])
    ));
    Some(PlannedLayer::Opened { folders })
}
