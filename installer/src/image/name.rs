//! The grammar of image names (distribution's reference grammar), and names made from them.

/// Longest repository that registries take.
const MAX_REPOSITORY: usize = 255;

/// `host[:port]` with a DNS name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest
                .split_once(']')
                .ok_or(format!("'{registry}' lacks its ']'"))?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("'{address}' is not an IPv6 address"));
            }
            return check_port(port.strip_prefix(':'), port.is_empty());
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let good = |label: &str| {
        let inner = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if !host.split('.').all(good) {
        return Err(format!("'{}' is not a host name", host.escape_debug()));
    }
    check_port(port, port.is_none())
}

fn check_port(port: Option<&str>, absent: bool) -> Result<(), String> {
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    match port {
        Some(port) if digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        None if absent => Ok(()),
        _ => Err("the port is not a number from 1 to 65535".to_owned()),
    }
}

/// Components of lower-case letters and digits, separated inside by `.`, `_`, `__` or `-`s.
pub(super) fn check_repository(repository: &str) -> Result<(), String> {
    if repository.len() > MAX_REPOSITORY {
        return Err(format!(
            "the name has more than {MAX_REPOSITORY} characters"
        ));
    }
    repository.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), String> {
    let shown = component.escape_debug();
    if component.is_empty() {
        return Err("a part of the name is empty".to_owned());
    }
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component
        .chars()
        .all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
    {
        return Err(format!(
            "'{shown}' has other than lower-case letters, digits, '.', '_', '-'"
        ));
    }
    if !component.starts_with(alphanumeric) || !component.ends_with(alphanumeric) {
        return Err(format!(
            "'{shown}' must begin and end with a letter or a digit"
        ));
    }
    let separator =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.chars().all(|c| c == '-');
    if !component.split(alphanumeric).all(separator) {
        return Err(format!(
            "'{shown}' has a separator other than '.', '_', '__' or '-'"
        ));
    }
    Ok(())
}

/// Up to 128 letters, digits, `_`, `.` and `-`, neither of the last two first.
pub(super) fn check_tag(tag: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let first = !tag.is_empty() && !tag.starts_with(['.', '-']);
    if first && tag.len() <= 128 && tag.chars().all(good) {
        Ok(())
    } else {
        Err(format!("'{}' is not a tag", tag.escape_debug()))
    }
}

/// The last part of an image's name, plus `-TAG` when the tag is not `latest`; the digest goes.
pub(super) fn container_name(image: &str) -> String {
    let (tagged, _digest) = image.split_once('@').unwrap_or((image, ""));
    let last = tagged.rsplit('/').next().unwrap_or(tagged);
    match last.split_once(':') {
        Some((base, tag)) if tag != "latest" => format!("{base}-{tag}"),
        Some((base, _latest)) => base.to_owned(),
        None => last.to_owned(),
    }
}

/// A name for an image that brings none, from its file's name: what no name may hold becomes `-`.
pub(super) fn from_file_name(file: &str) -> String {
    let ends = [".tar.gz", ".tar.zst", ".tar", ".tgz"];
    let stem = ends
        .iter()
        .find_map(|end| file.strip_suffix(end))
        .unwrap_or(file);
    let mut name = String::new();
    for c in stem.to_lowercase().chars() {
        let good = c.is_ascii_lowercase() || c.is_ascii_digit();
        match c {
            _ if good => name.push(c),
            '.' | '_' | '-' if ends_alphanumeric(&name) => name.push(c),
            _ if ends_alphanumeric(&name) => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_end_matches(['.', '_', '-']);
    if name.is_empty() {
        "image".to_owned()
    } else {
        name.to_owned()
    }
}

fn ends_alphanumeric(name: &str) -> bool {
    name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_become_repositories() {
        for (file, name) in [
            ("etcd.tar", "etcd"),
            ("Etcd 3.5 (final).tar.gz", "etcd-3.5-final"),
            ("..", "image"),
            ("a__b", "a_b"),
            ("layout", "layout"),
        ] {
            assert_eq!(from_file_name(file), name, "{file}");
            check_repository(&from_file_name(file)).unwrap();
        }
    }
}
