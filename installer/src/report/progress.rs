//! The progress of a pull: bars on a terminal, a line for each event elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Report;
use crate::image::{Digest, Layer};

/// The display of one pull.
#[derive(Debug)]
pub struct PullProgress {
    report: Report,
    bars: Option<MultiProgress>,
}

/// The display of one layer that is on its way.
#[derive(Debug)]
pub struct LayerProgress {
    bar: Option<ProgressBar>,
}

impl PullProgress {
    pub(super) fn new(report: Report, terminal: bool) -> Self {
        Self {
            report,
            bars: terminal.then(MultiProgress::new),
        }
    }

    /// A line above the bars.
    pub fn note(&self, text: &str) {
        match &self.bars {
            // A terminal that cannot be written to shows nothing; the pull goes on.
            Some(bars) => drop(bars.println(text)),
            None => self.report.note(text),
        }
    }

    /// A layer begins.
    pub fn layer(&self, layer: &Layer) -> LayerProgress {
        let Some(bars) = &self.bars else {
            self.note(&format!(
                "Pulling layer {} ({})",
                layer.digest.hex(),
                size(layer.size)
            ));
            return LayerProgress { bar: None };
        };
        let bar = bars.add(ProgressBar::new(layer.size).with_style(style()));
        bar.set_prefix(layer.digest.short().to_owned());
        LayerProgress { bar: Some(bar) }
    }

    /// A layer that is in the repository already.
    pub fn present(&self, digest: &Digest) {
        if let Some(bars) = &self.bars {
            drop(bars.println(format!("{}  already here", digest.short())));
        }
    }
}

impl LayerProgress {
    /// A handle that counts bytes as they come.
    pub fn counter(&self) -> Box<dyn FnMut(u64) + Send> {
        match self.bar.clone() {
            Some(bar) => Box::new(move |bytes| bar.inc(bytes)),
            None => Box::new(|_| {}),
        }
    }

    /// The layer is in the repository.
    pub fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{prefix}  {bar:30} {bytes:>10} / {total_bytes:<10} {bytes_per_sec}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A number of bytes for people: `512 B`, `1.5 MB` (powers of ten, as disks are sold).
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_for_people() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1500, "1.5 kB"),
            (999_960, "1.0 MB"),
            (173_000_000, "173.0 MB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }
}
