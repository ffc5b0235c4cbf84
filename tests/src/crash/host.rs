//! The machine on which commands are cut off.

use anyhow::{Result, bail, ensure};
use serde_json::json;

use super::Base;
use crate::image::{Builder, Image, Tar};
use crate::images;
use crate::machine::Machine;
use crate::product;
use crate::tree::Suite;

/// Shell on both sides: where the product keeps its things.
const NAMES: &str = "A=/var/lib/containers/atomic; S=/var/lib/containers/saved; \
                     E='systemd/system tmpfiles.d box'; sysc=/usr/bin/sysc-failpoints";

/// A machine with three versions of an image.
pub struct Host {
    machine: Machine,
}

impl Host {
    /// Boots it and prepares the bases.
    pub fn boot() -> Result<Self> {
        let machine = Machine::boot(Suite::Bookworm)?;
        machine.copy_in(&product::failpoints()?, "/usr/bin/sysc-failpoints")?;
        for (number, layout) in [(1, "box"), (2, "box2"), (3, "box3")] {
            version(number)?.write_layout(&machine.path(&format!("/root/{layout}")), "latest")?;
        }
        let host = Self { machine };
        for base in Base::ALL {
            host.prepare(base)?;
        }
        Ok(host)
    }

    fn sh(&self, script: &str) -> Result<String> {
        let script = format!("{NAMES}\n{script}");
        let output = self.machine.run(&["sh", "-ec", &script])?;
        ensure!(
            output.status == 0,
            "{}{}({})",
            output.stdout,
            output.stderr,
            output.status
        );
        Ok(output.stdout)
    }

