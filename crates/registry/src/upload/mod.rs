//! Writing blobs: asked for first, mounted where another repository has them, else sent.
//!
//! A blob's way is one state machine ([`State`]). Each step makes one request and says what is known after it:
//!
//! ```text
//!              there, mounted ──► done
//!                    ▲
//! Unknown ── begin ──┴─► Open ── all is sent and the registry has checked it ──► done
//!    ▲                   │  ▲
//!    │     bytes were on │  │ it has the first N bytes
//!    │ their way, and it │  │
//!    │            failed ▼  │
//!    └── it forgot ──── Broken ── it has the blob after all ──► done
//! ```
//!
//! An open upload is sent in as few requests as can be: a small blob within the request that completes it, as containerd
//! does (SWR counts requests), a large one by a PATCH before that, as docker does: of such an upload the registry can be
//! asked how far it got. Once the line was cut, PATCHes are chunks, since some registries keep only what came in whole
//! requests; one that does not get through is halved. A registry that forgets an upload because it was cut
//! (docker-registry 2.8 does), and has not been seen to keep one, is not asked again, and gets blobs as if there had been
//! no cut.
//!
//! An attempt that fails is followed by another after a wait, [`crate::Retry::attempts`] times in a row. The count begins
//! anew whenever there is progress that stays: this or another blob is complete, or the registry keeps more of this upload
//! than ever, and a fair share ([`balance`]) of what was sent for it. Bytes that are thrown away are none. A blob, sent
//! alone, may be cut sooner than it takes: then another attempt would cost it more than [`balance::THROWN_AWAY`] times its
//! size, or the last attempt is over. Both end with the size of layers that would pass ([`Cause::CutShort`]).

mod balance;
mod checked;

use std::{
    io::Read as _,
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use image_name::RepoPath;
use oci_image::{BlobSource, Descriptor};
use serde::Serialize;
use ureq::http::{HeaderValue, Method, header};

use self::{
    balance::{Balance, Outcome},
    checked::Checked,
};
use crate::{
    answer::Answer,
    ask::Ask,
    auth::Access,
    client::Registry,
    error::{Cause, Context as _, Error, is_passing, mebibytes_that_pass},
    line::{Lane, Line},
    unfinished::{Folder, Note},
    url::Url,
};

/// 16 MiB: from here on a request more is nothing beside the blob.
const LARGE: u64 = 16 << 20;

/// 1 MiB: a chunk is not made smaller than this because of cuts.
const SMALLEST_CHUNK: u64 = 1 << 20;

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

/// What happens to a blob during a push. `name` is the blob's for people.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "sizes and bytes are what they say")]
pub enum PushEvent<'e> {
    /// Its bytes are being sent, save for the first so many, which the registry has.
    Sending { name: &'e str, size: u64, kept: u64 },
    /// This many more of its bytes were sent.
    Sent { name: &'e str, bytes: u64 },
    /// It is there.
    Done { name: &'e str, how: Arrival },
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

/// A blob to bring to a repository.
pub(crate) struct Upload<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) repository: &'a RepoPath,
    pub(crate) blob: &'a PushBlob<'a>,
    pub(crate) progress: &'a (dyn Fn(PushEvent<'_>) + Sync),
    /// Set when the upload is no longer wanted.
    pub(crate) cancelled: &'a AtomicBool,
    pub(crate) line: &'a Line,
    /// The folder of uploads that are not finished.
    pub(crate) unfinished: Option<&'a Folder>,
}

/// What is known of a blob's way.
enum State {
    /// It may be there, and it may be mounted.
    Unknown,
    /// An upload in which bytes were on their way when something failed.
    Broken(Place),
    /// An upload that takes the bytes after those that it has.
    Open(Place),
}

/// An upload.
#[derive(Clone)]
struct Place {
    url: Url,
    /// How many bytes it has.
    kept: u64,
    /// `OCI-Chunk-Min-Length`, bytes.
    chunk_min: u64,
    /// It has gone on after a failure, or after another process.
    resumed: bool,
}

/// A blob on its way.
struct Course<'u> {
    upload: &'u Upload<'u>,
    state: State,
    mount_from: Option<&'u RepoPath>,
    mount_again: bool,
    note: Option<Note<'u>>,
    lane: Option<Lane<'u>>,
    reader: Option<Checked<'u>>,
    /// The request that failed was one that completes the upload, and may have.
    may_be_done: bool,
    /// The failure that broke the upload, where it is for the registry to say what it cost.
    cut: Option<Cause>,
    /// The request that failed was a chunk, and how often chunks were halved because one did not get through.
    was_chunk: bool,
    halvings: u32,
    /// Whether nobody else was sending when the last request began.
    alone: bool,
    balance: Balance,
    /// Attempts since there was progress, and how much of that there had been.
    attempts: u32,
    progress: u64,
}

