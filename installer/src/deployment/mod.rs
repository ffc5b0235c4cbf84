//! Deployments: complete, immutable directories, and the link that says which one counts.
//!
//! In: the merged tree and what was rendered for it. Out: a [`Deployment`], whole and fsynced,
//! and then [`make_current`], the commit point of every transaction. On disk, below
//! `/var/lib/containers/atomic`:
//!
//! ```text
//! NAME -> NAME.0            which deployment is the current one
//! NAME.0/                   a slot: the smallest free number
//!     rootfs/               hard links into the repository
//!     config.json           the OCI bundle's configuration
//!     NAME.service          the unit, as projected
//!     tmpfiles-NAME.conf    the tmpfiles lines, as projected
//!     host/                 host files as they will be written
//!     generation.SERIAL     what the unit of this generation, and of no other, asserts
//!     info                  what this is: names, serial, values, checksums
//! .NAME.tmp-SERIAL/         being built; becomes a slot by a rename
//! .NAME.trash-SERIAL/       being removed
//! .journal/NAME.json        which generations were current, and what is under way
//! .storage/                 lock, serial counter, installation id, the repository
//!     ledger/NAME.json      what was written on the host
//! ```
//!
//! Which of container and slot a path is, its kind and `info` tell, never its spelling: a
//! container may well be called `etcd-3.0`. Nothing outside that directory is touched here.

mod adopted;
mod current;
mod draft;
mod error;
mod info;
mod installation;
mod journal;
mod list;
mod lock;
mod name;
mod remove;
mod serial;
mod state;
mod usage;
mod vendor;

pub use adopted::{AtomicContainer, AtomicInfo, atomics, take_over};
pub use current::{drop_current, make_current};
pub use draft::{Contents, Draft};
pub use error::Error;
pub use info::{Info, Setup};
pub use installation::{id as installation, known_id as known_installation};
pub use journal::{Brief, Event, Intent, Journal, Why};
pub use list::{Container, Deployment, Deployments, Survey, is_slot_of};
pub use lock::Lock;
pub use name::{ContainerName, InvalidName};
pub use remove::remove;
pub use serial::{next as next_serial, upcoming as upcoming_serial};
pub use state::{Move, State};
pub use usage::is_used;
pub use vendor::{PREINSTALLED, preinstalled, preinstalled_names};
