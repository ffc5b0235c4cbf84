//! The terminal of a container: sent away, or served here.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Error, step};
use crate::plan::Program;
use crate::sys::terminal;

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

fn receive(socket: &UnixStream) -> Result<File, Error> {
    terminal::receive(socket).map_err(|errno| step("take the terminal over", errno))
}
