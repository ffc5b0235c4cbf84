//! `checkpoint` and `restore`: not offered.

use anyhow::{Result, bail};

/// `features` says the same.
pub fn refuse(verb: &str) -> Result<u8> {
    bail!("{verb} is not supported by this runtime")
}
