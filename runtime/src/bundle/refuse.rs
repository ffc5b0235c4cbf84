//! What a configuration must have, and what we cannot honour: each is refused by its name.

use std::collections::HashSet;
use std::path::{Component, Path};

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Mount, Process, Spec};

use super::Complaint;

/// Looks through the whole configuration; the first thing that is wrong is returned.
pub fn check(spec: &Spec) -> Result<(), Complaint> {
    check_version(spec.version())?;
    if let Some(process) = spec.process() {
        check_program(process)?;
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        check_mount(index, mount)?;
    }
    if let Some(linux) = spec.linux() {
        check_namespaces(spec, linux)?;
        check_linux(linux)?;
    }
    Ok(())
}

/// `1.2.3`, `1.0.0-rc5`, `1.2.3+build`. What a version demands is seen by its fields, so every one is
/// taken.
fn check_version(version: &str) -> Result<(), Complaint> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(str::parse::<u32>).collect();
    match numbers.len() == 3 && numbers.iter().all(Result::is_ok) {
        true => Ok(()),
        false => Err(complaint(
            "ociVersion",
            &format!("'{version}' is not a version"),
        )),
    }
}

/// What holds for every process, be it a container's first or an exec's.
pub fn check_program(process: &Process) -> Result<(), Complaint> {
    check_process(process)?;
    let label = process.selinux_label().as_deref().unwrap_or_default();
    match label.is_empty() || has_selinux() {
        true => Ok(()),
        false => {
            let reason = "SELinux is off on this host";
            Err(complaint("process.selinuxLabel", reason))
        }
    }
}

/// As with runc, a process's label is an error where nothing heeds it: who asks for it relies on it.
pub fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn check_process(process: &Process) -> Result<(), Complaint> {
    let args = process.args().as_deref().unwrap_or_default();
    let env = process.env().as_deref().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(complaint("process.args", "names no program"));
    }
    if args.iter().any(|text| text.contains('\0')) {
        return Err(complaint("process.args", "holds a NUL character"));
    }
    for (index, entry) in env.iter().enumerate() {
        if entry.contains('\0') || entry.find('=').is_none_or(|at| at == 0) {
            let field = format!("process.env[{index}]");
            return Err(complaint(&field, "is not of the form NAME=VALUE"));
        }
    }
    if !process.cwd().is_absolute() {
        return Err(complaint("process.cwd", "is not an absolute path"));
    }
    check_user(process)
}

/// The number that means "as it is" to the kernel, and so root, is nobody's.
fn check_user(process: &Process) -> Result<(), Complaint> {
    let user = process.user();
    let groups = user.additional_gids().iter().flatten().copied();
    let all = [
        ("process.user.uid", user.uid()),
        ("process.user.gid", user.gid()),
    ];
    let more = groups.map(|group| ("process.user.additionalGids", group));
    match all.into_iter().chain(more).find(|(_, id)| *id == u32::MAX) {
        Some((field, id)) => Err(complaint(field, &format!("{id} is no number of anybody"))),
        None => Ok(()),
    }
}

fn check_mount(index: usize, mount: &Mount) -> Result<(), Complaint> {
    let field = format!("mounts[{index}]");
    let destination = mount.destination();
    if destination
        .components()
        .all(|part| part == Component::RootDir)
    {
        return Err(complaint(
            &format!("{field}.destination"),
            "covers the container's root; set root.path instead",
        ));
    }
    Ok(())
}

fn check_namespaces(spec: &Spec, linux: &Linux) -> Result<(), Complaint> {
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let mut seen = HashSet::new();
    for namespace in namespaces {
        let kind = namespace.typ();
        if !seen.insert(kind) {
            return Err(complaint(
                "linux.namespaces",
                &format!("'{kind}' is named twice"),
            ));
        }
        if namespace
            .path()
            .as_ref()
            .is_some_and(|path| !path.is_absolute())
        {
            return Err(complaint(
                "linux.namespaces",
                &format!("the path of '{kind}' is relative"),
            ));
        }
    }
    let has = |kind| seen.contains(&kind);
    let named = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    if !has(LinuxNamespaceType::Uts) {
        for (field, name) in [
            ("hostname", spec.hostname()),
            ("domainname", spec.domainname()),
        ] {
            if named(name) {
                return Err(complaint(field, "needs a UTS namespace of its own"));
            }
        }
    }
    if !has(LinuxNamespaceType::Mount) {
        check_without_mounts(linux)?;
    }
    check_mappings(linux, namespaces)
}

fn check_mappings(linux: &Linux, namespaces: &[LinuxNamespace]) -> Result<(), Complaint> {
    let user = namespaces
        .iter()
        .find(|namespace| namespace.typ() == LinuxNamespaceType::User);
    let mappings = [
        ("linux.uidMappings", linux.uid_mappings()),
        ("linux.gidMappings", linux.gid_mappings()),
    ];
    for (field, mapping) in mappings {
        let is_given = mapping.as_ref().is_some_and(|ranges| !ranges.is_empty());
        match user.map(|user| user.path().is_some()) {
            Some(false) if !is_given => {
                return Err(complaint(
                    field,
                    "is missing: a new user namespace needs it",
                ));
            }
            None if is_given => {
                return Err(complaint(field, "needs a user namespace"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// As with runc: what is hidden and protected is so in a mount namespace.
fn check_without_mounts(linux: &Linux) -> Result<(), Complaint> {
    let asked = [
        ("linux.maskedPaths", linux.masked_paths()),
        ("linux.readonlyPaths", linux.readonly_paths()),
    ];
    let any = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|it| !it.is_empty());
    match asked.iter().find(|(_, paths)| any(paths)) {
        Some((field, _)) => Err(complaint(field, "needs a mount namespace of its own")),
        None => Ok(()),
    }
}

fn check_linux(linux: &Linux) -> Result<(), Complaint> {
    let propagations = [
        "",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "private",
        "rprivate",
        "unbindable",
        "runbindable",
    ];
    let propagation = linux.rootfs_propagation().as_deref().unwrap_or_default();
    if !propagations.contains(&propagation) {
        return Err(complaint(
            "linux.rootfsPropagation",
            &format!("'{propagation}' is unknown"),
        ));
    }
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        let path = device.path();
        if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
            let field = format!("linux.devices[{index}].path");
            return Err(complaint(&field, "is not an absolute path without '..'"));
        }
    }
    Ok(())
}

fn complaint(field: &str, reason: &str) -> Complaint {
    (field.to_owned(), reason.to_owned())
}
