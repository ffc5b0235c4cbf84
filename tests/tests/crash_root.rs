//! A share of `make crash`: each failpoint once in each scenario.

use anyhow::Result;
use sysc_tests::crash::{self, Share};

#[test]
fn cut_off_at_each_failpoint() -> Result<()> {
    let outcome = crash::walk(Share::Some, "", |line| println!("{line}"))?;
    let walked: Vec<&str> = outcome.walked.iter().map(String::as_str).collect();
    assert_eq!(walked, Vec::from_iter(crash::points()));
    assert_eq!(outcome.bad, [""; 0], "{}", outcome.line());
    Ok(())
}
