//! The header: which machine the code is for (System V ABI, "ELF Header").

use serde::{Deserialize, Serialize};

/// Bytes of the header that are needed.
pub const HEAD: usize = 20;

/// Which machine a file's code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Elf {
    /// 32 or 64 bits; 0 where the header says neither.
    pub bits: u8,
    /// `e_machine`: 183 is AArch64, 62 is x86-64.
    pub machine: u16,
}

impl Elf {
    /// What runs on aarch64.
    pub const AARCH64: Self = Self { bits: 64, machine: 183 };

    /// Whether a wheel for aarch64 has no use for it.
    pub fn is_foreign(self) -> bool {
        let allowed = MACHINES.iter().any(|(number, _, allowed)| *number == self.machine && *allowed);
        !allowed || (self.machine == Self::AARCH64.machine && self != Self::AARCH64)
    }

    /// Whether it is code for the cores of Ascend's NPU.
    pub fn is_for_npu(self) -> bool {
        self.machine == NPU
    }

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

/// What CANN's compiler writes; the number is in no registry.
const NPU: u16 = 0x1029;

/// Names of machines by `e_machine`, and whether a wheel for aarch64 may hold their code: what a device or a virtual
/// machine runs is the same beside every processor, and none of it is loaded as a program or library.
const MACHINES: [(u16, &str, bool); 14] = [
    (3, "x86", false),
    (8, "MIPS", false),
    (20, "PowerPC", false),
    (21, "PowerPC64", false),
    (22, "S/390", false),
    (40, "ARM", false),
    (62, "x86-64", false),
    (183, "AArch64", true),
    // Kernels of NVIDIA's GPUs, which CUDA loads (`.cubin`).
    (190, "CUDA", true),
    // The same of AMD's.
    (224, "AMD GPU", true),
    (243, "RISC-V", false),
    // Linux translates it when it is loaded.
    (247, "BPF", true),
    (258, "LoongArch", false),
    // Kernels for the cores of the NPU, which CANN loads; MindSpore 2.10 has 45 of them.
    (NPU, "Ascend NPU", true),
];

impl std::fmt::Display for Elf {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match MACHINES.iter().find(|(number, ..)| *number == self.machine) {
            Some((_, name, _)) => write!(out, "{}-bit {name}", self.bits),
            None => write!(out, "{}-bit machine {}", self.bits, self.machine),
        }
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
        let arm = Elf::parse(&head).unwrap();
        assert_eq!((arm.to_string(), arm.is_foreign()), ("32-bit ARM".to_owned(), true));
        assert_eq!(Elf::parse(&head[..19]), None);
        assert_eq!(Elf::parse(&[0; 20]), None);
    }
}
