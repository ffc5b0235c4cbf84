//! A host's file tree, for comparing before and after.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest, Sha256};

/// Every path of a tree with kind, mode, owner and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, String>);

/// What a running host changes by itself.
const VOLATILE: [&str; 7] = [
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "var/log",
    "var/lib/systemd",
];

impl Snapshot {
    /// Takes one of a running host's `root`, without what changes by itself, and without `but`.
    pub fn of_host(root: &Path, but: &[&str]) -> Result<Self> {
        Self::of(root, &[&VOLATILE[..], but].concat())
    }

    /// Takes one of `root`, without the paths (relative to it) in `but`.
    pub fn of(root: &Path, but: &[&str]) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut open = vec![root.to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                let name = path.strip_prefix(root)?.to_owned();
                if but.iter().any(|excepted| name.starts_with(excepted)) {
                    continue;
                }
                // What vanishes while it is looked at is not there.
                let Ok(metadata) = path.symlink_metadata() else {
                    continue;
                };
                if metadata.is_dir() {
                    open.push(path.clone());
                }
                entries.insert(name, describe(&path, &metadata));
            }
        }
        Ok(Self(entries))
    }

    /// One line for each path that differs; empty when nothing does.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let all: std::collections::BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        all.into_iter()
            .filter(|path| self.0.get(*path) != later.0.get(*path))
            .map(|path| {
                let show = |entry: Option<&String>| entry.map_or("-", String::as_str).to_owned();
                let (before, after) = (show(self.0.get(path)), show(later.0.get(path)));
                format!("{}: {before} => {after}", path.display())
            })
            .collect()
    }
}

fn describe(path: &Path, metadata: &fs::Metadata) -> String {
    let content = if metadata.is_file() {
        let bytes = fs::read(path).unwrap_or_default();
        let hash = Sha256::digest(&bytes);
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    } else if metadata.is_symlink() {
        fs::read_link(path)
            .unwrap_or_default()
            .display()
            .to_string()
    } else {
        String::new()
    };
    format!(
        "{:o} {}:{} {content}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid()
    )
}
