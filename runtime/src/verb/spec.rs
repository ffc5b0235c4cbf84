//! `spec`: a config.json to begin with.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result};
use nix::unistd::{getegid, geteuid};
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::bundle::{default_config, rootless_config};
use crate::cli::SpecArgs;
use crate::facts::{CgroupMode, Facts};

/// Writes it; one that exists is left alone, and that is an error.
pub fn spec(args: &SpecArgs) -> Result<u8> {
    let mut config = match args.rootless {
        true => rootless_config(geteuid().as_raw(), getegid().as_raw()),
        false => default_config(),
    };
    if Facts::read().cgroup_mode != CgroupMode::Unified {
        leave_cgroup_namespace(&mut config);
    }
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"\t");
    config.serialize(&mut Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    let path = args.bundle.join("config.json");
    File::create_new(&path)
        .and_then(|mut file| file.write_all(&text))
        .with_context(|| format!("cannot write '{}'", path.display()))?;
    Ok(0)
}

/// With version 1 those who want it add it to what runc writes.
fn leave_cgroup_namespace(config: &mut Value) {
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    }
}
