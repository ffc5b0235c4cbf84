//! Mount entries, as steps.

use std::path::{Component, Path, PathBuf};

use libcontainer::syscall::linux as flags;
use oci_spec::runtime::Mount;

use super::Error;
use super::mount_options::{Attributes, Options, Tuning};
use super::namespaces::Namespaces;
use super::owners::{Owners, owners};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountStep {
    /// Where, in the container: absolute, without `.` and `..`.
    pub target: PathBuf,
    /// What.
    pub what: What,
    /// Properties of the mount.
    pub attributes: Attributes,
    /// How it travels: `MS_SHARED` and kin, with `MS_REC`, in the order given.
    pub propagation: Vec<u64>,
    /// Becomes read-only only when everything below it has been made.
    pub readonly_late: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file or directory of the host.
    Bind(Bind),
    /// A file system of its own.
    New {
        /// Its type.
        kind: String,
        /// What it says it was made from.
        source: String,
        /// Options that the file system itself understands.
        tuning: Tuning,
        /// Starts with a copy of what it covers.
        copy_up: bool,
    },
    /// The cgroup that the container is in, of every hierarchy.
    Cgroup,
    /// What is mounted there already, changed.
    Again {
        /// Changes to the file system itself, if any.
        tuning: Option<Tuning>,
    },
}

/// What a bind mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Absolute, on the host.
    pub source: PathBuf,
    /// With what is mounted below it.
    pub recursive: bool,
    /// Whose files they seem to be, if not their owners'.
    pub owners: Option<Owners>,
    /// Opened by the host's side: the child's user namespace may not reach the source, or may not
    /// say whose its files are.
    pub from_host: bool,
}

/// Whose cgroups a container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupView {
    /// Its own, or the host's by leave of the host's root.
    Own,
    /// Those of the user who started it and has no privileges: without a cgroup namespace other
    /// cgroups of that user can be reached, and they are the user's to write.
    Hosts,
}

/// What a mount depends on besides its entry.
pub struct Around<'a> {
    /// Where relative sources start.
    pub bundle: &'a Path,
    /// The root file system on the host. A target below it means what is there.
    pub root: &'a Path,
    /// The container's namespaces.
    pub namespaces: &'a Namespaces,
    /// Whether we have the privileges of root.
    pub is_root: bool,
    /// What is seen of the host's cgroups.
    pub cgroups: CgroupView,
}

/// Turns the configured mounts into steps.
pub fn plan(mounts: &[Mount], around: &Around) -> Result<Vec<MountStep>, Error> {
    mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| {
            step(mount, around).map_err(|reason| Error::Field {
                field: format!("mounts[{index}] ('{}')", mount.destination().display()),
                reason,
            })
        })
        .collect()
}

fn step(mount: &Mount, around: &Around) -> Result<MountStep, String> {
    let target = cleaned(mount.destination());
    let target = match target.strip_prefix(around.root) {
        Ok(below) => Path::new("/").join(below),
        Err(_) => target,
    };
    let mut options = Options::read(mount.options().as_deref().unwrap_or_default());
    let what = what(mount, &mut options, around)?;
    guard_proc(&target, &what)?;
    let mut attributes = match what {
        What::Bind(_) => options.attributes.of_bind(),
        _ => options.attributes,
    };
    if around.cgroups == CgroupView::Hosts && shows_cgroups(&what) {
        attributes.set_all |= flags::MOUNT_ATTR_RDONLY;
        attributes.clear_all &= !flags::MOUNT_ATTR_RDONLY;
    }
    // /dev is filled after it is mounted.
    let readonly_late =
        target == Path::new("/dev") && attributes.set & flags::MOUNT_ATTR_RDONLY != 0;
    if readonly_late {
        attributes.set &= !flags::MOUNT_ATTR_RDONLY;
    }
    Ok(MountStep {
        target,
        what,
        attributes,
        propagation: options.propagation,
        readonly_late,
    })
}

