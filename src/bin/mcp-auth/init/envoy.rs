//! The folders for one Envoy, by itself or in a container.

use super::values::{Peer, Values, peer, scalar};
use super::{File, Target, between, filled, from};
use crate::Failure;

const ENVOY: &str = include_str!("../../../../envoy/envoy.yaml");
const COMPOSE: &str = include_str!("../../../../envoy/docker-compose.yaml");
const INTROSPECTION: &str = include_str!("../../../../envoy/introspection.yaml");

/// Where the clusters of the templates begin.
const FIRST_CLUSTER: &str = "    # Only this Envoy";
/// What a secret from a file needs.
const NODE: &str = "\
# Envoy wants both where a secret comes from a file.
node: { id: mcp, cluster: mcp }
";
/// The file of the credentials, beside the configuration and in the container.
const SECRET: &str = "introspection-secret.yaml";

/// The issuer in the template.
const ISSUER_ADDRESS: &str = "auth.example.com, port_value: 443";
/// How a container calls the machine that it runs on.
const HOST: &str = "host.docker.internal";

/// All files but the configuration by itself.
pub(crate) fn files(target: Target, values: &Values) -> Result<Vec<File>, Failure> {
    if values.path().contains('{') {
        return Err(Failure::Usage(
            "--resource: init writes no resource with variables; see docs/configuration.md"
                .to_owned(),
        ));
    }
    let mut files = vec![File::new("envoy.yaml", envoy(target, values)?)];
    if target == Target::Compose {
        files.push(File::new("docker-compose.yaml", compose(values)?));
    }
    if values.introspection.is_some() {
        files.push(File::secret(SECRET, secret()?));
    }
    files.push(File::new("README.md", readme(target, values)));
    Ok(files)
}

fn is_tls(values: &Values) -> bool {
    values.resource.scheme() == "https"
}

/// Where Envoy listens: as clients call it, if they name a port.
fn port(values: &Values) -> u16 {
    let default = if is_tls(values) { 8443 } else { 8080 };
    let named = values.host().rsplit_once(':');
    named
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(default)
}

fn envoy(target: Target, values: &Values) -> Result<String, Failure> {
    let head = between(ENVOY, "# One Envoy", "\nadmin:")?;
    let filter = between(
        ENVOY,
        "                            {\n",
        "                  # The interlock",
    )?;
    let json = values.json(target);
    let json: String = json
        .lines()
        .map(|line| format!("{:28}{line}\n", ""))
        .collect();
    let mut own_head = header(target);
    if values.introspection.is_some() {
        own_head = format!("{own_head}\n{NODE}");
    }
    let route = match values.path() {
        "/" => "{ prefix: / }".to_owned(),
        path => format!("{{ path_separated_prefix: {} }}", scalar(path)),
    };
    let swaps = [
        (head, own_head),
        (filter, json),
        ("{ path_separated_prefix: /mcp }", route),
        (
            "domains: [mcp.example.com]",
            format!("domains: [{}]", scalar(values.host())),
        ),
        ("port_value: 8443", format!("port_value: {}", port(values))),
        (from(ENVOY, FIRST_CLUSTER)?, clusters(target, values)?),
    ];
    let text = filled(ENVOY, &swaps)?;
    if is_tls(values) {
        return Ok(text);
    }
    let secured = between(&text, "        # Behind a load balancer", "filters:\n")?.to_owned();
    filled(&text, &[(&secured, "        - ".to_owned())])
}

