//! SIGINT and SIGTERM: what was begun is undone, then the exit status names the signal.
//!
//! While nothing but objects of the repository is written (a pull), the process may end at
//! once: the repository cleans its own staging. Between the first file of a deployment and the
//! end of its projection, the signal is noted and asked for between steps.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The first signal that came, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// A transaction is under way.
static GUARDED: AtomicBool = AtomicBool::new(false);

/// A signal asked the command to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; nothing was changed")]
pub struct Interrupted {
    /// The signal's number.
    pub signal: i32,
}

/// While one of these lives, a signal does not end the process but is noted for [`check`].
#[derive(Debug)]
pub struct Guard(());

/// Starts listening. `end` ends the process with the given status.
pub fn listen(end: fn(i32) -> !) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            SIGNAL.store(signal, Ordering::SeqCst);
            if !GUARDED.load(Ordering::SeqCst) {
                end(128 + signal);
            }
        }
    });
    Ok(())
}

/// From here to the guard's end, signals wait.
pub fn guard() -> Result<Guard, Interrupted> {
    GUARDED.store(true, Ordering::SeqCst);
    // The guard exists before the check, so that it is lowered whatever the check says.
    let guard = Guard(());
    check().map(|()| guard)
}

/// Fails if a signal came.
pub fn check() -> Result<(), Interrupted> {
    match SIGNAL.load(Ordering::SeqCst) {
        0 => Ok(()),
        signal => Err(Interrupted { signal }),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.store(false, Ordering::SeqCst);
    }
}
