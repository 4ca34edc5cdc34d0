//! Metadata that is mirrored.

use super::*;

#[test]
fn metadata_is_mirrored_refreshed_and_outlives_an_outage() {
    let mut world = World::new(serde_json::json!({
        "issuer": "https://auth.example.com",
        "cluster": "auth",
        "jwks_uri": "https://auth.example.com/keys",
        "authorization_server_metadata": true,
    }));
    let fetches = world.tick();
    let [keys, metadata] = fetches.as_slice() else {
        panic!("keys and metadata, not {fetches:?}")
    };
    let (keys, metadata) = (keys.clone(), metadata.clone());
    assert_eq!(
        metadata.url.path_and_query(),
        "/.well-known/oauth-authorization-server"
    );
    world.answer(&keys, ok(key_set(&["a"])));
    assert_eq!(world.metadata(), Mirrored::Wait);
    let other = br#"{"issuer":"https://evil.example"}"#;
    world.answer(&metadata, ok(other.to_vec()));
    let metadata = world.fetches().remove(0);
    assert_eq!(
        metadata.url.path_and_query(),
        "/.well-known/openid-configuration"
    );
    let document = br#"{"issuer":"https://auth.example.com","x":1}"#;
    world.answer(&metadata, ok(document.to_vec()));
    assert_eq!(world.metadata(), Mirrored::Document(&document[..]));

    world.pass(3600);
    for fetch in world.tick() {
        world.answer(&fetch, FetchOutcome::Failed);
    }
    assert_eq!(world.metadata(), Mirrored::Document(&document[..]));
    world.fetches();
    world.pass(2);
    let again = world
        .tick()
        .into_iter()
        .find(|fetch| fetch.url.path_and_query().starts_with("/.well-known/"))
        .unwrap();
    let newer = br#"{"issuer":"https://auth.example.com","x":2}"#;
    world.answer(&again, ok(newer.to_vec()));
    assert_eq!(world.metadata(), Mirrored::Document(&newer[..]));
}

#[test]
fn metadata_that_is_mirrored_is_waited_for() {
    let mut world = World::new(serde_json::json!({
        "issuer": "https://auth.example.com",
        "cluster": "auth",
        "jwks_uri": "https://auth.example.com/keys",
        "authorization_server_metadata": true,
    }));
    assert_eq!(world.metadata(), Mirrored::Wait);
    let document = br#"{"issuer":"https://auth.example.com"}"#;
    let fetch = world.tick().pop().unwrap();
    world.answer(&fetch, ok(document.to_vec()));
    let mut commands = std::iter::from_fn(|| world.keys.next_command());
    assert!(commands.any(|command| command == Command::Wake(ISSUER)));
    assert_eq!(world.metadata(), Mirrored::Document(&document[..]));
}
