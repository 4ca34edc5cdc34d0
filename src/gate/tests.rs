//! The decision table, row by row, without a host.

mod browsers;
mod evidence;
mod identity;
mod modes;
mod operations;
mod refusals;

use serde_json::{Value, json};

use super::*;
use crate::ids::IssuerId;
use crate::jose::signature::Portable;
use crate::keys::Keys;
use crate::reason::{Challenge, Fault};
use crate::testing;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const METADATA: &str = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": 1_800_000_600, "iat": 1_800_000_000,
        "sub": "alice", "client_id": "cli", "scope": "mcp:read mcp:write",
    })
}

fn token(claims: &Value) -> String {
    testing::token("ES256", &json!({"kid": "es256"}), claims)
}

struct Case {
    issuer: Value,
    resource: Value,
    global: Value,
    method: &'static str,
    path: &'static str,
    headers: Vec<(String, Vec<u8>)>,
    ends: bool,
}

impl Case {
    fn new() -> Self {
        Self {
            issuer: json!({"issuer": ISSUER, "jwks": testing::key_set()}),
            resource: json!({"resource": RESOURCE}),
            global: json!({}),
            method: "POST",
            path: "/mcp",
            headers: Vec::new(),
            ends: true,
        }
    }

    fn resource(mut self, name: &str, value: Value) -> Self {
        self.resource[name] = value;
        self
    }

    fn issuer(mut self, name: &str, value: Value) -> Self {
        self.issuer[name] = value;
        self
    }

    fn global(mut self, name: &str, value: Value) -> Self {
        self.global[name] = value;
        self
    }

    fn at(mut self, method: &'static str, path: &'static str) -> Self {
        self.method = method;
        self.path = path;
        self
    }

    fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Decides on the headers, and on the body where it is asked for.
    fn decide_with(&self, body: &str) -> Decision {
        let config = self.config();
        let (route, head) = (self.route(&config), self.head());
        let mut trust = trust(&config);
        match decide(&config, &route, &head, &mut trust, NOW, NOW) {
            Decision::ReadBody(pending) => {
                let body = if body.len() > config.limits.body_bytes {
                    Body::TooLarge
                } else {
                    Body::Whole(body.as_bytes())
                };
                decide_operation(&config, &route, &head, pending, body, NOW)
            }
            other => panic!("expected to read the body, got {other:?}"),
        }
    }

    fn refused_with(&self, body: &str) -> (Box<Refusal>, Reply) {
        match self.decide_with(body) {
            Decision::Refuse(refusal, reply) => (refusal, reply),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn config(&self) -> Config {
        let mut config = json!({"issuers": [self.issuer], "resources": [self.resource]});
        for (name, value) in self.global.as_object().unwrap() {
            config[name] = value.clone();
        }
        Config::parse(config.to_string().as_bytes()).unwrap()
    }

    fn route(&self, config: &Config) -> Route {
        route(config, Some(self.path.as_bytes()), Authority::NotRead)
    }

    fn head(&self) -> Head {
        let mut headers = vec![(":method".to_owned(), self.method.as_bytes().to_vec())];
        headers.extend(self.headers.iter().cloned());
        Head::new(headers).ending(self.ends)
    }

    fn decide(&self) -> Decision {
        let config = self.config();
        let mut trust = trust(&config);
        decide(
            &config,
            &self.route(&config),
            &self.head(),
            &mut trust,
            NOW,
            NOW,
        )
    }

    fn refused(&self) -> (Reason, Reply) {
        match self.decide() {
            Decision::Refuse(refusal, reply) => (refusal.reason, reply),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn allowed(&self) -> Edits {
        match self.decide() {
            Decision::Allow(edits) => edits,
            other => panic!("expected to be allowed, got {other:?}"),
        }
    }

    fn answered(&self) -> Reply {
        match self.decide() {
            Decision::Answer(reply) => reply,
            other => panic!("expected an answer, got {other:?}"),
        }
    }
}

fn trust(config: &Config) -> Trust {
    Trust::new(
        config,
        Keys::new(config.key_sources(), NOW, 0),
        Box::new(Portable),
        [1, 2],
    )
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let mut values = reply.headers.iter().filter(|(other, _)| *other == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} is sent twice");
    value
}

/// Tools behind scopes; the token of [`claims`] has `mcp:read` and `mcp:write`.
fn with_operations() -> Case {
    Case::new()
        .resource("scopes", json!(["mcp:read"]))
        .resource("scope_hierarchy", json!({"mcp:write": ["mcp:append"]}))
        .resource(
            "operations",
            json!([
                {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]},
                {"method": "tools/call", "name": "*_all", "scopes": ["mcp:bulk", "mcp:admin"]},
                {"method": "tools/call", "name": "append", "scopes": ["mcp:append"]},
                {"method": "prompts/*", "scopes": ["mcp:prompts"]},
                {"method": "tools/call", "name": "shell", "deny": true},
            ]),
        )
        .bearer(&token(&claims()))
}

fn call(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool}}).to_string()
}

fn filtering() -> Case {
    Case::new()
        .bearer(&token(&claims()))
        .header("accept-encoding", "gzip")
        .resource("filter_lists", json!(true))
        .resource(
            "operations",
            json!([{"method": "tools/call", "name": "x", "scopes": ["mcp:admin"]}]),
        )
}
