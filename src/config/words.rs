//! The words of messages about a configuration.

/// The most characters of a value that are repeated.
const SHOWN: usize = 96;

/// A value of the configuration: in quotes, escaped, cut. A URL is shown as by [`quoted_url`].
pub(super) fn quoted(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    if text.contains("://") {
        return quoted_url(text);
    }
    in_quotes(text)
}

fn in_quotes(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let more = if text.len() > cut.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// A value that should be a URL: as [`quoted`], but for what may be a secret in it (user name and
/// password, query, fragment).
pub(super) fn quoted_url(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (place, secret) = text.split_at_checked(end).unwrap_or((text, ""));
    let (scheme, rest) = match place.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), place),
    };
    let rest = match rest.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => rest.to_owned(),
    };
    let mark = secret
        .chars()
        .next()
        .map_or(String::new(), |mark| format!("{mark}…"));
    in_quotes(&format!("{scheme}{rest}{mark}"))
}

/// The fault of a text that is no JSON, and its place.
pub(super) fn not_json(json: &[u8], error: &serde_json::Error) -> String {
    if std::str::from_utf8(json).is_err() {
        return "bytes that are not UTF-8".to_owned();
    }
    let (line, column) = (error.line(), error.column());
    if error.is_eof() {
        return format!("JSON that ends too early, in line {line}");
    }
    let found = json
        .split(|byte| *byte == b'\n')
        .nth(line.saturating_sub(1));
    let found = found.and_then(|line| line.get(column.saturating_sub(1)));
    let found = match found {
        Some(byte) if byte.is_ascii_graphic() => format!(": `{}`", char::from(*byte)),
        Some(_) | None => String::new(),
    };
    format!("what is no JSON at line {line}, column {column}{found}")
}

/// The one of `known` that a misspelt name is nearest to, if it is near at all.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A long name is nothing misspelt, and the distance takes the product of both lengths.
    if name.len() > 64 {
        return None;
    }
    let name = name.to_ascii_lowercase();
    known
        .map(|known| {
            (
                strsim::osa_distance(&name, &known.to_ascii_lowercase()),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= known.len().div_ceil(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_repeated() {
        for (text, shown) in [
            ("https://a.example/x", "https://a.example/x"),
            ("https://me:pw@a.example/x", "https://…@a.example/x"),
            ("https://me:p@w@a.example/x", "https://…@a.example/x"),
            ("https://a.example/x?token=y#z", "https://a.example/x?…"),
            ("https://a.example/#token=y", "https://a.example/#…"),
            ("me:pw@a.example", "…@a.example"),
            ("/keys?token=y", "/keys?…"),
        ] {
            assert_eq!(quoted_url(text), format!("{shown:?}"));
        }
        assert_eq!(
            quoted("https://me@a.example?x"),
            "\"https://…@a.example?…\""
        );
        assert_eq!(quoted("delete?all"), "\"delete?all\"");
        assert_eq!(quoted("a\n"), "\"a\\n\"");
        assert_eq!(quoted("é".repeat(97)), format!("\"{}\"…", "é".repeat(96)));
    }

    #[test]
    fn a_misspelt_name_is_known() {
        let known = ["issuer", "cluster", "clock_skew_seconds", "tools/call"];
        for (name, meant) in [
            ("isuer", Some("issuer")),
            ("Issuer", Some("issuer")),
            ("clock_skew", None),
            ("clock_skew_second", Some("clock_skew_seconds")),
            ("tool/call", Some("tools/call")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(65), known.into_iter()), None);
    }
}
