//! Any bytes: refused or judged, with no panic, no stack overflow and no time-out; and what is made of them has the edits.

#![no_main]

use fmk_patch::{Edits, Status, patch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(report) = patch(text, Edits::ALL) else { return };
    let Some(output) = &report.output else { return };
    let again = patch(output, Edits::ALL).unwrap();
    assert_eq!(again.output, None);
    for (edit, status) in &again.edits {
        let has_it = matches!(status, Status::AlreadyApplied { .. } | Status::NotApplicable { .. });
        assert!(has_it, "{edit}: {status}");
    }
});
