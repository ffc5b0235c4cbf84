//! `linux.resources` to files of a cgroup.
//!
//! For each controller that is asked for: where is it, and of which version? Its planner says what
//! is to be written where; then all is written. What cannot be written is an error that names the
//! field, and no field is passed over.
//!
//! Ours and not libcgroups', which looks through the mount table once for each controller, names no
//! field when it fails, and passes over what version 2 lacks, `rdma` and `checkBeforeUpdate`.

mod legacy;
mod unified;

use std::io::{ErrorKind, Write};
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::seats::{Found, Seats};
use super::{Error, devices};
use crate::plan::DeviceRules;
pub use unified::cpu_weight;

/// One line for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// In config.json, below linux.resources.
    field: String,
    file: String,
    value: String,
}

/// A field that this version of cgroups cannot honour, and why.
type Refusal = (&'static str, String);

/// Says what one controller's part is to be; `now` is what a file holds, if it is there.
type Planner = fn(&LinuxResources, now: &Now) -> Result<Vec<Setting>, Refusal>;
type Now<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What one controller does.
struct Section {
    field: &'static str,
    /// The controller with version 1 and with version 2.
    names: [&'static str; 2],
    legacy: Planner,
    unified: Planner,
}

const SECTIONS: [Section; 10] = [
    Section {
        field: "memory",
        names: ["memory", "memory"],
        legacy: legacy::memory,
        unified: unified::memory,
    },
    Section {
        field: "cpu",
        names: ["cpu", "cpu"],
        legacy: legacy::cpu,
        unified: unified::cpu,
    },
    Section {
        field: "cpu.cpus",
        names: ["cpuset", "cpuset"],
        legacy: cpuset,
        unified: cpuset,
    },
    Section {
        field: "pids",
        names: ["pids", "pids"],
        legacy: pids,
        unified: pids,
    },
    Section {
        field: "blockIO",
        names: ["blkio", "io"],
        legacy: legacy::block_io,
        unified: unified::block_io,
    },
    Section {
        field: "hugepageLimits",
        names: ["hugetlb", "hugetlb"],
        legacy: legacy::huge_pages,
        unified: unified::huge_pages,
    },
    Section {
        field: "rdma",
        names: ["rdma", "rdma"],
        legacy: rdma,
        unified: rdma,
    },
    Section {
        field: "network.classID",
        names: ["net_cls", ""],
        legacy: legacy::class,
        unified: legacy::class,
    },
    Section {
        field: "network.priorities",
        names: ["net_prio", ""],
        legacy: legacy::priorities,
        unified: legacy::priorities,
    },
    // Another name than that of a controller is that of no version: each entry names its own.
    Section {
        field: "unified",
        names: ["", "cgroup"],
        legacy: unified::entries,
        unified: unified::entries,
    },
];

/// Sets limits; what is not said stays as it is.
pub fn limit(seats: &Seats, resources: &LinuxResources) -> Result<(), Error> {
    SECTIONS
        .iter()
        .try_for_each(|section| section.apply(seats, resources))
}

/// Sets the rules for devices.
pub fn restrict(seats: &Seats, rules: &DeviceRules) -> Result<(), Error> {
    match (devices::enforce(seats, &rules.list), rules.dispensable) {
        // Without privileges the kernel lets nobody set a filter, nor make a node.
        (Err(_), true) => Ok(()),
        (other, _) => other,
    }
}

/// Refuses what could not be set, and sets nothing.
pub fn check(seats: &Seats, resources: &LinuxResources) -> Result<(), Error> {
    SECTIONS
        .iter()
        .try_for_each(|section| section.plan(seats, resources).map(drop))
}

impl Section {
    fn apply(&self, seats: &Seats, resources: &LinuxResources) -> Result<(), Error> {
        match self.plan(seats, resources)? {
            Some((directory, settings)) => write_all(seats, directory, settings),
            None => Ok(()),
        }
    }

    /// What is to be written, and where. `None` if nothing is asked for.
    fn plan<'a>(
        &self,
        seats: &'a Seats,
        resources: &LinuxResources,
    ) -> Result<Option<(&'a Path, Vec<Setting>)>, Error> {
        let [legacy, unified] = self.names;
        let found = match self.field {
            "unified" => seats.unified().map(Found::Unified),
            _ => seats.find(legacy, unified),
        };
        let (planner, directory) = match found {
            Some(Found::Legacy(directory)) => (self.legacy, Some(directory)),
            Some(Found::Unified(directory)) => (self.unified, Some(directory)),
            // Only to see whether anything is asked for.
            None if unified.is_empty() || seats.unified().is_none() => (self.legacy, None),
            None => (self.unified, None),
        };
        let now = |file: &str| {
            let text = std::fs::read_to_string(directory?.join(file)).ok()?;
            Some(text.trim().to_owned())
        };
        let settings = planner(resources, &now).map_err(|(field, reason)| Error::Refused {
            field: format!("linux.resources.{field}"),
            path: seats.path().to_owned(),
            reason,
        })?;
        let Some(first) = settings.first() else {
            return Ok(None);
        };
        match directory {
            Some(directory) => Ok(Some((directory, settings))),
            None if self.field == "unified" => Err(Error::Refused {
                field: "linux.resources.unified".to_owned(),
                path: seats.path().to_owned(),
                reason: "invalid configuration: there is only version 1 of cgroups".to_owned(),
            }),
            None => Err(Error::Controller {
                field: format!("linux.resources.{}", first.field),
                controller: self.controller(seats).to_owned(),
                path: seats.path().to_owned(),
            }),
        }
    }

    fn controller(&self, seats: &Seats) -> &'static str {
        let [legacy, unified] = self.names;
        match seats.unified().is_some() && !unified.is_empty() {
            true => unified,
            false => legacy,
        }
    }
}

