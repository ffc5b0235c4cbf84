//! Who may make, change and remove a record.
//!
//! A claim is the directory of that name with its lock held. Whoever gets it after somebody else
//! finds either a record, or leftovers of one who died on the way, or no directory any more.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::{Error, Id, State, Status, failed, make_root};
use crate::{advice, cgroup};

const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
const START: &str = "start";
const OUTCOME: &str = "outcome";
const CGROUP: &str = "cgroup";
const NOTIFY: &str = "notify";

/// All records below one root.
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
}

/// One record, which nobody else can change meanwhile.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    id: Id,
    lock: Flock<File>,
}

impl Registry {
    /// Records live below `root`, which is made when it is first needed.
    pub fn new(root: &Path) -> Registry {
        Registry {
            root: root.to_owned(),
        }
    }

    /// Claims a name, whether there is a record or not.
    pub fn claim(&self, id: &Id) -> Result<Claim, Error> {
        let made = make_root(&self.root);
        made.map_err(|source| failed("make", &self.root, advice::records(source)))?;
        let dir = self.dir(id);
        loop {
            match DirBuilder::new().mode(0o711).create(&dir) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(failed("make", dir, advice::records(error)));
                }
                _ => {}
            }
            if let Some(claim) = self.take(id)? {
                return Ok(claim);
            }
        }
    }

    /// Claims a record that exists.
    pub fn find(&self, id: &Id) -> Result<Claim, Error> {
        let missing = || Error::Missing {
            id: id.as_str().to_owned(),
        };
        let claim = self.take(id)?.ok_or_else(missing)?;
        match claim.has_state() {
            true => Ok(claim),
            // What somebody left on the way, who is gone: as good as nothing.
            false => {
                claim.end_leftovers()?;
                claim.remove().and_then(|()| Err(missing()))
            }
        }
    }

    /// Reads a record without claiming it.
    pub fn look(&self, id: &Id) -> Result<(State, Status), Error> {
        read(&self.dir(id), id)
    }

    /// The configuration that a container was made from; `None` for one that an older runtime made.
    pub fn config(&self, id: &Id) -> Result<Option<Vec<u8>>, Error> {
        let path = self.dir(id).join(CONFIG);
        match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            other => other
                .map(Some)
                .map_err(|source| failed("read", path, source)),
        }
    }

    /// Where the socket for a program's messages to systemd will be.
    pub fn notify_socket(&self, id: &Id) -> PathBuf {
        self.dir(id).join(NOTIFY)
    }

    /// Names of all records, sorted.
    pub fn ids(&self) -> Result<Vec<Id>, Error> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| failed("list", &self.root, source))?,
        };
        let mut ids: Vec<Id> = entries
            .flatten()
            .filter(|entry| entry.path().join(STATE).exists())
            .filter_map(|entry| Id::parse(entry.file_name().to_str()?).ok())
            .collect();
        ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Ok(ids)
    }

    fn dir(&self, id: &Id) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// `None` when there is no such directory, or it vanished while we waited for its lock.
    fn take(&self, id: &Id) -> Result<Option<Claim>, Error> {
        let dir = self.dir(id);
        let directory = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&dir);
        let directory = match directory {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| failed("open", &dir, source))?,
        };
        let lock = Flock::lock(directory, FlockArg::LockExclusive)
            .map_err(|(_, errno)| failed("lock", &dir, errno.into()))?;
        let same =
            |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let current = match (lock.metadata(), std::fs::metadata(&dir)) {
            (Ok(ours), Ok(there)) => same(ours, there),
            _ => false,
        };
        Ok(current.then(|| Claim {
            dir,
            id: id.clone(),
            lock,
        }))
    }
}

impl Claim {
    /// The container's name.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What is recorded, and what the container does now. [`Error::Missing`] without a record.
    pub fn read(&self) -> Result<(State, Status), Error> {
        read(&self.dir, &self.id)
    }

    /// Whether anything is recorded.
    pub fn has_state(&self) -> bool {
        // On a disk that lost its power the name can be there before the text.
        std::fs::metadata(self.dir.join(STATE)).is_ok_and(|found| found.len() > 0)
    }

