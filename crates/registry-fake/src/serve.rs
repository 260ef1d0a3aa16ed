//! Accepting connections and answering their requests, faults included.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    Entry, Shared, fault,
    fault::What,
    http::{Connection, Form, Request, Response},
};

pub(crate) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        let line = {
            let mut state = shared.state();
            let number = number as u64;
            state.open.extend(stream.try_clone().map(|clone| (number, clone)));
            Line { number, cuts: state.cuts }
        };
        std::thread::spawn(move || {
            let _ = serve(stream, &shared, line);
            // The last handle: closing it with bytes unread resets the connection. A mere shutdown would leave a client
            // that has filled the window waiting.
            shared.state().open.remove(&line.number);
        });
    }
}

/// A connection: its number, and how many cuts were before it. After the next one nothing comes through any
/// more, whatever still lies in its buffers.
#[derive(Clone, Copy)]
struct Line {
    number: u64,
    cuts: u64,
}

impl Shared {
    /// Whoever asks how far this upload got has an answer from now on.
    fn has_arrived(&self, request: &Request) {
        let mut state = self.state();
        if let Some(at) = state.under_way.iter().position(|path| *path == request.path) {
            state.under_way.remove(at);
        }
        self.arrived.notify_all();
    }

    /// Counts what came over the line, which breaks where that is too much; says whether it came through.
    fn passes(&self, bytes: u64, cuts: u64) -> bool {
        let mut state = self.state();
        if state.cuts != cuts {
            return false;
        }
        state.passed += bytes;
        if self.options.cut_every == 0 || state.passed < self.options.cut_every {
            return true;
        }
        state.cuts += 1;
        state.passed = 0;
        for stream in state.open.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The bytes up to the cut did come.
        true
    }
}

fn serve(stream: TcpStream, shared: &Shared, line: Line) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = match &shared.options.tls {
        Some(wrap) => Connection::new(wrap(stream)?),
        None => Connection::new(Box::new(stream)),
    };
    loop {
        let request = match connection.request() {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            // Go's server, too, answers in plain HTTP to what is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return connection.respond(&Response::new(400), false, true, None);
            }
            Err(error) => return Err(error),
        };
        let fault = fault::next(&mut shared.state().plan, &request.method, &request.path);
        if !answer(&mut connection, &request, shared, fault, line)? {
            return Ok(());
        }
    }
}

/// Answers one request; says whether the connection is still good.
fn answer(
    connection: &mut Connection,
    request: &Request,
    shared: &Shared,
    fault: Option<What>,
    line: Line,
) -> io::Result<bool> {
    let log = |status, body_bytes, side_by_side| {
        let query: Vec<_> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let authorization = request.header("authorization").and_then(|value| value.split(' ').next());
        shared.state().log.push(Entry {
            method: request.method.clone(),
            host: request.header("host").unwrap_or_default().to_owned(),
            path: request.path.clone(),
            query: query.join("&"),
            status,
            body_bytes,
            head_bytes: request.head_bytes,
            authorization: authorization.map(str::to_owned),
            connection: line.number,
            side_by_side,
            content_range: request.header("content-range").map(str::to_owned),
        });
    };
    let head_only = request.method == "HEAD";
    match &fault {
        Some(What::Stall) => {
            log(0, 0, 0);
            return connection.drain().map(|()| false);
        }
        Some(What::CutRequest(bytes)) => {
            let (body, _) = connection.body(request, *bytes, |_| true);
            let sent = body.len() as u64;
            shared.cut_off(request, &body);
            log(0, sent, 0);
            return Ok(false);
        }
        Some(What::Answer { status, headers, body }) => {
            let (status, headers, body) = (*status, headers.clone(), body.clone().into_bytes());
            let response = Response { status, headers, body, form: Form::Usual };
            log(status, 0, 0);
            return connection.respond(&response, head_only, true, None).map(|()| false);
        }
        _ => {}
    }
    if let Some(mut response) = shared.early(request) {
        shared.oddly(request, &mut response);
        log(response.status, 0, 0);
        // What the client sends on is not wanted: as nginx does, answer and hang up.
        let has_body = request.header("content-length").is_some_and(|length| length != "0");
        let close = has_body || response.form == Form::Old;
        connection.respond(&response, head_only, close, None)?;
        return Ok(!close);
    }
    let is_upload = request.path.contains("/blobs/uploads/") && matches!(request.method.as_str(), "PATCH" | "PUT");
    let side_by_side = {
        let mut state = shared.state();
        state.under_way.extend(is_upload.then(|| request.path.clone()));
        state.under_way.len()
    };
    let (body, is_whole) = connection.body(request, u64::MAX, |read| shared.passes(read as u64, line.cuts));
    let sent = body.len() as u64;
    if !is_whole {
        shared.cut_off(request, &body);
    }
    if is_upload {
        shared.has_arrived(request);
    }
    if !is_whole {
        log(0, sent, side_by_side);
        return Ok(false);
    }
    let mut response = shared.route(request, body);
    shared.oddly(request, &mut response);
    log(response.status, sent, side_by_side);
    if let Some(What::Overtake(bytes)) = &fault {
        shared.overtake(request, bytes);
    }
    let mut cut = None;
    match &fault {
        Some(What::FlipBit) => response.body.last_mut().into_iter().for_each(|byte| *byte ^= 1),
        Some(What::Header(name, value)) => {
            response.headers.retain(|(key, _)| key != name);
            response.headers.push(((*name).to_owned(), value.clone()));
        }
        Some(What::CutAnswer(bytes) | What::StallAfter(bytes)) => cut = Some(*bytes),
        Some(What::Endless) => return connection.endless(&response).map(|()| false),
        _ => {}
    }
    let close = response.form == Form::Old;
    connection.respond(&response, head_only, close, cut)?;
    if let Some(What::StallAfter(_)) = fault {
        connection.drain()?;
    }
    Ok(cut.is_none() && !close)
}
