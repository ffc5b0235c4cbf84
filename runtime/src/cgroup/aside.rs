//! Making way: a cgroup with processes passes no controllers on to those below it.
//!
//! A service whose cgroup is delegated begins in it, unless systemd puts it lower
//! (`DelegateSubgroup=`, systemd 254). Before a container's cgroup is made there we go lower ourselves, to
//! where newer versions would have put us.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use nix::unistd::Pid;

use super::hierarchy;

/// What units that sysc writes call the place as well.
const NAME: &str = "sysc-runtime";

/// Leaves the cgroup above `wanted`, if that is ours and a service's. Where that is not possible, a limit will say
/// which controller it lacks.
pub fn step(wanted: &Path) {
    let all = hierarchy::all();
    let [only] = &all[..] else {
        return;
    };
    let own = only.path_in(&hierarchy::table_of(Pid::this().as_raw()));
    // Any other, above all the root of the hierarchy, may have processes beside cgroups; and to move
    // costs what being born in a cgroup saves.
    let is_service = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().ends_with(".service")
    };
    let in_the_way = own
        .as_deref()
        .is_some_and(|own| Some(own) == wanted.parent() && is_service(own));
    if !only.is_unified() || !in_the_way {
        return;
    }
    let place = only.directory(wanted).with_file_name(NAME);
    match fs::create_dir(&place) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {}
        _ => drop(fs::write(place.join("cgroup.procs"), "0")),
    }
}
