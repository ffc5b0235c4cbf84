//! Mount entries, with their options turned into flags.

use std::path::{Component, Path, PathBuf};

use libcontainer::syscall::linux as flags;
use oci_spec::runtime::Mount;

use super::Error;

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
    Bind {
        /// Absolute, on the host.
        source: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// A file system of its own.
    New {
        /// Its type.
        kind: String,
        /// What it says it was made from.
        source: String,
        /// Options that the file system itself understands.
        data: Vec<String>,
        /// Starts with a copy of what it covers.
        copy_up: bool,
    },
    /// The cgroup that the container is in, of every hierarchy.
    Cgroup,
}

/// Properties as `mount_setattr` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Set on the mount.
    pub set: u64,
    /// Cleared on the mount.
    pub clear: u64,
    /// Set on it and all below it.
    pub set_all: u64,
    /// Cleared on it and all below it.
    pub clear_all: u64,
}

/// Turns the configured mounts into steps. Relative sources start at the bundle.
pub fn plan(mounts: &[Mount], bundle: &Path) -> Result<Vec<MountStep>, Error> {
    mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| {
            step(mount, bundle).map_err(|reason| Error::Field {
                field: format!("mounts[{index}] ('{}')", mount.destination().display()),
                reason,
            })
        })
        .collect()
}

fn step(mount: &Mount, bundle: &Path) -> Result<MountStep, String> {
    let target = cleaned(mount.destination());
    let options = Options::read(mount.options().as_deref().unwrap_or_default());
    let kind = mount
        .typ()
        .as_deref()
        .filter(|kind| *kind != "none")
        .unwrap_or_default();
    let source = mount.source().clone().unwrap_or_default();
    // A bind is known by its option; the type says nothing (runc), or says it alone (old configs).
    let what = if options.bind.is_some() || kind == "bind" {
        if source.as_os_str().is_empty() {
            return Err("a bind mount needs a source".to_owned());
        }
        What::Bind {
            source: bundle.join(source),
            recursive: options.bind.unwrap_or(false),
        }
    } else if matches!(kind, "cgroup" | "cgroup2") {
        What::Cgroup
    } else if kind.is_empty() {
        return Err("it has neither a type nor the option 'bind'".to_owned());
    } else {
        let source = source.display().to_string();
        What::New {
            source: if source.is_empty() {
                kind.to_owned()
            } else {
                source
            },
            kind: kind.to_owned(),
            data: options.data.clone(),
            copy_up: options.copy_up,
        }
    };
    guard_proc(&target, &what)?;
    Ok(MountStep {
        // /dev is filled after it is mounted.
        readonly_late: target == Path::new("/dev")
            && options.attributes.set & flags::MOUNT_ATTR_RDONLY != 0,
        target,
        what,
        attributes: options.attributes,
        propagation: options.propagation,
    }
    .deferred())
}

impl MountStep {
    /// Whether it is a view of the kernel that the runtime itself relies on.
    pub fn is_kernels(&self) -> bool {
        matches!(&self.what, What::New { kind, .. } if kind == "proc" || kind == "sysfs")
    }

    fn deferred(mut self) -> MountStep {
        if self.readonly_late {
            self.attributes.set &= !flags::MOUNT_ATTR_RDONLY;
        }
        self
    }
}

