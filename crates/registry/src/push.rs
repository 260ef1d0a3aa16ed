//! Pushing an image: blobs side by side, then its config, then its manifest, and only then is it there.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use image_name::{Digest, RepoPath, Tag};
use oci_image::{BlobSource, Descriptor};
use serde::Serialize;

use crate::{
    auth::Access,
    client::{Registry, Sent},
    error::{Cause, Context as _, Error},
    manifests::ManifestRef,
    upload::{Mount, Sending},
};

/// A blob of an image to push.
#[derive(Clone)]
pub struct PushBlob<'a> {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// What it is called for people: `mindspore-ascend 1.8.1`.
    pub name: String,
    /// A repository of the same registry that has it already.
    pub mount_from: Option<RepoPath>,
    /// Where its bytes are read from, should they be needed: a store, or another registry.
    pub source: &'a (dyn BlobSource + Sync),
}

impl std::fmt::Debug for PushBlob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushBlob").field("name", &self.name).field("digest", &self.descriptor.digest).finish()
    }
}

/// What to do where the tag points at another image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfTagExists {
    /// Nothing; the push fails. The protocol has no compare-and-swap: a tag that somebody else puts between our last
    /// look and our own put is overwritten, and found out only where they read back after us.
    #[default]
    Refuse,
    /// Move it.
    Overwrite,
}

/// An image to push.
#[derive(Debug, Clone)]
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
    /// What to do where the tag points at another image.
    pub if_tag_exists: IfTagExists,
    /// How many blobs are sent side by side; 0 is 3, which fills a line without SWR's limit of requests in the way.
    pub parallel: usize,
}

