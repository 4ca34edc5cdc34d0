//! What servers do wrong, and the check that names it. The first ten are those of a real server's
//! first attempt at a login, and of its review.

use serde_json::{Map, Value, json};

use super::server::{
    Answer, ISSUER_FORM, RESOURCE_FORM, Request, Server, answer, good, issuer_metadata,
    resource_metadata, result, unauthorized,
};

/// A fault, and what the probe has to say of it.
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) server: Server,
    /// The check that names it.
    pub(crate) check: &'static str,
    pub(crate) mark: &'static str,
    /// The SDKs that log in: Python, TypeScript 2 and 1, Rust.
    pub(crate) sdks: &'static str,
}

const fn fails(
    what: &'static str,
    check: &'static str,
    sdks: &'static str,
    server: Server,
) -> Fault {
    Fault {
        what,
        server,
        check,
        mark: "fail",
        sdks,
    }
}

/// A fault that keeps no SDK from logging in.
const fn notes(what: &'static str, check: &'static str, server: Server) -> Fault {
    Fault {
        mark: "note",
        ..fails(what, check, "PT1R", server)
    }
}

/// The good server, with another answer where it says 401.
fn at_401(request: &Request, change: impl FnOnce(Answer) -> Answer) -> Answer {
    match good(request) {
        refused if refused.status == 401 => change(refused),
        other => other,
    }
}

/// The same, with another challenge.
fn challenging(request: &Request, change: impl FnOnce(String) -> String) -> Answer {
    at_401(request, |refused| {
        let challenge = refused.header("www-authenticate").unwrap().to_owned();
        refused.with_challenge(&change(challenge))
    })
}

/// The good server with other metadata of the resource.
fn describing(request: &Request, change: impl FnOnce(&mut Map<String, Value>)) -> Answer {
    changed(request, RESOURCE_FORM, resource_metadata, change)
}

/// The good server with other metadata of its issuer.
fn issuing(request: &Request, change: impl FnOnce(&mut Map<String, Value>)) -> Answer {
    changed(request, ISSUER_FORM, issuer_metadata, change)
}

