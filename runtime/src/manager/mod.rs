//! systemd as the manager of the service that we are: what we tell it, by sd_notify(3)'s protocol.
//!
//! In: the environment, in which sysc's units say so (`SYSC_READY=`). Out: messages. Who says what:
//!
//! ```text
//!  runtime                         child                          systemd
//!  clone, with CLONE_PARENT ─────▶ systemd's own child, held
//!  MAINPID=, BARRIER=1 ─────────────────────────────────────────▶ watches the child from here on
//!                                                                 closes the barrier
//!  GO ───────────────────────────▶
//!  exits                           READY=1 ─────────────────────▶ active
//!                                  exec
//! ```
//!
//! Without the barrier systemd may read of the child after it has ended, and then its result is lost.
//! Without CLONE_PARENT systemd takes the child for a stranger's.

mod filter;
mod given;
mod message;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::sys::statfs::fstatfs;
use nix::unistd::pipe2;

use crate::sys::clone::Child;
use crate::sys::descriptors;

pub use filter::Filter;
pub use given::{add_credentials, add_socket};

/// Descriptors of processes are files of this file system since Linux 6.9.
const PIDFS: i64 = 0x5049_4446;

/// Who tells systemd that the service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// We do, when the program is about to begin.
    Runtime,
    /// The program, which gets a socket for it.
    Payload,
    /// Nobody: systemd sees it, by a name on the bus or by the program's end.
    Systemd,
}

/// The manager of the service that we are.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    /// Its address, as `NOTIFY_SOCKET` has it.
    pub address: String,
    /// Who says READY.
    pub ready: Ready,
}

/// Why systemd cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the unit says is no answer.
    #[error(
        "SYSC_READY='{0}' is none of runtime, payload, systemd\nhelp: it is set in the unit, by sysc"
    )]
    Unknown(String),
    /// The socket.
    #[error("cannot reach systemd at NOTIFY_SOCKET '{address}'")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A container without a directory that is its own.
    #[error(
        "there is no place for what systemd gives ('{name}')\nhelp: mount a tmpfs at /run or /dev in \
         config.json"
    )]
    NoPlace {
        /// What it is.
        name: &'static str,
    },
    /// The program's own socket.
    #[error("cannot make the socket '{path}' for what the program says to systemd")]
    Socket {
        /// In the record's directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A message.
    #[error("cannot tell systemd of {what}")]
    Tell {
        /// What it was about.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Manager {
    /// The one whose service starts with this very process, if sysc's unit says what is to be told;
    /// `None` for anybody else's process, which stays in the foreground.
    pub fn of_this_process() -> Result<Option<Manager>, Error> {
        let (Some(address), Some(ready)) = (of_main("NOTIFY_SOCKET"), of_main("SYSC_READY")) else {
            return Ok(None);
        };
        let ready = match ready.as_str() {
            "runtime" => Ready::Runtime,
            "payload" => Ready::Payload,
            "systemd" => Ready::Systemd,
            _ => return Err(Error::Unknown(ready)),
        };
        let socket = connect(&address).map_err(|source| Error::Connect {
            address: address.clone(),
            source,
        })?;
        Ok(Some(Manager {
            socket,
            address,
            ready,
        }))
    }

    /// Whether a child of ours can be the service in our place. Not by the first process of a PID
    /// namespace (`PrivatePIDs=yes`), which cannot make siblings.
    pub fn takes_over() -> bool {
        std::process::id() != 1
    }

    /// Says that another process is the service from now on. It may begin when systemd has read that:
    /// when the barrier is passed.
    pub fn name_main(&self, child: &Child) -> Result<Barrier, Error> {
        let told = |source| Error::Tell {
            what: "the main process",
            source,
        };
        self.socket
            .send(message::main(child.pid, number_of(child)).as_bytes())
            .map_err(told)?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| told(errno.into()))?;
        descriptors::send(&self.socket, b"BARRIER=1", &write)
            .map_err(|errno| told(errno.into()))?;
        Ok(Barrier(read))
    }

    /// Says READY for a service whose main process we stay, if that is ours to say.
    pub fn be_ready(&self) -> Result<(), Error> {
        if self.ready != Ready::Runtime {
            return Ok(());
        }
        let told = self.socket.send(message::READY);
        told.map(drop).map_err(|source| Error::Tell {
            what: "our readiness",
            source,
        })
    }

    /// What the child says READY by: one descriptor and one message.
    pub fn herald(&self) -> Result<Option<OwnedFd>, Error> {
        if self.ready != Ready::Runtime {
            return Ok(None);
        }
        let copy = self.socket.try_clone().map_err(|source| Error::Tell {
            what: "our readiness",
            source,
        })?;
        Ok(Some(copy.into()))
    }
}

/// A variable that systemd has set for this very process. Where a shell or an engine is between us
/// and systemd, that one is what systemd watches, and what it was given is not ours.
fn of_main(name: &str) -> Option<String> {
    let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let is_main = read("SYSTEMD_EXEC_PID") == Some(std::process::id().to_string());
    read(name).filter(|_| is_main)
}

/// How often systemd wants a sign of life from this service, in µs.
pub fn watchdog() -> Option<String> {
    of_main("WATCHDOG_USEC")
}

/// READY, and that nothing more will come: since version 254 systemd listens to nobody then. Others
/// pass over the second line.
pub const LAST_WORDS: &[u8] = message::READY_AND_NO_MORE;

/// What systemd lets go of once it has read all that was said before.
#[derive(Debug)]
pub struct Barrier(OwnedFd);

impl Barrier {
    /// Waits, for as long as systemd lets a start take.
    pub fn pass(self) -> Result<(), Error> {
        loop {
            let mut watched = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => {
                    return Err(Error::Tell {
                        what: "the main process",
                        source: errno.into(),
                    });
                }
            }
        }
    }
}

fn connect(address: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(PathBuf::from(address))?,
    }
    Ok(socket)
}

/// What names a process for good, where the kernel has such numbers.
fn number_of(child: &Child) -> Option<u64> {
    let kind = fstatfs(&child.pidfd).ok()?.filesystem_type();
    let number = fstat(child.pidfd.as_raw_fd()).ok()?.st_ino;
    (kind.0 == PIDFS).then_some(number)
}