/// What happens to a blob during a push.
#[derive(Debug, Clone, Copy)]
pub enum PushEvent<'e> {
    /// Its bytes are being sent, from the first.
    Sending {
        /// The blob's name for people.
        name: &'e str,
        /// Its size in bytes.
        size: u64,
    },
    /// This many more of its bytes were sent.
    Sent {
        /// The blob's name for people.
        name: &'e str,
        /// Bytes.
        bytes: u64,
    },
    /// It is there.
    Done {
        /// The blob's name for people.
        name: &'e str,
        /// How it came there.
        how: Arrival,
    },
}

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// It was there.
    Present,
    /// Taken over from another repository of the registry.
    Mounted,
    /// Sent.
    Sent,
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
        let target = || self.named(push.repository, ManifestRef::Tag(push.tag));
        let mut report =
            PushReport { digest, unchanged: true, sent_blobs: 0, mounted_blobs: 0, present_blobs: 0, sent: before };
        let found = self.look(push, &digest).context(|| format!("push `{}`", target()))?;
        if found != Some(digest) {
            report.unchanged = false;
            for how in self.push_blobs(push, progress)? {
                match how {
                    Arrival::Present => report.present_blobs += 1,
                    Arrival::Mounted => report.mounted_blobs += 1,
                    Arrival::Sent => report.sent_blobs += 1,
                }
            }
            self.publish(push, &digest, found).context(|| format!("push `{}`", target()))?;
        }
        let after = self.sent();
        report.sent =
            Sent { bodies: after.bodies - before.bodies, overhead: after.overhead.saturating_sub(before.overhead) };
        Ok(report)
    }

    /// What the tag points at; refuses where it may not be moved.
    fn look(&self, push: &Push<'_>, digest: &Digest) -> Result<Option<Digest>, Cause> {
        let access = Access::push(push.repository.as_str());
        let found = self.attempts(|| self.resolve_once(push.repository, push.tag, &access))?;
        match found {
            Some(found) if found != *digest && push.if_tag_exists == IfTagExists::Refuse => {
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
        self.attempts(|| self.put_manifest_once(push.repository, push.tag, push.media_type, push.manifest))?;
        let access = Access::push(push.repository.as_str());
        let retry = &self.options().retry;
        let mut read = 1;
        loop {
            let found = self.attempts(|| self.resolve_once(push.repository, push.tag, &access))?;
            let lost = Cause::TagLost { tag: push.tag.to_string(), found, wanted: *digest };
            match found {
                Some(found) if found == *digest => return Ok(()),
                // What was there before may come from a cache; anything else is from somebody.
                found if read < READ_BACK && (found.is_none() || found == before) => {
                    (retry.sleep)(retry.wait(read, self.0.pacer.salt(), &lost));
                    read += 1;
                }
                _ => return Err(lost),
            }
        }
    }

    /// Brings all layers, then the config.
    fn push_blobs(&self, push: &Push<'_>, progress: &(dyn Fn(PushEvent<'_>) + Sync)) -> Result<Vec<Arrival>, Error> {
        let mut seen = BTreeSet::new();
        let mut layers: Vec<_> = push.layers.iter().filter(|blob| seen.insert(blob.descriptor.digest)).collect();
        // The largest first, so that no thread is left alone with it.
        layers.sort_by_key(|blob| Reverse(blob.descriptor.size));
        let threads = if push.parallel == 0 { 3 } else { push.parallel };
        let cancelled = AtomicBool::new(false);
        // The first error is the one to tell; the others follow from it, or will be met again.
        let first = Mutex::new(None);
        let arrivals = side_by_side::until(&layers, threads, |blob| {
            match self.push_blob(push.repository, blob, progress, &cancelled) {
                Ok(how) => ControlFlow::Continue(Some(how)),
                Err(error) => {
                    cancelled.store(true, Ordering::Relaxed);
                    first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    ControlFlow::Break(None)
                }
            }
        });
        if let Some(error) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut arrivals: Vec<Arrival> = arrivals.into_iter().flatten().flatten().collect();
        if seen.insert(push.config.descriptor.digest) {
            arrivals.push(self.push_blob(push.repository, &push.config, progress, &cancelled)?);
        }
        Ok(arrivals)
    }

    fn push_blob(
        &self,
        repository: &RepoPath,
        blob: &PushBlob<'_>,
        progress: &(dyn Fn(PushEvent<'_>) + Sync),
        cancelled: &AtomicBool,
    ) -> Result<Arrival, Error> {
        let access = Access::push(repository.as_str());
        let name = blob.name.as_str();
        let told = |bytes| progress(PushEvent::Sent { name, bytes });
        let sending = Sending { blob: &blob.descriptor, name, progress: &told, cancelled };
        let mut mount_from = blob.mount_from.as_ref().filter(|from| *from != repository);
        let arrival = self.attempts(|| {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Cause::Cancelled);
            }
            let upload = match mount_from {
                // Also says whether the blob is there: one request instead of two.
                Some(from) => match self.begin_mount(repository, &blob.descriptor.digest, from) {
                    Ok(Mount::Done) => return Ok(Arrival::Mounted),
                    Ok(Mount::Upload(upload)) => Some(upload),
                    // A login that may not read the other repository may still push to this one.
                    Err(Cause::Unauthorized { .. } | Cause::Denied { .. } | Cause::NotFound { .. }) => None,
                    Err(cause) => return Err(cause),
                },
                None => None,
            };
            mount_from = None;
            if self.has_blob_once(repository, &blob.descriptor, &access)? {
                if let Some(upload) = upload {
                    self.cancel(upload, &access);
                }
                return Ok(Arrival::Present);
            }
            let upload = match upload {
                Some(upload) => upload,
                None => self.begin_upload(repository, &access)?,
            };
            progress(PushEvent::Sending { name, size: blob.descriptor.size });
            self.send_blob(repository, upload, &access, &sending, &mut || blob.source.open(&blob.descriptor))?;
            Ok(Arrival::Sent)
        });
        let how = arrival
            .context(|| format!("push blob `{name}` ({}) to `{}/{repository}`", blob.descriptor.digest, self.host()))?;
        progress(PushEvent::Done { name, how });
        Ok(how)
    }
}
