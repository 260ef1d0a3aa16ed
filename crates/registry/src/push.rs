//! Pushing an image: blobs side by side, then its config, then its manifest, and only then is it there.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use image_name::{Digest, RepoPath, Tag};
use serde::Serialize;

use crate::{
    auth::Access,
    client::{Registry, Sent},
    error::{Cause, Context as _, Error},
    line::Line,
    manifests::ManifestRef,
    unfinished::Folder,
    upload::{Arrival, PushBlob, PushEvent, Upload},
};

/// An image to push.
#[derive(Clone)]
pub struct Push<'a> {
    /// Where to.
    pub repository: &'a RepoPath,
    /// Under which tag.
    pub tag: &'a Tag,
    /// The manifest, as it is to be served.
    pub manifest: &'a [u8],
    /// The manifest's media type.
    pub media_type: &'a str,
    /// The image's config.
    pub config: PushBlob<'a>,
    /// The layers that the manifest names.
    pub layers: Vec<PushBlob<'a>>,
    /// Move the tag where it points at another image; else the push fails then. The protocol has no compare-and-swap: a
    /// tag that somebody else puts between our last look and our own put is overwritten, and found out only where they
    /// read back after us.
    pub overwrite: bool,
    /// How many blobs are sent side by side until the line is cut; 0 is 3, which fills a line without SWR's limit of
    /// requests in the way.
    pub parallel: usize,
    /// A folder of its own for uploads that are not finished: where the process ends before they are, the next push goes
    /// on with them. Who can read it can write to these uploads, so it is made private; where it is a link or belongs to
    /// somebody else, there is no going on.
    pub unfinished: Option<&'a Path>,
}

/// What a push came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushReport {
    /// The manifest's digest, as the registry has told it back.
    pub digest: Digest,
    /// The tag pointed there before, and nothing was done.
    pub unchanged: bool,
    /// Blobs that were sent.
    pub sent_blobs: usize,
    /// Blobs taken over from another repository.
    pub mounted_blobs: usize,
    /// Blobs that were there.
    pub present_blobs: usize,
    /// Bytes that it took; those of other pushes through the same [`Registry`] at the same time are among them.
    pub sent: Sent,
}

/// How often a tag is read back before it counts as lost: some registries answer from caches for a moment.
const READ_BACK: u32 = 3;

impl Registry {
    /// Pushes an image. Nothing is seen under the tag until everything is there; success is said only after the
    /// registry has told the digest back. `progress` is called from several threads.
    pub fn push_image(&self, push: &Push<'_>, progress: &(dyn Fn(PushEvent<'_>) + Sync)) -> Result<PushReport, Error> {
        let digest = Digest::of(push.manifest);
        let before = self.sent();
        let operation = || format!("push `{}`", self.named(push.repository, ManifestRef::Tag(push.tag)));
        let found = self.look(push, &digest).context(operation)?;
        let mut arrivals = Vec::new();
        if found != Some(digest) {
            arrivals = self.push_blobs(push, progress)?;
            self.publish(push, &digest, found).context(operation)?;
        }
        let count = |how| arrivals.iter().filter(|arrival| **arrival == how).count();
        let Sent { bodies, overhead } = self.sent();
        Ok(PushReport {
            digest,
            unchanged: found == Some(digest),
            sent_blobs: count(Arrival::Sent),
            mounted_blobs: count(Arrival::Mounted),
            present_blobs: count(Arrival::Present),
            sent: Sent { bodies: bodies - before.bodies, overhead: overhead.saturating_sub(before.overhead) },
        })
    }

    fn tag_digest(&self, push: &Push<'_>) -> Result<Option<Digest>, Cause> {
        let access = Access::push(push.repository.as_str());
        self.attempts(|| self.resolve_once(push.repository, push.tag, &access))
    }

    /// What the tag points at; refuses where it may not be moved.
    fn look(&self, push: &Push<'_>, digest: &Digest) -> Result<Option<Digest>, Cause> {
        match self.tag_digest(push)? {
            Some(found) if found != *digest && !push.overwrite => {
                Err(Cause::TagExists { tag: push.tag.to_string(), found, wanted: *digest })
            }
            found => Ok(found),
        }
    }

    fn publish(&self, push: &Push<'_>, digest: &Digest, before: Option<Digest>) -> Result<(), Cause> {
        // Somebody may have pushed the same image meanwhile.
        if self.look(push, digest)? == Some(*digest) {
            return Ok(());
        }
        self.attempts(|| self.put_manifest(push.repository, push.tag, push.media_type, push.manifest))?;
        let retry = &self.0.options.retry;
        for read in 1.. {
            let found = self.tag_digest(push)?;
            if found == Some(*digest) {
                break;
            }
            // What was there before may come from a cache; anything else is from somebody.
            if read >= READ_BACK || (found.is_some() && found != before) {
                let found = found.map_or_else(|| "absent".to_owned(), |found| found.to_string());
                return Err(Cause::TagLost { tag: push.tag.to_string(), found, wanted: *digest });
            }
            (retry.sleep)(retry.wait(read, None));
        }
        Ok(())
    }

    /// Brings all layers, then the config.
    fn push_blobs(&self, push: &Push<'_>, progress: &(dyn Fn(PushEvent<'_>) + Sync)) -> Result<Vec<Arrival>, Error> {
        let mut seen = BTreeSet::new();
        let layers: Vec<_> = push.layers.iter().filter(|blob| seen.insert(blob.descriptor.digest)).collect();
        let threads = if push.parallel == 0 { 3 } else { push.parallel };
        let cancelled = &AtomicBool::new(false);
        let (line, repository) = (&Line::new(threads), push.repository);
        let unfinished = &push.unfinished.and_then(Folder::prepare);
        let unfinished = unfinished.as_ref();
        let upload = |blob| Upload { registry: self, repository, blob, progress, cancelled, line, unfinished }.run();
        let size = |blob: &&PushBlob<'_>| blob.descriptor.size;
        let results = side_by_side::until_longest_first(&layers, threads, size, |blob| match upload(blob) {
            Ok(how) => ControlFlow::Continue(Ok(how)),
            Err(error) => {
                cancelled.store(true, Ordering::Relaxed);
                ControlFlow::Break(Err(error))
            }
        });
        let (mut arrivals, mut errors) = (Vec::new(), Vec::new());
        for result in results.into_iter().flatten() {
            match result {
                Ok(how) => arrivals.push(how),
                Err(error) => errors.push(error),
            }
        }
        // Those that were cancelled follow from another.
        if let Some(error) = errors.into_iter().min_by_key(|error| matches!(error.cause(), Cause::Cancelled)) {
            return Err(error);
        }
        if seen.insert(push.config.descriptor.digest) {
            arrivals.push(upload(&push.config)?);
        }
        Ok(arrivals)
    }
}
