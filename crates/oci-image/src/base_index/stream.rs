//! From layers to an index.

use std::collections::BTreeMap;

use super::{
    BaseIndex, IndexError, IndexedFile,
    budget::Budget,
    capture::{Capture, Content, Fact},
    distributions::distributions,
    entries::entries,
    libraries::libraries,
    python, system,
    tree::{Kind, Tree},
};
use crate::{Attr, Base, BlobSource, Digest, ParentDirs, Store, StoreError, Unpacked, read_layer, unpack::each_layer};

/// Layers that are read at once: as many as docker downloads. More would gain little on a line that is full, and each
/// takes 5 MiB; one of zstd may ask for 128 MiB more.
pub(super) const AT_ONCE: usize = 3;

/// Reads every layer and puts together what is known of the base then. The same index however many are read at once.
pub(super) fn build(
    store: &Store,
    base: &Base,
    source: &(dyn BlobSource + Sync),
    files: &[String],
    at_once: usize,
) -> Result<BaseIndex, IndexError> {
    let (tree, layers) = read(base, source, &Capture::new(files), &Budget::new(&base.name), at_once)?;
    let Walked { dirs, links, names, setid } = walked(&tree);
    Ok(BaseIndex {
        manifest_digest: base.manifest_digest,
        platform: base.config.platform(),
        os_release: system::os_release(&tree),
        glibc: system::glibc(&tree),
        libraries: libraries(&tree),
        interpreters: python::interpreters(&tree),
        distributions: distributions(&tree),
        dirs,
        links,
        names,
        users: system::users(&tree),
        groups: system::groups(&tree),
        setid,
        files: kept(store, &tree, files)?,
        unpacked_size: layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.tar_size)),
        compressions: layers.iter().map(|layer| layer.compression).collect(),
    })
}

/// The files of a base, and what each layer turned out to hold. Layers come in any order; what their entries do to one
/// another shows when they are applied, bottom to top.
fn read(
    base: &Base,
    source: &(dyn BlobSource + Sync),
    capture: &Capture,
    budget: &Budget<'_>,
    at_once: usize,
) -> Result<(Tree, Vec<Unpacked>), IndexError> {
    let layers = each_layer(&base.layers, base.config.diff_ids(), at_once, source, |layer, diff_id, source| {
        read_layer(source, layer, Some(*diff_id), |stream| entries(stream, capture, budget, layer.digest))
    })?;
    let (mut tree, mut unpacked) = (Tree::new(), Vec::new());
    for (layer, (entries, found)) in base.layers.iter().zip(layers) {
        tree.apply(&layer.digest, entries, budget)?;
        unpacked.push(found);
    }
    Ok((tree, unpacked))
}

/// What is known of a base by the paths in it alone.
struct Walked {
    dirs: ParentDirs,
    links: BTreeMap<String, String>,
    names: String,
    setid: BTreeMap<String, Attr>,
}

fn walked(tree: &Tree) -> Walked {
    let mut dirs = ParentDirs::from([("/".to_owned(), tree.root.attr)]);
    let (mut links, mut names, mut setid) = (Vec::new(), String::new(), BTreeMap::new());
    tree.walk(&mut |path, kind| {
        // Nobody's layer goes into a folder with such a name, and the index keeps a line for each.
        if path.contains(['\n', '\r']) {
            return;
        }
        let absolute = format!("/{path}");
        match kind {
            Kind::Dir(dir) => {
                dirs.insert(absolute, dir.attr);
                return;
            }
            Kind::Link(_) => links.push(path.to_owned()),
            Kind::File(Some(fact)) if fact.is_setid() => drop(setid.insert(absolute.clone(), fact.attr)),
            Kind::File(_) => {}
        }
        names.push_str(&Digest::of(absolute).short());
    });
    let to_folder = |path: String| Some((format!("/{path}"), format!("/{}", tree.dir(&path)?.0)));
    Walked { dirs, links: links.into_iter().filter_map(to_folder).collect(), names, setid }
}

