//! `sysc run` and `sysc exec`: a command in a container, or an image for one run.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;

use super::once::{self, Wish};
use super::pull::Wanted;
use super::session::{self, Session, require_root};
use super::values;
use crate::cli::{Exec, Run, Source};
use crate::deployment::{ContainerName, Deployment, Setup};
use crate::host::{self, Systemd};

/// A container is meant where there is one of this name, an image elsewhere.
pub(super) fn run(options: &Run, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("run")?;
    if let Ok(name) = ContainerName::parse(&options.target)
        && let Some(container) = session::present(&name, session)?
    {
        return match options.command.is_empty() {
            true => start(&container),
            false => in_container(&container, options.detach, &options.command, session),
        };
    }
    image(options, session)
}

pub(super) fn exec(options: &Exec, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("exec")?;
    let name = ContainerName::parse(&options.name)?;
    let container = session::current(&name, session)?;
    in_container(&container, options.detach, &options.command, session)
}

fn start(container: &Deployment) -> anyhow::Result<ExitCode> {
    let name = &container.info.name;
    if !container.info.has_container_service {
        bail!("'{name}' has no service: its image brings files for the host only");
    }
    Systemd::connect()?.start(&format!("{name}.service"))?;
    Ok(ExitCode::SUCCESS)
}

fn in_container(
    container: &Deployment,
    detach: bool,
    command: &[String],
    session: &Session,
) -> anyhow::Result<ExitCode> {
    let info = &container.info;
    let runtime = Path::new(&info.runtime);
    if host::runs(runtime, &info.name) {
        return once::exec(runtime, &info.name, detach, command);
    }
    if detach {
        bail!(
            "'{0}' does not run, so that nothing can be left running in it\n\
             help: start it with 'systemctl start {0}', or leave out --detach",
            info.name
        );
    }
    let access = session.change_store()?;
    let prepared = once::prepare_installed(container, command, session)?;
    drop(access);
    prepared.run()
}

fn image(options: &Run, session: &Session) -> anyhow::Result<ExitCode> {
    if options.detach {
        bail!(
            "an image is run in the foreground\n\
             help: 'sysc install' makes a service of it, or leave out --detach"
        );
    }
    let source = Source {
        login: options.login.clone(),
        image: options.target.clone(),
    };
    let user_values = values::given(&options.values)?;
    let wanted = Wanted::find(&source)?;
    let default = wanted.default_container_name();
    let name = ContainerName::parse(options.name.as_deref().unwrap_or(&default))?;
    let access = session.change_store()?;
    let image = wanted.bring(&access.store, session.report)?;
    let wish = Wish {
        name: &name,
        image: &image,
        typed: values::typed(&options.values, &user_values),
        user_values,
        setup: Setup {
            runtime: options
                .runtime
                .as_deref()
                .map(values::runtime)
                .transpose()?,
            ..Setup::default()
        },
        command: &options.command,
    };
    let prepared = once::prepare(wish, &access.store, session)?;
    drop(access);
    prepared.run()
}
