//! Owner, mode and extended attributes of an entry, as far as the repository keeps them.

use super::archive::{Entry, Kind};
use super::error::BadEntry;
use super::tree::{Meta, S_IFDIR, S_IFLNK, S_IFREG};

const CAPABILITY: &[u8] = b"security.capability";

/// What an object of this entry carries. Times are not kept: an OSTree object has none.
pub(super) fn meta(entry: &mut Entry) -> Result<Meta, BadEntry> {
    let (uid, gid) = (entry.uid, entry.gid);
    let mode = match entry.kind {
        Kind::Dir => S_IFDIR | entry.mode,
        // A link's own mode is 0777 on every file system.
        Kind::Symlink => S_IFLNK | 0o777,
        _ => S_IFREG | entry.mode,
    };
    Ok(Meta {
        uid: owner(uid).ok_or(BadEntry::Owner { uid, gid })?,
        gid: owner(gid).ok_or(BadEntry::Owner { uid, gid })?,
        mode,
        xattrs: xattrs(std::mem::take(&mut entry.xattrs), entry.kind)?,
    })
}

/// The highest number means "leave it as it is" to chown(2).
fn owner(id: u64) -> Option<u32> {
    u32::try_from(id).ok().filter(|id| *id != u32::MAX)
}

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// File capabilities and `user.` attributes are kept. A label (`security.selinux`) is the host's
/// to give; `trusted.` and `user.overlay.` steer overlay mounts; `system.` and the rest name
/// things of the host that built the image.
fn xattrs(found: Xattrs, kind: Kind) -> Result<Xattrs, BadEntry> {
    let mut kept = Vec::new();
    for (name, value) in found {
        if kind == Kind::File && name == CAPABILITY {
            kept.push((name, capability(value)?));
        } else if kind != Kind::Symlink && is_user(&name) {
            kept.push((name, value));
        }
    }
    kept.sort();
    Ok(kept)
}

fn is_user(name: &[u8]) -> bool {
    name.len() > 5
        && name.len() <= 255
        && name.starts_with(b"user.")
        && !name.starts_with(b"user.overlay.")
        && !name.contains(&0)
}

/// Checks the form (linux/capability.h, `struct vfs_cap_data`), which the kernel checks too, and
/// writes revision 3 for the initial user namespace as revision 2: that is how the kernel gives
/// it back, and the object's checksum is made of what is read.
fn capability(mut value: Vec<u8>) -> Result<Vec<u8>, BadEntry> {
    const EFFECTIVE: u32 = 1;
    let revision = value
        .first_chunk()
        .map(|head| u32::from_le_bytes(*head) & !EFFECTIVE);
    match (revision, value.len()) {
        (Some(0x0200_0000), 20) => Ok(value),
        (Some(0x0300_0000), 24) if value[20..] == [0; 4] => {
            value.truncate(20);
            value[3] = 2;
            Ok(value)
        }
        (Some(0x0300_0000), 24) => Ok(value),
        _ => Err(BadEntry::Capability),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kind: Kind, names: &[&str]) -> Vec<String> {
        let value = || [&[1, 0, 0, 2][..], &[0; 16]].concat();
        let found = names
            .iter()
            .map(|name| (name.as_bytes().to_vec(), value()))
            .collect();
        let kept = xattrs(found, kind).unwrap();
        kept.into_iter()
            .map(|(name, _)| String::from_utf8(name).unwrap())
            .collect()
    }

    #[test]
    fn labels_and_what_steers_the_host_are_never_taken() {
        let names = [
            "user.b",
            "user.a",
            "security.selinux",
            "security.ima",
            "system.posix_acl_access",
            "trusted.overlay.opaque",
            "user.overlay.redirect",
            "user.",
            "security.capability",
        ];
        assert_eq!(
            kept(Kind::File, &names),
            ["security.capability", "user.a", "user.b"]
        );
        assert_eq!(kept(Kind::Dir, &names), ["user.a", "user.b"]);
        assert!(kept(Kind::Symlink, &names).is_empty());
    }

    #[test]
    fn capabilities_have_one_form() {
        let v2 = [&[1, 0, 0, 2][..], &[7; 16]].concat();
        let v3 = |root: u8| [&[1, 0, 0, 3][..], &[7; 16], &[root, 0, 0, 0]].concat();
        assert_eq!(capability(v2.clone()).unwrap(), v2);
        assert_eq!(capability(v3(0)).unwrap(), v2);
        assert_eq!(capability(v3(9)).unwrap(), v3(9));
        for bad in [vec![], vec![0; 20], v2[..19].to_vec(), v3(0)[..20].to_vec()] {
            assert!(matches!(capability(bad), Err(BadEntry::Capability)));
        }
    }

    #[test]
    fn owners_are_what_chown_can_set() {
        assert_eq!(owner(3_000_000_000), Some(3_000_000_000));
        assert_eq!(owner(u64::from(u32::MAX)), None);
        assert_eq!(owner(1 << 32), None);
    }
}
