//! Mount options: which is a property of the mount, which of the file system, which of neither.

use libcontainer::syscall::linux as flags;

/// Properties as `mount_setattr` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Set on the mount.
    pub set: u64,
    /// Cleared on the mount.
    pub clear: u64,
    /// Cleared on it too, as far as nothing locks it: what a bind has from its source.
    pub clear_rest: u64,
    /// Set on it and all below it.
    pub set_all: u64,
    /// Cleared on it and all below it.
    pub clear_all: u64,
}

impl Attributes {
    /// What a bind gets. One that asks for any property has those that it asks for and no others:
    /// so it is with runc and crun, and engines name what they want to keep. Access times are left
    /// as they are, and who asks for nothing has all as the source has it.
    pub fn of_bind(self) -> Attributes {
        const ALL: u64 = flags::MOUNT_ATTR_RDONLY
            | flags::MOUNT_ATTR_NOSUID
            | flags::MOUNT_ATTR_NODEV
            | flags::MOUNT_ATTR_NOEXEC
            | flags::MOUNT_ATTR_NOSYMFOLLOW;
        let asked = self.set | self.clear;
        Attributes {
            clear_rest: if asked == 0 { 0 } else { ALL & !asked },
            ..self
        }
    }
}

/// What is said to the file system itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// `MS_SYNCHRONOUS` and kin.
    pub set: u64,
    /// The same, taken away.
    pub clear: u64,
    /// Words that only this file system understands.
    pub data: Vec<String>,
}

impl Tuning {
    /// Only words that the file system understands.
    pub fn data(words: &[&str]) -> Tuning {
        Tuning {
            data: words.iter().map(ToString::to_string).collect(),
            ..Tuning::default()
        }
    }
}

/// All options of a mount entry, sorted.
#[derive(Default)]
pub(super) struct Options {
    /// `Some(recursive)` for a bind mount.
    pub bind: Option<bool>,
    /// `Some(recursive)` for one whose owners are shown as others.
    pub idmap: Option<bool>,
    /// What is mounted there already is changed.
    pub remount: bool,
    /// A new tmpfs starts with a copy of what it covers.
    pub copy_up: bool,
    pub attributes: Attributes,
    /// `MS_SHARED` and kin, with `MS_REC`, in the order given.
    pub propagation: Vec<u64>,
    pub tuning: Tuning,
}

impl Options {
    pub fn read(options: &[String]) -> Options {
        let mut read = Options::default();
        for option in options {
            read.take(option);
        }
        read
    }

    fn take(&mut self, option: &str) {
        match option {
            // Kernel messages about a mount come back to the caller anyway.
            "" | "defaults" | "loud" => {}
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "idmap" => self.idmap = Some(self.idmap.unwrap_or(false)),
            "ridmap" => self.idmap = Some(true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            _ => self.take_flag(option),
        }
    }

    fn take_flag(&mut self, option: &str) {
        let attributes = &mut self.attributes;
        if let Some(flag) = propagation(option) {
            self.propagation.push(flag);
        } else if let Some(change) = attribute(option) {
            toggle((&mut attributes.set, &mut attributes.clear), change);
        } else if let Some(change) = option.strip_prefix('r').and_then(attribute) {
            toggle((&mut attributes.set_all, &mut attributes.clear_all), change);
        } else if let Some(change) = tuning(option) {
            toggle((&mut self.tuning.set, &mut self.tuning.clear), change);
        } else {
            self.tuning.data.push(option.to_owned());
        }
    }
}

/// Of options that contradict each other the last one counts.
fn toggle((all_set, all_cleared): (&mut u64, &mut u64), (set, clear): (u64, u64)) {
    *all_set = *all_set & !clear | set;
    *all_cleared = *all_cleared & !set | clear;
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

/// What holds for the file system wherever it is mounted.
fn tuning(option: &str) -> Option<(u64, u64)> {
    Some(match option {
        "sync" => (libc::MS_SYNCHRONOUS, 0),
        "async" => (0, libc::MS_SYNCHRONOUS),
        "dirsync" => (libc::MS_DIRSYNC, 0),
        "lazytime" => (libc::MS_LAZYTIME, 0),
        "nolazytime" => (0, libc::MS_LAZYTIME),
        "mand" => (libc::MS_MANDLOCK, 0),
        "nomand" => (0, libc::MS_MANDLOCK),
        "iversion" => (libc::MS_I_VERSION, 0),
        "noiversion" => (0, libc::MS_I_VERSION),
        "silent" => (libc::MS_SILENT, 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> Options {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        Options::read(&options)
    }

    fn attributes(set: u64, clear: u64, set_all: u64, clear_all: u64) -> Attributes {
        Attributes {
            clear_rest: 0,
            set,
            clear,
            set_all,
            clear_all,
        }
    }

    #[test]
    fn options_become_attributes() {
        let table: &[(&[&str], Attributes)] = &[
            (&["rw", "ro"], attributes(1, 0, 0, 0)),
            (&["ro", "rw"], attributes(0, 1, 0, 0)),
            (&["rro"], attributes(0, 0, 1, 0)),
            (&["rro", "rrw"], attributes(0, 0, 0, 1)),
            (&["noatime"], attributes(0x10, 0x60 | 0x10, 0, 0)),
            (&["ratime"], attributes(0, 0, 0, 0x70)),
            (&["rnostrictatime"], attributes(0, 0, 0, 0x70)),
            (&["rrelatime"], attributes(0, 0, 0, 0x70)),
            (&["rstrictatime"], attributes(0, 0, 0x20, 0x70)),
            (&["nosuid", "rnodev", "rexec"], attributes(2, 0, 4, 8)),
            (&["rnosymfollow"], attributes(0, 0, 0x20_0000, 0)),
        ];
        for (options, wanted) in table {
            assert_eq!(read(options).attributes, *wanted, "{options:?}");
        }
    }

    #[test]
    fn every_option_of_the_specification_is_known() {
        let names = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand \
            noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime \
            nosuid nosymfollow private ratime rbind rdev rdiratime relatime remount rexec rnoatime \
            rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate \
            rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared \
            silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap";
        for name in names.split_whitespace() {
            assert!(read(&[name]).tuning.data.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_no_mount_knows_goes_to_the_file_system() {
        let read = read(&["mode=755", "sync", "size=1k", "rslave", "async", "dirsync"]);
        assert_eq!(read.propagation, [libc::MS_SLAVE | libc::MS_REC]);
        let wanted = Tuning {
            set: libc::MS_DIRSYNC,
            clear: libc::MS_SYNCHRONOUS,
            data: vec!["mode=755".to_owned(), "size=1k".to_owned()],
        };
        assert_eq!(read.tuning, wanted);
    }
}
