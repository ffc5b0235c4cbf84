//! From what a container is to be to the steps that make it.
//!
//! In: a [`Bundle`] and the [`Facts`] of this host. Out: a [`Plan`], plain data. This room computes;
//! it opens no file and asks the kernel nothing, so that everything here can be tried by tables.

mod cgroup;
mod devices;
mod identity;
mod labels;
mod limits;
mod mount_options;
mod mounts;
mod namespaces;
mod network;
mod owners;
mod ownership;
mod personality;
mod resctrl;
mod rules;
mod scheduling;
mod scope;
mod seccomp;
mod sysctl;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hooks, Linux, Process};

pub use cgroup::{Cgroup, DeviceRules, Own, Place};
pub use devices::{Device, Devices, Kind, Placing};
pub use identity::{Capabilities, DEFAULT_UMASK, Identity};
pub use limits::Limit;
pub use mount_options::{Attributes, Tuning};
use mounts::CgroupView;
pub use mounts::{Bind, MountStep, What};
pub use namespaces::{Join, Mapping, Namespaces};
pub use network::NetDevice;
pub use owners::Owners;
pub use resctrl::Resctrl;
pub use rules::{Access, DeviceKind, Rule, allow_all, plan as device_rules};
pub use scheduling::{Affinity, MemoryPolicy, Scheduling};
pub use scope::Scope;
pub use seccomp::{Filters, Listener, Seccomp, without_kexec};
pub use sysctl::Sysctl;

use crate::bundle::{self, Bundle, Names};
use crate::facts::Facts;

/// Why no plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value of config.json that cannot be honoured here.
    #[error("{field}: {reason}")]
    Field {
        /// The field's name in config.json.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Everything that is done to start one container.
#[derive(Clone, Debug)]
pub struct Plan {
    /// New and joined namespaces.
    pub namespaces: Namespaces,
    /// Where the process is accounted and limited.
    pub cgroup: Cgroup,
    /// Its class of service for cache and memory bandwidth.
    pub resctrl: Option<Resctrl>,
    /// Devices of the host's network that are moved into the container's.
    pub net_devices: Vec<NetDevice>,
    /// The root file system and how it is entered.
    pub root: Root,
    /// In the order in which they are made.
    pub mounts: Vec<MountStep>,
    /// Device nodes and the links that programs expect in /dev.
    pub devices: Devices,
    /// SELinux label of new file systems, which most of `mounts` have in them already.
    pub mount_label: Option<String>,
    /// Hidden and write-protected paths.
    pub masks: Masks,
    /// Kernel parameters, in the order of their names.
    pub sysctls: Vec<Sysctl>,
    /// Names of a new UTS namespace.
    pub names: Names,
    /// What it is all for.
    pub payload: Payload,
    /// Programs along the way.
    pub hooks: Hooks,
}

/// The program and all that it is in itself, whether its container is made for it or there already.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Set on the process before anything else.
    pub limits: Vec<Limit>,
    /// When and where it runs.
    pub scheduling: Scheduling,
    /// `process.oomScoreAdj`
    pub oom_score: Option<i32>,
    /// User, groups, capabilities.
    pub identity: Identity,
    /// The system call filter, and when it is loaded.
    pub seccomp: Option<Seccomp>,
    /// SELinux label that the exec changes to.
    pub label: Option<String>,
    /// AppArmor profile that the exec changes to.
    pub apparmor: Option<String>,
    /// Execution domain other than the usual one.
    pub personality: Option<u64>,
    /// What is executed in the end.
    pub program: Program,
    /// What the user is to be told.
    pub remarks: Vec<Remark>,
}

/// Something beside success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Something that was asked for and will not be.
    Warning(String),
    /// For those who look for the cause of something.
    Detail(String),
}

/// The root file system.
#[derive(Clone, Debug)]
pub struct Root {
    /// Where it is on the host.
    pub path: PathBuf,
    /// Opened by the host's side: the child's user namespace may not reach it.
    pub from_host: bool,
    /// Mounted read-only once all is made.
    pub readonly: bool,
    /// How mounts travel between host and container.
    pub propagation: Propagation,
    /// How it becomes `/`.
    pub entry: Entry,
    /// What is mounted in it is mounted on the host, and goes away with the container.
    pub on_host: bool,
}

/// `linux.rootfsPropagation`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The host's mounts appear in the container, not the other way round. The default.
    Slave,
    /// Nothing travels.
    Private,
    /// Both ways.
    Shared,
    /// As `Slave`; the root cannot be bound elsewhere.
    Unbindable,
}

/// How the root file system becomes `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// pivot_root: the old root is gone afterwards.
    Pivot,
    /// Moved over `/` and entered by chroot, for hosts whose root is a ramfs (`--no-pivot`).
    Move,
    /// Only chroot: there is no mount namespace of the container's own.
    Chroot,
}

