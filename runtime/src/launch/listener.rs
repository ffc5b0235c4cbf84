//! The descriptor of a filter's listener, on its way from the child to who listens.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde_json::{Value, json};

use super::{Error, step};
use crate::plan::{Listener, Payload};
use crate::record::OCI_VERSION;
use crate::sys::clone::Child;
use crate::sys::process::copy_descriptor;

/// Takes descriptor `number` from the child and sends it with the container process state, of
/// which `container` is the container's own.
pub fn introduce(
    payload: &Payload,
    child: &Child,
    number: RawFd,
    container: Value,
) -> Result<(), Error> {
    let listener = payload.seccomp.as_ref().and_then(|it| it.listener.as_ref());
    let Some(listener) = listener else {
        return Err(Error::Usage(
            "the child speaks of a listener that it has not",
        ));
    };
    let descriptor = copy_descriptor(&child.pidfd, number)
        .map_err(|errno| step("take the seccomp listener's descriptor over", errno))?;
    let state = json!({
        "ociVersion": OCI_VERSION,
        "fds": ["seccompFd"],
        "pid": child.pid.as_raw(),
        "metadata": listener.metadata,
        "state": container,
    });
    send(listener, &state.to_string(), descriptor.as_raw_fd())
}

fn send(listener: &Listener, state: &str, descriptor: RawFd) -> Result<(), Error> {
    let path = listener.path.display();
    let socket = UnixStream::connect(&listener.path).map_err(|source| Error::Agent {
        path: listener.path.clone(),
        source,
    })?;
    let rights = [descriptor];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(state.as_bytes())],
        &[ControlMessage::ScmRights(&rights)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    match sent {
        Ok(length) if length == state.len() => Ok(()),
        Ok(_) => Err(Error::Usage(
            "linux.seccomp.listenerMetadata is too long to be sent",
        )),
        Err(errno) => Err(step(
            format!("send the seccomp listener to '{path}'"),
            errno,
        )),
    }
}
