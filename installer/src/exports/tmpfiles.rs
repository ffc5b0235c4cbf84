//! tmpfiles.d(5) lines that make the folders a container binds from its host.

use super::quote::{first_word, quote};
use super::{Owner, SourceKind};

/// A bind source of the configuration, and who its folder should belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub path: String,
    pub owner: Owner,
}

/// File systems in which a folder cannot take the place of what is missing.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Lines for the sources of a configuration whose image brings no tmpfiles of its own, or `None`
/// when no line is needed; and warnings.
///
/// A source gets a line when the host lacks it, when an earlier generation had a line for it
/// (`carried`: it exists by now only because of that line), and when it is below one of the
/// `volatile` folders, which are empty after a boot. There, a folder that is the host's own
/// keeps its mode and owner: a `:` says that they are for a new one.
pub(super) fn generate(
    sources: &[Source],
    carried: &[String],
    volatile: &[&str],
    lookup: &dyn Fn(&str) -> SourceKind,
) -> (Option<String>, Vec<String>) {
    let mut text = String::new();
    let mut warnings = Vec::new();
    let mut seen = Vec::new();
    for source in sources {
        let path = source.path.trim_end_matches('/');
        if path.is_empty() || seen.contains(&path) {
            continue;
        }
        seen.push(path);
        let ours = carried.iter().any(|earlier| earlier == path);
        let vanishes = below_any(path, volatile);
        let new = match lookup(path) {
            SourceKind::Missing if below_any(path, &KERNEL) => {
                warnings.push(format!(
                    "'{path}' is not there, and only the kernel could make it"
                ));
                continue;
            }
            // A folder in its place would keep the daemon that it belongs to from starting.
            SourceKind::Missing if path.ends_with(".sock") => {
                warnings.push(format!(
                    "'{path}' is not there, and only its daemon can make it"
                ));
                continue;
            }
            SourceKind::Missing => "",
            SourceKind::Dir if ours => "",
            SourceKind::Dir if vanishes => ":",
            SourceKind::Dir => continue,
            SourceKind::File if ours || vanishes => {
                warnings.push(format!(
                    "'{path}' is a file or socket of the host: nothing makes it at boot before \
                     the service starts"
                ));
                continue;
            }
            SourceKind::File => continue,
        };
        let Owner { uid, gid, mode } = source.owner;
        text.push_str(&format!(
            "d {} {new}{mode:04o} {new}{uid} {new}{gid} - -\n",
            quote(path)
        ));
    }
    ((!text.is_empty()).then_some(text), warnings)
}

fn below_any(path: &str, folders: &[&str]) -> bool {
    let below = |folder: &&str| {
        path.strip_prefix(*folder)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    folders.iter().any(below)
}

/// The folders that the lines of a tmpfiles file create; what the next generation carries on.
/// Those that are the host's own (their mode has a `:`) are not among them.
pub fn directories(text: &str) -> Vec<String> {
    let directory = |line: &str| {
        let (kind, rest) = first_word(line)?;
        let (path, rest) = first_word(rest)?;
        let creates = matches!(kind.chars().next(), Some('d' | 'D' | 'v' | 'q' | 'Q'));
        let theirs = first_word(rest).is_some_and(|(mode, _)| mode.starts_with(':'));
        (creates && !theirs && path.starts_with('/')).then_some(path)
    };
    text.lines().filter_map(directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(paths: &[&str], carried: &[&str]) -> (Option<String>, Vec<String>) {
        let source = |path: &&str| Source {
            path: (*path).to_owned(),
            owner: Owner::alone(0, 0),
        };
        let sources: Vec<Source> = paths.iter().map(source).collect();
        let carried: Vec<String> = carried.iter().map(|path| (*path).to_owned()).collect();
        generate(
            &sources,
            &carried,
            &["/run", "/var/run"],
            &|path| match path {
                path if path.ends_with("file") => SourceKind::File,
                path if path.contains("missing") => SourceKind::Missing,
                _ => SourceKind::Dir,
            },
        )
    }

    /// T11: bind sources that are absent on the host.
    #[test]
    fn t11_missing_sources_get_a_line() {
        let cases: [(&[&str], &[&str], Option<&str>); 11] = [
            (&["/etc"], &[], None),
            (&[], &[], None),
            (&["/missing"], &[], Some("d /missing 0700 0 0 - -\n")),
            (
                &["/missing", "/missing"],
                &[],
                Some("d /missing 0700 0 0 - -\n"),
            ),
            (
                &["/run/missing"],
                &[],
                Some("d /run/missing 0700 0 0 - -\n"),
            ),
            (&["/run/dbus"], &[], Some("d /run/dbus :0700 :0 :0 - -\n")),
            (&["/run", "/run/", "/runner", "/"], &[], None),
            (
                &["/missing/", "/missing"],
                &[],
                Some("d /missing 0700 0 0 - -\n"),
            ),
            (&["/srv/a"], &["/srv/a"], Some("d /srv/a 0700 0 0 - -\n")),
            (
                &["/run/a"],
                &["/run/a", "/gone"],
                Some("d /run/a 0700 0 0 - -\n"),
            ),
            (
                &["/missing %x"],
                &[],
                Some("d \"/missing %%x\" 0700 0 0 - -\n"),
            ),
        ];
        for (paths, carried, right) in cases {
            let (text, warnings) = lines(paths, carried);
            assert_eq!(text.as_deref(), right, "{paths:?} {carried:?}");
            assert_eq!(warnings, [""; 0]);
        }
    }

    #[test]
    fn a_file_gets_a_warning_instead() {
        let (text, warnings) = lines(&["/run/docker/file"], &[]);
        assert_eq!(text, None);
        assert!(warnings[0].contains("'/run/docker/file'"), "{warnings:?}");
        assert_eq!(lines(&["/etc/file"], &[]), (None, Vec::new()));
        for path in ["/dev/missing", "/run/missing.sock"] {
            let (text, warnings) = lines(&[path], &[]);
            assert_eq!(text, None, "{path}");
            assert!(warnings[0].contains(path), "{warnings:?}");
        }
    }

    #[test]
    fn directories_of_a_file_are_those_it_creates() {
        let text = "# comment\nd /run/a 0755 root root - -\nD! /run/b\nf /run/c\n\
                    d\t\"/run/d e\" - - -\nv /srv/v\nq /srv/q\nQ /srv/Q\nL /x - - - - /y\nd\n\n\
                    d relative\nd /run/theirs :0700 :0 :0 - -\n";
        assert_eq!(
            directories(text),
            ["/run/a", "/run/b", "/run/d e", "/srv/v", "/srv/q", "/srv/Q"]
        );
    }
}
