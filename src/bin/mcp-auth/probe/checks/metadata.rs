//! The metadata of the protected resource (RFC 9728).

use url::Url;

use super::{Check, Mark};
use crate::probe::clients::{Comparison, differs};
use crate::probe::metadata::{
    AUTHORIZATION_SERVER, Document, PROTECTED_RESOURCE, document, issuer_places, issuers_named,
    of_resource, places, resource_places,
};
use crate::probe::plan::nowhere;
use crate::probe::transcript::{Kind, Transcript, is_loopback};

pub(super) fn all(transcript: &Transcript) -> Vec<Check> {
    let found = of_resource(transcript);
    let mut checks = vec![present(transcript, found.as_ref())];
    if let Some(found) = &found {
        checks.push(well_known(transcript));
        checks.push(media_type(found));
        checks.push(resource(transcript, found));
        checks.push(servers(found));
        checks.push(scopes(found));
    }
    checks.extend(swapped(transcript));
    checks.extend(local_names(transcript));
    checks.push(not_found(transcript));
    checks
}

fn status(transcript: &Transcript, url: &Url) -> String {
    match transcript.settled(Kind::Document, url) {
        Some(answer) if answer.status == 200 && answer.object().is_none() => {
            "200, but no JSON object".to_owned()
        }
        Some(answer) => answer.status.to_string(),
        None => "no answer".to_owned(),
    }
}

fn present(transcript: &Transcript, found: Option<&Document<'_>>) -> Check {
    let expected = "metadata of the protected resource, served without a token";
    if let Some(found) = found {
        return Check::pass("metadata", expected, found.url.to_string());
    }
    let asked = resource_places(transcript);
    let asked = asked.iter().filter(|url| **url != nowhere(&transcript.url));
    let statuses: Vec<String> = asked
        .map(|url| format!("{url} {}", status(transcript, url)))
        .collect();
    Check::pass("metadata", expected, statuses.join("; ")).fails(
        "every client of 2025-06-18 and later: it takes the endpoint's host for the authorization server",
        "serve the document of RFC 9728 at the URL that the challenge names, without asking for a token",
    )
}

/// Gemini CLI, Cursor and Claude ask there, whatever the challenge says.
fn well_known(transcript: &Transcript) -> Check {
    let places = places(&transcript.url, PROTECTED_RESOURCE);
    let found = places
        .iter()
        .map(|url| format!("{} {}", url.path(), status(transcript, url)))
        .collect::<Vec<_>>()
        .join(", ");
    let expected = "the document at the well-known place with the endpoint's path";
    let check = Check::pass("well-known", expected, found);
    let there = |url: Option<&Url>| url.is_some_and(|url| document(transcript, url).is_some());
    match (there(places.first()), there(places.last())) {
        (true, _) => check,
        (false, true) => check.notes(
            "clients that ask for the form with the path alone",
            "serve it at /.well-known/oauth-protected-resource<path> too (RFC 9728 §3.1)",
        ),
        (false, false) => check.fails(
            "Cursor and Gemini CLI ask there first; every client does where the challenge is lost",
            "serve it at /.well-known/oauth-protected-resource<path>",
        ),
    }
}

fn media_type(found: &Document<'_>) -> Check {
    let media_type = found.answer.media_type();
    let shown = media_type.clone().unwrap_or_else(|| "none".to_owned());
    let check = Check::pass("metadata-media-type", "application/json", shown);
    if media_type.as_deref() == Some("application/json") {
        check
    } else {
        check.notes(
            "strict clients (RFC 9728 §3.2)",
            "send content-type: application/json",
        )
    }
}

fn resource(transcript: &Transcript, found: &Document<'_>) -> Check {
    let value = found.text("resource").unwrap_or_default();
    let expected = "the endpoint's URL, to the letter";
    let shown = if value.is_empty() {
        "no resource"
    } else {
        value
    };
    let check = Check::pass("resource", expected, shown.to_owned());
    let refused = |comparison| differs(comparison, &transcript.url, value).is_some();
    let all = [
        (Comparison::Exact, "VS Code"),
        (Comparison::Text, "Claude, Gemini CLI"),
        (Comparison::PrefixAnySlash, "Python SDK"),
        (Comparison::Prefix, "TypeScript SDKs"),
        (Comparison::Segments, "Rust SDK"),
    ];
    let strict = refused(Comparison::Exact) || refused(Comparison::Text);
    let lax = all
        .iter()
        .skip(2)
        .any(|(comparison, _)| refused(*comparison));
    let mut mend = format!(
        "set resource to {}, and tell the server its public URL if it took another one",
        transcript.url
    );
    if value.parse::<Url>().is_ok() {
        mend = format!("give clients {value}, if that is the right one; else {mend}");
    }
    match (strict, lax) {
        (false, false) => check,
        (true, false) => check.fails("VS Code, Claude, Gemini CLI, Grok: they compare to the letter", mend),
        (_, true) if all.iter().all(|(comparison, _)| refused(*comparison)) => {
            check.fails("every client", mend)
        }
        (_, true) => check.fails(
            "VS Code, Claude, and those SDKs that take a slash at the end for another path (TypeScript, Rust)",
            mend,
        ),
    }
}