impl Upload<'_> {
    /// Brings the blob there by the cheapest way there is. Its bytes are hashed on their way: where they are not what
    /// the descriptor says, nothing appears in the registry ([`Cause::Damaged`]).
    pub(crate) fn run(&self) -> Result<Arrival, Error> {
        let Self { registry, repository, blob, .. } = self;
        let arrival = Course::new(self).run();
        let (name, digest) = (&blob.name, blob.descriptor.digest);
        let how = arrival.context(|| format!("push blob `{name}` ({digest}) to `{}/{repository}`", registry.host()))?;
        self.line.has_progressed();
        (self.progress)(PushEvent::Done { name, how });
        Ok(how)
    }

    fn access(&self) -> Access {
        Access::push(self.repository.as_str())
    }

    fn refusal(&self, answer: Answer) -> Cause {
        let object = format!("{}/{}", self.registry.host(), self.repository);
        self.registry.refusal(answer, &object, self.repository.as_str())
    }

    fn check_wanted(&self) -> Result<(), Cause> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Cause::Cancelled) } else { Ok(()) }
    }

    /// Whether the repository has the blob, with this many bytes where the registry tells.
    fn is_there(&self) -> Result<bool, Cause> {
        let Descriptor { digest, size, .. } = &self.blob.descriptor;
        let url = self.registry.url(format!("/v2/{}/blobs/{digest}", self.repository))?;
        let answer = self.registry.ask(Ask::new(Method::HEAD, url, &self.access()))?;
        match answer.status {
            200 => Ok(answer.length().is_none_or(|length| length == *size)),
            // Some registries have no HEAD, and storage behind a redirect may answer 403 to it: then the blob is sent.
            status if has_none(status) => Ok(false),
            _ => Err(self.refusal(answer)),
        }
    }

    /// Begins an upload; `None` where the blob was mounted instead.
    fn begin(&self, mount_from: Option<&RepoPath>) -> Result<Option<Place>, Cause> {
        let mut url = self.registry.url(format!("/v2/{}/blobs/uploads/", self.repository))?;
        let mut access = self.access();
        if let Some(from) = mount_from {
            url = url.with("mount", &self.blob.descriptor.digest.to_string()).with("from", from.as_str());
            access = Access::mount(self.repository.as_str(), from.as_str());
        }
        let answer = self.registry.ask(Ask::new(Method::POST, url, &access).bytes(&[]))?;
        match answer.status {
            201 => Ok(None),
            202 => {
                let by_id = || {
                    let id = answer.header("docker-upload-uuid")?;
                    answer.url.join(&format!("/v2/{}/blobs/uploads/{id}", self.repository))
                };
                let missing = || self.registry.protocol("it takes an upload but gives no `Location` to send it to");
                let url = answer.location().or_else(by_id).ok_or_else(missing)?;
                Ok(Some(Place { url, kept: 0, chunk_min: chunk_min(&answer), resumed: false }))
            }
            _ => Err(self.refusal(answer)),
        }
    }

    /// Begins an upload that mounts nothing.
    fn begin_alone(&self) -> Result<Place, Cause> {
        self.begin(None)?.ok_or_else(|| self.registry.protocol("it takes an upload before it is sent"))
    }

    /// Tells the registry that an upload is given up. Where that fails, it will find out by itself.
    fn cancel(&self, place: Place) {
        let _ = self.registry.ask(Ask::new(Method::DELETE, place.url, &self.access()));
    }
}

/// Whether a registry that answers so does not have what it was asked for, or does not know the question.
fn has_none(status: u16) -> bool {
    matches!(status, 400 | 403..=428 | 501) && !is_passing(status)
}

