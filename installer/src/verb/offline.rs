//! `sysc install --root TREE`: into the tree of an image build, as a part of the host to be.
//!
//! Nothing of the build host is looked at, and nothing asked of its systemd. What is written is a
//! preinstalled deployment in /usr, its unit, tmpfiles lines and host files, and the links that
//! enable it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};

use super::building;
use super::pull::Wanted;
use super::rendering::{self, Generation};
use super::session::{Session, require_root};
use super::values;
use crate::cli::Install;
use crate::deployment::{ContainerName, Deployments, Draft, PREINSTALLED, Setup};
use crate::exports::{self, HostFile, HostFileKind};
use crate::host::{self, Found, OtherRoot};
use crate::interrupt;
use crate::places::VENDOR;
use crate::store::Store;

const UNITS: &str = "/usr/lib/systemd/system";
const TMPFILES: &str = "/usr/lib/tmpfiles.d";

pub(super) fn run(
    options: &Install,
    tree: &Path,
    mut setup: Setup,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    require_root("install")?;
    let root = OtherRoot::open(tree)
        .with_context(|| format!("cannot use the tree '{}'", tree.display()))?;
    ensure!(
        root.dir() != Path::new("/"),
        "'/' is this host\nhelp: leave out --root to install on it"
    );
    setup.runtime = Some(runtime(options, &root)?);
    let given = values::given(&options.values)?;
    let wanted = Wanted::find(&options.from)?;
    let default = wanted.default_container_name();
    let name = ContainerName::parse(options.name.as_deref().unwrap_or(&default))?;
    let destdir = PathBuf::from(VENDOR).join(name.as_str());
    let unit = format!("{UNITS}/{name}.service");
    for path in [destdir.to_string_lossy().as_ref(), &unit] {
        ensure!(
            root.find(path) == Found::Nothing,
            "'{path}' is in the tree already\nhelp: install under another name with --name"
        );
    }

    let guard = interrupt::guard()?;
    let vendor = root.make_dir(VENDOR).context("cannot prepare the tree")?;
    // The repository is there only to make the files; they stay when it goes.
    let scratch = tempfile::Builder::new()
        .prefix(".sysc-")
        .tempdir_in(&vendor)?;
    let store = Store::open(&scratch.path().join("ostree"), &vendor)?;
    let image = wanted.fetch(&store, session.report)?;
    if exports::runs_once(&image.config)? {
        bail!(
            "the image '{}' is made to run once, which nothing can be of a tree",
            image.name
        );
    }
    let generation = Generation {
        name: &name,
        image: &image,
        typed: values::typed(&options.values, &given),
        user_values: given,
        setup,
        once: false,
        former: None,
        root: Some(&root),
        serial: PREINSTALLED,
        slot: destdir,
    };
    build(&generation, &vendor, &store, session)?;
    drop(guard);
    session.report.say(format_args!(
        "installed '{name}' from {} into '{}'",
        image.name,
        root.dir().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The runtime as the host to be will have it.
fn runtime(options: &Install, root: &OtherRoot) -> anyhow::Result<PathBuf> {
    let usual = ["/usr/bin/sysc-runtime", "/usr/local/bin/sysc-runtime"].map(PathBuf::from);
    let candidates = match &options.runtime {
        Some(asked) => vec![asked.clone()],
        None => usual.to_vec(),
    };
    let there = |path: &PathBuf| root.find(&path.to_string_lossy()) == Found::File;
    candidates.into_iter().find(there).with_context(|| {
        format!(
            "the tree '{}' has no OCI runtime\n\
             help: install sysc-runtime into its /usr/bin, or name another with --runtime",
            root.dir().display()
        )
    })
}

fn build(
    generation: &Generation,
    vendor: &Path,
    store: &Store,
    session: &Session,
) -> anyhow::Result<()> {
    let Some(root) = generation.root else {
        bail!("no tree is given");
    };
    let name = generation.name;
    let mut tree = store.merged(&generation.image.layers)?;
    let mut rendered = rendering::render(generation, &tree, store, session)?;
    values::check_names(generation, &rendered, session)?;
    for warning in &rendered.warnings {
        session.report.warn(warning);
    }
    rendered.host_files.retain(|file| {
        let free = root.find(&file.path) == Found::Nothing;
        if !free && file.kind != HostFileKind::Dir {
            let path = &file.path;
            session.report.warn(format_args!(
                "'{path}' is in the tree already and is left as it is"
            ));
        }
        free
    });
    let info = building::info(generation, &rendered, String::new())?;
    let slot = vendor.join(name.as_str());
    let draft = Draft::begin(&Deployments::new(vendor), name, generation.serial, &slot)?;
    if rendered.unit.is_some() {
        building::add_mount_points(&mut tree, &rendered)?;
        draft.link_tree(store, &tree)?;
    }
    draft.write(&building::contents(&rendered, &info))?;
    interrupt::check()?;
    draft.complete(info)?;
    rendered
        .host_files
        .iter()
        .try_for_each(|file| place(file, root))?;
    if let Some(text) = &rendered.tmpfiles {
        write(
            root,
            &format!("{TMPFILES}/{name}.conf"),
            text.as_bytes(),
            0o644,
        )?;
    }
    if let Some(text) = &rendered.unit {
        write(
            root,
            &format!("{UNITS}/{name}.service"),
            text.as_bytes(),
            0o644,
        )?;
        host::enable_in(root.dir(), &format!("{name}.service"))?;
    }
    Ok(())
}

fn place(file: &HostFile, root: &OtherRoot) -> anyhow::Result<()> {
    let path = &file.path;
    match &file.kind {
        HostFileKind::File(content) => {
            write(root, path, content, file.mode)?;
            root.set_xattrs(path, &file.xattrs)
                .with_context(|| format!("cannot set the attributes of '{path}' in the tree"))
        }
        HostFileKind::Link(target) => root
            .link(path, target)
            .map(drop)
            .with_context(|| format!("cannot make the link '{path}'")),
        HostFileKind::Dir => root
            .make_dir(path)
            .map(drop)
            .with_context(|| format!("cannot create '{path}'")),
    }
}

fn write(root: &OtherRoot, path: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
    root.write(path, content, mode)
        .map(drop)
        .with_context(|| format!("cannot write '{path}' in the tree"))
}
