//! One `sysc` at a time: an exclusive lock for everything that changes deployments.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::Error;
use crate::durable;

/// Holds the lock until it is dropped; the kernel drops it when the process ends, however that
/// happens.
#[derive(Debug)]
pub struct Lock {
    #[expect(dead_code, reason = "held for its lock")]
    file: Flock<File>,
    storage: PathBuf,
}

impl Lock {
    /// Takes the lock file `lock` in `storage`. Where another process has it, `waiting` is
    /// called once and the call blocks until that one ends.
    pub fn acquire(storage: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        let path = storage.join("lock");
        let failed = |source| Error::io("lock", &path, source);
        let mut waiting = Some(waiting);
        loop {
            make_private(storage).map_err(|source| Error::io("create", storage, source))?;
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(|source| Error::io("open", &path, source))?;
            let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => lock,
                Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    block(file).map_err(|errno| failed(errno.into()))?
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            };
            // The former holder may have removed the file: then the next one locks another.
            if is_at(&lock, &path).map_err(failed)? {
                return Ok(Self {
                    file: lock,
                    storage: storage.to_owned(),
                });
            }
        }
    }

    /// Gives the lock up and removes the lock file and the folders that it is in, as far as
    /// nothing else is in them.
    pub fn remove_if_alone(self) {
        let mut entries = std::fs::read_dir(&self.storage).into_iter().flatten();
        let others = entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lock"));
        if !others {
            // Only tidying, and each fails, as it should, where something else is.
            let _ = std::fs::remove_file(self.storage.join("lock"));
            let _ = std::fs::remove_dir(&self.storage);
            let _ = self.storage.parent().map(std::fs::remove_dir);
        }
    }
}

/// `lock` is the file that `path` names.
fn is_at(lock: &File, path: &Path) -> std::io::Result<bool> {
    let held = lock.metadata()?;
    match path.metadata() {
        Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Images hold set-uid files of root's, some of them old: nobody else may reach them.
fn make_private(storage: &Path) -> std::io::Result<()> {
    durable::make_dir(storage, 0o700)
}

fn block(mut file: File) -> nix::Result<Flock<File>> {
    loop {
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(lock),
            Err((again, nix::errno::Errno::EINTR)) => file = again,
            Err((_, errno)) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (told, hears) = std::sync::mpsc::channel();
        let first = Lock::acquire(dir.path(), || panic!("nobody has the lock")).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Lock::acquire(dir.path(), || told.send(()).unwrap()));
            hears.recv().unwrap();
            assert!(!second.is_finished());
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_lock_file_that_was_removed_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        let storage = dir.path().join("atomic/.storage");
        let (told, hears) = std::sync::mpsc::channel();
        let first = Lock::acquire(&storage, || panic!("nobody has the lock")).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Lock::acquire(&storage, || told.send(()).unwrap()));
            hears.recv().unwrap();
            first.remove_if_alone();
            let second = second.join().unwrap().unwrap();
            assert!(storage.join("lock").exists(), "it locked one that is there");
            std::fs::write(storage.join("serial"), "1").unwrap();
            second.remove_if_alone();
            assert!(storage.join("serial").exists());
        });
    }
}
