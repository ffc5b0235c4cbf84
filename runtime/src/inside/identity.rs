//! From all-powerful to what the program may be.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    AccessFlags, Gid, Pid, Uid, access, chdir, faccessat, getcwd, setgroups, setresgid, setresuid,
};

use super::seccomp::{self, Moment};
use super::{Child, Error, failed, labels};
use crate::plan::{Capabilities, Identity, Payload, Scheduling};
use crate::sys;

/// What comes after that many bytes is not looked at.
const LONGEST_PASSWD: u64 = 1 << 20;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is ready to be executed.
pub struct Ready {
    /// The program's file.
    pub path: PathBuf,
    /// Its environment.
    pub env: Vec<String>,
    /// Held until the exec: without it the filter answers ENOSYS for the one who listens.
    _listener: Option<OwnedFd>,
}

/// Gives up everything that the program shall not have. The descriptor of a listener must be held until
/// the parent has answered.
pub fn assume(payload: &Payload, child: &Child) -> Result<Option<OwnedFd>, Error> {
    let identity = &payload.identity;
    if let Some(domain) = payload.personality {
        sys::process::set_personality(domain)
            .map_err(|errno| failed("set the personality", errno))?;
    }
    schedule(&payload.scheduling)?;
    labels::wear(payload)?;
    umask(Mode::from_bits_truncate(identity.umask));
    sys::descriptors::pass_on(3, child.passed.count)
        .map_err(|errno| failed("pass descriptors on", errno))?;
    // The directory may be one that only root can enter, or (behind a network) only the user.
    let cwd = &payload.program.cwd;
    let entered = chdir(cwd).is_ok();
    if entered {
        find_directory()?;
    }
    if identity.no_new_privileges {
        prctl::set_no_new_privs().map_err(|errno| failed("forbid new privileges", errno))?;
    }
    let early = seccomp::load(payload, Moment::Identity, child)?;
    become_user(identity)?;
    // A change of users sets this to what the host has for set-user-id programs: usually the same.
    // Only a filter that is loaded already can forbid it.
    let _ = prctl::set_dumpable(false);
    if !entered {
        chdir(cwd).map_err(|errno| failed(format!("enter '{}'", cwd.display()), errno))?;
        find_directory()?;
    }
    Ok(early)
}

/// Looks the program up as it will itself, in the process that becomes it.
pub fn look_ahead(payload: &Payload, child: &Child) -> Result<Ready, Error> {
    let env = environment(payload, child);
    let path = match payload.program.args.first() {
        Some(name) => look_up(name, &env)?,
        None => PathBuf::new(),
    };
    let late = seccomp::load(payload, Moment::Start, child)?;
    Ok(Ready {
        path,
        env,
        _listener: late,
    })
}

/// A directory outside the root has no name in it (CVE-2024-21626).
fn find_directory() -> Result<(), Error> {
    getcwd()
        .map(drop)
        .map_err(|errno| failed("find the working directory inside the container", errno))
}

/// Takes the policy of the CPU scheduler. It may end with the next clone, or forbid one.
pub fn take_policy(scheduling: &Scheduling) -> Result<(), Error> {
    let Some(attributes) = &scheduling.processor else {
        return Ok(());
    };
    sys::scheduling::set_scheduler(Pid::from_raw(0), attributes)
        .map_err(|errno| failed("set process.scheduler", scheduling.refusal(errno)))
}

fn schedule(scheduling: &Scheduling) -> Result<(), Error> {
    if let Some(value) = scheduling.io {
        sys::scheduling::set_io_priority(value)
            .map_err(|errno| failed("set process.ioPriority", errno))?;
    }
    if let Some(policy) = &scheduling.memory {
        sys::scheduling::set_memory_policy(policy.mode, &policy.nodes)
            .map_err(|errno| failed("set linux.memoryPolicy", errno))?;
    }
    Ok(())
}

fn become_user(identity: &Identity) -> Result<(), Error> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    // Dropping no groups is allowed to fail where a user namespace forbids it (setgroups: deny).
    if let Err(errno) = setgroups(&groups)
        && !groups.is_empty()
    {
        return Err(failed("set supplementary groups", errno));
    }
    let asked = &identity.capabilities;
    sys::capabilities::bound(asked.bounding)
        .map_err(|errno| failed("limit the bounding capabilities", errno))?;
    let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
    // Else another user than root loses all, also what is configured.
    prctl::set_keepcaps(true)
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user))
        .map_err(|errno| failed(format!("become user {user}, group {group}"), errno))?;
    set_capabilities(asked).map_err(|errno| failed("set capabilities", errno))
}

