//! Content of layers that takes as many bytes compressed as not.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;

use super::files;

/// Files of 4 MB that do not compress, the same each time.
pub fn noise(folder: &Path, bytes: u64) -> anyhow::Result<()> {
    const FILE: u64 = 4_000_000;
    files::folder(folder)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..bytes.div_ceil(FILE) {
        let path = folder.join(format!("{number:03}"));
        let failed = || format!("failed to write `{}`", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(failed)?);
        for _ in 0..FILE.min(bytes - number * FILE) / 8 {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes()).with_context(failed)?;
        }
        file.flush().with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::files::{bytes, names};
    use super::*;

    #[test]
    fn the_files_are_as_long_as_asked_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        noise(&one, 4_000_800).unwrap();
        noise(&two, 4_000_800).unwrap();
        assert_eq!(names(&one).unwrap(), ["000", "001"]);
        assert_eq!(bytes(&one.join("001")).unwrap().len(), 800);
        assert_eq!(bytes(&one.join("001")).unwrap(), bytes(&two.join("001")).unwrap());
    }
}
