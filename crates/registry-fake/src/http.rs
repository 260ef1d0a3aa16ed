//! As much of HTTP/1.1 (RFC 9112) as a registry's clients use: one request at a time on a kept connection.

use std::io::{self, BufRead, BufReader, Read, Write};

use percent_encoding::percent_decode_str;

/// What a connection is made of: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// The head of a request.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    /// Length of request line and header fields in bytes, the empty line included.
    pub head_bytes: u64,
}

impl Request {
    /// Value of the header field of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Value of the first query parameter of this name, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// How an answer is put on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// HTTP/1.1 with the body's length.
    #[default]
    Usual,
    /// HTTP/1.0: a body without a length, which ends with the connection.
    Old,
    /// A body in chunks of 1000 bytes.
    Chunked,
    /// The names of the fields in capitals.
    Capitals,
}

/// What the fake answers.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    pub form: Form,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// An error as the distribution spec words it ("Error Codes").
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(status)
            .header("Content-Type", "application/json")
            .body(format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    }
}

/// A connection with what has been read ahead of it.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

impl Connection {
    pub fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream: BufReader::with_capacity(256 * 1024, stream) }
    }

    /// The next request, or `None` where the client is done. Bytes that are no HTTP (a TLS hello, say) are an error.
    pub fn request(&mut self) -> io::Result<Option<Request>> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = (&mut self.stream).take(64 * 1024).read_until(b'\n', &mut head)?;
            match head.first() {
                None => return Ok(None),
                Some(_) if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(first) if !first.is_ascii_uppercase() => return Err(io::ErrorKind::InvalidData.into()),
                Some(_) => {}
            }
        }
        let head_bytes = head.len() as u64;
        let text = String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut lines = text.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        // A proxy is asked for whole URLs, and hands them on.
        let target =
            target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Some(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: parse_form(query),
            headers,
            head_bytes,
        }))
    }

    /// Reads the request's body, at most `limit` bytes of it; `pass` is told of each piece and says whether it came
    /// through. What came before the end of the body or of the connection, and whether that is all.
    pub fn body(&mut self, request: &Request, limit: u64, mut pass: impl FnMut(usize) -> bool) -> (Vec<u8>, bool) {
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            // Where that fails, reading ends at once.
            let _ = self.write(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0u64);
        let (mut body, wanted) = (Vec::new(), length.min(limit));
        let mut piece = vec![0; 64 * 1024];
        while (body.len() as u64) < wanted {
            let most = piece.len().min((wanted - body.len() as u64) as usize);
            match self.stream.read(&mut piece[..most]) {
                Ok(read) if read > 0 && pass(read) => body.extend_from_slice(&piece[..read]),
                _ => return (body, false),
            }
        }
        (body, wanted == length)
    }

    /// Sends the answer; of its body `cut` bytes at most, while the head promises all.
    pub fn respond(&mut self, response: &Response, head_only: bool, close: bool, cut: Option<u64>) -> io::Result<()> {
        let version = if response.form == Form::Old { "1.0" } else { "1.1" };
        let name =
            |name: &str| if response.form == Form::Capitals { name.to_ascii_uppercase() } else { name.to_owned() };
        let mut head = format!("HTTP/{version} {} Status\r\n", response.status);
        head.extend(response.headers.iter().map(|(key, value)| format!("{}: {value}\r\n", name(key))));
        match response.form {
            _ if response.status == 204 => {}
            Form::Old => {}
            Form::Chunked => head += "Transfer-Encoding: chunked\r\n",
            // A fault has said another length.
            _ if response.headers.iter().any(|(key, _)| key == "Content-Length") => {}
            Form::Usual | Form::Capitals => {
                head += &format!("{}: {}\r\n", name("Content-Length"), response.body.len());
            }
        }
        head += if close { "Connection: close\r\n\r\n" } else { "\r\n" };
        let sent = if head_only { 0 } else { response.body.len().min(cut.map_or(usize::MAX, |cut| cut as usize)) };
        let body = &response.body[..sent];
        match response.form {
            Form::Chunked if !head_only && response.status != 204 => {
                let chunks = body
                    .chunks(1000)
                    .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                let end = if sent == response.body.len() { "0\r\n\r\n" } else { "" };
                self.write(&head.bytes().chain(chunks).chain(end.bytes()).collect::<Vec<_>>())
            }
            _ => self.write(&[head.as_bytes(), body].concat()),
        }
    }

    /// Sends the answer in chunks (RFC 9112, section 7.1), then chunks of zeros until the client is gone.
    pub fn endless(&mut self, response: &Response) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Status\r\nTransfer-Encoding: chunked\r\n", response.status);
        head.extend(response.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
        self.write(&[head.as_bytes(), b"\r\n"].concat())?;
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        // An empty chunk would be the end.
        if !response.body.is_empty() {
            self.write(&chunk(&response.body))?;
        }
        let zeros = chunk(&[0; 64 << 10]);
        loop {
            self.write(&zeros)?;
        }
    }

    /// Reads and drops until the client closes.
    pub fn drain(&mut self) -> io::Result<()> {
        io::copy(&mut self.stream, &mut io::sink()).map(drop)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }
}

/// The pairs of a query or of an `application/x-www-form-urlencoded` body.
pub fn parse_form(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}
