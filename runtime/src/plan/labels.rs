//! `linux.mountLabel`: the SELinux label of all that is new in the container.

use oci_spec::runtime::Linux;

use super::mounts::{MountStep, What};

/// The label, if there is one.
pub fn of_mounts(linux: &Linux) -> Option<String> {
    let label = linux.mount_label().clone();
    label.filter(|label| !label.is_empty())
}

/// Puts the label on new file systems. Left out are those that have labels of their own (proc,
/// sysfs), that are labelled like files afterwards (mqueue), and what is there already (binds,
/// cgroups).
pub fn label(mounts: &mut [MountStep], label: Option<&str>) {
    let Some(label) = label else {
        return;
    };
    for step in mounts {
        if let What::New { kind, tuning, .. } = &mut step.what
            && !matches!(kind.as_str(), "proc" | "sysfs" | "mqueue")
        {
            tuning.data.push(format!("context={label}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Attributes, Tuning};

    fn new(target: &str, kind: &str) -> MountStep {
        MountStep {
            target: target.into(),
            what: What::New {
                kind: kind.to_owned(),
                source: kind.to_owned(),
                tuning: Tuning::data(&["mode=755"]),
                copy_up: false,
            },
            attributes: Attributes::default(),
            propagation: Vec::new(),
            readonly_late: false,
        }
    }

    #[test]
    fn new_file_systems_are_labelled() {
        let mut steps = [
            new("/proc", "proc"),
            new("/dev/mqueue", "mqueue"),
            new("/dev", "tmpfs"),
        ];
        label(&mut steps, Some("a:b:c:s0:c1,c2"));
        let labelled = |step: &&MountStep| format!("{:?}", step.what).contains("context=");
        let targets: Vec<_> = steps
            .iter()
            .filter(labelled)
            .map(|step| &step.target)
            .collect();
        assert_eq!(targets, [std::path::Path::new("/dev")]);
    }
}
