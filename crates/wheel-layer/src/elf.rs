//! The header of an ELF file: which machine its code is for (System V ABI, "ELF Header").

use serde::{Deserialize, Serialize};

/// Bytes of the header that are needed.
pub(crate) const HEAD: usize = 20;

/// Machine code found in a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Elf {
    /// 32 or 64 bits; 0 where the header says neither.
    pub bits: u8,
    /// `e_machine`: 183 is AArch64, 62 is x86-64.
    pub machine: u16,
}

impl Elf {
    /// What runs on aarch64.
    pub(crate) const AARCH64: Self = Self { bits: 64, machine: 183 };

    /// Reads the header where `head` begins one.
    pub fn parse(head: &[u8]) -> Option<Self> {
        if head.len() < HEAD || !head.starts_with(b"\x7fELF") {
            return None;
        }
        let bits = match head[4] {
            1 => 32,
            2 => 64,
            _ => 0,
        };
        let machine = [head[18], head[19]];
        let machine = if head[5] == 2 { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
        Some(Self { bits, machine })
    }
}

impl std::fmt::Display for Elf {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.machine {
            3 => "x86",
            8 => "MIPS",
            20 => "PowerPC",
            21 => "PowerPC64",
            22 => "S/390",
            40 => "ARM",
            62 => "x86-64",
            183 => "AArch64",
            243 => "RISC-V",
            247 => "BPF",
            258 => "LoongArch",
            other => return write!(out, "{}-bit machine {other}", self.bits),
        };
        write!(out, "{}-bit {name}", self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::Elf;

    #[test]
    fn both_byte_orders_are_read() {
        let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0";
        assert_eq!(Elf::parse(&head), Some(Elf::AARCH64));
        head[4..6].copy_from_slice(&[1, 2]);
        head[18..20].copy_from_slice(&[0, 40]);
        assert_eq!(Elf::parse(&head).unwrap().to_string(), "32-bit ARM");
        assert_eq!(Elf::parse(&head[..19]), None);
        assert_eq!(Elf::parse(&[0; 20]), None);
    }
}
