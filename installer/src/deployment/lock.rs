//! One `sysc` at a time: an exclusive lock for everything that changes deployments.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::Error;

/// Holds the lock until it is dropped; the kernel drops it when the process ends, however that
/// happens.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] Flock<File>);

impl Lock {
    /// Takes the lock file `lock` in `storage`. Where another process has it, `waiting` is
    /// called once and the call blocks until that one ends.
    pub fn acquire(storage: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        let path = storage.join("lock");
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
                waiting();
                block(file).map_err(|errno| Error::io("lock", &path, errno.into()))?
            }
            Err((_, errno)) => return Err(Error::io("lock", &path, errno.into())),
        };
        Ok(Self(lock))
    }
}

/// Images hold set-uid files of root's, some of them old: nobody else may reach them.
fn make_private(storage: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(storage)?;
    std::fs::set_permissions(storage, Permissions::from_mode(0o700))
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
}
