// What must hold for every input. Used by the fuzz targets beside this file, and by the ordinary
// suite (tests/fuzz.rs), which tries some thousands of inputs of its own making.

use std::path::{Component, Path};

use sysc_runtime::bundle;
use sysc_runtime::facts::{CgroupMode, Facts};
use sysc_runtime::plan::{Attributes, Cgroup, Filters, Place, Plan, Wishes, plan};

/// Any text: it is refused, or it becomes a plan that stays within the container. Tells which.
pub fn config(text: &[u8]) -> bool {
    let Ok(bundle) = bundle::understand(Path::new("/bundle"), text.to_vec()) else {
        return false;
    };
    let facts = Facts {
        cgroup_mode: CgroupMode::Unified,
        own_cgroup: "/system.slice/web.service".into(),
        is_root: true,
        rootless: false,
    };
    // Nothing can be kept there.
    let filters = Filters::of(Path::new("/proc/nowhere"));
    match plan(&bundle, &facts, "web", Wishes::default(), &filters) {
        Ok(plan) => {
            holds(&plan);
            true
        }
        Err(_) => false,
    }
}

/// Options of one mount, separated by commas.
pub fn mount_options(text: &str) -> bool {
    let mut config = bundle::default_config();
    let options: Vec<&str> = text.split(',').collect();
    config["mounts"] = serde_json::json!([
        {"destination": "/d", "type": "tmpfs", "source": "tmpfs", "options": options}
    ]);
    self::config(config.to_string().as_bytes())
}

fn holds(plan: &Plan) {
    for step in &plan.mounts {
        assert!(is_clean(&step.target), "{step:?}");
        let Attributes {
            set,
            clear,
            clear_rest,
            set_all,
            clear_all,
        } = step.attributes;
        // The kernel allows both only for the kinds of access time, which it wants cleared first.
        let atime = 0x70;
        assert_eq!(set & clear & !atime, 0, "{step:?}");
        assert_eq!(clear_rest & (set | clear), 0, "{step:?}");
        assert_eq!(set_all & clear_all & !atime, 0, "{step:?}");
    }
    let devices = plan.devices.nodes.iter().map(|device| &device.path);
    assert!(devices.into_iter().all(|path| is_clean(path)));
    let masks = plan.masks.hidden.iter().chain(&plan.masks.readonly);
    assert!(masks.into_iter().all(|path| path.is_absolute()));
    if let Cgroup::Own(own) = &plan.cgroup
        && let Place::Path(path) = &own.place
    {
        assert!(is_clean(path), "{path:?}");
        assert_ne!(
            path,
            Path::new("/"),
            "the root of the hierarchy is nobody's own"
        );
    }
    for sysctl in &plan.sysctls {
        let path = Path::new("/").join(&sysctl.path);
        assert!(is_clean(&path), "{sysctl:?}");
    }
    let program = &plan.payload.program;
    assert!(program.args.first().is_none_or(|name| !name.is_empty()));
    assert!(
        !program
            .args
            .iter()
            .chain(&program.env)
            .any(|text| text.contains('\0'))
    );
    assert!(program.cwd.is_absolute());
    let identity = &plan.payload.identity;
    assert!(![identity.user, identity.group].contains(&u32::MAX));
    assert!(!identity.groups.contains(&u32::MAX));
}

fn is_clean(path: &Path) -> bool {
    path.is_absolute()
        && path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}
