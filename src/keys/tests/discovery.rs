//! Where keys are, found by discovery.

use super::*;

#[test]
fn discovery_asks_each_place_and_compares_the_issuer() {
    let mut world = World::new(serde_json::json!({
        "issuer": "https://auth.example.com/t",
        "cluster": "auth",
        "jwks_cluster": "keys",
    }));
    let fetch = world.only_fetch();
    assert_eq!(
        fetch.url.as_str(),
        "https://auth.example.com/.well-known/oauth-authorization-server/t"
    );
    world.answer(&fetch, status(404));
    let fetch = world.fetches().remove(0);
    assert_eq!(
        fetch.url.as_str(),
        "https://auth.example.com/.well-known/openid-configuration/t"
    );
    let other = br#"{"issuer":"https://auth.example.com","jwks_uri":"https://evil.example/keys"}"#;
    world.answer(&fetch, ok(other.to_vec()));
    let fetch = world.fetches().remove(0);
    assert_eq!(
        fetch.url.as_str(),
        "https://auth.example.com/t/.well-known/openid-configuration"
    );
    assert_eq!(fetch.cluster, "auth");
    let good = br#"{"issuer":"https://auth.example.com/t","jwks_uri":"https://keys.example/k"}"#;
    world.answer(&fetch, ok(good.to_vec()));
    let fetch = world.fetches().remove(0);
    assert_eq!(
        (fetch.cluster.as_str(), fetch.url.as_str()),
        ("keys", "https://keys.example/k")
    );
    world.answer(&fetch, ok(key_set(&["a"])));
    assert_eq!(world.find("a"), Seen::Known);
}

#[test]
fn a_key_set_that_has_moved_is_followed() {
    let metadata = |uri: &str| {
        let issuer = "https://auth.example.com";
        ok(serde_json::json!({"issuer": issuer, "jwks_uri": uri})
            .to_string()
            .into_bytes())
    };
    let mut world = World::new(serde_json::json!({
        "issuer": "https://auth.example.com",
        "cluster": "auth",
    }));
    let fetch = world.only_fetch();
    world.answer(&fetch, metadata("https://auth.example.com/one"));
    let fetch = world.fetches().remove(0);
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();

    // Within the hour only the keys are fetched anew.
    world.pass(600);
    let fetch = world.only_fetch();
    assert_eq!(fetch.url.path_and_query(), "/one");
    world.answer(&fetch, ok(key_set(&["a"])));
    world.fetches();

    // After it the metadata is read again, and believed.
    world.pass(3600);
    let fetch = world.only_fetch();
    assert!(fetch.url.path_and_query().starts_with("/.well-known/"));
    world.answer(&fetch, metadata("https://auth.example.com/two"));
    let fetch = world.fetches().remove(0);
    assert_eq!(fetch.url.path_and_query(), "/two");
    world.answer(&fetch, ok(key_set(&["b"])));
    assert_eq!(world.find("b"), Seen::Known);
    world.fetches();

    // A key server that knows nothing of the place causes it to be looked up at once.
    world.pass(600);
    let fetch = world.only_fetch();
    world.answer(&fetch, status(404));
    world.fetches();
    world.pass(2);
    let fetch = world.only_fetch();
    assert!(fetch.url.path_and_query().starts_with("/.well-known/"));
}

#[test]
fn the_error_that_says_most_is_told_with_its_place() {
    let issuer = "https://auth.example.com/t";
    let mismatch = br#"{"issuer":"https://auth.example.com/t/"}"#;
    let no_uri = br#"{"issuer":"https://auth.example.com/t"}"#;
    let place = |path: &str| format!("\"https://auth.example.com{path}\"");
    let inserted = place("/.well-known/openid-configuration/t");
    let first = place("/.well-known/oauth-authorization-server/t");
    for (answers, expected) in [
        (
            [ok(mismatch.to_vec()), status(404), status(500)],
            (
                FetchError::Discovery(crate::keys::discovery::DiscoveryError::IssuerMismatch(
                    "\"https://auth.example.com/t/\"".to_owned(),
                )),
                first.clone(),
            ),
        ),
        (
            [status(404), ok(no_uri.to_vec()), ok(b"<html>".to_vec())],
            (
                FetchError::Discovery(crate::keys::discovery::DiscoveryError::UrlMissing(
                    "jwks_uri",
                )),
                inserted.clone(),
            ),
        ),
        (
            [status(404), status(403), status(404)],
            (FetchError::Status(403), inserted.clone()),
        ),
        (
            [status(404), status(404), status(404)],
            (FetchError::Status(404), first.clone()),
        ),
    ] {
        let mut world = World::new(serde_json::json!({"issuer": issuer, "cluster": "auth"}));
        let mut fetch = world.only_fetch();
        let [one, two, three] = answers;
        for answer in [one, two] {
            world.answer(&fetch, answer);
            fetch = world.fetches().remove(0);
        }
        world.answer(&fetch, three);
        assert_eq!(world.failures(), [expected]);
    }

    // Of the key set's own fetch too, and without the query.
    let mut world = World::new(serde_json::json!({
        "issuer": issuer, "cluster": "auth", "jwks_uri": "https://auth.example.com/k?key=secret",
    }));
    let fetch = world.only_fetch();
    world.answer(&fetch, status(403));
    assert_eq!(world.failures(), [(FetchError::Status(403), place("/k"))]);
}
