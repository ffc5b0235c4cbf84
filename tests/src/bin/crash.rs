//! `make crash`: every command that changes a host, cut off everywhere. With an argument, only the
//! scenarios that have it in their name.

use anyhow::{Result, ensure};
use sysc_tests::crash::{self, Share};

fn main() -> Result<()> {
    sysc_tests::require_root()?;
    let only = std::env::args().nth(1).unwrap_or_default();
    let outcome = crash::walk(Share::All, &only, |line| println!("{line}"))?;
    let unseen: Vec<_> = crash::points()
        .into_iter()
        .filter(|point| !outcome.walked.contains(*point))
        .collect();
    println!("{}", outcome.line());
    ensure!(
        unseen.is_empty() || !only.is_empty(),
        "never passed: {}",
        unseen.join(", ")
    );
    ensure!(outcome.bad.is_empty(), "there are bad states");
    Ok(())
}
