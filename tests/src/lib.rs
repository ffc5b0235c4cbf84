//! The rigs of sysc's end-to-end tests and of its demonstration.
//!
//! Everything here is the real thing: systemd machines ([`machine`]), a registry
//! ([`registry`]), images built from Debian's packages ([`images`]). Each test owns what it
//! starts; of a test that is killed, the kernel ends the processes, and the next test removes the
//! files.

mod cgroups;
pub mod command;
pub mod crash;
pub mod engines;
pub mod image;
pub mod images;
mod keeper;
pub mod machine;
pub mod product;
pub mod registry;
pub mod rogue;
mod scratch;
pub mod snapshot;
pub mod tree;
pub mod watched;

/// Machines, Debian trees and services are made by root alone; nothing is skipped without.
pub fn require_root() -> anyhow::Result<()> {
    anyhow::ensure!(nix::unistd::geteuid().is_root(), "this needs root");
    Ok(())
}
