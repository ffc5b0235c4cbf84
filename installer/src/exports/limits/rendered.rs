//! The unit and the configuration as they are rendered.

use serde_json::Value;

use super::super::template::Values;
use super::super::unit::{calls_us, is_ours, only_known};
use super::super::unit_file::UnitFile;
use super::super::{Error, Host};
use super::{Divided, Setting, divide};

const LIMITS: &str = include_str!("../../../../unit-templates/added-limits.template");
const LEAF: &str = include_str!("../../../../unit-templates/added-leaf.template");

/// Where the runtime itself is beside the leaf; it calls the place so, too.
const SUBGROUP: &str = "sysc-runtime";
/// systemd's first version with `DelegateSubgroup=`.
const SUBGROUPS: u32 = 254;
/// Every controller that systemd knows.
const ALL: &str = "yes";

/// Lets the unit say what it can of the configuration's limits. What the unit says already stays;
/// and so does everything where another runtime or another way of starting it decides where the
/// container is, or where the configuration says itself where it is to be.
pub(in super::super) fn move_to_unit(
    unit: &mut String,
    config: &mut String,
    values: &Values,
    host: &Host,
) -> Result<(), Error> {
    let stated = UnitFile::parse(unit);
    if !host.unified_cgroups
        || !is_ours(&values["RUNTIME"])
        || !calls_us(&stated, &values["EXEC_START"])
    {
        return Ok(());
    }
    let Ok(mut value) = serde_json::from_str::<Value>(config) else {
        return Ok(());
    };
    let path = value.pointer("/linux/cgroupsPath").and_then(Value::as_str);
    let path = path.filter(|path| !path.is_empty());
    if path.is_some_and(|path| path.starts_with('/')) {
        return Ok(());
    }
    let has_path = path.is_some();
    let before = value.clone();
    let divides = divides(&value);
    if divides && !has_path {
        value["linux"]["cgroupsPath"] = values["NAME"].as_str().into();
    }
    let resources = value.pointer_mut("/linux/resources");
    let divided = resources.map(divide).unwrap_or_default();
    let Divided { settings, left } = divided;
    if value != before {
        *config = format!("{value:#}\n");
    }
    unit.push_str(&section(&settings, &stated));
    let needed = match (divides, left) {
        (true, _) => Some(ALL.to_owned()),
        (false, Some(controllers)) => Some(controllers.join(" ")),
        (false, None) => has_path.then(String::new),
    };
    if let Some(controllers) = needed {
        unit.push_str(&only_known(LEAF, &leaf(controllers, &stated, host))?);
    }
    Ok(())
}

/// Whether the payload may make cgroups itself, as an init system does: then the root of those that
/// it sees must not be the unit's own, which is systemd's.
fn divides(config: &Value) -> bool {
    let list = |path: &str| config.pointer(path).and_then(Value::as_array);
    let is = |item: &Value, name: &str| item.get("type").is_some_and(|kind| kind == name);
    let new = |space: &&Value| is(space, "cgroup") && space.get("path").is_none_or(Value::is_null);
    let read_only = |mount: &Value| {
        let options = mount.get("options").and_then(Value::as_array);
        options.is_some_and(|options| options.iter().any(|option| option == "ro"))
    };
    let writable =
        |mount: &Value| (is(mount, "cgroup") || is(mount, "cgroup2")) && !read_only(mount);
    list("/linux/namespaces").is_some_and(|spaces| spaces.iter().any(|space| new(&space)))
        && list("/mounts").is_some_and(|mounts| mounts.iter().any(writable))
}

/// What the image's unit leaves open.
fn section(settings: &[Setting], stated: &UnitFile) -> String {
    let states = |key: &str| stated.last("Service", key).is_some();
    let open = |key: &str| !states(key) && !older(key).is_some_and(states);
    let lines = settings.iter().filter(|setting| open(setting.key));
    let lines: String = lines
        .map(|setting| format!("{}={}\n", setting.key, setting.value))
        .collect();
    match lines.is_empty() {
        true => lines,
        false => format!("{LIMITS}{lines}"),
    }
}

/// Settings that mean the same, or that are one with another.
fn older(key: &str) -> Option<&'static str> {
    Some(match key {
        "MemoryMax" => "MemoryLimit",
        "CPUWeight" => "CPUShares",
        "IOWeight" => "BlockIOWeight",
        "DeviceAllow" => "DevicePolicy",
        "DevicePolicy" => "DeviceAllow",
        _ => return None,
    })
}