/// A bind is known by its option; the type says nothing (runc), or says it alone (old configs).
fn what(mount: &Mount, options: &mut Options, around: &Around) -> Result<What, String> {
    let kind = mount.typ().as_deref().filter(|kind| *kind != "none");
    let kind = kind.unwrap_or_default();
    let is_bind = options.bind.is_some() || kind == "bind";
    let owners = owners(mount, options, around)?;
    if owners.is_some() && !is_bind {
        return Err("only bind mounts can be id-mapped".to_owned());
    }
    let tuning = std::mem::take(&mut options.tuning);
    if options.remount {
        return again(tuning, is_bind);
    }
    let source = mount.source().clone().unwrap_or_default();
    if is_bind {
        if source.as_os_str().is_empty() {
            return Err("a bind mount needs a source".to_owned());
        }
        let foreign = around.namespaces.has_user() && around.is_root;
        return Ok(What::Bind(Bind {
            source: around.bundle.join(source),
            recursive: options.bind.unwrap_or(false),
            from_host: foreign || owners.is_some(),
            owners,
        }));
    }
    match kind {
        "cgroup" | "cgroup2" => Ok(What::Cgroup),
        "" => Err("it has neither a type nor the option 'bind'".to_owned()),
        _ => Ok(new(kind, &source.display().to_string(), tuning, options)),
    }
}

impl MountStep {
    /// Whether it is a view of the kernel that the runtime itself relies on.
    pub fn is_kernels(&self) -> bool {
        matches!(&self.what, What::New { kind, .. } if kind == "proc" || kind == "sysfs")
    }
}

fn new(kind: &str, source: &str, mut tuning: Tuning, options: &Options) -> What {
    // A medium that cannot be written is not even read without being told so. Where there is no
    // medium the mount alone is read-only: proc and sysfs are shared with others.
    if source.starts_with('/') && options.attributes.set & flags::MOUNT_ATTR_RDONLY != 0 {
        tuning.set |= libc::MS_RDONLY;
    }
    What::New {
        kind: kind.to_owned(),
        source: if source.is_empty() { kind } else { source }.to_owned(),
        tuning,
        copy_up: options.copy_up,
    }
}

fn again(tuning: Tuning, is_bind: bool) -> Result<What, String> {
    if (tuning.set | tuning.clear) & (libc::MS_I_VERSION | libc::MS_SILENT) != 0 {
        return Err("'remount' cannot change 'iversion' or 'silent'".to_owned());
    }
    Ok(What::Again {
        tuning: Some(tuning).filter(|tuning| !is_bind && *tuning != Tuning::default()),
    })
}

/// Whether some of the host's cgroups come along.
fn shows_cgroups(what: &What) -> bool {
    let cgroups = Path::new("/sys/fs/cgroup");
    match what {
        What::Cgroup => true,
        What::Bind(bind) if bind.recursive => {
            cgroups.starts_with(&bind.source) || bind.source.starts_with(cgroups)
        }
        What::Bind(bind) => bind.source.starts_with(cgroups),
        What::New { .. } | What::Again { .. } => false,
    }
}

/// /proc must be what it says it is, for the runtime writes to it.
fn guard_proc(target: &Path, what: &What) -> Result<(), String> {
    let is_proc = match what {
        What::New { kind, .. } => kind == "proc",
        What::Bind(_) | What::Again { .. } => true,
        What::Cgroup => false,
    };
    if target == Path::new("/proc") && !is_proc {
        return Err("only a proc file system may be mounted on '/proc'".to_owned());
    }
    Ok(())
}

