//! What systemd gives to a service and a container would not see: its credentials, and the socket for
//! the program's own messages. Both become mounts and variables of the configuration, below the
//! directory where systemd itself puts such things in its containers.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder};

use super::Error;
use crate::bundle::Bundle;

/// The place of what the host gives, on the first of these that is a new file system.
const PLACES: [(&str, &str); 2] = [("/run", "/run/host"), ("/dev", "/dev/host")];

/// Credentials, if the service that this process is has any.
pub fn add_credentials(bundle: &mut Bundle) -> Result<(), Error> {
    let Some(directory) = super::of_main("CREDENTIALS_DIRECTORY") else {
        return Ok(());
    };
    let options = ["bind", "ro", "nosuid", "nodev", "noexec"];
    let path = add(bundle, "credentials", Path::new(&directory), &options)?;
    set(bundle, "CREDENTIALS_DIRECTORY", &path);
    Ok(())
}

/// The socket at `source`, and what else a program that speaks to systemd is told.
pub fn add_socket(bundle: &mut Bundle, source: &Path) -> Result<(), Error> {
    let options = ["bind", "nosuid", "nodev", "noexec"];
    let path = add(bundle, "notify", source, &options)?;
    set(bundle, "NOTIFY_SOCKET", &path);
    if let Some(count) = super::of_main("FDSTORE") {
        set(bundle, "FDSTORE", Path::new(&count));
    }
    Ok(())
}

fn add(
    bundle: &mut Bundle,
    name: &'static str,
    source: &Path,
    options: &[&str],
) -> Result<PathBuf, Error> {
    let is_new = |at: &str| {
        let mut mounts = bundle.mounts.iter().rev();
        let mount = mounts.find(|mount| mount.destination() == Path::new(at));
        mount.is_some_and(|mount| mount.typ().as_deref() == Some("tmpfs"))
    };
    let place = PLACES.iter().find(|(at, _)| is_new(at));
    let Some((_, place)) = place else {
        return match is_seen(bundle, source) {
            true => Ok(source.to_owned()),
            false => Err(Error::NoPlace { name }),
        };
    };
    let path = Path::new(place).join(name);
    bundle.mounts.push(bind(source, &path, options)?);
    Ok(path)
}

/// Whether a container that sees the host's directories sees this path as the host does.
fn is_seen(bundle: &Bundle, path: &Path) -> bool {
    let is_above = |mount: &&Mount| path.starts_with(mount.destination());
    let mount = bundle.mounts.iter().rev().find(is_above);
    mount.is_some_and(|mount| mount.source().as_deref() == Some(mount.destination()))
}

fn bind(source: &Path, destination: &Path, options: &[&str]) -> Result<Mount, Error> {
    let options: Vec<String> = options.iter().map(|it| (*it).to_owned()).collect();
    MountBuilder::default()
        .source(source)
        .destination(destination)
        .typ("bind")
        .options(options)
        .build()
        .map_err(|error| Error::Tell {
            what: "what it gives",
            source: std::io::Error::other(error),
        })
}

fn set(bundle: &mut Bundle, name: &str, value: &Path) {
    let prefix = format!("{name}=");
    let mut env = bundle.process.env().clone().unwrap_or_default();
    env.retain(|entry| !entry.starts_with(&prefix));
    env.push(format!("{prefix}{}", value.display()));
    bundle.process.set_env(Some(env));
}