/// What the container may not see or change.
#[derive(Clone, Debug, Default)]
pub struct Masks {
    /// Hidden: files show /dev/null, directories are empty.
    pub hidden: Vec<PathBuf>,
    /// Cannot be written.
    pub readonly: Vec<PathBuf>,
}

/// What is executed.
#[derive(Clone, Debug)]
pub struct Program {
    /// Name or path, then its arguments. Nothing where there is nothing to run.
    pub args: Vec<String>,
    /// `NAME=VALUE`
    pub env: Vec<String>,
    /// Working directory, absolute, in the container.
    pub cwd: PathBuf,
    /// Whether its standard streams are a terminal of its own.
    pub terminal: bool,
    /// Rows and columns that the terminal starts with.
    pub terminal_size: Option<(u16, u16)>,
}

/// What the command line adds to the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--systemd-cgroup`
    pub systemd_cgroup: bool,
    /// `--rootless`, where it says so or not.
    pub rootless: Option<bool>,
}

impl Plan {
    /// Whether the set-up uses devices that the container may not: a file system that is on one, a
    /// node that is made, a hook. Then rules for devices come after it, as with runc.
    pub fn needs_devices(&self) -> bool {
        const WITHOUT: [&str; 9] = [
            "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay", "bpf",
        ];
        let is_on_one = |step: &MountStep| match &step.what {
            What::New { kind, .. } => !WITHOUT.contains(&kind.as_str()),
            _ => false,
        };
        let hooks = self.hooks.create_container();
        self.devices.nodes.len() > devices::USUAL
            || self.mounts.iter().any(is_on_one)
            || hooks.as_ref().is_some_and(|hooks| !hooks.is_empty())
    }

    /// How many things the host's side opens for the child.
    pub fn from_host(&self) -> usize {
        usize::from(self.root.from_host) + self.binds_from_host().count()
    }

    /// Binds whose sources it opens, in order.
    pub fn binds_from_host(&self) -> impl Iterator<Item = &Bind> {
        self.mounts.iter().filter_map(|step| match &step.what {
            What::Bind(bind) if bind.from_host => Some(bind),
            _ => None,
        })
    }
}

/// Makes the plan for a container called `id`.
pub fn plan(
    bundle: &Bundle,
    facts: &Facts,
    id: &str,
    wishes: Wishes,
    filters: &Filters,
) -> Result<Plan, Error> {
    let namespaces = namespaces::plan(&bundle.linux);
    let rootless = wishes.rootless.unwrap_or(facts.rootless);
    let mut mounts = mounts::plan(
        &bundle.mounts,
        &mounts::Around {
            bundle: &bundle.dir,
            root: &bundle.rootfs,
            namespaces: &namespaces,
            is_root: facts.is_root,
            cgroups: match rootless && !namespaces.has_cgroup() {
                true => CgroupView::Hosts,
                false => CgroupView::Own,
            },
        },
    )?;
    let mount_label = labels::of_mounts(&bundle.linux);
    labels::label(&mut mounts, mount_label.as_deref());
    let owner = ownership::owner(bundle, facts, &namespaces, &mounts);
    Ok(Plan {
        cgroup: cgroup::plan(bundle, facts, (id, wishes), owner)?,
        resctrl: resctrl::plan(&bundle.linux, id)?,
        net_devices: network::plan(&bundle.linux, &namespaces)?,
        root: root(bundle, facts, &namespaces, wishes),
        devices: devices::plan(&bundle.linux, &mounts, &namespaces),
        mounts,
        mount_label,
        masks: masks(bundle),
        sysctls: sysctl::plan(&bundle.linux, &bundle.names)?,
        names: bundle.names.clone(),
        payload: with_warnings(payload(&bundle.process, &bundle.linux, filters)?, bundle),
        hooks: bundle.hooks.clone(),
        namespaces,
    })
}

/// The program starts without what nobody here could give it, and its owner is told.
fn with_warnings(mut payload: Payload, bundle: &Bundle) -> Payload {
    let warnings = bundle.warnings.iter().cloned().map(Remark::Warning);
    payload.remarks.extend(warnings);
    payload
}

impl Plan {
    /// Sets the container up outside of the PID namespace that it joins, so that nobody in there sees
    /// a process with the host in its hands. /proc must then be told whose processes it shows.
    pub fn join_pids_last(&mut self) {
        let Some(join) = self.namespaces.join_last() else {
            return;
        };
        let shown = format!("pidns={}", join.path.display());
        for step in &mut self.mounts {
            if let What::New { kind, tuning, .. } = &mut step.what
                && kind == "proc"
            {
                tuning.data.push(shown.clone());
            }
        }
    }
}

