//! Whatever a registry sends of a base, what is wrong with it is said, and it takes little memory.

use std::{env, fs, io, process::Command};

use expect_test::expect_file;
use oci_image::{Base, BaseIndex, Descriptor, Digest, Platform, Store};
use registry::{Registry, RegistrySource};
use registry_fake::{FakeRegistry, Fault, What};

use crate::fixture::{DOCKER, OCI, options, repo, tag};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Says which registry this very test is to read from, in a process of its own.
const HOST: &str = "FMTK_TEST_HOST";
/// For all that a base is: three connections, what is unpacked, the program and its libraries.
const PEAK_MIB: u64 = 40;

fn config(diff_ids: &[Digest]) -> String {
    let diff_ids: Vec<_> = diff_ids.iter().map(|digest| format!("\"{digest}\"")).collect();
    format!(r#"{{"os":"linux","architecture":"arm64","rootfs":{{"diff_ids":[{}]}}}}"#, diff_ids.join(","))
}

fn blob(media_type: &str, bytes: &[u8]) -> String {
    let digest = registry_fake::digest(bytes);
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, bytes.len())
}

fn manifest(config: &str, layers: &[String]) -> String {
    let layers = layers.join(",");
    format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER}","config":{config},"layers":[{layers}]}}"#)
}

/// A registry whose base has this config and these layers.
fn serving(config: &str, layers: &[&[u8]]) -> FakeRegistry {
    let fake = FakeRegistry::start();
    fake.put_blob("o/r", config.as_bytes());
    layers.iter().for_each(|layer| drop(fake.put_blob("o/r", layer)));
    let layers: Vec<_> = layers.iter().map(|layer| blob(LAYER, layer)).collect();
    let manifest = manifest(&blob(CONFIG, config.as_bytes()), &layers);
    fake.put_manifest("o/r", "t", DOCKER, manifest.as_bytes());
    fake
}

/// One whose manifest is this.
fn saying(media_type: &str, manifest: &str) -> FakeRegistry {
    let fake = FakeRegistry::start();
    fake.put_manifest("o/r", "t", media_type, manifest.as_bytes());
    fake
}

/// A gzip of what `write` writes.
fn gzip(write: impl FnOnce(&mut dyn io::Write)) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// The header of an entry of a tar archive.
fn header(name: &str, flag: u8, size: u64) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = flag;
    seal(&mut block);
    block
}

