//! The state file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Hook;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ProcessId, Status};
use crate::cgroup;

/// The version of the specification that states are written by.
pub const OCI_VERSION: &str = "1.2.1";

/// What is remembered of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Its name.
    pub id: String,
    /// Its first process.
    pub init: ProcessId,
    /// The runtime that stays beside it in the foreground. With that gone, nobody waits for the
    /// container, and a new one may take its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<ProcessId>,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root file system.
    pub rootfs: PathBuf,
    /// When it was made, in RFC 3339.
    pub created: String,
    /// The numeric owner.
    pub owner: u32,
    /// The cgroup that was made for it, from the root of the hierarchy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// Directories of its class of service that go away with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resctrl: Vec<PathBuf>,
    /// The unit that systemd has made for it, which that cgroup is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<cgroup::Unit>,
    /// The number of the mount below which all of the container's are, where they are the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mount: Option<u64>,
    /// Whether killing the first process ends all others.
    pub own_pid_namespace: bool,
    /// From the configuration.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Still to run once it has started.
    #[serde(default)]
    pub poststart: Vec<Hook>,
    /// Still to run once it is gone.
    #[serde(default)]
    pub poststop: Vec<Hook>,
}

impl State {
    /// What `state` and `list` show.
    pub fn shown(&self, status: Status) -> serde_json::Value {
        json!({
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "pid": if status == Status::Stopped { 0 } else { self.init.pid },
            "status": status.word(),
            "bundle": self.bundle,
            "rootfs": self.rootfs,
            "created": self.created,
            "annotations": self.annotations,
            "owner": owner_name(self.owner),
        })
    }

    /// What was made for it to be in.
    pub fn made(&self) -> Option<cgroup::Made> {
        Some(cgroup::Made {
            path: self.cgroup.clone()?,
            unit: self.unit.clone(),
        })
    }

    /// Where its processes are.
    pub fn home(&self) -> cgroup::Home<'_> {
        cgroup::Home {
            own: self.cgroup.as_deref(),
            init: self.init.pid,
        }
    }

    /// What hooks read.
    pub fn for_hooks(&self) -> HookState {
        HookState {
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            annotations: self.annotations.clone(),
        }
    }
}

/// What hooks read of a container on their standard input.
#[derive(Clone, Debug)]
pub struct HookState {
    /// Its name.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// From the configuration.
    pub annotations: BTreeMap<String, String>,
}

impl HookState {
    /// As the specification writes it, for a container of which `pid` is the first process.
    pub fn text(&self, status: &str, pid: Option<i32>) -> String {
        self.value(status, pid).to_string()
    }

    /// The same, as part of something else.
    pub fn value(&self, status: &str, pid: Option<i32>) -> serde_json::Value {
        let mut state = json!({
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "status": status,
            "bundle": self.bundle,
            "annotations": self.annotations,
        });
        if let Some(pid) = pid {
            state["pid"] = pid.into();
        }
        state
    }
}

/// The owner's login name. Read from the file itself: a static program has no other directory.
fn owner_name(owner: u32) -> String {
    let passwd = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(owner)).then(|| name.to_owned())
        })
        .next()
        .unwrap_or_else(|| format!("#{owner}"))
}
