//! Programs that were compiled before.
//!
//! The same few rules are used again and again: by every container that an engine starts, by every
//! exec. To compile some 300 of them takes libseccomp 10 ms, longer than all else that a start does;
//! to read the program again takes none. So it is kept below the root of the records, under all that
//! it depends on.

use std::fs::{DirBuilder, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use libseccomp::ScmpVersion;
use nix::unistd::{Pid, geteuid};
use oci_spec::runtime::LinuxSeccomp;

use crate::record;
use crate::sys::seccomp::{Instruction, from_bytes, to_bytes};

/// No container has such a name.
const DIRECTORY: &str = ".filters";
/// With so many, all are forgotten: nobody uses that many, and none is needed.
const MOST: usize = 64;

/// Where programs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filters {
    directory: PathBuf,
}

impl Filters {
    /// Those of the containers whose records are below `root`.
    pub fn of(root: &Path) -> Filters {
        Filters {
            directory: root.join(DIRECTORY),
        }
    }

    /// The program for these rules; `compile` makes it if nobody has yet.
    pub fn program(
        &self,
        rules: &LinuxSeccomp,
        compile: impl FnOnce() -> Result<Vec<Instruction>, String>,
    ) -> Result<Vec<Instruction>, String> {
        let Some(origin) = origin(rules) else {
            return compile();
        };
        let path = self.directory.join(format!("{:016x}", sum(&[&origin])));
        if let Some(program) = find(&path, &origin) {
            return Ok(program);
        }
        let program = compile()?;
        // It will be missed by nobody.
        let _ = self.keep(&path, &origin, &to_bytes(&program));
        Ok(program)
    }

    fn keep(&self, path: &Path, origin: &[u8], program: &[u8]) -> std::io::Result<()> {
        let most = std::fs::read_dir(&self.directory).map_or(0, Iterator::count);
        if most >= MOST {
            std::fs::remove_dir_all(&self.directory)?;
        }
        if let Some(root) = self.directory.parent() {
            record::make_root(root)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let own = path.with_extension(Pid::this().to_string());
        let mut options = File::options();
        let made = options.write(true).create_new(true).mode(0o600).open(&own);
        let whole = [&sum(&[origin, program]).to_ne_bytes(), origin, program].concat();
        let written = made.and_then(|mut file| file.write_all(&whole));
        written
            .and_then(|()| std::fs::rename(&own, path))
            .inspect_err(|_| drop(std::fs::remove_file(&own)))
    }
}

/// All that a program depends on; it is compared whole. Nothing is kept of rules that cannot be said.
fn origin(rules: &LinuxSeccomp) -> Option<Vec<u8>> {
    let library = ScmpVersion::current().ok()?;
    let maker = format!(
        "sysc {} {} libseccomp {library} {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("SYSC_FILTERS"),
        std::env::consts::ARCH
    );
    let mut origin = maker.into_bytes();
    serde_json::to_writer(&mut origin, rules).ok()?;
    origin.push(0);
    Some(origin)
}

/// Ours, and what was written, even if power has failed meanwhile.
fn find(path: &Path, origin: &[u8]) -> Option<Vec<Instruction>> {
    let mut options = File::options();
    let options = options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = options.open(path).ok()?;
    let found = file.metadata().ok()?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o7777 != 0o600 {
        return None;
    }
    let mut whole = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    file.read_to_end(&mut whole).ok()?;
    let (written, rest) = whole.split_first_chunk()?;
    let program = rest.strip_prefix(origin)?;
    (u64::from_ne_bytes(*written) == sum(&[origin, program])).then(|| from_bytes(program))
}

fn sum(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: [Instruction; 1] = [Instruction {
        code: 6,
        if_true: 1,
        if_false: 2,
        operand: 0x7fff_0000,
    }];

    fn ask(filters: &Filters, rules: &LinuxSeccomp) -> (Vec<Instruction>, bool) {
        let mut compiled = false;
        let program = filters.program(rules, || {
            compiled = true;
            Ok(PROGRAM.to_vec())
        });
        (program.unwrap(), compiled)
    }

    #[test]
    fn what_was_compiled_is_compiled_no_more_until_it_is_damaged() {
        let root = tempfile::tempdir().unwrap();
        let filters = Filters::of(root.path());
        let mut rules = LinuxSeccomp::default();
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), true));
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), false));

        let mut files = std::fs::read_dir(&filters.directory).unwrap();
        let path = files.next().unwrap().unwrap().path();
        let mut whole = std::fs::read(&path).unwrap();
        *whole.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), true));
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), false));

        rules.set_default_errno_ret(Some(7));
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), true));
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let filters = Filters::of(root.path());
        let rules = LinuxSeccomp::default();
        ask(&filters, &rules);
        for file in std::fs::read_dir(&filters.directory).unwrap() {
            let open = std::fs::Permissions::from_mode(0o666);
            std::fs::set_permissions(file.unwrap().path(), open).unwrap();
        }
        assert_eq!(ask(&filters, &rules), (PROGRAM.to_vec(), true));
    }

    #[test]
    fn there_are_never_many() {
        let root = tempfile::tempdir().unwrap();
        let filters = Filters::of(root.path());
        let mut rules = LinuxSeccomp::default();
        for number in 0..200 {
            rules.set_default_errno_ret(Some(number));
            ask(&filters, &rules);
            let count = std::fs::read_dir(&filters.directory).unwrap().count();
            assert!((1..=MOST).contains(&count), "{count}");
        }
    }
}
