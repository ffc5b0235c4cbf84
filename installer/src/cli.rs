//! The command line: every verb and option, said once; help, manual pages and completions come
//! from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// OCI images as systemd services
///
/// sysc pulls an image into an OSTree repository, checks it out with hard links, renders the
/// templates that the image carries in /exports and writes a systemd unit for it. systemd then
/// starts and supervises it through sysc-runtime; nothing of sysc stays resident.
#[derive(Debug, Parser)]
#[command(name = "sysc", version, max_term_width = 100, after_long_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  sysc install registry.example.com/etcd:3
  systemctl start etcd-3
  sysc status etcd-3
  sysc update etcd-3
  sysc rollback etcd-3
  sysc uninstall etcd-3

Files:
  /etc/sysc/sysc.toml                  settings: repository, deployments, runtime
  /etc/containers/registries.conf      registries, mirrors, unqualified names
  /etc/containers/policy.json          what may be pulled
  /var/lib/containers/atomic           deployments, and by default the OSTree repository

Exit status: 0 done; 1 failed, and nothing was changed or left; 2 wrong usage;
3 'status' of a container whose service is not running, 'adopt' with one that runs;
4 a new generation did not do and was taken back; 130 or 143 interrupted.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Install an image as a service: pull it if it is not here yet, and enable its unit
    ///
    /// The service is enabled but not started: configure it first, then `systemctl start NAME`.
    Install(Install),
    /// Stop and disable a service and remove what installing it wrote
    ///
    /// The image stays in the repository, and so does the service's data. Files that were
    /// changed since they were written are kept and named.
    Uninstall(Uninstall),
    /// Update containers: pull, prepare beside what runs, switch, restart what ran
    ///
    /// Values and all that was asked for at installation are kept. A service that does not come up
    /// is taken back to the generation before, and the exit status is 4.
    Update(Update),
    /// Switch to what 'update --stage' has prepared
    Switch(Switch),
    /// Go back to an earlier generation, with its unit, host files and values; twice returns
    ///
    /// Data is never touched. Without NAME, the only container that there is.
    Rollback(Rollback),
    /// Show a container's generations: image, when, why, and what changed
    History(History),
    /// Hold a container's updates off, or let them through again
    Hold(Hold),
    /// Finish or give up what a crash or a power cut left; says nothing where there is nothing
    ///
    /// Every command that changes something does the same first, and sysc-recover.service at boot.
    Recover(Recover),
    /// Fetch an image into the repository without installing it
    Pull(Pull),
    /// Run an image once in the foreground, or a command in a container
    ///
    /// Of a container that runs, the command is run inside. Of one that is stopped, in a copy of
    /// it with the same mounts, in which whatever else it writes is thrown away. Of an image, the
    /// command (or the image's own) runs on a writable root that is thrown away. A container
    /// without a command is started as a service.
    Run(Run),
    /// Run a command in a container; one that is stopped is not started for it
    Exec(Exec),
    /// Show what an image is and what can be set: labels, variables, defaults, files
    Info(Info),
    /// Take over the containers that atomic left on this host, without restarting them
    ///
    /// One whose service runs is left alone, and is taken over at the next boot, or by calling this
    /// again when it is stopped; the exit status is 3 as long as there is one.
    Adopt(Adopt),
    /// Tell what an image's author should look at: errors that an installation would end with, and
    /// advice
    ///
    /// Exit status: 0 no errors, 1 errors (or advice, with --strict).
    Lint(Lint),
    /// Begin an image: a directory with a Containerfile, a program and /exports
    New(New),
    /// List the installed containers
    #[command(visible_alias = "ls")]
    List(Json),
    /// Show a container: image, generation, unit and how its service does
    Status(Status),
    /// Show what a container's service has said: journalctl for its unit
    Logs(Logs),
    /// Images in the repository
    #[command(subcommand)]
    Images(Images),
    /// Show what space is used for: by generation, shared, and what could be freed
    Storage(Json),
    /// Check every object, deployment and file on the host against its checksum
    ///
    /// Exit status 1 when something is damaged. What an administrator changed is told, and no
    /// damage.
    Verify(Verify),
}

/// Options of `sysc install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Name of the container and of its unit, instead of the image's name (and tag, unless it
    /// is `latest`)
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub name: Option<String>,
    /// What the image's variables shall be.
    #[command(flatten)]
    pub values: Values,
    /// The network of an image that does not state it: the host's, or a new one with a loopback
    /// device alone
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "host|private",
        hide_possible_values = true
    )]
    pub network: Network,
    /// Start the service before D-Bus and the network are up
    #[arg(long)]
    pub early: bool,
    /// A folder that stands in for the image's /exports, file by file: the way to give an ordinary
    /// image mounts, capabilities or an environment. Without it, /etc/sysc/NAME/exports, if it is
    /// there
    #[arg(long, value_name = "DIR")]
    pub exports: Option<PathBuf>,
    /// A root file system that is there already, or that of another container; it is used
    /// read-only, and its /exports instead of the image's
    #[arg(long, value_name = "PATH|NAME")]
    pub rootfs: Option<PathBuf>,
    /// The OCI runtime that the unit calls, instead of sysc-runtime
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// Install into the tree of an image build instead of this host: a preinstalled deployment in
    /// its /usr, enabled there
    #[arg(long, value_name = "TREE", conflicts_with_all = ["display", "rootfs"])]
    pub root: Option<PathBuf>,
    /// Show what would be written, and write nothing; the image must have been pulled. Of what is
    /// installed already, show what would change
    #[arg(long)]
    pub display: bool,
    /// The image.
    #[command(flatten)]
    pub from: Source,
}

