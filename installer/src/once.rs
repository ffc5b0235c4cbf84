//! A container that is made for one run and thrown away: where it lives, and that it goes.
//!
//! In: a read-only file tree and an OCI configuration. Out: a bundle whose root is that tree below
//! a writable layer of its own (overlayfs), so that neither the repository's files nor a
//! deployment's are ever written. It lies in `.storage/once/SERIAL`, locked for as long as it is
//! used; one that nobody holds was left by a crash, and goes at the next such run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Why there is no such container.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of it.
    #[error("cannot {action} '{path}'")]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The kernel does not put the layers together.
    #[error("cannot mount a writable layer on '{lower}'\nhelp: the kernel needs overlayfs")]
    Overlay {
        /// The tree below.
        lower: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A bundle that goes when this value does.
#[derive(Debug)]
pub struct Bundle {
    dir: PathBuf,
    _held: Flock<File>,
}

impl Bundle {
    /// Makes an empty one in `storage`, after removing those that a crash left.
    pub fn begin(storage: &Path, serial: u64) -> Result<Self, Error> {
        let all = storage.join("once");
        sweep(&all)?;
        let dir = all.join(serial.to_string());
        let failed = |source| path("create", &dir, source);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(failed)?;
        let held = File::open(&dir).map_err(failed)?;
        let held = Flock::lock(held, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| failed(errno.into()))?;
        for name in ["lower", "upper", "work", "rootfs"] {
            fs::create_dir(dir.join(name)).map_err(failed)?;
        }
        Ok(Self { dir, _held: held })
    }

    /// The bundle's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// An empty directory for a tree that is not anywhere yet.
    pub fn lower(&self) -> PathBuf {
        self.dir.join("lower")
    }

    /// Makes the bundle whole: `lower` with a writable layer as its root, and its configuration.
    pub fn complete(&self, lower: &Path, config_json: &str) -> Result<(), Error> {
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            escaped(lower),
            escaped(&self.dir.join("upper")),
            escaped(&self.dir.join("work"))
        );
        // The new root's own mode and owner are the layer's.
        let overlay = Some("overlay");
        let rootfs = self.dir.join("rootfs");
        mount(
            overlay,
            &rootfs,
            overlay,
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|errno| Error::Overlay {
            lower: lower.to_owned(),
            source: errno.into(),
        })?;
        let config = self.dir.join("config.json");
        fs::write(&config, config_json).map_err(|source| path("write", &config, source))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // What does not go now goes at the next run.
        let _ = take_down(&self.dir);
    }
}

/// Removes the bundles in `all` that nobody holds.
fn sweep(all: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(path("read", all, source)),
    };
    for entry in entries {
        let dir = entry.map_err(|source| path("read", all, source))?.path();
        let open = File::open(&dir).map_err(|source| path("open", &dir, source))?;
        // Somebody else's run is in it.
        if Flock::lock(open, FlockArg::LockExclusiveNonblock).is_ok() {
            take_down(&dir).map_err(|source| path("remove", &dir, source))?;
        }
    }
    Ok(())
}

fn take_down(dir: &Path) -> io::Result<()> {
    // EINVAL: nothing is mounted there.
    let _ = umount2(&dir.join("rootfs"), MntFlags::MNT_DETACH);
    fs::remove_dir_all(dir)
}

/// What means something in overlayfs' options is written with a backslash.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, '\\' | ':' | ',') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

fn path(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Path {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_options_are_escaped() {
        assert_eq!(escaped(Path::new("/a,b:c\\d")), "/a\\,b\\:c\\\\d");
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_used_stays() {
        let storage = tempfile::tempdir().unwrap();
        let used = Bundle::begin(storage.path(), 1).unwrap();
        let left = storage.path().join("once/2/rootfs");
        fs::create_dir_all(&left).unwrap();
        let next = Bundle::begin(storage.path(), 3).unwrap();
        assert!(used.dir().is_dir() && next.dir().is_dir() && !left.exists());
        drop(used);
        assert!(!storage.path().join("once/1").exists());
    }
}