/// What an exec needs too: the process, and of the container what holds for each of its processes.
pub fn payload(process: &Process, linux: &Linux, filters: &Filters) -> Result<Payload, Error> {
    let identity = identity::plan(process);
    let seccomp = seccomp::plan(linux, process, filters)?;
    let mut remarks = identity.remarks();
    remarks.extend(seccomp.as_ref().map(Seccomp::remark));
    Ok(Payload {
        limits: limits::plan(process)?,
        scheduling: scheduling::plan(process, linux)?,
        oom_score: process.oom_score_adj(),
        identity,
        seccomp,
        label: named(process.selinux_label()),
        apparmor: named(process.apparmor_profile()),
        personality: personality::plan(linux)?,
        program: program(process),
        remarks,
    })
}

fn named(text: &Option<String>) -> Option<String> {
    text.clone().filter(|name| !name.is_empty())
}

fn root(bundle: &Bundle, facts: &Facts, namespaces: &Namespaces, wishes: Wishes) -> Root {
    let asked = bundle.linux.rootfs_propagation().as_deref();
    Root {
        path: bundle.rootfs.clone(),
        from_host: namespaces.has_user() && namespaces.has_mount() && facts.is_root,
        readonly: bundle.readonly,
        propagation: match asked.map(|name| name.trim_start_matches('r')) {
            Some("shared") => Propagation::Shared,
            Some("private") => Propagation::Private,
            Some("unbindable") => Propagation::Unbindable,
            _ => Propagation::Slave,
        },
        entry: match (namespaces.has_mount(), wishes.no_pivot) {
            (false, _) => Entry::Chroot,
            (true, true) => Entry::Move,
            (true, false) => Entry::Pivot,
        },
        on_host: !namespaces.has_mount() && mounts_anything(bundle),
    }
}

/// Being read-only is a mount's property, and a terminal is mounted on /dev/console.
fn mounts_anything(bundle: &Bundle) -> bool {
    !bundle.mounts.is_empty() || bundle.readonly || bundle.process.terminal() == Some(true)
}

/// A path that is named twice is covered once. One that is relative, which the specification does
/// not know, starts at the root, as with runc.
fn masks(bundle: &Bundle) -> Masks {
    let unique = |paths: &Option<Vec<String>>| {
        let mut seen = Vec::new();
        for path in paths.iter().flatten() {
            let path = Path::new("/").join(path);
            if !seen.contains(&path) {
                seen.push(path);
            }
        }
        seen
    };
    Masks {
        hidden: unique(bundle.linux.masked_paths()),
        readonly: unique(bundle.linux.readonly_paths()),
    }
}

fn program(process: &Process) -> Program {
    Program {
        args: process.args().clone().unwrap_or_default(),
        env: bundle::merged(None, process.env().as_deref().unwrap_or_default()),
        cwd: process.cwd().clone(),
        terminal: process.terminal().unwrap_or(false),
        terminal_size: process
            .console_size()
            .as_ref()
            .map(|size| (size.height() as u16, size.width() as u16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::CgroupMode;

    /// A plan for the default configuration after `change`.
    pub(super) fn plan_with(change: impl FnOnce(&mut serde_json::Value)) -> Result<Plan, Error> {
        let scratch = tempfile::tempdir().unwrap();
        let mut config = crate::bundle::default_config();
        change(&mut config);
        std::fs::create_dir(scratch.path().join("rootfs")).unwrap();
        std::fs::write(scratch.path().join("config.json"), config.to_string()).unwrap();
        let bundle = crate::bundle::read(scratch.path()).unwrap();
        let facts = Facts {
            cgroup_mode: CgroupMode::Unified,
            own_cgroup: "/system.slice/web.service".into(),
            is_root: true,
            rootless: false,
        };
        let filters = Filters::of(std::path::Path::new("/proc/nowhere"));
        plan(&bundle, &facts, "web", Wishes::default(), &filters)
    }

    #[test]
    fn a_default_container_stays_in_the_cgroup_of_its_starter() {
        let plan = plan_with(|_| {}).unwrap();
        assert_eq!(plan.cgroup, Cgroup::Stay);
        assert_eq!(plan.root.entry, Entry::Pivot);
        assert_eq!(plan.root.propagation, Propagation::Slave);
        assert!(plan.payload.program.terminal);
    }

    #[test]
    fn a_path_masked_twice_is_masked_once() {
        let plan = plan_with(|config| {
            config["linux"]["maskedPaths"] = serde_json::json!(["/a", "/b", "/a", "b"]);
        })
        .unwrap();
        assert_eq!(
            plan.masks.hidden,
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
    }

    #[test]
    fn without_a_mount_namespace_only_chroot_is_left() {
        let plan = plan_with(|config| {
            config["root"]["readonly"] = false.into();
            config["process"]["terminal"] = false.into();
            config["linux"] = serde_json::json!({});
            config["mounts"] = serde_json::json!([]);
            config["hostname"] = "".into();
        })
        .unwrap();
        assert_eq!(plan.root.entry, Entry::Chroot);
        assert_eq!(plan.namespaces.clone_flags, 0);
    }
}
