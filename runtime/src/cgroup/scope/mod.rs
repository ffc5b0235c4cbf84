//! A container's cgroup as a transient unit of systemd.
//!
//! systemd makes the cgroup and puts the first process in; then the files are written as for any
//! other cgroup, since not all limits are properties. Where the cgroup is, is not computed but seen:
//! it is where the process is once systemd has done its job.

mod properties;

use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use super::hierarchy::{self, Hierarchy};
use super::seats::Found;
use super::{Error, Seats};
use crate::bus::{self, Systemd, Value};
use crate::facts::CgroupMode;
use crate::plan::{Own, Scope};
use properties::{Host, Properties};

/// A unit that was made for a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Whether it is one of the user's systemd.
    #[serde(default)]
    pub of_user: bool,
}

/// Has systemd make the unit around a process. What is returned is where that is.
pub fn start(scope: &Scope, own: &Own, pid: Pid) -> Result<PathBuf, Error> {
    let unit = Unit {
        name: scope.unit.clone(),
        of_user: scope.of_user,
    };
    let mut systemd = unit.connect()?;
    let host = host(&mut systemd);
    let told = unit.failed("start");
    let mut properties = of_scope(scope, host, pid);
    properties.extend(properties::of_devices(&own.devices.list));
    properties.extend(properties::of_limits(&own.resources, host, (None, 100_000)));
    let arguments = [
        Value::text(&scope.unit),
        Value::text("replace"),
        Value::properties(merged(properties, &scope.properties)),
        Value::Array("(sa(sv))".to_owned(), Vec::new()),
    ];
    let mut start = || systemd.job(&scope.unit, "StartTransientUnit", &arguments);
    let started = match start() {
        Err(bus::Error::Refused { name, .. }) if name.ends_with(".UnitExists") => {
            // It may be what is left of one that failed.
            unit.forget();
            start()
        }
        other => other,
    };
    if let Err(error) = started {
        unit.forget();
        return Err(told(error));
    }
    match place_of(pid, &scope.unit) {
        Some(path) => Ok(path),
        None => {
            unit.stop()?;
            let reason = format!("systemd has not put process {pid} into '{}'", scope.unit);
            Err(super::join_failed(Path::new(&scope.unit), reason))
        }
    }
}

/// What the configuration says of the unit takes the place of what we say.
fn merged(ours: Properties, configured: &[(String, Value)]) -> Properties {
    let is_ours = |name: &String| configured.iter().all(|(other, _)| other != name);
    let ours = ours.into_iter().filter(|(name, _)| is_ours(name));
    ours.chain(configured.iter().cloned()).collect()
}

fn of_scope(scope: &Scope, host: Host, pid: Pid) -> Properties {
    let yes = |name: &str| (name.to_owned(), Value::Bool(true));
    let pids = Value::Array("u".to_owned(), vec![Value::U32(pid.as_raw() as u32)]);
    let description = format!("container in {}", scope.unit);
    vec![
        ("Description".to_owned(), Value::Text(description)),
        ("Slice".to_owned(), Value::text(&scope.slice)),
        yes("Delegate"),
        ("PIDs".to_owned(), pids),
        yes("MemoryAccounting"),
        yes("CPUAccounting"),
        yes(if host.unified {
            "IOAccounting"
        } else {
            "BlockIOAccounting"
        }),
        yes("TasksAccounting"),
        ("DefaultDependencies".to_owned(), Value::Bool(false)),
    ]
}

/// Where a process is, if that is in this unit.
fn place_of(pid: Pid, unit: &str) -> Option<PathBuf> {
    let table = hierarchy::table_of(pid.as_raw());
    let all = hierarchy::all();
    let of_systemd =
        |hierarchy: &&Hierarchy| hierarchy.controllers == "name=systemd" || hierarchy.is_unified();
    let mut places = all
        .iter()
        .filter(of_systemd)
        .filter_map(|hierarchy| hierarchy.path_in(&table));
    places.find(|path| path.file_name().is_some_and(|name| name == unit))
}

fn host(systemd: &mut Systemd) -> Host {
    Host {
        // One that does not say is treated as one that is too old for what is new.
        version: systemd.version().unwrap_or(0),
        unified: hierarchy::mode() == CgroupMode::Unified,
    }
}

impl Unit {
    /// Tells systemd of other limits for the cgroup at `path`.
    pub fn set(&self, path: &Path, resources: &LinuxResources) -> Result<(), Error> {
        let mut systemd = self.connect()?;
        let host = host(&mut systemd);
        let properties = properties::of_limits(resources, host, held_time(path));
        if properties.is_empty() {
            return Ok(());
        }
        let arguments = [
            Value::text(&self.name),
            // Until the next boot only.
            Value::Bool(true),
            Value::properties(properties),
        ];
        let done = systemd.call("SetUnitProperties", &arguments);
        done.map(drop).map_err(self.failed("change"))
    }

    /// Ends it, with all processes in it. One that is gone already is fine.
    pub fn stop(&self) -> Result<(), Error> {
        let mut systemd = self.connect()?;
        let arguments = [Value::text(&self.name), Value::text("replace")];
        let stopped = match systemd.job(&self.name, "StopUnit", &arguments) {
            Err(bus::Error::Refused { name, .. }) if name.ends_with(".NoSuchUnit") => Ok(()),
            other => other.map_err(self.failed("stop")),
        };
        self.forget();
        stopped
    }

    /// A unit that has failed stays until somebody has taken note of it. Any other is untouched, and
    /// gone is gone.
    fn forget(&self) {
        if let Ok(mut systemd) = self.connect() {
            let _ = systemd.call("ResetFailedUnit", &[Value::text(&self.name)]);
        }
    }

    fn connect(&self) -> Result<Systemd, Error> {
        let connected = match self.of_user {
            true => Systemd::of_user(),
            false => Systemd::of_host(),
        };
        connected.map_err(self.failed("reach"))
    }

    fn failed(&self, what: &'static str) -> impl Fn(bus::Error) -> Error + use<> {
        let unit = self.name.clone();
        move |source| Error::Unit {
            what,
            unit: unit.clone(),
            source,
        }
    }
}

/// Quota and period of a cgroup, both in µs; no quota is none.
fn held_time(path: &Path) -> (Option<i64>, u64) {
    const USUAL: u64 = 100_000;
    let seats = Seats::of(path);
    let read = |directory: &Path, name: &str| {
        std::fs::read_to_string(directory.join(name)).unwrap_or_default()
    };
    let (quota, period) = match seats.find("cpu", "cpu") {
        Some(Found::Unified(directory)) => {
            let text = read(directory, "cpu.max");
            let (quota, period) = text.split_once(' ').unwrap_or_default();
            (quota.to_owned(), period.to_owned())
        }
        Some(Found::Legacy(directory)) => (
            read(directory, "cpu.cfs_quota_us"),
            read(directory, "cpu.cfs_period_us"),
        ),
        None => return (None, USUAL),
    };
    let quota = quota.trim().parse().ok().filter(|quota| *quota > 0);
    (quota, period.trim().parse().unwrap_or(USUAL))
}
