//! `sysc-runtime`: starts the container that an OCI bundle describes, and stays out of its way.
//!
//! ```text
//!  bundle ─▶ plan ─▶ launch ═clone═▶ inside ─▶ the payload
//!                       │
//!                     record, cgroup
//! ```
//!
//! The folder is the stage of a start and says what its code may touch: `bundle` and `plan` compute,
//! `launch` sees the host, `inside` is the container's side of the clone. One path serves every
//! verb. docs/RUNTIME.md draws a start step by step.

pub mod advice;
pub mod bundle;
pub mod bus;
pub mod cgroup;
pub mod cli;
pub mod clock;
pub mod facts;
#[expect(
    clippy::disallowed_methods,
    reason = "hooks are the only programs that the runtime starts"
)]
pub mod hooks;
pub mod inherited;
pub mod inside;
pub mod ladder;
pub mod launch;
pub mod manager;
pub mod netlink;
pub mod plan;
pub mod record;
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one room that speaks to the user"
)]
pub mod report;
pub mod resctrl;
pub mod seal;
#[expect(unsafe_code, reason = "kernel calls that no crate offers")]
pub mod sys;
pub mod verb;