/// /proc must be what it says it is, for the runtime writes to it.
fn guard_proc(target: &Path, what: &What) -> Result<(), String> {
    let is_proc = match what {
        What::New { kind, .. } => kind == "proc",
        What::Bind { .. } => true,
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

#[derive(Default)]
struct Options {
    /// `Some(recursive)` for a bind mount.
    bind: Option<bool>,
    attributes: Attributes,
    propagation: Vec<u64>,
    data: Vec<String>,
    copy_up: bool,
}

impl Options {
    fn read(options: &[String]) -> Options {
        let mut read = Options::default();
        for option in options {
            read.take(option);
        }
        read
    }

    fn take(&mut self, option: &str) {
        match option {
            "" | "defaults" | "async" | "nomand" => {}
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "tmpcopyup" => self.copy_up = true,
            _ => {
                if let Some(flag) = propagation(option) {
                    self.propagation.push(flag);
                } else if let Some((set, clear)) = attribute(option) {
                    self.attributes.set = self.attributes.set & !clear | set;
                    self.attributes.clear = self.attributes.clear & !set | clear;
                } else if let Some((set, clear)) = option.strip_prefix('r').and_then(attribute) {
                    self.attributes.set_all = self.attributes.set_all & !clear | set;
                    self.attributes.clear_all = self.attributes.clear_all & !set | clear;
                } else {
                    self.data.push(option.to_owned());
                }
            }
        }
    }
}

fn propagation(option: &str) -> Option<u64> {
    let (name, recursive) = match option.strip_prefix('r') {
        Some(name) => (name, libc::MS_REC),
        None => (option, 0),
    };
    let flag = match name {
        "shared" => libc::MS_SHARED,
        "slave" => libc::MS_SLAVE,
        "private" => libc::MS_PRIVATE,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => return None,
    };
    Some(flag | recursive)
}

/// What an option sets and clears. The kinds of access time exclude each other, and the kernel
/// wants the whole field cleared before one is set.
fn attribute(option: &str) -> Option<(u64, u64)> {
    const ATIME: u64 = flags::MOUNT_ATTR__ATIME;
    Some(match option {
        "ro" => (flags::MOUNT_ATTR_RDONLY, 0),
        "rw" => (0, flags::MOUNT_ATTR_RDONLY),
        "nosuid" => (flags::MOUNT_ATTR_NOSUID, 0),
        "suid" => (0, flags::MOUNT_ATTR_NOSUID),
        "nodev" => (flags::MOUNT_ATTR_NODEV, 0),
        "dev" => (0, flags::MOUNT_ATTR_NODEV),
        "noexec" => (flags::MOUNT_ATTR_NOEXEC, 0),
        "exec" => (0, flags::MOUNT_ATTR_NOEXEC),
        "nodiratime" => (flags::MOUNT_ATTR_NODIRATIME, 0),
        "diratime" => (0, flags::MOUNT_ATTR_NODIRATIME),
        "nosymfollow" => (flags::MOUNT_ATTR_NOSYMFOLLOW, 0),
        "symfollow" => (0, flags::MOUNT_ATTR_NOSYMFOLLOW),
        "noatime" => (flags::MOUNT_ATTR_NOATIME, ATIME),
        "strictatime" => (flags::MOUNT_ATTR_STRICTATIME, ATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => (0, ATIME),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: serde_json::Value) -> Result<MountStep, Error> {
        let mount: Mount = serde_json::from_value(json).unwrap();
        plan(&[mount], Path::new("/b")).map(|mut steps| steps.remove(0))
    }

    #[test]
    fn binds_are_known_by_their_option() {
        let table = [
            (
                serde_json::json!({"destination": "/d", "source": "/s", "options": ["bind", "ro"]}),
                "/s",
                false,
            ),
            (
                serde_json::json!({"destination": "/d", "source": "s", "type": "none", "options": ["rbind"]}),
                "/b/s",
                true,
            ),
            (
                serde_json::json!({"destination": "/d", "source": "/s", "type": "bind", "options": ["mode=755"]}),
                "/s",
                false,
            ),
        ];
        for (json, source, recursive) in table {
            let what = one(json).unwrap().what;
            assert_eq!(
                what,
                What::Bind {
                    source: source.into(),
                    recursive
                }
            );
        }
    }

    #[test]
    fn options_become_flags() {
        let attributes = |options: &[&str]| {
            one(serde_json::json!({"destination": "/d", "type": "tmpfs", "options": options}))
                .unwrap()
                .attributes
        };
        let both = Attributes {
            set: 1,
            clear: 0,
            ..Default::default()
        };
        assert_eq!(attributes(&["rw", "ro"]), both);
        assert_eq!(
            attributes(&["ro", "rw"]),
            Attributes {
                clear: 1,
                ..Default::default()
            }
        );
        assert_eq!(
            attributes(&["rro"]),
            Attributes {
                set_all: 1,
                ..Default::default()
            }
        );
        let noatime = Attributes {
            set: 0x10,
            clear: 0x60,
            ..Default::default()
        };
        assert_eq!(
            attributes(&["noatime"]),
            Attributes {
                clear: 0x70,
                ..noatime
            }
        );
        for option in ["ratime", "rnostrictatime", "rrelatime"] {
            assert_eq!(
                attributes(&[option]),
                Attributes {
                    clear_all: 0x70,
                    ..Default::default()
                }
            );
        }
    }

    #[test]
    fn what_no_mount_knows_goes_to_the_file_system() {
        let step = one(serde_json::json!({"destination": "/d", "type": "tmpfs",
            "options": ["mode=755", "size=1k", "rslave", "tmpcopyup", "defaults"]}))
        .unwrap();
        assert_eq!(step.propagation, [libc::MS_SLAVE | libc::MS_REC]);
        let What::New { data, copy_up, .. } = step.what else {
            panic!()
        };
        assert!(copy_up);
        assert_eq!(data, ["mode=755", "size=1k"]);
    }

    #[test]
    fn proc_stays_proc() {
        assert!(one(serde_json::json!({"destination": "/proc", "type": "tmpfs"})).is_err());
        assert!(one(serde_json::json!({"destination": "/a/../proc", "type": "tmpfs"})).is_err());
        assert!(one(serde_json::json!({"destination": "/proc", "type": "proc"})).is_ok());
    }

    #[test]
    fn a_readonly_dev_is_filled_first() {
        let step =
            one(serde_json::json!({"destination": "/dev", "type": "tmpfs", "options": ["ro"]}))
                .unwrap();
        assert!(step.readonly_late);
        assert_eq!(step.attributes.set, 0);
    }

    #[test]
    fn a_mount_of_nothing_is_refused() {
        assert!(one(serde_json::json!({"destination": "/d", "source": "/s"})).is_err());
        assert!(one(serde_json::json!({"destination": "/d", "options": ["bind"]})).is_err());
    }
}
