//! `[system]`: packages of Debian or Ubuntu that a recipe adds to its base.
//!
//! `fetch` chooses what the base lacks of them and of what they depend on, and puts the files into `system/` of the
//! package folder, beside a record of what they were chosen for. A build takes the files of the record, and needs no
//! network for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use image_name::Digest;
use oci_image::{Attr, BaseIndex, Store};
use serde::{Deserialize, Serialize};

use crate::{
    debian::{self, Archive, Choice, DebFacts, Release, Vendor, dpkg::STATUS, mirror, mirror::Mirrors},
    options::Call,
    recipe::{Recipe, SYSTEM},
    resolve::{
        fetch::{
            self,
            record::{self, FileRecord},
        },
        packages::Package,
    },
    terminal::{
        progress::{self, Progress},
        report::{Problems, WithHint},
    },
};

/// What is known of the base's own packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Owner and mode of dpkg's list.
    pub attr: Attr,
    /// dpkg's list.
    pub status: Vec<u8>,
}

/// A package that is added to the base.
#[derive(Debug, Clone)]
pub struct Deb {
    /// The file.
    pub package: Package,
    /// What was read of it.
    pub facts: Arc<DebFacts>,
}

/// Everything of `[system]` that a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct SystemInput {
    /// What is added, by name.
    pub debs: Vec<Deb>,
    /// SHA-256 of dpkg's list of the base that they were chosen for.
    pub chosen_for: Option<Digest>,
    /// The base's own; none where it was not inspected or has no dpkg.
    pub installed: Option<Installed>,
}

/// What a fetch is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    packages: Vec<String>,
    /// SHA-256 of dpkg's list of the base.
    status: Digest,
}

type Record = record::Record<Request>;

/// The files of the base whose contents are wanted.
pub fn asked(recipe: &Recipe) -> Vec<String> {
    // One's own base is seldom given packages at once: it need not be streamed once more when it is.
    if recipe.system.packages.is_empty() && recipe.base.is_standard() {
        return Vec::new();
    }
    let keyrings = [Vendor::Debian, Vendor::Ubuntu].into_iter().flat_map(Vendor::keyrings);
    keyrings.chain([STATUS]).map(str::to_owned).collect()
}

/// The release of a base that packages can be added to.
pub fn release(recipe: &Recipe, index: &BaseIndex) -> anyhow::Result<Release> {
    let base = &recipe.base.reference;
    let vendor = Vendor::of(&index.os_release);
    if let Some(vendor) = vendor.filter(|_| !index.has_file(&index.real_file(STATUS))) {
        return Err(anyhow!(
            "the base `{base}` has no `{STATUS}`, the list of packages that `system.packages` adds to"
        ))
        .hint(format!(
            "use a base image that has {}'s dpkg, which distroless images do not; or add the library itself with \
                 `[[files]]` and remove `system.packages`",
            vendor.name()
        ))
        .input();
    }
    Release::of(&index.os_release).ok_or_else(|| {
        let name = index.os_release.get("PRETTY_NAME").or(index.os_release.get("ID"));
        let name = name.map_or_else(String::new, |name| format!(" ({name})"));
        anyhow!("`system.packages` adds packages of Debian and Ubuntu, and the base `{base}` is neither{name}")
    })
    .hint(
        "fmtk does not unpack rpm packages: install them in the base, with a Dockerfile of `FROM` and `RUN dnf install`, \
         or add the library itself with `[[files]]`; then remove `system.packages`",
    )
    .input()
}

/// The base's own packages, where its index was asked for them.
pub fn installed(store: &Store, index: Option<&BaseIndex>) -> anyhow::Result<Option<Installed>> {
    let Some((index, file)) = index.and_then(|index| Some((index, index.files.get(STATUS)?.as_ref()?))) else {
        return Ok(None);
    };
    let status = index.file(store, STATUS)?.unwrap_or_default();
    Ok(Some(Installed { attr: file.attr, status }))
}

