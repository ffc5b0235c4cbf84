//! What this host and this process are.

/// The capabilities that the running kernel has, by name (`CAP_CHOWN`), in the kernel's order.
pub fn capabilities() -> Vec<String> {
    let mut found: Vec<_> = caps::runtime::procfs_all_supported(None)
        .unwrap_or_else(|_| caps::runtime::thread_all_supported())
        .into_iter()
        .collect();
    found.sort_by_key(|capability| capability.index());
    found.iter().map(ToString::to_string).collect()
}

/// The id of this boot; empty where the kernel does not tell.
pub fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Whose /etc this is: on an OSTree host the booted deployment (`ostree=` on the kernel's command
/// line), elsewhere the machine. Empty where neither is known.
pub fn identity() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let line = read("/proc/cmdline");
    let booted = line
        .split_ascii_whitespace()
        .find(|word| word.starts_with("ostree="));
    let machine = read("/etc/machine-id");
    let machine = machine.trim();
    match booted {
        Some(booted) => booted.to_owned(),
        None if machine == "uninitialized" => String::new(),
        None => machine.to_owned(),
    }
}

/// Every capability that this program knows, for a host that is not there yet.
pub fn all_capabilities() -> Vec<String> {
    let mut all: Vec<_> = caps::all().into_iter().collect();
    all.sort_by_key(|capability| capability.index());
    all.iter().map(ToString::to_string).collect()
}

/// This process acts as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// cgroups are of version 2 alone.
pub fn has_unified_cgroups() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    #[test]
    fn capabilities_are_in_the_kernels_order() {
        let all = super::capabilities();
        assert_eq!(all.first().map(String::as_str), Some("CAP_CHOWN"));
        assert!(all.len() > 35, "{all:?}");
    }
}
