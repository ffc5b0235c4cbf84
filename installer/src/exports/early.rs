//! Services that are up before D-Bus and the network: what their units need beyond others.
//!
//! They wait for the file systems that they live on and for nothing else, unless a folder that
//! they bind is made anew at each boot.

use super::Error;
use super::quote::quote;
use super::template::Values;
use super::unit::only_known;
use super::unit_file::UnitFile;

const TEMPLATE: &str = include_str!("../../../unit-templates/added-early.template");

/// Makes the folders of tmpfiles lines; a boot empties some places.
const TMPFILES: &str = "systemd-tmpfiles-setup.service";
const VOLATILE: [&str; 4] = ["/run/", "/var/run/", "/tmp/", "/dev/shm/"];

/// Kernel file systems and memory: there before any unit.
const ALWAYS_THERE: [&str; 4] = ["/dev", "/proc", "/run", "/sys"];

/// Comes late, itself or as a link into what a later service makes.
pub(super) const RESOLVER: &str = "/etc/resolv.conf";

/// What is only reached after `sysinit.target`, or after us.
const LATE: [&str; 16] = [
    "basic.target",
    "dbus.service",
    "dbus.socket",
    "default.target",
    "graphical.target",
    "multi-user.target",
    "network-online.target",
    "network-pre.target",
    "network.target",
    "nss-lookup.target",
    "nss-user-lookup.target",
    "paths.target",
    "remote-fs.target",
    "sockets.target",
    "sysinit.target",
    "timers.target",
];

/// Adds the orderings to a unit whose container binds `sources`, and has these tmpfiles lines.
pub(super) fn add(
    unit: &mut String,
    sources: &[String],
    tmpfiles: Option<&str>,
) -> Result<(), Error> {
    if let Some((setting, late)) = waits_for(&UnitFile::parse(unit)) {
        return Err(Error::Early { setting, late });
    }
    let below = |path: &str, dirs: &[&str]| {
        dirs.iter().any(|dir| {
            path.strip_prefix(dir)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let mounts = sources.iter().filter(|path| !below(path, &ALWAYS_THERE));
    let mounts: Vec<_> = mounts.map(|path| quote(path)).collect();
    let mut values = Values::new();
    if !mounts.is_empty() {
        values.insert("SOURCES".to_owned(), mounts.join(" "));
    }
    let made = super::directories(tmpfiles.unwrap_or_default());
    if made
        .iter()
        .any(|path| VOLATILE.iter().any(|dir| path.starts_with(dir)))
    {
        values.insert("TMPFILES".to_owned(), TMPFILES.to_owned());
    }
    unit.push_str(&only_known(TEMPLATE, &values)?);
    Ok(())
}

/// The first thing that a unit wants to come first although it comes later: a circle, out of which
/// systemd would drop one of the two at each boot.
fn waits_for(unit: &UnitFile) -> Option<(&'static str, String)> {
    ["After", "Requires", "Requisite", "BindsTo", "Wants"]
        .into_iter()
        .find_map(|setting| {
            let words = unit
                .all("Unit", setting)
                .into_iter()
                .flat_map(str::split_whitespace);
            let late = words.into_iter().find(|word| LATE.contains(word))?;
            Some((setting, late.to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early(unit: &str, sources: &[&str], tmpfiles: Option<&str>) -> Result<UnitFile, Error> {
        let mut unit = format!("{unit}\n");
        let sources: Vec<String> = sources.iter().map(|path| (*path).to_owned()).collect();
        add(&mut unit, &sources, tmpfiles).map(|()| UnitFile::parse(&unit))
    }

    #[test]
    fn an_early_unit_waits_for_its_file_systems_alone() {
        let sources = [
            "/var/lib/box",
            "/run/box",
            "/dev",
            "/devices/a b",
            "/sys/fs/cgroup",
        ];
        let unit = early("[Install]\nWantedBy=multi-user.target", &sources, None).unwrap();
        let unit_has = |key| unit.all("Unit", key);
        assert_eq!(unit_has("DefaultDependencies"), ["no"]);
        assert_eq!(
            unit_has("Before"),
            ["sysinit.target network-pre.target shutdown.target"]
        );
        assert_eq!(unit_has("Conflicts"), ["shutdown.target"]);
        assert_eq!(
            unit_has("RequiresMountsFor"),
            ["/var/lib/box \"/devices/a b\""]
        );
        assert_eq!(unit_has("After"), [""; 0]);
        assert_eq!(
            unit.all("Install", "WantedBy"),
            ["multi-user.target", "sysinit.target"]
        );
    }

    #[test]
    fn folders_that_a_boot_makes_are_waited_for() {
        let table = [
            (
                Some("d /run/box 0700 0 0 - -\n"),
                Some("systemd-tmpfiles-setup.service"),
            ),
            (Some("d /var/lib/box 0700 0 0 - -\n"), None),
            (None, None),
        ];
        for (lines, after) in table {
            let unit = early("", &["/run/box"], lines).unwrap();
            assert_eq!(unit.last("Unit", "After"), after, "{lines:?}");
            assert_eq!(unit.last("Unit", "RequiresMountsFor"), None);
        }
    }

    #[test]
    fn what_comes_later_cannot_be_waited_for() {
        let table = [
            (
                "[Unit]\nAfter=local-fs.target network.target",
                Some("'After=network.target'"),
            ),
            (
                "[Unit]\nRequires=dbus.socket",
                Some("'Requires=dbus.socket'"),
            ),
            ("[Unit]\nAfter=network.target\nAfter=", None),
            ("[Unit]\nBefore=network.target", None),
        ];
        for (unit, named) in table {
            let refused = early(unit, &[], None).err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), named.is_some(), "{unit}");
            if let (Some(message), Some(named)) = (refused, named) {
                assert!(message.contains(named), "{message}");
            }
        }
    }
}
