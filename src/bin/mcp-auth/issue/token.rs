//! A token that is right for one resource of a configuration, or wrong in one way.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueHint;
use mcp_auth_filter::config::{Config, Issuer};
use mcp_auth_filter::introspection::Tokens;
use mcp_auth_filter::keys::KeySource;
use mcp_auth_filter::resource::host::Authority;
use mcp_auth_filter::resource::{Resource, Route};
use mcp_auth_filter::template::Bindings;
use mcp_auth_filter::token::TokenType;
use mcp_auth_filter::url::HttpUrl;
use serde_json::{Map, Value, json};

use super::Wrong;
use super::key::{Algorithm, Key};
use crate::{Failure, now, read_file};

/// Print a token that is right for a resource, or wrong in one way
#[derive(clap::Args)]
#[command(override_usage = "mcp-auth issue token --keys <FILE> --config <FILE> --resource <URL>")]
#[command(after_help = "\
The claims are those that the configuration asks for: iss, aud, exp, typ, scopes
and required claims. WRONG is audience, issuer, expired, not-yet-valid,
no-expiry, scope, claims, signature, key, unsigned or type.

Example:
  mcp-auth issue token --keys keys.json --config config.json \\
    --resource https://mcp.example.com/mcp --wrong expired")]
pub(crate) struct Args {
    /// A file of `mcp-auth issue keys`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    keys: PathBuf,
    /// The filter's configuration
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: PathBuf,
    /// The URL of the resource, without variables
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    resource: String,
    /// A scope, not those of the resource; may be repeated
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Who calls
    #[arg(long, value_name = "NAME", default_value = "tester")]
    subject: String,
    /// How long it lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    lifetime: u64,
    /// What is wrong with it
    #[arg(long, value_enum, hide_possible_values = true)]
    wrong: Option<Wrong>,
}

/// The token, in one line.
pub(super) fn issue(args: &Args) -> Result<String, Failure> {
    let key = Key::parse(&read_file(&args.keys)?)?;
    let config = Config::parse(&read_file(&args.config)?)
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    let (resource, bindings) = resource(&config, &args.resource)?;
    let issuer = issuer(&config, resource, &key)?;
    if is_asked_about_all(issuer) {
        return Err(Failure::Usage(
            "--resource: its issuer is asked about every token, and knows none but its own: no token that is made here can be good".to_owned(),
        ));
    }
    let needs_none = match args.wrong {
        Some(Wrong::Scope) if resource.scopes.is_empty() => Some("scopes"),
        Some(Wrong::Claims) if resource.require_claims.is_empty() => Some("require_claims"),
        Some(_) | None => None,
    };
    if let Some(field) = needs_none {
        return Err(Failure::Usage(format!(
            "--wrong: the resource has no {field}, so a token without any is good"
        )));
    }
    let claims = claims(args, issuer, resource, &bindings);
    let typ = match args.wrong {
        Some(Wrong::Type) => "logout+jwt".to_owned(),
        _ => typ(&issuer.policy.token_types),
    };
    match args.wrong {
        Some(Wrong::Unsigned) => Ok(unsigned(&typ, &claims)),
        Some(Wrong::Key) => {
            let other = Key::generate(match &key {
                Key::Es256(_) => Algorithm::Es256,
                Key::Rs256(_) => Algorithm::Rs256,
                Key::Eddsa(_) => Algorithm::Eddsa,
            })?;
            other.sign(&typ, claims)
        }
        Some(Wrong::Signature) => Ok(altered(&key.sign(&typ, claims)?)),
        _ => key.sign(&typ, claims),
    }
}

/// The resource that a URL is of, and what its variables stand for.
fn resource<'a>(config: &'a Config, url: &str) -> Result<(&'a Resource, Bindings), Failure> {
    let parsed = HttpUrl::parse_identifier(url)
        .map_err(|error| Failure::Usage(format!("--resource is not {}", error.expected())))?;
    let path = match parsed.path_and_query() {
        "" => "/",
        path => path,
    };
    let authority = Authority::Present(parsed.authority().as_bytes());
    let none = || {
        let all = config.resources.iter().map(|one| one.label.clone());
        let all = crate::show::joined(all, "and");
        Failure::Usage(format!("--resource: the configuration has {all}"))
    };
    let Route::Protected(id, bindings) = config.resources.route(path.as_bytes(), authority) else {
        return Err(none());
    };
    let found = config.resources.by_id(id).ok_or_else(none)?;
    Ok((found, bindings))
}

