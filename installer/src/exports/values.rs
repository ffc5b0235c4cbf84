//! The values of variables, and who may set which.
//!
//! From the strongest: what sysc forces, `--set`, what the host says, the manifest's
//! `defaultValues`, and a fresh `UUID`.

use std::collections::{BTreeMap, BTreeSet};

use super::exec::ExecForm;
use super::manifest::Manifest;
use super::template::{self, Place, Template, Values};
use super::{Error, Exports, Request, UnknownVariables};

/// Set by sysc alone.
pub const FORCED: [&str; 10] = [
    "DESTDIR",
    "EXEC_START",
    "EXEC_STARTPRE",
    "EXEC_STOP",
    "EXEC_STOPPOST",
    "HOST_GID",
    "HOST_UID",
    "IMAGE_ID",
    "IMAGE_NAME",
    "NAME",
];

/// Set by the host unless the user says otherwise; `defaultValues` does not displace them.
pub const HOST: [&str; 7] = [
    "ALL_PROCESS_CAPABILITIES",
    "ATOMIC",
    "CONF_DIRECTORY",
    "PIDFILE",
    "RUNTIME",
    "RUN_DIRECTORY",
    "STATE_DIRECTORY",
];

/// Made afresh when neither the user nor the manifest gives one.
pub const UUID: &str = "UUID";

/// What the host contributes; the caller looks it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `/run`, or `$XDG_RUNTIME_DIR` for a user.
    pub run_directory: String,
    /// `/var/lib`, or `~/.data` for a user.
    pub state_directory: String,
    /// `/etc`, or `~/.config` for a user.
    pub conf_directory: String,
    /// Path of the OCI runtime.
    pub runtime: String,
    /// Path of sysc itself, for `$ATOMIC`.
    pub installer: String,
    /// The container's UUID: a fresh one, or the one it has had since its first install.
    pub uuid: String,
    /// Every capability that the kernel has, as `CAP_CHOWN`.
    pub capabilities: Vec<String>,
    /// Who the container belongs to: 0, or the user.
    pub uid: u32,
    /// The group of the same.
    pub gid: u32,
    /// The number of systemd's version; 0 where it is not known.
    pub systemd: u32,
    /// Whether cgroups are of version 2 alone.
    pub unified_cgroups: bool,
}

/// Takes `--set NAME=VALUE` apart. The value is everything behind the first `=`.
pub fn parse_set(text: &str) -> Result<(String, String), Error> {
    let (name, value) = text.split_once('=').ok_or_else(|| Error::SetForm {
        text: text.to_owned(),
    })?;
    check_name(name)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A name that the user may give a value to.
fn check_name(name: &str) -> Result<(), Error> {
    if FORCED.contains(&name) {
        return Err(Error::SetForced {
            name: name.to_owned(),
        });
    }
    match template::is_name(name) {
        true => Ok(()),
        false => Err(Error::SetName {
            name: name.to_owned(),
        }),
    }
}

/// Every variable that has a value.
pub(super) fn resolve(
    request: &Request<'_>,
    manifest: &Manifest,
    form: ExecForm,
) -> Result<Values, Error> {
    for name in request.user_values.keys() {
        check_name(name)?;
    }
    let host = request.host;
    let mut values = Values::from([(UUID.to_owned(), host.uuid.clone())]);
    values.extend(manifest.default_values.clone());
    values.extend(owned([
        ("RUN_DIRECTORY", host.run_directory.as_str()),
        ("STATE_DIRECTORY", &host.state_directory),
        ("CONF_DIRECTORY", &host.conf_directory),
        ("RUNTIME", &host.runtime),
        ("ATOMIC", &host.installer),
        (
            "ALL_PROCESS_CAPABILITIES",
            &capability_list(&host.capabilities),
        ),
    ]));
    values.remove("PIDFILE");
    values.extend(request.user_values.clone());

    let run = &values["RUN_DIRECTORY"];
    let pid_file = format!("{run}/container-{}.pid", request.name);
    values.entry("PIDFILE".to_owned()).or_insert(pid_file);

    let exec = form.commands(&values["RUNTIME"], &values["PIDFILE"], request.name);
    values.extend(owned([
        ("DESTDIR", request.destdir),
        ("NAME", request.name),
        ("EXEC_START", &exec.start),
        ("EXEC_STARTPRE", &exec.start_pre),
        ("EXEC_STOP", &exec.stop),
        ("EXEC_STOPPOST", &exec.stop_post),
        ("HOST_UID", &host.uid.to_string()),
        ("HOST_GID", &host.gid.to_string()),
        ("IMAGE_ID", request.image_id),
        ("IMAGE_NAME", request.image_name),
    ]));
    Ok(values)
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// To be pasted between the brackets of a JSON list.
fn capability_list(capabilities: &[String]) -> String {
    capabilities
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(",\n")
}

/// The names that nothing of the image looks at: most often typing errors.
pub(super) fn unknown<'a>(
    user_values: &BTreeMap<String, String>,
    manifest: &Manifest,
    templates: impl Iterator<Item = &'a Template>,
) -> Option<UnknownVariables> {
    let mut own: BTreeSet<&str> = manifest.default_values.keys().map(String::as_str).collect();
    for template in templates {
        own.extend(template.names());
    }
    own.retain(|name| !FORCED.contains(name));
    let known = |name: &str| own.contains(name) || HOST.contains(&name) || name == UUID;
    let names: Vec<String> = user_values
        .keys()
        .filter(|name| !known(name))
        .cloned()
        .collect();
    own.retain(|name| !HOST.contains(name));
    (!names.is_empty()).then(|| UnknownVariables {
        names,
        known: own.into_iter().map(str::to_owned).collect(),
    })
}

/// A variable of an image, as `sysc info` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Where its value comes from when `--set` does not give one.
    pub origin: Origin,
    /// What the image says of it.
    pub description: Option<String>,
    /// Where the image's templates use it; nowhere, for a default that no template uses.
    pub places: Vec<Place>,
}

