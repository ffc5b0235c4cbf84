//! Arguments of `exec`.

use std::path::PathBuf;

use clap::Args;
use oci_spec::runtime::Capability;

use crate::cgroup::Below;

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Leave once the program has begun
    #[arg(short, long)]
    pub detach: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// User, and group, by number
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    pub user: Option<(u32, Option<u32>)>,
    /// Further group, by number
    #[arg(short = 'g', long, value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// Set a variable of its environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Working directory, in the container
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Further capability
    #[arg(short, long, value_name = "NAME", value_parser = capability)]
    pub cap: Vec<Capability>,
    /// File with the process as JSON; other flags about it are ignored then
    #[arg(short, long, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// File that the number of the process is written to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Socket that a descriptor for the process is sent to
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Socket that the terminal's master is sent to
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Descriptors from 3 upwards that the program gets
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub preserve_fds: u32,
    /// Keep it from new privileges
    #[arg(long)]
    pub no_new_privs: bool,
    /// AppArmor profile
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// SELinux label
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// Cgroup below the container's
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    pub cgroup: Vec<Below>,
    /// Also if the container is paused; the program then waits for `resume`
    #[arg(long)]
    pub ignore_paused: bool,
    /// Name of the container
    pub id: String,
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "process"
    )]
    pub command: Vec<String>,
}

fn user(text: &str) -> Result<(u32, Option<u32>), std::num::ParseIntError> {
    match text.split_once(':') {
        Some((user, group)) => Ok((user.parse()?, Some(group.parse()?))),
        None => Ok((text.parse()?, None)),
    }
}

fn capability(text: &str) -> Result<Capability, String> {
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    name.parse()
        .map_err(|_| format!("unknown capability '{text}'"))
}
