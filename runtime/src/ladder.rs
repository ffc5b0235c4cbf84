//! What both sides of the clone say to each other, and when.
//!
//! ```text
//!  launch (the host's side)                       inside (the container's side)
//!  ───────────────────────                        ─────────────────────────────
//!  clone ───────────────────────────────────────▶ waits
//!  id maps, limits, cgroup
//!  GO ──────────────────────────────────────────▶ namespaces, mounts, devices
//!         (in a user namespace, or with id-mapped mounts)
//!                                        ◀──────── SOURCES
//!  a helper of ours enters the mount namespace,
//!  and answers from then on                       NEXT
//!  a descriptor ────────────────────────────────▶ another mount
//!                      (with host hooks) ◀──────── HOOKS
//!  prestart and createRuntime hooks
//!  GO ──────────────────────────────────────────▶ createContainer hooks, new root, masks,
//!                                                 identity, the program is looked up
//!                       (with a listener) ◀──────── LISTENER, where the filter must be loaded early
//!  its descriptor is sent away
//!                                        ◀──────── READY
//!  record written, pid file
//!  run:    GO ──────────────────────────────────▶ startContainer hooks, seccomp, exec
//!  create: leaves; the child waits at its FIFO
//!                                        ◀──────── nothing more: the socket closed by exec
//! ```
//!
//! An exec has fewer rungs: its first child joins the container and makes a second one inside, which
//! goes on alone.
//!
//! ```text
//!  clone ───────────────────────────────────────▶ waits
//!  limits
//!  GO ──────────────────────────────────────────▶ namespaces joined, terminal, identity
//!                                        ◀──────── JOINED, with the number of the second
//!  cgroup
//!  GO ──────────────────────────────────────────▶ session, the program is looked up
//!                                        ◀──────── READY
//!  GO ──────────────────────────────────────────▶ seccomp, exec
//! ```
//!
//! A container that joins a PID namespace has the rungs of a start up to READY, where the process that
//! set it up makes the one that goes on:
//!
//! ```text
//!                                        ◀──────── JOINED, with the number of the second
//!  GO, with that number ────────────────────────▶ (the second)
//!                                        ◀──────── READY
//! ```
//!
//! At any rung the child may say FAILED with a sentence and end. A side that goes away closes its
//! end, so nobody waits for the dead: the child ends, the parent reports.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, send, sendmsg, socketpair,
};
use nix::unistd::write;

use crate::sys;

/// A message longer than this is cut.
const LONGEST: usize = 16 * 1024;

/// What the child says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The container is joined, and this is the number of the process that goes on.
    Joined(i32),
    /// Somebody is needed who opens sources of mounts.
    Sources,
    /// The next of them, please. Said to the one who opens them, over a ladder of its own.
    Next,
    /// Mounts are done: now the hooks that run on the host.
    Hooks,
    /// A filter is loaded that asks a listener on the host, whose descriptor has this number here.
    Listener(i32),
    /// All is set up; only the order to start is missing.
    Ready,
    /// What failed, as one sentence. The child ends.
    Failed(String),
    /// The socket closed: the child has executed its program, or has died.
    Closed,
}

/// The parent's end.
#[derive(Debug)]
pub struct HostEnd(OwnedFd);

/// The child's end.
#[derive(Debug)]
pub struct ChildEnd(OwnedFd);

/// Makes both ends; both close on exec.
pub fn ladder() -> nix::Result<(HostEnd, ChildEnd)> {
    let (host, child) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((HostEnd(host), ChildEnd(child)))
}

impl HostEnd {
    /// Lets the child go on. A child that is gone already is found by the next `listen`.
    pub fn go(&self) -> nix::Result<()> {
        match say(&self.0, b"G") {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other,
        }
    }

    /// Leaves this end open until this process ends: a child that waits for the end of the ladder goes
    /// when we do, and not before.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// Lets the child go on, and tells it by which number the host knows it.
    pub fn go_as(&self, number: i32) -> nix::Result<()> {
        let message = [&b"G"[..], &number.to_ne_bytes()].concat();
        match say(&self.0, &message) {
            Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            other => other,
        }
    }

    /// Hands over what was opened for the child, or says why it was not.
    pub fn give(&self, opened: Result<OwnedFd, String>) -> nix::Result<()> {
        match opened {
            Ok(opened) => {
                let numbers = [opened.as_raw_fd()];
                let control = [ControlMessage::ScmRights(&numbers)];
                let flags = MsgFlags::MSG_NOSIGNAL;
                sendmsg::<()>(
                    self.0.as_raw_fd(),
                    &[IoSlice::new(b"D")],
                    &control,
                    flags,
                    None,
                )
                .map(drop)
            }
            Err(sentence) => say(&self.0, sentence.as_bytes()),
        }
    }

