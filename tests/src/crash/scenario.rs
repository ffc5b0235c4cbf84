//! What is cut off, and from where.

/// The state of the host that a command starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing was ever installed.
    Bare,
    /// Version 1 runs.
    Running,
    /// Version 1 runs, version 2 is staged.
    Staged,
    /// Version 2 runs, version 1 is kept, version 3 is to be had.
    Updated,
    /// The same, and the name of version 1's image was forgotten: its layers are nobody's.
    Unneeded,
    /// An update from 1 to 2 was killed just after its commit point.
    Committed,
    /// An installation was killed in the middle of its projection.
    HalfInstalled,
    /// An uninstallation was killed in the middle.
    HalfGone,
}

impl Base {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bare,
        Self::Running,
        Self::Staged,
        Self::Updated,
        Self::Unneeded,
        Self::Committed,
        Self::HalfInstalled,
        Self::HalfGone,
    ];
}

/// A command on a base.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What to call it.
    pub name: &'static str,
    /// Where it starts.
    pub base: Base,
    /// Arguments of `sysc`.
    pub command: &'static [&'static str],
    /// The states that it may be found in, if not in the one that the command leads to: where it
    /// came from, mostly.
    pub or: &'static [Base],
}

/// All that is walked.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "install",
        base: Base::Bare,
        command: &["install", "oci:/root/box"],
        or: &[Base::Bare],
    },
    Scenario {
        name: "update",
        base: Base::Running,
        command: &["update", "--rebase", "oci:/root/box2", "box"],
        or: &[Base::Running],
    },
    Scenario {
        name: "update in the place of the oldest",
        base: Base::Updated,
        command: &["update", "--rebase", "oci:/root/box3", "box"],
        or: &[Base::Updated],
    },
    Scenario {
        name: "stage",
        base: Base::Running,
        command: &["update", "--stage", "--rebase", "oci:/root/box2", "box"],
        or: &[Base::Running],
    },
    Scenario {
        name: "switch",
        base: Base::Staged,
        command: &["switch"],
        or: &[Base::Staged, Base::Running],
    },
    Scenario {
        name: "rollback",
        base: Base::Updated,
        command: &["rollback", "box"],
        or: &[Base::Updated],
    },
    Scenario {
        name: "uninstall",
        base: Base::Updated,
        command: &["uninstall", "box"],
        or: &[Base::Updated],
    },
    Scenario {
        name: "prune",
        base: Base::Unneeded,
        command: &["images", "prune"],
        or: &[Base::Unneeded],
    },
    Scenario {
        name: "recovery of an update",
        base: Base::Committed,
        command: &["recover"],
        // What the host does not take is taken back.
        or: &[Base::Running],
    },
    Scenario {
        name: "recovery of an installation",
        base: Base::HalfInstalled,
        command: &["recover"],
        or: &[],
    },
    Scenario {
        name: "recovery of an uninstallation",
        base: Base::HalfGone,
        command: &["recover"],
        or: &[],
    },
];
