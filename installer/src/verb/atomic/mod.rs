//! atomic's command line: what its forms mean in ours, and the few lists that looked different.
//!
//! In: the arguments. Out: a call of another verb of sysc, or an answer of this module. Nothing
//! else of the program knows of it. Under the name `atomic` only these forms are understood;
//! under sysc's own, what its own command line does not understand.

mod containers;
mod grammar;
mod images;
mod mount;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use clap::error::ErrorKind;

use super::hints::with_hint;
use super::session::Session;
use super::{info, install, pull, uninstall};
use crate::cli::{self, Cli};
use crate::deployment::ContainerName;
use crate::host::Systemd;
use crate::report::{Report, date};
use grammar::{Atomic, Containers, Images, Storage, Verb};

/// What was asked for, in whichever form.
#[derive(Debug)]
pub enum Asked {
    /// A verb of sysc.
    Ours(Box<Cli>),
    /// A form of atomic's.
    Atomic(Box<Atomic>),
}

/// Understands a command line; the first argument is the program's name.
pub fn understand(arguments: &[OsString]) -> Result<Asked, clap::Error> {
    let program = arguments.first().map(Path::new).and_then(Path::file_name);
    let atomic = || Atomic::try_parse_from(arguments).map(|asked| Asked::Atomic(Box::new(asked)));
    if program.is_some_and(|name| name == "atomic") {
        return atomic();
    }
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Asked::Ours(Box::new(cli))),
        Err(error) if shown(&error) => Err(error),
        Err(error) => match atomic() {
            // What neither knows is told in our own words.
            Ok(Asked::Atomic(asked)) if matches!(asked.verb, Verb::Other(_)) => {
                Err(with_hint(error))
            }
            understood => understood.map_err(|_| error),
        },
    }
}