/// The issuer of the resource that has the key; else its first, whose keys are elsewhere.
fn issuer<'a>(config: &'a Config, resource: &Resource, key: &Key) -> Result<&'a Issuer, Failure> {
    let all = || resource.issuers.iter().filter_map(|id| config.issuer(*id));
    let public: Value = serde_json::from_str(&key.public_jwk()).unwrap_or_default();
    let kid = public.get("kid").and_then(Value::as_str);
    let has_it = |issuer: &&Issuer| match &issuer.keys {
        KeySource::Inline(keys) => keys.keys().iter().any(|one| one.kid() == kid),
        KeySource::Remote(_) => false,
    };
    let found = all().find(has_it).or_else(|| all().next());
    let found =
        found.ok_or_else(|| Failure::Usage("--resource: it accepts no issuer".to_owned()))?;
    let mut algorithms = found.policy.algorithms.iter().map(|one| one.name());
    if algorithms.any(|name| name == key.algorithm()) {
        return Ok(found);
    }
    let name = key.algorithm();
    Err(Failure::Usage(format!(
        "--keys: the issuer's tokens are not signed with {name}; see `mcp-auth issue keys --help`"
    )))
}

/// No token is good that the issuer itself does not know (RFC 7662).
fn is_asked_about_all(issuer: &Issuer) -> bool {
    let has_keys = match &issuer.keys {
        KeySource::Inline(keys) => !keys.keys().is_empty(),
        KeySource::Remote(_) => true,
    };
    let asked = issuer.introspection.as_ref();
    asked.is_some_and(|asked| asked.tokens == Tokens::All || !has_keys)
}

fn typ(accepted: &[TokenType]) -> String {
    let mut named = accepted.iter().filter_map(|one| match one {
        TokenType::Named(name) => Some(name.clone()),
        TokenType::Absent => None,
    });
    named.next().unwrap_or_else(|| "JWT".to_owned())
}

fn claims(
    args: &Args,
    issuer: &Issuer,
    resource: &Resource,
    bindings: &Bindings,
) -> Map<String, Value> {
    let wrong = |one| args.wrong == Some(one);
    let elsewhere = "https://wrong.example.com";
    let mut claims = times(args, issuer);
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("sub", json!(args.subject));
    set("client_id", json!("mcp-auth-issue"));
    let own = &issuer.policy.issuer;
    set(
        "iss",
        json!(if wrong(Wrong::Issuer) { elsewhere } else { own }),
    );
    let audience = issuer.audiences.as_ref().and_then(|all| all.first());
    let audience = audience
        .cloned()
        .unwrap_or_else(|| resource.identifier.render(bindings).into_owned());
    let audience = if wrong(Wrong::Audience) {
        elsewhere
    } else {
        &audience
    };
    set("aud", json!(audience));
    if !wrong(Wrong::Scope) {
        let scopes = if args.scope.is_empty() {
            &resource.scopes
        } else {
            &args.scope
        };
        set("scope", json!(scopes.join(" ")));
    }
    if !wrong(Wrong::Claims) {
        for rule in &resource.require_claims {
            let value = rule.values.first();
            let value = value.map(|value| value.render(bindings).into_owned());
            insert(&mut claims, &rule.claim.to_string(), json!(value));
        }
    }
    claims
}

/// `iat`, `exp`, and `nbf` where that is what is wrong.
fn times(args: &Args, issuer: &Issuer) -> Map<String, Value> {
    let now = Duration::from_secs(now().as_secs());
    // Beyond what the filter forgives.
    let skew = issuer
        .policy
        .clock_skew
        .saturating_add(Duration::from_secs(60));
    let lifetime = Duration::from_secs(args.lifetime);
    let lifetime = lifetime.min(issuer.policy.max_token_lifetime.unwrap_or(lifetime));
    let begins = match args.wrong {
        Some(Wrong::Expired) => now.saturating_sub(skew).saturating_sub(lifetime),
        Some(Wrong::NotYetValid) => now.saturating_add(skew),
        Some(_) | None => now,
    };
    let mut claims = Map::new();
    let mut set =
        |name: &str, time: Duration| claims.insert(name.to_owned(), json!(time.as_secs()));
    set("iat", begins.min(now));
    if args.wrong == Some(Wrong::NotYetValid) {
        set("nbf", begins);
    }
    if args.wrong != Some(Wrong::NoExpiry) {
        set("exp", begins.saturating_add(lifetime));
    }
    claims
}

/// Sets a claim by its path: a name, or a JSON Pointer.
fn insert(claims: &mut Map<String, Value>, path: &str, value: Value) {
    let Some(pointer) = path.strip_prefix('/') else {
        claims.insert(path.to_owned(), value);
        return;
    };
    let (first, rest) = match pointer.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (pointer, None),
    };
    let name = first.replace("~1", "/").replace("~0", "~");
    let Some(rest) = rest else {
        claims.insert(name, value);
        return;
    };
    let inner = claims.entry(name).or_insert_with(|| json!({}));
    if let Value::Object(inner) = inner {
        insert(inner, &format!("/{rest}"), value);
    }
}

fn unsigned(typ: &str, claims: &Map<String, Value>) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "none", "typ": typ}));
    format!("{header}.{}.", part(json!(claims)))
}

/// The token with one character of its signature changed.
fn altered(token: &str) -> String {
    let at = token.rfind('.').map_or(0, |dot| dot.saturating_add(2));
    let swap = |(index, character)| match (index == at, character) {
        (false, _) => character,
        (true, 'A') => 'B',
        (true, _) => 'A',
    };
    token.char_indices().map(swap).collect()
}
