//! What the kernel's schedulers and its memory are told about this process.

use nix::errno::Errno;
use nix::unistd::Pid;

/// The kernel's `sched_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Filled in by the call.
    pub size: u32,
    /// `SCHED_…`
    pub policy: u32,
    /// `SCHED_FLAG_…`
    pub flags: u64,
    /// For the ordinary policies.
    pub nice: i32,
    /// For the real-time policies.
    pub priority: u32,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub runtime: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub deadline: u64,
    /// For SCHED_DEADLINE, in nanoseconds.
    pub period: u64,
    /// With SCHED_FLAG_UTIL_CLAMP_MIN.
    pub clamp_min: u32,
    /// With SCHED_FLAG_UTIL_CLAMP_MAX.
    pub clamp_max: u32,
}

/// Sets policy and parameters of the CPU scheduler for a process; 0 is this one.
pub fn set_scheduler(pid: Pid, attributes: &Attributes) -> nix::Result<()> {
    let mut attributes = *attributes;
    attributes.size = std::mem::size_of::<Attributes>() as u32;
    // SAFETY: libc has no wrapper. The kernel reads as many bytes as `size` says, which is the
    // structure's own, from this frame; there are no further flags.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            pid.as_raw(),
            &raw const attributes,
            0,
        )
    };
    Errno::result(result).map(drop)
}

/// Sets class and level of I/O, as `IOPRIO_PRIO_VALUE` packs them.
pub fn set_io_priority(value: u16) -> nix::Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes three numbers; 0 is this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ioprio_set,
            IOPRIO_WHO_PROCESS,
            0,
            i32::from(value),
        )
    };
    Errno::result(result).map(drop)
}

/// Sets where memory comes from: a `MPOL_…` mode with its flags, and a bit for each node.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> nix::Result<()> {
    // The kernel takes one bit less than it is told; of none at all it wants no mask.
    let (mask, bits) = match nodes.len() {
        0 => (std::ptr::null(), 0),
        words => (nodes.as_ptr(), words * u64::BITS as usize + 1),
    };
    // SAFETY: the mask is null or is read up to its length in bits, and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    Errno::result(result).map(drop)
}