/// Where a variable's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The image's `defaultValues`.
    Default(String),
    /// The host; can be set all the same.
    Host,
    /// Nobody: it must be set.
    Required,
}

/// The variables that a user can set, by name: those that the image's templates use, those of
/// `defaultValues`, and those that the host sets. A template's stray dollar is an error.
pub fn variables(exports: &Exports) -> Result<Vec<Variable>, Error> {
    let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
    let defaults = &exports.manifest.default_values;
    for name in HOST
        .iter()
        .copied()
        .chain([UUID])
        .chain(defaults.keys().map(String::as_str))
    {
        places.entry(name.to_owned()).or_default();
    }
    for template in exports.templates()? {
        for (name, place) in template.variables() {
            places.entry(name.to_owned()).or_default().push(place);
        }
    }
    let variable = |(name, places): (String, Vec<Place>)| {
        let origin = match defaults.get(&name) {
            _ if HOST.contains(&name.as_str()) => Origin::Host,
            Some(value) => Origin::Default(value.clone()),
            None if name == UUID => Origin::Host,
            None => Origin::Required,
        };
        Variable {
            description: exports.manifest.descriptions.get(&name).cloned(),
            name,
            origin,
            places,
        }
    };
    let settable = |(name, _): &(String, Vec<Place>)| !FORCED.contains(&name.as_str());
    Ok(places.into_iter().filter(settable).map(variable).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Ask, etcd};
    use super::*;

    #[test]
    fn set_is_taken_apart_at_the_first_equals_sign() {
        let cases = [
            ("A=b", ("A", "b")),
            ("A=", ("A", "")),
            ("A=b=c", ("A", "b=c")),
            ("_a1=x\ny=z\n", ("_a1", "x\ny=z\n")),
        ];
        for (text, (name, value)) in cases {
            assert_eq!(
                parse_set(text).unwrap(),
                (name.to_owned(), value.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn set_of_what_cannot_be_set_is_refused() {
        let cases = [
            ("A", "NAME=VALUE"),
            ("=x", "name of a variable"),
            ("1A=x", "name of a variable"),
            ("A-B=x", "name of a variable"),
            ("Ä=x", "name of a variable"),
            ("NAME=x", "'NAME' cannot be set"),
            ("EXEC_START=x", "'EXEC_START' cannot be set"),
            ("DESTDIR=/", "'DESTDIR' cannot be set"),
        ];
        for (text, named) in cases {
            let message = parse_set(text).expect_err(text).to_string();
            assert!(message.contains(named), "{text}: {message}");
        }
        for name in FORCED {
            assert!(parse_set(&format!("{name}=x")).is_err(), "{name}");
        }
    }

    /// Each row: `defaultValues`, `--set`, the variable, its value.
    #[test]
    fn precedence() {
        let set = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let none = Vec::new;
        let cases = [
            (set("PORT", "1"), none(), "PORT", "1"),
            (set("PORT", "1"), set("PORT", "2"), "PORT", "2"),
            (none(), none(), "STATE_DIRECTORY", "/var/lib"),
            (
                set("STATE_DIRECTORY", "/x"),
                none(),
                "STATE_DIRECTORY",
                "/var/lib",
            ),
            (
                none(),
                set("STATE_DIRECTORY", "/x"),
                "STATE_DIRECTORY",
                "/x",
            ),
            (
                set("RUNTIME", "/x"),
                none(),
                "RUNTIME",
                "/usr/bin/sysc-runtime",
            ),
            (none(), none(), "UUID", "fresh"),
            (set("UUID", "image"), none(), "UUID", "image"),
            (set("UUID", "image"), set("UUID", "user"), "UUID", "user"),
            (set("NAME", "image"), none(), "NAME", "box"),
            (set("IMAGE_ID", "image"), none(), "IMAGE_ID", "0123"),
            (none(), none(), "PIDFILE", "/run/container-box.pid"),
            (
                set("PIDFILE", "/x"),
                none(),
                "PIDFILE",
                "/run/container-box.pid",
            ),
            (none(), set("PIDFILE", "/x"), "PIDFILE", "/x"),
            (
                none(),
                set("RUN_DIRECTORY", "/r"),
                "PIDFILE",
                "/r/container-box.pid",
            ),
            (none(), set("RUNTIME", "/rt"), "EXEC_START", "/rt run 'box'"),
            (
                none(),
                none(),
                "ALL_PROCESS_CAPABILITIES",
                "\"CAP_CHOWN\",\n\"CAP_KILL\"",
            ),
            (none(), none(), "ATOMIC", "/usr/bin/sysc"),
            (none(), none(), "HOST_UID", "0"),
            (
                none(),
                none(),
                "DESTDIR",
                "/var/lib/containers/atomic/box.0",
            ),
        ];
        for (defaults, user, name, right) in cases {
            let manifest = Manifest {
                default_values: defaults.into_iter().collect(),
                ..Manifest::default()
            };
            let ask = Ask {
                values: user.into_iter().collect(),
                ..Ask::new("box")
            };
            let values = resolve(&ask.request(), &manifest, ExecForm::Foreground).unwrap();
            assert_eq!(
                values[name], right,
                "{name} of {:?} {manifest:?}",
                ask.values
            );
        }
    }

    #[test]
    fn forced_names_among_kept_values_are_refused() {
        let ask = Ask {
            values: [("NAME".into(), "x".into())].into(),
            ..Ask::new("box")
        };
        let error = resolve(&ask.request(), &Manifest::default(), ExecForm::PidFile);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("'NAME' cannot be set")
        );
    }

    /// T01: info lists variables with and without default.
    #[test]
    fn t01_variables_are_listed_with_their_origin() {
        let listed = variables(&etcd().exports()).unwrap();
        let origin = |name: &str| &listed.iter().find(|v| v.name == name).expect(name).origin;
        assert_eq!(origin("ADDTL_MOUNTS"), &Origin::Default(String::new()));
        assert_eq!(origin("ETCD_LISTEN"), &Origin::Required);
        assert_eq!(origin("STATE_DIRECTORY"), &Origin::Host);
        assert_eq!(origin("UUID"), &Origin::Host);
        assert!(
            listed
                .iter()
                .all(|v| v.name != "EXEC_START" && v.name != "NAME")
        );
        let places = &listed
            .iter()
            .find(|v| v.name == "ETCD_LISTEN")
            .unwrap()
            .places;
        assert_eq!(places[0].to_string(), "/exports/config.json.template:14");
    }
}
