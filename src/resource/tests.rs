//! Whom a request is for.

use serde_json::json;

use super::*;
use crate::config::Config;

fn config(resources: serde_json::Value) -> Config {
    let config = json!({
        "issuers": [{"issuer": "https://auth.example.com", "cluster": "auth"}],
        "resources": resources,
    });
    Config::parse(config.to_string().as_bytes()).unwrap()
}

fn routed(config: &Config, path: &str, host: &str) -> String {
    match config
        .resources
        .route(path.as_bytes(), Authority::Present(host.as_bytes()))
    {
        Route::Foreign => "foreign".to_owned(),
        Route::Metadata(id, _) => format!("metadata {}", id.0),
        Route::Mirror(id, Some(_)) => format!("mirror {}", id.0),
        Route::Mirror(id, None) => format!("nothing {}", id.0),
        Route::Protected(id, _) => format!("protected {}", id.0),
        Route::Unclear(id, reason) => format!("{} {}", reason.label(), id.0),
    }
}

#[test]
fn one_resource_has_its_path_and_two_places_of_metadata() {
    let config = config(json!([{"resource": "https://mcp.example.com/mcp"}]));
    for (path, expected) in [
        ("/mcp", "protected 0"),
        (
            "/mcp?x=/.well-known/oauth-protected-resource",
            "protected 0",
        ),
        ("/mcp/", "protected 0"),
        ("/mcp/messages", "protected 0"),
        ("/mcpx", "foreign"),
        ("/", "foreign"),
        ("/health", "foreign"),
        ("/.well-known/oauth-protected-resource/mcp", "metadata 0"),
        ("/.well-known/oauth-protected-resource/mcp/", "metadata 0"),
        (
            "/.well-known/oauth-protected-resource/mcp?x=1",
            "metadata 0",
        ),
        ("/.well-known/oauth-protected-resource", "metadata 0"),
        ("/.well-known/oauth-protected-resource/", "metadata 0"),
        ("/.well-known/oauth-protected-resource/other", "foreign"),
        ("/.well-known/oauth-protected-resource/mcp/x", "foreign"),
        ("/mcp/.well-known/oauth-protected-resource", "protected 0"),
        ("/x/../mcp", "path_ambiguous 0"),
        ("//mcp", "path_ambiguous 0"),
        ("/MCP", "path_ambiguous 0"),
        ("/static/a%2fb", "foreign"),
    ] {
        assert_eq!(routed(&config, path, "any.example"), expected, "{path}");
    }
}

#[test]
fn a_suffix_is_the_resources_own_unless_another_has_it() {
    let one = config(json!([{"resource": "https://mcp.example.com/mcp"}]));
    assert_eq!(routed(&one, "/mcp.json", ""), "protected 0");
    assert_eq!(routed(&one, "/assets/mcp.js", ""), "foreign");
    let several = config(json!([
        {"resource": "https://mcp.example.com/mcp"},
        {"resource": "https://mcp.example.com/mcp/admin"},
        {"resource": "https://mcp.example.com/mcp.json"},
    ]));
    for (path, expected) in [
        ("/mcp.html", "protected 0"),
        ("/mcp.html/admin", "path_ambiguous 0"),
        ("/mcp/admin.json", "path_ambiguous 0"),
        ("/mcp.json/x", "protected 2"),
        ("/.well-known/oauth-protected-resource/mcp.html", "foreign"),
    ] {
        assert_eq!(routed(&several, path, ""), expected, "{path}");
    }
}

#[test]
fn of_several_resources_the_most_specific_wins() {
    let config = config(json!([
        {"resource": "https://mcp.example.com"},
        {"resource": "https://mcp.example.com/a"},
        {"resource": "https://mcp.example.com/a/b"},
        {"resource": "https://mcp.example.com/t/{tenant}/mcp"},
    ]));
    for (path, expected) in [
        ("/", "protected 0"),
        ("/x", "protected 0"),
        ("/a", "protected 1"),
        ("/a/x", "protected 1"),
        ("/a/b/c", "protected 2"),
        ("/t/acme/mcp", "protected 3"),
        ("/t/acme", "protected 0"),
        ("/a/B", "path_ambiguous 2"),
        ("/.well-known/oauth-protected-resource", "metadata 0"),
        ("/.well-known/oauth-protected-resource/a/b", "metadata 2"),
        (
            "/.well-known/oauth-protected-resource/t/acme/mcp",
            "metadata 3",
        ),
        ("/.well-known/oauth-protected-resource/x", "protected 0"),
    ] {
        assert_eq!(routed(&config, path, "any.example"), expected, "{path}");
    }
}

#[test]
fn hosts_tell_resources_apart_and_a_malformed_host_is_refused() {
    let config = config(json!([
        {"resource": "https://a.example/mcp", "hosts": ["a.example"]},
        {"resource": "https://b.example/mcp", "hosts": ["b.example"]},
    ]));
    for (path, host, expected) in [
        ("/mcp", "a.example", "protected 0"),
        ("/mcp", "B.example:443", "protected 1"),
        ("/mcp", "c.example", "foreign"),
        ("/mcp", "", "host_invalid 0"),
        ("/mcp", "a.example@b.example", "host_invalid 0"),
        ("//mcp", "b.example", "path_ambiguous 1"),
        ("/health", "", "foreign"),
        (
            "/.well-known/oauth-protected-resource/mcp",
            "b.example",
            "metadata 1",
        ),
        (
            "/.well-known/oauth-protected-resource",
            "b.example",
            "foreign",
        ),
    ] {
        assert_eq!(routed(&config, path, host), expected, "{path} {host}");
    }
}