/// The clusters of the MCP server, of the issuer, of its keys, and of its introspection endpoint.
fn clusters(target: Target, values: &Values) -> Result<String, Failure> {
    let server = between(ENVOY, FIRST_CLUSTER, "    # The filter fetches metadata")?;
    let issuer = between(
        ENVOY,
        "    # The filter fetches metadata",
        "      # Whoever can answer",
    )?;
    let server_address = "mcp-server, port_value: 3000";
    let mut text = cluster(server, server_address, &values.upstream, target)?;
    if values.has_keys {
        let peer = values.issuer_peer();
        text.push_str(&cluster(issuer, ISSUER_ADDRESS, &peer, target)?);
    }
    if let Some(keys) = &values.keys {
        let renamed = issuer.replace("authorization_server", "authorization_server_keys");
        let own = cluster(&renamed, ISSUER_ADDRESS, keys, target)?;
        text = format!("{text}\n{own}");
    }
    if let Some(endpoint) = &values.introspection {
        let own = from(INTROSPECTION, "    # The filter asks about tokens here")?;
        let own = addressed(own, ISSUER_ADDRESS, &peer(endpoint), target)?;
        // Between two clusters is an empty line.
        text = format!(
            "{}\n\n{}",
            text.trim_end(),
            with_tls_or_not(&own, peer(endpoint).tls)?
        );
    }
    Ok(text)
}

/// The cluster of introspection, whose options are not of TLS alone.
fn with_tls_or_not(cluster: &str, tls: bool) -> Result<String, Failure> {
    if tls {
        return Ok(cluster.to_owned());
    }
    let options = "      typed_extension_protocol_options:";
    let socket = between(cluster, "      # Whoever can answer", options)?;
    let names = between(
        cluster,
        "          upstream_http_protocol_options:",
        "          explicit_http_config:",
    )?;
    filled(cluster, &[(socket, String::new()), (names, String::new())])
}

/// A cluster of the template with another address, and TLS or not.
fn cluster(template: &str, old: &str, peer: &Peer, target: Target) -> Result<String, Failure> {
    let text = addressed(template, old, peer, target)?;
    if !peer.tls {
        return Ok(text);
    }
    let tls = from(ENVOY, "      # Whoever can answer")?;
    // Between two clusters is an empty line.
    Ok(match text.strip_suffix("\n\n") {
        Some(text) => format!("{text}\n{tls}\n"),
        None => format!("{text}{tls}"),
    })
}

/// A cluster of the template with the address of a server, as it is called from where Envoy is.
fn addressed(template: &str, old: &str, peer: &Peer, target: Target) -> Result<String, Failure> {
    let is_here = peer.host == "localhost" || peer.host == "::1" || peer.host.starts_with("127.");
    if target != Target::Compose || !is_here {
        let new = format!("{}, port_value: {}", scalar(&peer.host), peer.port);
        return filled(template, &[(old, new)]);
    }
    // Asked for IPv6 first, a resolver that nobody answers would keep Envoy waiting.
    let family = "      type: STRICT_DNS\n      # The container has this name in its own list, for IPv4.\n      dns_lookup_family: V4_PREFERRED\n";
    let swaps = [
        (old, format!("{HOST}, port_value: {}", peer.port)),
        ("      type: STRICT_DNS\n", family.to_owned()),
    ];
    filled(template, &swaps)
}

/// The file of the credentials, as the example has it, without any.
fn secret() -> Result<String, Failure> {
    let example = between(INTROSPECTION, "#   resources:", "\n#\n")?;
    let lines = example.lines().filter_map(|line| line.strip_prefix("#   "));
    let text: Vec<&str> = lines.collect();
    let own = [(
        "bWNwLXNlcnZlcjpTRUNSRVQ=",
        "BASE64-OF-CLIENT:SECRET".to_owned(),
    )];
    Ok(format!("{}\n", filled(&text.join("\n"), &own)?))
}

fn header(target: Target) -> String {
    let file = if target == Target::Compose {
        "docker-compose.yaml mounts what it needs"
    } else {
        "it needs the module and, for TLS, the certificate at the paths below"
    };
    format!(
        "# One Envoy in front of one MCP server, written by `mcp-auth init`: {file}.\n#\n#   envoy --mode validate --config-path envoy.yaml\n#\n# runs the filter's own check too. Needs Envoy 1.33 or newer.\n"
    )
}

