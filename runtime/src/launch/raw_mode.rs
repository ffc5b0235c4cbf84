//! Our own terminal while it is only a way to the payload's.

use std::sync::Mutex;

use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// What the terminal was before, for as long as it is something else.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Our terminal passes everything through; it is as before when this is dropped. A panic, which
/// ends the process without dropping anything, restores it as well; signals come to us as messages
/// meanwhile and end nothing.
pub struct RawMode(());

impl RawMode {
    /// `None` when our input is no terminal.
    pub fn enter() -> Option<RawMode> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        raw.output_flags |= OutputFlags::OPOST;
        *BEFORE.lock().ok()? = Some(before);
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            told(panic);
        }));
        let entered = RawMode(());
        tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(entered)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = BEFORE.try_lock().ok().and_then(|mut held| held.take()) {
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &before);
    }
}
