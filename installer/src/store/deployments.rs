//! The trees that deployments stand on, kept from pruning by refs of their own.

use ostree::ObjectType;

use super::tree::Tree;
use super::write::Writer;
use super::{Error, Store, object, record, refs};

/// The ref of a deployment's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRef {
    /// The container's name.
    pub name: String,
    /// The generation's serial number.
    pub serial: u64,
    /// Checksum of the commit.
    pub commit: String,
    /// Which installation it belongs to: several may share a repository. `None`: the commit does
    /// not say, or cannot be read.
    pub installation: Option<String>,
}

/// Whose tree it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The installation: the directory of deployments, by its id.
    pub installation: &'a str,
    /// The container's name.
    pub name: &'a str,
    /// The generation's serial number.
    pub serial: u64,
}

impl Store {
    /// Writes the merged tree of a generation under a ref of its own, which must not exist (see
    /// [`Store::has_deployment`]), and returns the commit's checksum.
    pub fn commit_tree(&self, tree: &Tree, owner: Owner) -> Result<String, Error> {
        let repo = self.handle()?;
        let reference = refs::deployment(owner.name, owner.serial);
        let (commit, ()) = self.publish(&repo, &reference, || {
            let writer = Writer::new(self, &repo);
            let root = writer.folder(&tree.root)?;
            let metadata = record::of_deployment(owner);
            let commit = object::commit(metadata, (&root.0, &root.1), 0);
            Ok((writer.metadata(ObjectType::Commit, commit)?, ()))
        })?;
        Ok(commit)
    }

    /// All deployments that have a tree here, by name and serial.
    pub fn deployment_refs(&self) -> Result<Vec<DeploymentRef>, Error> {
        let repo = self.handle()?;
        let found = self.list(&repo, refs::DEPLOYMENTS)?;
        let mut deployments: Vec<_> = found.into_iter().filter_map(parse).collect();
        for deployment in &mut deployments {
            let commit = self.commit(&repo, &deployment.commit, &deployment.name);
            deployment.installation = commit.ok().and_then(|found| found.record.installation());
        }
        deployments.sort_by(|a, b| (&a.name, a.serial).cmp(&(&b.name, b.serial)));
        Ok(deployments)
    }

    /// There is a tree of that name and number, whosever it is.
    pub fn has_deployment(&self, name: &str, serial: u64) -> Result<bool, Error> {
        let found = self.resolve(&self.handle()?, &refs::deployment(name, serial))?;
        Ok(found.is_some())
    }

    /// Gives up the tree of a deployment, which need not exist. Its folder must be gone by then.
    pub fn drop_deployment(&self, name: &str, serial: u64) -> Result<(), Error> {
        self.delete(&self.handle()?, &refs::deployment(name, serial))
    }
}

fn parse((reference, commit): (String, String)) -> Option<DeploymentRef> {
    let rest = reference
        .strip_prefix(refs::DEPLOYMENTS)?
        .strip_prefix('/')?;
    let (name, serial) = rest.split_once('/')?;
    Some(DeploymentRef {
        name: refs::decode(name)?,
        serial: serial.parse().ok()?,
        commit,
        installation: None,
    })
}
