//! What this program does before the C library's own start: execute itself from a file that nobody
//! can write to.
//!
//! `seal` says why, and does it where this did not. Here it costs three calls and nothing else, for
//! what is given up at once need not be set up first: that takes 0.6 ms, of which a virtual machine
//! spends two thirds on asking its hypervisor for the processor's features.
//!
//! Nothing is relocated yet, no thread has its storage, and memcmp is not chosen: so there are loops
//! and system calls, no text but bytes in the code, nothing that could panic, and no errno.

use core::arch::{asm, global_asm};

use libcontainer::syscall::linux::MOUNT_ATTR_RDONLY;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl sysc_runtime_start",
    "sysc_runtime_start:",
    "xor ebp, ebp",
    // What the C library's start looks for: the stack, and the end of a dynamic linker.
    "mov rbx, rsp",
    "mov r12, rdx",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {before}",
    "mov rsp, rbx",
    "mov rdx, r12",
    "jmp _start",
    before = sym before_start,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl sysc_runtime_start",
    "sysc_runtime_start:",
    "mov x19, sp",
    "mov x20, x0",
    "mov x0, sp",
    "bl {before}",
    "mov sp, x19",
    "mov x0, x20",
    "b _start",
    before = sym before_start,
);

/// Returns if this command enters no container, or cannot be executed from elsewhere: among other
/// reasons because it has been.
///
/// # Safety
///
/// `stack` is what the kernel leaves a new program: the number of its words, pointers to them, a null
/// pointer, pointers to the environment, a null pointer.
unsafe extern "C" fn before_start(stack: *const usize) {
    // SAFETY: as the caller says; each word ends with a zero byte.
    let (words, environment) = unsafe {
        let count = *stack;
        let words = stack.add(1);
        if !(1..count).any(|index| enters_a_container(*words.add(index) as *const u8)) {
            return;
        }
        (words as usize, words.add(count + 1) as usize)
    };
    let (itself, nothing) = (c"/proc/self/exe".as_ptr() as usize, c"".as_ptr() as usize);
    let here = libc::AT_FDCWD as isize as usize;
    let flags = libc::OPEN_TREE_CLONE as usize | libc::OPEN_TREE_CLOEXEC as usize;
    let this = libc::AT_EMPTY_PATH as usize;
    // attr_set, attr_clr, propagation, userns_fd.
    let read_only: [u64; 4] = [MOUNT_ATTR_RDONLY, 0, 0, 0];
    let size = size_of_val(&read_only);
    // SAFETY: the texts end with zero bytes, `read_only` outlives its call, and a successful execveat
    // does not return. Whatever fails, the descriptor is all that is left of it, and it is closed.
    unsafe {
        let tree = call(libc::SYS_open_tree, [here, itself, flags, 0, 0]);
        if tree < 0 {
            return;
        }
        let tree = tree as usize;
        let attributes = read_only.as_ptr() as usize;
        if call(
            libc::SYS_mount_setattr,
            [tree, nothing, this, attributes, size],
        ) == 0
        {
            call(
                libc::SYS_execveat,
                [tree, nothing, words, environment, this],
            );
        }
        call(libc::SYS_close, [tree, 0, 0, 0, 0]);
    }
}

/// Whether a word is the name of such a verb; one that only looks like it costs half a millisecond.
///
/// # Safety
///
/// The word ends with a zero byte.
unsafe fn enters_a_container(word: *const u8) -> bool {
    // SAFETY: no byte is read beyond the first that differs, and the last of each name is zero.
    unsafe { is(word, b"run\0") || is(word, b"create\0") || is(word, b"exec\0") }
}

/// # Safety
///
/// `word` ends with a zero byte, and so does `name`.
unsafe fn is<const N: usize>(word: *const u8, name: &[u8; N]) -> bool {
    let mut index = 0;
    while index < N {
        // SAFETY: what comes before was equal to the name, so the word had not ended. A volatile read
        // keeps this a loop.
        if unsafe { word.add(index).read_volatile() } != name[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// A system call with up to five arguments; a negative result is an error.
///
/// # Safety
///
/// That of the call.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = arguments;
    let result;
    // SAFETY: the kernel's convention: what it may change is named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") first, in("rsi") second, in("rdx") third, in("r10") fourth, in("r8") fifth,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A system call with up to five arguments; a negative result is an error.
///
/// # Safety
///
/// That of the call.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = arguments;
    let result;
    // SAFETY: the kernel's convention: what it may change is named.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") first => result,
            in("x1") second, in("x2") third, in("x3") fourth, in("x4") fifth,
            options(nostack),
        );
    }
    result
}
