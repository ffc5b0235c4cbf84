//! Users and groups of a new user namespace, written by the parent, who alone may.
//!
//! Root writes any map. Everybody else may map themselves, and what newuidmap and newgidmap, two
//! programs with privileges, find in /etc/subuid and /etc/subgid.

use std::process::Command;

use nix::unistd::{Pid, getegid, geteuid};

use super::{Error, step};
use crate::plan::Mapping;

/// One of the two maps of a user namespace.
struct Map<'a> {
    file: &'static str,
    program: &'static str,
    ranges: &'a [(u32, u32, u32)],
    own: u32,
}

/// Writes both maps of the child's user namespace.
pub fn write(mapping: &Mapping, pid: Pid) -> Result<(), Error> {
    let users = Map {
        file: "uid_map",
        program: "newuidmap",
        ranges: &mapping.users,
        own: geteuid().as_raw(),
    };
    let groups = Map {
        file: "gid_map",
        program: "newgidmap",
        ranges: &mapping.groups,
        own: getegid().as_raw(),
    };
    let is_root = geteuid().is_root();
    if !is_root && groups.is_alone() {
        // Without privileges groups could otherwise be dropped that were there to deny.
        put(pid, "setgroups", "deny".to_owned())?;
    }
    for map in [users, groups] {
        match is_root || map.is_alone() {
            true => put(pid, map.file, lines(map.ranges))?,
            false => map.ask(pid)?,
        }
    }
    Ok(())
}

impl Map<'_> {
    /// Whether nobody but us is in it.
    fn is_alone(&self) -> bool {
        matches!(self.ranges, [(_, outside, 1)] if *outside == self.own)
    }

    /// Has the program with privileges write it.
    fn ask(&self, pid: Pid) -> Result<(), Error> {
        let mut command = Command::new(self.program);
        command.arg(pid.to_string());
        for (inside, outside, count) in self.ranges {
            command.args([inside, outside, count].map(ToString::to_string));
        }
        let asked = format!(
            "map '{}' by '{}'",
            lines(self.ranges).trim_end(),
            self.program
        );
        let output = command.output().map_err(|error| {
            let help =
                "\nhelp: install it (on Debian the package 'uidmap'), or map nobody but yourself";
            step(
                asked.clone(),
                std::io::Error::other(format!("{error}{help}")),
            )
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let file = self.file.replace("_map", "").replace("id", "");
        let help = format!("\nhelp: a range must be yours in '/etc/sub{file}id'");
        let said = said.trim().replace('\n', "; ");
        Err(step(asked, std::io::Error::other(format!("{said}{help}"))))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_alone_only_with_oneself() {
        let alone = |ranges: &[(u32, u32, u32)]| {
            Map {
                file: "uid_map",
                program: "newuidmap",
                ranges,
                own: 7,
            }
            .is_alone()
        };
        assert!(alone(&[(0, 7, 1)]) && alone(&[(1000, 7, 1)]));
        assert!(!alone(&[(0, 8, 1)]) && !alone(&[(0, 7, 2)]));
        assert!(!alone(&[(0, 7, 1), (1, 100_000, 9)]) && !alone(&[]));
    }
}
