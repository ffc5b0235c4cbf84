//! The terminal of a container: sent away, or served here.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::termios::{OutputFlags, SetArg, tcgetattr, tcsetattr};

use super::{Error, step};
use crate::plan::Program;
use crate::sys::{descriptors, terminal};

/// What becomes of the terminal's master.
#[derive(Debug)]
pub enum Console {
    /// There is no terminal.
    None,
    /// It is sent over this socket, to whoever gave it.
    Away(UnixStream),
    /// It comes to us.
    Here {
        /// Our end.
        ours: UnixStream,
        /// The child's end.
        childs: UnixStream,
    },
}

/// The master of a terminal that we serve.
#[derive(Debug)]
pub struct Terminal(pub File);

impl Console {
    /// Decides, and refuses combinations that could not work.
    pub fn choose(
        program: &Program,
        detached: bool,
        socket: Option<&Path>,
    ) -> Result<Console, Error> {
        match (socket, program.terminal) {
            (None, false) => Ok(Console::None),
            (Some(_), false) => Err(Error::Usage(
                "--console-socket is given, but process.terminal is not true",
            )),
            (None, true) if detached => Err(Error::Usage(
                "process.terminal is true, but what is not in the foreground needs \
                 --console-socket for it",
            )),
            (None, true) => {
                let (ours, childs) =
                    UnixStream::pair().map_err(|error| step("make a socket", error))?;
                Ok(Console::Here { ours, childs })
            }
            (Some(path), true) => UnixStream::connect(path)
                .map(Console::Away)
                .map_err(|error| step(format!("connect to '{}'", path.display()), error)),
        }
    }

    /// What the child sends the master over.
    pub fn child_end(&self) -> Result<Option<OwnedFd>, Error> {
        let end = match self {
            Console::None => return Ok(None),
            Console::Away(socket) => socket,
            Console::Here { childs, .. } => childs,
        };
        let copy = end
            .try_clone()
            .map_err(|error| step("copy a socket", error))?;
        Ok(Some(copy.into()))
    }

    /// Takes the master that the child has sent by now, if it is ours.
    pub fn serve(self) -> Result<Option<Terminal>, Error> {
        match self {
            Console::None | Console::Away(_) => Ok(None),
            Console::Here { ours, childs } => {
                drop(childs);
                let terminal = Terminal(receive(&ours)?);
                leave_line_ends(&terminal.0)
                    .map_err(|errno| step("set the terminal's output mode", errno))?;
                // Before the program can ask for it.
                terminal.fit();
                Ok(Some(terminal))
            }
        }
    }
}

impl Terminal {
    /// Makes the payload's terminal as large as our own, if ours is one.
    pub fn fit(&self) {
        if let Some(size) = terminal::size(std::io::stdin()) {
            // Smaller or larger than it looks is still a terminal.
            let _ = terminal::set_size(&self.0, &size);
        }
    }
}

/// What we hand on goes to a terminal of its own, which returns the carriage itself, or to a file
/// or pipe, which wants none of that.
fn leave_line_ends(master: &File) -> nix::Result<()> {
    let mut mode = tcgetattr(master)?;
    mode.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &mode)
}

fn receive(socket: &UnixStream) -> Result<File, Error> {
    let received = descriptors::receive(socket, &mut [0; 64])
        .and_then(|(_, master)| master.ok_or(Errno::ENOMSG));
    received
        .map(File::from)
        .map_err(|errno| step("take the terminal over", errno))
}
