//! Kernel calls that neither `nix` nor libcontainer offers, each behind a safe function.
//!
//! All `unsafe` of the runtime lives here. In: plain values and descriptors. Out: `io`-like
//! results. This room knows nothing of containers and decides nothing.

pub mod bpf;
pub mod clone;
pub mod descriptors;
pub mod mount;
pub mod network;
pub mod open;
pub mod process;
pub mod signals;
pub mod terminal;