fn compose(values: &Values) -> Result<String, Failure> {
    let service = between(COMPOSE, "services:\n", "    # Not on Hydra")?;
    let check = between(service, "    # Healthy once", "      interval:")?;
    let port = port(values);
    let published = if values.resource.is_loopback() {
        format!("127.0.0.1:{port}:{port}")
    } else {
        format!("{port}:{port}")
    };
    // Over TLS the shell cannot ask the filter, only Envoy's own port.
    let (asked, path) = if is_tls(values) {
        (9901, "/ready".to_owned())
    } else {
        let path = values.path().trim_end_matches('/');
        (port, format!("/.well-known/oauth-protected-resource{path}"))
    };
    let healthy = if is_tls(values) {
        "Healthy once Envoy is ready."
    } else {
        "Healthy once the filter itself answers."
    };
    let own_check = filled(
        check,
        &[
            (
                "Healthy once the filter itself answers.",
                healthy.to_owned(),
            ),
            ("tcp/127.0.0.1/8080", format!("tcp/127.0.0.1/{asked}")),
            ("/.well-known/oauth-protected-resource/mcp", path),
            ("host: localhost:8080", format!("host: {}", values.host())),
        ],
    )?;
    let mut volumes = "- ./mcp_auth_filter.wasm:/etc/envoy/mcp_auth_filter.wasm:ro".to_owned();
    if is_tls(values) {
        volumes.push_str("\n      - ./tls:/etc/envoy/tls:ro");
    }
    if values.introspection.is_some() {
        volumes.push_str(&format!("\n      - ./{SECRET}:/etc/envoy/{SECRET}:ro"));
    }
    let text = filled(
        service,
        &[
            (check, own_check),
            ("127.0.0.1:8080:8080", published),
            ("./hydra/envoy.yaml:", "./envoy.yaml:".to_owned()),
            (
                "- ../dist/mcp_auth_filter.wasm:/etc/envoy/mcp_auth_filter.wasm:ro",
                volumes,
            ),
        ],
    )?;
    Ok(format!(
        "# Envoy with the filter, written by `mcp-auth init`.\n\n{text}    # For servers on this machine.\n    extra_hosts: [\"{HOST}:host-gateway\"]\n"
    ))
}

fn readme(target: Target, values: &Values) -> String {
    let (resource, host) = (values.resource.as_str(), values.host());
    let module = match (&values.module, target) {
        (Some(_), Target::Compose) => "`mcp_auth_filter.wasm` is here".to_owned(),
        (None, Target::Compose) => {
            "Put the module (`dist/mcp_auth_filter.wasm`, or of a release) here".to_owned()
        }
        _ => "Put the module to `/etc/envoy/mcp_auth_filter.wasm`".to_owned(),
    };
    let certificate = match (is_tls(values), target) {
        (false, _) => String::new(),
        (true, Target::Compose) => format!(
            ", and certificate and key of {host} to `tls/server.crt` and `tls/server.key`, readable for user 101"
        ),
        (true, _) => format!(
            ", and certificate and key of {host} to `/etc/envoy/tls/server.crt` and `server.key`"
        ),
    };
    let credentials = match (&values.introspection, target) {
        (None, _) => String::new(),
        (Some(_), Target::Compose) => format!(
            " Write the credentials of the\n   filter's own client at the issuer in `{SECRET}`, readable for user 101 alone."
        ),
        (Some(_), _) => format!(
            " Write the credentials of the\n   filter's own client at the issuer in `{SECRET}`, and put it to `/etc/envoy/`."
        ),
    };
    let start = if target == Target::Compose {
        "docker compose up"
    } else {
        "envoy --mode validate --config-path envoy.yaml && envoy --config-path envoy.yaml"
    };
    format!(
        "# {resource}\n\n1. {module}{certificate}.{credentials} Keep everybody but this Envoy from the MCP server at\n   `{}:{}`: whoever else reaches it is not asked for a token.\n2. Start it:\n\n   ```sh\n   {start}\n   ```\n\n3. See whether clients can log in:\n\n   ```sh\n   mcp-auth probe {resource}\n   ```\n\n`config.json` is the filter's configuration by itself, for `mcp-auth check` and `mcp-auth explain`; Envoy reads\nthe one in `envoy.yaml`.\n",
        values.upstream.host, values.upstream.port
    )
}
