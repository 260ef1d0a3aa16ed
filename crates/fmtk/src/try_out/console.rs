//! What a container says: every line with its node before it, and the very bytes in a file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write, stderr},
    path::Path,
    sync::Mutex,
};

use anyhow::Context;

/// Bytes after which a line that does not end is shown as if it did.
const LINE: u64 = 64 << 10;

/// The console of a node.
#[derive(Debug)]
pub struct Console {
    prefix: String,
    file: Mutex<File>,
    shown: bool,
}

impl Console {
    /// One that writes to this file, and to stderr if it is `shown`.
    pub fn create(node: u32, path: &Path, shown: bool) -> anyhow::Result<Self> {
        let file = File::create_new(path).with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok(Self { prefix: format!("[node {node}] "), file: Mutex::new(file), shown })
    }

    /// Reads to the end, calls `heard` at the first line, and gives the last one.
    pub fn pump(&self, from: impl Read, heard: impl FnOnce()) -> io::Result<String> {
        let mut from = BufReader::new(from);
        let (mut heard, mut line, mut last) = (Some(heard), Vec::new(), String::new());
        loop {
            line.clear();
            if from.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(last);
            }
            if let Some(heard) = heard.take() {
                heard();
            }
            self.write(&line)?;
            last = String::from_utf8_lossy(&line).trim_end().to_owned();
        }
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        // Held for both: lines of stdout and stderr stay whole, and in one order in both places.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(line)?;
        if self.shown {
            let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
            // A closed stderr must not stop the work.
            let _ = stderr().lock().write_all(&[self.prefix.as_bytes(), line, end].concat());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_file_has_the_very_bytes_and_the_first_line_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.txt");
        let console = Console::create(0, &path, false).unwrap();
        let count = Cell::new(0);
        let said = [b"one\ntwo \xff\n".as_slice(), &vec![b'x'; 100_000], b"\nlast"].concat();
        let last = console.pump(said.as_slice(), || count.set(count.get() + 1)).unwrap();
        assert_eq!((last.as_str(), count.get()), ("last", 1));
        assert_eq!(std::fs::read(&path).unwrap(), said);
    }

    #[test]
    fn silence_is_not_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::create(0, &folder.path().join("console.txt"), false).unwrap();
        assert_eq!(console.pump(io::empty(), || panic!()).unwrap(), "");
    }
}
