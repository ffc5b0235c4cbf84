//! Commands that are cut off: at each named failpoint, by a kill or by a failing call, and what is
//! found afterwards.
//!
//! ```text
//! scenario: a base, a command ─▶ run whole: the points that it passes, the state before and after
//!     for each point and fault:
//!         restore the base ─▶ run, cut ─▶ `sysc recover` ─▶ judge:
//!             the state is the one before or the one after, to the last byte in /etc;
//!             a second recovery says and changes nothing;
//!             nothing half-built lies about, refs and deployments agree, `ostree fsck` is clean
//! ```

mod host;
mod scenario;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use host::Host;
pub use scenario::{Base, SCENARIOS, Scenario};

/// What is done to a command at a failpoint.
const FAULTS: [&str; 4] = ["kill", "ENOSPC", "EIO", "EROFS"];

/// How much of it all is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Each passing of each point, with each fault; of the thousands of passings for objects and
    /// links a few.
    All,
    /// The first passing of each point in each scenario, with one fault.
    Some,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The points that were passed.
    pub walked: BTreeSet<String>,
    /// How often a command was cut.
    pub cuts: usize,
    /// What was found that must not be.
    pub bad: Vec<String>,
}

impl Outcome {
    /// The line that says it all.
    pub fn line(&self) -> String {
        let (walked, all) = (self.walked.len(), points().len());
        format!(
            "failpoints walked {walked} of {all}, cuts tried {}, bad states {}",
            self.cuts,
            self.bad.len()
        )
    }
}

/// The names of all failpoints, as the program has them.
pub fn points() -> BTreeSet<&'static str> {
    let source = include_str!("../../../installer/src/failpoint.rs");
    let name = |line: &'static str| {
        let (_, name) = line.trim().strip_suffix("\",")?.split_once(" = \"")?;
        Some(name)
    };
    source.lines().filter_map(name).collect()
}

/// Walks the scenarios that have `only` in their name. `tell` hears of each that is done, and of each bad state.
pub fn walk(share: Share, only: &str, mut tell: impl FnMut(&str)) -> Result<Outcome> {
    let host = Host::boot()?;
    let mut outcome = Outcome::default();
    let asked = |scenario: &&Scenario| scenario.name.contains(only);
    for scenario in SCENARIOS.iter().filter(asked) {
        let before = outcome.cuts;
        walk_one(&host, scenario, share, &mut outcome, &mut tell)
            .with_context(|| format!("scenario '{}'", scenario.name))?;
        let cuts = outcome.cuts - before;
        tell(&format!("{}: {cuts} cuts", scenario.name));
    }
    Ok(outcome)
}

fn walk_one(
    host: &Host,
    scenario: &Scenario,
    share: Share,
    outcome: &mut Outcome,
    tell: &mut impl FnMut(&str),
) -> Result<()> {
    host.restore(scenario.base)?;
    let passed = host.run_whole(scenario.command)?;
    host.recover()?;
    let after = host.state()?;
    ensure!(!passed.is_empty(), "nothing is done");
    let mut allowed = vec![after];
    for base in scenario.or {
        host.restore(*base)?;
        allowed.push(host.state()?);
    }
    let names = passed.iter().filter_map(|place| place.split_once(':'));
    outcome
        .walked
        .extend(names.map(|(name, _)| name.to_owned()));
    for (at, place) in chosen(&passed, share).into_iter().enumerate() {
        let faults = match share {
            Share::All => &FAULTS[..],
            Share::Some => &FAULTS[at % FAULTS.len()..][..1],
        };
        for fault in faults {
            host.restore(scenario.base)?;
            let failpoint = format!("{place}:{fault}");
            let verdict = host
                .run_cut(scenario.command, &failpoint)
                .and_then(|()| host.judge(&allowed));
            outcome.cuts += 1;
            if let Err(error) = verdict {
                let bad = format!("{} at {failpoint}: {error:#}", scenario.name);
                tell(&bad);
                outcome.bad.push(bad);
            }
        }
    }
    Ok(())
}

/// Those of the passings that are tried.
fn chosen(passed: &[String], share: Share) -> Vec<&String> {
    const A_FEW: usize = 6;
    let mut seen = BTreeSet::new();
    let mut is_chosen = |place: &&String| {
        let (name, count) = place.split_once(':').unwrap_or((place, "1"));
        let many = ["object.write", "tree.link"].contains(&name);
        match share {
            Share::Some => seen.insert(name.to_owned()),
            Share::All => !many || count.parse::<usize>().is_ok_and(|count| count <= A_FEW),
        }
    };
    passed.iter().filter(|place| is_chosen(place)).collect()
}
