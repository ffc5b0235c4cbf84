//! Differences between two texts, for people and for `patch`.

use similar::TextDiff;

/// A unified diff of the file `path`; `None` when nothing changed.
pub fn diff(path: &str, before: &str, after: &str) -> Option<String> {
    if before == after {
        return None;
    }
    let from = if before.is_empty() { "/dev/null" } else { path };
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(from, path).to_string();
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::diff;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        assert_eq!(diff("a", "1\n2\n", "1\n2\n"), None);
        let text = diff("/etc/a", "1\n2\n3\n", "1\nx\n3\n").unwrap();
        assert_eq!(
            text,
            "--- /etc/a\n+++ /etc/a\n@@ -1,3 +1,3 @@\n 1\n-2\n+x\n 3"
        );
        assert!(
            diff("/etc/a", "", "x\n")
                .unwrap()
                .starts_with("--- /dev/null\n")
        );
    }
}
