//! Ending a container as its own init would: from inside its PID namespace.
//!
//! The first process of a PID namespace hears no signal from outside that it has no handler for, but
//! SIGKILL, after which systemd would count the service as failed. What reboot(2) does in a PID
//! namespace ends that process too, and it shows as ended by SIGINT, which is a clean end.
//!
//! Others in there see our process, and with CAP_SYS_PTRACE have all that it has: so it is born with
//! nothing of the host, neither root nor descriptors nor namespaces, and with the one capability that it
//! takes, of which a filter leaves what ends a PID namespace.

use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::getppid;

use super::{Error, join, kill_child, rungs, step};
use crate::plan;
use crate::record::State;
use crate::sys;
use crate::sys::clone::spawn;
use crate::sys::process::await_end;

/// Who may trace can also kill or stop our process before it has done anything.
const ATTEMPTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of the capability.
const CAP_SYS_BOOT: u32 = 22;

/// Ends all processes of the container's PID namespace, and returns when its first one has ended. One
/// that has ended already is fine. This process is good for nothing else afterwards.
pub fn power_off(state: &State) -> Result<(), Error> {
    if !state.init.is_alive() {
        return Ok(());
    }
    let target = join::find(&state.init)?;
    // It would be the host's own that ends.
    if !target.kinds.contains(CloneFlags::CLONE_NEWPID) {
        return Err(Error::Usage("it has no PID namespace of its own"));
    }
    rungs::become_undumpable()?;
    sys::descriptors::close_all_but(&target.descriptors())
        .map_err(|errno| step("close descriptors", errno))?;
    target
        .enter()
        .map_err(|error| Error::Inside(error.to_string()))?;
    give_up_all_but_reboot()?;
    for _ in 0..ATTEMPTS {
        let inside = spawn(0, None, from_inside)
            .map_err(|errno| step("make a process in the container", errno))?;
        let _ = await_end(&inside.pidfd, Some(PATIENCE));
        kill_child(&inside);
        let ended = await_end(&target.init, Some(PATIENCE / 4));
        if ended.map_err(|errno| step("wait for the container's end", errno))? {
            return Ok(());
        }
    }
    Err(Error::Usage("its PID namespace cannot be ended"))
}

/// In the parent's PID namespace, which may be the host's, it would switch a machine off.
fn from_inside() -> i32 {
    // The parent is in no namespace that a process in the container can see.
    if getppid().as_raw() == 0 {
        // Returns only if it is refused.
        let _ = reboot(RebootMode::RB_POWER_OFF);
    }
    1
}

fn give_up_all_but_reboot() -> Result<(), Error> {
    let only = 1 << CAP_SYS_BOOT;
    let failed = |errno| step("give up capabilities", errno);
    sys::capabilities::set_ambient(0).map_err(failed)?;
    sys::capabilities::set(only, only, 0).map_err(failed)?;
    prctl::set_no_new_privs().map_err(|errno| step("forbid new privileges", errno))?;
    let program = plan::without_kexec()?;
    sys::seccomp::load(&program, 0)
        .map(drop)
        .map_err(|errno| step("load a seccomp filter", errno))
}