    /// Waits for what the child says next.
    pub fn listen(&self) -> nix::Result<Said> {
        let message = match hear(&self.0) {
            Err(Errno::ECONNRESET) => return Ok(Said::Closed),
            other => other?,
        };
        Ok(match message.split_first() {
            None => Said::Closed,
            Some((b'S', _)) => Said::Sources,
            Some((b'N', _)) => Said::Next,
            Some((b'H', _)) => Said::Hooks,
            Some((b'R', _)) => Said::Ready,
            Some((b'J', rest)) => number(rest).map_or(Said::Closed, Said::Joined),
            Some((b'L', rest)) => number(rest).map_or(Said::Closed, Said::Listener),
            Some((_, text)) => Said::Failed(String::from_utf8_lossy(text).into_owned()),
        })
    }
}

impl AsRawFd for ChildEnd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl ChildEnd {
    /// Waits for the parent; `false` when it is gone.
    pub fn await_go(&self) -> nix::Result<bool> {
        match hear(&self.0) {
            Err(Errno::ECONNRESET) => Ok(false),
            other => Ok(!other?.is_empty()),
        }
    }

    /// Waits for the parent to say by which number the host knows us; `None` when it is gone.
    pub fn await_number(&self) -> nix::Result<Option<i32>> {
        let message = match hear(&self.0) {
            Err(Errno::ECONNRESET) => return Ok(None),
            other => other?,
        };
        let number = message.get(1..).and_then(|number| number.try_into().ok());
        Ok(number.map(i32::from_ne_bytes))
    }

    /// Asks for somebody who opens sources.
    pub fn ask_sources(&self) -> nix::Result<()> {
        say(&self.0, b"S")
    }

    /// Takes the next source, or the reason for which there is none.
    pub fn next_source(&self) -> nix::Result<Result<OwnedFd, String>> {
        say(&self.0, b"N")?;
        let mut sentence = vec![0; LONGEST];
        let (length, opened) = sys::descriptors::receive(&self.0, &mut sentence)?;
        sentence.truncate(length);
        match opened {
            Some(opened) => Ok(Ok(opened)),
            None if length == 0 => Err(Errno::EPIPE),
            None => Ok(Err(String::from_utf8_lossy(&sentence).into_owned())),
        }
    }

    /// Asks for the hooks that run on the host.
    pub fn ask_hooks(&self) -> nix::Result<()> {
        say(&self.0, b"H")
    }

    /// Says who goes on from here.
    pub fn joined(&self, number: i32) -> nix::Result<()> {
        let mut message = vec![b'J'];
        message.extend(number.to_ne_bytes());
        say(&self.0, &message)
    }

    /// Says which descriptor of ours a listener on the host must have before anything else.
    ///
    /// This and what follows is written, not sent: `write` is the one call that no filter may ask
    /// the listener about.
    pub fn listener(&self, number: i32) -> nix::Result<()> {
        let mut message = vec![b'L'];
        message.extend(number.to_ne_bytes());
        write(&self.0, &message).map(drop)
    }

    /// Says that only the order to start is missing.
    pub fn ready(&self) -> nix::Result<()> {
        write(&self.0, b"R").map(drop)
    }

    /// Says what failed.
    pub fn failed(&self, sentence: &str) -> nix::Result<()> {
        let mut message = vec![b'F'];
        message.extend(sentence.bytes().take(LONGEST - 1));
        say(&self.0, &message)
    }
}

fn number(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

fn say(socket: &OwnedFd, message: &[u8]) -> nix::Result<()> {
    send(socket.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).map(drop)
}

fn hear(socket: &OwnedFd) -> nix::Result<Vec<u8>> {
    let mut buffer = vec![0; LONGEST];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_order() {
        let (host, child) = ladder().unwrap();
        host.go().unwrap();
        assert!(child.await_go().unwrap());
        child.joined(-7).unwrap();
        child.ask_hooks().unwrap();
        child.listener(9).unwrap();
        host.go_as(-9).unwrap();
        assert_eq!(child.await_number().unwrap(), Some(-9));
        child.ready().unwrap();
        child.failed("no such file").unwrap();
        drop(child);
        assert_eq!(host.listen().unwrap(), Said::Joined(-7));
        assert_eq!(host.listen().unwrap(), Said::Hooks);
        assert_eq!(host.listen().unwrap(), Said::Listener(9));
        assert_eq!(host.listen().unwrap(), Said::Ready);
        assert_eq!(
            host.listen().unwrap(),
            Said::Failed("no such file".to_owned())
        );
        assert_eq!(host.listen().unwrap(), Said::Closed);
        host.go().unwrap();
    }

    #[test]
    fn sources_come_one_by_one() {
        let (host, child) = ladder().unwrap();
        host.give(Ok(std::fs::File::open("/dev/null").unwrap().into()))
            .unwrap();
        host.give(Err("no such file".to_owned())).unwrap();
        assert!(child.next_source().unwrap().is_ok());
        assert_eq!(child.next_source().unwrap().unwrap_err(), "no such file");
        assert_eq!(host.listen().unwrap(), Said::Next);
        assert_eq!(host.listen().unwrap(), Said::Next);
        drop(host);
        assert!(child.next_source().is_err());
    }

    #[test]
    fn a_child_sees_that_its_parent_is_gone() {
        let (host, child) = ladder().unwrap();
        drop(host);
        assert!(!child.await_go().unwrap());
    }
}