/// Which of two limits must not exceed the other depends on what they were before: so what is
/// refused is tried again for as long as something else could be written.
fn write_all(seats: &Seats, directory: &Path, settings: Vec<Setting>) -> Result<(), Error> {
    let mut left = settings;
    loop {
        let before = left.len();
        let mut failures = Vec::new();
        for setting in left {
            if let Err(error) = write(&directory.join(&setting.file), &setting.value) {
                failures.push((setting, error));
            }
        }
        if failures.len() == before || failures.is_empty() {
            return match failures.into_iter().next() {
                None => Ok(()),
                Some((setting, source)) => Err(failed(seats, setting, source)),
            };
        }
        left = failures.into_iter().map(|(setting, _)| setting).collect();
    }
}

/// Never makes a file: that one is missing is a better answer than that none can be made.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(text.as_bytes())?;
    match path.to_string_lossy().contains("/memory.kmem.limit") && !holds(path, text)? {
        true => Err(ErrorKind::Unsupported.into()),
        false => Ok(()),
    }
}

/// Kernels since 5.16 take limits of their own memory and forget them.
fn holds(path: &Path, text: &str) -> std::io::Result<bool> {
    const PAGE: u64 = 4096;
    let pages = |text: &str| text.trim().parse::<u64>().map(|bytes| bytes / PAGE);
    Ok(pages(&std::fs::read_to_string(path)?) == pages(text))
}

fn failed(seats: &Seats, setting: Setting, source: std::io::Error) -> Error {
    let (field, path) = (
        format!("linux.resources.{}", setting.field),
        seats.path().to_owned(),
    );
    match source.kind() {
        ErrorKind::NotFound => Error::Absent {
            field,
            file: setting.file,
            path,
        },
        _ => Error::Limit {
            field,
            value: setting.value,
            file: setting.file,
            path,
            source,
        },
    }
}

/// A setting, if there is a value for it.
fn setting(field: &str, file: &str, value: Option<impl ToString>) -> Option<Setting> {
    value.map(|value| Setting {
        field: field.to_owned(),
        file: file.to_owned(),
        value: value.to_string(),
    })
}

fn refuse<T>(field: &'static str, reason: &str) -> Result<T, Refusal> {
    Err((field, reason.to_owned()))
}

fn cpuset(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let Some(cpu) = resources.cpu() else {
        return Ok(Vec::new());
    };
    let said = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
    let settings = [
        setting("cpu.cpus", "cpuset.cpus", said(cpu.cpus())),
        setting("cpu.mems", "cpuset.mems", said(cpu.mems())),
    ];
    Ok(settings.into_iter().flatten().collect())
}

