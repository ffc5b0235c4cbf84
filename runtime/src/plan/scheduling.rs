//! When the payload gets a processor, the disk, and memory of which node.

use nix::errno::Errno;
use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxMemoryPolicy, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType, Process, Scheduler,
};

use super::Error;
use crate::sys::scheduling::Attributes;

/// More nodes than any kernel knows.
const MOST_NODES: usize = 1024;
/// As many processors as a static mask has room for.
const MOST_CPUS: usize = 1024;

/// Everything that is left as it is where the configuration says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `process.scheduler`
    pub processor: Option<Attributes>,
    /// `process.ioPriority`, packed as the kernel has it.
    pub io: Option<u16>,
    /// `linux.memoryPolicy`
    pub memory: Option<MemoryPolicy>,
    /// Whether `linux.resources.cpu.cpus` keeps it from some processors.
    pub confined: bool,
    /// `process.execCPUAffinity`
    pub affinity: Affinity,
}

impl Scheduling {
    /// Why the kernel refuses the policy, in words.
    pub fn refusal(&self, errno: Errno) -> String {
        match errno {
            // What has deadlines must be allowed everywhere.
            Errno::EPERM if self.confined => "process scheduler can't be used together with \
                 AllowedCPUs, which linux.resources.cpu.cpus sets"
                .to_owned(),
            other => other.to_string(),
        }
    }
}

/// Where memory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_…`, with its flags.
    pub mode: u32,
    /// A bit for each node.
    pub nodes: Vec<u64>,
}

/// The processors of an exec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Before it is in the container's cgroup.
    pub initial: Option<Vec<usize>>,
    /// And afterwards.
    pub last: Option<Vec<usize>>,
}

impl Affinity {
    /// Where it begins, as a number with a bit for each processor.
    pub fn remark(&self) -> Option<String> {
        let mask = mask(self.initial.as_deref()?);
        let digits: String = mask
            .iter()
            .rev()
            .map(|word| format!("{word:016x}"))
            .collect();
        Some(format!(
            "CPU affinity: 0x{}",
            digits.trim_start_matches('0')
        ))
    }
}

/// The configured scheduling.
pub fn plan(process: &Process, linux: &Linux) -> Result<Scheduling, Error> {
    Ok(Scheduling {
        processor: process.scheduler().as_ref().map(processor).transpose()?,
        io: io(process)?,
        memory: linux.memory_policy().as_ref().map(memory).transpose()?,
        confined: confined(linux),
        affinity: affinity(process)?,
    })
}

fn confined(linux: &Linux) -> bool {
    let cpu = linux
        .resources()
        .as_ref()
        .and_then(|all| all.cpu().as_ref());
    cpu.and_then(|cpu| cpu.cpus().as_ref())
        .is_some_and(|cpus| !cpus.is_empty())
}

fn processor(scheduler: &Scheduler) -> Result<Attributes, Error> {
    use LinuxSchedulerPolicy as P;
    let refused = |field: &str, reason| Err(refused(&format!("process.scheduler.{field}"), reason));
    let policy = *scheduler.policy();
    let (nice, priority) = (
        scheduler.nice().unwrap_or(0),
        scheduler.priority().unwrap_or(0),
    );
    let times = [
        scheduler.runtime(),
        scheduler.deadline(),
        scheduler.period(),
    ];
    let times = times.map(|time| time.unwrap_or(0));
    if matches!(policy, P::SchedOther | P::SchedBatch) && !(-20..=19).contains(&nice) {
        return refused("nice", format!("{nice} is not between -20 and 19"));
    }
    if priority != 0 && !matches!(policy, P::SchedFifo | P::SchedRr) {
        return refused("priority", format!("has no meaning for {policy}"));
    }
    if times != [0; 3] && policy != P::SchedDeadline {
        return refused("runtime", format!("has no meaning for {policy}"));
    }
    let Ok(priority) = u32::try_from(priority) else {
        return refused("priority", "is negative".to_owned());
    };
    let [runtime, deadline, period] = times;
    let flags = scheduler.flags().iter().flatten();
    Ok(Attributes {
        policy: policy_number(policy),
        flags: flags.fold(0, |all, flag| all | flag_bit(*flag)),
        nice,
        priority,
        runtime,
        deadline,
        period,
        ..Attributes::default()
    })
}

fn policy_number(policy: LinuxSchedulerPolicy) -> u32 {
    use LinuxSchedulerPolicy as P;
    match policy {
        P::SchedOther => 0,
        P::SchedFifo => 1,
        P::SchedRr => 2,
        P::SchedBatch => 3,
        P::SchedIso => 4,
        P::SchedIdle => 5,
        P::SchedDeadline => 6,
    }
}

fn flag_bit(flag: LinuxSchedulerFlag) -> u64 {
    use LinuxSchedulerFlag as F;
    match flag {
        F::SchedResetOnFork => 0x01,
        F::SchedFlagReclaim => 0x02,
        F::SchedFlagDLOverrun => 0x04,
        F::SchedFlagKeepPolicy => 0x08,
        F::SchedFlagKeepParams => 0x10,
        F::SchedFlagUtilClampMin => 0x20,
        F::SchedFlagUtilClampMax => 0x40,
    }
}

fn io(process: &Process) -> Result<Option<u16>, Error> {
    let Some(io) = process.io_priority() else {
        return Ok(None);
    };
    let class: u16 = match io.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(io.priority()) {
        Ok(level @ 0..=7) => Ok(Some(class << 13 | level)),
        _ => {
            let reason = format!("{} is not between 0 and 7", io.priority());
            Err(refused("process.ioPriority.priority", reason))
        }
    }
}

