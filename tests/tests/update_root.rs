//! Updates, rollbacks and what they leave alone.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sysc_tests::image::{Builder, Image, Tar};
use sysc_tests::images;
use sysc_tests::machine::Machine;
use sysc_tests::snapshot::Snapshot;
use sysc_tests::tree::Suite;
use sysc_tests::watched::REPO;

const UNIT: &str = "/etc/systemd/system/box.service";
const ATOMIC: &str = "/var/lib/containers/atomic";

/// A service with default values, which tells them as its environment, and files for the host.
fn image(defaults: &Value, service: &str, host_files: &[(&str, &str)]) -> Result<Image> {
    let manifest = json!({"version": "1.0", "defaultValues": defaults});
    let names = defaults.as_object().context("an object")?.keys();
    let environment: String = names
        .map(|name| format!("Environment={name}=${name}\n"))
        .collect();
    let unit = format!(
        "[Unit]\nDescription=$NAME $UUID\n[Service]\nExecStart=$EXEC_START\n{environment}{service}\
         WorkingDirectory=$DESTDIR\n[Install]\nWantedBy=multi-user.target\n"
    );
    let manifest = manifest.to_string();
    let mut exports = Tar::new()
        .file("exports/manifest.json", 0o644, manifest.as_bytes())
        .file("exports/service.template", 0o644, unit.as_bytes());
    for (path, content) in host_files {
        let path = format!("exports/hostfs{path}");
        exports = exports.file(&path, 0o644, content.as_bytes());
    }
    let config = json!({"Cmd": ["/bin/sh", "-c", images::SERVICE]});
    let base = Builder::new(config).layer(images::busybox_layer()?);
    Ok(base.layer(exports.finish()).build())
}

/// Puts `image` in the place from which 'box' was installed.
fn ship(machine: &Machine, image: &Image) -> Result<()> {
    machine.sh("rm -rf /root/box")?;
    image.write_layout(&machine.path("/root/box"), "latest")
}

/// A unit's environment, without what sysc adds to it.
fn environment(machine: &Machine, unit: &str) -> Result<String> {
    let all = machine.property(unit, "Environment")?;
    let own = all.split(' ').filter(|word| !word.starts_with("SYSC_"));
    Ok(own.collect::<Vec<_>>().join(" "))
}

fn json_of(machine: &Machine, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&machine.ok(arguments)?)?)
}

fn generation(machine: &Machine) -> Result<u64> {
    let status = machine.run(&["sysc", "status", "--json", "box"])?.stdout;
    let status: Value = serde_json::from_str(&status)?;
    status["generation"].as_u64().context("a number")
}

/// What the user gave stays, what the image gave follows the image (I05).
#[test]
fn i05_values_over_an_update() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    ship(
        &machine,
        &image(&json!({"PORT": "80", "HOST": "a"}), "", &[])?,
    )?;
    machine.ok(&["sysc", "install", "--set", "HOST=b", "oci:/root/box"])?;
    let uuid = || machine.property("box", "Description");
    let first = uuid()?;
    let environment = || environment(&machine, "box");
    let former = environment()?;
    assert_eq!(former, "PORT=80 HOST=b");

    ship(
        &machine,
        &image(&json!({"PORT": "81", "HOST": "a", "MODE": "m"}), "", &[])?,
    )?;
    machine.ok(&["sysc", "update", "box"])?;
    assert_eq!(environment()?, "PORT=81 HOST=b MODE=m");
    assert_eq!(uuid()?, first);
    machine.ok(&["sysc", "update", "--set", "MODE=n", "box"])?;
    assert_eq!(environment()?, "PORT=81 HOST=b MODE=n");
    machine.ok(&["sysc", "rollback", "box"])?;
    assert_eq!(environment()?, "PORT=81 HOST=b MODE=m");

    // HOST is used no more: that is said, and no failure.
    ship(&machine, &image(&json!({"PORT": "82"}), "", &[])?)?;
    let output = machine.run(&["sysc", "update", "box"])?;
    ensure!(output.stderr.contains("HOST"), "{output}");
    output.ok()?;
    assert_eq!(environment()?, "PORT=82");
    // A variable without a value refuses the update, and the present one stays.
    let needy = image(&json!({"PORT": "83"}), "Environment=X=$NEEDED\n", &[])?;
    ship(&machine, &needy)?;
    let text = machine.run(&["sysc", "update", "box"])?.fails_with(1)?;
    ensure!(text.contains("NEEDED"), "{text}");
    assert_eq!(environment()?, "PORT=82");
    assert_eq!(uuid()?, first);
    Ok(())
}

