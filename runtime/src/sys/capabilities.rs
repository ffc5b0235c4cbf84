//! Sets of capabilities, each as a mask with a bit per number.

use nix::errno::Errno;

/// The kernel's third version, the only one with 64 capabilities.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

/// Half of the sets: the kernel's words have 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// What this process may have.
pub fn permitted() -> nix::Result<u64> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut halves = [Half::default(); 2];
    // SAFETY: with this version the kernel reads one header and fills in two halves, all of this
    // frame.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, halves.as_mut_ptr()) };
    Errno::result(result)?;
    Ok(u64::from(halves[0].permitted) | u64::from(halves[1].permitted) << 32)
}

/// Sets three sets at once: the kernel judges the new ones by all of the old.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> nix::Result<()> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let half = |shift: u32| Half {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: with this version the kernel reads one header and two halves, all of this frame.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, halves.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Drops everything but `kept` from the bounding set.
pub fn bound(kept: u64) -> nix::Result<()> {
    for number in (0..u64::BITS).filter(|number| kept & 1 << number == 0) {
        match prctl(libc::PR_CAPBSET_DROP, number.into(), 0) {
            // The kernel knows no more.
            Err(Errno::EINVAL) => break,
            // Who may drop none may yet lack this one already.
            Err(Errno::EPERM) if prctl(libc::PR_CAPBSET_READ, number.into(), 0) == Ok(0) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// Leaves no ambient capability but those of `wanted` that the kernel grants: the permitted and
/// inheritable ones.
pub fn set_ambient(wanted: u64) -> nix::Result<()> {
    prctl(
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as u64,
        0,
    )?;
    let numbers = (0..u64::BITS).filter(|number| wanted & 1 << number != 0);
    for number in numbers {
        let raise = libc::PR_CAP_AMBIENT_RAISE as u64;
        match prctl(libc::PR_CAP_AMBIENT, raise, number.into()) {
            Err(Errno::EPERM) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

fn prctl(option: libc::c_int, first: u64, second: u64) -> nix::Result<libc::c_int> {
    // SAFETY: these options take numbers and touch no memory.
    Errno::result(unsafe { libc::prctl(option, first, second, 0, 0) })
}
