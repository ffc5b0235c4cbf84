//! Standard streams: a terminal of the container's own, or what we were given.
//!
//! libcontainer makes the terminal and verifies both its ends. Mounting it is ours: libcontainer's
//! looks '/dev/console' up once to make it and again to mount on it, and what is there the second
//! time may be something else (CVE-2025-52565).

use std::fs::{File, Permissions};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use libcontainer::syscall::linux::LinuxSyscall;
use libcontainer::tty;
use nix::fcntl::{FcntlArg, fcntl};
use nix::pty::Winsize;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use nix::unistd::{Uid, dup2, fchown};

use super::mask::is_null;
use super::trees::{attach, clone_tree_at};
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
        None => {
            give_streams(payload.identity.user);
            reopen_null()
        }
    }
}

/// Programs that have no other place for their messages open /dev/stderr, and so must be able to open
/// what it leads to. Devices stay as they are, which are the host's and serve others, too; and so do
/// files that are only read.
fn give_streams(user: u32) {
    for stream in 0..3 {
        let Ok(found) = fstat(stream) else {
            continue;
        };
        let is_theirs = match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFIFO => true,
            SFlag::S_IFREG => is_written(stream),
            _ => false,
        };
        if is_theirs && found.st_uid != user {
            // What a user namespace or a read-only file system forbids, the program does without.
            let _ = fchown(stream, Some(Uid::from_raw(user)), None);
        }
    }
}

fn is_written(stream: RawFd) -> bool {
    let how = fcntl(stream, FcntlArg::F_GETFL).unwrap_or(libc::O_RDONLY);
    how & libc::O_ACCMODE != libc::O_RDONLY
}

fn open_terminal(payload: &Payload, socket: &OwnedFd, console: Console) -> Result<(), Error> {
    // setup_console closes what it is given.
    let socket = nix::unistd::dup(socket.as_raw_fd())
        .map_err(|errno| failed("set the terminal up", errno))?;
    tty::setup_console(&LinuxSyscall, socket, false)
        .map_err(|error| failed("set the terminal up", error))?;
    if console == Console::Container {
        mount_console().map_err(|why| failed("mount the terminal on '/dev/console'", why))?;
    }
    let user = Uid::from_raw(payload.identity.user);
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

/// Makes the terminal, which was set up by another process, that of the session that we lead.
pub fn control() -> Result<(), Error> {
    terminal::control(std::io::stdin()).map_err(|errno| failed("take the terminal over", errno))
}

/// The terminal is our standard input by now.
fn mount_console() -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let console = Path::new("/dev/console");
    let opened = match place_of_console(console) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let made = File::create_new(console).map_err(text)?;
            made.set_permissions(Permissions::from_mode(0o600))
                .map_err(text)?;
            place_of_console(console)
        }
        other => other,
    };
    let place = OwnedFd::from(opened.map_err(text)?);
    let kind = fstat(place.as_raw_fd())
        .map_err(|errno| errno.to_string())?
        .st_mode
        & libc::S_IFMT;
    let magic = fstatfs(&place)
        .map_err(|errno| errno.to_string())?
        .filesystem_type();
    let is_file = [SFlag::S_IFREG, SFlag::S_IFCHR].contains(&SFlag::from_bits_truncate(kind));
    if !is_file || magic == PROC_SUPER_MAGIC || magic == SYSFS_MAGIC {
        return Err("the root file system has something else there".to_owned());
    }
    attach(clone_tree_at(std::io::stdin(), false)?, place)
}

fn place_of_console(console: &Path) -> std::io::Result<File> {
    let how = libc::O_PATH | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(how).open(console)
}

/// A stream that is the host's /dev/null becomes the container's, so that it shows no file of the
/// host's. An image whose /dev/null is something else keeps the host's.
fn reopen_null() -> Result<(), Error> {
    for stream in 0..3 {
        if !fstat(stream).is_ok_and(|found| is_null(&found)) {
            continue;
        }
        let how = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        let options = File::options()
            .read(true)
            .write(true)
            .custom_flags(how)
            .open("/dev/null");
        let Ok(null) = options else {
            continue;
        };
        if fstat(null.as_raw_fd()).is_ok_and(|found| is_null(&found)) {
            dup2(null.as_raw_fd(), stream).map_err(|errno| failed("reopen '/dev/null'", errno))?;
        }
    }
    Ok(())
}