/// What was stopped or disabled stays so; what ran is restarted once (I03).
#[test]
fn i03_only_what_ran_is_restarted() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let version = |number: &str| image(&json!({"V": number}), "", &[]);
    ship(&machine, &version("1")?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let again = machine.ok(&["sysc", "update", "box"])?;
    ensure!(
        again.contains("Latest version already installed"),
        "{again}"
    );
    assert_eq!(generation(&machine)?, 1);

    ship(&machine, &version("2")?)?;
    machine.ok(&["sysc", "update", "box"])?;
    assert_eq!(machine.property("box", "ActiveState")?, "inactive");
    machine.ok(&["systemctl", "disable", "--now", "box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    let started = machine.property("box", "MainPID")?;

    ship(&machine, &version("3")?)?;
    machine.ok(&["sysc", "update", "box"])?;
    assert_eq!(machine.property("box", "SubState")?, "running");
    assert_ne!(machine.property("box", "MainPID")?, started);
    assert_eq!(machine.property("box", "NRestarts")?, "0");
    assert_eq!(machine.property("box", "UnitFileState")?, "disabled");
    let starts = machine
        .journal("box")?
        .matches("Started box.service")
        .count();
    assert_eq!(starts, 2);
    // With two generations the directories alternate.
    assert_eq!(machine.sh(&format!("ls {ATOMIC}"))?, "box\nbox.0\nbox.1\n");
    assert_eq!(machine.sh(&format!("readlink {ATOMIC}/box"))?, "box.0\n");
    machine.ok(&["ostree", "fsck", "-q", "--repo", REPO])?;
    Ok(())
}

/// Host files follow their generation, but for those that the administrator changed; going back
/// twice leads to where one began.
#[test]
fn host_files_follow_and_an_administrators_change_wins() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let file = |name: &str| format!("/etc/box/{name}");
    let (kept, edited, old, new) = (file("kept"), file("edited"), file("old"), file("new"));
    let first = [(kept.as_str(), "1\n"), (&edited, "1\n"), (&old, "1\n")];
    let second = [(kept.as_str(), "2\n"), (&edited, "2\n"), (&new, "2\n")];
    ship(&machine, &image(&json!({}), "", &first)?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let but = ["var/lib/containers", "root/box"];
    let look = || Snapshot::of_host(&machine.path("/"), &but);
    machine.sh("echo mine > /etc/box/edited")?;
    let at_first = look()?;

    ship(&machine, &image(&json!({}), "", &second)?)?;
    let output = machine.run(&["sysc", "update", "box"])?;
    ensure!(output.stderr.contains("/etc/box/edited"), "{output}");
    output.ok()?;
    let show = "cd /etc/box && grep -H . *";
    assert_eq!(machine.sh(show)?, "edited:mine\nkept:2\nnew:2\n");
    let at_second = look()?;
    machine.ok(&["sysc", "rollback", "box"])?;
    assert_eq!(at_first.changes(&look()?), [""; 0]);
    machine.ok(&["sysc", "rollback"])?;
    assert_eq!(at_second.changes(&look()?), [""; 0]);

    // A unit that was edited in place gives way, and is not lost.
    machine.sh(&format!("echo '# mine' >> {UNIT}"))?;
    machine.ok(&["sysc", "rollback", "box"])?;
    ensure!(!machine.sh(&format!("cat {UNIT}"))?.contains("# mine"));
    ensure!(
        machine
            .sh(&format!("cat {UNIT}.sysc-saved"))?
            .contains("# mine")
    );
    machine.sh(&format!("rm {UNIT}.sysc-saved"))?;
    let output = machine.run(&["sysc", "uninstall", "box"])?;
    ensure!(output.stderr.contains("/etc/box/edited"), "{output}");
    output.ok()?;
    assert_eq!(machine.sh(show)?, "edited:mine\n");
    Ok(())
}

/// What is staged waits for its switch; the service does not notice before.
#[test]
fn staged_and_switched() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let version = |number: &str| image(&json!({"V": number}), "", &[]);
    ship(&machine, &version("1")?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    let first = machine.property("box", "MainPID")?;
    ship(&machine, &version("2")?)?;
    machine.ok(&["sysc", "update", "--stage", "box"])?;
    ship(&machine, &version("3")?)?;
    machine.ok(&["sysc", "update", "--stage", "box"])?;
    assert_eq!(machine.property("box", "MainPID")?, first);
    let history = machine.ok(&["sysc", "history", "box"])?;
    ensure!(history.contains("staged"), "{history}");
    assert_eq!(
        machine
            .sh(&format!("ls -d {ATOMIC}/box.*"))?
            .lines()
            .count(),
        2
    );
    machine.ok(&["sysc", "switch"])?;
    assert_eq!(environment(&machine, "box")?, "V=3");
    assert_eq!(machine.property("box", "SubState")?, "running");
    ensure!(
        machine
            .ok(&["sysc", "switch"])?
            .contains("nothing is staged")
    );
    let text = machine.run(&["sysc", "switch", "box"])?.fails_with(1)?;
    ensure!(text.contains("--stage"), "{text}");
    let history = json_of(&machine, &["sysc", "history", "--json", "box"])?;
    assert_eq!(history["staged"], Value::Null);
    let whys = history["events"].as_array().context("events")?.iter();
    let whys: Vec<_> = whys.map(|event| event["why"].as_str()).collect();
    assert_eq!(whys, [Some("switch"), Some("install")]);
    let changed = &history["events"][0]["changed"]["V"];
    assert_eq!(changed, &json!({"before": "1", "after": "3"}));
    Ok(())
}

/// A generation that does not start is taken back, with its host files, and told (W01, in part).
#[test]
fn w01_what_does_not_start_is_taken_back() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let files = [("/etc/box.conf", "good\n")];
    ship(&machine, &image(&json!({"V": "1"}), "", &files)?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    let but = ["var/lib/containers", "root/box"];
    let before = Snapshot::of_host(&machine.path("/"), &but)?;
    let files = [("/etc/box.conf", "bad\n")];
    let bad = image(&json!({"V": "2"}), "ExecStartPre=/bin/false\n", &files)?;
    ship(&machine, &bad)?;
    let text = machine.run(&["sysc", "update", "box"])?.fails_with(4)?;
    ensure!(text.contains("taken back"), "{text}");
    assert_eq!(machine.property("box", "SubState")?, "running");
    assert_eq!(environment(&machine, "box")?, "V=1");
    let after = Snapshot::of_host(&machine.path("/"), &but)?;
    assert_eq!(before.changes(&after), [""; 0]);
    let status = machine.ok(&["sysc", "status", "box"])?;
    ensure!(status.contains("Rejected: generation 2"), "{status}");
    // It is there to be looked at, and nobody goes back to it unasked.
    let history = machine.ok(&["sysc", "history", "box"])?;
    ensure!(history.contains("rejected"), "{history}");
    ensure!(
        machine
            .path(&format!("{ATOMIC}/box.1/config.json"))
            .exists()
    );
    machine.run(&["sysc", "rollback", "box"])?.fails_with(1)?;
    Ok(())
}

/// Held ones are passed over, and a failure does not keep the others from their update.
#[test]
fn all_at_once() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let version = |number: &str| image(&json!({"V": number}), "", &[]);
    for name in ["a", "b", "c", "d"] {
        let layout = format!("/root/{name}");
        version("1")?.write_layout(&machine.path(&layout), "latest")?;
        machine.ok(&["sysc", "install", &format!("oci:{layout}")])?;
    }
    machine.ok(&["sysc", "hold", "b"])?;
    machine.sh("rm -rf /root/*")?;
    for name in ["b", "c", "d"] {
        version("2")?.write_layout(&machine.path(&format!("/root/{name}")), "latest")?;
    }
    let output = machine.run(&["sysc", "update", "--all"])?;
    ensure!(output.stdout.contains("'b' is held"), "{output}");
    let text = output.fails_with(1)?;
    ensure!(
        text.contains("1 could not be updated") && text.contains("'a'"),
        "{text}"
    );
    let value = |name: &str| environment(&machine, name);
    assert_eq!(
        [value("a")?, value("b")?, value("c")?, value("d")?],
        ["V=1", "V=1", "V=2", "V=2"]
    );
    machine.run(&["sysc", "update", "b"])?.fails_with(1)?;
    machine.ok(&["sysc", "hold", "--release", "b"])?;
    machine.ok(&["sysc", "update", "b"])?;
    // Another image from now on.
    version("9")?.write_layout(&machine.path("/root/other"), "latest")?;
    machine.ok(&["sysc", "update", "--rebase", "oci:/root/other", "b"])?;
    assert_eq!(value("b")?, "V=9");
    let list = json_of(&machine, &["sysc", "list", "--json"])?;
    ensure!(list.to_string().contains("other"), "{list}");
    Ok(())
}

/// Between the stop of one version and the other being up there is one job, and nothing that could
/// have been done before (W08).
#[test]
fn w08_the_gap_is_short() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let keep = "FileDescriptorStoreMax=1\n";
    let version = |number: &str| image(&json!({"V": number}), keep, &[]);
    ship(&machine, &version("1")?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    let stamp = |name: &str| -> Result<u64> {
        let value = machine.property("box", &format!("{name}TimestampMonotonic"))?;
        value.parse().with_context(|| format!("{name}: '{value}'"))
    };
    let mut gaps = Vec::new();
    for number in ["2", "3", "4", "5", "6"] {
        ship(&machine, &version(number)?)?;
        machine.ok(&["sysc", "update", "box"])?;
        gaps.push(stamp("ActiveEnter")? - stamp("ActiveExit")?);
    }
    gaps.sort_unstable();
    println!("from the stop of the old to the new being up, us: {gaps:?}");
    // The service itself takes up to 200 ms to stop.
    ensure!(gaps[2] < 1_000_000, "{gaps:?}");
    let stops = machine
        .journal("box")?
        .matches("Stopped box.service")
        .count();
    assert_eq!(stops, 5);
    Ok(())
}

/// Slots are told from containers by what is in them: these names collide by their spelling.
#[test]
fn names_that_look_like_slots() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let names = ["box-3", "box-3.1", "box-3.2"];
    for name in names {
        let layout = format!("/root/{name}");
        image(&json!({"V": "1"}), "", &[])?.write_layout(&machine.path(&layout), "latest")?;
        machine.ok(&["sysc", "install", "--name", name, &format!("oci:{layout}")])?;
    }
    // The first one's only slot is `box-3.0`, and a container cannot be called so.
    let text = machine.run(&["sysc", "install", "--name", "box-3.0", "oci:/root/box-3"])?;
    ensure!(text.fails_with(1)?.contains("--name"));
    for round in ["2", "3", "4"] {
        for name in names {
            let layout = format!("/root/{name}");
            machine.sh(&format!("rm -rf {layout}"))?;
            image(&json!({"V": round}), "", &[])?.write_layout(&machine.path(&layout), "latest")?;
            machine.ok(&["sysc", "update", name])?;
        }
        for name in names {
            assert_eq!(environment(&machine, name)?, format!("V={round}"));
        }
    }
    machine.ok(&["sysc", "rollback", "box-3.1"])?;
    for name in names {
        machine.ok(&["systemctl", "start", name])?;
    }
    for name in names {
        machine.ok(&["sysc", "uninstall", name])?;
    }
    assert_eq!(machine.sh(&format!("ls {ATOMIC}"))?, "");
    assert_eq!(
        machine.sh(&format!("ostree --repo={REPO} refs --list sysc"))?,
        ""
    );
    Ok(())
}

