//! Images that a container engine on this machine has.

use std::process::Command;

use anyhow::{Result, ensure};
use sysc_tests::command;
use sysc_tests::engines::{Hierarchy, IMAGE, Podman};
use sysc_tests::product;

#[test]
fn an_image_of_podmans_is_pulled_from_its_socket() -> Result<()> {
    let podman = Podman::new(Hierarchy::OfTheMachine)?;
    let socket = podman.listen()?;
    let dir = tempfile::tempdir()?;
    let [sysc, _] = product::programs()?;
    let run = |words: &[&str]| {
        let mut command = Command::new(&sysc);
        command
            .args(words)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("ATOMIC_OSTREE_REPO", dir.path().join("repo"))
            .env(
                "ATOMIC_OSTREE_CHECKOUT_PATH",
                dir.path().join("deployments"),
            );
        command::run_prepared(&mut command)
    };
    let image = format!("docker:{IMAGE}");
    let pulled = run(&["pull", &image])?.ok()?;
    ensure!(pulled.starts_with(&format!("{IMAGE}@sha256:")), "{pulled}");
    let again = run(&["pull", &image])?;
    ensure!(!again.stderr.contains("Pulling layer"), "{again}");
    assert_eq!(again.ok()?, pulled, "the same image has the same digest");
    let shown = run(&["info", "--json", IMAGE])?.ok()?;
    ensure!(
        shown.contains(&format!("docker:{IMAGE}")),
        "an update asks the engine: {shown}"
    );

    let missing = run(&["pull", "docker:none:1"])?.fails_with(1)?;
    ensure!(
        missing.contains("'none:1'") && missing.contains("podman.sock"),
        "{missing}"
    );
    let mut nobody = Command::new(&sysc);
    nobody
        .args(["pull", "docker:none"])
        .env("DOCKER_HOST", "unix:///none.sock");
    let nobody = command::run_prepared(&mut nobody)?.fails_with(1)?;
    ensure!(
        nobody.contains("'/none.sock'") && nobody.contains("help: "),
        "{nobody}"
    );
    Ok(())
}
