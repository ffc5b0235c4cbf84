//! The kernel's routing socket, as far as moving a device needs it: links and addresses.
//!
//! A message is a header, a structure of fixed size, and attributes; all of it in the byte order of
//! the machine and padded to four bytes. See rtnetlink(7).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

/// More than one message of the kernel's.
const ROOM: usize = 64 * 1024;
const HEADER: usize = 16;
/// `ifinfomsg`
const LINK: usize = 16;
/// `ifaddrmsg`
const ADDRESS: usize = 8;
const UP: u32 = libc::IFF_UP as u32;

const IFLA_NET_NS_FD: u16 = 28;
const IFA_FLAGS: u16 = 8;

/// A socket in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Route(OwnedFd);

/// An address of a device, with what must be said to set it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    /// `IFA_ADDRESS`, `IFA_LOCAL` and `IFA_BROADCAST`, as far as it has them.
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Route {
    /// In the network namespace of this process.
    pub fn open() -> nix::Result<Route> {
        socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map(Route)
    }

    /// The number of the device called `name`; ENODEV when there is none.
    pub fn index(&self, name: &str) -> nix::Result<i32> {
        let mut request = link(0, 0, 0);
        attribute(&mut request, libc::IFLA_IFNAME, &terminated(name));
        let answers = self.ask(libc::RTM_GETLINK, 0, &request)?;
        let link = answers.first().ok_or(Errno::ENODEV)?;
        number(link, 4).ok_or(Errno::EBADMSG)
    }

    /// Sets a device up or down.
    pub fn set_up(&self, index: i32, up: bool) -> nix::Result<()> {
        let flags = if up { UP } else { 0 };
        self.order(libc::RTM_NEWLINK, 0, &link(index, flags, UP))
    }

    /// Moves a device into another network namespace and names it anew, at once.
    pub fn move_to(&self, index: i32, namespace: impl AsFd, name: &str) -> nix::Result<()> {
        let mut request = link(index, 0, 0);
        attribute(&mut request, libc::IFLA_IFNAME, &terminated(name));
        let descriptor = namespace.as_fd().as_raw_fd().to_ne_bytes();
        attribute(&mut request, IFLA_NET_NS_FD, &descriptor);
        self.order(libc::RTM_NEWLINK, 0, &request)
    }

    /// The addresses that somebody has given a device for good and for everywhere: others belong
    /// to the network that it was in.
    pub fn addresses(&self, index: i32) -> nix::Result<Vec<Address>> {
        let dump = libc::NLM_F_DUMP as u16;
        let answers = self.ask(libc::RTM_GETADDR, dump, &[0; ADDRESS])?;
        let ours = answers
            .iter()
            .filter(|answer| number(answer, 4) == Some(index));
        Ok(ours.filter_map(|answer| address(answer)).collect())
    }

    /// Gives a device an address.
    pub fn add_address(&self, index: i32, address: &Address) -> nix::Result<()> {
        let mut request = vec![address.family, address.prefix, 0, libc::RT_SCOPE_UNIVERSE];
        request.extend(index.to_ne_bytes());
        for (kind, value) in &address.attributes {
            attribute(&mut request, *kind, value);
        }
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE) as u16;
        self.order(libc::RTM_NEWADDR, flags, &request)
    }

    fn order(&self, kind: u16, flags: u16, body: &[u8]) -> nix::Result<()> {
        self.ask(kind, flags | libc::NLM_F_ACK as u16, body)
            .map(drop)
    }

    /// Sends one request and collects the bodies of its answers.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> nix::Result<Vec<Vec<u8>>> {
        let length = (HEADER + body.len()) as u32;
        let flags = flags | libc::NLM_F_REQUEST as u16;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        let many = flags & libc::NLM_F_DUMP as u16 == libc::NLM_F_DUMP as u16;
        let mut answers = Vec::new();
        loop {
            let mut buffer = vec![0; ROOM];
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for (kind, body) in messages(&buffer[..length]) {
                match i32::from(kind) {
                    libc::NLMSG_DONE => return Ok(answers),
                    libc::NLMSG_ERROR => {
                        return match number(body, 0) {
                            Some(0) => Ok(answers),
                            Some(code) => Err(Errno::from_raw(-code)),
                            None => Err(Errno::EBADMSG),
                        };
                    }
                    _ => answers.push(body.to_vec()),
                }
            }
            if !many && !answers.is_empty() {
                return Ok(answers);
            }
        }
    }
}

fn link(index: i32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(change.to_ne_bytes());
    debug_assert_eq!(body.len(), LINK);
    body
}

fn address(answer: &[u8]) -> Option<Address> {
    let [family, prefix, flags, scope, ..] = *answer else {
        return None;
    };
    let all: Vec<(u16, Vec<u8>)> = attributes(answer.get(ADDRESS..)?);
    let long = all.iter().find(|(kind, _)| *kind == IFA_FLAGS);
    let long = long.and_then(|(_, value)| number(value, 0));
    let flags = long.map_or(u32::from(flags), |flags| flags as u32);
    let kept = [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST];
    let lasting = flags & libc::IFA_F_PERMANENT != 0 && scope == libc::RT_SCOPE_UNIVERSE;
    lasting.then(|| Address {
        family,
        prefix,
        attributes: all
            .into_iter()
            .filter(|(kind, _)| kept.contains(kind))
            .collect(),
    })
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn attributes(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    while let [l0, l1, k0, k1, ..] = *bytes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = bytes.get(4..length) else {
            break;
        };
        all.push((u16::from_ne_bytes([k0, k1]), value.to_vec()));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// Type and body of each message in what one `recv` gave.
fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while let Some(length) = number(bytes, 0).and_then(|length| usize::try_from(length).ok()) {
        let (Some(body), Some(kind)) = (bytes.get(HEADER..length), bytes.get(4..6)) else {
            break;
        };
        all.push((u16::from_ne_bytes([kind[0], kind[1]]), body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(i32::from_ne_bytes(bytes))
}

fn terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 3, b"lo\0");
        attribute(&mut bytes, 9, &[1, 2, 3, 4]);
        assert_eq!(bytes.len(), 16);
        assert_eq!(
            attributes(&bytes),
            [(3, b"lo\0".to_vec()), (9, vec![1, 2, 3, 4])]
        );
        // What is cut off is not read past its end.
        assert_eq!(attributes(&bytes[..10]).len(), 1);
        assert_eq!(messages(&[255; 20]).len(), 0);
    }

    #[test]
    fn the_loopback_device_is_known() {
        let route = Route::open().unwrap();
        assert_eq!(route.index("lo"), Ok(1));
        assert_eq!(route.index("no-such-device"), Err(Errno::ENODEV));
        // Its addresses are the host's alone.
        assert_eq!(route.addresses(1), Ok(Vec::new()));
    }
}
