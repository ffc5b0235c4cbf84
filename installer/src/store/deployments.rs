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
}

impl Store {
    /// Writes the merged tree of generation `serial` of container `name`, under a ref of its own,
    /// and returns the commit's checksum. Mount points are in it as empty files.
    pub fn commit_tree(&self, tree: &Tree, name: &str, serial: u64) -> Result<String, Error> {
        let repo = self.handle()?;
        let reference = refs::deployment(name, serial);
        let (commit, ()) = self.publish(&repo, &reference, || {
            let writer = Writer::new(self, &repo);
            let root = writer.folder(&tree.root)?;
            let metadata = record::of_deployment(name, serial);
            let commit = object::commit(metadata, (&root.0, &root.1), 0);
            Ok((writer.metadata(ObjectType::Commit, commit)?, ()))
        })?;
        Ok(commit)
    }

    /// All deployments that have a tree here, by name and serial.
    pub fn deployment_refs(&self) -> Result<Vec<DeploymentRef>, Error> {
        let found = self.list(&self.handle()?, refs::DEPLOYMENTS)?;
        let mut deployments: Vec<_> = found.into_iter().filter_map(parse).collect();
        deployments.sort_by(|a, b| (&a.name, a.serial).cmp(&(&b.name, b.serial)));
        Ok(deployments)
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
    })
}
