//! systemd by D-Bus.
//!
//! In: the name of a method of systemd's manager, and its arguments. Out: that it was done. The bus
//! is asked where there is one; else systemd itself, by the socket that `systemctl` uses before there
//! is a bus. This room knows nothing of containers.
//!
//! Written here because a crate costs more than all else in this program: docs/decisions/004-dbus.md

mod message;
mod value;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use message::{Body, HEAD, Incoming, Member};
pub use value::Value;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// How long systemd may take for a job.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why systemd did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at any of the sockets.
    #[error("cannot reach systemd at {tried}: {reason}")]
    Connect {
        /// The sockets.
        tried: String,
        /// Of the last one.
        reason: String,
    },
    /// The connection broke, or the answer takes too long.
    #[error("systemd does not answer {method}")]
    Talk {
        /// What was asked.
        method: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It was refused.
    #[error("systemd refuses {method}: {text}")]
    Refused {
        /// What was asked.
        method: String,
        /// The error's name.
        name: String,
        /// In systemd's words.
        text: String,
    },
    /// It was tried, and not done.
    #[error("systemd's job for '{unit}' ended as '{result}'")]
    Job {
        /// For which unit.
        unit: String,
        /// In systemd's word.
        result: String,
    },
}

/// A connection to systemd.
#[derive(Debug)]
pub struct Systemd {
    stream: UnixStream,
    serial: u32,
    /// Jobs that have ended while something else was waited for: their path and their result.
    ended: Vec<(String, String)>,
}

/// A socket, and whether a bus is at its other end.
type Address = (PathBuf, bool);

impl Systemd {
    /// The host's.
    pub fn of_host() -> Result<Systemd, Error> {
        let named = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok();
        connect(&[
            (socket_of(named, "/run/dbus/system_bus_socket".into()), true),
            (PathBuf::from("/run/systemd/private"), false),
        ])
    }

    /// The user's.
    pub fn of_user() -> Result<Systemd, Error> {
        let named = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
        let directory = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
            || PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid())),
            PathBuf::from,
        );
        connect(&[
            (socket_of(named, directory.join("bus")), true),
            (directory.join("systemd/private"), false),
        ])
    }

    /// Calls a method of the manager.
    pub fn call(&mut self, method: &str, arguments: &[Value]) -> Result<Body, Error> {
        self.ask(
            Member {
                destination: SYSTEMD,
                path: "/org/freedesktop/systemd1",
                interface: MANAGER,
                name: method,
            },
            arguments,
        )
    }

    /// Calls a method that begins a job for `unit`, and waits until that is done.
    pub fn job(&mut self, unit: &str, method: &str, arguments: &[Value]) -> Result<(), Error> {
        let broken = |source| Error::Talk {
            method: method.to_owned(),
            source,
        };
        let path = self.call(method, arguments)?.text();
        let path = path.ok_or_else(|| broken(nonsense()))?;
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = self.ended.iter().find(|(job, _)| *job == path);
            match ended.map(|(_, result)| result.as_str()) {
                Some("done") => return Ok(()),
                Some(result) => {
                    return Err(Error::Job {
                        unit: unit.to_owned(),
                        result: result.to_owned(),
                    });
                }
                None => drop(self.receive(end).map_err(broken)?),
            }
        }
    }

    /// The number of systemd's version.
    pub fn version(&mut self) -> Result<u32, Error> {
        let mut body = self.ask(
            Member {
                destination: SYSTEMD,
                path: "/org/freedesktop/systemd1",
                interface: "org.freedesktop.DBus.Properties",
                name: "Get",
            },
            &[Value::text(MANAGER), Value::text("Version")],
        )?;
        let text = body
            .signature()
            .and_then(|_| body.text())
            .unwrap_or_default();
        Ok(number_in(&text))
    }

    fn ask(&mut self, member: Member, arguments: &[Value]) -> Result<Body, Error> {
        let method = member.name.to_owned();
        self.exchange(member, arguments)
            .map_err(|source| Error::Talk {
                method: method.clone(),
                source,
            })?
            .map_err(|(name, text)| Error::Refused { method, name, text })
    }

    /// Sends a call and waits for what is said to it.
    fn exchange(
        &mut self,
        member: Member,
        arguments: &[Value],
    ) -> std::io::Result<Result<Body, (String, String)>> {
        self.serial += 1;
        let call = message::call(self.serial, member, arguments);
        self.stream.write_all(&call)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.receive(end)? {
                Incoming::Answer(to, body) if to == self.serial => return Ok(Ok(body)),
                Incoming::Failure(to, name, text) if to == self.serial => {
                    return Ok(Err((name, text)));
                }
                _ => {}
            }
        }
    }

    /// The next message. Ends of jobs are remembered, whoever waits for what.
    fn receive(&mut self, end: Instant) -> std::io::Result<Incoming> {
        let left = end.saturating_duration_since(Instant::now());
        self.stream
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut head = [0; HEAD];
        self.stream.read_exact(&mut head)?;
        let mut tail = vec![0; message::rest(&head).ok_or_else(nonsense)?];
        self.stream.read_exact(&mut tail)?;
        let incoming = message::read(&head, &tail).ok_or_else(nonsense)?;
        if let Incoming::Signal(name, body) = &incoming
            && name == "JobRemoved"
        {
            self.ended.extend(ended_job(&mut body.clone()));
        }
        Ok(incoming)
    }

    /// A bus wants to be greeted, and to know which signals we want; systemd itself sends all.
    fn greet(&mut self) -> std::io::Result<()> {
        let bus = |name| Member {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            name,
        };
        let wanted = format!("type='signal',interface='{MANAGER}',member='JobRemoved'");
        for (name, arguments) in [("Hello", vec![]), ("AddMatch", vec![Value::Text(wanted)])] {
            if let Err((_, text)) = self.exchange(bus(name), &arguments)? {
                return Err(std::io::Error::other(text));
            }
        }
        Ok(())
    }
}

