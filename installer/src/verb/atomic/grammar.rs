//! The command line of atomic, as people's scripts and fingers know it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// atomic's command line, understood by sysc
///
/// The verbs do what they did with system containers. 'sysc --help' has what is new.
#[derive(Debug, Parser)]
#[command(
    name = "atomic",
    version,
    disable_version_flag = true,
    max_term_width = 100
)]
pub struct Atomic {
    /// Take every question for answered with yes.
    #[arg(short = 'y', long, global = true)]
    pub assumeyes: bool,
    /// Accepted, without effect.
    #[arg(long, global = true)]
    pub debug: bool,
    /// Accepted, without effect.
    #[arg(short, long, global = true)]
    pub ignore: bool,
    /// Show the version.
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub version: (),
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Its verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Fetch an image.
    Pull {
        /// Where it is kept.
        #[command(flatten)]
        storage: Storage,
        /// User and password of the registry.
        #[arg(long)]
        src_creds: Option<String>,
        /// Accepted, without effect.
        #[arg(short = 't', long = "type")]
        kind: Option<String>,
        /// The image.
        image: String,
    },
    /// Install an image.
    Install(Install),
    /// Start a container, or run a command.
    Run(Run),
    /// Stop a container.
    Stop {
        /// The container.
        name: String,
    },
    /// Remove a container.
    Uninstall {
        /// Where its image is kept.
        #[command(flatten)]
        storage: Storage,
        /// Accepted, without effect.
        #[arg(short, long)]
        force: bool,
        /// The container.
        name: String,
    },
    /// Containers.
    #[command(subcommand)]
    Containers(Containers),
    /// `containers list`.
    Ps(List),
    /// Images.
    #[command(subcommand)]
    Images(Images),
    /// Fetch newer images, or bring containers to the image that is here.
    Update {
        /// Accepted, without effect.
        #[arg(short, long)]
        force: bool,
        /// Every image.
        #[arg(short, long)]
        all: bool,
        /// Where they are kept.
        #[command(flatten)]
        storage: Storage,
        /// Images or containers.
        names: Vec<String>,
    },
    /// Labels and variables of an image.
    Info(Image),
    /// The version label of an image.
    Version(Image),
    /// Whether what is stored of an image is whole.
    Verify(Image),
    /// Mount the files of a container or an image.
    Mount {
        /// Mount options.
        #[arg(short, long)]
        options: Option<String>,
        /// Not possible.
        #[arg(long)]
        live: bool,
        /// Accepted: such a mount is always shared and read-only.
        #[arg(long)]
        shared: bool,
        /// Where the image is kept.
        #[command(flatten)]
        storage: Storage,
        /// A container or an image.
        target: String,
        /// An empty directory.
        dir: PathBuf,
    },
    /// Undo a mount.
    #[command(visible_alias = "unmount")]
    Umount {
        /// The directory.
        dir: PathBuf,
    },
    /// Anything else.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// `install`.
#[derive(Debug, Args)]
pub struct Install {
    /// Where the image is kept.
    #[command(flatten)]
    pub storage: Storage,
    /// As a system container, which every image is.
    #[arg(long)]
    pub system: bool,
    /// For a user.
    #[arg(long, conflicts_with = "system")]
    pub user: bool,
    /// Name of the container.
    #[arg(short, long)]
    pub name: Option<String>,
    /// Values.
    #[arg(long)]
    pub set: Vec<String>,
    /// A root file system that is there already.
    #[arg(long)]
    pub rootfs: Option<PathBuf>,
    /// The OCI runtime.
    #[arg(long)]
    pub runtime: Option<PathBuf>,
    /// An RPM of the host files.
    #[arg(long, value_parser = ["auto", "build", "no", "yes"])]
    pub system_package: Option<String>,
    /// Show only.
    #[arg(long)]
    pub display: bool,
    /// The image.
    pub image: String,
    /// Read and without effect for system containers.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the image is kept.
    #[command(flatten)]
    pub storage: Storage,
    /// Values.
    #[arg(long)]
    pub set: Vec<String>,
    /// The OCI runtime.
    #[arg(long)]
    pub runtime: Option<PathBuf>,
    /// Name of the container.
    #[arg(short, long)]
    pub name: Option<String>,
    /// Leave it running.
    #[arg(short, long)]
    pub detach: bool,
    /// A container or an image.
    pub target: String,
    /// What to run.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `containers …`.
#[derive(Debug, Subcommand)]
pub enum Containers {
    /// List them.
    #[command(visible_alias = "ls")]
    List(List),
    /// Remove them.
    Delete {
        /// Accepted, without effect: a container that runs is stopped.
        #[arg(short, long)]
        force: bool,
        /// All of them.
        #[arg(short, long)]
        all: bool,
        /// Where their images are kept.
        #[command(flatten)]
        storage: Storage,
        /// The containers.
        names: Vec<String>,
    },
    /// Bring containers to the image that is here.
    Update(Update),
    /// Go back to the generation before.
    Rollback {
        /// The container.
        name: String,
    },
    /// Remove what crashes left.
    Trim,
}

/// `containers update`.
#[derive(Debug, Default, Args)]
pub struct Update {
    /// All of them.
    #[arg(short, long, conflicts_with_all = ["set", "rebase"])]
    pub all: bool,
    /// Values.
    #[arg(long)]
    pub set: Vec<String>,
    /// Another image, which is pulled.
    #[arg(long)]
    pub rebase: Option<String>,
    /// The containers.
    #[arg(required_unless_present = "all")]
    pub names: Vec<String>,
}

/// Options of lists.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are switches of a command line"
)]
pub struct List {
    /// Those that do not run, too; layers of images, too.
    #[arg(short, long)]
    pub all: bool,
    /// `KEY=TEXT`.
    #[arg(short, long)]
    pub filter: Vec<String>,
    /// JSON.
    #[arg(long)]
    pub json: bool,
    /// No first line.
    #[arg(short, long)]
    pub noheading: bool,
    /// Whole values.
    #[arg(long)]
    pub no_trunc: bool,
    /// Ids alone.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `images …`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// List them.
    #[command(visible_alias = "ls")]
    List(List),
    /// Give up images.
    Delete {
        /// Also those that are in use.
        #[arg(short, long)]
        force: bool,
        /// All of them.
        #[arg(short, long)]
        all: bool,
        /// Where they are kept.
        #[command(flatten)]
        storage: Storage,
        /// Names, or beginnings of ids.
        images: Vec<String>,
    },
    /// Give an image another name.
    Tag {
        /// Where it is kept.
        #[command(flatten)]
        storage: Storage,
        /// The image.
        source: String,
        /// Its further name.
        target: String,
    },
    /// Remove what no image and no container needs.
    Prune,
    /// Whether what is stored of an image is whole.
    Verify(Image),
    /// Fetch newer ones.
    Update {
        /// Accepted, without effect.
        #[arg(short, long)]
        force: bool,
        /// All of them.
        #[arg(short, long)]
        all: bool,
        /// Where they are kept.
        #[command(flatten)]
        storage: Storage,
        /// The images.
        images: Vec<String>,
    },
    /// Labels and variables of an image.
    Info(Image),
    /// The version label of an image.
    Version(Image),
}

/// An image that is here.
#[derive(Debug, Args)]
pub struct Image {
    /// Where it is kept.
    #[command(flatten)]
    pub storage: Storage,
    /// The image.
    pub image: String,
}

/// `--storage`: there is but one here.
#[derive(Debug, Args)]
pub struct Storage {
    /// Where the image is kept.
    #[arg(long)]
    pub storage: Option<String>,
}