#[test]
fn metadata_follows_the_request() {
    let config = config(json!([{
        "resource": "https://mcp.example.com/t/{tenant}/mcp",
        "scopes": ["mcp:read"],
        "name": "Memory of \"{tenant}\"",
        "documentation": "https://docs.example.com",
    }]));
    let path = b"/.well-known/oauth-protected-resource/t/acme/mcp";
    let Route::Metadata(id, bindings) = config.resources.route(path, Authority::NotRead) else {
        panic!("the path is that of the metadata");
    };
    let metadata = &config.resource(id).unwrap().metadata;
    assert_eq!(
        metadata.url.render(&bindings),
        "https://mcp.example.com/.well-known/oauth-protected-resource/t/acme/mcp"
    );
    let document: serde_json::Value =
        serde_json::from_str(&metadata.document.render(&bindings)).unwrap();
    assert_eq!(
        document,
        json!({
            "resource": "https://mcp.example.com/t/acme/mcp",
            "authorization_servers": ["https://auth.example.com"],
            "scopes_supported": ["mcp:read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Memory of \"{tenant}\"",
            "resource_documentation": "https://docs.example.com",
        })
    );
}

#[test]
fn an_issuers_metadata_is_mirrored_where_that_is_switched_on() {
    let places = [
        ("/.well-known/oauth-authorization-server", "mirror 0"),
        ("/.well-known/oauth-authorization-server/", "mirror 0"),
        ("/.well-known/oauth-authorization-server?x=1", "mirror 0"),
        ("/.well-known/oauth-authorization-server/mcp", "mirror 0"),
        ("/.well-known/openid-configuration", "mirror 0"),
        ("/.well-known/openid-configuration/mcp/", "mirror 0"),
        ("/.well-known/openid-configuration/other", "nothing 0"),
        ("/.well-known/oauth-authorization-server/mcp/x", "nothing 0"),
        ("/.well-known/oauth-authorization-serverx", "foreign"),
        ("/mcp/.well-known/openid-configuration", "protected 0"),
        ("/mcp", "protected 0"),
        ("/authorize", "foreign"),
    ];
    for switched_on in [true, false] {
        let json = json!({
            "issuers": [{
                "issuer": "https://auth.example.com",
                "cluster": "auth",
                "authorization_server_metadata": switched_on,
            }],
            "resources": [
                {"resource": "https://mcp.example.com/mcp", "hosts": ["mcp.example.com"]},
            ],
        });
        let config = Config::parse(json.to_string().as_bytes()).unwrap();
        for (path, expected) in places {
            let off = matches!(expected, "mirror 0" | "nothing 0") && !switched_on;
            let expected = if off { "foreign" } else { expected };
            assert_eq!(routed(&config, path, "mcp.example.com"), expected, "{path}");
            assert_eq!(routed(&config, path, "other.example.com"), "foreign");
        }
    }
}

#[test]
fn usual_paths_are_placed_as_all_others() {
    let config = config(json!([
        {"resource": "https://mcp.example.com/"},
        {"resource": "https://mcp.example.com/a"},
        {"resource": "https://mcp.example.com/a/b/"},
        {"resource": "https://mcp.example.com/{tenant}/b"},
        {"resource": "https://mcp.example.com/x/.well-known/y"},
        {"resource": "https://mcp.example.com/.well-known/oauth-protected-resource/a"},
    ]));
    let expected = ["/", "/a", "/a/b", "/x/.well-known/y"];
    let usual: Vec<&str> = config
        .resources
        .usual_paths
        .iter()
        .map(|(path, _)| &**path)
        .collect();
    // The last one is where the metadata of `/a` is.
    assert_eq!(usual, expected);
    for path in [&expected[..], &["/a/", "/b", "/c/b", "/a?b", "/a//b", ""]].concat() {
        let path = path.as_bytes();
        let placed = config.resources.place(path, Authority::NotRead);
        assert_eq!(config.resources.route(path, Authority::NotRead), placed);
    }
}

#[test]
fn hosts_leave_no_path_usual() {
    let config = config(json!([
        {"resource": "https://one.example.com/mcp", "hosts": ["one.example.com"]},
        {"resource": "https://two.example.com/mcp", "hosts": ["two.example.com"]},
    ]));
    assert_eq!(config.resources.usual_paths, []);
    assert_eq!(routed(&config, "/mcp", "one.example.com"), "protected 0");
    assert_eq!(routed(&config, "/mcp", "two.example.com"), "protected 1");
    assert_eq!(routed(&config, "/mcp", "three.example.com"), "foreign");
}

#[test]
fn an_odd_path_is_read_for_so_long_and_may_be_anything_from_then_on() {
    let resources = |count: usize| {
        let resource = |number| json!({"resource": format!("https://a.example/mcp{number}")});
        config((0..count).map(resource).collect())
    };
    let odd = |bytes: usize| format!("/x{}", "/".repeat(bytes));
    let few = resources(10);
    assert_eq!(routed(&few, &odd(60_000), "a.example"), "foreign");
    let many = resources(100);
    assert_eq!(routed(&many, &odd(8_000), "a.example"), "foreign");
    let unclear = routed(&many, &odd(60_000), "a.example");
    assert!(unclear.starts_with("path_ambiguous "), "{unclear}");
    // Those that are plain are not read.
    let plain = format!("/x{}", "/y".repeat(30_000));
    assert_eq!(routed(&many, &plain, "a.example"), "foreign");
    let own = format!("/mcp7{}", "/y".repeat(30_000));
    assert_eq!(routed(&many, &own, "a.example"), "protected 7");
}
