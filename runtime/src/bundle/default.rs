//! The configuration that `spec` writes: what an unremarkable container gets.

use serde_json::{Value, json};

const DEFAULT: &str = include_str!("default.json");

/// The default configuration for root.
#[expect(
    clippy::expect_used,
    reason = "a file of this program, parsed by its tests"
)]
pub fn default_config() -> Value {
    serde_json::from_str(DEFAULT).expect("default.json is JSON")
}

/// The default configuration for a user without privileges: a user namespace in which that user is
/// root, the host's network, no cgroup mount.
pub fn rootless_config(uid: u32, gid: u32) -> Value {
    let mut config = default_config();
    let linux = &mut config["linux"];
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
    linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        make_rootless(mount);
    }
    config
}

/// sysfs and cgroups belong to the host's namespaces, so they are bound in; a terminal's group is
/// not mapped.
fn make_rootless(mount: &mut Value) {
    match mount["type"].as_str() {
        Some("sysfs") => {
            mount["type"] = "none".into();
            mount["source"] = "/sys".into();
            mount["options"] = json!(["rbind", "nosuid", "noexec", "nodev", "ro"]);
        }
        Some("devpts") => {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_configuration_maps_the_user() {
        let config = rootless_config(1000, 1001);
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 1000);
        assert_eq!(config["linux"]["gidMappings"][0]["hostID"], 1001);
        assert!(config["linux"].get("resources").is_none());
    }
}
