//! Decompressing on a thread of its own, so that the next package is on its way while one is put to use.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::{Control, Error, control, refused};

/// Length of a block, and how many may wait: 4 MiB in all.
const BLOCK: u64 = 256 << 10;
const AHEAD: usize = 16;

/// What the decompressing thread sends: of each package first this, with its number, then its blocks.
enum Part {
    Package(usize, Control),
    Block(Vec<u8>),
}

/// Decompresses packages while `read` uses what is there already.
pub(crate) fn decompressed<P: Read + Send, T>(
    packages: impl Iterator<Item = io::Result<P>> + Send,
    read: impl FnOnce(&mut Blocks) -> T,
) -> T {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for (number, package) in packages.enumerate() {
                let sent = package.and_then(|mut package| send_parts(number, &mut package, &sender));
                if let Err(source) = sent {
                    // Where the reader has gone, nobody wants to know this either.
                    let _ = sender.send(Err(Error { package: number, source }));
                    return;
                }
            }
        });
        // It is dropped before the thread is waited for, which then has nobody to send to and ends.
        let mut blocks = Blocks { receiver, package: None, block: io::Cursor::default(), next: None };
        let result = read(&mut blocks);
        drop(blocks);
        result
    })
}

/// Sends the parts of one package. The reader is no parameter of the type, so that the code is compiled in this crate,
/// which is optimised in every profile.
fn send_parts(number: usize, package: &mut dyn Read, sender: &SyncSender<Result<Part, Error>>) -> io::Result<()> {
    let send = |part| sender.send(Ok(part)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
    let mut archive = ar::Archive::new(package);
    let (mut has_control, mut has_data) = (false, false);
    // To the very end, also where nothing more is wanted: readers that check what they give know only then.
    while let Some(member) = archive.next_entry() {
        let member = member?;
        match member.header().identifier() {
            b"debian-binary" => {}
            b"control.tar" | b"control.tar.gz" | b"control.tar.xz" | b"control.tar.zst" if !has_control => {
                send(Part::Package(number, control(unpacked(member)?)?))?;
                has_control = true;
            }
            b"data.tar" | b"data.tar.gz" | b"data.tar.xz" | b"data.tar.zst" if has_control && !has_data => {
                let mut data = unpacked(member)?;
                loop {
                    let mut block = Vec::with_capacity(BLOCK as usize);
                    (&mut data).take(BLOCK).read_to_end(&mut block)?;
                    if block.is_empty() {
                        break;
                    }
                    send(Part::Block(block))?;
                }
                has_data = true;
            }
            other => {
                let name = String::from_utf8_lossy(other);
                return Err(refused(format!("it has `{name}` where a package has another member")));
            }
        }
    }
    if has_data { Ok(()) } else { Err(refused("it has no `data.tar`")) }
}

/// What a member holds, by the suffix of its name.
fn unpacked<'a>(member: ar::Entry<'a, &mut dyn Read>) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match member.header().identifier().rsplit(|byte| *byte == b'.').next() {
        Some(b"gz") => Box::new(MultiGzDecoder::new(member)),
        Some(b"xz") => Box::new(XzReader::new(member, true)),
        Some(b"zst") => Box::new(StreamingDecoder::new(member).map_err(io::Error::other)?),
        _ => Box::new(member),
    })
}

/// The reading end: the bytes of one package's `data.tar`, then of the next one's.
pub(crate) struct Blocks {
    receiver: Receiver<Result<Part, Error>>,
    /// Which package they are of.
    package: Option<usize>,
    block: io::Cursor<Vec<u8>>,
    /// What came after its last block: the next package, or why there is none.
    next: Option<Result<(usize, Control), Error>>,
}

impl Blocks {
    /// Goes on to the next package, whatever is left of this one; none at the end of all.
    pub(crate) fn next_package(&mut self) -> Result<Option<(usize, Control)>, Error> {
        while self.next_block().map_err(|source| Error { package: self.package.unwrap_or_default(), source })? {}
        let next = self.next.take().transpose()?;
        self.package = next.as_ref().map(|(number, _)| *number);
        self.block = io::Cursor::default();
        Ok(next)
    }

    /// Waits for the next block of this package; whether there is one.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.next.is_some() {
            return Ok(false);
        }
        match self.receiver.recv() {
            Ok(Ok(Part::Block(block))) => self.block = io::Cursor::new(block),
            Ok(Ok(Part::Package(number, control))) => self.next = Some(Ok((number, control))),
            Ok(Err(error)) if Some(error.package) == self.package => return Err(error.source),
            Ok(Err(error)) => self.next = Some(Err(error)),
            Err(_) => return Ok(false),
        }
        Ok(self.next.is_none())
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            if read > 0 || buffer.is_empty() || !self.next_block()? {
                return Ok(read);
            }
        }
    }
}
