//! What a caller of ours asked for to get hold of the first process by.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::{Error, step};
use crate::record;
use crate::sys::clone::Child;
use crate::sys::descriptors;

/// Where the number of a process and a descriptor for it go, if anywhere.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    /// A file that the number is written to.
    pub pid_file: Option<PathBuf>,
    /// A socket that a pidfd is sent to.
    pub pidfd_socket: Option<PathBuf>,
}

impl Handles {
    /// Hands both out.
    pub(super) fn give(&self, child: &Child) -> Result<(), Error> {
        if let Some(path) = &self.pidfd_socket {
            send_pidfd(path, child)?;
        }
        match &self.pid_file {
            Some(path) => write_pid_file(path, child.pid),
            None => Ok(()),
        }
    }
}

fn send_pidfd(path: &Path, child: &Child) -> Result<(), Error> {
    UnixStream::connect(path)
        .and_then(|socket| Ok(descriptors::send(socket, b"pidfd", &child.pidfd)?))
        .map(drop)
        .map_err(|error| step(format!("send a pidfd to '{}'", path.display()), error))
}

fn write_pid_file(path: &Path, pid: Pid) -> Result<(), Error> {
    record::write_whole(path, pid.to_string().as_bytes(), 0o644)
        .map_err(|error| step(format!("write pid file '{}'", path.display()), error))
}