fn changed(
    request: &Request,
    name: &str,
    metadata: fn(&str) -> Value,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Answer {
    if !request.is(name) {
        return good(request);
    }
    let mut metadata = metadata(&request.origin);
    change(metadata.as_object_mut().unwrap());
    answer(200, &metadata)
}

fn not_found() -> Answer {
    answer(404, &json!({"error": "not_found"}))
}

pub(crate) const FAULTS: &[Fault] = &[
    fails("406 before any check of a token", "status", "", |request| {
        let body = json!({"error": {"message": "Not Acceptable"}});
        at_401(request, |_| answer(406, &body))
    }),
    fails(
        "RFC 9728 under the authorization server's name",
        "swapped-metadata",
        "",
        |request| match request.path.as_str() {
            "/.well-known/oauth-authorization-server" => {
                answer(200, &resource_metadata(&request.origin))
            }
            _ if request.is(RESOURCE_FORM) => not_found(),
            _ => good(request),
        },
    ),
    fails(
        "200 with an error object",
        "error-with-success",
        "",
        |request| {
            let body = json!({"error": "unauthorized", "message": "no token"});
            at_401(request, |_| answer(200, &body))
        },
    ),
    fails("https://localhost by default", "localhost", "", |request| {
        describing(request, |metadata| {
            let own = "https://localhost:8000";
            metadata.insert("resource".to_owned(), json!(format!("{own}/mcp")));
            metadata.insert("authorization_servers".to_owned(), json!([own]));
        })
    }),
    fails(
        "the REST API is protected, the MCP endpoint is not",
        "open",
        "",
        |request| at_401(request, |_| answer(200, &result())),
    ),
    fails(
        "an outage of the key server is a 401",
        "outage",
        "PT1R",
        |request| match request.path.as_str() {
            "/auth/keys" => answer(503, &json!({})),
            "/mcp" if request.is_authorized() => unauthorized(request, "error=\"invalid_token\", "),
            _ => good(request),
        },
    ),
    fails(
        "the metadata is below the endpoint",
        "well-known",
        "R",
        |request| match request.path.as_str() {
            "/mcp/.well-known/oauth-protected-resource" => {
                answer(200, &resource_metadata(&request.origin))
            }
            _ if request.is(RESOURCE_FORM) => not_found(),
            _ => challenging(request, |_| "Bearer scope=\"mcp:read\"".to_owned()),
        },
    ),
    fails(
        "an exception for a bad token",
        "bad-token",
        "PT1R",
        |request| match request.header("authorization") {
            Some(_) => at_401(request, |_| answer(500, &json!({}))),
            None => good(request),
        },
    ),
    fails(
        "a challenge that is Bearer alone",
        "challenge",
        "PT1R",
        |request| challenging(request, |_| "Bearer".to_owned()),
    ),
    fails("no metadata of the resource", "metadata", "", |request| {
        if request.is(RESOURCE_FORM) {
            return not_found();
        }
        challenging(request, |_| "Bearer realm=\"mcp\"".to_owned())
    }),
    fails(
        "an exception where the token is missing",
        "status",
        "",
        |request| {
            at_401(request, |_| {
                answer(500, &json!({"detail": "Internal Server Error"}))
            })
        },
    ),
    fails("403 instead of 401", "status", "", |request| {
        at_401(request, |refused| Answer {
            status: 403,
            ..refused
        })
    }),
    fails(
        "the metadata needs a token",
        "metadata",
        "",
        |request| match request.is(RESOURCE_FORM) {
            true => unauthorized(request, ""),
            false => good(request),
        },
    ),
    fails(
        "a 401 without WWW-Authenticate",
        "challenge",
        "PT1",
        |request| good(request).without("www-authenticate"),
    ),
    fails("another scheme first", "challenge", "PT1R", |request| {
        challenging(request, |bearer| format!("Basic realm=\"x\", {bearer}"))
    }),
    fails("an unquoted URL", "challenge", "PT1R", |request| {
        challenging(request, |quoted| quoted.replace('"', ""))
    }),
    fails("two lines of challenges", "challenge", "PT1R", |request| {
        at_401(request, |refused| {
            let bearer = refused.header("www-authenticate").unwrap().to_owned();
            let other = refused.with_challenge("Negotiate");
            other.with("www-authenticate", &bearer)
        })
    }),
    fails(
        "a relative resource_metadata",
        "resource-metadata-url",
        "T1R",
        |request| {
            challenging(request, |_| {
                format!("Bearer resource_metadata=\"/.well-known/{RESOURCE_FORM}\"")
            })
        },
    ),
    fails(
        "a slash at the end of resource",
        "resource",
        "P",
        |request| {
            describing(request, |metadata| {
                let with_slash = json!(format!("{}/mcp/", request.origin));
                metadata.insert("resource".to_owned(), with_slash);
            })
        },
    ),
    fails("a redirect to another host", "redirects", "", |request| {
        at_401(request, |_| {
            answer(307, &json!({})).with("location", "https://elsewhere.example.com/mcp")
        })
    }),
    fails(
        "no authorization server is named",
        "authorization-servers",
        "",
        |request| {
            describing(request, |metadata| {
                metadata.remove("authorization_servers");
            })
        },
    ),
    fails(
        "no metadata of the issuer",
        "issuer-metadata",
        "",
        |request| match request.is(ISSUER_FORM) {
            true => not_found(),
            false => good(request),
        },
    ),
    fails("another issuer in its metadata", "issuer", "1", |request| {
        issuing(request, |metadata| {
            metadata.insert("issuer".to_owned(), json!("https://auth.example.com"));
        })
    }),
    fails("no S256", "pkce", "P", |request| {
        issuing(request, |metadata| {
            let plain = json!(["plain"]);
            metadata.insert("code_challenge_methods_supported".to_owned(), plain);
        })
    }),
    fails("no response types", "issuer-endpoints", "PR", |request| {
        issuing(request, |metadata| {
            metadata.remove("response_types_supported");
        })
    }),
    fails(
        "keys that nobody can verify with",
        "keys",
        "PT1R",
        |request| match request.path.as_str() {
            "/auth/keys" => answer(200, &json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
            _ => good(request),
        },
    ),
    fails(
        "a session is enough",
        "without-token",
        "PT1R",
        |request| match request.asks_for("tools/list") {
            true => answer(200, &result()),
            false => good(request),
        },
    ),
    fails(
        "signatures are not verified",
        "altered-token",
        "PT1R",
        |request| match request.header("authorization") {
            Some(_) => answer(200, &result()),
            None => good(request),
        },
    ),
    fails(
        "the server answers on every path",
        "beside",
        "PT1R",
        |request| match request.path.as_str() {
            "/mcp-auth-probe-beside" => answer(200, &result()),
            _ => good(request),
        },
    ),
    notes(
        "a preflight needs a token",
        "cors-preflight",
        |request| match request.method.as_str() {
            "OPTIONS" => unauthorized(request, ""),
            _ => good(request),
        },
    ),
    notes(
        "no page may ask for tokens",
        "cors-issuer",
        |request| match request.path.as_str() {
            "/auth/token" => good(request).without("access-control-allow-origin"),
            _ => good(request),
        },
    ),
    notes(
        "no page may register",
        "cors-issuer",
        |request| match request.path.as_str() {
            "/auth/register" => answer(405, &json!({})),
            _ => good(request),
        },
    ),
    notes("no way to register", "registration", |request| {
        issuing(request, |metadata| {
            metadata.remove("registration_endpoint");
        })
    }),
    notes("a text for a 404", "json-404", |request| {
        match good(request) {
            lost if lost.status == 404 => Answer {
                body: "Not Found".to_owned(),
                ..lost
            },
            other => other,
        }
    }),
];
