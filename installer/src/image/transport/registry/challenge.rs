//! `WWW-Authenticate` headers (RFC 9110, section 11.6.1): which kind of credentials a server
//! wants.

/// What to answer a 401 with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The first challenge that can be met, Bearer before Basic.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let all: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = all
        .iter()
        .find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(all.first()).cloned()
}

fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let (value, after) = take_value(value);
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                after
            }
            None => {
                challenges.push((word.to_ascii_lowercase(), Vec::new()));
                after
            }
        }
        .trim_start_matches([' ', ',']);
    }
    challenges
        .into_iter()
        .filter_map(|(scheme, parameters)| known(&scheme, &parameters))
        .collect()
}

/// A quoted string or a token, and what stands behind it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

fn known(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |key: &str| {
        parameters
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
    };
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            let realm = get("realm")?;
            Some(Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope"),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (service, scope) = (owned(service), owned(scope));
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service,
            scope,
        })
    }

    #[test]
    fn headers_are_understood() {
        for (header, want) in [
            (r#"Basic realm="x""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                r#"Bearer realm="https://a/t",service="s",scope="repository:a:pull,push""#,
                bearer("https://a/t", Some("s"), Some("repository:a:pull,push")),
            ),
            (
                r#"Basic realm="x", Bearer realm=https://a/t"#,
                bearer("https://a/t", None, None),
            ),
            (
                r#"Bearer realm="a\"b", service = "#,
                bearer("a\"b", None, None),
            ),
            ("Negotiate, Bearer", None),
            ("", None),
            ("===\"", None),
        ] {
            assert_eq!(choose([header].into_iter()), want, "{header}");
        }
    }
}
