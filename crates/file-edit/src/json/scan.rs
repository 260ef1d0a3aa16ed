//! Where the parts of a valid JSON text are (RFC 8259).

use std::ops::Range;

/// A value.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Object(Vec<Member>),
    Array(Vec<Node>),
    Other,
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) start: usize,
    pub(super) key_end: usize,
    pub(super) value: Node,
}

impl Node {
    /// Where the first thing within begins.
    pub(super) fn first_child(&self) -> Option<usize> {
        match &self.kind {
            Kind::Object(members) => members.first().map(|member| member.start),
            Kind::Array(items) => items.first().map(|item| item.range.start),
            Kind::Other => None,
        }
    }
}

/// The parts of `text`, which is known to be valid and of bounded depth.
pub(super) fn scan(text: &str) -> Node {
    let mut scanner = Scanner { bytes: text.as_bytes(), text, at: 0 };
    scanner.value()
}

struct Scanner<'t> {
    bytes: &'t [u8],
    text: &'t str,
    at: usize,
}

impl Scanner<'_> {
    fn value(&mut self) -> Node {
        self.blanks();
        let start = self.at;
        let kind = match self.byte() {
            b'{' => {
                let mut members = Vec::new();
                while self.more(b'}') {
                    members.push(self.member());
                }
                Kind::Object(members)
            }
            b'[' => {
                let mut items = Vec::new();
                while self.more(b']') {
                    items.push(self.value());
                }
                Kind::Array(items)
            }
            b'"' => {
                self.string();
                Kind::Other
            }
            _ => {
                while !matches!(self.byte(), 0 | b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') {
                    self.at += 1;
                }
                Kind::Other
            }
        };
        Node { kind, range: start..self.at }
    }

    fn member(&mut self) -> Member {
        self.blanks();
        let start = self.at;
        self.string();
        let key_end = self.at;
        let key = serde_json::from_str(&self.text[start..key_end]).unwrap_or_default();
        self.blanks();
        // The colon.
        self.at += 1;
        Member { key, start, key_end, value: self.value() }
    }

    /// Passes the opening bracket or a comma; or the closing bracket, after which there is nothing more.
    fn more(&mut self, close: u8) -> bool {
        self.blanks();
        if self.byte() == close || self.at >= self.bytes.len() {
            self.at += 1;
            return false;
        }
        // At the first turn this is the opening bracket, behind which the closing one may follow.
        self.at += 1;
        self.blanks();
        if self.byte() == close {
            self.at += 1;
            return false;
        }
        true
    }

    fn string(&mut self) {
        self.at += 1;
        while !matches!(self.byte(), 0 | b'"') {
            self.at += if self.byte() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// NUL behind the end: it is in no JSON but as an escape.
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }
}