    fn prepare(&self, base: Base) -> Result<()> {
        let install = "sysc install oci:/root/box >/dev/null; systemctl start box";
        let update = "sysc update --rebase oci:/root/box2 box >/dev/null";
        let script = match base {
            Base::Bare => String::new(),
            Base::Running => install.to_owned(),
            Base::Staged => {
                format!("{install}; sysc update --stage --rebase oci:/root/box2 box >/dev/null")
            }
            Base::Updated => format!("{install}; {update}"),
            // The commit of the image goes with its name, and so do its layers, if pruned.
            Base::Unneeded => format!(
                "{install}; {update}; repo=$A/.storage/ostree; \
                 for ref in $(ostree --repo=$repo refs --list ociimage); do case $ref in \
                 *box2*) ;; *box_*) ostree --repo=$repo refs --delete $ref;; esac; done"
            ),
            // The first change that a switch makes to the running host comes after its link.
            Base::Committed => format!(
                "{install}; sysc update --stage --rebase oci:/root/box2 box >/dev/null; \
                 SYSC_FAILPOINT=host.change:1:kill $sysc switch >/dev/null 2>&1 || true"
            ),
            Base::HalfInstalled => {
                "SYSC_FAILPOINT=host.change:1:kill $sysc install oci:/root/box >/dev/null 2>&1 \
                 || true"
                    .to_owned()
            }
            Base::HalfGone => format!(
                "{install}; SYSC_FAILPOINT=host.change:2:kill $sysc uninstall box >/dev/null 2>&1 \
                 || true"
            ),
        };
        self.sh(&format!(
            "rm -rf $A; mkdir -p /etc/tmpfiles.d; {script}
             save=$S/{base:?}; rm -rf $save; mkdir -p $save/etc/systemd
             [ ! -e $A ] || cp -a $A $save/atomic
             for e in $E; do [ ! -e /etc/$e ] || cp -a /etc/$e $save/etc/$e; done
             systemctl is-active -q box && touch $save/running || true
             systemctl stop box 2>/dev/null || true
             rm -rf $A /etc/box /etc/tmpfiles.d/box.conf
             rm -f /etc/systemd/system/box.service /etc/systemd/system/*.wants/box.service
             systemctl daemon-reload"
        ))?;
        Ok(())
    }

    /// Makes the host what it is in `base`.
    pub fn restore(&self, base: Base) -> Result<()> {
        self.sh(&format!(
            "systemctl stop box 2>/dev/null || true
             save=$S/{base:?}; rm -rf $A; for e in $E; do rm -rf /etc/$e; done
             [ ! -e $save/atomic ] || cp -a $save/atomic $A
             for e in $E; do [ ! -e $save/etc/$e ] || cp -a $save/etc/$e /etc/$e; done
             systemctl daemon-reload; systemctl reset-failed
             [ ! -e $save/running ] || systemctl start box"
        ))?;
        Ok(())
    }

    /// Runs a command to its end; the points that it passes, as `NAME:COUNT`.
    pub fn run_whole(&self, arguments: &[&str]) -> Result<Vec<String>> {
        let arguments = arguments.join(" ");
        let log = self.sh(&format!(
            "rm -f /tmp/log; SYSC_FAILPOINT_LOG=/tmp/log $sysc {arguments} >/tmp/out 2>&1 \
             || {{ cat /tmp/out >&2; exit 1; }}; cat /tmp/log"
        ))?;
        Ok(log.lines().map(str::to_owned).collect())
    }

    /// Runs a command that is cut off or whose call fails at `failpoint`.
    pub fn run_cut(&self, arguments: &[&str], failpoint: &str) -> Result<()> {
        let arguments = arguments.join(" ");
        let status = self.sh(&format!(
            "SYSC_FAILPOINT={failpoint} timeout 60 $sysc {arguments} >/tmp/out 2>&1 && echo 0 \
             || echo $?"
        ))?;
        let killed = failpoint.ends_with("kill");
        match status.trim() {
            "137" if killed => Ok(()),
            // An error may concern mere tidying; and some are answered by going back.
            "0" | "1" | "4" if !killed => Ok(()),
            status => {
                let said = self.sh("cat /tmp/out")?;
                bail!("it ended with {status}: {said}")
            }
        }
    }

    /// Lets the next command put right what was left; what it said.
    pub fn recover(&self) -> Result<String> {
        self.sh("$sysc recover 2>&1")
    }

    /// Everything by which two states of the host are told from each other.
    pub fn state(&self) -> Result<String> {
        self.sh("readlink $A/box || echo none
             for e in $E; do [ ! -e /etc/$e ] || (cd /etc && find $e ! -type d ! -type l \
                 -exec stat -c '%a %n' {} + -exec sha256sum {} + && \
                 find $e -type l -printf '%p -> %l\\n' && find $e -type d -printf '%m %p\\n'); \
             done | sort
             systemctl show -p LoadState,ActiveState,UnitFileState,NeedDaemonReload box
             pid=$(systemctl show --value -p MainPID box)
             [ $pid = 0 ] || cat /proc/$pid/root/version
             [ ! -e $A/box ] || sysc history --json box | grep -A1 '\"staged\": {' || true")
    }

    /// Recovers, and looks for everything that must not be.
    pub fn judge(&self, allowed: &[String]) -> Result<()> {
        let first = self.recover()?;
        let state = self.state()?;
        ensure!(
            allowed.contains(&state),
            "neither the state before nor the one after: {}\nrecovery said: {first}",
            difference(&state, allowed)
        );
        let second = self.recover()?;
        ensure!(second.is_empty(), "a second recovery said: {second}");
        ensure!(
            self.state()? == state,
            "a second recovery changed something"
        );
        self.sh("[ -e $A ] || exit 0
             left=$(find $A -maxdepth 1 -name '.box.*'; find /etc -name '*.sysc-tmp'; \
                 find $A/.journal $A/.storage -maxdepth 2 -name '*.sysc-tmp' 2>/dev/null || true)
             [ -z \"$left\" ] || { echo left: $left >&2; exit 1; }
             repo=$A/.storage/ostree; [ -e $repo ] || exit 0
             ostree --repo=$repo fsck -q
             refs=$(ostree --repo=$repo refs --list sysc/deployment | wc -l)
             slots=$(find $A -maxdepth 1 -type d -name 'box.*' | wc -l)
             [ $refs = $slots ] || { echo $refs refs, $slots deployments >&2; exit 1; }")?;
        Ok(())
    }
}

/// The lines of `state` that are in none of `allowed`, and those that the last one has more.
fn difference(state: &str, allowed: &[String]) -> String {
    let of = |other: &str| {
        let more = state
            .lines()
            .filter(|line| !other.lines().any(|o| o == *line));
        let less = other
            .lines()
            .filter(|line| !state.lines().any(|s| s == *line));
        let more = more.map(|line| format!("+{line}"));
        more.chain(less.map(|line| format!("-{line}")))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let all: Vec<String> = allowed.iter().map(|other| of(other)).collect();
    all.join(" | ")
}

/// A service that tells its version, stops at once, and has files on the host.
fn version(number: u32) -> Result<Image> {
    let text = format!("{number}\n");
    let manifest = json!({"version": "1.0", "defaultValues": {"UUID": "fixed"}}).to_string();
    let unit = format!(
        "[Unit]\nDescription=$NAME {number}\n[Service]\nExecStart=$EXEC_START\n\
         ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE\nWorkingDirectory=$DESTDIR\n[Install]\nWantedBy=multi-user.target\n"
    );
    let own = format!("exports/hostfs/etc/box/only-{number}");
    let exports = Tar::new()
        .file("version", 0o644, text.as_bytes())
        .file("exports/manifest.json", 0o644, manifest.as_bytes())
        .file("exports/service.template", 0o644, unit.as_bytes())
        .file(
            "exports/tmpfiles.template",
            0o644,
            b"d /run/box 0755 - - -\n",
        )
        .file("exports/hostfs/etc/box/all", 0o644, text.as_bytes())
        .file(&own, 0o640, text.as_bytes())
        .link("exports/hostfs/etc/box/link", &text[..1]);
    let script = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done";
    let config = json!({"Cmd": ["/bin/sh", "-c", script]});
    let base = Builder::new(config).layer(images::busybox_layer()?);
    Ok(base.layer(exports.finish()).build())
}