/// Gives a header its checksum.
fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// An entry with its contents.
fn entry(name: &str, flag: u8, contents: &[u8]) -> Vec<u8> {
    let mut entry = header(name, flag, contents.len() as u64);
    entry.extend(contents);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// Files that a RECORD deep below lists again and again, by names of one letter.
fn record() -> Vec<u8> {
    let site = format!("{}/site-packages", ["x"; 3].map(|name| name.repeat(250)).join("/"));
    let file = |name: &str, contents: &[u8]| {
        let name = format!("{site}/{name}\0");
        [entry("long", b'L', name.as_bytes()), entry("short", b'0', contents)].concat()
    };
    let record = "a\n".repeat(300_000);
    [
        file("a", b""),
        file("y-1.dist-info/METADATA", b"Name: y\nVersion: 1\n"),
        file("y-1.dist-info/RECORD", record.as_bytes()),
    ]
    .concat()
}

/// A layer of 10 million folders with paths of 4,000 bytes, in 5,000 members of gzip that are the same.
fn folders() -> Vec<u8> {
    let name = format!("{}/folder\0", "f".repeat(4000));
    let folder = [entry("long", b'L', name.as_bytes()), entry("short", b'5', b"")].concat();
    gzip(|out| (0..2000).for_each(|_| out.write_all(&folder).unwrap())).repeat(5000)
}

/// A layer of a file of so many MiB of zeros, each in a member of gzip of its own.
fn zeros(mib: u64) -> Vec<u8> {
    let header = gzip(|out| out.write_all(&header("zeros", b'0', mib << 20)).unwrap());
    let member = gzip(|out| out.write_all(&vec![0; 1 << 20]).unwrap());
    [header, member.repeat(mib as usize)].concat()
}

/// A record of conda that lists 2 million files without a name.
fn conda() -> Vec<u8> {
    let files = vec![r#""""#; 2_000_000].join(",");
    entry("conda-meta/x.json", b'0', format!(r#"{{"name":"x","files":[{files}]}}"#).as_bytes())
}

fn cases() -> Vec<(&'static str, FakeRegistry)> {
    let image = |_: usize| format!(r#"{{"mediaType":"{OCI}","digest":"{}","size":1}}"#, Digest::of([]));
    let index = |images: usize| {
        let images: Vec<_> = (0..images).map(image).collect();
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, images.join(","))
    };
    let small = entry("a", b'0', b"1");
    let config_of = |archive: &[u8]| config(&[Digest::of(archive)]);
    let good = gzip(|out| out.write_all(&small).unwrap());
    let with_layer = |layer: &[u8]| serving(&config_of(&small), &[layer]);
    let failing = |fault: Fault| {
        let fake = with_layer(&good);
        fake.plan(fault);
        fake
    };
    let padded = |path, value| failing(Fault::on("GET", path, What::Header("X-Pad", value)).always());
    // Of the layer: the config comes first.
    let with_length = |length: u64| {
        failing(Fault::on("GET", "/blobs/", What::Header("Content-Length", length.to_string())).after(1).always())
    };
    let values = |text: &str, count: usize| {
        let list = vec![text; count].join(",");
        config_of(&small).replacen('{', &format!(r#"{{"x":[{list}],"#), 1)
    };
    let bomb = zeros(512);
    let names = gzip(|out| {
        out.write_all(&header("long", b'x', 1 << 32)).unwrap();
        io::copy(&mut io::Read::take(io::repeat(b' '), 64 << 20), out).unwrap();
    });
    let name = gzip(|out| {
        out.write_all(&entry("long", b'L', &vec![b'n'; 1 << 20])).unwrap();
        out.write_all(&small).unwrap();
    });
    let listed = record();
    let conda = conda();
    let far = manifest(&format!(r#"{{"mediaType":"{CONFIG}","digest":"{}","size":104857600}}"#, Digest::of([])), &[]);
    // Each of another length.
    let large = [64_u64, 65, 66].map(|mib| {
        let mut archive = header("zeros", b'0', mib << 20);
        archive.resize(archive.len() + (mib << 20) as usize, 0);
        (Digest::of(&archive), zeros(mib))
    });
    vec![
        ("a manifest of 100 MiB", saying(DOCKER, &" ".repeat(100 << 20))),
        ("an index of 100,000 images", saying(INDEX, &index(100_000))),
        ("an index of 20,000 images", saying(INDEX, &index(20_000))),
        (
            "an index of a list of numbers",
            saying(
                INDEX,
                &index(1).replacen("\"size\"", &format!(r#""x":[{}],"size""#, vec!["0"; 1 << 20].join(",")), 1),
            ),
        ),
        ("a config of 100 MiB", saying(DOCKER, &far)),
        ("a config of a list of numbers", serving(&values("0", 4_000_000), &[&good])),
        ("a config of a list of objects", serving(&values(r#"{"a":{}}"#, 800_000), &[&good])),
        ("a config that is 190,000 deep", serving(&values(&"[".repeat(190_000), 1), &[&good])),
        ("a config without an end", failing(Fault::on("GET", "/blobs/", What::Endless))),
        ("a layer without an end", failing(Fault::on("GET", "/blobs/", What::Endless).after(1))),
        ("a length of 1 byte more", with_length(good.len() as u64 + 1)),
        ("a length of 16 EiB", with_length(u64::MAX)),
        ("a header field of 2 MiB", padded("/blobs/", "x".repeat(2 << 20))),
        ("1,000 header fields", padded("/manifests/", vec!["x"; 1000].join("\r\nX-Pad: "))),
        ("a layer of 512 MiB of zeros", with_layer(&bomb)),
        ("an extended header of 4 GiB", with_layer(&names)),
        ("a name of 1 MiB", with_layer(&name)),
        ("a layer of 10 million folders", with_layer(&folders())),
        (
            "three layers of 64 MiB",
            serving(&config(&large.each_ref().map(|one| one.0)), &large.each_ref().map(|one| one.1.as_slice())),
        ),
        (
            "a RECORD that lists a file 300,000 times",
            serving(&config_of(&listed), &[&gzip(|out| out.write_all(&listed).unwrap())]),
        ),
        (
            "a record of conda that lists 2 million files",
            serving(&config_of(&conda), &[&gzip(|out| out.write_all(&conda).unwrap())]),
        ),
    ]
}

/// Reads the base of a registry; what is wrong with it.
fn inspect(registry: Registry) -> Result<usize, String> {
    let repository = repo("o/r");
    let found = registry.manifest(&repository, &tag("t")).map_err(|error| chain(&error))?.unwrap();
    let source = RegistrySource { registry, repository };
    let media_type = Some(found.media_type.as_str());
    let mut nothing = |_: &Descriptor| Err::<Vec<u8>, io::Error>(io::ErrorKind::NotFound.into());
    let base = Base::resolve("base", &found.bytes, media_type, &Platform::linux_arm64(), &mut nothing, &source)
        .map_err(|error| chain(&error))?;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let index = BaseIndex::build(&store, &base, &source, &[]).map_err(|error| chain(&error))?;
    Ok(index.distributions.len())
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[test]
fn what_a_registry_sends_of_a_base_takes_little_memory_and_what_is_wrong_is_said() {
    if let Ok(host) = env::var(HOST) {
        let said = inspect(Registry::new(host.parse().unwrap(), options()));
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        println!("\nsaid: {said:?}\npeak: {}", peak.trim().trim_end_matches(" kB"));
        return;
    }
    let mut text = String::new();
    for (case, fake) in cases() {
        let test = "bounds::what_a_registry_sends_of_a_base_takes_little_memory_and_what_is_wrong_is_said";
        let mut child = Command::new(env::current_exe().unwrap());
        let output = child.args(["--exact", test, "--nocapture"]).env(HOST, fake.host()).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let line = |name: &str| {
            output.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{case}: {output}"))
        };
        let said = line("said: ").replace(&fake.host(), "HOST");
        let digests = said.split("sha256:").skip(1).map(|rest| &rest[..64]);
        let said = digests.fold(said.clone(), |said, digest| said.replace(digest, "…"));
        let peak = line("peak: ").parse::<u64>().unwrap() >> 10;
        eprintln!("{case}: {peak} MiB");
        let above = if peak < PEAK_MIB { String::new() } else { format!(" with a peak of {peak} MiB, not {PEAK_MIB}") };
        text += &format!("{case}{above}: {said}\n");
    }
    expect_file!["snapshots/bounds.txt"].assert_eq(&text);
}
