//! The floor: what any program must do that gives the digest of an unpacked wheel. One thread inflates all of it and
//! takes the SHA-256 of the result; the wheel lies in the page cache.

use std::{
    ffi::OsString,
    fs,
    time::{Duration, Instant},
};

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use sha2::{Digest, Sha256};

use crate::run::own_cpu;

/// An entry of a zip archive: where its bytes lie in the file, its length in bytes, and whether it is deflated, else stored.
type Entry = (std::ops::Range<usize>, usize, bool);

/// Inflates the first bytes into the second, exactly.
type Inflate<'a> = dyn FnMut(&[u8], &mut [u8]) -> Result<(), String> + 'a;

/// Measures both and prints them.
pub fn run(arguments: Vec<OsString>) -> Result<u8, String> {
    let [path] = &arguments[..] else {
        return Err("usage: meter floor WHEEL".to_owned());
    };
    let read = || fs::read(path).map_err(|error| format!("failed to read {path:?}: {error}"));
    // Once before the clock starts, for the page cache.
    let largest = entries(&read()?)?.iter().map(|(_, size, _)| *size).max().unwrap_or(0);

    let mut buffer = vec![0; largest];
    let mut timed = |inflate: &mut Inflate<'_>| {
        let (begin, cpu) = (Instant::now(), own_cpu());
        let bytes = read()?;
        let mut hash = Sha256::new();
        let mut total = 0_u64;
        for (place, size, is_deflated) in entries(&bytes)? {
            let source = bytes.get(place).ok_or("an entry ends behind the file")?;
            let target = &mut buffer[..size];
            if is_deflated {
                inflate(source, target)?;
            } else {
                target.copy_from_slice(source);
            }
            hash.update(target);
            total += size as u64;
        }
        let digest = hash.finalize();
        Ok::<_, String>((begin.elapsed(), own_cpu() - cpu, total, digest))
    };

    let mut deflate = Decompressor::new();
    let (libdeflate, libdeflate_cpu, total, first) = timed(&mut |source, target| {
        let length = deflate.deflate_decompress(source, target).map_err(|error| format!("libdeflate: {error}"))?;
        if length == target.len() { Ok(()) } else { Err("libdeflate: too short".to_owned()) }
    })?;
    let mut zlib = Decompress::new(false);
    let (zlib_rs, zlib_rs_cpu, _, second) = timed(&mut |source, target| {
        zlib.reset(false);
        let status =
            zlib.decompress(source, target, FlushDecompress::Finish).map_err(|error| format!("zlib-rs: {error}"))?;
        // An entry of no bytes gives nothing and ends at once.
        if status == Status::StreamEnd || target.is_empty() { Ok(()) } else { Err("zlib-rs: too short".to_owned()) }
    })?;
    if first != second {
        return Err("the two inflate to different bytes".to_owned());
    }
    let show = |time: Duration| format!("{:.6}", time.as_secs_f64());
    println!(
        "{{\"bytes\":{total},\"sha_instructions\":{},\"libdeflate\":{{\"seconds\":{},\"cpu_seconds\":{}}},\
         \"zlib_rs\":{{\"seconds\":{},\"cpu_seconds\":{}}}}}",
        sha_instructions(),
        show(libdeflate),
        show(libdeflate_cpu),
        show(zlib_rs),
        show(zlib_rs_cpu)
    );
    Ok(0)
}

#[cfg(target_arch = "x86_64")]
fn sha_instructions() -> bool {
    std::arch::is_x86_feature_detected!("sha")
}

#[cfg(target_arch = "aarch64")]
fn sha_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("sha2")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn sha_instructions() -> bool {
    false
}

/// The entries of a zip archive without zip64, by its central directory (APPNOTE 6.3, 4.3.12 and 4.3.16).
fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let number = |at: usize, length: usize| -> Result<usize, String> {
        let field = bytes.get(at..at + length).ok_or("the archive is cut off")?;
        Ok(field.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or("no zip archive")?;
    let count = number(end + 10, 2)?;
    let mut at = number(end + 16, 4)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let header = number(at + 42, 4)?;
        let offset = header + 30 + number(header + 26, 2)? + number(header + 28, 2)?;
        let place = offset..offset + number(at + 20, 4)?;
        entries.push((place, number(at + 24, 4)?, number(at + 10, 2)? == 8));
        at += 46 + number(at + 28, 2)? + number(at + 30, 2)? + number(at + 32, 2)?;
    }
    Ok(entries)
}
