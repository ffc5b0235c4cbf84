//! The system calls of an ordinary image's service: what podman would let it call.
//!
//! A call that is not listed does not exist for the program (`ENOSYS`), so that it takes the way
//! that it has for older kernels. One that asks for more capabilities than the default ones have
//! is forbidden (`EPERM`), as it would be by the kernel.

use serde_json::{Value, json};

/// One a line; `#` begins a comment.
const ALLOWED: &str = include_str!("system-calls.txt");

const FORBIDDEN: [&str; 39] = [
    "acct",
    "bpf",
    "clock_settime",
    "clock_settime64",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "init_module",
    "io_pgetevents",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "lookup_dcookie",
    "migrate_pages",
    "move_pages",
    "nice",
    "open_by_handle_at",
    "perf_event_open",
    "process_madvise",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "sysfs",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
    "vmsplice",
];

/// Native, Linux for 32 bits, the flag for reading the current one, and both with 32 bit.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const ENOSYS: i32 = 38;
const AF_NETLINK: u64 = 16;
const NETLINK_AUDIT: u64 = 9;

/// `linux.seccomp` of the OCI configuration.
pub(super) fn profile() -> Value {
    let names = ALLOWED.lines().filter(|line| !line.starts_with('#'));
    let mut calls = vec![
        json!({"names": names.collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW"}),
        json!({"names": FORBIDDEN.as_slice(), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}),
    ];
    calls.extend(PERSONALITIES.map(|value| {
        let args = [argument(0, value, "SCMP_CMP_EQ")];
        json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": args})
    }));
    calls.extend(sockets());
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": ENOSYS,
        "architectures": architectures(),
        "syscalls": calls,
    })
}

/// All but the kernel's audit channel. (Two conditions on one call are joined by "and", so that
/// "not both" takes two rules.)
fn sockets() -> [Value; 3] {
    let family = |op| argument(0, AF_NETLINK, op);
    let protocol = |op| argument(2, NETLINK_AUDIT, op);
    let both = [family("SCMP_CMP_EQ"), protocol("SCMP_CMP_EQ")];
    let allow = |arg| json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [arg]});
    [
        json!({"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": EINVAL, "args": both}),
        allow(family("SCMP_CMP_NE")),
        allow(protocol("SCMP_CMP_NE")),
    ]
}

fn argument(index: usize, value: u64, op: &str) -> Value {
    json!({"index": index, "value": value, "op": op})
}

/// Native first, and those whose programs the same kernel runs.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_do_not_meet() {
        let allowed: Vec<_> = ALLOWED
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(
            allowed.is_sorted() && allowed.len() > 350,
            "{}",
            allowed.len()
        );
        assert!(FORBIDDEN.iter().all(|name| !allowed.contains(name)));
        for name in [
            "read",
            "clone3",
            "execve",
            "chroot",
            "keyctl",
            "mount",
            "futex_waitv",
        ] {
            assert!(allowed.contains(&name), "{name}");
        }
    }
}
