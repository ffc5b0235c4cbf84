//! The runtime below a unit that may write hardly anywhere.

use anyhow::{Result, ensure};
use sysc_tests::machine::Machine;
use sysc_tests::tree::Suite;

const BUNDLE: &str = "
mkdir -p /srv/web/rootfs/bin
mv /root/busybox /srv/web/rootfs/bin/
cd /srv/web
for dir in dev proc sys; do mkdir rootfs/$dir; done
for name in sh sleep; do ln -s busybox rootfs/bin/$name; done
sysc-runtime spec
sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sh\", \"-c\", \"exit 7\"/' config.json
";

/// The directory of the records is the one place that stays writable. The last container that goes
/// leaves it there: a unit that begins at that moment has it mounted, and could not make another.
#[test]
fn records_have_a_place_of_their_own() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    machine.copy_in("/bin/busybox".as_ref(), "/root/busybox")?;
    machine.sh(BUNDLE)?;
    let strict = [
        "systemd-run",
        "--quiet",
        "--wait",
        "--property=ProtectSystem=strict",
    ];
    let place = [
        "--property=RuntimeDirectory=sysc-runtime",
        "--property=RuntimeDirectoryMode=0700",
        "--property=RuntimeDirectoryPreserve=yes",
    ];
    let run = ["sysc-runtime", "run", "--bundle", "/srv/web", "web"];
    let refused = machine.run(&[&strict[..], &run].concat())?;
    ensure!(refused.status == 1, "{refused}");
    for _ in 0..2 {
        let ran = machine.run(&[&strict[..], &place, &run].concat())?;
        ensure!(ran.status == 7, "{ran}");
    }
    let left = machine.sh("stat -c %a /run/sysc-runtime; ls -A /run/sysc-runtime")?;
    assert_eq!(left.trim(), "700");
    // From then on the path alone is enough.
    let path = ["--property=ReadWritePaths=/run/sysc-runtime"];
    let ran = machine.run(&[&strict[..], &path, &run].concat())?;
    ensure!(ran.status == 7, "{ran}");
    Ok(())
}
