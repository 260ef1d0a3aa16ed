//! What the launcher is called in the list of processes.
//!
//! Not what its guardian is called: somebody who kills by name, `pkill -9 fmtk-launch` or `pkill -9 -f train.py`, would hit
//! both at once, and nobody were left to end what the ranks have started.

use std::ffi::CStr;
use std::fs;
use std::ops::Range;
use std::ptr;

/// At most 15 bytes, and no part of the program's name.
const NAME: &CStr = c"rank-supervisor";

/// Changes the name, and the whole command line to it. Only while there is one thread, and when all arguments were read.
pub fn change() {
    // Neither is worth an error: with its old name everything else works.
    let _ = nix::sys::prctl::set_name(NAME);
    if let Some(place) = fs::read_to_string("/proc/self/stat").ok().and_then(|it| arguments(&it)) {
        write(NAME.to_bytes(), place);
    }
}

/// Where the arguments are in memory, as /proc/self/stat has it: the fields 48 and 49 of proc(5). Emulators write none.
fn arguments(stat: &str) -> Option<Range<usize>> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(48 - 3).map(|it| it.parse().ok());
    let place = fields.next()??..fields.next()??;
    (place.start > 0 && place.start < place.end).then_some(place)
}

/// Writes `name` and fills the rest with NUL; the last byte stays one, by which the kernel knows the end.
#[allow(unsafe_code)]
fn write(name: &[u8], place: Range<usize>) {
    let length = name.len().min(place.len() - 1);
    let target = ptr::with_exposed_provenance_mut::<u8>(place.start);
    // SAFETY: the kernel has put the arguments there, in pages of the stack that can be written to; no Rust reference leads
    // there, no other thread reads them, and the texts that the standard library knows of stay texts that end in NUL.
    unsafe {
        ptr::write_bytes(target, 0, place.len());
        ptr::copy_nonoverlapping(name.as_ptr(), target, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_where_the_manual_says() {
        let stat = |rest: &str| format!("7 (a) b) S {} {rest}", "1 ".repeat(44).trim_end());
        for (rest, expect) in
            [("140 152 9", Some(140..152)), ("0 0 0", None), ("152 140 0", None), ("140", None), ("x 152", None)]
        {
            assert_eq!(arguments(&stat(rest)), expect, "{rest}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_cut() {
        for (name, expect) in [("new", b"new\0\0\0\0\0"), ("new name", b"new nam\0")] {
            let mut place = *b"old\0arg\0";
            let start = place.as_mut_ptr().expose_provenance();
            write(name.as_bytes(), start..start + place.len());
            assert_eq!(&place, expect);
        }
    }
}
