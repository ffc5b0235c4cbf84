//! What should be on the host, against what is there: the one step that every transaction ends
//! with and that recovery runs again.
//!
//! In: a container's current deployment (or that it has none), and its ledger, the record of
//! what was written for it. Out: a list of [`Change`]s, decided in [`plan`] without touching
//! anything, and then applied. Units and files are copied from the deployment, never rendered.
//! Projecting twice changes nothing the second time.

mod apply;
mod change;
mod error;
mod keep;
mod ledger;
mod plan;
mod project;
mod recover;
mod stop;
mod stray;
mod switch;
mod want;

pub use change::Change;
pub use error::Error;
pub use keep::{clean, evictable};
pub use ledger::Ledger;
pub use project::changed_on_host;
pub use recover::{Recovered, boot, recover};
pub use switch::{Done, Site, carry_on, choose};
