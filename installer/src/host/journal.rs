//! The journal: read through journalctl, written to in its own protocol (systemd's "Native Journal
//! Protocol": fields in a datagram).

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::Error;

const SOCKET: &str = "/run/systemd/journal/socket";

/// What an administrator may want to look for later. The ids are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A container was installed.
    Installed,
    /// Another generation became current: an update, a switch or a rollback.
    Changed,
    /// A new generation did not do, and the former one is current again.
    TakenBack,
    /// A container was uninstalled.
    Uninstalled,
    /// What an earlier command left unfinished was finished.
    Finished,
}

impl Happened {
    /// `MESSAGE_ID=`
    pub fn id(self) -> &'static str {
        match self {
            Self::Installed => "d617ef85a1584c148d11f1256fac2e26",
            Self::Changed => "66d4ee627cc44cb2bbe5942b1a0f1434",
            Self::TakenBack => "72328227794548968abc826dded4a7b2",
            Self::Uninstalled => "63391f20e0f54b2e8c4f07acc9e1625b",
            Self::Finished => "56c4beacb23248bfa8f1c533045cc45e",
        }
    }

    /// As syslog counts: a warning or a notice.
    fn priority(self) -> &'static str {
        match self {
            Self::TakenBack => "4",
            _ => "5",
        }
    }
}

/// Enters in the journal what happened to `container`, where its unit's log shows it as well.
/// `details` are further fields. A host without a journal has nobody to tell.
pub fn note(what: Happened, container: &str, message: &str, details: &[(&str, &str)]) {
    let unit = format!("{container}.service");
    let fields = [
        ("MESSAGE", message),
        ("MESSAGE_ID", what.id()),
        ("PRIORITY", what.priority()),
        ("SYSLOG_IDENTIFIER", "sysc"),
        ("SYSC_CONTAINER", container),
        ("OBJECT_SYSTEMD_UNIT", &unit),
    ];
    let mut entry = Vec::new();
    for (name, value) in fields.iter().chain(details) {
        append(&mut entry, name, value);
    }
    let _ = UnixDatagram::unbound().and_then(|socket| socket.send_to(&entry, SOCKET));
}

/// A value with line ends is told by its length.
fn append(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

/// journalctl on this process's own terminal or streams; returns the status that it ended with.
pub fn show_journal(arguments: &[String]) -> Result<u8, Error> {
    let program = "journalctl";
    let status = Command::new(program)
        .args(arguments)
        .status()
        .map_err(|source| Error::Start { program, source })?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_protocol_has_them() {
        let mut entry = Vec::new();
        append(&mut entry, "A", "b=c");
        append(&mut entry, "M", "x\ny");
        assert_eq!(entry, b"A=b=c\nM\n\x03\0\0\0\0\0\0\0x\ny\n");
    }

    #[test]
    fn ids_differ() {
        use Happened::{Changed, Finished, Installed, TakenBack, Uninstalled};
        let all = [Installed, Changed, TakenBack, Uninstalled, Finished];
        let ids: std::collections::BTreeSet<_> = all.iter().map(|what| what.id()).collect();
        assert_eq!(ids.len(), all.len());
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
