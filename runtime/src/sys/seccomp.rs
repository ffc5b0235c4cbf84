//! Loading a system call filter.

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// One instruction, as the kernel's `sock_filter` has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are passed over if the condition holds.
    pub if_true: u8,
    /// And if it does not.
    pub if_false: u8,
    /// What it is done with.
    pub operand: u32,
}

/// Puts this process under a filter for good. With SECCOMP_FILTER_FLAG_NEW_LISTENER among `flags`
/// the descriptor is the listener's; it closes on exec.
pub fn load(program: &[Instruction], flags: u64) -> nix::Result<Option<OwnedFd>> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: no wrapper exists in libc. The kernel reads `len` instructions, whose layout is that
    // of sock_filter, from a slice that outlives the call, and writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const filter,
        )
    };
    let number = Errno::result(result)?;
    Ok(match flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER {
        0 => None,
        // SAFETY: with this flag the kernel answers with a new descriptor that nobody else owns.
        _ => Some(unsafe { OwnedFd::from_raw_fd(number as libc::c_int) }),
    })
}