/// Fetches what the base lacks of the recipe's packages. Of those in `pinned`, which a lock names, these very files are
/// taken as long as the archive has them.
pub fn fetch(
    recipe: &Recipe,
    folder: &Path,
    index: &BaseIndex,
    pinned: &BTreeSet<Digest>,
    upgrade: bool,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Vec<String>> {
    let release = release(recipe, index)?;
    let installed = installed(store, Some(index))?;
    let Installed { status, .. } = installed.with_context(|| format!("the base's `{STATUS}` can't be read"))?;
    let request = Request { packages: recipe.system.packages.clone(), status: Digest::of(&status) };
    let _lock = fetch::lock(folder)?;
    if let Some(old) = complete(&request, folder, pinned, store)?.filter(|_| !upgrade) {
        let count = progress::count(old.files.len(), "package");
        progress.line(&format!("everything is already in `{}`: {count} of {}", folder.display(), release.name()));
        return Ok(old.files.into_keys().collect());
    }
    let mirrors = Mirrors::of(release.vendor, recipe.system.mirror.as_deref())?;
    let archive = Archive::read(&release, &mirrors, keyring(store, index, release.vendor)?.as_deref(), progress)?;
    let source = Source { archive: &archive, mirrors: &mirrors, release: &release };
    fetch_from(&source, request, &status, folder, pinned, store, progress)
}

/// The record of an earlier fetch, where nothing is to be done after it: it was for the same, all of it is there, and
/// where something is pinned, it brought no other files.
fn complete(
    request: &Request,
    folder: &Path,
    pinned: &BTreeSet<Digest>,
    store: &Store,
) -> anyhow::Result<Option<Record>> {
    let are_pinned = |record: &Record| record.files.values().all(|known| pinned.contains(&known.sha256));
    let record = Record::load(folder)?.filter(|record| record.request.as_ref() == Some(request));
    Ok(record
        .filter(|record| pinned.is_empty() || are_pinned(record))
        .filter(|record| record::lacking(&record.files, folder, store).is_empty()))
}

/// Where packages are from.
struct Source<'a> {
    archive: &'a Archive,
    mirrors: &'a Mirrors,
    release: &'a Release,
}

/// Chooses what is asked for upon what dpkg's list says to be there, and has it in the folder.
fn fetch_from(
    source: &Source<'_>,
    request: Request,
    status: &[u8],
    folder: &Path,
    pinned: &BTreeSet<Digest>,
    store: &Store,
    progress: &Progress,
) -> anyhow::Result<Vec<String>> {
    let Source { archive, mirrors, release } = source;
    let status = String::from_utf8_lossy(status);
    let names: Vec<&str> = request.packages.iter().map(String::as_str).collect();
    let Choice { packages, present } = debian::choose(archive, &status, &names, pinned, release)
        .context("`system.packages` can't be added to the base")?;
    for (name, version) in present {
        progress.line(&format!("note: the base already has `{name}` {version}"));
    }
    let is_update = |one: &&debian::Package| one.path.starts_with("pool/updates/");
    let (updates, others): (Vec<_>, Vec<_>) = packages.iter().partition(is_update);
    for some in [others, updates] {
        if let Some(first) = some.first() {
            mirror::fetch(store, &some, mirrors.of_path(&first.path), &mirrors.another, progress)?;
        }
    }
    let mut files = BTreeMap::new();
    for package in &packages {
        let file = package.file().to_owned();
        place_whole(&store.blob_path(&package.digest), &folder.join(&file))?;
        // A package that can't be read is told here, where another can be had, and not by the build.
        DebFacts::cached(store, &folder.join(&file), package.size, package.digest)?;
        files.insert(file, FileRecord { size: package.size, sha256: package.digest });
    }
    let older = Record::load(folder)?.map(|old| old.files).unwrap_or_default();
    Record { request: Some(request), files: files.clone() }.save(folder)?;
    for gone in older.keys().filter(|file| !files.contains_key(*file)) {
        fetch::removed(&folder.join(gone), |path| fs::remove_file(path))?;
    }
    let (count, size) = (progress::count(packages.len(), "package"), packages.iter().map(|one| one.size).sum());
    let size = progress::bytes(size);
    progress.line(&format!("fetched {count} of {}, {size}, into `{}`", release.name(), folder.display()));
    Ok(files.into_keys().collect())
}

