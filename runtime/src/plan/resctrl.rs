//! Intel's resource director: the class of service for cache and memory bandwidth.

use oci_spec::runtime::{Linux, LinuxIntelRdt};

use super::Error;

/// What the container is in, and what is set there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resctrl {
    /// Its directory's name, empty for the root: the configured class, or the container's id.
    pub class: String,
    /// Whether the class is the container's own and goes away with it.
    pub own: bool,
    /// Lines for its `schemata`.
    pub schemata: Vec<String>,
    /// Whether the container is watched apart from others of its class.
    pub monitoring: bool,
}

/// The configured class for a container called `id`.
pub fn plan(linux: &Linux, id: &str) -> Result<Option<Resctrl>, Error> {
    let Some(config) = linux.intel_rdt() else {
        return Ok(None);
    };
    let class = config
        .clos_id()
        .as_deref()
        .filter(|class| !class.is_empty());
    let bad = |class: &str| matches!(class, "." | "..") || class.len() > 1 && class.contains('/');
    if let Some(class) = class.filter(|class| bad(class)) {
        return Err(Error::Field {
            field: "linux.intelRdt.closID".to_owned(),
            reason: format!("'{class}' is not a name"),
        });
    }
    Ok(Some(Resctrl {
        class: class.unwrap_or(id).trim_matches('/').to_owned(),
        own: class.is_none(),
        schemata: schemata(config),
        monitoring: monitoring(config),
    }))
}

fn schemata(config: &LinuxIntelRdt) -> Vec<String> {
    let lines = [config.l3_cache_schema(), config.mem_bw_schema()];
    let lines = lines.into_iter().flatten();
    let all = lines.chain(config.schemata().iter().flatten());
    all.filter(|line| !line.is_empty()).cloned().collect()
}

/// Also by the names that the specification had for it before 1.3.
fn monitoring(config: &LinuxIntelRdt) -> bool {
    let asked = [
        config.enable_monitoring(),
        config.enable_cmt(),
        config.enable_mbm(),
    ];
    asked.contains(&&Some(true))
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::{Value, json};

    fn planned(config: Value) -> Result<Resctrl, Error> {
        let plan = plan_with(|all| all["linux"]["intelRdt"] = config)?;
        Ok(plan.resctrl.unwrap())
    }

    #[test]
    fn classes_and_lines() {
        let found = planned(json!({"l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=20"})).unwrap();
        let wanted = Resctrl {
            class: "web".to_owned(),
            own: true,
            schemata: vec!["L3:0=f".to_owned(), "MB:0=20".to_owned()],
            monitoring: false,
        };
        assert_eq!(found, wanted);
        let found = planned(json!({"closID": "/", "enableMonitoring": true})).unwrap();
        assert_eq!(
            (found.class.as_str(), found.own, found.monitoring),
            ("", false, true)
        );
        for name in ["..", "a/b", "../x"] {
            assert!(planned(json!({"closID": name})).is_err(), "{name}");
        }
    }
}
