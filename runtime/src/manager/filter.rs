//! A socket for the program's own messages, and the process that hands them on.
//!
//! systemd believes root: with its own socket a program that is root on the host, as most in containers
//! are, could name any process of the host as the one to kill when the service stops. So it gets a
//! socket of ours, and of what comes in, only what is its own to say goes on (`message::allowed`),
//! with the descriptors that belong to it, in order.

use std::fs::{File, Permissions};
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::Mode;
use nix::unistd::dup2;

use super::{Error, Manager, message};
use crate::sys::clone::{Child, spawn};
use crate::sys::descriptors;

/// systemd's own limit for one message.
const LONGEST: usize = 4096;
/// After READY comes a barrier, often: nobody who waits for it shall be left alone. In ms.
const AFTER_READY: u16 = 5000;
/// The kernel's for the descriptors that come with it.
const MOST: usize = 253;

/// The socket, before anybody serves it.
#[derive(Debug)]
pub struct Filter {
    inbox: UnixDatagram,
    outbox: UnixDatagram,
    stays: bool,
}

/// Whether the program has more to say than READY: it is watched, keeps descriptors with systemd, or
/// the unit says so.
pub fn stay() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|text| !text.is_empty());
    is_set("WATCHDOG_USEC") || is_set("FDSTORE") || is_set("SYSC_NOTIFY")
}

impl Filter {
    /// Makes the socket at `path`, for whatever user the program is.
    pub fn open(path: &Path, manager: &Manager) -> Result<Filter, Error> {
        let told = |source| Error::Socket {
            path: path.to_owned(),
            source,
        };
        let inbox = bind(path).map_err(told)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(told)?;
        Ok(Filter {
            inbox,
            outbox: manager.socket.try_clone().map_err(told)?,
            stays: stay(),
        })
    }

    /// Starts the process. It ends with the program; or soon after its READY, if that is all it has to
    /// say.
    pub fn serve(self, program: &Child) -> Result<(), Error> {
        let served = spawn(0, None, || match self.settle(program) {
            Ok(()) => self.run(&program.pidfd),
            Err(_) => 1,
        });
        served.map(drop).map_err(|errno| Error::Tell {
            what: "what the program says",
            source: errno.into(),
        })
    }

    /// Nothing of the start is held any longer than the start: not its ends of sockets, nor the
    /// service's streams, whose other ends would wait for us.
    fn settle(&self, program: &Child) -> nix::Result<()> {
        let keep = [
            self.inbox.as_raw_fd(),
            self.outbox.as_raw_fd(),
            program.pidfd.as_raw_fd(),
        ];
        // The program's signals are not ours: what ends us is its end.
        SigSet::all().thread_block()?;
        descriptors::close_all_but(&keep)?;
        let null = open(c"/dev/null", OFlag::O_RDWR, Mode::empty())?;
        for stream in 0..3 {
            dup2(null, stream)?;
        }
        prctl::set_name(c"sysc-notify")
    }

    fn run(&self, program: &OwnedFd) -> i32 {
        let mut patience = PollTimeout::NONE;
        loop {
            let mut watched = [
                PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN),
                PollFd::new(program.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, patience) {
                Err(Errno::EINTR) => continue,
                Err(_) => return 1,
                Ok(0) => return 0,
                Ok(_) => {}
            }
            let [said, ended] = watched.map(|it| it.any().unwrap_or(false));
            if said && self.hand_on() == Some(true) && !self.stays {
                patience = PollTimeout::from(AFTER_READY);
            }
            // What it said last is read first.
            if ended && !said {
                return 0;
            }
        }
    }

    /// One message; whether it was READY. What cannot be handed on is systemd's loss alone.
    fn hand_on(&self) -> Option<bool> {
        let (message, passed) = receive(&self.inbox).ok()?;
        let goes_on = message::allowed(&message)?;
        let numbers: Vec<RawFd> = passed.iter().map(AsRawFd::as_raw_fd).collect();
        let with = [ControlMessage::ScmRights(&numbers)];
        let with = if numbers.is_empty() { &[] } else { &with[..] };
        let parts = [IoSlice::new(&goes_on)];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.outbox.as_raw_fd(), &parts, with, flags, None).ok()?;
        Some(message::says(&goes_on, message::READY))
    }
}

/// By the directory's descriptor: the path may be longer than an address can be.
fn bind(path: &Path) -> std::io::Result<UnixDatagram> {
    let above = File::open(path.parent().unwrap_or(path))?;
    let name = path.file_name().unwrap_or_default();
    UnixDatagram::bind(Path::new(&format!("/proc/self/fd/{}", above.as_raw_fd())).join(name))
}

fn receive(inbox: &UnixDatagram) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; LONGEST];
    let mut space = nix::cmsg_space!([RawFd; MOST]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let found = recvmsg::<()>(inbox.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut passed = Vec::new();
    for control in found.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            passed.extend(descriptors::own(numbers));
        }
    }
    let (length, is_cut) = (found.bytes, found.flags.contains(MsgFlags::MSG_TRUNC));
    bytes.truncate(if is_cut { 0 } else { length });
    Ok((bytes, passed))
}