/// Help and version are no errors.
fn shown(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

pub(super) fn run(asked: Atomic, session: &Session) -> anyhow::Result<ExitCode> {
    let yes = asked.assumeyes;
    match asked.verb {
        Verb::Pull {
            storage,
            src_creds,
            image,
            ..
        } => {
            only_ostree(&storage)?;
            let login = cli::Login { src_creds };
            let from = cli::Source { login, image };
            pull::run(&cli::Pull { from }, session)
        }
        Verb::Install(options) => install(options, session),
        Verb::Run(options) => run_command(options, session),
        Verb::Stop { name } => stop(&name, session),
        Verb::Uninstall { storage, name, .. } => {
            only_ostree(&storage)?;
            uninstall(&name, session)
        }
        Verb::Update { all, mut names, .. } => {
            let named = names
                .iter()
                .any(|name| containers::find(name, session).is_ok());
            match named {
                false => update_images(all, names, session),
                true => {
                    let names = std::mem::take(&mut names);
                    update(
                        grammar::Update {
                            names,
                            ..grammar::Update::default()
                        },
                        session,
                    )
                }
            }
        }
        Verb::Ps(options) => containers::list(&options, session),
        Verb::Containers(verb) => containers(verb, yes, session),
        Verb::Images(verb) => images(verb, session),
        Verb::Info(which) => show(which, session),
        Verb::Version(which) => version(&which, session),
        Verb::Verify(which) => verify(&which, session),
        Verb::Mount { live: true, .. } => bail!("system containers do not support --live"),
        Verb::Mount {
            options,
            storage,
            target,
            dir,
            ..
        } => {
            only_ostree(&storage)?;
            mount::mount(options.as_deref(), &target, &dir, session)
        }
        Verb::Umount { dir } => mount::unmount(&dir, session),
        Verb::Other(words) => Ok(no_meaning(&words, session.report)),
    }
}

fn containers(verb: Containers, yes: bool, session: &Session) -> anyhow::Result<ExitCode> {
    match verb {
        Containers::List(options) => containers::list(&options, session),
        Containers::Delete {
            all,
            names,
            storage,
            ..
        } => {
            only_ostree(&storage)?;
            containers::delete(&names, all, yes, session)
        }
        Containers::Update(options) => update(options, session),
        Containers::Rollback { name } => {
            let name = Some(containers::find(&name, session)?.to_string());
            super::rollback::run(&cli::Rollback { to: None, name }, session)
        }
        Containers::Trim => {
            session.change_host()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn images(verb: Images, session: &Session) -> anyhow::Result<ExitCode> {
    match verb {
        Images::List(options) => images::list(&options, session),
        Images::Delete {
            force,
            all,
            storage,
            images,
        } => {
            only_ostree(&storage)?;
            images::delete(&images, all, force, session)
        }
        Images::Tag {
            storage,
            source,
            target,
        } => {
            only_ostree(&storage)?;
            images::tag(&source, &target, session)
        }
        Images::Update { all, images, .. } => update_images(all, images, session),
        Images::Prune => super::storage::prune(session),
        Images::Verify(which) => verify(&which, session),
        Images::Info(which) => show(which, session),
        Images::Version(which) => version(&which, session),
    }
}

fn show(which: grammar::Image, session: &Session) -> anyhow::Result<ExitCode> {
    only_ostree(&which.storage)?;
    let output = cli::Json { json: false };
    let image = which.image;
    info::run(&cli::Info { output, image }, session)
}

fn version(which: &grammar::Image, session: &Session) -> anyhow::Result<ExitCode> {
    only_ostree(&which.storage)?;
    images::version(&which.image, session)
}

/// What containers stand on of it: their trees, and through them the objects.
fn verify(which: &grammar::Image, session: &Session) -> anyhow::Result<ExitCode> {
    only_ostree(&which.storage)?;
    let names = containers::of_image(&which.image, session)?;
    let output = cli::Json { json: false };
    super::verify::run(&cli::Verify { output, names }, session)
}

fn only_ostree(storage: &Storage) -> anyhow::Result<()> {
    match storage.storage.as_deref() {
        None | Some("ostree") => Ok(()),
        Some(other) => bail!(
            "there is no storage '{other}' here; every image is kept in the OSTree repository\n\
             help: leave out --storage"
        ),
    }
}

/// What a name in use, a package or arguments meant: nothing to do, or nothing to do any more.
fn install(options: grammar::Install, session: &Session) -> anyhow::Result<ExitCode> {
    only_ostree(&options.storage)?;
    if options.user {
        bail!("this version of sysc installs for the system only\nhelp: leave out --user");
    }
    if let Some("auto" | "build" | "yes") = options.system_package.as_deref() {
        session
            .report
            .note("files for the host are copied; sysc makes no packages");
    }
    let from = cli::Source {
        login: cli::Login::default(),
        image: options.image,
    };
    if !options.display {
        let name = match &options.name {
            Some(name) => name.clone(),
            None => pull::Wanted::find(&from)?.default_container_name(),
        };
        let name = ContainerName::parse(&name)?;
        if super::session::present(&name, session)?.is_some() {
            session
                .report
                .say(format_args!("'{name}' is already present"));
            return Ok(ExitCode::SUCCESS);
        }
    }
    let ours = cli::Install {
        early: false,
        name: options.name,
        values: values(options.set),
        network: cli::Network::default(),
        exports: None,
        root: None,
        rootfs: options.rootfs,
        runtime: options.runtime,
        display: options.display,
        from,
    };
    install::run(&ours, session)
}

/// Names that an image does not have were passed over.
fn values(set: Vec<String>) -> cli::Values {
    cli::Values {
        set,
        set_file: Vec::new(),
        lenient: true,
    }
}

fn run_command(options: grammar::Run, session: &Session) -> anyhow::Result<ExitCode> {
    only_ostree(&options.storage)?;
    let ours = cli::Run {
        detach: options.detach,
        name: options.name,
        values: values(options.set),
        runtime: options.runtime,
        login: cli::Login::default(),
        target: options.target,
        command: options.command,
    };
    super::run::run(&ours, session)
}

fn stop(name: &str, session: &Session) -> anyhow::Result<ExitCode> {
    let name = containers::find(name, session)?;
    Systemd::connect()?.stop(&format!("{name}.service"))?;
    Ok(ExitCode::SUCCESS)
}

/// The name may be that of the deployment.
fn uninstall(name: &str, session: &Session) -> anyhow::Result<ExitCode> {
    // A name that nothing is installed under may be one that an uninstallation left half-way.
    let name = containers::find(name, session).map_or(name.to_owned(), |name| name.to_string());
    uninstall::run(&cli::Uninstall { name }, session)
}

/// `2026-11-25 14:05`, as atomic's lists had it.
fn minute(seconds: u64) -> String {
    date(seconds).chars().take(16).collect()
}

/// Nothing is pulled, as ever: the image that is here is compared with the one in use.
fn update(options: grammar::Update, session: &Session) -> anyhow::Result<ExitCode> {
    let find = |name: &String| containers::find(name, session).map(|name| name.to_string());
    let ours = cli::Update {
        all: options.all,
        offline: options.rebase.is_none(),
        rebase: options.rebase,
        values: values(options.set),
        stage: false,
        login: cli::Login::default(),
        names: options.names.iter().map(find).collect::<Result<_, _>>()?,
    };
    super::update::run(&ours, session)
}

/// `update` of an image is a pull.
fn update_images(all: bool, images: Vec<String>, session: &Session) -> anyhow::Result<ExitCode> {
    if all != images.is_empty() {
        bail!("name images, or give --all alone");
    }
    let images = match (all, session.look_into_store()?) {
        (true, Some(store)) => store
            .images()?
            .into_iter()
            .map(|one| one.image.source)
            .collect(),
        _ => images,
    };
    let mut failed = Vec::new();
    for image in images {
        let login = cli::Login::default();
        let from = cli::Source { login, image };
        if let Err(error) = pull::run(&cli::Pull { from }, session) {
            failed.push(format!("{error:#}"));
        }
    }
    match failed.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => bail!("skipping {}", failed.join("\nskipping ")),
    }
}

/// Said in one line, with the status of a wrong use.
fn no_meaning(words: &[String], report: &Report) -> ExitCode {
    let verb = words.first().map_or("", String::as_str);
    let instead = match verb {
        "top" => "'systemd-cgtop' and 'systemctl status NAME' show what runs",
        "diff" => {
            "an installed container's files are never changed; 'sysc exec NAME sh' looks inside"
        }
        "push" | "sign" | "trust" => "images are pushed and signed where they are built",
        "storage" => "'sysc images list' shows what is stored",
        "scan" => "a scanner of images can be given the image",
        "host" => "'ostree admin' and 'rpm-ostree' care for the host",
        _ => "'sysc --help' lists what there is",
    };
    report.note(format_args!(
        "sysc: '{verb}' has no meaning here: {instead}"
    ));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn understood(line: &str) -> Result<Asked, clap::Error> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        understand(&words)
    }

    #[test]
    fn the_grammar_is_consistent() {
        Atomic::command().debug_assert();
    }

    #[test]
    fn what_is_ours_stays_ours_and_the_rest_is_atomics() {
        let ours = [
            "sysc install a:1",
            "sysc images list --json",
            "sysc run a:1 sh -c x",
            "sysc info a:1",
            "/usr/bin/sysc pull a:1",
        ];
        for line in ours {
            assert!(matches!(understood(line), Ok(Asked::Ours(_))), "{line}");
        }
        let atomics = [
            "atomic install a:1",
            "/usr/bin/atomic images list",
            "atomic -y install --system --name x --set A=1 --set=B=2 a:1 -- --x",
            "atomic install a:1 some arguments",
            "sysc install --system --system-package=no a:1",
            "sysc pull --storage ostree a:1",
            "sysc containers list -a -f state=running --no-trunc",
            "sysc ps -q",
            "sysc --debug containers delete -f a",
            "sysc containers delete -y a b",
            "sysc images delete -f a:1",
            "sysc images tag a b",
            "sysc stop a",
            "atomic containers update --set A=1 --rebase b:2 a",
            "sysc containers rollback a.0",
            "atomic update a:1",
            "sysc mount -o ro a /mnt",
            "sysc unmount /mnt",
            "atomic run -d a sh",
            "atomic top",
            "atomic trust show",
        ];
        for line in atomics {
            assert!(matches!(understood(line), Ok(Asked::Atomic(_))), "{line}");
        }
    }

    #[test]
    fn errors_are_told_in_the_words_of_the_program_that_was_called() {
        let error = understood("sysc instal a:1").unwrap_err().to_string();
        assert!(
            error.contains("install") && error.contains("Usage: sysc"),
            "{error}"
        );
        let error = understood("atomic install").unwrap_err().to_string();
        assert!(error.contains("Usage: atomic"), "{error}");
        assert_eq!(
            understood("sysc --help").unwrap_err().kind(),
            ErrorKind::DisplayHelp
        );
        assert_eq!(
            understood("atomic -v").unwrap_err().kind(),
            ErrorKind::DisplayVersion
        );
    }
}
