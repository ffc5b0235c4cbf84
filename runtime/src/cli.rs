//! Every verb and flag, said once. The spelling is runc's, so that its callers find theirs.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

mod examples;
mod exec;
mod limits;

pub use exec::ExecArgs;
pub use limits::{EventsArgs, UpdateArgs};

use crate::record::OCI_VERSION;

/// Starts containers from OCI bundles.
#[derive(Debug, Parser)]
#[command(
    name = "sysc-runtime",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    args_override_self = true,
    after_help = examples::RUNTIME
)]
pub struct Cli {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub global: Global,
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub verb: Verb,
    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Flags before the verb.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Directory for the state of containers [default: /run/sysc-runtime, or
    /// $XDG_RUNTIME_DIR/sysc-runtime for users without privileges]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// File that messages are appended to
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Form of the messages in --log
    #[arg(long, default_value = "text", value_name = "FORM")]
    pub log_format: LogFormat,
    /// Say more in --log
    #[arg(long)]
    pub debug: bool,
    /// Let systemd make the cgroup, as a scope; linux.cgroupsPath is SLICE:PREFIX:NAME then
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Whether to do without what only the host's root can have
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub rootless: Rootless,
}

/// Whether permissions that are missing are to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rootless {
    /// They are.
    #[value(alias = "1")]
    True,
    /// They are not.
    #[value(alias = "0")]
    False,
    /// For whoever is not root, or only in a user namespace.
    Auto,
}

impl Rootless {
    /// What was said, if anything.
    pub fn said(self) -> Option<bool> {
        match self {
            Rootless::True => Some(true),
            Rootless::False => Some(false),
            Rootless::Auto => None,
        }
    }
}

/// Forms of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of words.
    Text,
    /// One JSON object per line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a container and start it
    #[command(after_help = examples::RUN)]
    Run(RunArgs),
    /// Run another program in a container
    #[command(after_help = examples::EXEC)]
    Exec(ExecArgs),
    /// Create a container, whose program waits for `start`
    #[command(after_help = examples::CREATE)]
    Create(CreateArgs),
    /// Start the program of a created container
    #[command(after_help = examples::START)]
    Start(IdArgs),
    /// Print what a container does, as JSON
    #[command(after_help = examples::STATE)]
    State(IdArgs),
    /// Send a signal to a container
    #[command(after_help = examples::KILL)]
    Kill(KillArgs),
    /// End a container that would not hear its stop signal
    #[command(after_help = examples::HALT)]
    Halt(HaltArgs),
    /// Remove what is left of a container that has stopped
    #[command(after_help = examples::DELETE)]
    Delete(DeleteArgs),
    /// List the processes of a container
    #[command(after_help = examples::PS)]
    Ps(PsArgs),
    /// Hold all processes of a container
    #[command(after_help = examples::PAUSE)]
    Pause(IdArgs),
    /// Let the processes of a paused container go on
    #[command(after_help = examples::RESUME)]
    Resume(IdArgs),
    /// Change the limits of a container
    #[command(after_help = examples::UPDATE)]
    Update(UpdateArgs),
    /// Print what a container uses, as JSON
    #[command(after_help = examples::EVENTS)]
    Events(EventsArgs),
    /// Refused: checkpoints are not supported
    #[command(hide = true)]
    Checkpoint(UnsupportedArgs),
    /// Refused: checkpoints are not supported
    #[command(hide = true)]
    Restore(UnsupportedArgs),
    /// List containers
    #[command(after_help = examples::LIST)]
    List(ListArgs),
    /// Write a config.json to begin with
    #[command(after_help = examples::SPEC)]
    Spec(SpecArgs),
    /// Print what this runtime can do, as JSON
    #[command(after_help = examples::FEATURES)]
    Features,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub create: CreateArgs,
    /// Leave once the program has begun
    #[arg(short, long)]
    pub detach: bool,
    /// Keep the record once the program has ended
    #[arg(long)]
    pub keep: bool,
    /// Accepted for callers of runc
    #[arg(long, hide = true)]
    pub no_subreaper: bool,
}

/// Arguments of `create`, and of `run`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the container
    pub id: String,
    /// Directory with config.json
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub bundle: PathBuf,
    /// Socket that the terminal's master is sent to
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// File that the number of the first process is written to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Socket that a descriptor for the first process is sent to
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
    /// Enter the root without pivot_root, for hosts whose root is a ramfs
    #[arg(long)]
    pub no_pivot: bool,
    /// Keep the session keyring
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Descriptors from 3 upwards that the program gets
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub preserve_fds: u32,
}

/// A container's name alone.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Name of the container
    pub id: String,
}

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// Name of the container
    pub id: String,
    /// Signal: a name with or without SIG, or a number
    #[arg(default_value = "SIGTERM", allow_hyphen_values = true)]
    pub signal: String,
    /// Send it to every process of the container
    #[arg(short, long)]
    pub all: bool,
}

/// Arguments of `halt`.
#[derive(Debug, Args)]
pub struct HaltArgs {
    /// Name of the container
    pub id: String,
    /// Signal that it will be sent: a name with or without SIG, or a number
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

/// Arguments of `delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name of the container
    pub id: String,
    /// Kill it first if it runs; one that does not exist is fine
    #[arg(short, long)]
    pub force: bool,
}