    /// Where the socket for the program's messages to systemd is.
    pub fn notify_socket(&self) -> PathBuf {
        self.dir.join(NOTIFY)
    }

    /// Writes the record: once, and whole.
    pub fn write(&self, state: &State) -> Result<(), Error> {
        let path = self.dir.join(STATE);
        let text = serde_json::to_vec(state).map_err(|source| Error::Parse {
            path: path.clone(),
            source,
        })?;
        write_whole(&path, &text, 0o600).map_err(|source| failed("write", path, source))
    }

    /// Keeps the configuration for an `exec`, before the record is written: the bundle's may have
    /// changed by then.
    pub fn keep_config(&self, text: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(CONFIG);
        let mut options = File::options();
        let opened = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        opened
            .and_then(|mut file| file.write_all(text))
            .map_err(|source| failed("write", path, source))
    }

    /// Writes down the cgroup that is about to be made, for whoever finds this claim without a record:
    /// then its maker has died between the two.
    pub fn intend(&self, cgroup: &Path) -> Result<(), Error> {
        let path = self.dir.join(CGROUP);
        std::fs::write(&path, cgroup.as_os_str().as_encoded_bytes())
            .map_err(|source| failed("write", path, source))
    }

    /// The cgroup that was about to be made.
    fn intended(&self) -> Option<PathBuf> {
        let text = std::fs::read(self.dir.join(CGROUP)).ok()?;
        let path = PathBuf::from(std::ffi::OsString::from_vec(text));
        // One cut short by a crash is none; ours are absolute.
        path.is_absolute().then_some(path)
    }

    /// Another container whose cgroup this is, or is about to be.
    pub fn other_with(&self, cgroup: &Path) -> Option<String> {
        let all = std::fs::read_dir(self.dir.parent()?).ok()?.flatten();
        let others = all.filter(|entry| entry.path() != self.dir);
        let mut names = others.filter(|entry| {
            let path = std::fs::read(entry.path().join(CGROUP));
            path.is_ok_and(|path| path == cgroup.as_os_str().as_encoded_bytes())
        });
        Some(names.next()?.file_name().to_string_lossy().into_owned())
    }

    /// Ends what a maker who died on the way has left: its child has seen that and gone, its cgroup
    /// has not.
    pub fn end_leftovers(&self) -> Result<(), Error> {
        match self.intended() {
            // It died before it could see that.
            Some(path) if self.other_with(&path).is_some() => Ok(()),
            Some(path) => cgroup::remove(&path).map_err(|source| Error::Leftovers {
                id: self.id.as_str().to_owned(),
                source: Box::new(source),
            }),
            None => Ok(()),
        }
    }

    /// Makes the pipes by which the container is started; their paths are returned.
    pub fn make_pipes(&self) -> Result<(PathBuf, PathBuf), Error> {
        let paths = self.pipes();
        for path in [&paths.0, &paths.1] {
            mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)
                .map_err(|errno| failed("make", path, errno.into()))?;
        }
        Ok(paths)
    }

    /// Where the pipes are: the one that starts, and the one that says how it went.
    pub fn pipes(&self) -> (PathBuf, PathBuf) {
        (self.dir.join(START), self.dir.join(OUTCOME))
    }

    /// From now on the container counts as started.
    pub fn started(&self) -> Result<(), Error> {
        let (start, outcome) = self.pipes();
        for path in [outcome, start] {
            std::fs::remove_file(&path).map_err(|source| failed("remove", path, source))?;
        }
        Ok(())
    }

    /// Forgets what is recorded, and keeps the claim.
    pub fn clear(&self) -> Result<(), Error> {
        // The state goes first: without it the rest is leftovers.
        let rest = [START, OUTCOME, CONFIG, CGROUP, NOTIFY, "state.json.new"];
        for name in [STATE].iter().chain(rest.iter()) {
            let path = self.dir.join(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failed("remove", path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets all, and gives the name back.
    pub fn remove(self) -> Result<(), Error> {
        // Most of those who end a container have cleared it already.
        if std::fs::remove_dir(&self.dir).is_ok() {
            return Ok(());
        }
        self.clear()?;
        std::fs::remove_dir(&self.dir).map_err(|source| failed("remove", &self.dir, source))
    }

    /// Lets others in again. Done by name, since a child may still hold the descriptor.
    pub fn release(self) -> Result<(), Error> {
        let dir = self.dir;
        self.lock
            .unlock()
            .map(drop)
            .map_err(|(_, errno)| failed("unlock", dir, errno.into()))
    }
}

fn read(dir: &Path, id: &Id) -> Result<(State, Status), Error> {
    let path = dir.join(STATE);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::Missing {
                id: id.as_str().to_owned(),
            });
        }
        other => other.map_err(|source| failed("read", &path, source))?,
    };
    if text.is_empty() {
        return Err(Error::Missing {
            id: id.as_str().to_owned(),
        });
    }
    let state: State =
        serde_json::from_slice(&text).map_err(|source| Error::Parse { path, source })?;
    let status = match (state.init.is_alive(), dir.join(START).exists()) {
        (false, _) => Status::Stopped,
        (true, _) if cgroup::is_frozen(&state.home()) => Status::Paused,
        (true, true) => Status::Created,
        (true, false) => Status::Running,
    };
    Ok((state, status))
}

