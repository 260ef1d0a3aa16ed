//! Signals that end a program wait until a file is whole and nothing of the work is left beside it.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Holds the signals back while it lives. Only for this thread: a program with others has to see to those itself.
pub(crate) struct Held(Option<SigSet>);

impl Held {
    pub(crate) fn back() -> Self {
        let signals: SigSet = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().collect();
        Self(signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // One that came meanwhile takes effect here.
            let _ = before.thread_set_mask();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_held_back_for_as_long_as_that() {
        let before = SigSet::thread_get_mask().unwrap();
        let held = Held::back();
        let now = SigSet::thread_get_mask().unwrap();
        assert!([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().all(|signal| now.contains(signal)));
        drop(held);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
