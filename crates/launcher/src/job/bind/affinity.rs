//! The kernel's side of binding: any number of CPUs, where the C library's set ends at 1,024.

use std::io;

use libc::c_ulong;

const WORD_BITS: usize = c_ulong::BITS as usize;

/// More than any kernel is built for (8,192): beyond it a growing buffer means something else is wrong.
const MOST_CPUS: usize = 1 << 18;

/// A set of CPUs as the kernel takes it, made before fork so that nothing is allocated after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuMask(Vec<c_ulong>);

impl CpuMask {
    /// The mask of `cpus`, in any order. Numbers that no kernel has are left out.
    pub fn new(cpus: &[u32]) -> CpuMask {
        let known = || cpus.iter().map(|cpu| *cpu as usize).filter(|cpu| *cpu < MOST_CPUS);
        let mut words = vec![0; known().max().map_or(1, |last| last / WORD_BITS + 1)];
        for cpu in known() {
            words[cpu / WORD_BITS] |= 1 << (cpu % WORD_BITS);
        }
        CpuMask(words)
    }

    fn cpus(&self) -> Vec<u32> {
        let is_in = |cpu: usize| self.0[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1 == 1;
        (0_u32..).zip(0..self.0.len() * WORD_BITS).filter(|(_, cpu)| is_in(*cpu)).map(|(number, _)| number).collect()
    }
}

/// Binds the calling thread, and what it execs or starts later, to `mask`. Async-signal-safe.
///
/// Fails with EINVAL where none of the CPUs is there or allowed.
#[allow(unsafe_code)]
pub fn apply(mask: &CpuMask) -> io::Result<()> {
    // SAFETY: one system call that reads as many bytes as it is told the live buffer has.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask.0[..]), mask.0.as_ptr()) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The CPUs that the calling thread may run on, ascending.
#[allow(unsafe_code)]
pub fn allowed() -> io::Result<Vec<u32>> {
    let mut words: Vec<c_ulong> = vec![0; 1024 / WORD_BITS];
    loop {
        // SAFETY: one system call that writes at most as many bytes as it is told the live buffer has.
        let answer =
            unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&words[..]), words.as_mut_ptr()) };
        if answer >= 0 {
            return Ok(CpuMask(words).cpus());
        }
        let error = io::Error::last_os_error();
        // EINVAL: the kernel knows more CPUs than the buffer has room for.
        if error.raw_os_error() != Some(libc::EINVAL) || words.len() * WORD_BITS >= MOST_CPUS {
            return Err(error);
        }
        words.resize(words.len() * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_hold_what_they_are_given() {
        for cpus in [vec![], vec![0], vec![63, 64], vec![1, 1023, 1024, 8191]] {
            assert_eq!(CpuMask::new(&cpus).cpus(), cpus);
        }
        assert_eq!(CpuMask::new(&[u32::MAX, 3]).cpus(), [3]);
    }

    #[test]
    fn a_thread_is_bound_to_one_cpu_and_back() {
        // A thread of its own: the tests beside it stay unbound.
        let bind = || {
            let all = allowed().unwrap();
            let last = *all.last().unwrap();
            apply(&CpuMask::new(&[last])).unwrap();
            assert_eq!(allowed().unwrap(), [last]);
            // A mask far wider than this machine: the kernel takes the part that it knows.
            apply(&CpuMask::new(&[&all[..], &[9000]].concat())).unwrap();
            assert_eq!(allowed().unwrap(), all);
            assert_eq!(apply(&CpuMask::new(&[])).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        };
        std::thread::spawn(bind).join().unwrap();
    }
}
