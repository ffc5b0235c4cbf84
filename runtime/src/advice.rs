//! What to do where the kernel refuses what a start needs: a unit's sandbox is in the way more often
//! than anything else, and the kernel does not tell.
//!
//! In: a refusal. Out: a line of help that names settings, or nothing. Looks at this process alone,
//! and only once something has failed.

use std::io;

use nix::errno::Errno;

use crate::sys::capabilities;

/// Its number (linux/capability.h).
const CAP_SYS_ADMIN: u32 = 21;

/// `errno` as an error, with `help` at its end.
pub fn explained(errno: Errno, help: &str) -> io::Error {
    let error = io::Error::from(errno);
    match help {
        "" => error,
        help => io::Error::new(error.kind(), format!("{error}{help}")),
    }
}

/// Of a process with new namespaces.
pub fn namespaces(errno: Errno) -> &'static str {
    let permitted = capabilities::permitted().unwrap_or(u64::MAX);
    match errno {
        Errno::EPERM | Errno::ENOSYS if permitted & (1 << CAP_SYS_ADMIN) == 0 => {
            "\nhelp: it takes CAP_SYS_ADMIN (CapabilityBoundingSet= and User= of the unit), or a user \
             namespace in config.json"
        }
        Errno::EPERM | Errno::ENOSYS if is_filtered() => {
            "\nhelp: let RestrictNamespaces= of the unit have every kind that config.json names, and \
             SystemCallFilter= have @process and @mount"
        }
        _ => "",
    }
}

/// Of names for the container.
pub fn host_names(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM if is_filtered() => {
            "\nhelp: remove ProtectHostname= from the unit, let SystemCallFilter= have sethostname and \
             setdomainname, or remove the name from config.json"
        }
        _ => "",
    }
}

/// Of looking up paths in the container's root.
pub fn look_up(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSYS if is_filtered() => {
            "\nhelp: openat2(2) is needed (Linux 5.6): remove RestrictSUIDSGID= from the unit, and let \
             SystemCallFilter= have it"
        }
        _ => "",
    }
}

/// Of a place for records.
pub fn records(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno @ (Errno::EACCES | Errno::EPERM)) => explained(
            errno,
            "\nhelp: with User= of a unit give it RuntimeDirectory=NAME, the runtime --root=/run/NAME, \
             and the container a user namespace",
        ),
        Some(errno @ Errno::EROFS) => explained(
            errno,
            "\nhelp: let the unit have RuntimeDirectory=sysc-runtime, RuntimeDirectoryMode=0700 and \
             RuntimeDirectoryPreserve=yes",
        ),
        _ => error,
    }
}

/// Of a process that ended, by how.
pub fn ended(how: &str) -> &'static str {
    match how.starts_with("SIGSYS") {
        true => {
            "\nhelp: let SystemCallFilter= of the unit have @mount, and sethostname where the container \
             has a name"
        }
        false => "",
    }
}

/// Whether a filter of system calls is loaded.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.trim_end() == "Seccomp:\t2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_keeps_the_reason() {
        let plain = explained(Errno::EPERM, "");
        assert_eq!(plain.raw_os_error(), Some(libc::EPERM));
        let error = explained(Errno::EACCES, "\nhelp: x");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let text = "Permission denied (os error 13)\nhelp: x";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn only_what_a_sandbox_does_is_explained() {
        assert_eq!(namespaces(Errno::ENOMEM), "");
        assert_eq!(host_names(Errno::EINVAL), "");
        assert_eq!(look_up(Errno::ELOOP), "");
        assert_eq!(ended("SIGKILL"), "");
        assert!(ended("SIGSYS: a filter").contains("SystemCallFilter="));
        let full = records(io::Error::from(Errno::ENOSPC));
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        let denied = records(io::Error::from(Errno::EACCES)).to_string();
        assert!(denied.contains("RuntimeDirectory="), "{denied}");
    }
}
