//! What a configuration's mounts need outside the container: folders of the host to bind from,
//! and places in the root file system to mount on.

use serde_json::Value;

use super::SourceKind;

/// Something to mount on that must exist in the root file system, since it is read-only when the
/// container starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Absolute path in the image, links of the image unresolved.
    pub path: String,
    /// What must be there.
    pub kind: MountPointKind,
}

/// A bind of a file needs a file to be mounted on, everything else a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountPointKind {
    /// A folder.
    Dir,
    /// A file.
    File,
}

/// The absolute sources of bind mounts, in order.
pub(super) fn bind_sources(config: &Value) -> Vec<&str> {
    mounts(config)
        .filter(|mount| is_bind(mount))
        .filter_map(source)
        .collect()
}

/// The absolute sources of bind mounts that the container may write to.
pub(super) fn writable_binds(config: &Value) -> Vec<&str> {
    let read_only = |mount: &Value| {
        let options = mount.get("options").and_then(Value::as_array);
        options.into_iter().flatten().any(|option| option == "ro")
    };
    mounts(config)
        .filter(|mount| is_bind(mount) && !read_only(mount))
        .filter_map(source)
        .collect()
}

/// Where the configuration mounts, but for what lies on a mount made before.
pub(super) fn mount_points(config: &Value, lookup: &dyn Fn(&str) -> SourceKind) -> Vec<MountPoint> {
    let mut points: Vec<MountPoint> = Vec::new();
    for mount in mounts(config) {
        let Some(path) = mount.get("destination").and_then(Value::as_str).map(clean) else {
            continue;
        };
        let covered = points.iter().any(|point| {
            path.strip_prefix(&point.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if path == "/" || covered {
            continue;
        }
        let file = is_bind(mount)
            && source(mount).is_some_and(|source| lookup(source) == SourceKind::File);
        let kind = if file {
            MountPointKind::File
        } else {
            MountPointKind::Dir
        };
        points.push(MountPoint { path, kind });
    }
    points
}

fn mounts(config: &Value) -> impl Iterator<Item = &Value> {
    config
        .get("mounts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Told by the type or by the options, as the specification has it.
fn is_bind(mount: &Value) -> bool {
    let typed = mount
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|t| t.contains("bind"));
    let options = mount.get("options").and_then(Value::as_array);
    typed
        || options
            .into_iter()
            .flatten()
            .any(|option| option == "bind" || option == "rbind")
}

/// A relative source lies in the deployment, not on the host.
fn source(mount: &Value) -> Option<&str> {
    mount
        .get("source")
        .and_then(Value::as_str)
        .filter(|source| source.starts_with('/'))
}

fn clean(path: &str) -> String {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sources_and_mount_points() {
        let config = json!({"mounts": [
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
            {"destination": "/data/", "type": "bind", "source": "/var/lib/x"},
            {"destination": "/data2", "source": "/var/lib/y", "options": ["ro", "rbind"]},
            {"destination": "/etc/resolv.conf", "type": "none", "source": "/etc/file",
                "options": ["bind"]},
            {"destination": "/own", "type": "bind", "source": "relative"},
            {"destination": "/", "type": "tmpfs", "source": "tmpfs"},
        ]});
        assert_eq!(
            bind_sources(&config),
            ["/var/lib/x", "/var/lib/y", "/etc/file"]
        );
        let points = mount_points(&config, &|path| match path {
            "/etc/file" => SourceKind::File,
            _ => SourceKind::Dir,
        });
        let found: Vec<_> = points
            .iter()
            .map(|point| (point.path.as_str(), point.kind))
            .collect();
        let dir = MountPointKind::Dir;
        let right = [
            ("/dev", dir),
            ("/data", dir),
            ("/data2", dir),
            ("/etc/resolv.conf", MountPointKind::File),
            ("/own", dir),
        ];
        assert_eq!(found, right);
        assert!(mount_points(&json!({}), &|_| SourceKind::Dir).is_empty());
    }
}
