//! Writes the manual pages and shell completions of `sysc-runtime` into a directory:
//! `cargo run -p sysc-runtime --example sysc-runtime-manual -- DIRECTORY`.

mod pages;

use std::path::PathBuf;

use anyhow::Context;
use clap::{CommandFactory, ValueEnum};

fn main() -> anyhow::Result<()> {
    let directory = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("name a directory")?;
    std::fs::create_dir_all(&directory)?;
    for page in pages::pages()? {
        std::fs::write(directory.join(page.name), page.text)?;
    }
    let mut command = sysc_runtime::cli::Cli::command();
    for shell in clap_complete::Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut command, "sysc-runtime", &directory)?;
    }
    Ok(())
}
