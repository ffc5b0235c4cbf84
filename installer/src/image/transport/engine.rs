//! An image that a container engine on this machine has: Docker's socket, or the one by which
//! podman speaks the same way. What it sends is what `docker save` writes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::docker_archive::DockerArchive;
use crate::image::reference::{Named, Stored};
use crate::image::{Access, Error};

/// Asks the engine for the image; it is kept in a file without a name for as long as it is used.
pub(in crate::image) fn open(image: &Named, access: &Access) -> Result<DockerArchive, Error> {
    let socket = socket(&access.engines)?;
    let failed = |source: io::Error| Error::Engine {
        socket: socket.clone(),
        image: image.name(),
        source,
    };
    let file = save(image, &socket, access).map_err(failed)?;
    let stored = Stored {
        path: PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
        image: None,
    };
    DockerArchive::open(&stored, &access.scratch)
}

/// The first socket that somebody listens on.
fn socket(candidates: &[PathBuf]) -> Result<PathBuf, Error> {
    let answers = |path: &&PathBuf| UnixStream::connect(path).is_ok();
    let found = candidates.iter().find(answers).cloned();
    found.ok_or_else(|| Error::NoEngine {
        tried: candidates.to_vec(),
    })
}

fn save(image: &Named, socket: &Path, access: &Access) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(&access.scratch)?;
    let connector = UnixConnector(socket.to_owned());
    let config = Agent::config_builder()
        .timeout_recv_response(Some(access.patience.stall))
        .build();
    let agent = Agent::with_parts(config, connector, DefaultResolver::default());
    // The address is only there because a URL has one.
    let url = format!("http://127.0.0.1/images/{}/get", image.name());
    let response = agent.get(&url).call().map_err(io::Error::other)?;
    io::copy(&mut response.into_body().into_reader(), &mut file)?;
    Ok(file)
}

#[derive(Debug)]
struct UnixConnector(PathBuf);

impl<In: Transport> Connector<In> for UnixConnector {
    type Out = UnixTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _chained: Option<In>,
    ) -> Result<Option<UnixTransport>, ureq::Error> {
        let stream = UnixStream::connect(&self.0)?;
        let config = details.config;
        Ok(Some(UnixTransport {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        }))
    }
}

#[derive(Debug)]
struct UnixTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

impl Transport for UnixTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_write_timeout(duration(timeout))?;
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(duration(timeout))?;
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Each request has a connection of its own.
        false
    }
}

fn duration(timeout: NextTimeout) -> Option<Duration> {
    timeout.not_zero().map(|duration| *duration)
}
