//! The folders for Istio and for Envoy Gateway.

use super::values::{Peer, Values, scalar};
use super::{File, Target, between, filled};
use crate::Failure;

/// A template by its name.
macro_rules! template {
    ($folder:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!("../../../../envoy/", $folder, "/", $name)),
        )
    };
}

const ISTIO: &[(&str, &str)] = &[
    template!("istio", "gateway.yaml"),
    template!("istio", "server.yaml"),
    template!("istio", "keys.yaml"),
    template!("istio", "filter.yaml"),
    template!("istio", "interlock.yaml"),
    template!("istio", "connection-manager.yaml"),
    template!("istio", "values-istiod.yaml"),
];
const ENVOY_GATEWAY: &[(&str, &str)] = &[
    template!("envoy-gateway", "gateway.yaml"),
    template!("envoy-gateway", "keys.yaml"),
    template!("envoy-gateway", "filter.yaml"),
    template!("envoy-gateway", "interlock.yaml"),
    template!("envoy-gateway", "values.yaml"),
];

/// The files for Istio.
pub(crate) fn istio(values: &Values) -> Result<Vec<File>, Failure> {
    possible(values)?;
    let mut files = Vec::new();
    for (name, text) in ISTIO {
        let text = common(values, name, text)?;
        files.push(File::new(name, istio_file(values, name, &text)?));
    }
    files.push(File::new("README.md", readme(Target::Istio, values)));
    Ok(files)
}

/// The files for Envoy Gateway.
pub(crate) fn envoy_gateway(values: &Values) -> Result<Vec<File>, Failure> {
    possible(values)?;
    let mut files = Vec::new();
    for (name, text) in ENVOY_GATEWAY {
        let text = common(values, name, text)?;
        files.push(File::new(name, envoy_gateway_file(values, name, &text)?));
    }
    files.push(File::new("README.md", readme(Target::EnvoyGateway, values)));
    Ok(files)
}

/// Whether a host is `NAME`, `NAME.NAMESPACE`, or longer with `svc` behind these.
fn is_service(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-')
    };
    // A Service's name begins with a letter, which no address of IPv4 does.
    host.starts_with(|c: char| c.is_ascii_lowercase())
        && labels.iter().all(is_label)
        && labels.get(2).is_none_or(|third| *third == "svc")
}

/// What the templates cannot say.
fn possible(values: &Values) -> Result<(), Failure> {
    let wrong = |why: &str| Err(Failure::Usage(why.to_owned()));
    if values.path().contains('{') {
        return wrong(
            "--resource: init writes no resource with variables; see docs/configuration.md",
        );
    }
    if values.resource.scheme() != "https" || values.host().contains(':') {
        return wrong(
            "--resource: the gateways of these targets listen on port 443: https without a port",
        );
    }
    if !values.issuer_peer().tls || values.keys.as_ref().is_some_and(|keys| !keys.tls) {
        return wrong("--issuer: https is needed in a cluster");
    }
    if values.introspection.is_some() {
        return wrong(
            "--introspection: init writes it for envoy and compose; see docs/introspection.md",
        );
    }
    if values.upstream.tls || !is_service(&values.upstream.host) {
        return wrong(
            "--upstream: a Service without TLS is needed, NAME.NAMESPACE.svc.cluster.local:PORT",
        );
    }
    Ok(())
}

/// What both have in common: names of host and namespace.
fn common(values: &Values, name: &str, text: &str) -> Result<String, Failure> {
    let (_, namespace) = values.service();
    let mut text = text.replace(
        " Replace mcp.example.com, the Secret's name, and\n# the Service of the MCP server.",
        "",
    );
    text = text.replace("namespace: mcp\n", &format!("namespace: {namespace}\n"));
    if name == "gateway.yaml" {
        let swaps = [
            ("mcp.example.com", values.host().to_owned()),
            ("mcp-example-com", values.host().replace('.', "-")),
        ];
        text = filled(&text, &swaps)?;
    }
    if name == "filter.yaml" {
        if let Some(module) = &values.module {
            text = filled(&text, &[(&"0".repeat(64), module.sha256.clone())])?;
        }
        if let Some(url) = &values.module_url {
            let old = "https://artifacts.example.com/mcp_auth_filter-0.1.0.wasm";
            text = filled(&text, &[(old, url.as_str().to_owned())])?;
        }
    }
    Ok(text)
}

fn istio_file(values: &Values, name: &str, text: &str) -> Result<String, Failure> {
    let issuer = values.issuer_peer();
    let (service, _) = values.service();
    let path = values.path();
    match name {
        "gateway.yaml" => {
            let matches = "        - uri: { exact: /mcp }\n        - uri: { prefix: /mcp/ }\n";
            let own = match path {
                "/" => "        - uri: { prefix: / }\n".to_owned(),
                path => {
                    let below = scalar(&format!("{path}/"));
                    let path = scalar(path);
                    format!(
                        "        - uri: {{ exact: {path} }}\n        - uri: {{ prefix: {below} }}\n"
                    )
                }
            };
            let host = match values.upstream.host.contains('.') {
                true => values.upstream.host.clone(),
                false => format!("{service}.mcp.svc.cluster.local"),
            };
            let swaps = [
                (matches, own),
                ("mcp-server.mcp.svc.cluster.local", host),
                ("number: 3000", format!("number: {}", values.upstream.port)),
            ];
            filled(text, &swaps)
        }
        "server.yaml" => filled(text, &[("app: mcp-server", format!("app: {service}"))]),
        "keys.yaml" => {
            let one = |text: &str, peer: &Peer| {
                let swaps = [
                    ("auth.example.com", peer.host.clone()),
                    ("number: 443", format!("number: {}", peer.port)),
                ];
                filled(text, &swaps)
            };
            for_each_peer(values, text, one)
        }
        "filter.yaml" => {
            configuration(values, Target::Istio, text, "    pluginConfig:\n", "      ")
        }
        "interlock.yaml" => {
            let mut hosts = issuer.host;
            if let Some(keys) = &values.keys {
                hosts = format!("{hosts},{}", keys.host);
            }
            filled(text, &[("auth.example.com", hosts)])
        }
        _ => Ok(text.to_owned()),
    }
}