fn memory(policy: &LinuxMemoryPolicy) -> Result<MemoryPolicy, Error> {
    use MemoryPolicyModeType as M;
    let refused =
        |field: &str, reason| Err(refused(&format!("linux.memoryPolicy.{field}"), reason));
    let text = policy.nodes().as_deref().unwrap_or_default();
    let Some(nodes) = numbers(text, MOST_NODES) else {
        return refused("nodes", format!("invalid memory policy nodes '{text}'"));
    };
    let (mode, wanted) = match policy.mode() {
        M::MpolDefault => (0, 0..=0),
        M::MpolPreferred => (1, 0..=MOST_NODES),
        M::MpolBind => (2, 1..=MOST_NODES),
        M::MpolInterleave => (3, 1..=MOST_NODES),
        M::MpolLocal => (4, 0..=0),
        M::MpolPreferredMany => (5, 1..=MOST_NODES),
        M::MpolWeightedInterleave => (6, 1..=MOST_NODES),
    };
    let mode_name = policy.mode();
    match nodes.len() {
        count if wanted.contains(&count) => {}
        0 => {
            return refused(
                "nodes",
                format!("{mode_name}: mode requires at least one node"),
            );
        }
        count => {
            let reason = format!("{mode_name}: mode requires 0 nodes but got {count}");
            return refused("nodes", reason);
        }
    }
    let flag = |flag: &MemoryPolicyFlagType| match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    };
    let flags = policy.flags().iter().flatten().map(flag);
    Ok(MemoryPolicy {
        mode: flags.fold(mode, |all: u32, flag: u32| all | flag),
        nodes: mask(&nodes),
    })
}

fn mask(numbers: &[usize]) -> Vec<u64> {
    let words = numbers.iter().max().map_or(0, |most| most / 64 + 1);
    let mut mask = vec![0; words];
    for number in numbers {
        mask[number / 64] |= 1 << (number % 64);
    }
    mask
}

fn affinity(process: &Process) -> Result<Affinity, Error> {
    let Some(affinity) = process.exec_cpu_affinity() else {
        return Ok(Affinity::default());
    };
    let cpus = |field: &str, text: &Option<String>| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => numbers(text, MOST_CPUS).map(Some).ok_or_else(|| {
            let reason = format!("'{text}' is not a list of processors");
            refused(&format!("process.execCPUAffinity.{field}"), reason)
        }),
    };
    Ok(Affinity {
        initial: cpus("initial", affinity.initial())?,
        last: cpus("final", affinity.cpu_affinity_final())?,
    })
}

/// A list such as `0-3,7`; `None` when it is none, or names a number that is not below `end`.
fn numbers(text: &str, end: usize) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().ok()?;
        let last: usize = last.trim().parse().ok()?;
        if last >= end || first > last {
            return None;
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

fn refused(field: &str, reason: String) -> Error {
    Error::Field {
        field: field.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_with;
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn lists_of_numbers() {
        let table = [
            ("", Some(vec![])),
            ("3", Some(vec![3])),
            ("0-2,7,1", Some(vec![0, 1, 2, 7])),
            ("0-1023", None),
            ("2-1", None),
            ("x", None),
            ("1,", None),
        ];
        for (text, wanted) in table {
            assert_eq!(numbers(text, 100), wanted, "{text}");
        }
        assert_eq!(mask(&[0, 65]), [1, 2]);
    }

    fn planned(key: &str, value: Value) -> Result<Scheduling, Error> {
        let pointer = key.to_owned();
        let plan = plan_with(|config| {
            let (section, key) = pointer.split_once('.').unwrap();
            config[section][key] = value;
        });
        plan.map(|plan| plan.payload.scheduling)
    }

    #[test]
    fn values_are_the_kernels() {
        let value = json!({"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3,
            "flags": ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"]});
        let found = planned("process.scheduler", value)
            .unwrap()
            .processor
            .unwrap();
        assert_eq!((found.policy, found.flags), (6, 5));
        assert_eq!((found.runtime, found.deadline, found.period), (1, 2, 3));
        let value = json!({"class": "IOPRIO_CLASS_IDLE"});
        assert_eq!(
            planned("process.ioPriority", value).unwrap().io,
            Some(3 << 13)
        );
        let value = json!({"mode": "MPOL_BIND", "nodes": "0,64", "flags": ["MPOL_F_STATIC_NODES"]});
        let found = planned("linux.memoryPolicy", value)
            .unwrap()
            .memory
            .unwrap();
        assert_eq!((found.mode, found.nodes), (2 | 1 << 15, vec![1, 1]));
    }

    #[test]
    fn contradictions_are_named() {
        let table = [
            (
                "process.scheduler",
                json!({"policy": "SCHED_BATCH", "nice": 20}),
                ".nice",
            ),
            (
                "process.scheduler",
                json!({"policy": "SCHED_OTHER", "priority": 1}),
                ".priority",
            ),
            (
                "process.scheduler",
                json!({"policy": "SCHED_FIFO", "priority": -1}),
                ".priority",
            ),
            (
                "process.scheduler",
                json!({"policy": "SCHED_IDLE", "runtime": 1}),
                ".runtime",
            ),
            ("process.ioPriority", json!({"priority": 8}), ".priority"),
            (
                "linux.memoryPolicy",
                json!({"mode": "MPOL_DEFAULT", "nodes": "0"}),
                ".nodes",
            ),
            ("linux.memoryPolicy", json!({"mode": "MPOL_BIND"}), ".nodes"),
            (
                "linux.memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "9-8"}),
                ".nodes",
            ),
            (
                "process.execCPUAffinity",
                json!({"initial": "5000"}),
                ".initial",
            ),
        ];
        for (key, value, end) in table {
            let Err(Error::Field { field, .. }) = planned(key, value.clone()) else {
                panic!("{value}")
            };
            assert_eq!(field, format!("{key}{end}"));
        }
    }
}
