//! `update`: other limits for a container that is there.

use std::io::Read;

use anyhow::{Context, Result, bail};
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::Tools;
use crate::cli::UpdateArgs;
use crate::plan::{self, DeviceRules};
use crate::record::{Id, Status};
use crate::{cgroup, report};

/// What is not said stays as it is.
pub fn update(tools: &Tools, args: &UpdateArgs) -> Result<u8> {
    let told = || format!("cannot update container '{}'", args.id);
    let (state, status) = tools.registry.look(&Id::parse(&args.id)?)?;
    if status == Status::Stopped {
        bail!("{}: it is stopped", told());
    }
    if args.kernel_memory.or(args.kernel_memory_tcp).is_some() {
        report::warning(tools.log, "kernel memory settings are ignored");
    }
    let asked = asked(args).with_context(told)?;
    let made = super::own_cgroup(&state, "set-property").with_context(told)?;
    let devices = devices(&asked).with_context(told)?;
    cgroup::change(&made, &asked, devices.as_ref()).with_context(told)?;
    Ok(0)
}

/// Rules that are not said stay as they are.
fn devices(asked: &LinuxResources) -> Result<Option<DeviceRules>, plan::Error> {
    let Some(list) = asked.devices() else {
        return Ok(None);
    };
    Ok(Some(DeviceRules {
        list: plan::device_rules(list)?,
        dispensable: false,
    }))
}

fn asked(args: &UpdateArgs) -> Result<LinuxResources> {
    for (flag, value) in [
        ("--l3-cache-schema", &args.l3_cache_schema),
        ("--mem-bw-schema", &args.mem_bw_schema),
    ] {
        if value.is_some() {
            bail!("{flag}: intelRdt is not supported");
        }
    }
    let Some(path) = &args.resources else {
        return Ok(serde_json::from_value(stated(from_flags(args)))?);
    };
    let shown = path.display();
    let text = match path.as_os_str() == "-" {
        true => {
            let mut text = Vec::new();
            let read = std::io::stdin().read_to_end(&mut text);
            read.map(|_| text)
        }
        false => std::fs::read(path),
    }
    .with_context(|| format!("cannot read '{shown}'"))?;
    // A map, since a list would be taken for one without names.
    serde_json::from_slice::<Map<String, Value>>(&text)
        .and_then(|fields| serde_json::from_value(stated(Value::Object(fields))))
        .with_context(|| format!("'{shown}' holds no linux.resources"))
}

fn from_flags(args: &UpdateArgs) -> Value {
    json!({
        "memory": {
            "limit": args.memory,
            "reservation": args.memory_reservation,
            "swap": args.memory_swap,
        },
        "cpu": {
            "shares": args.cpu_share,
            "quota": args.cpu_quota,
            "period": args.cpu_period,
            "burst": args.cpu_burst,
            "realtimeRuntime": args.cpu_rt_runtime,
            "realtimePeriod": args.cpu_rt_period,
            "idle": args.cpu_idle,
            "cpus": args.cpuset_cpus,
            "mems": args.cpuset_mems,
        },
        // Nobody says zero who does not mean it.
        "pids": {"limit": args.pids_limit.map(|limit| if limit == 0 { 1 } else { limit })},
        "blockIO": {"weight": args.blkio_weight},
    })
}

/// Callers of runc write zero for "as it is", but for the fields that zero means something in.
fn stated(value: Value) -> Value {
    let Value::Object(fields) = value else {
        return value;
    };
    let is_said = |name: &str, value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Number(number) => {
            number.as_i64() != Some(0)
                || matches!(
                    name,
                    "idle" | "burst" | "swappiness" | "major" | "minor" | "rate"
                )
        }
        _ => true,
    };
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name, stated(value)))
        .filter(|(name, value)| is_said(name, value));
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_nothing_are_not_said() {
        let value = stated(json!({"memory": {"limit": 0, "swap": -1, "swappiness": 0},
            "cpu": {"cpus": "", "shares": null}, "pids": {"limit": 0}}));
        assert_eq!(value, json!({"memory": {"swap": -1, "swappiness": 0}}));
    }
}