fn envoy_gateway_file(values: &Values, name: &str, text: &str) -> Result<String, Failure> {
    let (service, namespace) = values.service();
    match name {
        "gateway.yaml" => {
            let backend = format!("{{ name: {service}, port: {} }}", values.upstream.port);
            let path = format!("{{ type: PathPrefix, value: {} }}", scalar(values.path()));
            let swaps = [
                ("{ name: mcp-server, port: 3000 }", backend),
                ("{ type: PathPrefix, value: /mcp }", path),
            ];
            filled(text, &swaps)
        }
        "keys.yaml" => {
            let one = |text: &str, peer: &Peer| {
                let both = format!("hostname: {}, port: {}", peer.host, peer.port);
                let swaps = [
                    ("hostname: auth.example.com, port: 443", both),
                    (
                        "hostname: auth.example.com\n",
                        format!("hostname: {}\n", peer.host),
                    ),
                    ("mcp.example.com", values.host().to_owned()),
                ];
                filled(text, &swaps)
            };
            for_each_peer(values, text, one)
        }
        "filter.yaml" => configuration(
            values,
            Target::EnvoyGateway,
            text,
            "      config:\n",
            "        ",
        ),
        "interlock.yaml" => filled(
            text,
            &[(
                "name: mcp/mcp/https",
                format!("name: {namespace}/mcp/https"),
            )],
        ),
        _ => Ok(text.to_owned()),
    }
}

/// The resources for the issuer, and once more for its keys where these are on another host.
fn for_each_peer(
    values: &Values,
    text: &str,
    one: impl Fn(&str, &Peer) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let first = one(text, &values.issuer_peer())?;
    let Some(keys) = &values.keys else {
        return Ok(first);
    };
    let renamed = text
        .replace("mcp-auth-keys", "mcp-auth-jwks")
        .replace("authorization-server", "authorization-server-keys");
    Ok(format!("{first}---\n{}", one(&renamed, keys)?))
}

/// The filter's configuration, at the end of its file.
fn configuration(
    values: &Values,
    target: Target,
    text: &str,
    start: &str,
    indent: &str,
) -> Result<String, Failure> {
    let marked = format!("{text}\0");
    let old = between(&marked, start, "\0")?;
    let new = format!("{start}{}", values.yaml(target, indent));
    filled(text, &[(old, new)])
}

fn readme(target: Target, values: &Values) -> String {
    let resource = values.resource.as_str();
    let secret = values.host().replace('.', "-");
    let mut left = Vec::new();
    if values.module_url.is_none() {
        left.push("where the cluster fetches the module");
    }
    if values.module.is_none() {
        left.push("its SHA-256 (`dist/mcp_auth_filter.wasm.sha256`)");
    }
    let left = match left.as_slice() {
        [] => "Put the module where `filter.yaml` fetches it".to_owned(),
        left => format!("Set in `filter.yaml` {}", left.join(" and ")),
    };
    let (folder, namespace, commands) = if target == Target::Istio {
        (
            "istio",
            "istio-ingress",
            "helm upgrade istiod istio/istiod -n istio-system --reuse-values -f values-istiod.yaml\n   kubectl apply -f connection-manager.yaml -f server.yaml -f keys.yaml -f interlock.yaml -f filter.yaml -f gateway.yaml",
        )
    } else {
        (
            "envoy-gateway",
            values.service().1,
            "helm upgrade eg oci://docker.io/envoyproxy/gateway-helm -n envoy-gateway-system --reuse-values -f values.yaml\n   kubectl rollout restart deployment/envoy-gateway -n envoy-gateway-system\n   kubectl apply -f interlock.yaml -f filter.yaml -f keys.yaml -f gateway.yaml",
        )
    };
    format!(
        "# {resource}\n\n1. {left}. The certificate of {} goes into the Secret\n   `{secret}` (type kubernetes.io/tls) in the namespace `{namespace}`.\n2. Apply it; until the filter is there, everything at this gateway gets 403:\n\n   ```sh\n   {commands}\n   ```\n\n3. See whether clients can log in:\n\n   ```sh\n   mcp-auth probe {resource}\n   ```\n\nWhat each file is, and what to look at: `envoy/{folder}/README.md` of mcp-auth-filter. `config.json` is the filter's\nconfiguration by itself, for `mcp-auth check` and `mcp-auth explain`; the gateway reads the one in `filter.yaml`.\n",
        values.host()
    )
}
