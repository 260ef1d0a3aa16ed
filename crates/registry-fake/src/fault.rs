//! What goes wrong, when, and how often.

use crate::http::Response;

/// Something that goes wrong with the requests it matches.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) skip: u32,
    pub(crate) times: u32,
    pub(crate) what: What,
}

/// How it goes wrong.
#[derive(Debug, Clone)]
pub enum What {
    /// The connection closes after this many bytes of the answer's body.
    CutAnswer(u64),
    /// The connection closes after this many bytes of the request's body.
    CutRequest(u64),
    /// No answer until the client gives up; the request's body is not read.
    Stall,
    /// The head of the answer, this many bytes of its body, then nothing until the client gives up.
    StallAfter(u64),
    /// This answer instead, given before the request's body is read.
    Answer {
        /// The status code.
        status: u16,
        /// Header fields.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// The right answer, after which the manifest's tag points at another manifest, with these bytes.
    Overtake(Vec<u8>),
    /// The right answer with one bit of its body flipped.
    FlipBit,
    /// The right answer with this in place of a header field's value.
    Header(&'static str, String),
}

impl Fault {
    /// Befalls the first request of this method whose path contains `path`.
    pub fn on(method: &'static str, path: impl Into<String>, what: What) -> Self {
        Self { method, path: path.into(), skip: 0, times: 1, what }
    }

    /// Answers with this status, an error code of the distribution spec and a message.
    pub fn status(method: &'static str, path: impl Into<String>, status: u16, code: &str, message: &str) -> Self {
        let body = Response::error(status, code, message).body;
        let body = String::from_utf8_lossy(&body).into_owned();
        Self::on(method, path, What::Answer { status, headers: Vec::new(), body })
    }

    /// Adds a header field to the answer.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let What::Answer { headers, .. } = &mut self.what {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Befalls this many requests.
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Befalls every request.
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Lets this many requests pass first.
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// The fault that befalls this request, if one does; each is used up as often as it says.
pub(crate) fn next(plan: &mut [Fault], method: &str, path: &str) -> Option<What> {
    let matching = plan.iter_mut().filter(|fault| fault.method == method && path.contains(&fault.path));
    for fault in matching.filter(|fault| fault.times > 0) {
        if fault.skip == 0 {
            // `always` is more often than anybody asks.
            fault.times -= 1;
            return Some(fault.what.clone());
        }
        fault.skip -= 1;
    }
    None
}
