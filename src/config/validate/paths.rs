//! Paths in the manner of other products, which could only ever stand for themselves here.

/// Says what to write instead of a path with a wildcard, a regular expression, a variable of another
/// product, or several paths; `None` for a path that has nothing of that.
pub(super) fn instead(path: &str) -> Option<String> {
    let mut before = String::new();
    let mut segments = path.split('/').skip(1);
    while let Some(segment) = segments.next() {
        if let Some(name) = segment.strip_prefix([':', '$']) {
            let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
            let name = name.to_ascii_lowercase();
            let name = if name.is_empty() { "name" } else { &name };
            return Some(format!("write {{{name}}} for one segment"));
        }
        if segment.ends_with(',') {
            return Some("give each path a resource of its own".to_owned());
        }
        if !is_expression(segment) {
            before.push('/');
            before.push_str(segment);
            continue;
        }
        if segments.any(|more| more.contains(|c: char| c.is_ascii_alphanumeric())) {
            return Some("write {name} for one segment that may be anything".to_owned());
        }
        let start = segment.split(['*', '(', '$']).next().unwrap_or_default();
        let start = start.trim_end_matches(['.', '+']);
        if !start.is_empty() {
            before.push('/');
            before.push_str(start);
        }
        let path = if before.is_empty() { "/" } else { &before };
        return Some(format!("write {path} for it and all below it"));
    }
    None
}

/// `true` if a segment is a glob or a regular expression elsewhere.
fn is_expression(segment: &str) -> bool {
    segment.contains('*')
        || segment.contains(".+")
        || segment.starts_with('(')
        || segment.ends_with('(')
        || segment.ends_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_write_instead_is_said() {
        for (path, expected) in [
            ("/*", "write / for it and all below it"),
            ("/**", "write / for it and all below it"),
            ("/.*", "write / for it and all below it"),
            ("/.+", "write / for it and all below it"),
            ("/(.*)", "write / for it and all below it"),
            ("/mcp*", "write /mcp for it and all below it"),
            ("/mcp/*", "write /mcp for it and all below it"),
            ("/mcp/**", "write /mcp for it and all below it"),
            ("/mcp/.*", "write /mcp for it and all below it"),
            ("/mcp(.*)", "write /mcp for it and all below it"),
            ("/mcp(/.*)", "write /mcp for it and all below it"),
            ("/mcp$", "write /mcp for it and all below it"),
            (
                "/a/*/mcp",
                "write {name} for one segment that may be anything",
            ),
            ("/:tenant/mcp", "write {tenant} for one segment"),
            ("/$tenant/mcp", "write {tenant} for one segment"),
            ("/mcp/:id(.*)", "write {id} for one segment"),
            ("/mcp,/sse", "give each path a resource of its own"),
        ] {
            assert_eq!(instead(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn plain_paths_are_left_alone() {
        for path in [
            "/",
            "/mcp",
            "/mcp/",
            "/{tenant}/mcp",
            "/@scope/mcp",
            "/v1/projects:list",
            "/Products(1)",
            "/c++",
            "/a,b",
            "/~me/mcp",
            "/mcp.v2",
            "/a'b",
            "/a=b",
        ] {
            assert_eq!(instead(path), None, "{path}");
        }
    }
}
