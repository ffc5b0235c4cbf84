//! Id-mapped mounts: whose the files of a bind seem to be.

use oci_spec::runtime::Mount;

use super::mount_options::Options;
use super::mounts::Around;
use super::namespaces::{Mapping, ranges};

/// Ids of the source's files, as others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// From ids of the source to ids on the host; `None` for the container's user namespace.
    pub mapping: Option<Mapping>,
    /// On what is mounted below as well.
    pub recursive: bool,
}

/// What the entry asks for, if it asks.
pub(super) fn owners(
    mount: &Mount,
    options: &Options,
    around: &Around,
) -> Result<Option<Owners>, String> {
    let (users, groups) = (mount.uid_mappings(), mount.gid_mappings());
    let mapping = match (users, groups) {
        (None, None) => None,
        (Some(users), Some(groups)) => Some(Mapping {
            users: ranges(Some(users)),
            groups: ranges(Some(groups)),
        }),
        _ => return Err("it needs both uidMappings and gidMappings".to_owned()),
    };
    if mapping.is_none() && options.idmap.is_none() {
        return Ok(None);
    }
    if mapping.is_none() && !around.namespaces.has_user() {
        let reason = "'idmap' needs uidMappings and gidMappings, here or of a user namespace";
        return Err(reason.to_owned());
    }
    if !around.is_root {
        return Err("an id-mapped mount needs root".to_owned());
    }
    Ok(Some(Owners {
        mapping,
        recursive: options.idmap.unwrap_or(false),
    }))
}
