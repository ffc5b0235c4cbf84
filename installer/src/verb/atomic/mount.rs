//! `mount` and `umount`: the files of a container or an image, to be looked at.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags};

use crate::cli::{Login, Source};
use crate::deployment::{ContainerName, next_serial};
use crate::verb::pull::Wanted;
use crate::verb::session::{Session, require_root};

/// Read-only, whatever the options say: the files are shared with the repository.
pub(super) fn mount(
    options: Option<&str>,
    target: &str,
    dir: &Path,
    session: &Session,
) -> anyhow::Result<ExitCode> {
    require_root("mount")?;
    if options.is_some_and(|options| options.split(',').any(|option| option == "rw")) {
        bail!("what is mounted is read-only: its files are shared with the repository");
    }
    if !dir.is_dir() {
        bail!("'{}' is not a directory", dir.display());
    }
    if let Ok(name) = ContainerName::parse(target)
        && let Some(container) = session.deployments.current(&name)?
    {
        bind(&container.dir.join("rootfs"), dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    let from = Source {
        login: Login::default(),
        image: target.to_owned(),
    };
    let access = session.change_store()?;
    let image = Wanted::find(&from)?.bring(&access.store, session.report)?;
    let storage = session.places.storage();
    let root = storage
        .join(MOUNTS)
        .join(next_serial(&storage)?.to_string());
    let cannot = || format!("cannot create '{}'", root.display());
    std::fs::create_dir_all(&root).with_context(cannot)?;
    let folder = File::open(&root).with_context(cannot)?;
    let tree = access.store.merged(&image.layers)?;
    access.store.materialise(&tree, &folder)?;
    bind(&root, dir)?;
    Ok(ExitCode::SUCCESS)
}

/// Checkouts of images that are mounted, below sysc's own records.
const MOUNTS: &str = "mounts";

fn bind(from: &Path, to: &Path) -> anyhow::Result<()> {
    let none: Option<&str> = None;
    let cannot = || format!("cannot mount '{}' on '{}'", from.display(), to.display());
    nix::mount::mount(Some(from), to, none, MsFlags::MS_BIND, none).with_context(cannot)?;
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    nix::mount::mount(none, to, none, read_only, none).with_context(cannot)
}

pub(super) fn unmount(dir: &Path, session: &Session) -> anyhow::Result<ExitCode> {
    require_root("umount")?;
    nix::mount::umount2(dir, MntFlags::UMOUNT_NOFOLLOW)
        .with_context(|| format!("cannot unmount '{}'", dir.display()))?;
    let _access = session.change_store()?;
    sweep(&session.places.storage().join(MOUNTS))?;
    Ok(ExitCode::SUCCESS)
}

/// Removes the checkouts that nothing is mounted from any more.
fn sweep(mounts: &Path) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(mounts) else {
        return Ok(());
    };
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    for entry in entries {
        let dir = entry?.path();
        // The fourth field is the directory that was bound, below its file system's own root.
        let suffix = Path::new(".storage")
            .join(MOUNTS)
            .join(dir.file_name().unwrap_or_default());
        let mounted = table
            .lines()
            .filter_map(|line| line.split(' ').nth(3))
            .any(|root| Path::new(root).ends_with(&suffix));
        if !mounted {
            std::fs::remove_dir_all(&dir)
                .with_context(|| format!("cannot remove '{}'", dir.display()))?;
        }
    }
    Ok(())
}
