//! `make bench-start`: how long a container takes to start, beside the runtimes that others use.
//!
//! Everything is measured in one interleaved run, so that what else the machine does meets all
//! alike; what is printed is the ratio to crun, so that the machine itself divides out.

mod bundle;
mod chart;
mod figures;
mod peer;
mod sample;
mod view;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use bundle::Bundle;
use figures::Table;
use peer::Peer;
use view::View;

const USAGE: &str = "usage: bench-start [--rounds N] [--many N] [--chart DIR]

Measures run, create+start+delete, exec and the way to the payload's first instruction, cold (30 ms
of rest before each start) and hot, against crun, runc and bubblewrap, with each version of cgroups
that this host can show. SYSC_BIN names the directory with sysc-runtime.

  --rounds N   how often each is started (40)
  --many N     how many containers are held at once at the end (1000; 0 leaves that out)
  --chart DIR  where a chart is drawn (docs)";

/// What the command line says.
struct Wishes {
    rounds: usize,
    many: usize,
    chart: Option<PathBuf>,
}

fn main() -> Result<()> {
    let wishes = wishes()?;
    sysc_tests::require_root()?;
    view::leave_the_hosts_mounts()?;
    let place = view::scratch()?;
    let peers = peer::installed()?;
    let mut tables = Vec::new();
    for view in View::possible() {
        view.enter()?;
        tables.extend(measure(view, &peers, &place, wishes.rounds)?);
        if wishes.many > 0 {
            println!("{}", sample::crowd(view, &peers, &place, wishes.many)?);
        }
    }
    if let Some(directory) = wishes.chart {
        let path = directory.join("bench-start.svg");
        std::fs::write(&path, chart::draw(&tables))
            .with_context(|| format!("cannot write '{}'", path.display()))?;
        println!("drawn: {}", path.display());
    }
    Ok(())
}

fn measure(
    view: View,
    peers: &[Peer],
    place: &std::path::Path,
    rounds: usize,
) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (filtered, name) in [(false, "no filter"), (true, "a filter of some 300 calls")] {
        let bundle = Bundle::new(place, view, filtered)?;
        for rest in [sample::COLD, sample::HOT] {
            let title = format!("{view}, {name}, {rest}");
            let table = sample::starts(&title, peers, &bundle, rest, rounds)?;
            println!("{table}");
            tables.push(table);
        }
        if !filtered {
            let table = sample::costs(&format!("{view}, {name}"), peers, &bundle)?;
            println!("{table}");
        }
    }
    Ok(tables)
}

fn wishes() -> Result<Wishes> {
    let mut wishes = Wishes {
        rounds: 40,
        many: 1000,
        chart: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next();
        match (word.as_str(), value) {
            ("--rounds", Some(value)) => wishes.rounds = value.parse().context("--rounds")?,
            ("--many", Some(value)) => wishes.many = value.parse().context("--many")?,
            ("--chart", Some(value)) => wishes.chart = Some(value.into()),
            _ => bail!("{USAGE}"),
        }
    }
    Ok(wishes)
}
