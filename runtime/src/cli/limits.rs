//! Arguments of `update` and `events`, and the notations that they share with runc.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Arguments of `update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Name of the container
    pub id: String,
    /// File with linux.resources as JSON, or - for standard input; other flags are ignored then
    #[arg(short, long, value_name = "FILE")]
    pub resources: Option<PathBuf>,
    /// Weight of its block I/O, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Length of a period of CPU time, in µs
    #[arg(long, value_name = "TIME")]
    pub cpu_period: Option<u64>,
    /// CPU time in each period, in µs; -1 for no limit
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// CPU time that may be saved up, in µs
    #[arg(long, value_name = "TIME")]
    pub cpu_burst: Option<u64>,
    /// Weight of its CPU time
    #[arg(long, value_name = "WEIGHT")]
    pub cpu_share: Option<u64>,
    /// Length of a period of realtime CPU time, in µs
    #[arg(long, value_name = "TIME")]
    pub cpu_rt_period: Option<u64>,
    /// Realtime CPU time in each period, in µs
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// 1: runs only when nobody else wants to; 0: as others
    #[arg(long, value_name = "0|1", allow_negative_numbers = true)]
    pub cpu_idle: Option<i64>,
    /// CPUs that it may use
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes that it may use
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Memory, in bytes or with k, m, g, t; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub memory: Option<i64>,
    /// Memory that it is left when others want some
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub memory_reservation: Option<i64>,
    /// Memory and swap together
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true)]
    pub memory_swap: Option<i64>,
    /// Number of processes; -1 for no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// Ignored, as by runc: kernels have no such limit any more
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, hide = true)]
    pub kernel_memory: Option<i64>,
    /// Ignored, as by runc
    #[arg(long, value_name = "SIZE", value_parser = size, allow_hyphen_values = true, hide = true)]
    pub kernel_memory_tcp: Option<i64>,
    /// Refused: intelRdt is not supported
    #[arg(long, value_name = "SCHEMA", hide = true)]
    pub l3_cache_schema: Option<String>,
    /// Refused: intelRdt is not supported
    #[arg(long, value_name = "SCHEMA", hide = true)]
    pub mem_bw_schema: Option<String>,
}

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Name of the container
    pub id: String,
    /// Time between two figures, such as 500ms, 5s, 1m
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub interval: Duration,
    /// Print the figures once
    #[arg(long)]
    pub stats: bool,
}

/// `1024`, `64M`, `64mb`, `64MiB`, `1.5g`, `-1`. All units are powers of 1024.
fn size(text: &str) -> Result<i64, String> {
    let wrong = || format!("'{text}' is not a size");
    let lower = text.to_lowercase();
    let end = lower
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    if let Ok(number) = number.parse::<i64>() {
        let whole = number.checked_mul(1 << shift).ok_or_else(wrong)?;
        return if whole < -1 { Err(wrong()) } else { Ok(whole) };
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let whole = number * f64::from(shift).exp2();
    match whole.is_finite() && (0.0..9e18).contains(&whole) {
        true => Ok(whole as i64),
        false => Err(wrong()),
    }
}

/// Numbers with units, one after the other, as Go writes durations: `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a length of time");
    let mut sum = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = |text: &str, in_number: bool| {
            let other = |c: char| (c.is_ascii_digit() || c == '.') != in_number;
            text.find(other).unwrap_or(text.len())
        };
        let (number, after) = rest.split_at(end(rest, true));
        let (unit, after) = after.split_at(end(after, false));
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    match sum.is_zero() {
        true => Err("must be more than nothing".to_owned()),
        false => Ok(sum),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_runc_reads_them() {
        let table = [
            ("1024", Ok(1024)),
            ("64M", Ok(64 << 20)),
            ("64mb", Ok(64 << 20)),
            ("1GiB", Ok(1 << 30)),
            ("1.5g", Ok(3 << 29)),
            ("0", Ok(0)),
            ("-1", Ok(-1)),
            ("-2", Err(())),
            ("", Err(())),
            ("M", Err(())),
            ("1x", Err(())),
            ("9999999p", Err(())),
        ];
        for (text, wanted) in table {
            assert_eq!(size(text).map_err(drop), wanted, "{text}");
        }
    }

    #[test]
    fn durations_as_go_writes_them() {
        let table = [
            ("500ms", Ok(500)),
            ("5s", Ok(5000)),
            ("1m30s", Ok(90_000)),
            ("1.5s", Ok(1500)),
            ("0s", Err(())),
            ("5", Err(())),
            ("s", Err(())),
            ("-1s", Err(())),
        ];
        for (text, wanted) in table {
            let found = duration(text).map(|time| time.as_millis() as u64);
            assert_eq!(found.map_err(drop), wanted, "{text}");
        }
    }
}
