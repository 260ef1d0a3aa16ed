//! Times the layer of a wheel against the floor: one thread that inflates all of it and takes SHA-256 of the result.
//!
//! `cargo run --profile xtask -p wheel-layer --example measure -- WHEEL [RUNS]`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement ends where it can't be made")]

use std::{fs, io::Read, path::Path, time::Instant};

use oci_image::{Digest, Store};
use sha2::{Digest as _, Sha256};
use wheel_layer::{Entry, Layout, Options, Target, WheelFacts};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let wheel = arguments.next().expect("usage: measure WHEEL [RUNS]");
    let wheel = Path::new(&wheel);
    let runs: usize = arguments.next().map_or(5, |text| text.parse().expect("RUNS is a number"));
    let digest = hash(wheel);
    let facts = WheelFacts::read(wheel).unwrap();
    let layout = Layout::posix_prefix("/usr/local", (3, 9), 315_532_800);
    let target = Target::aarch64((3, 9), (2, 28));

    let make = |store: &Store| facts.layers(store, wheel, &digest, &layout, &target, &Options::default()).unwrap();
    // First of all, so that the peak is that of making the layer.
    let store = tempfile::tempdir_in(store_parent()).unwrap();
    let layers = make(&Store::open(store.path()).unwrap());
    let peak = peak();

    let mut series: Vec<(&str, Vec<f64>, Vec<f64>)> = Vec::new();
    let mut note = |name, wall: f64, cpu: f64| match series.iter_mut().find(|row| row.0 == name) {
        Some(row) => {
            row.1.push(wall);
            row.2.push(cpu);
        }
        None => series.push((name, vec![wall], vec![cpu])),
    };
    for _ in 0..runs {
        for (name, body) in [
            ("floor, libdeflate", &(|| floor_libdeflate(wheel, &facts.files)) as &dyn Fn()),
            ("floor, zlib-rs", &|| floor_zlib_rs(wheel, &facts.files)),
            ("facts", &|| drop(WheelFacts::read(wheel).unwrap())),
        ] {
            let (wall, cpu) = timed(&mut || body());
            note(name, wall, cpu);
        }
        let store = tempfile::tempdir_in(store_parent()).unwrap();
        let store = Store::open(store.path()).unwrap();
        let (wall, cpu) = timed(&mut || drop(make(&store)));
        note("layer", wall, cpu);
        let (wall, cpu) = timed(&mut || drop(make(&store)));
        note("layer, cached", wall, cpu);
        fs::remove_dir_all(store.root()).unwrap();
    }
    println!("{:20} {:>9} {:>9} {:>9}   (seconds, of {runs} runs)", "", "median", "least", "cpu");
    for (name, wall, cpu) in &mut series {
        wall.sort_by(f64::total_cmp);
        cpu.sort_by(f64::total_cmp);
        println!("{name:20} {:9.3} {:9.3} {:9.3}", wall[runs / 2], wall[0], cpu[runs / 2]);
    }
    println!("peak resident {peak} KiB");
    for layer in layers {
        println!("{} {} bytes, {} unpacked", layer.digest, layer.size, layer.tar_size);
    }
}

fn hash(path: &Path) -> Digest {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = file.read(&mut buffer).unwrap();
        if length == 0 {
            return Digest::from_bytes(hash.finalize().into());
        }
        hash.update(&buffer[..length]);
    }
}

/// A folder on a disk: `/tmp` may be memory.
fn store_parent() -> std::path::PathBuf {
    std::env::var_os("MEASURE_STORE").map_or_else(std::env::temp_dir, Into::into)
}

fn timed(body: &mut dyn FnMut()) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    body();
    (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

/// CPU seconds of this process so far, in steps of 10 ms (proc(5), `stat`, at 100 ticks a second).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn floor_libdeflate(wheel: &Path, files: &[Entry]) {
    let bytes = fs::read(wheel).unwrap();
    let mut inflater = libdeflater::Decompressor::new();
    let mut hash = Sha256::new();
    let mut out = Vec::new();
    for entry in files {
        let raw = &bytes[entry.offset as usize..(entry.offset + entry.compressed) as usize];
        if entry.deflated {
            out.resize(out.len().max(entry.size as usize), 0);
            let out = &mut out[..entry.size as usize];
            inflater.deflate_decompress(raw, out).unwrap();
            hash.update(out);
        } else {
            hash.update(raw);
        }
    }
    std::hint::black_box(hash.finalize());
}

fn floor_zlib_rs(wheel: &Path, files: &[Entry]) {
    let bytes = fs::read(wheel).unwrap();
    let mut inflater = flate2::Decompress::new(false);
    let mut hash = Sha256::new();
    let mut out = vec![0; 256 * 1024];
    for entry in files {
        let raw = &bytes[entry.offset as usize..(entry.offset + entry.compressed) as usize];
        if !entry.deflated {
            hash.update(raw);
            continue;
        }
        inflater.reset(false);
        loop {
            let (taken, given) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(&raw[taken as usize..], &mut out, flate2::FlushDecompress::None).unwrap();
            hash.update(&out[..(inflater.total_out() - given) as usize]);
            if status == flate2::Status::StreamEnd {
                break;
            }
        }
    }
    std::hint::black_box(hash.finalize());
}
