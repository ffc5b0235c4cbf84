//! One file per verb: the tale of what it does, told in calls to the rooms.

mod adopt;
mod atomic;
mod building;
mod choosing;
mod display;
mod hints;
mod history;
mod hold;
mod image_files;
mod images;
mod info;
mod install;
mod lint;
mod list;
mod logs;
mod new;
mod offline;
mod once;
mod pull;
mod recover;
mod rendering;
mod rollback;
mod run;
mod session;
mod status;
mod storage;
mod switch;
mod uninstall;
mod update;
mod values;
mod verify;

use std::process::ExitCode;

pub use atomic::{Asked, understand};

use crate::cli::{Cli, Images, Verb};
use crate::report::Report;
use session::Session;

/// Does what was asked and says with which status to exit.
pub fn run(asked: Asked, report: &Report) -> anyhow::Result<ExitCode> {
    let session = Session::open(report)?;
    match asked {
        Asked::Ours(cli) => ours(*cli, session),
        Asked::Atomic(form) => atomic::run(*form, &session),
    }
}

fn ours(cli: Cli, session: Session) -> anyhow::Result<ExitCode> {
    match cli.verb {
        Verb::Install(options) => install::run(&options, &session),
        Verb::Uninstall(options) => uninstall::run(&options, &session),
        Verb::Update(options) => update::run(&options, &session),
        Verb::Switch(options) => switch::run(&options, &session),
        Verb::Rollback(options) => rollback::run(&options, &session),
        Verb::History(options) => history::run(&options, &session),
        Verb::Hold(options) => hold::run(&options, &session),
        Verb::Recover(options) => recover::run(&options, &session),
        Verb::Pull(options) => pull::run(&options, &session),
        Verb::Info(options) => info::run(&options, &session),
        Verb::Run(options) => run::run(&options, &session),
        Verb::Exec(options) => run::exec(&options, &session),
        Verb::Adopt(options) => adopt::run(&options, &session),
        Verb::Lint(options) => lint::run(&options, &session),
        Verb::New(options) => new::run(&options, &session),
        Verb::List(options) => list::run(&options, &session),
        Verb::Status(options) => status::run(&options, &session),
        Verb::Logs(options) => logs::run(&options, &session),
        Verb::Images(Images::Prune) => storage::prune(&session),
        Verb::Storage(options) => storage::run(&options, &session),
        Verb::Verify(options) => verify::run(&options, &session),
        Verb::Images(Images::List(options)) => images::list(&options, &session),
    }
}
