//! What the user reads: the only place that prints.
//!
//! An error is one line on stderr and one entry in `--log`. Answers of verbs go to stdout.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use clap::error::ErrorKind;

use crate::cli::{self, Global, LogFormat};
use crate::clock;

/// The file that messages are appended to, if there is one.
#[derive(Clone, Debug)]
pub struct Log {
    path: Option<PathBuf>,
    format: LogFormat,
    debug: bool,
}

impl Log {
    /// As the command line has it.
    pub fn new(global: &Global) -> Log {
        Log {
            path: global.log.clone(),
            format: global.log_format,
            debug: global.debug,
        }
    }

    /// For those who look for the cause of something; only with `--debug`. Without a file it goes
    /// where errors go.
    pub fn debug(&self, message: &str) {
        if !self.debug {
            return;
        }
        match &self.path {
            Some(_) => self.append("debug", message),
            None => eprintln!("{}", self.line("debug", message)),
        }
    }

    fn line(&self, level: &str, message: &str) -> String {
        let time = clock::now();
        match self.format {
            LogFormat::Json => {
                serde_json::json!({"level": level, "msg": message, "time": time}).to_string()
            }
            LogFormat::Text => format!("time={time:?} level={level} msg={message:?}"),
        }
    }

    fn append(&self, level: &str, message: &str) {
        let Some(path) = &self.path else {
            return;
        };
        let line = self.line(level, message);
        // One write, so that lines of several runtimes do not mix. A log that cannot be written
        // must not keep a container from starting.
        let file = File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    }
}

/// Tells why the command failed; the verb's status for that is handed through.
pub fn failure(log: &Log, error: &anyhow::Error, status: u8) -> u8 {
    let message = one_line(error);
    eprintln!("sysc-runtime: error: {message}");
    log.append("error", &message);
    status
}

/// Something that went wrong without stopping the command.
pub fn warning(log: &Log, message: &str) {
    eprintln!("sysc-runtime: warning: {message}");
    log.append("warning", message);
}

/// Tells what is wrong with the command line, or prints the help that was asked for.
pub fn usage(error: &clap::Error) -> u8 {
    if error.kind() == ErrorKind::DisplayVersion {
        answer(&cli::version(std::env::args_os().next()));
        return 0;
    }
    // Nothing can be done about a closed stream.
    let _ = error.print();
    match error.use_stderr() {
        true => 1,
        false => 0,
    }
}

/// Prints an answer.
pub fn answer(text: &str) {
    println!("{text}");
}

/// Prints one of many answers; fails when nobody reads them any more.
pub fn tell(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush())
}

/// Prints a list in columns; the first row is the heading.
pub fn table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", cells.join("   ").trim_end());
    }
}

/// The error and its causes, outermost first.
fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line() {
        let error = anyhow::anyhow!("no such\nfile").context("cannot run 'x'");
        assert_eq!(one_line(&error), "cannot run 'x': no such file");
    }

    #[test]
    fn the_log_is_json_where_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let log = Log {
            path: Some(path.clone()),
            format: LogFormat::Json,
            debug: false,
        };
        log.debug("unseen");
        log.append("error", "it \"failed\"");
        let line: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(line["msg"], "it \"failed\"");
        assert_eq!(line["level"], "error");
    }
}
