//! `sysc new`: the beginning of an image, which builds, installs and runs as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::session::Session;
use crate::cli::New;
use crate::deployment::ContainerName;

/// Path, text and mode of each file; `@NAME@` stands for the image's name.
const FILES: [(&str, &str, u32); 6] = [
    (
        "Containerfile",
        include_str!("../../../unit-templates/new/Containerfile"),
        0o644,
    ),
    (
        "README.md",
        include_str!("../../../unit-templates/new/README.md"),
        0o644,
    ),
    (
        "@NAME@",
        include_str!("../../../unit-templates/new/program"),
        0o755,
    ),
    (
        "exports/config.json.template",
        include_str!("../../../unit-templates/new/config.json.template"),
        0o644,
    ),
    (
        "exports/service.template",
        include_str!("../../../unit-templates/new/service.template"),
        0o644,
    ),
    (
        "exports/manifest.json",
        include_str!("../../../unit-templates/new/manifest.json"),
        0o644,
    ),
];

pub(super) fn run(options: &New, session: &Session) -> anyhow::Result<ExitCode> {
    let name = options.name.as_str();
    // The name becomes a container's, a file's, a part of JSON and of an image's name.
    ContainerName::parse(name)?;
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        bail!("'{name}' cannot be an image's name\nhelp: use lower-case letters, digits and '-'");
    }
    let dir = Path::new(name);
    let cannot = || format!("cannot create '{}'", dir.display());
    fs::create_dir(dir).with_context(cannot)?;
    fs::create_dir(dir.join("exports")).with_context(cannot)?;
    for (path, text, mode) in FILES {
        let path = dir.join(path.replace("@NAME@", name));
        let cannot = || format!("cannot write '{}'", path.display());
        fs::write(&path, text.replace("@NAME@", name)).with_context(cannot)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(cannot)?;
        session.report.say(path.display());
    }
    session.report.note(format_args!(
        "help: '{name}/README.md' tells how to build and install it"
    ));
    Ok(ExitCode::SUCCESS)
}
