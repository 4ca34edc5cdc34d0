//! What a folder is written from, checked.

use mcp_auth_filter::url::HttpUrl;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Args, Target};
use crate::{Failure, read_file};

/// A server that Envoy connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// The module, where it was given.
pub(crate) struct Module {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: String,
}

/// All that is known.
pub(crate) struct Values {
    pub(crate) resource: HttpUrl,
    pub(crate) issuer: HttpUrl,
    pub(crate) scopes: Vec<String>,
    pub(crate) upstream: Peer,
    /// Of the issuer's keys, if these are on another host than its metadata.
    pub(crate) keys: Option<Peer>,
    /// Whether the issuer has keys at all; else it needs no cluster but that of introspection.
    pub(crate) has_keys: bool,
    /// Where the issuer is asked about tokens.
    pub(crate) introspection: Option<HttpUrl>,
    pub(crate) module: Option<Module>,
    pub(crate) module_url: Option<HttpUrl>,
}

impl Values {
    pub(crate) fn new(args: &Args) -> Result<Self, Failure> {
        let url = |option: &str, text: &str| {
            HttpUrl::parse_identifier(text)
                .map_err(|error| Failure::Usage(format!("{option} is not {}", error.expected())))
        };
        let introspection = args.introspection.as_deref().map(|text| {
            HttpUrl::parse_location(text).map_err(|error| {
                Failure::Usage(format!("--introspection is not {}", error.expected()))
            })
        });
        let module_url = args.module_url.as_deref();
        let module = args.module.as_deref().map(read_file).transpose()?;
        Ok(Self {
            resource: url("--resource", &args.resource)?,
            issuer: url("--issuer", &args.issuer)?,
            scopes: args.scope.clone(),
            upstream: upstream(&args.upstream)?,
            keys: None,
            has_keys: true,
            introspection: introspection.transpose()?,
            module: module.map(|bytes| Module {
                sha256: hex(&Sha256::digest(&bytes)),
                bytes,
            }),
            module_url: module_url
                .map(|text| url("--module-url", text))
                .transpose()?,
        })
    }

    /// The path of the resource: `/` for a bare origin.
    pub(crate) fn path(&self) -> &str {
        match self.resource.path_and_query() {
            "" => "/",
            path => path,
        }
    }

    /// The host of the resource, and its port where that is not the scheme's.
    pub(crate) fn host(&self) -> &str {
        self.resource.authority()
    }

    /// The issuer as a server.
    pub(crate) fn issuer_peer(&self) -> Peer {
        peer(&self.issuer)
    }

    /// The filter's configuration.
    pub(crate) fn json(&self, target: Target) -> String {
        let [cluster, keys] = self.clusters(target);
        let mut issuer = vec![("issuer", json!(self.issuer.as_str()))];
        if self.has_keys {
            issuer.push(("cluster", json!(cluster)));
        }
        issuer.extend(self.keys.as_ref().map(|_| ("jwks_cluster", json!(keys))));
        issuer.extend(self.introspection.as_ref().map(|endpoint| {
            let asked = json!({"cluster": "introspection", "endpoint": endpoint.as_str()});
            ("introspection", asked)
        }));
        let mut resource = vec![("resource", json!(self.resource.as_str()))];
        if !self.scopes.is_empty() {
            resource.push(("scopes", json!(self.scopes)));
        }
        let members = |members: &[(&str, Value)]| {
            let members = members.iter();
            let lines = members.map(|(name, value)| format!("      {name:?}: {}", compact(value)));
            lines.collect::<Vec<_>>().join(",\n")
        };
        format!(
            "{{\n  \"issuers\": [\n    {{\n{}\n    }}\n  ],\n  \"resources\": [\n    {{\n{}\n    }}\n  ]\n}}\n",
            members(&issuer),
            members(&resource),
        )
    }

    /// The same as YAML.
    pub(crate) fn yaml(&self, target: Target, indent: &str) -> String {
        let [cluster, keys] = self.clusters(target);
        let mut lines = vec![
            "issuers:".to_owned(),
            format!("  - issuer: {}", self.issuer.as_str()),
            format!("    cluster: {cluster}"),
        ];
        lines.extend(
            self.keys
                .as_ref()
                .map(|_| format!("    jwks_cluster: {keys}")),
        );
        lines.extend([
            "resources:".to_owned(),
            format!("  - resource: {}", self.resource.as_str()),
        ]);
        if !self.scopes.is_empty() {
            let scopes: Vec<String> = self.scopes.iter().map(|scope| scalar(scope)).collect();
            lines.push(format!("    scopes: [{}]", scopes.join(", ")));
        }
        lines
            .iter()
            .map(|line| format!("{indent}{line}\n"))
            .collect()
    }

    /// The clusters of the issuer and of its keys.
    fn clusters(&self, target: Target) -> [String; 2] {
        let issuer = self.issuer_peer();
        let keys = self.keys.as_ref().unwrap_or(&issuer);
        let outbound = |peer: &Peer| format!("outbound|{}||{}", peer.port, peer.host);
        let namespace = self.service().1;
        match target {
            Target::Envoy | Target::Compose => {
                ["authorization_server", "authorization_server_keys"].map(str::to_owned)
            }
            Target::Istio => [outbound(&issuer), outbound(keys)],
            Target::EnvoyGateway => ["mcp-auth-keys", "mcp-auth-jwks"]
                .map(|route| format!("httproute/{namespace}/{route}/rule/0")),
        }
    }

    /// Name and namespace of the MCP server's Service.
    pub(crate) fn service(&self) -> (&str, &str) {
        let mut labels = self.upstream.host.split('.');
        let name = labels.next().unwrap_or_default();
        (name, labels.next().unwrap_or("mcp"))
    }
}

fn compact(value: &Value) -> String {
    match value {
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(Value::to_string).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(all) => {
            let all = all.iter().map(|(name, value)| format!("{name:?}: {value}"));
            format!("{{ {} }}", all.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// A text in YAML, quoted where it may mean something.
pub(crate) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_.-~".contains(c);
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let means_something = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if begins_well && text.chars().all(is_plain) && !means_something {
        text.to_owned()
    } else {
        // JSON is YAML.
        Value::from(text).to_string()
    }
}

/// The server that a URL names.
pub(crate) fn peer(url: &HttpUrl) -> Peer {
    let tls = url.scheme() == "https";
    let default = if tls { 443 } else { 80 };
    let (host, port) = match url.authority().rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(default)),
        Some(_) | None => (url.authority(), default),
    };
    Peer {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        tls,
    }
}

fn upstream(text: &str) -> Result<Peer, Failure> {
    let wrong = || {
        Failure::Usage(
            "--upstream is not HOST:PORT, or http(s)://HOST:PORT without a path".to_owned(),
        )
    };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = HttpUrl::parse_identifier(&full).map_err(|_| wrong())?;
    if !matches!(url.path_and_query(), "" | "/") {
        return Err(wrong());
    }
    Ok(peer(&url))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
