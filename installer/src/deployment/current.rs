//! The commit point: one symbolic link, renamed.

use std::path::Path;

use super::{ContainerName, Deployment, Deployments, Error};
use crate::durable;

/// Makes `deployment` the current one of its container. Before this returns nothing outside the
/// deployments' directory has changed; after it, only projecting is left, which can be done
/// again at any time.
pub fn make_current(deployments: &Deployments, deployment: &Deployment) -> Result<(), Error> {
    let link = deployments.dir().join(&deployment.info.name);
    let target = Path::new(deployment.dir.file_name().unwrap_or_default());
    durable::replace_link(&link, target)
        .map_err(|source| Error::io("write the link", &link, source))
}

/// Takes the container `name` out of the current ones: the commit point of its removal.
/// `false`: it was not among them.
pub fn drop_current(deployments: &Deployments, name: &ContainerName) -> Result<bool, Error> {
    let link = deployments.link(name);
    if !link.is_symlink() {
        return Ok(false);
    }
    durable::remove(&link).map_err(|source| Error::io("remove the link", &link, source))
}
