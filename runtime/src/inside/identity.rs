//! From all-powerful to what the program may be.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use caps::CapSet;
use libcontainer::syscall::Syscall;
use libcontainer::syscall::linux::LinuxSyscall;
use libcontainer::{capabilities, seccomp};
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{AccessFlags, Gid, Uid, chdir, eaccess, getcwd, setgroups};
use oci_spec::runtime::{Capabilities, LinuxCapabilities};

use super::proc::Proc;
use super::{Child, Error, failed};
use crate::plan::{Identity, Payload};
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
}

/// Gives up everything that the program shall not have.
pub fn assume(payload: &Payload, child: &Child) -> Result<(), Error> {
    let identity = &payload.identity;
    if let Some(domain) = payload.personality {
        sys::process::set_personality(domain)
            .map_err(|errno| failed("set the personality", errno))?;
    }
    if let Some(profile) = &payload.apparmor {
        confine(profile)
            .map_err(|why| failed(format!("apply AppArmor profile '{profile}'"), why))?;
    }
    umask(Mode::from_bits_truncate(identity.umask));
    sys::descriptors::pass_on(3, child.passed.count)
        .map_err(|errno| failed("pass descriptors on", errno))?;
    // The directory may be one that only root can enter, or (behind a network) only the user.
    let entered = chdir(&payload.program.cwd);
    if identity.no_new_privileges {
        prctl::set_no_new_privs().map_err(|errno| failed("forbid new privileges", errno))?;
    }
    if let Some(seccomp) = payload
        .seccomp
        .as_ref()
        .filter(|seccomp| seccomp.before_identity)
    {
        seccomp::initialize_seccomp(&seccomp.filter)
            .map_err(|error| failed("load the seccomp filter", chain(&error)))?;
    }
    become_user(identity)?;
    // A change of users sets this to what the host has for set-user-id programs: usually the same.
    // Only a filter that is loaded already can forbid it.
    let _ = prctl::set_dumpable(false);
    if entered.is_err() {
        let cwd = &payload.program.cwd;
        chdir(cwd).map_err(|errno| failed(format!("enter '{}'", cwd.display()), errno))?;
    }
    // A directory outside the root has no name in it (CVE-2024-21626).
    getcwd()
        .map(drop)
        .map_err(|errno| failed("find the working directory inside the container", errno))
}

/// Looks the program up as it will itself, in the process that becomes it.
pub fn look_ahead(payload: &Payload, child: &Child) -> Result<Ready, Error> {
    let env = environment(payload, child);
    let path = look_up(&payload.program.args[0], &env)?;
    Ok(Ready { path, env })
}

/// The profile that the exec changes to. The second file is that of kernels before 5.8.
fn confine(profile: &str) -> Result<(), String> {
    let proc = Proc::open()?;
    let own = std::process::id();
    let ask = |file: &str| {
        let path = format!("{own}/attr/{file}");
        proc.write(Path::new(&path), &format!("exec {profile}"))
    };
    ask("apparmor/exec")
        .or_else(|_| ask("exec"))
        .map_err(|error| error.to_string())
}

fn become_user(identity: &Identity) -> Result<(), Error> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    // Dropping no groups is allowed to fail where a user namespace forbids it (setgroups: deny).
    if let Err(errno) = setgroups(&groups)
        && !groups.is_empty()
    {
        return Err(failed("set supplementary groups", errno));
    }
    let (user, group) = (identity.user, identity.group);
    LinuxSyscall
        .set_id(Uid::from_raw(user), Gid::from_raw(group))
        .map_err(|error| failed(format!("become user {user}, group {group}"), error))?;
    capabilities::reset_effective(&LinuxSyscall)
        .and_then(|()| {
            let have = caps::read(None, CapSet::Permitted)?;
            capabilities::drop_privileges(&granted(&identity.capabilities, &have), &LinuxSyscall)
        })
        .map_err(|error| failed("set capabilities", error))
}

/// What we do not have ourselves we cannot pass on: a host that is a container, an older kernel.
fn granted(asked: &LinuxCapabilities, have: &caps::CapsHashSet) -> LinuxCapabilities {
    use libcontainer::capabilities::CapabilityExt;
    let keep = |set: &Option<Capabilities>| -> Option<Capabilities> {
        let set = set.iter().flatten().copied();
        Some(
            set.filter(|capability| have.contains(&capability.to_cap()))
                .collect(),
        )
    };
    let mut granted = LinuxCapabilities::default();
    granted
        .set_bounding(keep(asked.bounding()))
        .set_effective(keep(asked.effective()))
        .set_permitted(keep(asked.permitted()))
        .set_inheritable(keep(asked.inheritable()))
        .set_ambient(keep(asked.ambient()));
    granted
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
    let mut worst = nix::errno::Errno::ENOENT;
    for directory in path.split(':').filter(|directory| !directory.is_empty()) {
        let candidate = Path::new(directory).join(name);
        match usable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(nix::errno::Errno::EACCES) => worst = nix::errno::Errno::EACCES,
            Err(_) => {}
        }
    }
    Err(failed(
        format!("execute '{name}'"),
        match worst {
            nix::errno::Errno::EACCES => format!("permission denied along PATH '{path}'"),
            _ => format!("executable file not found in $PATH '{path}'"),
        },
    ))
}

fn usable(path: &Path) -> nix::Result<()> {
    eaccess(path, AccessFlags::X_OK)?;
    match path.is_dir() {
        true => Err(nix::errno::Errno::EACCES),
        false => Ok(()),
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
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
