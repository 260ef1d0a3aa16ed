//! Several layers read at once: on a slow line each has a connection of its own, and while one waits, others are unpacked.

use std::{
    io::{self, Read},
    ops::ControlFlow,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{BlobSource, Descriptor, Digest};

/// Calls `read` for each layer, on at most so many threads, the largest first.
/// Returns the results in the order of the layers. Once one has failed, no other is begun and those under way end with
/// their next read, as they do when `read` panics; the error is that of the one that failed first.
pub(crate) fn each_layer<T: Send, E: Send>(
    layers: &[Descriptor],
    diff_ids: &[Digest],
    threads: usize,
    source: &(dyn BlobSource + Sync),
    read: impl Fn(&Descriptor, &Digest, &dyn BlobSource) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let stopped = AtomicBool::new(false);
    let source = StoppableSource { source, stopped: &stopped };
    let items: Vec<_> = layers.iter().zip(diff_ids).collect();
    let size = |(layer, _): &(&Descriptor, &Digest)| layer.size;
    let results = side_by_side::until_longest_first(&items, threads, size, |(layer, diff_id)| {
        let _guard = StopOnPanic(&stopped);
        match read(layer, diff_id, &source) {
            Ok(value) => ControlFlow::Continue(Ok(value)),
            // What fails after that may have been stopped.
            Err(error) => ControlFlow::Break(Err((!stopped.swap(true, Ordering::Relaxed)).then_some(error))),
        }
    });
    let mut values = Vec::with_capacity(layers.len());
    for result in results.into_iter().flatten() {
        match result {
            Ok(value) => values.push(value),
            Err(Some(first)) => return Err(first),
            Err(None) => {}
        }
    }
    Ok(values)
}

/// Stops the other layers when a thread that reads one panics.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A source whose readers fail once stopped. A read that is under way is not ended by that: of a server that sends nothing
/// it may end only with its time-out.
struct StoppableSource<'a> {
    source: &'a (dyn BlobSource + Sync),
    stopped: &'a AtomicBool,
}

impl BlobSource for StoppableSource<'_> {
    fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(StoppableReader { inner: self.source.open(blob)?, stopped: self.stopped }))
    }
}

struct StoppableReader<'a, R> {
    inner: R,
    stopped: &'a AtomicBool,
}

impl<R: Read> Read for StoppableReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer has failed"));
        }
        self.inner.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use super::*;

    /// A layer without an end, and one that is not there.
    struct Endless;

    impl BlobSource for Endless {
        fn open(&self, blob: &Descriptor) -> io::Result<Box<dyn Read + Send + '_>> {
            match blob.size {
                0 => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(Box::new(io::repeat(0))),
            }
        }
    }

    #[test]
    fn a_layer_that_fails_ends_those_that_are_under_way() {
        let layers = [2, 1, 0].map(|size| Descriptor::new("", Digest::of([]), size));
        let diff_ids = [Digest::of([]); 3];
        let read = |layer: &Descriptor, _: &Digest, source: &dyn BlobSource| {
            io::copy(&mut source.open(layer)?, &mut io::sink())
        };
        let error = each_layer(&layers, &diff_ids, 3, &Endless, read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_panic_ends_those_that_are_under_way() {
        let layers = [1, 0].map(|size| Descriptor::new("", Digest::of([]), size));
        let diff_ids = [Digest::of([]); 2];
        let read = |layer: &Descriptor, _: &Digest, source: &dyn BlobSource| {
            assert!(layer.size > 0, "a defect");
            io::copy(&mut source.open(layer)?, &mut io::sink())
        };
        let all = || each_layer(&layers, &diff_ids, 2, &Endless, read);
        assert!(panic::catch_unwind(panic::AssertUnwindSafe(all)).is_err());
    }
}
