//! Users and groups of a new user namespace, written by the parent, who alone may.

use nix::unistd::{Pid, geteuid};

use super::{Error, step};
use crate::plan::Mapping;

/// Writes both maps of the child's user namespace.
pub fn write(mapping: &Mapping, pid: Pid) -> Result<(), Error> {
    if !geteuid().is_root() {
        // Without privileges groups could otherwise be dropped that were there to deny.
        put(pid, "setgroups", "deny".to_owned())?;
    }
    put(pid, "uid_map", lines(&mapping.users))?;
    put(pid, "gid_map", lines(&mapping.groups))
}

fn put(pid: Pid, file: &str, text: String) -> Result<(), Error> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::write(&path, &text)
        .map_err(|error| step(format!("write '{}' to '{path}'", text.trim_end()), error))
}

fn lines(ranges: &[(u32, u32, u32)]) -> String {
    let line = |(inside, outside, count): &(u32, u32, u32)| format!("{inside} {outside} {count}\n");
    ranges.iter().map(line).collect()
}