/// Writes a file so that it is complete when it appears.
pub fn write_whole(path: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // What a crash left goes; a link that somebody put there is not followed.
    let _ = std::fs::remove_file(&new);
    let written = File::create_new(&new).and_then(|mut file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text)?;
        std::fs::rename(&new, path)
    });
    if written.is_err() {
        // The old file, if any, is untouched.
        let _ = std::fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ProcessId;
    use nix::unistd::Pid;

    fn state(id: &str, init: ProcessId) -> State {
        State {
            id: id.to_owned(),
            init,
            keeper: None,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            owner: 0,
            cgroup: None,
            resctrl: Vec::new(),
            unit: None,
            host_mount: None,
            own_pid_namespace: true,
            annotations: Default::default(),
            poststart: Vec::new(),
            poststop: Vec::new(),
        }
    }

    #[test]
    fn status_is_seen_not_stored() {
        let scratch = tempfile::tempdir().unwrap();
        let registry = Registry::new(&scratch.path().join("root"));
        let id = Id::parse("web").unwrap();
        let me = ProcessId::of(Pid::this()).unwrap();
        assert!(matches!(registry.look(&id), Err(Error::Missing { .. })));

        let claim = registry.claim(&id).unwrap();
        claim.make_pipes().unwrap();
        claim.write(&state("web", me)).unwrap();
        assert_eq!(claim.read().unwrap().1, Status::Created);
        claim.started().unwrap();
        assert_eq!(registry.look(&id).unwrap().1, Status::Running);
        claim
            .write(&state("web", ProcessId { started: 1, ..me }))
            .unwrap();
        assert_eq!(registry.look(&id).unwrap().1, Status::Stopped);
        assert_eq!(registry.ids().unwrap(), std::slice::from_ref(&id));
        claim.remove().unwrap();
        assert!(registry.ids().unwrap().is_empty());
        assert!(matches!(registry.find(&id), Err(Error::Missing { .. })));
    }

    #[test]
    fn leftovers_without_a_state_are_no_container() {
        let scratch = tempfile::tempdir().unwrap();
        let registry = Registry::new(scratch.path());
        let id = Id::parse("web").unwrap();
        let claim = registry.claim(&id).unwrap();
        claim.make_pipes().unwrap();
        drop(claim);
        assert!(matches!(registry.find(&id), Err(Error::Missing { .. })));
        assert!(!scratch.path().join("web").exists());
    }

    #[test]
    fn a_claim_waits_for_the_one_before() {
        let scratch = tempfile::tempdir().unwrap();
        let registry = Registry::new(scratch.path());
        let id = Id::parse("web").unwrap();
        let first = registry.claim(&id).unwrap();
        let waiting = std::thread::spawn({
            let (registry, id) = (registry.clone(), id.clone());
            move || registry.claim(&id).unwrap().has_state()
        });
        first
            .write(&state("web", ProcessId::of(Pid::this()).unwrap()))
            .unwrap();
        first.release().unwrap();
        assert!(waiting.join().unwrap());
    }
}