/// Without `.` and with every `..` gone up: `/a/../proc` is `/proc`.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn with(namespaces: &Namespaces, cgroups: CgroupView, json: Value) -> Result<MountStep, Error> {
        let around = Around {
            bundle: Path::new("/b"),
            root: Path::new("/b/rootfs"),
            namespaces,
            is_root: true,
            cgroups,
        };
        let mount: Mount = serde_json::from_value(json).unwrap();
        plan(&[mount], &around).map(|mut steps| steps.remove(0))
    }

    fn one(json: Value) -> Result<MountStep, Error> {
        with(&Namespaces::default(), CgroupView::Own, json)
    }

    #[test]
    fn binds_are_known_by_their_option() {
        let table = [
            (
                json!({"source": "/s", "options": ["bind", "ro"]}),
                "/s",
                false,
            ),
            (
                json!({"source": "s", "type": "none", "options": ["rbind"]}),
                "/b/s",
                true,
            ),
            (
                json!({"source": "/s", "type": "bind", "options": ["mode=755"]}),
                "/s",
                false,
            ),
        ];
        for (mut json, source, recursive) in table {
            json["destination"] = "/d".into();
            let What::Bind(bind) = one(json).unwrap().what else {
                panic!()
            };
            assert_eq!((bind.source, bind.recursive), (source.into(), recursive));
            assert!(!bind.from_host && bind.owners.is_none());
        }
    }

    #[test]
    fn owners_are_those_given_or_the_containers() {
        let ids = json!([{"containerID": 0, "hostID": 7, "size": 9}]);
        let bind = |options: &[&str], ids: Option<Value>| {
            let mut json = json!({"destination": "/d", "source": "/s", "options": options});
            if let Some(ids) = ids {
                json["uidMappings"] = ids.clone();
                json["gidMappings"] = ids;
            }
            json
        };
        let owners = |namespaces: &Namespaces, json: Value| {
            with(namespaces, CgroupView::Own, json).map(|step| match step.what {
                What::Bind(bind) => bind.owners,
                _ => None,
            })
        };
        let (none, user) = (
            Namespaces::default(),
            Namespaces {
                clone_flags: libc::CLONE_NEWUSER as u64,
                ..Namespaces::default()
            },
        );
        let given = owners(&none, bind(&["bind"], Some(ids.clone())))
            .unwrap()
            .unwrap();
        assert_eq!(given.mapping.unwrap().users, [(0, 7, 9)]);
        let given = owners(&none, bind(&["rbind", "ridmap"], Some(ids.clone()))).unwrap();
        assert!(given.unwrap().recursive);
        let own = owners(&user, bind(&["bind", "idmap"], None))
            .unwrap()
            .unwrap();
        assert_eq!(own.mapping, None);
        assert!(owners(&none, bind(&["bind", "idmap"], None)).is_err());
        let half = json!({"destination": "/d", "source": "/s", "type": "bind", "uidMappings": ids});
        assert!(owners(&none, half).is_err());
        let tmpfs = json!({"destination": "/d", "type": "tmpfs", "options": ["idmap"]});
        assert!(owners(&user, tmpfs).is_err());
    }

    #[test]
    fn a_medium_is_told_that_it_is_not_written() {
        let set = |json: Value| match one(json).unwrap().what {
            What::New { tuning, .. } => tuning.set,
            _ => panic!(),
        };
        let mount = |source: &str| json!({"destination": "/d", "type": "iso9660", "source": source, "options": ["ro"]});
        assert_eq!(set(mount("/dev/sr0")), libc::MS_RDONLY);
        assert_eq!(set(mount("none")), 0);
    }

    #[test]
    fn cve_2023_25809_the_hosts_cgroups_cannot_be_written() {
        let set_all = |json: Value| {
            let step = with(&Namespaces::default(), CgroupView::Hosts, json).unwrap();
            step.attributes.set_all
        };
        let bind = |source: &str, option: &str| json!({"destination": "/d", "source": source, "options": [option, "rrw"]});
        for (json, readonly) in [
            (
                json!({"destination": "/sys/fs/cgroup", "type": "cgroup"}),
                1,
            ),
            (bind("/sys", "rbind"), 1),
            (bind("/sys", "bind"), 0),
            (bind("/sys/fs/cgroup/user.slice", "bind"), 1),
            (bind("/srv", "rbind"), 0),
        ] {
            assert_eq!(set_all(json.clone()), readonly, "{json}");
        }
    }

    #[test]
    fn proc_stays_proc() {
        let proc = |target: &str, kind: &str| one(json!({"destination": target, "type": kind}));
        assert!(proc("/proc", "tmpfs").is_err());
        assert!(proc("/a/../proc", "tmpfs").is_err());
        assert!(proc("/proc", "proc").is_ok());
    }

    #[test]
    fn a_target_may_be_told_as_the_host_has_it() {
        let target = |text: &str| {
            one(json!({"destination": text, "type": "tmpfs"}))
                .unwrap()
                .target
        };
        assert_eq!(target("/b/rootfs/a"), Path::new("/a"));
        assert_eq!(target("/b/rootfs2/a"), Path::new("/b/rootfs2/a"));
    }

    #[test]
    fn a_readonly_dev_is_filled_first() {
        let step = one(json!({"destination": "/dev", "type": "tmpfs", "options": ["ro"]})).unwrap();
        assert!(step.readonly_late);
        assert_eq!(step.attributes.set, 0);
    }

    #[test]
    fn a_mount_of_nothing_is_refused() {
        assert!(one(json!({"destination": "/d", "source": "/s"})).is_err());
        assert!(one(json!({"destination": "/d", "options": ["bind"]})).is_err());
    }
}
