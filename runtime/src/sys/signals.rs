//! Signals of this process.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};

/// A reader that goes away shall be an error of one write, not the end of this process.
pub fn ignore_broken_pipes() -> nix::Result<()> {
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) }.map(drop)
}

/// Gives the payload what a program expects: nothing blocked, and SIGPIPE deadly (an ignored signal
/// survives exec).
pub fn reset_for_payload() -> nix::Result<()> {
    // SAFETY: SIG_DFL installs no code of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// From here to the exec, which undoes it, a request to end is followed. Without a handler the
/// first process of a PID namespace would not hear it.
pub fn end_on_request() -> nix::Result<()> {
    handle_requests(end)
}

/// The same for a service, which has not failed when it is asked to end.
pub fn end_well_on_request() -> nix::Result<()> {
    handle_requests(end_well)
}

fn handle_requests(handler: extern "C" fn(libc::c_int)) -> nix::Result<()> {
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for request in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        // SAFETY: both handlers make one call, which may be made at any moment.
        unsafe { signal(request, SigHandler::Handler(handler)) }?;
    }
    Ok(())
}

extern "C" fn end_well(_: libc::c_int) {
    // SAFETY: takes a number, returns to nobody, runs nothing of ours.
    unsafe { libc::_exit(0) }
}

extern "C" fn end(number: libc::c_int) {
    // SAFETY: takes a number, returns to nobody, runs nothing of ours.
    unsafe { libc::_exit(128 + number) }
}
