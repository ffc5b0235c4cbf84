//! Standard streams: a terminal of the container's own, or what we were given.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use libcontainer::syscall::linux::LinuxSyscall;
use libcontainer::tty;
use nix::pty::Winsize;
use nix::sys::stat::fstat;
use nix::unistd::{dup2, fchown};

use super::mask::is_null;
use super::{Error, failed};
use crate::plan::Payload;
use crate::sys::terminal;

/// Whose /dev/console the new terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Console {
    /// The container's: it is mounted there.
    Container,
    /// Nobody's: the container has its own already, or none.
    Nobody,
}

/// Gives the payload its streams; the master of a new terminal is sent over `socket`.
pub fn set_up(payload: &Payload, socket: Option<&OwnedFd>, console: Console) -> Result<(), Error> {
    match socket {
        Some(socket) => open_terminal(payload, socket, console),
        None => reopen_null(),
    }
}

fn open_terminal(payload: &Payload, socket: &OwnedFd, console: Console) -> Result<(), Error> {
    // setup_console closes what it is given.
    let socket = nix::unistd::dup(socket.as_raw_fd())
        .map_err(|errno| failed("set the terminal up", errno))?;
    tty::setup_console(&LinuxSyscall, socket, console == Console::Container)
        .map_err(|error| failed("set the terminal up", error))?;
    let user = nix::unistd::Uid::from_raw(payload.identity.user);
    // A terminal belongs to who works at it; in a user namespace it may not be ours to give.
    let _ = fchown(0, Some(user), None);
    if let Some((rows, columns)) = payload.program.terminal_size {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        terminal::set_size(std::io::stdin(), &size)
            .map_err(|errno| failed("set the size of the terminal", errno))?;
    }
    Ok(())
}

/// A stream that is the host's /dev/null becomes the container's, so that it shows no file of the
/// host's. An image whose /dev/null is something else keeps the host's.
fn reopen_null() -> Result<(), Error> {
    for stream in 0..3 {
        if !fstat(stream).is_ok_and(|found| is_null(&found)) {
            continue;
        }
        let Ok(null) = File::options().read(true).write(true).open("/dev/null") else {
            continue;
        };
        if fstat(null.as_raw_fd()).is_ok_and(|found| is_null(&found)) {
            dup2(null.as_raw_fd(), stream).map_err(|errno| failed("reopen '/dev/null'", errno))?;
        }
    }
    Ok(())
}