/// Zero is a limit like any other, but a container needs one process to begin with.
fn pids(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let limit = resources.pids().as_ref().map(|pids| match pids.limit() {
        limit if limit < 0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    });
    let settings = setting("pids.limit", "pids.max", limit);
    Ok(settings.into_iter().collect())
}

fn rdma(resources: &LinuxResources, _: &Now) -> Result<Vec<Setting>, Refusal> {
    let devices = resources.rdma().iter().flatten().map(|(name, limits)| {
        // The type tells nobody its fields, but writes them.
        let fields = serde_json::to_value(limits).unwrap_or_default();
        let part = |field: &str, key: &str| {
            let number = fields.get(field).filter(|number| !number.is_null())?;
            Some(format!(" {key}={number}"))
        };
        let handles = part("hcaHandles", "hca_handle").unwrap_or_default();
        let objects = part("hcaObjects", "hca_object").unwrap_or_default();
        let value = format!("{name}{handles}{objects}");
        setting(&format!("rdma.{name}"), "rdma.max", Some(value))
    });
    let mut settings: Vec<Setting> = devices.flatten().collect();
    settings.sort_by(|a, b| a.field.cmp(&b.field));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A planner, resources, files that are there, and what is to be written.
    pub(super) type Case = (
        Planner,
        serde_json::Value,
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );

    /// What a planner makes of these resources where `files` are there, as `file = value`.
    pub(super) fn planned(
        planner: Planner,
        resources: serde_json::Value,
        files: &[(&str, &str)],
    ) -> Result<Vec<String>, String> {
        let resources = serde_json::from_value(resources).unwrap();
        let now = |name: &str| {
            let mut files = files.iter();
            let (_, text) = files.find(|(file, _)| *file == name)?;
            Some((*text).to_owned())
        };
        let settings = planner(&resources, &now).map_err(|(field, _)| field.to_owned())?;
        let text = |setting: Setting| format!("{} = {}", setting.file, setting.value);
        Ok(settings.into_iter().map(text).collect())
    }

    #[test]
    fn what_both_versions_share() {
        use serde_json::json;
        let table: [(Planner, _, &[&str]); 6] = [
            (
                cpuset,
                json!({"cpu": {"cpus": "0-1", "mems": ""}}),
                &["cpuset.cpus = 0-1"],
            ),
            (pids, json!({"pids": {"limit": -1}}), &["pids.max = max"]),
            (pids, json!({"pids": {"limit": 0}}), &["pids.max = 1"]),
            (pids, json!({"pids": {"limit": 7}}), &["pids.max = 7"]),
            (pids, json!({}), &[]),
            (
                rdma,
                json!({"rdma": {"mlx5_1": {"hcaObjects": 9}, "mlx5_0": {"hcaHandles": 3, "hcaObjects": 4}}}),
                &[
                    "rdma.max = mlx5_0 hca_handle=3 hca_object=4",
                    "rdma.max = mlx5_1 hca_object=9",
                ],
            ),
        ];
        for (planner, resources, wanted) in table {
            assert_eq!(planned(planner, resources, &[]).unwrap(), wanted);
        }
    }

    #[test]
    fn each_section_is_asked_by_its_own_fields() {
        let all: LinuxResources = serde_json::from_value(serde_json::json!({
            "memory": {"limit": 1 << 20}, "cpu": {"shares": 5, "cpus": "0"}, "pids": {"limit": 5},
            "blockIO": {"weight": 10}, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
            "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
            "rdma": {"x": {"hcaHandles": 1}}, "unified": {"memory.high": "1"}}))
        .unwrap();
        let none = LinuxResources::default();
        for section in &SECTIONS {
            for planner in [section.legacy, section.unified] {
                assert_eq!(
                    planner(&none, &|_| None),
                    Ok(Vec::new()),
                    "{}",
                    section.field
                );
                let settings = planner(&all, &|_| None).unwrap();
                assert!(settings[0].field.starts_with(section.field), "{settings:?}");
            }
        }
    }
}
