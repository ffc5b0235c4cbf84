//! Container engines from Debian, which drive the runtime under test: podman and containerd.
//!
//! ```text
//! test ─▶ Podman, Containerd ─nsenter─▶ House: own PIDs, mounts, /run; one tmpfs for all that is stored
//!                                        └─ podman, conmon, containerd, shims ─▶ sysc-runtime
//! ```
//!
//! Of a test that dies the kernel ends the house with all that is in it; what is left then are
//! empty cgroups, which the next house removes.

mod containerd;
mod house;
mod podman;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;

use crate::image::{Builder, Image, Tar};
use crate::images;

pub use containerd::Containerd;
pub use house::Hierarchy;
pub use podman::Podman;

/// What the image is called in the engines.
pub const IMAGE: &str = "localhost/box:latest";

/// A web server that says when it is up, and ends with status 3 when it is asked to stop.
pub const SERVICE: &str = "trap 'exit 3' TERM; busybox httpd -p 127.0.0.1:80 -h /srv && echo up; \
                           while :; do sleep 0.1; done";

/// Asks the web server.
pub const PROBE: &str = "busybox wget -q -O - http://127.0.0.1/";

/// What it answers.
pub const ANSWER: &str = "at your service";

/// A busybox with something to serve.
fn image() -> Result<Image> {
    let page = Tar::new().dir("srv", 0o755).file(
        "srv/index.html",
        0o644,
        format!("{ANSWER}\n").as_bytes(),
    );
    Ok(Builder::new(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}))
        .layer(images::busybox_layer()?)
        .layer(page.finish())
        .build())
}

/// Waits for something that a container does, and tells nobody of.
pub fn until(mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if happened()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("it did not happen within a minute")
}