/// A deployment in which somebody still lives is not taken away (I06).
#[test]
fn i06_processes_of_a_former_generation() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let version = |number: &str| image(&json!({"V": number}), "KillMode=process\n", &[]);
    ship(&machine, &version("1")?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let root = format!("{ATOMIC}/box.0/rootfs");
    let helper = [
        "systemd-run",
        "--unit=helper",
        "chroot",
        &root,
        "/bin/sleep",
        "1000",
    ];
    machine.ok(&helper)?;
    for number in ["2", "3", "4"] {
        ship(&machine, &version(number)?)?;
        machine.ok(&["sysc", "update", "box"])?;
    }
    ensure!(machine.path(&format!("{root}/bin/busybox")).exists());
    machine.ok(&["systemctl", "stop", "helper"])?;
    ship(&machine, &version("5")?)?;
    machine.ok(&["sysc", "update", "box"])?;
    assert_eq!(
        machine
            .sh(&format!("ls -d {ATOMIC}/box.*"))?
            .lines()
            .count(),
        2
    );
    Ok(())
}

/// A generation whose files another container stands on (`--rootfs`) stays as long as that.
#[test]
fn a_donor_stays() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    let version = |number: &str| image(&json!({"V": number}), "", &[]);
    ship(&machine, &version("1")?)?;
    machine.ok(&["sysc", "install", "oci:/root/box"])?;
    let guest = [
        "sysc",
        "install",
        "--name",
        "guest",
        "--rootfs",
        "box",
        "oci:/root/box",
    ];
    machine.ok(&guest)?;
    for number in ["2", "3", "4"] {
        ship(&machine, &version(number)?)?;
        machine.ok(&["sysc", "update", "box"])?;
    }
    machine.ok(&["systemctl", "start", "guest"])?;
    machine.ok(&["sysc", "uninstall", "guest"])?;
    machine.ok(&["sysc", "uninstall", "box"])?;
    assert_eq!(machine.sh(&format!("ls {ATOMIC}"))?, "");
    Ok(())
}