/// The network of an ordinary image's service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A new one.
    Private,
}

/// Values for the variables of an image.
#[derive(Debug, Default, Args)]
pub struct Values {
    /// Give a variable of the image a value; can be repeated. `sysc info IMAGE` lists them
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Give a variable the content of a file, without its last line end; can be repeated
    #[arg(long, value_name = "NAME=FILE")]
    pub set_file: Vec<String>,
    /// Names that the image does not have are warned of, and no error.
    #[arg(skip)]
    pub lenient: bool,
}

/// Options of `sysc run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Leave the command running in the container
    #[arg(short, long)]
    pub detach: bool,
    /// Name of the container that an image is run as
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub name: Option<String>,
    /// What the image's variables shall be.
    #[command(flatten)]
    pub values: Values,
    /// The OCI runtime, instead of sysc-runtime
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// Who asks the registry.
    #[command(flatten)]
    pub login: Login,
    /// A container, or an image
    #[arg(value_name = "NAME|IMAGE")]
    pub target: String,
    /// What to run, with its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Options of `sysc exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// Leave the command running
    #[arg(short, long)]
    pub detach: bool,
    /// The container
    pub name: String,
    /// What to run, with its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

/// Options of `sysc update`.
#[derive(Debug, Args)]
pub struct Update {
    /// Update every container that is not held; go on after a failure and tell all at the end
    #[arg(long, conflicts_with_all = ["names", "rebase", "set", "set_file"])]
    pub all: bool,
    /// Take this image from now on, instead of a newer one from where the present one came
    #[arg(long, value_name = "IMAGE")]
    pub rebase: Option<String>,
    /// Values that shall be other than they are.
    #[command(flatten)]
    pub values: Values,
    /// Take what is in the repository, and ask no registry
    #[arg(long)]
    pub offline: bool,
    /// Pull and prepare only; 'sysc switch' or the next boot switches
    #[arg(long)]
    pub stage: bool,
    /// Who asks the registry.
    #[command(flatten)]
    pub login: Login,
    /// The containers
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub names: Vec<String>,
}

/// Options of `sysc switch`.
#[derive(Debug, Args)]
pub struct Switch {
    /// The containers; all that have something staged, if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Options of `sysc rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Go to this generation instead of the one before
    #[arg(long, value_name = "GENERATION")]
    pub to: Option<u64>,
    /// The container
    pub name: Option<String>,
}

/// Options of `sysc recover`.
#[derive(Debug, Args)]
pub struct Recover {
    /// The host boots: switch to what is staged, too, and let systemd start what it could not
    /// know of; wait for nothing
    #[arg(long)]
    pub boot: bool,
}

/// Options of `sysc verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Text or JSON.
    #[command(flatten)]
    pub output: Json,
    /// The containers; all, if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Options of `sysc history`.
#[derive(Debug, Args)]
pub struct History {
    /// Text or JSON.
    #[command(flatten)]
    pub output: Json,
    /// The container
    pub name: String,
}

/// Options of `sysc hold`.
#[derive(Debug, Args)]
pub struct Hold {
    /// Let updates through again
    #[arg(long)]
    pub release: bool,
    /// The container
    pub name: String,
}

/// Options of `sysc info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Text or JSON.
    #[command(flatten)]
    pub output: Json,
    /// An image that was pulled, or a container
    pub image: String,
}

/// Options of `sysc lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Advice is an error, too
    #[arg(long)]
    pub strict: bool,
    /// Values to judge the image with.
    #[command(flatten)]
    pub values: Values,
    /// A directory with an image's 'exports', or an image that was pulled
    #[arg(value_name = "DIR|IMAGE")]
    pub target: String,
}

/// Options of `sysc adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// The containers; all that are atomic's, if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Options of `sysc new`.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the image, and of the directory that is made for it
    #[arg(allow_hyphen_values = true)]
    pub name: String,
}

/// Options of `sysc pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The image.
    #[command(flatten)]
    pub from: Source,
}

/// Who asks a registry.
#[derive(Clone, Debug, Default, Args)]
pub struct Login {
    /// User and password for the registry, instead of those in auth.json
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "SYSC_SRC_CREDS",
        hide_env_values = true
    )]
    pub src_creds: Option<String>,
}

/// Where an image comes from.
#[derive(Debug, Args)]
pub struct Source {
    /// Who asks the registry.
    #[command(flatten)]
    pub login: Login,
    /// REGISTRY/REPOSITORY[:TAG][@DIGEST], oci:DIRECTORY[:REF], oci-archive:FILE[:REF],
    /// docker-archive:FILE[:REF], or docker:NAME[:TAG] of an engine on this machine
    pub image: String,
}

/// Options of `sysc uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// The container
    pub name: String,
}

/// Output options of lists.
#[derive(Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `sysc status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Text or JSON.
    #[command(flatten)]
    pub output: Json,
    /// The container
    pub name: String,
}

/// Options of `sysc logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Go on as more is said
    #[arg(short, long)]
    pub follow: bool,
    /// The last N entries alone
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<u64>,
    /// From then on, as journalctl understands it: 'yesterday', '-1h', '2026-01-31 12:00'
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Print JSON, an entry a line
    #[arg(long)]
    pub json: bool,
    /// The container
    pub name: String,
}

/// `sysc images …`
#[derive(Debug, Subcommand)]
pub enum Images {
    /// List the images in the repository; `>` marks those that are installed
    #[command(visible_alias = "ls")]
    List(Json),
    /// Free what nothing needs: layers of images that were replaced, and what cut pulls left
    ///
    /// What a generation that is kept stands on stays.
    Prune,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
