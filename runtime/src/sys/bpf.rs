//! Programs of the kernel's that decide about each use of a device in a cgroup.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;

const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// More than this many programs on one cgroup the kernel does not take either.
const MOST: usize = 64;

/// The calls' arguments as far as they are used here; what follows counts as zero for the kernel.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// Has the kernel check a program for devices, and keep it for as long as the descriptor is open or
/// the program attached.
pub fn load(instructions: &[u64]) -> nix::Result<OwnedFd> {
    let mut arguments = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: both pointers are those of slices that outlive the call, which only reads them.
    let result = unsafe { bpf(PROG_LOAD, &mut arguments) };
    owned(result?)
}

/// Sets a program on a cgroup, in the place of `replaced` or beside those that are there.
pub fn attach(
    cgroup: impl AsFd,
    program: impl AsFd,
    replaced: Option<&OwnedFd>,
) -> nix::Result<()> {
    let mut arguments = Attach {
        target: number(&cgroup),
        program: number(&program),
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI | replaced.map_or(0, |_| REPLACE),
        replaced: replaced.map_or(0, number),
    };
    // SAFETY: the arguments hold numbers only.
    unsafe { bpf(PROG_ATTACH, &mut arguments) }.map(drop)
}

/// Takes a program off a cgroup.
pub fn detach(cgroup: impl AsFd, program: impl AsFd) -> nix::Result<()> {
    let mut arguments = Attach {
        target: number(&cgroup),
        program: number(&program),
        kind: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: the arguments hold numbers only.
    unsafe { bpf(PROG_DETACH, &mut arguments) }.map(drop)
}

/// The programs that are set on a cgroup itself.
pub fn attached(cgroup: impl AsFd) -> nix::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MOST];
    let mut arguments = Query {
        target: number(&cgroup),
        kind: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: MOST as u32,
        ..Query::default()
    };
    // SAFETY: the kernel writes at most `count` numbers to `ids`, which lives on this frame.
    unsafe { bpf(PROG_QUERY, &mut arguments) }?;
    let found = ids.iter().take(arguments.count as usize);
    found.map(|id| by_id(*id)).collect()
}

fn by_id(id: u32) -> nix::Result<OwnedFd> {
    let mut arguments = ById {
        id,
        ..ById::default()
    };
    // SAFETY: the arguments hold numbers only.
    let result = unsafe { bpf(PROG_GET_FD_BY_ID, &mut arguments) };
    owned(result?)
}

fn number(descriptor: &impl AsFd) -> u32 {
    descriptor.as_fd().as_raw_fd() as u32
}

fn owned(result: libc::c_long) -> nix::Result<OwnedFd> {
    // SAFETY: called with what a successful call has returned whose result is a new descriptor,
    // close-on-exec as all of this kind, and ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(result as libc::c_int) })
}

/// # Safety
///
/// `arguments` is the layout that `command` has, and pointers in it are valid for what it does.
unsafe fn bpf<T>(command: libc::c_int, arguments: &mut T) -> nix::Result<libc::c_long> {
    // SAFETY: the size is the arguments' own; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(arguments),
            std::mem::size_of::<T>(),
        )
    };
    Errno::result(result)
}
