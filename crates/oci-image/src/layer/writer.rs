//! Writing a layer entry by entry.

use std::{collections::HashMap, io::Read};

use super::{
    Attr, Content, Layer, LayerError, ParentDirs,
    digester::Digester,
    gzip::Member,
    path::entry_name,
    splice::Splicer,
    tar::{self, Kind},
};
use crate::{Store, paths::split_name};

/// What holds for a whole layer.
#[derive(Debug, Clone, Copy)]
pub struct LayerOptions<'a> {
    /// Modification time of new parent folders and whiteouts, seconds since 1970 UTC.
    pub mtime: u64,
    /// Owner of new parent folders.
    pub uid: u64,
    /// Group of new parent folders.
    pub gid: u64,
    /// Attributes of the folders that the base has.
    pub parents: &'a ParentDirs,
}

/// A layer on its way into the store: one tar archive in one gzip member, the same bytes on every machine.
///
/// Entries come out in the order they are put in; before the first entry below a folder comes the folder itself, with
/// the attributes that the base gives it. Dropped without [`LayerWriter::finish`] it leaves nothing.
pub struct LayerWriter<'a> {
    options: LayerOptions<'a>,
    member: Member,
    splicer: Option<Splicer>,
    /// Every entry so far, and whether it is a folder.
    entries: HashMap<String, bool>,
    block: Vec<u8>,
}

impl<'a> LayerWriter<'a> {
    /// Starts a layer; its blob will be in `store`.
    pub fn new(store: &Store, options: LayerOptions<'a>) -> Result<Self, LayerError> {
        let member = Member::start(Digester::start(store)?)?;
        Ok(Self { options, member, splicer: None, entries: HashMap::new(), block: Vec::new() })
    }

    /// A folder with these attributes. A folder that is there already, as another entry's parent, stays as it is.
    pub fn dir(&mut self, path: &str, attr: &Attr) -> Result<(), LayerError> {
        let name = entry_name(path)?;
        if self.entries.get(name) == Some(&true) {
            return Ok(());
        }
        self.entry(name, Kind::Dir, attr)
    }

    /// A regular file with these bytes.
    pub fn file(&mut self, path: &str, attr: &Attr, bytes: &[u8]) -> Result<(), LayerError> {
        let content = Content { size: bytes.len() as u64, crc32: None, hash: None };
        self.file_from(path, attr, &content, &mut { bytes })
    }

    /// A regular file with the contents that `source` gives, compressed on the way.
    pub fn file_from(
        &mut self,
        path: &str,
        attr: &Attr,
        content: &Content,
        source: &mut dyn Read,
    ) -> Result<(), LayerError> {
        self.begin_file(path, attr, content)?;
        self.compressed(path, content, source)?;
        self.end_file(content)
    }

    /// A regular file whose contents `source` gives as a raw deflate stream (RFC 1951) of exactly `compressed` bytes.
    /// The stream goes into the layer as it is.
    pub fn deflated(
        &mut self,
        path: &str,
        attr: &Attr,
        content: &Content,
        compressed: u64,
        source: &mut dyn Read,
    ) -> Result<(), LayerError> {
        self.begin_file(path, attr, content)?;
        self.splicer.get_or_insert_with(Splicer::new).splice(&mut self.member, path, content, compressed, source)?;
        self.end_file(content)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, attr: &Attr, target: &str) -> Result<(), LayerError> {
        let name = entry_name(path)?;
        if target.is_empty() || target.contains('\0') || target.len() >= 4096 {
            return Err(LayerError::Path { path: path.to_owned(), reason: "it is a link to nothing that can be" });
        }
        self.entry(name, Kind::Symlink(target), attr)
    }

    /// Another name of a file of this very layer: engines unpack each layer by itself, so that one below can't be meant.
    pub fn hard_link(&mut self, path: &str, attr: &Attr, target: &str) -> Result<(), LayerError> {
        let (name, target) = (entry_name(path)?, entry_name(target)?);
        if self.entries.get(target) != Some(&false) {
            let reason = "it is a hard link to what is not a file of the layer";
            return Err(LayerError::Path { path: path.to_owned(), reason });
        }
        self.entry(name, Kind::HardLink(target), attr)
    }

