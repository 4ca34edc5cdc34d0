//! How clients compare `resource` of the metadata with the URL that they were given.

use url::Url;

/// One way to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// The same URL after normalisation, query included (VS Code).
    Exact,
    /// The same text but for a slash at the end of a bare origin (Claude, Gemini CLI).
    Text,
    /// The same origin, and its path is the URL's or above it, a trailing slash aside (Python SDK).
    PrefixAnySlash,
    /// The same origin, and its path is no longer than the URL's and above it (TypeScript SDK).
    Prefix,
    /// The same origin, and its path is the URL's or a segment above it (Rust SDK).
    Segments,
}

/// Why the client takes `resource` for another one's, if it does.
pub(crate) fn differs(comparison: Comparison, url: &Url, resource: &str) -> Option<String> {
    let refused = || Some(format!("resource {resource} is not {url} for it"));
    let Ok(parsed) = resource.parse::<Url>() else {
        return refused();
    };
    let same_origin = url.origin() == parsed.origin();
    let slashed = |path: &str| format!("{}/", path.trim_end_matches('/'));
    let (requested, configured) = (url.path(), parsed.path());
    let fits = match comparison {
        Comparison::Exact => {
            let mut bare = url.clone();
            bare.set_fragment(None);
            bare == parsed
        }
        Comparison::Text => {
            let trimmed = |text: &str| match text.parse::<Url>() {
                Ok(url) if url.path() == "/" => text.trim_end_matches('/').to_owned(),
                Ok(_) | Err(_) => text.to_owned(),
            };
            trimmed(url.as_str()) == trimmed(resource)
        }
        Comparison::PrefixAnySlash => {
            same_origin && slashed(requested).starts_with(&slashed(configured))
        }
        Comparison::Prefix => {
            same_origin
                && requested.len() >= configured.len()
                && slashed(requested).starts_with(&slashed(configured))
        }
        Comparison::Segments => {
            let follows = requested.strip_prefix(configured).is_some_and(|rest| {
                rest.is_empty() || configured.ends_with('/') || rest.starts_with('/')
            });
            same_origin && parsed.fragment().is_none() && follows
        }
    };
    if fits { None } else { refused() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_compares_in_its_own_way() {
        use Comparison::{Exact, Prefix, PrefixAnySlash, Segments, Text};
        let all = [Exact, Text, PrefixAnySlash, Prefix, Segments];
        for (resource, fits) in [
            ("https://a.example/mcp", "12345"),
            ("https://a.example/mcp/", "3"),
            ("https://a.example", "345"),
            ("https://a.example/", "345"),
            ("HTTPS://A.example:443/mcp", "1345"),
            ("https://a.example/mc", ""),
            ("https://a.example/mcp/x", ""),
            ("http://a.example/mcp", ""),
            ("https://localhost/mcp", ""),
            ("/mcp", ""),
            ("", ""),
        ] {
            let url = "https://a.example/mcp".parse().unwrap();
            let found: String = all
                .iter()
                .zip('1'..)
                .filter(|(one, _)| differs(**one, &url, resource).is_none())
                .map(|(_, number)| number)
                .collect();
            assert_eq!(found, fits, "{resource}");
        }
    }
}
