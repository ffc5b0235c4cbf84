//! `sysc`: OCI images as systemd services, deduplicated by OSTree.
//!
//! Data goes one way through the rooms, and each arrow is one plain type that the next room
//! consumes:
//!
//! ```text
//! reference ─▶ image ─layers─▶ store ─tree─▶ exports ─rendered─▶ deployment ═commit═▶ projection ─changes─▶ host
//! ```
//!
//! The double line is the commit point: one renamed symlink. What comes after it can be run
//! again at any time, and that is also how a crash is recovered from.

pub mod cli;
pub mod deployment;
pub mod durable;
pub mod exports;
pub mod failpoint;
#[expect(
    clippy::disallowed_methods,
    reason = "the one door to the running system"
)]
pub mod host;
pub mod image;
pub mod interrupt;
pub mod once;
pub mod places;
pub mod projection;
pub mod report;
pub mod settings;
#[expect(
    clippy::disallowed_types,
    reason = "the one room that speaks to libostree"
)]
pub mod store;
pub mod verb;
