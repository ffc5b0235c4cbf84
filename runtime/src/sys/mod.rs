//! Kernel calls that neither `nix` nor libcontainer offers, each behind a safe function.
//!
//! All `unsafe` of the runtime lives here. In: plain values and descriptors. Out: `io`-like
//! results. This room knows nothing of containers and decides nothing.

pub mod bpf;
pub mod capabilities;
pub mod clone;
pub mod descriptors;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod entry;
pub mod files;
pub mod mount;
pub mod network;
pub mod open;
pub mod process;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
pub mod terminal;