/// The signal's id, path, unit and result.
fn ended_job(body: &mut Body) -> Option<(String, String)> {
    body.number()?;
    let path = body.text()?;
    body.text()?;
    Some((path, body.text()?))
}

fn connect(addresses: &[Address]) -> Result<Systemd, Error> {
    let mut reason = String::new();
    for (path, is_bus) in addresses {
        match open(path, *is_bus) {
            Ok(systemd) => return Ok(systemd),
            Err(error) => reason = error.to_string(),
        }
    }
    let tried: Vec<String> = addresses
        .iter()
        .map(|(path, _)| format!("'{}'", path.display()))
        .collect();
    Err(Error::Connect {
        tried: tried.join(" and "),
        reason,
    })
}

fn open(path: &Path, is_bus: bool) -> std::io::Result<Systemd> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    authenticate(&mut stream)?;
    let mut systemd = Systemd {
        stream,
        serial: 0,
        ended: Vec::new(),
    };
    if is_bus {
        systemd.greet()?;
    }
    Ok(systemd)
}

/// Who we are the other side sees by itself; saying no name at all is right also in a user namespace,
/// where ours is another than there.
fn authenticate(stream: &mut UnixStream) -> std::io::Result<()> {
    stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.extend(byte);
        }
        if line.starts_with(b"OK") {
            return Ok(());
        }
        if !line.starts_with(b"DATA") {
            let said = String::from_utf8_lossy(&line).trim().to_owned();
            return Err(std::io::Error::other(format!("it says '{said}'")));
        }
    }
}

/// The socket that an address of D-Bus names, if it is one that we know.
fn socket_of(address: Option<String>, usual: PathBuf) -> PathBuf {
    let address = address.unwrap_or_default();
    let mut paths = address.split(';').filter_map(|one| {
        let parts = one.strip_prefix("unix:")?;
        parts.split(',').find_map(|part| part.strip_prefix("path="))
    });
    paths.next().map_or(usual, PathBuf::from)
}

/// `252`, `v252.4-1`, `257~rc1`
fn number_in(text: &str) -> u32 {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().unwrap_or(0)
}

fn nonsense() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::InvalidData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_versions_are_read() {
        let socket = |text: &str| socket_of(Some(text.to_owned()), "/usual".into());
        assert_eq!(socket("unix:path=/a,guid=1"), PathBuf::from("/a"));
        assert_eq!(socket("tcp:host=x;unix:path=/b"), PathBuf::from("/b"));
        assert_eq!(socket("unix:abstract=/c"), PathBuf::from("/usual"));
        assert_eq!(socket_of(None, "/usual".into()), PathBuf::from("/usual"));
        for (text, number) in [("v252.4-1", 252), ("257~rc1", 257), ("x", 0)] {
            assert_eq!(number_in(text), number);
        }
    }
}
