//! The execution domain: how the kernel behaves towards programs that expect another one.

use oci_spec::runtime::{Linux, LinuxPersonalityDomain};

use super::Error;

/// The specification names no flags yet; these are the kernel's.
const FLAGS: [(&str, u64); 11] = [
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("READ_IMPLIES_EXEC", 0x040_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
    ("ADDR_LIMIT_3GB", 0x800_0000),
];

/// What personality(2) takes.
pub fn plan(linux: &Linux) -> Result<Option<u64>, Error> {
    let Some(personality) = linux.personality() else {
        return Ok(None);
    };
    let domain = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    let flags = personality.flags().iter().flatten();
    flags
        .map(|name| {
            let known = FLAGS.iter().find(|(flag, _)| flag == name);
            known.map(|(_, bit)| *bit).ok_or_else(|| Error::Field {
                field: "linux.personality.flags".to_owned(),
                reason: format!("'{name}' is unknown"),
            })
        })
        .try_fold(domain, |all, flag| Ok(all | flag?))
        .map(Some)
}
