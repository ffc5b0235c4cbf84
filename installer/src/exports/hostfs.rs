//! The files that an image puts on the host: where they go, and their content when it is a
//! template. Owners are always 0:0, modes are kept, links keep their text.

use std::collections::BTreeMap;

use super::Error;
use super::manifest::{self, Manifest};
use super::read::Xattrs;
use super::template::{Template, Values};

/// The folder of the image that stands for the host's root.
pub(super) const ROOT: &str = "/exports/hostfs";

/// A file as it will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFile {
    /// Absolute path on the host, without `.`, `..` and doubled slashes.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is, with its content.
    pub kind: HostFileKind,
    /// Whether the content was rendered from a template.
    pub template: bool,
    /// Extended attributes, such as a program's capabilities.
    pub xattrs: Xattrs,
}

/// What a host file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFileKind {
    /// A regular file with this content.
    File(Vec<u8>),
    /// A symbolic link with this text; it may dangle.
    Link(String),
    /// An empty folder.
    Dir,
}

/// The values of `renameFiles` as templates, in the manifest's order.
pub(super) fn rename_templates(manifest: &Manifest) -> Result<Vec<Template>, Error> {
    let template =
        |rename: &manifest::Rename| Template::parse_at(manifest::FILE, rename.line, &rename.to);
    manifest.rename_files.iter().map(template).collect()
}

/// The content of a file that `installedFilesTemplate` lists.
pub(super) fn content_template(
    file: &HostFile,
    manifest: &Manifest,
) -> Result<Option<Template>, Error> {
    let listed = || {
        manifest
            .installed_files_template
            .iter()
            .any(|path| path == &file.path)
    };
    match &file.kind {
        HostFileKind::File(content) if listed() => {
            let name = format!("hostfs{}", file.path);
            let text = std::str::from_utf8(content);
            let text = text.map_err(|_| Error::NotText { file: name.clone() })?;
            Template::parse(&name, text).map(Some)
        }
        _ => Ok(None),
    }
}

/// The templates among the host files, as far as their places are known without any value: what
/// `info` can say of an image that is not installed yet.
pub(super) fn known_templates(
    files: &[HostFile],
    manifest: &Manifest,
) -> Result<Vec<Template>, Error> {
    let mut renames = BTreeMap::new();
    for (rename, template) in manifest
        .rename_files
        .iter()
        .zip(rename_templates(manifest)?)
    {
        if template.variables().next().is_none() {
            let to = template.fill(&Values::new())?.text;
            renames.insert(rename.from.trim_end_matches('/'), to);
        }
    }
    let mut templates = Vec::new();
    for file in files {
        let path = rename(&file.path, &renames, &mut Vec::new());
        templates.extend(content_template(
            &HostFile {
                path,
                ..file.clone()
            },
            manifest,
        )?);
    }
    Ok(templates)
}

/// The image's host files at the places that `renameFiles` gives them, not rendered yet.
/// The second value warns of renames that no file met.
pub(super) fn place(
    files: &[HostFile],
    manifest: &Manifest,
    values: &Values,
) -> Result<(Vec<HostFile>, Vec<String>), Error> {
    let mut renames = BTreeMap::new();
    for (rename, template) in manifest
        .rename_files
        .iter()
        .zip(rename_templates(manifest)?)
    {
        renames.insert(
            rename.from.trim_end_matches('/'),
            template.fill(values)?.text,
        );
    }
    let mut met = Vec::new();
    let mut placed: BTreeMap<String, (String, HostFile)> = BTreeMap::new();
    for file in files {
        let renamed = rename(&file.path, &renames, &mut met);
        let refuse = |problem: String| Error::HostFileTarget {
            path: file.path.clone(),
            target: renamed.clone(),
            problem,
        };
        let path = clean(&renamed).map_err(|problem| refuse(problem.to_owned()))?;
        let file_there = HostFile {
            path: path.clone(),
            ..file.clone()
        };
        if let Some((other, _)) = placed.insert(path, (file.path.clone(), file_there)) {
            return Err(refuse(format!("'{ROOT}{other}' goes there as well")));
        }
    }
    refuse_parents(&placed)?;
    let unmet = renames.keys().filter(|from| !met.contains(from));
    let warn = |from: &&str| format!("renameFiles names '{from}', which is not in {ROOT}");
    let warnings = unmet.map(warn).collect();
    Ok((
        placed.into_values().map(|(_, file)| file).collect(),
        warnings,
    ))
}

