//! `WWW-Authenticate` (RFC 9110 §11.6.1), read strictly, and as each client reads it.

/// One challenge of a header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// One parameter of a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) quoted: bool,
}

impl Challenge {
    /// The parameter of that name in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        let found = all.find(|one| one.name.eq_ignore_ascii_case(name))?;
        Some(&found.value)
    }
}

/// The challenges of one line, by the grammar of RFC 9110 §11; `None` if it has errors.
pub(crate) fn parse(line: &str) -> Option<Vec<Challenge>> {
    let mut rest = line.trim();
    let mut challenges: Vec<Challenge> = Vec::new();
    while !rest.is_empty() {
        let name;
        (name, rest) = token(rest)?;
        let after = rest.trim_start();
        if let Some(value) = after.strip_prefix('=').filter(|_| !challenges.is_empty()) {
            let (value, quoted, more) = parameter_value(value.trim_start())?;
            let name = name.to_owned();
            let parameter = Parameter {
                name,
                value,
                quoted,
            };
            challenges.last_mut()?.parameters.push(parameter);
            rest = more;
        } else {
            let is_alone = after.is_empty() || after.starts_with(',');
            // A scheme is followed by a space, or ends there.
            if !is_alone && !rest.starts_with(' ') {
                return None;
            }
            challenges.push(Challenge {
                scheme: name.to_owned(),
                parameters: Vec::new(),
            });
            rest = after;
            if !is_alone {
                continue;
            }
        }
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start_matches([',', ' ', '\t']),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    (!challenges.is_empty()).then_some(challenges)
}

/// A token of RFC 9110 §5.6.2, and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn parameter_value(text: &str) -> Option<(String, bool, &str)> {
    let Some(inside) = text.strip_prefix('"') else {
        let (value, rest) = token(text)?;
        return Some((value.to_owned(), false, rest));
    };
    let (value, rest) = unquote(inside)?;
    Some((value, true, rest))
}

/// The text up to the closing quote, without the backslashes before its characters.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// As the Python and TypeScript SDKs read it: `name=` anywhere in the line, then a quoted string
/// without escapes, or all up to a space or a comma.
pub(crate) fn parameter_anywhere(line: &str, name: &str) -> Option<String> {
    let key = format!("{name}=");
    line.match_indices(&key).find_map(|(at, _)| {
        let value = line.get(at..)?.strip_prefix(&key)?;
        let quoted = value
            .strip_prefix('"')
            .and_then(|inside| inside.split_once('"'));
        if let Some((inside, _)) = quoted.filter(|(inside, _)| !inside.is_empty()) {
            return Some(inside.to_owned());
        }
        let end = value
            .find(|c: char| c.is_whitespace() || c == ',')
            .unwrap_or(value.len());
        let bare = value.get(..end)?;
        (!bare.is_empty()).then(|| bare.to_owned())
    })
}

/// As the Rust SDK reads it: the name in any case, anywhere; a quoted string with escapes.
pub(crate) fn parameter_with_escapes(line: &str, name: &str) -> Option<String> {
    let key = format!("{name}=");
    let at = line.to_ascii_lowercase().find(&key)?;
    let value = line.get(at.saturating_add(key.len())..)?.trim_start();
    if let Some(inside) = value.strip_prefix('"') {
        return Some(unquote(inside)?.0);
    }
    let end = value
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | ';'))
        .unwrap_or(value.len());
    let bare = value.get(..end)?;
    (!bare.is_empty()).then(|| bare.to_owned())
}

/// Whether the TypeScript SDK takes the header for a challenge at all: its first word has to be one
/// of the schemes that it knows, with something behind a space.
pub(crate) fn begins_with(header: &str, schemes: &[&str]) -> bool {
    let mut words = header.split(' ');
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    schemes
        .iter()
        .any(|scheme| first.eq_ignore_ascii_case(scheme))
        && !second.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        let one = parse(r#"Bearer resource_metadata="https://a.example/x", scope="a b""#).unwrap();
        assert_eq!(one[0].scheme, "Bearer");
        assert_eq!(one[0].get("resource_metadata"), Some("https://a.example/x"));
        assert_eq!(one[0].get("SCOPE"), Some("a b"));
        let two = parse(r#"Basic realm="x", Bearer error="a\"b""#).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(two[1].get("error"), Some("a\"b"));
        assert_eq!(parse("Negotiate, Bearer").unwrap().len(), 2);
        for wrong in [
            "",
            "Bearer resource_metadata=http://a.example/x",
            "Bearer realm=\"x",
            "Bearer realm=\"x\" scope=\"a\"",
            "realm=\"x\"",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn as_clients_read() {
        let line = r#"Bearer x_scope="no", scope="a b", resource_metadata=http://a.example/x"#;
        assert_eq!(parameter_anywhere(line, "scope").unwrap(), "no");
        let url = parameter_anywhere(line, "resource_metadata");
        assert_eq!(url.unwrap(), "http://a.example/x");
        assert_eq!(parameter_anywhere("Bearer", "scope"), None);
        let escaped = parameter_with_escapes(r#"Bearer Scope="a\"b""#, "scope");
        assert_eq!(escaped.unwrap(), "a\"b");
        assert!(begins_with("bearer realm", &["bearer"]));
        assert!(!begins_with("Bearer", &["bearer"]));
        assert!(!begins_with("Basic realm=\"x\", Bearer y", &["bearer"]));
    }
}