/// Whatever somebody says to a verb that does nothing.
#[derive(Debug, Args)]
pub struct UnsupportedArgs {
    /// Anything
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<OsString>,
}

/// Arguments of `ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Form of the list
    #[arg(short, long, default_value = "table")]
    pub format: ListFormat,
    /// Name of the container
    pub id: String,
    /// Options of the host's `ps`; -ef without
    #[arg(
        value_name = "OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub options: Vec<String>,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Form of the list
    #[arg(short, long, default_value = "table")]
    pub format: ListFormat,
    /// Names only
    #[arg(short, long)]
    pub quiet: bool,
}

/// Forms of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Columns.
    Table,
    /// A JSON array.
    Json,
}

/// Arguments of `spec`.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// Directory to write config.json into
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub bundle: PathBuf,
    /// For a user without privileges
    #[arg(long)]
    pub rootless: bool,
}

impl Verb {
    /// Whether processes of a container could reach this one.
    pub fn enters_a_container(&self) -> bool {
        matches!(
            self,
            Verb::Run(_) | Verb::Create(_) | Verb::Exec(_) | Verb::Halt(_)
        )
    }

    /// `--preserve-fds`, for verbs that start a program.
    pub fn preserved_descriptors(&self) -> Option<u32> {
        match self {
            Verb::Run(args) => Some(args.create.preserve_fds),
            Verb::Create(args) => Some(args.preserve_fds),
            Verb::Exec(args) => Some(args.preserve_fds),
            _ => None,
        }
    }

    /// The status that says that we failed: with `exec` one that programs rarely have.
    pub fn failure_status(&self) -> u8 {
        match self {
            Verb::Exec(_) => 255,
            _ => 1,
        }
    }
}

/// What `--version` says: lines that callers of runc know how to read. A program is called what its
/// file is called.
pub fn version(called: Option<OsString>) -> String {
    let path = PathBuf::from(called.unwrap_or_default());
    let name = path.file_name().unwrap_or(OsStr::new("sysc-runtime"));
    format!(
        "{} version {}\ncommit: {}\nspec: {OCI_VERSION}",
        name.display(),
        env!("CARGO_PKG_VERSION"),
        option_env!("SYSC_COMMIT").unwrap_or("unknown"),
    )
}

/// Words to meaning.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definition_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_version_is_told_under_the_name_that_was_called() {
        let told = version(Some("/usr/bin/runc".into()));
        assert!(told.starts_with("runc version 0."), "{told}");
        assert_eq!(told.lines().count(), 3);
        assert!(version(None).starts_with("sysc-runtime version"));
    }

    #[test]
    fn lines_that_units_and_engines_write() {
        let table = [
            "sysc-runtime run -d --pid-file /run/container-etcd.pid etcd",
            "sysc-runtime --root /x --log /l --log-format json --systemd-cgroup create --bundle /b \
             --pid-file /p --pidfd-socket /f --console-socket /s --no-pivot --no-new-keyring --preserve-fds 2 c",
            "sysc-runtime exec -d -t -u 1:2 -g 5 -e A=1 --env B=2 --cwd / -c CAP_KILL --cap net_raw \
             --pid-file /p --pidfd-socket /f --console-socket /s --preserve-fds 1 --no-new-privs --apparmor a \
             --process-label l --cgroup cpu:/x --ignore-paused c sh -c -x",
            "sysc-runtime exec --process /p.json c",
            "sysc-runtime ps -f json c",
            "sysc-runtime ps c -o pid,cmd",
            "sysc-runtime pause c",
            "sysc-runtime resume c",
            "sysc-runtime update --memory 64M --memory-swap -1 --pids-limit -1 --cpu-quota -1 c",
            "sysc-runtime update --resources - c",
            "sysc-runtime events --stats c",
            "sysc-runtime events --interval 100ms c",
            "sysc-runtime checkpoint --image-path /x c",
            "sysc-runtime --debug start c",
            "sysc-runtime --rootless true start c",
            "sysc-runtime --rootless=auto start c",
            "sysc-runtime state c",
            "sysc-runtime kill c",
            "sysc-runtime kill --all c 9",
            "sysc-runtime halt c SIGINT",
            "sysc-runtime delete --force c",
            "sysc-runtime list --format json -q",
            "sysc-runtime spec -b /b --rootless",
            "sysc-runtime features",
        ];
        for line in table {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            words(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn of_a_flag_said_twice_the_last_counts_and_lists_are_kept_whole() {
        let cli =
            words("sysc-runtime --root /a --root /b exec --cwd /c --cwd /d -e A=1 -e B=2 c x")
                .unwrap();
        assert_eq!(cli.global.root, Some(PathBuf::from("/b")));
        let Verb::Exec(args) = cli.verb else {
            panic!("another verb");
        };
        assert_eq!(args.cwd, Some(PathBuf::from("/d")));
        assert_eq!(args.env, ["A=1", "B=2"]);
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "sysc-runtime",
            "sysc-runtime run",
            "sysc-runtime fly c",
            "sysc-runtime --rootless maybe start c",
            "sysc-runtime run a b",
            "sysc-runtime exec c",
            "sysc-runtime exec -u web c true",
            "sysc-runtime exec -c CAP_FLY c true",
            "sysc-runtime exec --cgroup ../x c true",
        ] {
            assert!(words(line).is_err(), "{line}");
        }
    }
}
