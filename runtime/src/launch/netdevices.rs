//! Network devices on their way from the host's network to the container's.

use std::fs::File;

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use super::{Error, step};
use crate::netlink::Route;
use crate::plan::{NetDevice, Plan};

/// Moves all of them, each with its lasting addresses, and sets them up.
pub fn move_all(plan: &Plan, pid: Pid) -> Result<(), Error> {
    if plan.net_devices.is_empty() {
        return Ok(());
    }
    let failed = |errno| step("open a routing socket for linux.netDevices", errno);
    let namespace = namespace(plan, pid)?;
    let here = Route::open().map_err(failed)?;
    let there = route_in(&namespace)?;
    plan.net_devices.iter().try_for_each(|device| {
        move_one(&here, &there, &namespace, device).map_err(|errno| {
            let what = format!("move linux.netDevices '{}' into the container", device.name);
            step(what, errno)
        })
    })
}

/// A device loses its addresses with the move. It is down meanwhile, so that nobody on the host
/// relies on it.
fn move_one(here: &Route, there: &Route, to: &File, device: &NetDevice) -> nix::Result<()> {
    let index = here.index(&device.name)?;
    let addresses = here.addresses(index)?;
    here.set_up(index, false)?;
    here.move_to(index, to, &device.new_name)?;
    let index = there.index(&device.new_name)?;
    for address in &addresses {
        there.add_address(index, address)?;
    }
    there.set_up(index, true)
}

/// The one that is joined, or the child's new one.
fn namespace(plan: &Plan, pid: Pid) -> Result<File, Error> {
    let mut joined = plan.namespaces.join.iter();
    let path = match joined.find(|join| join.kind == CloneFlags::CLONE_NEWNET) {
        Some(join) => join.path.clone(),
        None => format!("/proc/{pid}/ns/net").into(),
    };
    File::open(&path).map_err(|error| step(format!("open '{}'", path.display()), error))
}

/// A socket stays where it was opened, so we are there for a moment only.
fn route_in(namespace: &File) -> Result<Route, Error> {
    let network = CloneFlags::CLONE_NEWNET;
    let failed = |errno| step("enter the container's network", errno);
    let ours =
        File::open("/proc/self/ns/net").map_err(|error| step("open '/proc/self/ns/net'", error))?;
    setns(namespace, network).map_err(failed)?;
    let route = Route::open();
    setns(ours, network).map_err(|errno| step("return to our own network", errno))?;
    route.map_err(failed)
}
