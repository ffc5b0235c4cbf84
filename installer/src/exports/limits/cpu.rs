//! Shares, time and places of processors.

use serde_json::{Map, Value};

use super::{Setting, number, remove_zeros, setting};

/// µs; the kernel's when none is said.
const USUAL_PERIOD: u64 = 100_000;

pub(super) fn take(cpu: &mut Map<String, Value>) -> Vec<Setting> {
    remove_zeros(cpu, &["shares", "quota", "period", "idle", "burst"]);
    let mut settings = Vec::new();
    let idle = number(cpu, "idle") == Some(1);
    let shares = number(cpu, "shares").and_then(|shares| u64::try_from(shares).ok());
    if idle {
        cpu.remove("idle");
        settings.push(setting("CPUWeight", "idle"));
    } else if let Some(shares) = shares {
        settings.push(setting("CPUWeight", weight(shares)));
    }
    if shares.is_some() {
        cpu.remove("shares");
    }
    settings.extend(quota(cpu));
    for (name, key) in [("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")] {
        if let Some(list) = cpu
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| is_list(text))
        {
            settings.push(setting(key, list));
            cpu.remove(name);
        }
    }
    settings
}

/// What a rest of this section needs.
pub(super) fn controllers(cpu: &Value) -> Vec<&'static str> {
    let is_place = |name: &String| matches!(name.as_str(), "cpus" | "mems");
    let names = || cpu.as_object().into_iter().flat_map(Map::keys);
    let mut needed = Vec::new();
    if names().any(|name| !is_place(name)) {
        needed.push("cpu");
    }
    if names().any(is_place) {
        needed.push("cpuset");
    }
    needed
}

fn quota(cpu: &mut Map<String, Value>) -> Vec<Setting> {
    let quota = number(cpu, "quota");
    let period = number(cpu, "period").and_then(|period| u64::try_from(period).ok());
    cpu.remove("quota");
    if period.is_some() {
        cpu.remove("period");
    }
    time(quota.and_then(|quota| u64::try_from(quota).ok()), period)
}

/// In hundredths of a percent, rounded up; without a quota there is no limit.
pub(super) fn time(quota: Option<u64>, period: Option<u64>) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(quota) = quota {
        let period = u128::from(period.unwrap_or(USUAL_PERIOD).max(1));
        let hundredths = (u128::from(quota) * 10_000).div_ceil(period);
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        settings.push(match rest {
            0 => setting("CPUQuota", format_args!("{whole}%")),
            rest => setting("CPUQuota", format_args!("{whole}.{rest:02}%")),
        });
    }
    settings.extend(period.map(|period| setting("CPUQuotaPeriodSec", format_args!("{period}us"))));
    settings
}

/// `0-2,8`
pub(super) fn is_list(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split(',')
        .all(|part| match part.trim().split_once('-') {
            Some((first, last)) => is_number(first) && is_number(last),
            None => is_number(part.trim()),
        })
}

/// 2 to 262144 shares as a weight of 1 to 10000, on the curve that runtimes agree on: 1024 shares
/// are 100.
fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}