/// A copy that appears whole.
fn place_whole(from: &Path, to: &Path) -> anyhow::Result<()> {
    let writing = || format!("failed to write `{}`", to.display());
    let folder = to.parent().unwrap_or(Path::new("."));
    let mut copy = tempfile::Builder::new();
    let mut copy = copy.permissions(fs::Permissions::from_mode(0o644)).tempfile_in(folder).with_context(writing)?;
    let mut source = fs::File::open(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    io::copy(&mut source, &mut copy).with_context(writing)?;
    copy.as_file().sync_all().with_context(writing)?;
    copy.persist(to).with_context(writing)?;
    Ok(())
}

/// The keys that sign the release: those that the base trusts, else this machine's.
fn keyring(store: &Store, index: &BaseIndex, vendor: Vendor) -> anyhow::Result<Option<Vec<u8>>> {
    for path in vendor.keyrings() {
        if let Some(keys) = index.file(store, path)?.filter(|keys| !keys.is_empty()) {
            return Ok(Some(keys));
        }
    }
    Ok(vendor.keyrings().into_iter().find_map(|path| fs::read(path).ok()))
}

/// The fetched packages of the recipe, identified.
pub fn packages(recipe: &Recipe, folder: &Path, store: &Store, call: &Call) -> anyhow::Result<Vec<Package>> {
    let wanted = &recipe.system.packages;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut problems = Problems::default();
    let hint = Some(format!("run `{}`", call.fetch));
    let shown = folder.display();
    let Some(Record { request: Some(request), files }) = Record::load(folder)? else {
        let names = wanted.join("`, `");
        problems.push(format_args!("`{names}` of `system.packages` not fetched: nothing in `{shown}`"), hint);
        return problems.into_result().map(|()| Vec::new());
    };
    let lacking = record::lacking(&files, folder, store);
    if request.packages != *wanted {
        problems.push(format_args!("`{shown}` was fetched for `{}`", request.packages.join("`, `")), hint);
    } else if !lacking.is_empty() {
        problems.push(record::gone(&lacking, folder), hint);
    }
    problems.into_result()?;
    let package = |(file, known): (String, FileRecord)| Package {
        kind: SYSTEM.to_owned(),
        path: folder.join(&file),
        file,
        size: known.size,
        sha256: known.sha256,
    };
    Ok(files.into_iter().map(package).collect())
}

/// What a plan needs of these packages.
pub fn input(
    packages: &[Package],
    folder: &Path,
    store: &Store,
    index: Option<&BaseIndex>,
) -> anyhow::Result<SystemInput> {
    let deb = |package: &Package| {
        let facts = DebFacts::cached(store, &package.path, package.size, package.sha256)?;
        Ok(Deb { package: package.clone(), facts: Arc::new(facts) })
    };
    let mut debs = packages.iter().map(deb).collect::<anyhow::Result<Vec<Deb>>>()?;
    debs.sort_by(|one, other| one.facts.name.cmp(&other.facts.name));
    let chosen_for = Record::load(folder)?.and_then(|record| record.request).map(|request| request.status);
    Ok(SystemInput { debs, chosen_for, installed: installed(store, index)? })
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        sync::{Arc, Mutex},
        thread,
    };

    use registry::{CredentialSource, FileServer, RegistryOptions};

    use super::*;
    use crate::recipe::Overrides;

    /// A mirror of these files on loopback; it notes what it is asked for, and lives as long as the process.
    fn mirror(files: Vec<(String, Vec<u8>)>) -> (FileServer, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_until(b'\n', &mut head).unwrap() > 0 {}
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let found = files.iter().find(|(name, _)| *name == path).map(|(_, bytes)| bytes.as_slice());
                log.lock().unwrap().push(path);
                let (status, body) = found.map_or(("404 Not Found", &b""[..]), |bytes| ("200 OK", bytes));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let stream = stream.get_mut();
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).unwrap();
            }
        });
        let options = RegistryOptions { credentials: CredentialSource::Anonymous, ..RegistryOptions::default() };
        (FileServer::new(&address, options).unwrap(), asked)
    }

    fn deb(name: &str, version: &str) -> Vec<u8> {
        let control = format!("Package: {name}\nVersion: {version}\nArchitecture: arm64\n");
        debian_fake::Deb::new(&control, debian_fake::Tar::default().file("./usr/lib/x", 0o644, b"x")).bytes()
    }

    #[test]
    fn packages_are_fetched_once_and_those_of_the_lock_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let place = folder.path().join("pkg/system");
        let _lock = fetch::lock(&place).unwrap();
        let debs = [("liba", "1"), ("liba", "2"), ("libb", "1")].map(|(name, version)| {
            let path = format!("pool/{name}_{version}_arm64.deb");
            (name, version, path, deb(name, version))
        });
        let stanza = |(name, version, path, bytes): &(&str, &str, String, Vec<u8>)| {
            let digest = Digest::of(bytes).hex();
            let depends = if *name == "liba" { "Depends: libb\n" } else { "" };
            let size = bytes.len();
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: arm64\n{depends}Filename: {path}\nSize: {size}\n\
                 SHA256: {digest}\n"
            )
        };
        let archive = Archive(vec![debs.iter().map(stanza).collect::<Vec<_>>().join("\n")]);
        let (server, asked) = mirror(debs.iter().map(|(.., path, bytes)| (path.clone(), bytes.clone())).collect());
        let mirrors = Mirrors { main: [server.clone(), server], security: None, another: String::new() };
        let release = Release { vendor: Vendor::Debian, codename: "bookworm".to_owned() };
        let source = Source { archive: &archive, mirrors: &mirrors, release: &release };
        let request = Request { packages: vec!["liba".to_owned()], status: Digest::of(b"") };
        let fetch = |pinned: &BTreeSet<Digest>| {
            fetch_from(&source, request.clone(), b"", &place, pinned, &store, &Progress::new(true)).unwrap()
        };
        assert_eq!(fetch(&BTreeSet::new()), ["liba_2_arm64.deb", "libb_1_arm64.deb"]);
        assert_eq!(asked.lock().unwrap().len(), 2);
        fetch(&BTreeSet::new());
        assert_eq!(asked.lock().unwrap().len(), 2, "what the store has is not asked for again");

        let is_complete = |pinned: &BTreeSet<Digest>| complete(&request, &place, pinned, &store).unwrap().is_some();
        let pinned = [&debs[0], &debs[2]].map(|(.., bytes)| Digest::of(bytes)).into();
        assert!(is_complete(&BTreeSet::new()) && !is_complete(&pinned), "the lock names another");
        assert_eq!(fetch(&pinned), ["liba_1_arm64.deb", "libb_1_arm64.deb"]);
        assert!(!place.join("liba_2_arm64.deb").exists(), "what is no longer wanted is removed");
        assert!(is_complete(&pinned));

        let recipe = |packages: &str| {
            let text = format!("system.packages = {packages}");
            Recipe::parse(&text, "image.toml", folder.path(), Overrides::default()).unwrap()
        };
        let found = packages(&recipe("['liba']"), &place, &store, &Call::plain()).unwrap();
        assert_eq!(
            found.iter().map(|one| one.file.as_str()).collect::<Vec<_>>(),
            ["liba_1_arm64.deb", "libb_1_arm64.deb"]
        );
        let input = input(&found, &place, &store, None).unwrap();
        assert_eq!((input.debs.len(), input.chosen_for), (2, Some(Digest::of(b""))));

        // It is the file of the index, and no package all the same: a build would find that out too late.
        let page = b"<html>";
        let text = stanza(&("page", "1", "pool/page.deb".to_owned(), page.to_vec()));
        let (server, _) = mirror(vec![("pool/page.deb".to_owned(), page.to_vec())]);
        let mirrors = Mirrors { main: [server.clone(), server], security: None, another: String::new() };
        let source = Source { archive: &Archive(vec![text]), mirrors: &mirrors, release: &release };
        let wanted = Request { packages: vec!["page".to_owned()], ..request.clone() };
        let elsewhere = folder.path().join("pkg/page");
        let _other_lock = fetch::lock(&elsewhere).unwrap();
        let fetched = fetch_from(&source, wanted, b"", &elsewhere, &BTreeSet::new(), &store, &Progress::new(true));
        let said = crate::terminal::report::render(&fetched.unwrap_err());
        assert!(said.contains("pkg/page/page.deb`\ncaused by: the package can't be read"), "{said}");

        let refused = |packages: &str, place: &Path| {
            let error = super::packages(&recipe(packages), place, &store, &Call::plain()).unwrap_err();
            crate::terminal::report::render(&error).replace(&folder.path().display().to_string(), "")
        };
        let mut said = refused("['libb']", &place) + &refused("['liba']", &folder.path().join("none"));
        fs::write(place.join("libb_1_arm64.deb"), "damaged").unwrap();
        said += &refused("['liba']", &place);
        expect_test::expect_file!["system.txt"].assert_eq(&said);
    }
}
