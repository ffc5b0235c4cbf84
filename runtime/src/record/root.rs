//! Where records are kept unless the command line says so.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const OF_HOST: &str = "/run/sysc-runtime";

/// The host's own place, or without privileges the user's, as far as there is one. Who is only
/// called root in a namespace of their own is a user; who really is root there, such as the services
/// of a container, has a /run.
pub fn default_root(rootless: bool, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let is_root = variable("USER").is_some_and(|name| name == "root");
    let of_user = variable("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty());
    match of_user.filter(|_| rootless && !is_root) {
        Some(directory) => Path::new(&directory).join("sysc-runtime"),
        None => PathBuf::from(OF_HOST),
    }
}

/// Makes the place. Sticky: whoever tidies up a user's run-time directory leaves such a one alone.
pub fn make_root(root: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o1700).create(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_a_place_of_their_own() {
        let root = |rootless, user: &'static str, directory: &'static str| {
            default_root(rootless, |name| match name {
                "USER" => Some(user.into()),
                "XDG_RUNTIME_DIR" => Some(directory.into()),
                _ => None,
            })
        };
        let (of_host, of_user) = (Path::new(OF_HOST), Path::new("/run/user/7/sysc-runtime"));
        assert_eq!(root(true, "web", "/run/user/7"), of_user);
        assert_eq!(root(true, "", "/run/user/7"), of_user);
        assert_eq!(root(true, "web", ""), of_host);
        assert_eq!(root(true, "root", "/run/user/7"), of_host);
        assert_eq!(root(false, "web", "/run/user/7"), of_host);
        assert_eq!(default_root(true, |_| None), of_host);
    }
}
