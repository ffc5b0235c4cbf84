//! Kills for want of memory, told by the kernel as they happen.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;

use super::{Home, Places};
use crate::cgroup::hierarchy;

/// Becomes readable when there may be something to tell.
pub enum OomWatch {
    /// The kernel counts in version 1's event descriptor. It does so once more when the cgroup goes
    /// away, which `control` shows.
    Legacy {
        /// The descriptor.
        events: EventFd,
        /// The file by which it was asked for.
        control: PathBuf,
    },
    /// Version 2 tells that the file with its counts has changed.
    Unified {
        /// The watch on it.
        changes: Inotify,
        /// Where it is.
        places: Places,
        /// Kills until now.
        kills: u64,
    },
}

impl OomWatch {
    /// Begins to watch. `None` where the memory controller is missing.
    pub fn new(home: &Home) -> Option<OomWatch> {
        let places = Places::of(home);
        match hierarchy::is_unified() {
            true => OomWatch::unified(places),
            false => OomWatch::legacy(&places),
        }
    }

    fn legacy(places: &Places) -> Option<OomWatch> {
        let directory = places.directory("memory")?;
        let watched = File::open(directory.join("memory.oom_control")).ok()?;
        let events = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC).ok()?;
        let control = directory.join("cgroup.event_control");
        let numbers = (events.as_fd().as_raw_fd(), watched.as_raw_fd());
        std::fs::write(&control, format!("{} {}", numbers.0, numbers.1)).ok()?;
        Some(OomWatch::Legacy { events, control })
    }

    fn unified(places: Places) -> Option<OomWatch> {
        let file = places.directory("memory")?.join("memory.events");
        let changes = Inotify::init(InitFlags::IN_CLOEXEC).ok()?;
        changes.add_watch(&file, AddWatchFlags::IN_MODIFY).ok()?;
        let kills = kills(&places);
        Some(OomWatch::Unified {
            changes,
            places,
            kills,
        })
    }

    /// Takes note of what has happened; whether that was a kill. Only after the descriptor has become
    /// readable.
    pub fn was_kill(&mut self) -> bool {
        match self {
            OomWatch::Legacy { events, control } => events.read().is_ok() && control.exists(),
            OomWatch::Unified {
                changes,
                places,
                kills,
            } => {
                let before = *kills;
                if changes.read_events().is_ok() {
                    *kills = self::kills(places);
                }
                *kills > before
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            OomWatch::Legacy { events, .. } => events.as_fd(),
            OomWatch::Unified { changes, .. } => changes.as_fd(),
        }
    }
}

fn kills(places: &Places) -> u64 {
    let table = places.table("memory", "memory.events");
    table.get("oom_kill").and_then(Value::as_u64).unwrap_or(0)
}