    /// Compressed bytes so far. Some of the last entries may not be among them: up to 64 KiB of headers and padding.
    pub fn size(&mut self) -> u64 {
        self.member.digester().blob_size()
    }

    /// Removes what lies at `path` in the layers below (OCI image spec, layer.md, whiteouts).
    pub fn whiteout(&mut self, path: &str) -> Result<(), LayerError> {
        let name = entry_name(path)?;
        let (folder, file) = split_name(name);
        let marker = format!("{folder}/.wh.{file}");
        let marker = marker.trim_start_matches('/');
        let attr = Attr { mode: 0o644, uid: self.options.uid, gid: self.options.gid, mtime: self.options.mtime };
        if file.len() + ".wh.".len() > 255 {
            return Err(LayerError::Path { path: path.to_owned(), reason: "its whiteout's name would be too long" });
        }
        self.entry(marker, Kind::File(0), &attr)
    }

    /// Ends the layer and gives its blob its name in the store.
    pub fn finish(mut self) -> Result<Layer, LayerError> {
        // Two zero blocks end a tar archive.
        self.member.store(&[0; 2 * tar::BLOCK as usize])?;
        self.member.finish()
    }

    fn begin_file(&mut self, path: &str, attr: &Attr, content: &Content) -> Result<(), LayerError> {
        let name = entry_name(path)?;
        self.entry(name, Kind::File(content.size), attr)?;
        if let Some(hash) = content.hash {
            self.member.digester().begin_file(name, hash);
        }
        Ok(())
    }

    fn end_file(&mut self, content: &Content) -> Result<(), LayerError> {
        if content.hash.is_some() {
            self.member.digester().end_file();
        }
        self.member.store(&[0; tar::BLOCK as usize][..tar::padding(content.size)])
    }

    fn compressed(&mut self, path: &str, content: &Content, source: &mut dyn Read) -> Result<(), LayerError> {
        let mut buffer = [0; 32 * 1024];
        let mut crc = crc32fast::Hasher::new();
        let mut remaining = content.size;
        let read_error = |source| LayerError::Read { path: path.to_owned(), source };
        if remaining > 0 {
            self.member.align()?;
        }
        while remaining > 0 {
            let length = remaining.min(buffer.len() as u64) as usize;
            source.read_exact(&mut buffer[..length]).map_err(read_error)?;
            remaining -= length as u64;
            if content.crc32.is_some() {
                crc.update(&buffer[..length]);
            }
            self.member.compress(&buffer[..length], remaining == 0)?;
        }
        if source.read(&mut buffer[..1]).map_err(read_error)? > 0 {
            let reason = format!("it has more than {} bytes", content.size);
            return Err(LayerError::Damaged { path: path.to_owned(), reason });
        }
        content.check_crc(path, crc)
    }

    /// Writes the header of an entry, before it what is missing of the folders above it.
    fn entry(&mut self, name: &str, kind: Kind<'_>, attr: &Attr) -> Result<(), LayerError> {
        if let Some((folder, _)) = name.rsplit_once('/') {
            match self.entries.get(folder) {
                Some(true) => {}
                Some(false) => {
                    return Err(LayerError::NotAFolder { path: name.to_owned(), parent: folder.to_owned() });
                }
                None => {
                    let LayerOptions { mtime, uid, gid, parents } = self.options;
                    let new = Attr { mode: 0o755, uid, gid, mtime };
                    let attr = parents.get(&format!("/{folder}")).copied().unwrap_or(new);
                    self.entry(folder, Kind::Dir, &attr)?;
                }
            }
        }
        if self.entries.insert(name.to_owned(), kind == Kind::Dir).is_some() {
            return Err(LayerError::Twice { path: name.to_owned() });
        }
        self.block.clear();
        tar::push_header(&mut self.block, name, kind, attr);
        self.member.store(&self.block)
    }
}