fn chunk_min(answer: &Answer) -> u64 {
    answer.header("oci-chunk-min-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0)
}

impl<'u> Course<'u> {
    fn new(upload: &'u Upload<'u>) -> Self {
        let Upload { registry, repository, blob, unfinished, line, .. } = upload;
        let note = unfinished.and_then(|folder| {
            Note::open(folder, registry.host().as_str(), repository.as_str(), &blob.descriptor.digest)
        });
        Self {
            upload,
            state: State::Unknown,
            mount_from: blob.mount_from.as_ref().filter(|from| from != repository),
            mount_again: true,
            note,
            lane: None,
            reader: None,
            may_be_done: false,
            cut: None,
            was_chunk: false,
            halvings: 0,
            alone: false,
            balance: Balance::new(blob.descriptor.size),
            attempts: 1,
            progress: line.progress(),
        }
    }

    fn run(&mut self) -> Result<Arrival, Cause> {
        loop {
            let step = self.upload.check_wanted().and_then(|()| self.step());
            let next = match step {
                Ok(Some(how)) => {
                    self.clear_note();
                    return Ok(how);
                }
                Ok(None) => Ok(()),
                Err(cause) => self.wait_after(cause),
            };
            if let Err(cause) = next {
                self.give_up(&cause);
                return Err(cause);
            }
        }
    }

    fn step(&mut self) -> Result<Option<Arrival>, Cause> {
        match mem::replace(&mut self.state, State::Unknown) {
            State::Unknown => self.look(),
            State::Broken(place) => self.ask(place),
            State::Open(place) => self.send(place),
        }
    }

    /// Waits for the next attempt, and for a lane if there are fewer now.
    fn wait_after(&mut self, cause: Cause) -> Result<(), Cause> {
        self.count_anew_after_progress();
        self.upload.registry.again(&mut self.attempts, cause)?;
        self.lane.iter().for_each(Lane::make_room);
        Ok(())
    }

    fn count_anew_after_progress(&mut self) {
        let progress = self.upload.line.progress();
        if progress != self.progress {
            (self.progress, self.attempts) = (progress, 1);
        }
    }

    /// An upload that the next process goes on with is left as it is; any other would only be in the registry's way. One
    /// that the registry itself has refused for good would fail the next process too.
    fn give_up(&mut self, cause: &Cause) {
        let is_noted = self.note.as_ref().is_some_and(|note| note.url().is_some());
        let is_of_upload = matches!(
            cause,
            Cause::Status(..)
                | Cause::Protocol(..)
                | Cause::NotFound(..)
                | Cause::UploadLost(_)
                | Cause::CutShort { .. }
                | Cause::Damaged { .. }
                | Cause::Downgrade(..)
        );
        if is_noted && (!is_of_upload || cause.is_passing()) {
            return;
        }
        self.clear_note();
        if let State::Broken(place) | State::Open(place) = mem::replace(&mut self.state, State::Unknown) {
            self.upload.cancel(place);
        }
    }

    fn clear_note(&mut self) {
        self.note.iter_mut().for_each(Note::clear);
    }

    /// Finds the blob, has it mounted, finds the upload of an earlier process, or begins one.
    fn look(&mut self) -> Result<Option<Arrival>, Cause> {
        let upload = self.upload;
        let noted = self.note.as_ref().and_then(Note::url).cloned();
        let mut begun = None;
        if let Some(from) = self.mount_from.filter(|_| noted.is_none()) {
            // Also says whether the blob is there: one request instead of two.
            match upload.begin(Some(from)) {
                Ok(None) => return Ok(Some(Arrival::Mounted)),
                Ok(place) => begun = place,
                // A mount may save gigabytes, so a failure that may pass is retried once.
                Err(cause @ Cause::Status(..)) if cause.is_transient() && self.mount_again => {
                    self.mount_again = false;
                    return Err(cause);
                }
                // A login that may not read the other repository may still push to this one, and some registries know
                // no mounts at all.
                Err(Cause::Unauthorized { .. } | Cause::Denied { .. } | Cause::NotFound(..) | Cause::Status(..)) => {}
                Err(cause) => return Err(cause),
            }
            self.mount_from = None;
        }
        if upload.is_there()? {
            begun.into_iter().for_each(|place| upload.cancel(place));
            return Ok(Some(if mem::take(&mut self.may_be_done) { Arrival::Sent } else { Arrival::Present }));
        }
        self.may_be_done = false;
        if let Some(url) = noted {
            self.state = State::Broken(Place { url, kept: 0, chunk_min: 0, resumed: true });
            return Ok(None);
        }
        if self.lane.is_none() {
            self.lane = Some(upload.line.enter());
            // What it waited for may have failed.
            upload.check_wanted()?;
        }
        let place = begun.map_or_else(|| upload.begin_alone(), Ok)?;
        self.open(place, None)?;
        Ok(None)
    }

    /// Sends from here on next. Fails with the failure that led here, if one did, see [`Self::has_kept`].
    fn open(&mut self, place: Place, failure: Option<Cause>) -> Result<(), Cause> {
        let (Descriptor { size, .. }, name) = (&self.upload.blob.descriptor, &self.upload.blob.name);
        (self.upload.progress)(PushEvent::Sending { name, size: *size, kept: place.kept });
        let result = self.has_kept(place.kept, failure);
        self.state = State::Open(place);
        result
    }

    /// Begins another upload next: this one is lost.
    fn begin_anew(&mut self, failure: Option<Cause>) -> Result<(), Cause> {
        self.clear_note();
        self.state = State::Unknown;
        self.balance.record_lost();
        self.has_kept(0, failure)
    }

    /// Asks how far the upload got.
    fn ask(&mut self, place: Place) -> Result<Option<Arrival>, Cause> {
        let Upload { registry, line, blob, .. } = self.upload;
        self.state = State::Broken(place.clone());
        if self.may_be_done && self.upload.is_there()? {
            return Ok(Some(Arrival::Sent));
        }
        let answer = match registry.ask(Ask::new(Method::GET, place.url.clone(), &self.upload.access())) {
            // The registry sent an earlier process to another host, which can't be reached (one that is busy can): that must
            // not keep the blob from being sent.
            Err(cause)
                if self.reader.is_none() && !matches!(cause, Cause::Busy { .. }) && self.is_elsewhere(&place)? =>
            {
                self.begin_anew(None)?;
                return Ok(None);
            }
            answer => answer?,
        };
        let kept = match answer.status {
            200..=204 => answer.kept().filter(|kept| *kept <= blob.descriptor.size),
            status if has_none(status) => None,
            _ => return Err(self.upload.refusal(answer)),
        };
        let cut = self.cut.take();
        let Some(kept) = kept else {
            // What a PUT leaves behind tells nothing of what a PATCH does.
            if cut.is_some() && !self.may_be_done {
                line.has_lost();
            }
            if answer.status != 404 {
                self.upload.cancel(place);
            }
            self.begin_anew(cut)?;
            return Ok(None);
        };
        if kept > 0 {
            line.has_kept();
        }
        if self.lane.is_none() {
            self.lane = Some(line.enter());
        }
        let url = answer.location().unwrap_or(place.url);
        let chunk_min = place.chunk_min.max(chunk_min(&answer));
        self.open(Place { url, kept, chunk_min, resumed: true }, cut)?;
        Ok(None)
    }

    /// Whether an upload is not at the registry itself.
    fn is_elsewhere(&self, place: &Place) -> Result<bool, Cause> {
        Ok(!place.url.same_origin(&self.upload.registry.origin()?))
    }

    /// Sends the next bytes, or all that are left, or has the registry check the whole.
    fn send(&mut self, place: Place) -> Result<Option<Arrival>, Cause> {
        let Upload { registry, line, blob, .. } = self.upload;
        let (size, kept, no_monolithic) = (blob.descriptor.size, place.kept, &registry.0.no_monolithic);
        let cuts = line.cuts();
        let chunk = registry.0.options.chunk;
        let chunk = (chunk >> self.halvings).max(SMALLEST_CHUNK.min(chunk)).max(place.chunk_min).max(1);
        self.was_chunk = cuts > 0 && !line.forgets();
        let most = if self.was_chunk { chunk } else { u64::MAX };
        let is_whole = kept == 0 && size < LARGE && size <= most && !no_monolithic.load(Ordering::Relaxed);
        let amount = most.min(size - kept);
        let completes = is_whole || amount == 0;
        let (method, url) = match completes {
            true => (Method::PUT, place.url.clone().with("digest", &blob.descriptor.digest.to_string())),
            false => (Method::PATCH, place.url.clone()),
        };

        self.state = State::Open(place.clone());
        self.alone = self.is_alone();
        let mut reader = match self.reader.take() {
            Some(reader) if reader.position == kept => reader,
            _ => Checked::at(self.upload, kept)?,
        };
        if !completes && let Some(note) = &mut self.note {
            note.write(&place.url);
        }
        let access = self.upload.access();
        let mut ask = Ask::new(method, url, &access)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        // An upload that goes on with its first byte may have one already, see [`Answer::kept`].
        if !completes && (amount < size || place.resumed) {
            let range = HeaderValue::from_str(&format!("{kept}-{}", kept + amount - 1));
            ask = ask.header(header::CONTENT_RANGE, range.map_err(|_| registry.protocol("a range of digits"))?);
        }
        let answer = registry.ask(ask.reader(&mut (&mut reader).take(amount), amount));
        let sent = reader.position - kept;
        // Where reading failed, what the connection says is only a consequence.
        if let Some(problem) = reader.problem.take() {
            return Err(problem);
        }
        self.reader = Some(reader);
        self.balance.record_sent(kept, sent);
        self.may_be_done = completes;
        let cause = match answer {
            // The specification says 202 after a PATCH and 201 after a PUT; docker's first one said 204.
            Ok(answer) if (200..=204).contains(&answer.status) => {
                if completes {
                    return Ok(Some(Arrival::Sent));
                }
                // The next request goes to the new `Location`, if there is one. A registry may take less than it was sent.
                let url = answer.location().unwrap_or(place.url);
                let Some(fewer) = answer.kept().filter(|told| (kept + 1..kept + amount).contains(told)) else {
                    self.state = State::Open(Place { url, kept: kept + amount, ..place });
                    return Ok(None);
                };
                self.open(Place { url, kept: fewer, ..place }, None)?;
                return if self.balance.is_fair() { Ok(None) } else { Err(self.lost()) };
            }
            Ok(answer) => match answer.status {
                // It has other bytes than it was thought to have.
                416 if answer.kept().is_some_and(|told| told <= size && told != kept) => {
                    let (url, kept) = (answer.location().unwrap_or(place.url), answer.kept().unwrap_or(0));
                    self.open(Place { url, kept, resumed: true, ..place }, Some(self.lost()))?;
                    return Ok(None);
                }
                // Of what was sent after a failure, something is not where it should be.
                400 | 404 | 416 if answer.status != 400 || place.resumed => {
                    if answer.status != 404 {
                        self.upload.cancel(place);
                    }
                    self.begin_anew(Some(self.lost()))?;
                    return Ok(None);
                }
                // It is the bytes' place that the registry does not like.
                400 | 405 | 411 | 415 | 501 if is_whole => {
                    no_monolithic.store(true, Ordering::Relaxed);
                    self.upload.cancel(place);
                    self.state = State::Unknown;
                    return Ok(None);
                }
                _ => registry.refusal(answer, "upload", self.upload.repository.as_str()),
            },
            Err(cause) => cause,
        };
        if sent == 0 && !completes {
            // The state stands: nothing was on its way.
            return Err(cause);
        }
        if sent == 0 || !cause.is_cut() {
            self.state = State::Broken(place);
            return Err(cause);
        }
        line.cut(cuts);
        self.balance.record_cut();
        if line.forgets() {
            self.begin_anew(Some(cause))?;
            return Ok(None);
        }
        // Whether that was an attempt in vain is for the registry to say.
        self.state = State::Broken(place);
        self.cut = Some(cause);
        Ok(None)
    }

    fn is_alone(&self) -> bool {
        self.lane.as_ref().is_some_and(Lane::is_alone)
    }

    fn lost(&self) -> Cause {
        Cause::UploadLost(self.upload.registry.host().to_string())
    }

    /// Takes note that the registry has so many of the bytes that were sent; those beyond have to be sent again. Fails with
    /// the failure that cost them, if one did: as [`Cause::CutShort`] where the line, carrying nothing else, is cut sooner
    /// than the blob takes and there is a size of layers that passes. What fails after a cut is not for the cuts to answer
    /// for, such as a registry that is down for good.
    fn has_kept(&mut self, kept: u64, failure: Option<Cause>) -> Result<(), Cause> {
        let is_cut = failure.as_ref().is_some_and(Cause::is_cut);
        let is_alone = self.alone && self.is_alone();
        let Outcome { gained, lost } = self.balance.record_kept(kept, is_cut && is_alone);
        if gained > 0 && self.balance.is_fair() {
            self.upload.line.has_progressed();
        }
        if self.was_chunk && is_cut && lost > gained {
            self.halvings = (self.halvings + 1).min(16);
        }
        self.count_anew_after_progress();
        let Some(cause) = failure else { return Ok(()) };
        let is_last = self.attempts >= self.upload.registry.0.options.retry.attempts;
        let passes = mebibytes_that_pass(self.balance.largest()).is_some();
        let is_short = is_cut && is_alone && passes && self.balance.has_lost_to_cuts();
        Err(if is_short && (is_last || self.balance.is_nearly_too_much()) { self.cut_short(cause) } else { cause })
    }

    fn cut_short(&self, cause: Cause) -> Cause {
        let PushBlob { name, descriptor, .. } = self.upload.blob;
        Cause::CutShort {
            name: name.clone(),
            size: descriptor.size,
            passed: self.balance.largest(),
            cause: Box::new(cause),
        }
    }
}
