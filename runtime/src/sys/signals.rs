//! Signals of this process.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

/// Gives the payload what a program expects: nothing blocked, and SIGPIPE deadly (Rust's start-up
/// code ignores it, and an ignored signal survives exec).
pub fn reset_for_payload() -> nix::Result<()> {
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
