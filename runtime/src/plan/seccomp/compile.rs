//! Rules to instructions, by libseccomp.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
    error::SeccompError,
};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use crate::sys::seccomp::{Instruction, from_bytes};

/// From that many names on a search tree is worth its nodes.
const MANY: usize = 32;

/// The program; the error is a sentence.
pub fn compile(config: &LinuxSeccomp) -> Result<Vec<Instruction>, String> {
    let default = action(config.default_action(), config.default_errno_ret());
    let context = rules(config, default).map_err(|error| error.to_string())?;
    export(&context).map_err(|error| format!("cannot take the program over: {error}"))
}

fn rules(config: &LinuxSeccomp, default: ScmpAction) -> Result<ScmpFilterContext, SeccompError> {
    let mut context = ScmpFilterContext::new(default)?;
    for arch in config.architectures().iter().flatten() {
        context.add_arch(architecture(*arch))?;
    }
    let calls = config.syscalls().as_deref().unwrap_or_default();
    if calls.iter().map(|call| call.names().len()).sum::<usize>() > MANY {
        // Older libraries know no tree; their program says the same.
        let _ = context.set_ctl_optimize(2);
    }
    for call in calls {
        let action = action(call.action(), call.errno_ret());
        // A rule that says what holds anyway is an error to the library.
        if action != default {
            add(&mut context, call, action)?;
        }
    }
    Ok(context)
}

/// A name that nobody knows is no call of this kernel's; as with runc, the others count.
fn add(
    context: &mut ScmpFilterContext,
    call: &LinuxSyscall,
    action: ScmpAction,
) -> Result<(), SeccompError> {
    let conditions: Vec<_> = call.args().iter().flatten().map(condition).collect();
    let known = call.names().iter().map(|name| ScmpSyscall::from_name(name));
    for number in known.flatten() {
        if conditions.is_empty() {
            context.add_rule(action, number)?;
        } else if one_argument_twice(call) {
            // A rule cannot say two things of one argument, so each is a rule of its own.
            for condition in &conditions {
                context.add_rule_conditional(action, number, &[*condition])?;
            }
        } else {
            context.add_rule_conditional(action, number, &conditions)?;
        }
    }
    Ok(())
}

fn one_argument_twice(call: &LinuxSyscall) -> bool {
    let mut seen = HashSet::new();
    !call
        .args()
        .iter()
        .flatten()
        .all(|arg| seen.insert(arg.index()))
}

/// For a masked comparison `value` is the mask and `valueTwo` what is left under it.
fn condition(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    use LinuxSeccompOperator as O;
    let (operator, value) = match arg.op() {
        O::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        O::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        O::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        O::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        O::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        O::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        O::ScmpCmpMaskedEq => (
            ScmpCompareOp::MaskedEqual(arg.value()),
            arg.value_two().unwrap_or(0),
        ),
    };
    ScmpArgCompare::new(arg.index() as u32, operator, value)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> ScmpAction {
    use LinuxSeccompAction as A;
    let errno = errno.map_or(libc::EPERM, |errno| errno as i32);
    match action {
        A::ScmpActKill | A::ScmpActKillThread => ScmpAction::KillThread,
        A::ScmpActKillProcess => ScmpAction::KillProcess,
        A::ScmpActTrap => ScmpAction::Trap,
        A::ScmpActErrno => ScmpAction::Errno(errno),
        A::ScmpActTrace => ScmpAction::Trace(errno as u16),
        A::ScmpActNotify => ScmpAction::Notify,
        A::ScmpActLog => ScmpAction::Log,
        A::ScmpActAllow => ScmpAction::Allow,
    }
}

/// The library's name for an architecture.
pub fn architecture(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        Arch::ScmpArchMips => ScmpArch::Mips,
        Arch::ScmpArchMips64 => ScmpArch::Mips64,
        Arch::ScmpArchMips64n32 => ScmpArch::Mips64N32,
        Arch::ScmpArchMipsel => ScmpArch::Mipsel,
        Arch::ScmpArchMipsel64 => ScmpArch::Mipsel64,
        Arch::ScmpArchMipsel64n32 => ScmpArch::Mipsel64N32,
        Arch::ScmpArchPpc => ScmpArch::Ppc,
        Arch::ScmpArchPpc64 => ScmpArch::Ppc64,
        Arch::ScmpArchPpc64le => ScmpArch::Ppc64Le,
        Arch::ScmpArchS390 => ScmpArch::S390,
        Arch::ScmpArchS390x => ScmpArch::S390X,
        Arch::ScmpArchParisc => ScmpArch::Parisc,
        Arch::ScmpArchParisc64 => ScmpArch::Parisc64,
        Arch::ScmpArchRiscv64 => ScmpArch::Riscv64,
        Arch::ScmpArchLoongarch64 => ScmpArch::Loongarch64,
        Arch::ScmpArchM68k => ScmpArch::M68k,
        Arch::ScmpArchSh => ScmpArch::Sh,
        Arch::ScmpArchSheb => ScmpArch::Sheb,
    }
}

/// Only the newest library writes to memory as such; all write to a file that is memory.
fn export(context: &ScmpFilterContext) -> std::io::Result<Vec<Instruction>> {
    let mut file = File::from(memfd_create(c"filter", MemFdCreateFlag::MFD_CLOEXEC)?);
    context.export_bpf(&file).map_err(std::io::Error::other)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(from_bytes(&bytes))
}
