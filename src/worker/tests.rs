//! A worker in a proxy in memory: what becomes of its streams, call by call.

mod bodies;
mod failures;
mod host;
mod logs;
mod proxy;
mod requests;
mod responses;
mod waiting;

use std::time::Duration;

use serde_json::{Value, json};

use super::ticks::{AT_ONCE, LONGEST_TICK, PROBE, SHORTEST_TICK};
use super::*;
use crate::testing;
use proxy::Proxy;

const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);
const ISSUER: &str = "https://auth.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const TICK: Duration = Duration::from_millis(1);
const NOBODY: [u32; 0] = [];

fn config(json: &Value) -> Config {
    Config::parse(json.to_string().as_bytes()).unwrap()
}

/// With keys that are in the configuration.
fn inline() -> Value {
    json!({
        "issuers": [{"issuer": ISSUER, "jwks": testing::key_set()}],
        "resources": [{"resource": RESOURCE}],
    })
}

/// With keys that are fetched.
fn remote() -> Value {
    json!({
        "issuers": [{
            "issuer": ISSUER, "cluster": "auth", "jwks_uri": "https://auth.example.com/jwks?a=1",
            "keys": {"timeout_seconds": 5, "unknown_key_cooldown_seconds": 10},
        }],
        "resources": [{"resource": RESOURCE}],
    })
}

/// Where `delete_*` needs a scope that [`token`] has not.
fn with_operations(mut config: Value) -> Value {
    config["resources"][0]["operations"] =
        json!([{"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]}]);
    config
}

fn with(mut config: Value, field: &str, value: Value) -> Value {
    config[field] = value;
    config
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": RESOURCE, "exp": 1_800_003_600, "sub": "alice", "client_id": "cli",
        "scope": "mcp:read",
    })
}

fn token() -> String {
    token_of_key("es256")
}

fn token_of_key(kid: &str) -> String {
    testing::token("ES256", &json!({"kid": kid}), &claims())
}

/// A key set with one key of the issuer's, under this name.
fn key_set(kid: &str) -> String {
    let mut jwk = testing::public_jwk(testing::Signer::Issuer, "ES256");
    jwk["kid"] = kid.into();
    json!({ "keys": [jwk] }).to_string()
}

fn call(tool: &str) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
        .to_string()
        .into_bytes()
}

impl Proxy {
    /// A request for the resource with a token comes.
    fn request_with(&mut self, id: u32, method: &str, token: &str, ends: bool) {
        let bearer = format!("Bearer {token}");
        let headers = [
            (":method", method),
            (":path", "/mcp"),
            (":authority", "mcp.example.com"),
            ("authorization", &bearer),
            ("x-mcp-sub", "mallory"),
        ];
        self.request(id, &headers, ends);
    }

    fn get(&mut self, id: u32) {
        self.request_with(id, "GET", &token(), true);
    }

    /// A POST whose body is to follow.
    fn post(&mut self, id: u32) {
        self.request_with(id, "POST", &token(), false);
    }

    /// Ticks, a millisecond apart, until nobody is answered or resumed; those that were, by tick.
    fn ticks(&mut self) -> Vec<Vec<u32>> {
        let mut all = Vec::new();
        loop {
            self.pass(TICK);
            let settled = self.tick();
            if settled.is_empty() {
                return all;
            }
            all.push(settled);
        }
    }

    /// The first keys come.
    fn give_keys(&mut self, kid: &str) {
        self.tick();
        self.answer(200, &key_set(kid));
    }
}
