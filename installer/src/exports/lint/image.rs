//! Rules for the image's own configuration.

use super::super::image_config::ImageConfig;
use super::{Finding, Subject};

/// What `sysc info` shows to people who choose among images.
const LABELS: [&str; 3] = ["name", "summary", "version"];

pub(super) fn labels(subject: &Subject) -> Vec<Finding> {
    let Some(Ok(config)) = subject.image_config.map(ImageConfig::parse) else {
        return Vec::new();
    };
    let missing: Vec<_> = LABELS
        .into_iter()
        .filter(|label| !config.labels.contains_key(*label))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let message = format!("the image has no label {}", missing.join(", "));
    vec![Finding::advice(
        "label",
        message,
        "add it with LABEL in the Containerfile",
    )]
}
