//! `make crash`: every command that changes a host, cut off everywhere.

use anyhow::{Result, ensure};
use sysc_tests::crash::{self, Share};

fn main() -> Result<()> {
    sysc_tests::require_root()?;
    let outcome = crash::walk(Share::All, |line| println!("{line}"))?;
    let unseen: Vec<_> = crash::points()
        .into_iter()
        .filter(|point| !outcome.walked.contains(*point))
        .collect();
    println!("{}", outcome.line());
    ensure!(unseen.is_empty(), "never passed: {}", unseen.join(", "));
    ensure!(outcome.bad.is_empty(), "there are bad states");
    Ok(())
}