/// An OOM kill in a delegated cgroup would go unnoticed otherwise.
fn leaf(controllers: String, stated: &UnitFile, host: &Host) -> Values {
    let mut leaf = Values::new();
    let states = |key: &str| stated.last("Service", key).is_some();
    if !states("Delegate") {
        leaf.insert("CONTROLLERS".to_owned(), controllers);
    }
    if !states("DelegateSubgroup") && host.systemd >= SUBGROUPS {
        leaf.insert("SUBGROUP".to_owned(), SUBGROUP.to_owned());
    }
    if !states("OOMPolicy") {
        leaf.insert("OOM_POLICY".to_owned(), "stop".to_owned());
    }
    leaf
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Ask;
    use super::*;
    use serde_json::json;

    /// The lines that are added to a unit, and the resources that stay.
    fn rendered(
        lines: &str,
        linux: Value,
        change: impl FnOnce(&mut Host, &mut Values),
    ) -> (String, Value) {
        let start = "/usr/bin/sysc-runtime run 'box'";
        let mut unit = format!("[Service]\nExecStart={start}\n{lines}");
        let before = unit.len();
        let mut config = json!({"linux": linux}).to_string();
        let mut values = Values::from([
            ("EXEC_START".to_owned(), start.to_owned()),
            ("RUNTIME".to_owned(), "/usr/bin/sysc-runtime".to_owned()),
        ]);
        let mut host = Ask::new("box").host;
        change(&mut host, &mut values);
        move_to_unit(&mut unit, &mut config, &values, &host).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let added = unit[before..].lines();
        let added: Vec<&str> = added.filter(|line| line.contains('=')).collect();
        (added.join(" "), config["linux"]["resources"].clone())
    }

    #[test]
    fn the_unit_of_an_image_wins() {
        let linux = || {
            json!({"resources": {"memory": {"limit": 7}, "pids": {"limit": 70},
            "devices": [{"allow": false}], "cpu": {"shares": 1024}}})
        };
        let always = "DevicePolicy=closed DeviceAllow=char-* m DeviceAllow=block-* m";
        let table = [
            (
                "",
                format!("MemoryMax=7 CPUWeight=100 TasksMax=70 {always}"),
            ),
            (
                "MemoryMax=1G\nDevicePolicy=auto\n",
                "CPUWeight=100 TasksMax=70".to_owned(),
            ),
            (
                "MemoryLimit=1G\nCPUShares=5\nDeviceAllow=/dev/fuse\n",
                "TasksMax=70".to_owned(),
            ),
            (
                "MemoryMax=1G\nMemoryMax=\n",
                format!("MemoryMax=7 CPUWeight=100 TasksMax=70 {always}"),
            ),
        ];
        for (lines, added) in table {
            assert_eq!(
                rendered(lines, linux(), |_, _| ()),
                (added, json!({})),
                "{lines}"
            );
        }
    }

    #[test]
    fn a_leaf_is_asked_for_where_something_is_left() {
        let linux = || json!({"resources": {"memory": {"limit": 7, "swappiness": 5}}});
        let rest = linux()["resources"]
            .as_object()
            .map(|_| json!({"memory": {"swappiness": 5}}))
            .unwrap();
        let added = |text: &str| (text.to_owned(), rest.clone());
        let older = rendered("", linux(), |_, _| ());
        assert_eq!(older, added("MemoryMax=7 Delegate=memory OOMPolicy=stop"));
        let newer = rendered("", linux(), |host, _| host.systemd = 257);
        assert_eq!(
            newer,
            added("MemoryMax=7 Delegate=memory DelegateSubgroup=sysc-runtime OOMPolicy=stop")
        );
        let stated = rendered("Delegate=yes\nOOMPolicy=kill\n", linux(), |_, _| ());
        assert_eq!(stated, added("MemoryMax=7"));
        let path = rendered("", json!({"cgroupsPath": "x"}), |_, _| ());
        assert_eq!(path, ("Delegate= OOMPolicy=stop".to_owned(), json!(null)));
    }

    #[test]
    fn a_payload_that_makes_cgroups_gets_one_of_its_own() {
        let config = |kind: &str, options: Value, space: Value| json!({"mounts": [{"type": kind, "options": options}], "linux": {"namespaces": [space]}});
        let new = || json!({"type": "cgroup"});
        let table = [
            (config("cgroup", json!(["rw"]), new()), true),
            (config("cgroup2", json!(null), new()), true),
            (config("cgroup", json!(["nosuid", "ro"]), new()), false),
            (config("bind", json!([]), new()), false),
            (
                config(
                    "cgroup",
                    json!([]),
                    json!({"type": "cgroup", "path": "/proc/1/ns/cgroup"}),
                ),
                false,
            ),
            (config("cgroup", json!([]), json!({"type": "pid"})), false),
            (json!({}), false),
        ];
        for (config, makes) in table {
            assert_eq!(divides(&config), makes, "{config}");
        }
    }

    #[test]
    fn who_decides_otherwise_keeps_the_limits() {
        let linux = || json!({"resources": {"memory": {"limit": 7}}});
        let kept = (String::new(), linux()["resources"].clone());
        let set = |name: &'static str, value: &'static str| {
            move |_: &mut Host, values: &mut Values| {
                values.insert(name.to_owned(), value.to_owned());
            }
        };
        assert_eq!(rendered("", linux(), set("RUNTIME", "/usr/bin/runc")), kept);
        assert_eq!(rendered("", linux(), set("EXEC_START", "/other")), kept);
        let legacy = |host: &mut Host, _: &mut Values| host.unified_cgroups = false;
        assert_eq!(rendered("", linux(), legacy), kept);
        let mut elsewhere = linux();
        elsewhere["cgroupsPath"] = json!("/machine/x");
        assert_eq!(rendered("", elsewhere, |_, _| ()), kept);
    }
}
