//! Named places at which a test cuts a command off, or lets a call fail.
//!
//! Every step that changes a disk or the running system passes one, just before it is made. In a
//! program that was built without the feature `failpoints`, which is every program but the tests',
//! passing is nothing at all: neither the environment nor a counter is looked at.

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is about to be done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $variant,)* }

        impl Point {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name by which a test asks for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

points! {
    /// A file is created.
    FileCreate = "file.create",
    /// Its content is written.
    FileWrite = "file.write",
    /// It is synced.
    FileSync = "file.sync",
    /// A file, link or directory is renamed.
    Rename = "rename",
    /// A symbolic link is made.
    LinkMake = "link.make",
    /// A file or link is removed.
    FileRemove = "file.remove",
    /// A directory is made.
    DirMake = "dir.make",
    /// An empty directory is removed.
    DirRemove = "dir.remove",
    /// A directory is removed with all that is in it.
    TreeRemove = "tree.remove",
    /// A directory is synced.
    DirSync = "dir.sync",
    /// A file system is synced.
    FileSystemSync = "filesystem.sync",
    /// A repository is made.
    RepoCreate = "repo.create",
    /// An object is written into the repository.
    ObjectWrite = "object.write",
    /// A transaction of the repository is committed.
    RepoCommit = "repo.commit",
    /// The folder of a ref is synced.
    RefSync = "ref.sync",
    /// A ref is deleted.
    RefDelete = "ref.delete",
    /// Objects that nothing needs are removed.
    RepoPrune = "repo.prune",
    /// An object is linked, or a file made, in a deployment.
    TreeLink = "tree.link",
    /// systemd or one of its tools is told to do something.
    HostChange = "host.change",
}

/// Goes by `point`: on, with an error, or not at all.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn pass(_point: Point) -> std::io::Result<()> {
    Ok(())
}

#[cfg(feature = "failpoints")]
pub use armed::pass;

#[cfg(feature = "failpoints")]
mod armed {
    //! `$SYSC_FAILPOINT` is `NAME:COUNT:ACTION`: at the COUNTth time (from 1) that NAME is passed,
    //! `kill` ends the process without a destructor, and `ENOSPC`, `EIO` or `EROFS` is the error
    //! of that call. `$SYSC_FAILPOINT_LOG` names a file that gets a line for each passing.

    use std::collections::BTreeMap;
    use std::io::{self, Write};
    use std::sync::{Mutex, PoisonError};

    use super::Point;

    static COUNTS: Mutex<BTreeMap<&'static str, usize>> = Mutex::new(BTreeMap::new());

    /// Goes by `point`: on, with an error, or not at all.
    pub fn pass(point: Point) -> io::Result<()> {
        let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(point.name()).or_default();
        *count += 1;
        let here = format!("{}:{count}", point.name());
        if let Some(log) = std::env::var_os("SYSC_FAILPOINT_LOG") {
            let mut log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(log)?;
            writeln!(log, "{here}")?;
        }
        let wanted = std::env::var("SYSC_FAILPOINT").unwrap_or_default();
        match wanted.rsplit_once(':') {
            Some((place, action)) if place == here => act(action),
            _ => Ok(()),
        }
    }

    fn act(action: &str) -> io::Result<()> {
        let errno = match action {
            "ENOSPC" => nix::errno::Errno::ENOSPC,
            "EIO" => nix::errno::Errno::EIO,
            "EROFS" => nix::errno::Errno::EROFS,
            _ => {
                let this = nix::unistd::Pid::this();
                nix::sys::signal::kill(this, nix::sys::signal::Signal::SIGKILL)?;
                // The signal is on its way.
                loop {
                    std::thread::park();
                }
            }
        };
        Err(errno.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different() {
        let names: std::collections::BTreeSet<_> = Point::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
