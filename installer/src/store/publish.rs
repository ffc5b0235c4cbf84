//! What becomes visible together: objects, a commit and its ref, in one transaction.

use std::path::Path;

use ostree::{Repo, gio};

use super::error::writing;
use super::{Error, Store};
use crate::failpoint::{Point, pass};

impl Store {
    /// Lets `write` write within a transaction of `repo`, and puts the commit that it returns
    /// under `reference`, durably. An error, of `write` too, leaves the repository as it was.
    pub(super) fn publish<T>(
        &self,
        repo: &Repo,
        reference: &str,
        write: impl FnOnce() -> Result<(String, T), Error>,
    ) -> Result<(String, T), Error> {
        let transaction = repo.auto_transaction(gio::Cancellable::NONE);
        let transaction = transaction.map_err(|source| Error::Lock {
            path: self.path.clone(),
            source,
        })?;
        let (commit, rest) = write()?;
        pass(Point::RepoCommit).map_err(|source| Error::Folder {
            action: "commit to",
            path: self.path.clone(),
            source,
        })?;
        repo.transaction_set_ref(None, reference, Some(&commit));
        let committed = transaction.commit(gio::Cancellable::NONE);
        committed.map_err(|source| {
            writing(&self.path, source, |source| Error::Publish {
                what: reference.to_owned(),
                repo: self.path.clone(),
                source,
            })
        })?;
        self.sync_refs(Path::new(reference).parent().unwrap_or(Path::new("")))?;
        Ok((commit, rest))
    }
}
