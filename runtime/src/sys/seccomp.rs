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

/// Instructions as bytes in the order of this machine: what libseccomp writes and we keep. A rest of
/// fewer bytes than one takes is none.
pub fn from_bytes(bytes: &[u8]) -> Vec<Instruction> {
    let (instructions, _) = bytes.as_chunks::<8>();
    instructions.iter().map(instruction).collect()
}

fn instruction([c0, c1, if_true, if_false, operand @ ..]: &[u8; 8]) -> Instruction {
    Instruction {
        code: u16::from_ne_bytes([*c0, *c1]),
        if_true: *if_true,
        if_false: *if_false,
        operand: u32::from_ne_bytes(*operand),
    }
}

/// The reverse of [`from_bytes`].
pub fn to_bytes(program: &[Instruction]) -> Vec<u8> {
    let bytes = |it: &Instruction| {
        let [c0, c1] = it.code.to_ne_bytes();
        let [o0, o1, o2, o3] = it.operand.to_ne_bytes();
        [c0, c1, it.if_true, it.if_false, o0, o1, o2, o3]
    };
    program.iter().flat_map(bytes).collect()
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
