//! The process of an exec: the configured one with changes, or one from a file of its own.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};
use serde_json::{Value, json};

use super::{Error, compat, refuse};

/// What the command line changes about the configured process.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// `NAME=VALUE`; each takes the place of a configured one of that name.
    pub env: Vec<String>,
    /// Another working directory.
    pub cwd: Option<PathBuf>,
    /// Another user, and another group.
    pub user: Option<(u32, Option<u32>)>,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Further capabilities.
    pub capabilities: Vec<Capability>,
    /// Whether it gets a terminal, whatever is configured.
    pub terminal: bool,
    /// Whether it is kept from new privileges, also where the configuration does not say so.
    pub no_new_privileges: bool,
    /// Another AppArmor profile.
    pub apparmor: Option<String>,
    /// Another SELinux label.
    pub label: Option<String>,
}

/// The configured process, changed.
pub fn changed(configured: &Process, changes: &Changes) -> Result<Process, Error> {
    let mut process = configured.clone();
    process.set_args(Some(changes.args.clone()));
    process.set_env(Some(merged(process.env().as_deref(), &changes.env)));
    process.set_terminal(Some(changes.terminal));
    if let Some(cwd) = &changes.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut user = process.user().clone();
    if let Some((uid, gid)) = changes.user {
        user.set_uid(uid);
        user.set_gid(gid.unwrap_or(user.gid()));
    }
    let groups = user.additional_gids().iter().flatten();
    user.set_additional_gids(Some(groups.chain(&changes.groups).copied().collect()));
    process.set_user(user);
    if !changes.capabilities.is_empty() {
        let sets = process.capabilities().clone().unwrap_or_default();
        process.set_capabilities(Some(extended(sets, &changes.capabilities)));
    }
    if changes.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if changes.apparmor.is_some() {
        process.set_apparmor_profile(changes.apparmor.clone());
    }
    if changes.label.is_some() {
        process.set_selinux_label(changes.label.clone());
    }
    checked(process)
}

/// A process as `--process` has it.
pub fn read_process(path: &Path) -> Result<Process, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let parse = || -> Result<Process, serde_json::Error> {
        let mut config = json!({"process": serde_json::from_slice::<Value>(&text)?});
        compat::modernise(&mut config);
        serde_json::from_value(config["process"].take())
    };
    checked(parse().map_err(|error| Error::Parse {
        path: path.to_owned(),
        reason: error.to_string(),
    })?)
}

fn checked(process: Process) -> Result<Process, Error> {
    match refuse::check_program(&process) {
        Ok(()) => Ok(process),
        Err((field, reason)) => Err(Error::Visitor { field, reason }),
    }
}

/// Every name once, at its first place and with its last value.
pub fn merged(configured: Option<&[String]>, more: &[String]) -> Vec<String> {
    let name = |entry: &str| {
        entry
            .split_once('=')
            .map_or(entry, |(name, _)| name)
            .to_owned()
    };
    let mut merged: Vec<String> = configured.unwrap_or_default().to_vec();
    for entry in more {
        match merged.iter_mut().find(|old| name(old) == name(entry)) {
            Some(old) => *old = entry.clone(),
            None => merged.push(entry.clone()),
        }
    }
    merged
}

/// Ambient ones need inheritable ones, which nothing here grants; so they are extended only where
/// the configuration has some.
fn extended(mut sets: LinuxCapabilities, more: &[Capability]) -> LinuxCapabilities {
    let with_more = |set: &Option<Capabilities>| -> Option<Capabilities> {
        Some(set.iter().flatten().chain(more).copied().collect())
    };
    sets.set_bounding(with_more(sets.bounding()));
    sets.set_effective(with_more(sets.effective()));
    sets.set_permitted(with_more(sets.permitted()));
    if sets
        .inheritable()
        .as_ref()
        .is_some_and(|set| !set.is_empty())
    {
        sets.set_inheritable(with_more(sets.inheritable()));
        sets.set_ambient(with_more(sets.ambient()));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured() -> Process {
        serde_json::from_value(super::super::default_config()["process"].clone()).unwrap()
    }

    fn asked() -> Changes {
        Changes {
            args: vec!["true".to_owned()],
            ..Changes::default()
        }
    }

    #[test]
    fn r08_variables_take_the_place_of_their_namesakes() {
        let list = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let old = list(&["A=1", "B=2"]);
        let merged = merged(Some(&old), &list(&["B=9", "C=3", "C=4"]));
        assert_eq!(merged, list(&["A=1", "B=9", "C=4"]));
    }

    #[test]
    fn what_is_not_changed_stays() {
        let process = changed(&configured(), &asked()).unwrap();
        assert_eq!(process.terminal(), Some(false));
        assert_eq!(process.no_new_privileges(), Some(true));
        assert_eq!(process.capabilities(), configured().capabilities());
        let changes = Changes {
            user: Some((33, None)),
            groups: vec![5],
            capabilities: vec![Capability::NetRaw],
            ..asked()
        };
        let process = changed(&configured(), &changes).unwrap();
        assert_eq!((process.user().uid(), process.user().gid()), (33, 0));
        let sets = process.capabilities().clone().unwrap();
        assert!(
            sets.bounding()
                .clone()
                .unwrap()
                .contains(&Capability::NetRaw)
        );
        assert!(sets.ambient().is_none());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let mut table = vec![(Changes::default(), "process.args")];
        table.push((
            Changes {
                cwd: Some("x".into()),
                ..asked()
            },
            "process.cwd",
        ));
        table.push((
            Changes {
                env: vec!["=x".to_owned()],
                ..asked()
            },
            "process.env[2]",
        ));
        for (changes, name) in table {
            let Err(Error::Visitor { field, .. }) = changed(&configured(), &changes) else {
                panic!("{name}")
            };
            assert_eq!(field, name);
        }
    }
}
