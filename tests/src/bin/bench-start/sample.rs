//! Starting and measuring.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

use crate::bundle::Bundle;
use crate::figures::{Samples, Table};
use crate::peer::{Peer, quiet};
use crate::view::View;

/// How long the machine rests before each start: a boot service starts cold.
#[derive(Clone, Copy, Debug)]
pub struct Rest(Duration);

/// What a host sees.
pub const COLD: Rest = Rest(Duration::from_millis(30));
/// What a loop sees.
pub const HOT: Rest = Rest(Duration::ZERO);

impl fmt::Display for Rest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => formatter.write_str("hot"),
            pause => write!(formatter, "cold ({pause} ms of rest)"),
        }
    }
}

/// Times of everything that a runtime is asked for, peer after peer in each round.
pub fn starts(
    title: &str,
    peers: &[Peer],
    bundle: &Bundle,
    rest: Rest,
    rounds: usize,
) -> Result<Table> {
    let mut table = Table::new(title);
    for peer in peers.iter().filter(|peer| peer.is_runtime()) {
        time(
            peer.verb(&bundle.holding, &["run", "--detach", &held(peer)]),
            rest,
        )?;
    }
    for round in 0..rounds {
        for turn in 0..peers.len() {
            // Whoever comes first in a round is somebody else each time.
            round_of(
                &mut table,
                &peers[(turn + round) % peers.len()],
                bundle,
                rest,
            )?;
        }
    }
    for peer in peers.iter().filter(|peer| peer.is_runtime()) {
        time(
            peer.verb(&bundle.holding, &["delete", "--force", &held(peer)]),
            rest,
        )?;
    }
    Ok(table)
}

/// What `exec` goes into. Its name is its cgroup's, and no two share one.
fn held(peer: &Peer) -> String {
    format!("held-{}", peer.name)
}

fn round_of(table: &mut Table, peer: &Peer, bundle: &Bundle, rest: Rest) -> Result<()> {
    let before = cpu()?;
    let run = time(peer.run(bundle), rest)?;
    table.push(("run", "ms"), peer.name, run);
    table.push(("run: processor time", "ms"), peer.name, cpu()? - before);
    table.push(
        ("to the first instruction", "ms"),
        peer.name,
        to_first(peer.run(bundle), rest)?,
    );
    if !peer.is_runtime() {
        return Ok(());
    }
    let verbs = [&["create", "bench"] as &[&str], &["start", "bench"]];
    let mut whole = 0.0;
    for words in verbs {
        whole += time(peer.verb(&bundle.dir, words), rest)?;
    }
    whole += time(
        peer.verb(&bundle.dir, &["delete", "--force", "bench"]),
        rest,
    )?;
    table.push(("create+start+delete", "ms"), peer.name, whole);
    let exec = peer.verb(&bundle.holding, &["exec", &held(peer), "/first"]);
    table.push(("exec", "ms"), peer.name, time(exec, rest)?);
    Ok(())
}

/// What does not vary much: system calls and memory of one `run`.
pub fn costs(title: &str, peers: &[Peer], bundle: &Bundle) -> Result<Table> {
    let mut table = Table::new(title);
    for peer in peers {
        table.push(
            ("run: system calls", ""),
            peer.name,
            calls(&peer.run(bundle))?,
        );
        table.push(
            ("run: peak memory", "KiB"),
            peer.name,
            memory(&peer.run(bundle))?,
        );
    }
    Ok(table)
}

/// Many containers at once.
pub fn crowd(view: View, peers: &[Peer], place: &Path, many: usize) -> Result<String> {
    const LAST: usize = 20;
    let bundle = Bundle::new(place, view, false)?;
    let mut lines = format!("{view}, {many} containers held at once\n");
    for peer in peers.iter().filter(|peer| peer.is_runtime()) {
        let name = |number: usize| format!("crowd-{number}");
        let before = available()?;
        let mut last = Samples::default();
        for number in 0..many {
            let words = ["run", "--detach", &name(number)];
            let took = time(peer.verb(&bundle.holding, &words), HOT)?;
            if number + LAST >= many {
                last.push(took);
            }
        }
        let each = (before - available()?) / many as f64;
        for number in 0..many {
            time(
                peer.verb(&bundle.holding, &["delete", "--force", &name(number)]),
                HOT,
            )?;
        }
        let took = last.quantile(0.5).context("nothing was started")?;
        lines += &format!(
            "  {:<14} the last {LAST} took {took:.1} ms each; {each:.0} KiB of memory a container\n",
            peer.name
        );
    }
    Ok(lines)
}

/// Milliseconds from just before the spawn to the end of the process.
fn time(mut command: Command, rest: Rest) -> Result<f64> {
    std::thread::sleep(rest.0);
    let before = Instant::now();
    // Without anything to do in the child, this is a posix_spawn.
    let status = command
        .status()
        .with_context(|| format!("cannot start {command:?}"))?;
    let took = before.elapsed();
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(took.as_secs_f64() * 1e3)
}

/// Milliseconds from just before the spawn to the payload's first instruction.
fn to_first(mut command: Command, rest: Rest) -> Result<f64> {
    std::thread::sleep(rest.0);
    let before = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    child
        .stdout
        .take()
        .context("no pipe")?
        .read_to_end(&mut said)?;
    ensure!(child.wait()?.success(), "{command:?} failed");
    let number = |bytes: &[u8]| Some(i64::from_ne_bytes(bytes.try_into().ok()?));
    let (Some(seconds), Some(nanoseconds)) = (
        said.get(..8).and_then(number),
        said.get(8..16).and_then(number),
    ) else {
        bail!("{command:?}: the payload said {said:?}");
    };
    let since = (seconds - before.tv_sec()) * 1_000_000_000 + nanoseconds - before.tv_nsec();
    Ok(since as f64 / 1e6)
}

/// Milliseconds of processor time of all children so far.
fn cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e3)
}

/// All system calls, of every process until the payload has ended.
fn calls(command: &Command) -> Result<f64> {
    let report = wrapped(
        command,
        "strace",
        &["-f", "-qq", "-c", "-U", "calls,name", "-o"],
    )?;
    let lines = report.lines().rev();
    let total = lines
        .filter_map(|line| line.trim().strip_suffix("total"))
        .next();
    Ok(total.context("strace gives no total")?.trim().parse()?)
}

/// The largest resident size of any process of it, KiB.
fn memory(command: &Command) -> Result<f64> {
    // GNU time forks: whoever is started by this program begins with its size.
    let report = wrapped(command, "/usr/bin/time", &["-f", "%M", "-o"])?;
    Ok(report.trim().parse()?)
}

/// Runs a command under another one that writes a report to a file.
fn wrapped(command: &Command, tool: &str, flags: &[&str]) -> Result<String> {
    let report = tempfile::NamedTempFile::new()?;
    let mut whole = Command::new(tool);
    whole
        .args(flags)
        .arg(report.path())
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        whole.current_dir(dir);
    }
    time(quiet(whole), HOT)?;
    Ok(std::fs::read_to_string(report.path())?)
}

/// Memory that the kernel could give, KiB.
fn available() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line
        .and_then(|line| line.split_whitespace().next())
        .context("MemAvailable")?;
    Ok(number.parse()?)
}