fn kept(store: &Store, tree: &Tree, files: &[String]) -> Result<BTreeMap<String, Option<IndexedFile>>, StoreError> {
    let kept = files.iter().map(|path| {
        let file = match tree.file(path) {
            Some((_, Some(Fact { attr, content: Content::Whole(bytes) }))) => {
                Some(IndexedFile { digest: store.put_blob(bytes)?, size: bytes.len() as u64, attr: *attr })
            }
            _ => None,
        };
        Ok((path.clone(), file))
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Condvar, Mutex},
        time::Duration,
    };

    use proptest::{collection::vec, prelude::*, sample::select};

    use super::{
        super::{
            budget::{FOLDER, MOST},
            tree::{Dir, Node},
        },
        *,
    };
    use crate::{Compression, Descriptor};

    /// Layers in memory. Read `upwards` they are there at once; else each only after the one above it was read.
    struct Layers {
        archives: Vec<Vec<u8>>,
        upwards: bool,
        ended: Mutex<usize>,
        changed: Condvar,
    }

    impl BlobSource for Layers {
        fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn io::Read + Send + '_>> {
            let number = self.archives.iter().position(|bytes| Digest::of(bytes) == blob.digest).unwrap();
            let above = self.archives.len() - 1 - number;
            if !self.upwards {
                let ended = self.ended.lock().unwrap();
                let minute = Duration::from_secs(60);
                let (_ended, waited) = self.changed.wait_timeout_while(ended, minute, |ended| *ended < above).unwrap();
                assert!(!waited.timed_out(), "nobody reads the layer above");
            }
            Ok(Box::new(Layer(&self.archives[number], self)))
        }
    }

    struct Layer<'a>(&'a [u8], &'a Layers);

    impl io::Read for Layer<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Drop for Layer<'_> {
        fn drop(&mut self) {
            *self.1.ended.lock().unwrap() += 1;
            self.1.changed.notify_all();
        }
    }

    fn layers(archives: &[Vec<u8>], upwards: bool) -> Layers {
        Layers { archives: archives.to_vec(), upwards, ended: Mutex::default(), changed: Condvar::new() }
    }

    fn base(archives: &[Vec<u8>]) -> Base {
        let diff_ids: Vec<Digest> = archives.iter().map(Digest::of).collect();
        let config = serde_json::json!({ "os": "linux", "architecture": "arm64", "rootfs": { "diff_ids": diff_ids } });
        let layer = |bytes: &Vec<u8>| Descriptor::of(Compression::None.oci_layer(), bytes);
        let layers = archives.iter().map(layer).collect();
        Base { layers, ..Base::scratch(config.to_string().as_bytes()).unwrap() }
    }

    const SITE: &str = "lib/python3.9/site-packages";

    /// Few paths, so that layers meet.
    fn path() -> impl Strategy<Value = String> {
        let plain = ["a", "a/b", "a/b/c", "d", "d/e", "etc/passwd", "etc/os-release", "bin/python3.9", "bin/python3"];
        let of_site = ["x-1.dist-info/METADATA", "x-1.dist-info/RECORD", "x", "x/__init__.py", "x-1.dist-info"];
        let of_site = of_site.map(|path| format!("{SITE}/{path}"));
        select([&plain.map(str::to_owned)[..], &of_site].concat())
    }

    #[derive(Debug, Clone)]
    enum Made {
        Dir(u32),
        File(u32, &'static str),
        Link(String),
        Hard(String),
        Whiteout,
        Opaque,
    }

    fn made() -> impl Strategy<Value = Made> {
        const TEXTS: [&str; 5] = [
            "",
            "x/__init__.py,,\nx-1.dist-info/RECORD,,\n",
            "Name: x\nVersion: 1\n",
            "ID=a\n",
            "a:x:1:2::/a:/bin/sh\n",
        ];
        prop_oneof![
            select(vec![0o755, 0o700]).prop_map(Made::Dir),
            (select(vec![0o644, 0o4755]), select(&TEXTS[..])).prop_map(|(mode, text)| Made::File(mode, text)),
            path().prop_map(Made::Link),
            path().prop_map(Made::Hard),
            Just(Made::Whiteout),
            Just(Made::Opaque),
        ]
    }

    /// `number` makes the layer one of its own.
    fn archive(number: usize, entries: &[(String, Made)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind: tar::EntryType, mode: u32, link: Option<&str>, text: &str| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_mtime(1_600_000_000 + number as u64);
            header.set_size(text.len() as u64);
            match link {
                Some(target) => builder.append_link(&mut header, path, target).unwrap(),
                None => builder.append_data(&mut header, path, text.as_bytes()).unwrap(),
            }
        };
        let file = tar::EntryType::Regular;
        add(&format!("layer{number}"), file, 0o644, None, "");
        for (path, made) in entries {
            let (folder, name) = crate::paths::split_name(path);
            match made {
                Made::Dir(mode) => add(&format!("{path}/"), tar::EntryType::Directory, *mode, None, ""),
                Made::File(mode, text) => add(path, file, *mode, None, text),
                Made::Link(target) => add(path, tar::EntryType::Symlink, 0o777, Some(target), ""),
                Made::Hard(target) => add(path, tar::EntryType::Link, 0o644, Some(target), ""),
                Made::Whiteout => add(&crate::paths::joined(&[folder, &format!(".wh.{name}")]), file, 0o644, None, ""),
                Made::Opaque => add(&format!("{path}/.wh..wh..opq"), file, 0o644, None, ""),
            }
        }
        builder.into_inner().unwrap()
    }

    fn archives() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let layers = vec(vec((path(), made()), 0..12), 1..4);
        layers.prop_map(|layers| layers.iter().enumerate().map(|(number, layer)| archive(number, layer)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_index_is_the_same_however_many_layers_are_read_at_once(archives in archives()) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let (base, files) = (base(&archives), ["/a/b/c".to_owned(), "/d/e".to_owned()]);
            let one = build(&store, &base, &layers(&archives, true), &files, 1).unwrap();
            let all = build(&store, &base, &layers(&archives, false), &files, archives.len()).unwrap();
            prop_assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&all).unwrap());
        }
    }

    /// What reading a base of one layer with these entries comes to, with so many bytes of memory.
    fn read_within(most: usize, entries: &[(String, Made)]) -> Result<(), String> {
        let archives = [archive(0, entries)];
        let (base, source) = (base(&archives), layers(&archives, true));
        let read = read(&base, &source, &Capture::new(&[]), &Budget::of("base", most), 1);
        read.map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn all_that_a_layer_leads_to_counts() {
        let each = |made: &Made| (0..50).map(|number| (format!("x{number:02}"), made.clone())).collect::<Vec<_>>();
        let hard_links =
            |path: &str, made: Made| [vec![(path.to_owned(), made)], each(&Made::Hard(path.to_owned()))].concat();
        let file = Made::File(0o644, "");
        let below = each(&file).into_iter().map(|(path, made)| (format!("{path}/file"), made)).collect();
        // The bytes are more than all else takes.
        let cases = [
            ("folders", each(&Made::Dir(0o755)), 40_000),
            ("folders that are only implied", vec![("a/".repeat(100) + "b", file)], 60_000),
            ("folders that are only implied, beside one another", below, 40_000),
            ("hard links to a kept file", hard_links("etc/passwd", Made::File(0o644, "a:x:1:2::/a:/bin/sh\n")), 14_000),
            ("hard links to a link", hard_links("l", Made::Link("t".repeat(90))), 12_000),
        ];
        for (case, entries, bytes) in cases {
            assert_eq!(read_within(1 << 20, &entries), Ok(()), "{case}");
            let said = "base `base` holds more files than can be listed in 0 MiB of memory";
            assert_eq!(read_within(bytes, &entries), Err(said.to_owned()), "{case}");
        }
    }

    #[test]
    fn a_folder_counts_as_much_as_it_takes() {
        let node = 11 * (size_of::<Box<str>>() + size_of::<Node>());
        // Maps that grow in order are half full.
        let in_index = 2 * (size_of::<String>() + size_of::<Attr>());
        assert!(size_of::<Dir>() + node + in_index <= FOLDER);
    }

    /// A hundredth of them, in a hundredth of the memory.
    #[test]
    fn a_base_of_two_million_files_and_folders_is_listed() {
        let folder = |number: usize| format!("{:x<60}{number:05}", "opt/conda/lib/python3.9/site-packages/");
        let folders = (0..2_000).map(|number| (folder(number), Made::Dir(0o755)));
        let file = |number: usize| format!("{}/{number:0>34}", folder(number / 9));
        let files = (0..18_000).map(|number| (file(number), Made::File(0o644, "")));
        assert_eq!(read_within(MOST / 100, &folders.chain(files).collect::<Vec<_>>()), Ok(()));
    }
}
