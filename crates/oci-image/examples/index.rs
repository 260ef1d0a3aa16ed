//! Times looking into a base, and normalising it, and says what was found.
//!
//! `cargo run --profile xtask -p oci-image --example index -- oci:DIR|ARCHIVE [FILE…]`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement ends where it can't be made")]

use std::{path::Path, time::Instant};

use oci_image::{Base, BaseIndex, BlobSource, Platform, Store, normalise, open_archive, open_layout};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().expect("usage: index oci:DIR|ARCHIVE [FILE…]");
    let files: Vec<String> = arguments.collect();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let started = Instant::now();
    let (base, source) = open(&store, &place);
    println!("open       {:6.2} s  {} layers, {} bytes", seconds(started), base.layers.len(), base.size());

    let started = Instant::now();
    let index = BaseIndex::build(&store, &base, &*source, &files).map_err(said).unwrap();
    let took = seconds(started);
    let speed = index.unpacked_size as f64 / took / 1e6;
    println!("build      {took:6.2} s  {} bytes unpacked, {speed:.0} MB/s, peak {} MiB", index.unpacked_size, peak());
    let started = Instant::now();
    let cached = BaseIndex::cached(&store, &base.manifest_digest, &files).unwrap();
    assert_eq!(cached.as_ref(), Some(&index));
    println!("cached     {:6.2} s", seconds(started));
    println!("platform {} glibc {:?} os {:?}", index.platform, index.glibc, index.os_release.get("PRETTY_NAME"));
    println!(
        "folders {} links {} users {} set-id {}",
        index.dirs.len(),
        index.links.len(),
        index.users.len(),
        index.setid.len()
    );
    println!("{}", index.pythons().join("\n"));
    for one in &index.distributions {
        let removal =
            index.removal(one).map_or_else(|_| "no list".to_owned(), |paths| format!("{} paths", paths.len()));
        println!("{} {} in {}: {removal}", one.name, one.version, one.location);
    }
    for (path, file) in &index.files {
        println!("{path}: {file:?}");
    }

    let started = Instant::now();
    let normal = normalise(&store, &base, &*source).map_err(said).unwrap();
    println!("normalise  {:6.2} s  {} bytes, peak {} MiB", seconds(started), normal.size(), peak());
}

fn open(store: &Store, place: &str) -> (Base, Box<dyn BlobSource>) {
    let platform = Platform::linux_arm64();
    match place.strip_prefix("oci:") {
        Some(folder) => {
            let (base, source) = open_layout(Path::new(folder), None, &platform).map_err(said).unwrap();
            (base, Box::new(source))
        }
        None => {
            let (base, source) = open_archive(store, Path::new(place), &platform).map_err(said).unwrap();
            (base, Box::new(source))
        }
    }
}

fn said(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn seconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64()
}

/// The process's largest resident size so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