fn servers(found: &Document<'_>) -> Check {
    let servers = found.texts("authorization_servers").unwrap_or_default();
    let expected = "at least one absolute URL in authorization_servers";
    let check = Check::pass("authorization-servers", expected, servers.join(", "));
    let urls = servers
        .iter()
        .filter_map(|server| server.parse::<Url>().ok());
    if servers.is_empty() || urls.count() < servers.len() {
        return check.fails(
            "every client: it does not know where to log in",
            "list the issuer of the tokens, as it is in their iss",
        );
    }
    if servers.len() > 1 {
        return check.notes("clients take the first", "put the one for new logins first");
    }
    check
}

fn scopes(found: &Document<'_>) -> Check {
    let scopes = found.texts("scopes_supported");
    let shown = scopes
        .as_ref()
        .map_or("none".to_owned(), |scopes| scopes.join(" "));
    let expected = "the scopes that clients are to ask for, without offline_access";
    let check = Check::pass("scopes-supported", expected, shown);
    if scopes.is_some_and(|scopes| scopes.contains(&"offline_access")) {
        return check.notes(
            "servers should not list it (MCP 2026-07-28)",
            "leave it out",
        );
    }
    check
}

/// Metadata of a resource where that of an authorization server belongs, and the other way round.
fn swapped(transcript: &Transcript) -> Option<Check> {
    let expected = "each document under its own name";
    let wrong = |url: &Url, is_wrong: fn(&Document<'_>) -> bool| {
        document(transcript, url).filter(|found| is_wrong(found))
    };
    let of_resource = |found: &Document<'_>| {
        found.members.contains_key("authorization_servers")
            && !found.members.contains_key("token_endpoint")
    };
    let of_server = |found: &Document<'_>| {
        found.members.contains_key("token_endpoint")
            && !found.members.contains_key("authorization_servers")
    };
    let mut as_places = places(&transcript.url, AUTHORIZATION_SERVER);
    as_places.extend(issuers_named(transcript).iter().flat_map(issuer_places));
    let resource = as_places.iter().find_map(|url| wrong(url, of_resource));
    if let Some(found) = resource {
        let text = format!("{} has metadata of a resource", found.url);
        return Some(Check::pass("swapped-metadata", expected, text).fails(
            "clients that take the host for the authorization server find no endpoints there",
            "serve the members of RFC 9728 at /.well-known/oauth-protected-resource; at /.well-known/oauth-authorization-server belongs what the authorization server says of itself (RFC 8414), or nothing",
        ));
    }
    let server = places(&transcript.url, PROTECTED_RESOURCE);
    let found = server.iter().find_map(|url| wrong(url, of_server))?;
    let text = format!("{} has metadata of an authorization server", found.url);
    Some(Check::pass("swapped-metadata", expected, text).fails(
        "every client: it finds neither resource nor authorization_servers",
        "serve resource and authorization_servers there (RFC 9728)",
    ))
}

/// `localhost` and `http://` in documents for clients elsewhere.
fn local_names(transcript: &Transcript) -> Option<Check> {
    let expected = "public https URLs in every document";
    let mut wrong = Vec::new();
    let own = &transcript.url;
    let at_home = is_loopback(own);
    for exchange in &transcript.exchanges {
        let Some(found) = document(transcript, &exchange.request.url) else {
            continue;
        };
        let mut texts: Vec<(&str, &str)> = Vec::new();
        for name in [
            "resource",
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
        ] {
            texts.extend(found.text(name).map(|text| (name, text)));
        }
        let servers = found.texts("authorization_servers").unwrap_or_default();
        texts.extend(
            servers
                .into_iter()
                .map(|text| ("authorization_servers", text)),
        );
        for (name, text) in texts {
            let Ok(url) = text.parse::<Url>() else {
                continue;
            };
            // On one machine everything is local; but TLS for `localhost` is hardly meant.
            let is_wrong = match (at_home, is_loopback(&url)) {
                (true, true) => url.scheme() == "https" && own.scheme() == "http",
                (true, false) => false,
                (false, local) => local || url.scheme() == "http",
            };
            let text = format!("{name} is {text}");
            if is_wrong && !wrong.contains(&text) {
                wrong.push(text);
            }
        }
    }
    let check = Check::pass("localhost", expected, wrong.join("; "));
    (!wrong.is_empty()).then(|| {
        check.fails(
            "everybody: the URL is another machine's, or speaks no TLS",
            "give the server its public URL; a default of the development set-up is left in its configuration",
        )
    })
}

/// Some clients read every answer as JSON.
fn not_found(transcript: &Transcript) -> Check {
    let expected = "404 with a JSON body, or none, where there is no document";
    let answer = transcript.settled(Kind::Document, &nowhere(&transcript.url));
    let Some(answer) = answer else {
        return Check {
            mark: Mark::Note,
            ..Check::pass("json-404", expected, "no answer".to_owned())
        };
    };
    let media_type = answer
        .media_type()
        .unwrap_or_else(|| "no media type".to_owned());
    let check = Check::pass(
        "json-404",
        expected,
        format!("{}, {media_type}", answer.status),
    );
    if answer.status == 401 || answer.is_success() {
        return check.notes(
            "clients that guess places take what they get there for an answer",
            "answer 404 for well-known documents that are not there",
        );
    }
    if answer.body.is_empty() || answer.object().is_some() {
        return check;
    }
    check.notes(
        "Cursor reads every answer as JSON, and stops at a text",
        "answer with a JSON body under /.well-known/",
    )
}
