//! Calls that are newer than a filter.
//!
//! A program that tries a new call and hears EPERM, the answer of most filters to what they do not
//! list, takes it for a refusal and gives up; at ENOSYS it goes on with an older one. So calls with
//! numbers above all that a filter names are answered with ENOSYS, by instructions in front of it.

use libseccomp::ScmpSyscall;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction as Action};

use super::compile::architecture;
use crate::sys::seccomp::Instruction;

/// Offsets in `seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// With it a number is of the x32 calls, which the kernel gives the architecture of x86-64.
const X32: u32 = 1 << 30;
const X86_64: u32 = Arch::ScmpArchX86_64 as u32;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const IF_SET: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// What comes before the filter; nothing where it lets unnamed calls through or says ENOSYS itself.
pub fn unknown_calls(config: &LinuxSeccomp) -> Vec<Instruction> {
    let permissive = matches!(
        config.default_action(),
        Action::ScmpActAllow | Action::ScmpActLog
    );
    if permissive || config.default_errno_ret() == Some(libc::ENOSYS as u32) {
        return Vec::new();
    }
    let mut tables: Vec<Arch> = config.architectures().iter().flatten().copied().collect();
    tables.push(NATIVE);
    tables.retain(|arch| *arch != Arch::ScmpArchNative);
    tables.sort_by_key(|arch| *arch as u32);
    tables.dedup();
    let newest = tables
        .into_iter()
        .map(|arch| Some((arch, newest(config, arch)?)));
    sections(&newest.flatten().collect::<Vec<_>>())
}

#[cfg(target_arch = "x86_64")]
const NATIVE: Arch = Arch::ScmpArchX86_64;
#[cfg(target_arch = "aarch64")]
const NATIVE: Arch = Arch::ScmpArchAarch64;
#[cfg(target_arch = "riscv64")]
const NATIVE: Arch = Arch::ScmpArchRiscv64;
#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
const NATIVE: Arch = Arch::ScmpArchNative;

/// The greatest number among the named calls. Negative ones are the library's own, for calls that
/// an architecture lacks.
fn newest(config: &LinuxSeccomp, arch: Arch) -> Option<u32> {
    let names = config
        .syscalls()
        .iter()
        .flatten()
        .flat_map(|call| call.names());
    let numbers = names.filter_map(|name| {
        let call = ScmpSyscall::from_name_by_arch(name, architecture(arch)).ok()?;
        u32::try_from(i32::from(call)).ok()
    });
    numbers.max()
}

/// One section per table. Each loads what it looks at, and one that is not meant goes on to the
/// next, so there are no long jumps.
fn sections(newest: &[(Arch, u32)]) -> Vec<Instruction> {
    let mut all = Vec::new();
    for (arch, number) in newest {
        let x32 = *arch == Arch::ScmpArchX32;
        let kernels = if x32 { X86_64 } else { *arch as u32 };
        let mut section = vec![step(LOAD, NUMBER)];
        if kernels == X86_64 {
            section.push(match x32 {
                true => branch(IF_SET, X32, 0, 2),
                false => branch(IF_SET, X32, 2, 0),
            });
        }
        section.push(branch(IF_GREATER, *number, 0, 1));
        section.push(step(RETURN, ENOSYS));
        all.push(step(LOAD, ARCHITECTURE));
        all.push(branch(IF_EQUAL, kernels, 0, section.len() as u8));
        all.extend(section);
    }
    all
}

fn step(code: u32, operand: u32) -> Instruction {
    branch(code, operand, 0, 0)
}

fn branch(code: u32, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction {
        code: code as u16,
        if_true,
        if_false,
        operand,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What the instructions answer; `None` when they go on to the filter.
    fn answer(program: &[Instruction], architecture: u32, number: u32) -> Option<u32> {
        let (mut at, mut loaded) = (0, 0);
        while let Some(instruction) = program.get(at) {
            let operand = instruction.operand;
            let holds = match u32::from(instruction.code) {
                LOAD => {
                    loaded = if operand == NUMBER {
                        number
                    } else {
                        architecture
                    };
                    true
                }
                IF_EQUAL => loaded == operand,
                IF_GREATER => loaded > operand,
                IF_SET => loaded & operand != 0,
                RETURN => return Some(operand),
                other => panic!("unexpected instruction {other}"),
            };
            let skipped = if holds {
                instruction.if_true
            } else {
                instruction.if_false
            };
            at += 1 + usize::from(skipped);
        }
        None
    }

    #[test]
    fn each_table_has_its_end() {
        let newest = [
            (Arch::ScmpArchX86, 400),
            (Arch::ScmpArchX86_64, 300),
            (Arch::ScmpArchX32, X32 | 500),
            (Arch::ScmpArchAarch64, 200),
        ];
        let program = sections(&newest);
        let table = [
            (Arch::ScmpArchX86 as u32, 400, None),
            (Arch::ScmpArchX86 as u32, 401, Some(ENOSYS)),
            (X86_64, 300, None),
            (X86_64, 301, Some(ENOSYS)),
            (X86_64, X32 | 400, None),
            (X86_64, X32 | 501, Some(ENOSYS)),
            (Arch::ScmpArchAarch64 as u32, 201, Some(ENOSYS)),
            (Arch::ScmpArchMips as u32, 9999, None),
        ];
        for (architecture, number, wanted) in table {
            let found = answer(&program, architecture, number);
            assert_eq!(found, wanted, "{architecture:x} {number}");
        }
    }

    #[test]
    fn permissive_filters_need_none() {
        let table = [
            (json!({"defaultAction": "SCMP_ACT_ALLOW"}), true),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38}),
                true,
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1}),
                false,
            ),
        ];
        for (mut config, none) in table {
            config["syscalls"] = json!([{"names": ["read"], "action": "SCMP_ACT_LOG"}]);
            let config: LinuxSeccomp = serde_json::from_value(config).unwrap();
            assert_eq!(unknown_calls(&config).is_empty(), none);
        }
    }
}
