//! Writes the manual pages and shell completions of `sysc` into a directory:
//! `cargo run -p sysc --example sysc-manual -- DIRECTORY`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("name a directory")?;
    std::fs::create_dir_all(&directory)?;
    let command = sysc::cli::Cli::command();
    clap_mangen::generate_to(command.clone(), &directory)?;
    for shell in clap_complete::Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut command.clone(), "sysc", &directory)?;
    }
    Ok(())
}
