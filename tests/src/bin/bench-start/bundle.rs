//! What is started: the configuration that `spec` gives, and a payload without a library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::product;

use crate::view::View;

/// System calls that the filter of engines keeps from containers, roughly.
const KEPT: [&str; 40] = [
    "acct",
    "add_key",
    "bpf",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "nfsservctl",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "query_module",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
];
const NUMBERS: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

/// A bundle in memory.
pub struct Bundle {
    /// Its directory.
    pub dir: PathBuf,
    /// One whose payload stays.
    pub holding: PathBuf,
}

impl Bundle {
    /// Writes both bundles below `place`.
    pub fn new(place: &Path, view: View, filtered: bool) -> Result<Bundle> {
        let (dir, holding) = (place.join("bundle"), place.join("holding"));
        for (dir, args) in [
            (&dir, json!(["/first"])),
            (&holding, json!(["/first", "hold"])),
        ] {
            write(dir, view, filtered, args)
                .with_context(|| format!("cannot make a bundle in '{}'", dir.display()))?;
        }
        Ok(Bundle { dir, holding })
    }

    /// The root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }
}

fn write(dir: &Path, view: View, filtered: bool, args: Value) -> Result<()> {
    // Mount points are there, as in any image: no runtime shall make them in its first round.
    for name in ["proc", "dev", "sys"] {
        fs::create_dir_all(dir.join("rootfs").join(name))?;
    }
    assemble(&dir.join("rootfs/first"))?;
    let path = dir.join("config.json");
    let _ = fs::remove_file(&path);
    let [_, runtime] = product::programs()?;
    let spec = Command::new(runtime)
        .args(["spec", "--bundle"])
        .arg(dir)
        .status()?;
    ensure!(spec.success(), "'spec' failed");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = args;
    if view == View::Unified {
        // Device rules are programs on v2, which not every machine lets crun load.
        config["linux"]["resources"] = json!({});
        let namespaces = config["linux"]["namespaces"]
            .as_array_mut()
            .context("namespaces")?;
        if !namespaces.contains(&json!({"type": "cgroup"})) {
            namespaces.push(json!({"type": "cgroup"}));
        }
    }
    if filtered {
        config["linux"]["seccomp"] = filter()?;
    }
    fs::write(path, config.to_string())?;
    Ok(())
}

fn assemble(to: &Path) -> Result<()> {
    let source = to.with_extension("s");
    fs::write(&source, include_str!("first.s"))?;
    let mut cc = Command::new("cc");
    let made = cc
        .args(["-nostdlib", "-static", "-s", "-o"])
        .arg(to)
        .arg(&source)
        .status()?;
    ensure!(made.success(), "cannot assemble the payload");
    Ok(())
}

/// An allow-list of the size that engines load by default.
fn filter() -> Result<Value> {
    let header = fs::read_to_string(NUMBERS).with_context(|| format!("cannot read '{NUMBERS}'"))?;
    let names = header.lines().filter_map(|line| {
        line.strip_prefix("#define __NR_")?
            .split_whitespace()
            .next()
    });
    let allowed: Vec<&str> = names.filter(|name| !KEPT.contains(name)).collect();
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": allowed, "action": "SCMP_ACT_ALLOW"}],
    }))
}
