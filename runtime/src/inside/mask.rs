//! What the container may not see or not change.
//!
//! Replaces libcontainer's, which covers files with the *image's* /dev/null (a link there would be
//! followed), mounts one tmpfs per directory, and passes over a path that it cannot look at.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use libcontainer::syscall::linux as flags;
use nix::sys::stat::{FileStat, SFlag, fstat, major, minor};

use super::trees::{attach, change, clone_tree, clone_tree_at, new_tree};
use super::{Error, failed};
use crate::plan::{Masks, Tuning};

/// What covers hidden files.
pub struct Covers {
    /// A detached mount of the host's /dev/null, where anything is to be hidden.
    null: Option<OwnedFd>,
}

impl Covers {
    /// Takes the host's /dev/null while `/` is still the host's.
    pub fn from_host(masks: &Masks) -> Result<Covers, Error> {
        let null = match masks.hidden.is_empty() {
            true => None,
            false => Some(null_of_host().map_err(|why| failed("take '/dev/null'", why))?),
        };
        Ok(Covers { null })
    }
}

fn null_of_host() -> Result<OwnedFd, String> {
    let null = clone_tree(Path::new("/dev/null"), false)?;
    // A device can be written on a read-only mount, but its mode and owner, which are the host's,
    // cannot be changed.
    let fixed = flags::MOUNT_ATTR_RDONLY | flags::MOUNT_ATTR_NOSUID | flags::MOUNT_ATTR_NOEXEC;
    change(null.as_fd(), fixed, 0, false)?;
    let found = fstat(null.as_raw_fd()).map_err(|errno| errno.to_string())?;
    match is_null(&found) {
        true => Ok(null),
        false => Err("it is not the null device".to_owned()),
    }
}

/// Whether this is the character device 1:3.
pub fn is_null(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR
        && (major(found.st_rdev), minor(found.st_rdev)) == (1, 3)
}

/// Hides and protects. A path that does not exist needs neither.
pub fn make_all(masks: &Masks, covers: Covers) -> Result<(), Error> {
    for path in &masks.readonly {
        protect(path).map_err(|why| failed(format!("make '{}' read-only", path.display()), why))?;
    }
    let mut empty = Shared::New(make_empty);
    let mut null = Shared::New(|| covers.null.ok_or_else(|| "there is no cover".to_owned()));
    for path in &masks.hidden {
        let Some(target) = look_up(path).map_err(|why| hide_failed(path, why))? else {
            continue;
        };
        let is_dir = fstat(target.as_raw_fd()).is_ok_and(|found| {
            SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
        });
        let hidden = match is_dir {
            true => empty.cover(&target),
            false => null.cover(&target),
        };
        hidden.map_err(|why| hide_failed(path, why))?;
    }
    Ok(())
}

/// One mount that covers many paths. A detached mount cannot be copied before Linux 6.15, so the
/// first use attaches the original, and the others its copies.
enum Shared<F> {
    New(F),
    Attached(OwnedFd),
    Failed,
}

impl<F: FnOnce() -> Result<OwnedFd, String>> Shared<F> {
    fn cover(&mut self, target: &OwnedFd) -> Result<(), String> {
        match std::mem::replace(self, Shared::Failed) {
            Shared::New(make) => {
                let mount = make()?;
                attach(&mount, target)?;
                *self = Shared::Attached(mount);
            }
            Shared::Attached(mount) => {
                attach(clone_tree_at(&mount, false)?, target)?;
                *self = Shared::Attached(mount);
            }
            Shared::Failed => return Err("it failed before".to_owned()),
        }
        Ok(())
    }
}

/// One empty directory serves all.
fn make_empty() -> Result<OwnedFd, String> {
    let tree = new_tree("tmpfs", "tmpfs", &Tuning::data(&["mode=755", "size=0k"]))?;
    let all = flags::MOUNT_ATTR_RDONLY
        | flags::MOUNT_ATTR_NOSUID
        | flags::MOUNT_ATTR_NODEV
        | flags::MOUNT_ATTR_NOEXEC;
    change(tree.as_fd(), all, 0, false)?;
    Ok(tree)
}

/// The mount there is kept and made read-only; what is mounted below stays as it is, as with runc.
fn protect(path: &Path) -> Result<(), String> {
    let Some(target) = look_up(path)? else {
        return Ok(());
    };
    let tree = clone_tree_at(&target, true)?;
    change(tree.as_fd(), flags::MOUNT_ATTR_RDONLY, 0, false)?;
    attach(&tree, &target)
}

/// `None` when there is no such path. The root is the container's, so links stay inside.
fn look_up(path: &Path) -> Result<Option<OwnedFd>, String> {
    match File::options()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)
    {
        Ok(found) => Ok(Some(found.into())),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn hide_failed(path: &Path, why: String) -> Error {
    failed(format!("hide '{}'", path.display()), why)
}
