//! As much of a unit file as sysc has to understand: sections and their assignments
//! (systemd.syntax(7)).

/// A parsed unit file. Assignments keep their order; sections of one name are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnitFile {
    assignments: Vec<Assignment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    section: String,
    key: String,
    value: String,
}

impl UnitFile {
    /// Reads a unit. Lines that are no assignment are passed over, as systemd does with a warning.
    pub fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        let mut section = String::new();
        for line in logical_lines(text) {
            let line = line.trim();
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                section = name.to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                unit.assignments.push(Assignment {
                    section: section.clone(),
                    key: key.trim_end().to_owned(),
                    value: value.trim_start().to_owned(),
                });
            }
        }
        unit
    }

    /// The value of a setting that holds one: the last assignment wins, an empty one unsets it.
    pub fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.values(section, key)
            .last()
            .filter(|value| !value.is_empty())
    }

    /// The values of a setting that collects them: an empty assignment drops those before it.
    pub fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let values: Vec<&str> = self.values(section, key).collect();
        let start = values
            .iter()
            .rposition(|value| value.is_empty())
            .map_or(0, |at| at + 1);
        values[start..].to_vec()
    }

    /// Section and key of every assignment.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.assignments
            .iter()
            .map(|one| (one.section.as_str(), one.key.as_str()))
    }

    fn values(&self, section: &str, key: &str) -> impl Iterator<Item = &str> {
        self.assignments
            .iter()
            .filter(move |one| one.section == section && one.key == key)
            .map(|one| one.value.as_str())
    }
}

/// Lines with their continuations joined by a blank, without comments and empty lines. A comment
/// within a continued line is left out of it; an empty line ends it.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let mut whole = open.take().unwrap_or_default();
        match line.strip_suffix('\\') {
            Some(begun) => {
                whole.push_str(begun);
                whole.push(' ');
                open = Some(whole);
            }
            None => {
                whole.push_str(line);
                lines.push(whole);
            }
        }
    }
    lines.extend(open);
    lines.retain(|line| !line.trim().is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_assignment_wins_and_an_empty_one_unsets() {
        let unit = UnitFile::parse(
            "[Unit]\nType=no\n[Service]\nType = simple\n[Install]\nA=b\n[Service]\nType=notify\n\
             KillMode=none\nKillMode=\nExecStart=/a\nExecStart=\nExecStart=/b\nExecStart=/c d=e\n",
        );
        assert_eq!(unit.last("Service", "Type"), Some("notify"));
        assert_eq!(unit.last("Service", "KillMode"), None);
        assert_eq!(unit.last("Service", "Absent"), None);
        assert_eq!(unit.all("Service", "ExecStart"), ["/b", "/c d=e"]);
        assert_eq!(unit.all("Service", "Absent"), [""; 0]);
    }

    #[test]
    fn comments_and_continued_lines() {
        let unit = UnitFile::parse(
            "# Type=no\n; Type=no\n[Service]\n  # indented\nExecStart=/bin/sh \\\n# inside\n  -c \
             x\nEnvironment=A=1 \\\n\nType=exec\nnonsense\nLast=x \\",
        );
        assert_eq!(unit.last("Service", "ExecStart"), Some("/bin/sh    -c x"));
        assert_eq!(unit.last("Service", "Environment"), Some("A=1"));
        assert_eq!(unit.last("Service", "Type"), Some("exec"));
        assert_eq!(unit.last("Service", "Last"), Some("x"));
    }
}
