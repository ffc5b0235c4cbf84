//! Runs the examples of docs/images.md, in the order of the page.
//!
//! A code block's second word says what it is: `file=PATH` puts a file into the image, `install`
//! is a command that renders it, and what follows is compared with the outcome. A new image
//! begins at each section.

use super::*;

const PAGE: &str = include_str!("../../../../docs/images.md");

/// A code block: the section it is in, its second word, its text.
fn blocks() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut blocks = Vec::new();
    let mut section = "";
    let mut rest = PAGE;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        } else if let Some(info) = line.strip_prefix("```") {
            let (text, after) = rest.split_once("```\n").unwrap();
            rest = after;
            let word = info
                .split_once(' ')
                .unwrap_or_else(|| panic!("untested block: {info}"))
                .1;
            blocks.push((section, word, text));
        }
    }
    blocks
}

/// The request of a command as it stands on the page; its words hold no blanks.
fn asked(command: &'static str) -> Ask {
    let mut ask = Ask::new("");
    let mut words = command
        .split_whitespace()
        .skip_while(|word| !word.starts_with("--"));
    while let Some(word) = words.next() {
        match word {
            "--name" => ask.name = words.next().unwrap(),
            "--set" => {
                let (name, value) = parse_set(words.next().unwrap().trim_matches('\'')).unwrap();
                ask.values.insert(name, value);
            }
            image => assert!(words.next().is_none(), "words after {image}"),
        }
    }
    ask.destdir = format!("/var/lib/containers/atomic/{}.0", ask.name);
    ask
}

#[test]
fn every_example_of_the_page_holds() {
    let (mut image, mut section, mut outcome) = (Files::default(), "", None);
    let mut compared = 0;
    for (its_section, word, text) in blocks() {
        if section != its_section {
            (image, section, outcome) = (Files::default(), its_section, None);
        }
        // Run where there are a builder and a registry.
        if word == "build" {
            continue;
        }
        if let Some(path) = word.strip_prefix("file=") {
            image = image.file(path, text);
            continue;
        }
        if word == "install" {
            let ask = asked(text);
            let request = Request {
                serial: 1,
                ..ask.request()
            };
            outcome = Some(render(&image.exports(), &request));
            continue;
        }
        compared += 1;
        let outcome = outcome.as_ref().unwrap();
        if word == "error" {
            let message = match outcome {
                Err(error) => error.to_string(),
                Ok(rendered) => rendered.unknown.as_ref().unwrap().to_string(),
            };
            assert!(
                message.starts_with(text.trim_end()),
                "{section}:\n{message}"
            );
            continue;
        }
        let rendered = outcome
            .as_ref()
            .unwrap_or_else(|error| panic!("{section}: {error}"));
        let found = match word {
            "unit" => rendered.unit.clone().unwrap(),
            "tmpfiles" => rendered.tmpfiles.clone().unwrap(),
            "host-files" => rendered
                .host_files
                .iter()
                .map(|file| format!("{}\n", file.path))
                .collect(),
            word => host_file(rendered, word.strip_prefix("host-file=").unwrap()),
        };
        assert_eq!(found, text, "{section}: {word}");
    }
    assert_eq!(compared, 7, "a comparison was lost");
}

fn host_file(rendered: &Rendered, path: &str) -> String {
    let file = rendered
        .host_files
        .iter()
        .find(|file| file.path == path)
        .unwrap();
    match &file.kind {
        HostFileKind::File(content) => String::from_utf8(content.clone()).unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}
