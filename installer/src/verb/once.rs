//! Running a container once, in the foreground, and leaving nothing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;

use super::rendering::{self, Generation};
use super::session::Session;
use super::values;
use crate::deployment::{ContainerName, Deployment, Setup, next_serial};
use crate::exports;
use crate::host;
use crate::image::Image;
use crate::interrupt;
use crate::once::Bundle;
use crate::store::Store;

/// An image to be run, and how.
pub(super) struct Wish<'a> {
    pub name: &'a ContainerName,
    pub image: &'a Image,
    pub user_values: BTreeMap<String, String>,
    pub typed: BTreeSet<String>,
    pub setup: Setup,
    /// Instead of what the image says, unless it is empty.
    pub command: &'a [String],
}

/// A container that can be run, once.
pub(super) struct Prepared {
    bundle: Bundle,
    /// What the runtime calls it.
    id: String,
    runtime: PathBuf,
    /// Directories of the host that are made for it, and go with it if they are empty.
    directories: Vec<PathBuf>,
}

/// Takes the image out of the store and renders it. The lock is held by the caller, and may be
/// given up before the container runs.
pub(super) fn prepare(wish: Wish, store: &Store, session: &Session) -> anyhow::Result<Prepared> {
    let storage = session.places.storage();
    let serial = next_serial(&storage)?;
    let bundle = Bundle::begin(&storage, serial)?;
    let generation = Generation {
        name: wish.name,
        image: wish.image,
        user_values: wish.user_values,
        typed: wish.typed,
        setup: wish.setup,
        once: true,
        root: None,
        former: None,
        serial,
        slot: bundle.dir().to_owned(),
    };
    let tree = store.merged(&wish.image.layers)?;
    let rendered = rendering::render(&generation, &tree, store, session)?;
    values::check_names(&generation, &rendered, session)?;
    for warning in &rendered.warnings {
        session.report.warn(warning);
    }
    if !rendered.host_files.is_empty() {
        session
            .report
            .warn("the image's files for the host are not copied for one run");
    }
    let config = rendered.config_json.with_context(|| {
        format!(
            "the image '{}' brings files for the host only; nothing can be run",
            wish.image.name
        )
    })?;
    let lower = bundle.lower();
    let folder =
        File::open(&lower).with_context(|| format!("cannot open '{}'", lower.display()))?;
    store.materialise(&tree, &folder)?;
    let text = rendered.tmpfiles.unwrap_or_default();
    let directories = exports::directories(&text).into_iter().map(PathBuf::from);
    let missing = directories.filter(|path| !path.exists()).collect();
    let tmpfiles = bundle.dir().join("tmpfiles.conf");
    std::fs::write(&tmpfiles, text)
        .with_context(|| format!("cannot write '{}'", tmpfiles.display()))?;
    bundle.complete(&lower, &with_command(&config, wish.command)?)?;
    host::create_tmpfiles(&tmpfiles)?;
    Ok(Prepared {
        bundle,
        id: wish.name.to_string(),
        runtime: rendered
            .values
            .get("RUNTIME")
            .map(PathBuf::from)
            .unwrap_or_default(),
        directories: missing,
    })
}

/// The same for a container that is installed and does not run: its own files and configuration,
/// and nothing that it writes outside of its volumes stays.
pub(super) fn prepare_installed(
    container: &Deployment,
    command: &[String],
    session: &Session,
) -> anyhow::Result<Prepared> {
    let name = &container.info.name;
    let storage = session.places.storage();
    let serial = next_serial(&storage)?;
    let bundle = Bundle::begin(&storage, serial)?;
    let config = container.dir.join("config.json");
    let config = std::fs::read_to_string(&config).with_context(|| {
        format!(
            "cannot read '{}'; '{name}' has no container",
            config.display()
        )
    })?;
    bundle.complete(
        &container.dir.join("rootfs"),
        &with_command(&config, command)?,
    )?;
    let tmpfiles = container.dir.join(format!("tmpfiles-{name}.conf"));
    if tmpfiles.exists() {
        host::create_tmpfiles(&tmpfiles)?;
    }
    Ok(Prepared {
        bundle,
        id: format!("{name}-{serial}"),
        runtime: PathBuf::from(&container.info.runtime),
        directories: Vec::new(),
    })
}

impl Prepared {
    /// Runs it to its end, removes it, and tells its status.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let guard = interrupt::guard()?;
        let dir = self.bundle.dir().to_string_lossy().into_owned();
        let status = host::run_runtime(&self.runtime, &["run", "--bundle", &dir, &self.id])?;
        drop(self.bundle);
        for directory in self.directories.iter().rev() {
            // Something is in it now: data, which is never removed.
            let _ = std::fs::remove_dir(directory);
        }
        drop(guard);
        Ok(ExitCode::from(status))
    }
}

/// The configuration with another command, and with a terminal exactly where there is one.
fn with_command(config_json: &str, command: &[String]) -> anyhow::Result<String> {
    let mut config: Value = serde_json::from_str(config_json).context("cannot read config.json")?;
    config["process"]["terminal"] = interactive().into();
    if !command.is_empty() {
        config["process"]["args"] = command.into();
    }
    config["root"]["path"] = "rootfs".into();
    Ok(format!("{config:#}\n"))
}

/// Somebody sits before it.
pub(super) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Runs a command in the running container `name`.
pub(super) fn exec(
    runtime: &Path,
    name: &str,
    detach: bool,
    command: &[String],
) -> anyhow::Result<ExitCode> {
    let mut arguments = vec!["exec"];
    if detach {
        arguments.push("--detach");
    } else if interactive() {
        arguments.push("--tty");
    }
    arguments.push(name);
    arguments.extend(command.iter().map(String::as_str));
    let guard = interrupt::guard()?;
    let status = host::run_runtime(runtime, &arguments)?;
    drop(guard);
    Ok(ExitCode::from(status))
}
