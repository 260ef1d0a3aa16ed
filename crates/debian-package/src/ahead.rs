//! Decompressing on a thread of its own, so that the next package is on its way while one is put to use.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use lzma_rust2::XzReader;

use crate::{Control, Error, Reason, control, refused};

/// Length of a block, and how many may wait: 4 MiB in all.
const BLOCK: u64 = 256 << 10;
const AHEAD: usize = 16;

/// What the decompressing thread sends: of each package first this, with its number, then its blocks.
enum Part {
    Package(usize, Control),
    Block(Vec<u8>),
}

/// The sender's side has no more use: the reader has gone.
struct Gone;

/// Decompresses packages while `read` uses what is there already.
pub(crate) fn decompressed<P: Read + Send, T>(
    packages: impl Iterator<Item = io::Result<P>> + Send,
    read: impl FnOnce(&mut Blocks) -> T,
) -> T {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for (number, package) in packages.enumerate() {
                match package.map_err(Reason::Read).and_then(|mut package| send(number, &mut package, &sender)) {
                    Ok(Ok(())) => {}
                    Ok(Err(Gone)) => return,
                    Err(reason) => {
                        let _ = sender.send(Err(Error { package: number, reason }));
                        return;
                    }
                }
            }
        });
        // It is dropped before the thread is waited for, which then has nobody to send to and ends.
        let mut blocks = Blocks { receiver, block: io::Cursor::default(), next: None };
        let result = read(&mut blocks);
        drop(blocks);
        result
    })
}

/// Sends the parts of one package. The reader is no parameter of the type, so that the code is compiled in this crate,
/// which is optimised in every profile.
fn send(
    number: usize,
    package: &mut dyn Read,
    sender: &SyncSender<Result<Part, Error>>,
) -> Result<Result<(), Gone>, Reason> {
    let mut archive = ar::Archive::new(package);
    let (mut has_control, mut has_data) = (false, false);
    // To the very end, also where nothing more is wanted: readers that check what they give know only then.
    while let Some(member) = archive.next_entry() {
        let member = member?;
        match member.header().identifier() {
            b"debian-binary" => {}
            b"control.tar.xz" if !has_control => {
                let control = control(XzReader::new(member, true))?;
                if sender.send(Ok(Part::Package(number, control))).is_err() {
                    return Ok(Err(Gone));
                }
                has_control = true;
            }
            b"data.tar.xz" if has_control && !has_data => {
                let mut data = XzReader::new(member, true);
                loop {
                    let mut block = Vec::with_capacity(BLOCK as usize);
                    (&mut data).take(BLOCK).read_to_end(&mut block)?;
                    if block.is_empty() {
                        break;
                    }
                    if sender.send(Ok(Part::Block(block))).is_err() {
                        return Ok(Err(Gone));
                    }
                }
                has_data = true;
            }
            other => {
                let name = String::from_utf8_lossy(other);
                return Err(refused(format!("it has `{name}` where a package has another member")));
            }
        }
    }
    if !has_data {
        return Err(refused("it has no `data.tar.xz`"));
    }
    Ok(Ok(()))
}

/// The reading end: the bytes of one package's `data.tar`, then of the next one's.
pub(crate) struct Blocks {
    receiver: Receiver<Result<Part, Error>>,
    block: io::Cursor<Vec<u8>>,
    /// The package that begins where the current one has ended.
    next: Option<(usize, Control)>,
}

impl Blocks {
    /// Goes on to the next package, whatever is left of this one; none at the end of all.
    pub(crate) fn next_package(&mut self) -> Result<Option<(usize, Control)>, Error> {
        self.block = io::Cursor::default();
        while self.next.is_none() {
            match self.receiver.recv() {
                Ok(Ok(Part::Block(_))) => {}
                Ok(Ok(Part::Package(number, control))) => self.next = Some((number, control)),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Ok(None),
            }
        }
        Ok(self.next.take())
    }
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.next.is_some() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(Ok(Part::Block(block))) => self.block = io::Cursor::new(block),
                Ok(Ok(Part::Package(number, control))) => self.next = Some((number, control)),
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(_) => return Ok(0),
            }
        }
    }
}
