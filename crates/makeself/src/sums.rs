//! The three sums that makeself knows, in one pass.

use std::io::{self, Read};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{Fault, Part};

/// The sums of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sums {
    crc: u32,
    md5: String,
    sha256: String,
}

impl Sums {
    /// Reads to the end.
    pub fn of(source: &mut dyn Read) -> io::Result<Self> {
        let (mut crc, mut length) = (0, 0_u64);
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            length += read.len() as u64;
            crc = read.iter().fold(crc, |crc, &byte| step(crc, byte));
            md5.update(read);
            sha256.update(read);
        }
        // The length goes in too, lowest byte first, as many bytes as it has.
        while length > 0 {
            crc = step(crc, length as u8);
            length >>= 8;
        }
        Ok(Self { crc: !crc, md5: hex(&md5.finalize()), sha256: hex(&sha256.finalize()) })
    }

    /// Whether they are what the script says.
    pub fn compare(&self, part: usize, said: &Part) -> Result<(), Fault> {
        let pairs = [
            ("CRC", self.crc.to_string(), said.crc.map(|crc| crc.to_string())),
            ("MD5", self.md5.clone(), said.md5.clone()),
            ("SHA-256", self.sha256.clone(), said.sha256.clone()),
        ];
        for (sum, found, said) in pairs {
            if let Some(said) = said.filter(|said| *said != found) {
                return Err(Fault::Sum { part, sum, found, said });
            }
        }
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// POSIX's `cksum`: the polynomial of Ethernet, highest bit first, unlike that of zip.
fn step(crc: u32, byte: u8) -> u32 {
    crc << 8 ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)]
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = (at as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 << 31 != 0 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_those_of_the_programs() {
        // printf 'hello\n' | cksum, md5sum, sha256sum
        let sums = Sums::of(&mut &b"hello\n"[..]).unwrap();
        assert_eq!(sums.crc, 3_015_617_425);
        assert_eq!(sums.md5, "b1946ac92492d2347c6235b4d2611184");
        assert_eq!(sums.sha256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(Sums::of(&mut io::empty()).unwrap().crc, 4_294_967_295);
    }
}