/// What we do not have ourselves we cannot pass on: a host that is a container, an older kernel.
fn set_capabilities(asked: &Capabilities) -> nix::Result<()> {
    let have = sys::capabilities::permitted()?;
    let Capabilities {
        effective,
        permitted,
        inheritable,
        ..
    } = asked;
    sys::capabilities::set(effective & have, permitted & have, inheritable & have)?;
    sys::capabilities::set_ambient(asked.ambient & have)
}

/// The configured variables; HOME from the image's passwd file when it is empty or not among them.
fn environment(payload: &Payload, child: &Child) -> Vec<String> {
    let mut env: Vec<String> = payload
        .program
        .env
        .iter()
        .filter(|entry| child.passed.sockets.is_none() || !entry.starts_with("LISTEN_"))
        .filter(|entry| *entry != "HOME=")
        .cloned()
        .collect();
    if let Some((count, names)) = &child.passed.sockets {
        // The number that the program finds itself to have: 1 in a PID namespace of its own.
        env.push(format!("LISTEN_PID={}", std::process::id()));
        env.push(format!("LISTEN_FDS={count}"));
        env.extend(names.iter().map(|names| format!("LISTEN_FDNAMES={names}")));
    }
    if let Some(interval) = &child.passed.watchdog {
        env.retain(|entry| !entry.starts_with("WATCHDOG_"));
        env.push(format!("WATCHDOG_PID={}", std::process::id()));
        env.push(format!("WATCHDOG_USEC={interval}"));
    }
    if !env.iter().any(|entry| entry.starts_with("HOME=")) {
        let passwd = read_passwd().unwrap_or_default();
        env.push(format!("HOME={}", home_of(&passwd, payload.identity.user)));
    }
    env
}

/// The image's, as far as it is a file: a pipe would keep us waiting.
fn read_passwd() -> std::io::Result<String> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open("/etc/passwd")?;
    let mut text = String::new();
    if file.metadata()?.is_file() {
        file.take(LONGEST_PASSWD).read_to_string(&mut text)?;
    }
    Ok(text)
}

fn home_of(passwd: &str, user: u32) -> String {
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(user))
        .and_then(|fields| fields.get(5).map(|home| (*home).to_owned()))
        .filter(|home| !home.is_empty())
        .unwrap_or_else(|| if user == 0 { "/root" } else { "/" }.to_owned())
}

/// A name with a slash is a path; any other is looked for along the payload's own PATH.
fn look_up(name: &str, env: &[String]) -> Result<PathBuf, Error> {
    if name.contains('/') {
        return usable(Path::new(name))
            .map(|()| PathBuf::from(name))
            .map_err(|errno| failed(format!("execute '{name}'"), errno));
    }
    let path = env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let mut worst = Errno::ENOENT;
    for directory in path.split(':').filter(|directory| !directory.is_empty()) {
        let candidate = Path::new(directory).join(name);
        match usable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => worst = Errno::EACCES,
            Err(_) => {}
        }
    }
    Err(failed(
        format!("execute '{name}'"),
        match worst {
            Errno::EACCES => format!("permission denied along PATH '{path}'"),
            _ => format!("executable file not found in $PATH '{path}'"),
        },
    ))
}

/// The call that filters know best does not count capabilities; the one that does is newer, and may
/// be forbidden, which says nothing about the file.
fn usable(path: &Path) -> nix::Result<()> {
    let execute = AccessFlags::X_OK;
    access(path, execute).or_else(|errno| {
        let counted = faccessat(None, path, execute, AtFlags::AT_EACCESS);
        counted.map_err(|_| errno)
    })?;
    match path.is_dir() {
        true => Err(Errno::EACCES),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_comes_from_the_images_passwd() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\nno:x:34:34:::\n";
        let table = [(0, "/root"), (33, "/srv/web"), (34, "/"), (99, "/")];
        for (user, home) in table {
            assert_eq!(home_of(passwd, user), home);
        }
        assert_eq!(home_of("", 0), "/root");
    }
}