/// Walks down the path. Each longer prefix is looked up after the renames before it, so folders
/// are renamed with what is in them, and renames chain.
fn rename<'a>(path: &str, renames: &BTreeMap<&'a str, String>, met: &mut Vec<&'a str>) -> String {
    let mut walked = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        walked = format!("{}/{part}", walked.trim_end_matches('/'));
        if let Some((from, to)) = renames.get_key_value(walked.as_str()) {
            met.push(from);
            walked.clone_from(to);
        }
    }
    walked
}

/// The path without doubled slashes and dots, or why it is not acceptable.
fn clean(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("it is not an absolute path");
    }
    if path.chars().any(char::is_control) {
        return Err("it contains a control character");
    }
    let parts = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".");
    let parts: Vec<&str> = parts.collect();
    match parts.as_slice() {
        [] => Err("that is the host's root"),
        parts if parts.contains(&"..") => Err("'..' is not allowed"),
        parts if parts.iter().any(|part| part.len() > 255) => Err("a name is over 255 bytes long"),
        parts => Ok(format!("/{}", parts.join("/"))),
    }
}

/// Links of the host may be on the way to a host file; a link that this very image plants there
/// may not, and neither may a file.
fn refuse_parents(placed: &BTreeMap<String, (String, HostFile)>) -> Result<(), Error> {
    for (target, (path, _)) in placed {
        for (end, _) in target.match_indices('/').skip(1) {
            let kind = match placed.get(&target[..end]).map(|(_, file)| &file.kind) {
                Some(HostFileKind::Link(_)) => "link",
                Some(HostFileKind::File(_)) => "file",
                Some(HostFileKind::Dir) | None => continue,
            };
            return Err(Error::HostFileTarget {
                path: path.clone(),
                target: target.clone(),
                problem: format!("'{}' is a {kind} of the same image", &target[..end]),
            });
        }
    }
    Ok(())
}

