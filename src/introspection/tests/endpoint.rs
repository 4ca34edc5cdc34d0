//! Where the endpoint is: in the issuer's metadata, or nowhere.

use super::*;

fn metadata(members: &str) -> FetchOutcome {
    says(&format!(
        r#"{{"issuer":"https://auth.example.com"{members}}}"#
    ))
}

#[test]
fn the_endpoint_is_in_whichever_document_names_it() {
    let mut world = World::new(&discovered());
    assert_eq!(world.machine.poll_timeout(), Some(UnixNanos::ZERO));
    let call = world.only_call();
    assert_eq!((call.cluster.as_str(), &call.form), ("auth", &None));
    let arrived = world.now;
    assert_eq!(world.find("a"), Seen::Wait);
    let next = world.answer(&call, metadata("")).remove(0);
    let place = "https://auth.example.com/.well-known/openid-configuration";
    assert_eq!(next.url.as_str(), place);
    let found = metadata(r#","introspection_endpoint":"https://auth.example.com/o/introspect/""#);
    let ask = world.answer(&next, found.clone()).remove(0);
    assert_eq!(ask.cluster, "introspection");
    assert_eq!(ask.url.as_str(), "https://auth.example.com/o/introspect/");
    world.answer(&ask, says(ACTIVE));
    assert_eq!(world.find_since("a", arrived), Seen::Active);
    // It is looked for again, and used on in the meantime and where it is not found.
    world.pass(60 * 60 * 1000);
    let again = world.only_call();
    assert_eq!(again.form, None);
    world.answer(&again, status(503, ""));
    assert_eq!(world.find("b"), Seen::Wait);
    assert_eq!(world.only_call().url, ask.url);
}

#[test]
fn an_endpoint_that_cannot_be_found_or_used() {
    for (document, error) in [
        (
            metadata(r#","introspection_endpoint":"http://auth.example.com/i""#),
            "the introspection_endpoint of the metadata is not https",
        ),
        (
            metadata(r#","introspection_endpoint":"/i""#),
            "the introspection_endpoint of the metadata is not an absolute URL such as https://mcp.example.com/mcp",
        ),
        (metadata(""), "the metadata has no introspection_endpoint"),
        (
            says(
                r#"{"issuer":"https://evil.example","introspection_endpoint":"https://evil.example/i"}"#,
            ),
            "the metadata is for another issuer, \"https://evil.example\"",
        ),
        (status(404, ""), "the answer has status 404"),
    ] {
        let mut world = World::new(&discovered());
        let arrived = world.now;
        assert_eq!(world.find("a"), Seen::Wait);
        let mut calls = world.tick();
        while let Some(call) = calls.pop() {
            assert_eq!(call.form, None, "nothing is asked");
            calls = world.answer(&call, document.clone());
        }
        assert_eq!(world.woken, [TokenDigest::of(b"a")]);
        assert_eq!(world.find_since("a", arrived), Seen::Unavailable);
        let told = world.events.iter().find_map(|event| match event {
            Event::EndpointFailed { error, .. } => Some(error.to_string()),
            _ => None,
        });
        assert_eq!(told.as_deref(), Some(error));
        world.pass(2000);
        assert_eq!(world.find("a"), Seen::Wait, "it is looked for again");
        assert_eq!(world.only_call().form, None);
    }
}

#[test]
fn an_endpoint_that_has_moved_is_looked_for() {
    let mut world = World::new(&discovered());
    let call = world.only_call();
    let at = |place: &str| {
        metadata(&format!(
            r#","introspection_endpoint":"https://auth.example.com/{place}""#
        ))
    };
    world.answer(&call, at("old"));
    world.pass(60_000);
    assert_eq!(world.ask("a", status(404, "")), Seen::Unavailable);
    let call = world.only_call();
    assert_eq!(call.form, None);
    world.answer(&call, at("new"));
    world.pass(2000);
    assert_eq!(world.find("a"), Seen::Wait);
    assert_eq!(
        world.only_call().url.as_str(),
        "https://auth.example.com/new"
    );
}
