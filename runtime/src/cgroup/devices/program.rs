//! Device rules as a program for the kernel.
//!
//! ```text
//!  r2 = kind, r3 = access that is asked for, r4 = major, r5 = minor
//!  for each rule, the last one first:
//!      not this kind, major or minor: next rule
//!      allowed:   take what it allows from r3; nothing left: let it pass
//!      forbidden: something of it in r3: refuse
//!  refuse
//! ```
//!
//! So of several rules the last one holds, for each kind of access by itself.

use crate::plan::Rule;

// Registers.
const R0: u64 = 0;
const CONTEXT: u64 = 1;
const KIND: u64 = 2;
const ASKED: u64 = 3;
const MAJOR: u64 = 4;
const MINOR: u64 = 5;
const SCRATCH: u64 = 6;

// Operations on 32 bits, and the load of a word; as the kernel's filter.rst names them.
const LOAD_WORD: u64 = 0x61;
const AND: u64 = 0x54;
const RIGHT_SHIFT: u64 = 0x74;
const MOVE: u64 = 0xb4;
const MOVE_REGISTER: u64 = 0xbc;
const JUMP_UNLESS_EQUAL: u64 = 0x56;
const JUMP_IF_EQUAL: u64 = 0x16;
const EXIT: u64 = 0x95;

/// The program of these rules.
pub fn program(rules: &[Rule]) -> Vec<u64> {
    let mut code = vec![
        load(KIND, 0),
        instruction(AND, KIND, 0, 0, 0xffff),
        load(ASKED, 0),
        instruction(RIGHT_SHIFT, ASKED, 0, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.iter().rev() {
        let decision = decision(rule);
        let wanted = [
            (KIND, rule.kind.map(|kind| kind as u32)),
            (MAJOR, rule.major),
            (MINOR, rule.minor),
        ];
        let tests: Vec<(u64, u32)> = wanted
            .into_iter()
            .filter_map(|(register, value)| Some((register, value?)))
            .collect();
        for (index, (register, value)) in tests.iter().enumerate() {
            let rest = tests.len() - index - 1 + decision.len();
            code.push(jump(JUMP_UNLESS_EQUAL, *register, *value, rest));
        }
        code.extend(decision);
    }
    code.extend(answer(0));
    code
}

/// What is done where a rule is about the device.
fn decision(rule: &Rule) -> Vec<u64> {
    let of_rule = u64::from(rule.access.0);
    let mut code = match rule.allow {
        true => vec![
            instruction(AND, ASKED, 0, 0, 0xffff_ffff & !of_rule),
            jump(JUMP_UNLESS_EQUAL, ASKED, 0, 2),
        ],
        false => vec![
            instruction(MOVE_REGISTER, SCRATCH, ASKED, 0, 0),
            instruction(AND, SCRATCH, 0, 0, of_rule),
            jump(JUMP_IF_EQUAL, SCRATCH, 0, 2),
        ],
    };
    code.extend(answer(u64::from(rule.allow)));
    code
}

fn answer(value: u64) -> [u64; 2] {
    [
        instruction(MOVE, R0, 0, 0, value),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

fn load(to: u64, offset: u64) -> u64 {
    instruction(LOAD_WORD, to, CONTEXT, offset, 0)
}

fn jump(operation: u64, register: u64, value: u32, over: usize) -> u64 {
    instruction(operation, register, 0, over as u64, u64::from(value))
}

/// `struct bpf_insn`: operation, registers, offset, value.
fn instruction(operation: u64, to: u64, from: u64, offset: u64, value: u64) -> u64 {
    const { assert!(cfg!(target_endian = "little"), "the layout is this one") };
    operation | to << 8 | from << 12 | (offset & 0xffff) << 16 | value << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Access, DeviceKind, device_rules};
    use oci_spec::runtime::LinuxDeviceCgroup;
    use serde_json::json;

    /// What the kernel would do.
    fn run(code: &[u64], kind: u64, access: u64, major: u64, minor: u64) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0;
        loop {
            let word = code[at];
            let (to, from) = ((word >> 8 & 0xf) as usize, (word >> 12 & 0xf) as usize);
            let (offset, value) = ((word >> 16 & 0xffff) as usize, word >> 32);
            at += 1;
            match word & 0xff {
                LOAD_WORD => registers[to] = context[offset / 4],
                AND => registers[to] &= value,
                RIGHT_SHIFT => registers[to] >>= value,
                MOVE => registers[to] = value,
                MOVE_REGISTER => registers[to] = registers[from],
                JUMP_UNLESS_EQUAL if registers[to] != value => at += offset,
                JUMP_IF_EQUAL if registers[to] == value => at += offset,
                JUMP_UNLESS_EQUAL | JUMP_IF_EQUAL => {}
                EXIT => return registers[0],
                other => panic!("operation {other:#x}"),
            }
        }
    }

    #[test]
    fn the_last_rule_holds() {
        let rules = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "w"},
            {"allow": true, "type": "b", "major": 8, "access": "rw"},
            {"allow": false, "type": "b", "major": 8, "minor": 1, "access": "w"},
        ]);
        let devices: Vec<LinuxDeviceCgroup> = serde_json::from_value(rules).unwrap();
        let code = program(&device_rules(&devices).unwrap());
        let (block, character) = (DeviceKind::Block as u64, DeviceKind::Character as u64);
        let access = |accesses: &[Access]| {
            accesses
                .iter()
                .fold(0, |bits, access| bits | u64::from(access.0))
        };
        let (read, write, make) = (Access::READ, Access::WRITE, Access::MAKE);
        let table = [
            // Two rules together.
            (character, access(&[read, write]), 10, 229, 1),
            (character, access(&[read]), 10, 228, 0),
            (block, access(&[read]), 10, 229, 0),
            // Later rules take from earlier ones.
            (block, access(&[read, write]), 8, 0, 1),
            (block, access(&[read]), 8, 1, 1),
            (block, access(&[read, write]), 8, 1, 0),
            // The default ones.
            (character, access(&[read, write]), 1, 3, 1),
            (character, access(&[read, write]), 136, 77, 1),
            (character, access(&[make]), 99, 99, 1),
            (character, access(&[make, read]), 99, 99, 0),
            (character, access(&[read]), 1, 1, 0),
        ];
        for (kind, access, major, minor, wanted) in table {
            let found = run(&code, kind, access, major, minor);
            assert_eq!(found, wanted, "{kind} {access} {major}:{minor}");
        }
    }
}