/// What holds no secret can be read by everybody.
#[test]
fn others_than_root_may_look() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm)?;
    ship(&machine, &image(&json!({"SECRET": "x"}), "", &[])?)?;
    machine.ok(&["sysc", "install", "--set", "SECRET=hidden", "oci:/root/box"])?;
    machine.ok(&["systemctl", "start", "box"])?;
    let nobody = |arguments: &[&str]| {
        let mut all = vec!["setpriv", "--reuid", "65534", "--clear-groups", "sysc"];
        all.extend(arguments);
        machine.ok(&all)
    };
    for arguments in [&["list"][..], &["status", "box"], &["history", "box"]] {
        let text = nobody(arguments)?;
        ensure!(text.contains("box"), "{text}");
    }
    let root = json_of(&machine, &["sysc", "list", "--json"])?;
    let text = nobody(&["list", "--json"])?;
    assert_eq!(serde_json::from_str::<Value>(&text)?, root);
    let find = format!(
        "find {ATOMIC} -perm /o+r -type f ! -path '*/rootfs/*' ! -path '*/objects/*' -exec grep -l hidden {{}} +"
    );
    let readable = [
        "setpriv",
        "--reuid",
        "65534",
        "--clear-groups",
        "sh",
        "-c",
        &find,
    ];
    assert_eq!(machine.run(&readable)?.stdout, "");
    Ok(())
}