/// Renders the content of those placed files that are templates.
pub(super) fn render(
    files: Vec<HostFile>,
    manifest: &Manifest,
    values: &Values,
) -> Result<Vec<HostFile>, Error> {
    let render = |file: HostFile| match content_template(&file, manifest)? {
        Some(template) => {
            let content = template.fill(values)?.text.into_bytes();
            Ok(HostFile {
                kind: HostFileKind::File(content),
                template: true,
                ..file
            })
        }
        None => Ok(file),
    };
    files.into_iter().map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Ask, Files};
    use super::*;

    /// The places of files under the renames of a manifest, or the refusal.
    fn places(files: Files, renames: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let renames: serde_json::Map<String, serde_json::Value> = renames
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).into()))
            .collect();
        let manifest = serde_json::json!({"noContainerService": true, "renameFiles": renames});
        let image = files.file(manifest::FILE, &manifest.to_string());
        let ask = Ask::new("box").set("BAD", "/a/../b");
        match ask.render(&image) {
            Ok(rendered) => Ok(rendered
                .host_files
                .into_iter()
                .map(|file| file.path)
                .collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn host(path: &str) -> Files {
        Files::default().file(&format!("{ROOT}{path}"), "x")
    }

    #[test]
    fn renames_apply_to_prefixes_and_chain() {
        type Renames = &'static [(&'static str, &'static str)];
        let cases: [(&str, Renames, &str); 9] = [
            ("/a/b", &[], "/a/b"),
            ("/a/b", &[("/a/b", "/c")], "/c"),
            ("/a/b", &[("/a", "/c")], "/c/b"),
            ("/a/b", &[("/a/", "/c/")], "/c/b"),
            ("/a/b", &[("/a", "/c"), ("/c/b", "/d/e")], "/d/e"),
            ("/a/b", &[("/a", "/c"), ("/a/b", "/no")], "/c/b"),
            (
                "/a/b",
                &[("/a/b", "/usr/bin/${NAME}ctl")],
                "/usr/bin/boxctl",
            ),
            ("/a/b", &[("/a/b", "$CONF_DIRECTORY//./x")], "/etc/x"),
            ("/ab", &[("/a", "/c")], "/ab"),
        ];
        for (path, renames, right) in cases {
            assert_eq!(
                places(host(path), renames).unwrap(),
                [right],
                "{path} {renames:?}"
            );
        }
    }

    /// S10: nothing leaves its place.
    #[test]
    fn s10_targets_that_leave_their_place_are_refused() {
        for target in [
            "/../../root/p",
            "$CONF_DIRECTORY/../../p",
            "p",
            "",
            "/",
            "$BAD",
            "/a\nb",
        ] {
            let message = places(host("/etc/p"), &[("/etc/p", target)]).expect_err(target);
            assert!(
                message.contains("'/exports/hostfs/etc/p' cannot become"),
                "{message}"
            );
        }
        let long = format!("/{}", "x".repeat(256));
        assert!(places(host("/etc/p"), &[("/etc/p", &long)]).is_err());
    }

    /// S10: a link of the image is no parent for another file of it.
    #[test]
    fn s10_a_planted_link_is_not_walked_through() {
        let planted = host("/opt/p").link("/exports/hostfs/etc/foo", "/root");
        let message = places(planted, &[("/opt/p", "/etc/foo/p")]).unwrap_err();
        assert!(
            message.contains("'/etc/foo' is a link of the same image"),
            "{message}"
        );
        let planted = host("/opt/p").file("/exports/hostfs/etc/foo", "");
        let message = places(planted, &[("/opt/p", "/etc/foo/bar/p")]).unwrap_err();
        assert!(
            message.contains("'/etc/foo' is a file of the same image"),
            "{message}"
        );
        let folder = host("/opt/p").dir("/exports/hostfs/etc/foo", 0o755);
        assert!(places(folder, &[("/opt/p", "/etc/foo/p")]).is_ok());
    }

    #[test]
    fn two_files_cannot_go_to_one_place() {
        let two = host("/a").file("/exports/hostfs/b", "");
        let message = places(two, &[("/a", "/b")]).unwrap_err();
        assert!(message.contains("goes there as well"), "{message}");
    }

    #[test]
    fn listed_files_are_rendered_and_keep_their_mode() {
        let image = Files::default()
            .mode("/exports/hostfs/etc/a", "name=$NAME\n", 0o600)
            .mode("/exports/hostfs/etc/c", "name=$NAME\n", 0o640)
            .link("/exports/hostfs/etc/link", "a")
            .file(
                manifest::FILE,
                r#"{"noContainerService": true, "renameFiles": {"/etc/a": "/etc/b", "/no": "/x"},
                    "installedFilesTemplate": ["/etc/b", "/etc/link"]}"#,
            );
        let rendered = Ask::new("box").render(&image).unwrap();
        let file = |path: &str, mode, text: &str, template| HostFile {
            path: path.to_owned(),
            mode,
            kind: HostFileKind::File(text.as_bytes().to_vec()),
            template,
            xattrs: Xattrs::new(),
        };
        let link = HostFile {
            path: "/etc/link".to_owned(),
            mode: 0o777,
            kind: HostFileKind::Link("a".to_owned()),
            template: false,
            xattrs: Xattrs::new(),
        };
        let b = file("/etc/b", 0o600, "name=box\n", true);
        let c = file("/etc/c", 0o640, "name=$NAME\n", false);
        assert_eq!(rendered.host_files, [b, c, link]);
        assert!(
            rendered.warnings[0].contains("'/no'"),
            "{:?}",
            rendered.warnings
        );
    }

    #[test]
    fn a_listed_file_must_be_text() {
        let image = Files::default()
            .bytes("/exports/hostfs/bin/x", b"\x7fELF\xff")
            .file(manifest::FILE, r#"{"installedFilesTemplate": ["/bin/x"]}"#);
        assert!(Ask::new("box").refused(&image).contains("'hostfs/bin/x'"));
    }
}
