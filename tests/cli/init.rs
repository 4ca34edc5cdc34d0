//! `mcp-auth init`: what it writes is what `envoy/` has, but for the values.

use std::fs;
use std::path::{Path, PathBuf};

use mcp_auth_filter::config::Config;

use crate::{Ran, run};

struct Written {
    code: i32,
    stderr: String,
    directory: PathBuf,
}

impl Written {
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap()
    }
}

/// Into a folder of that name, which is emptied before.
fn init(name: &str, arguments: &str) -> Written {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("init")
        .join(name);
    let _ = fs::remove_dir_all(&directory);
    let ran = into(&directory, arguments);
    Written {
        code: ran.code,
        stderr: ran.stderr,
        directory,
    }
}

fn into(directory: &Path, arguments: &str) -> Ran {
    let mut words = vec!["init"];
    words.extend(arguments.split(' '));
    words.extend(directory.to_str());
    run(&words, "")
}

/// The values that the files of `envoy/` have.
const SHIPPED: &str =
    "--resource https://mcp.example.com/mcp --issuer https://auth.example.com --scope mcp";

/// The lines that are no comment.
fn code(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect()
}

#[test]
fn with_the_values_of_the_examples_it_writes_the_examples() {
    for (target, upstream, files) in [
        ("envoy", "mcp-server:3000", ["envoy.yaml"].as_slice()),
        (
            "istio",
            "mcp-server.mcp.svc.cluster.local:3000",
            &[
                "gateway.yaml",
                "server.yaml",
                "keys.yaml",
                "filter.yaml",
                "interlock.yaml",
                "connection-manager.yaml",
                "values-istiod.yaml",
            ],
        ),
        (
            "envoy-gateway",
            "mcp-server:3000",
            &[
                "gateway.yaml",
                "keys.yaml",
                "filter.yaml",
                "interlock.yaml",
                "values.yaml",
            ],
        ),
    ] {
        let arguments = format!("--target {target} {SHIPPED} --upstream {upstream}");
        let ran = init(&format!("shipped-{target}"), &arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{target}");
        let shipped = match target {
            "envoy" => "envoy".to_owned(),
            _ => format!("envoy/{target}"),
        };
        for file in files {
            let there = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(&shipped)
                .join(file);
            let there = fs::read_to_string(there).unwrap();
            assert_eq!(code(&ran.read(file)), code(&there), "{target}: {file}");
        }
        Config::parse(ran.read("config.json").as_bytes()).unwrap();
    }
}

#[test]
fn with_introspection_it_writes_the_example_of_that() {
    let endpoint = "https://auth.example.com/introspect";
    let arguments =
        format!("--target envoy {SHIPPED} --upstream mcp-server:3000 --introspection {endpoint}");
    let ran = init("introspection", &arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/introspection.yaml");
    // The example leaves the endpoint to discovery.
    let named = format!("\"introspection\", \"endpoint\": \"{endpoint}\" }}");
    let shipped = fs::read_to_string(shipped).unwrap();
    let shipped = shipped.replace("\"introspection\" }", &named);
    assert_eq!(code(&ran.read("envoy.yaml")), code(&shipped));
    assert!(
        ran.read("introspection-secret.yaml")
            .contains("BASE64-OF-CLIENT:SECRET")
    );
    let config = Config::parse(ran.read("config.json").as_bytes()).unwrap();
    assert!(config.issuers[0].introspection.is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let secret = fs::metadata(ran.directory.join("introspection-secret.yaml")).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn without_tls_introspection_has_its_credentials_too() {
    let arguments = "--target compose --resource http://localhost:8080/mcp --issuer http://localhost:4444 \
                     --upstream mcp-server:3000 --introspection http://localhost:4445/introspect";
    let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
    let ran = init("introspection-compose", &arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let envoy = ran.read("envoy.yaml");
    assert!(
        !envoy.contains("auto_sni") && !envoy.contains("UpstreamTlsContext"),
        "{envoy}"
    );
    assert!(envoy.contains("credential_injector"));
    assert!(envoy.contains("address: host.docker.internal, port_value: 4445"));
    let compose = ran.read("docker-compose.yaml");
    assert!(
        compose.contains("- ./introspection-secret.yaml:/etc/envoy/introspection-secret.yaml:ro")
    );
}

#[test]
fn no_value_of_the_examples_is_left() {
    let arguments = "--resource https://mcp.acme.test/a/b --issuer https://login.acme.test:8443/t \
                     --upstream tools.prod.svc.cluster.local:9000 --scope api://x/read";
    let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
    for target in ["envoy", "compose", "istio", "envoy-gateway"] {
        let ran = init(
            &format!("other-{target}"),
            &format!("--target {target} {arguments}"),
        );
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{target}");
        let mut all = String::new();
        for file in fs::read_dir(&ran.directory).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            all.push_str(&code(&text).join("\n"));
        }
        for old in [
            "mcp.example.com",
            "auth.example.com",
            "mcp-server:3000",
            "3000",
            "/mcp }",
            "prefix: /mcp/",
            "namespace: mcp\n",
            "[mcp]",
        ] {
            assert!(!all.contains(old), "{target}: {old}");
        }
        for new in [
            "mcp.acme.test",
            "/a/b",
            "login.acme.test",
            "8443",
            "9000",
            "api://x/read",
        ] {
            assert!(all.contains(new), "{target}: {new}");
        }
    }
}

/// Values that look like what they stand beside.
#[test]
fn a_value_is_never_taken_for_a_place() {
    let arguments = "--resource https://auth.example.com/x --issuer https://mcp.example.com \
                     --upstream mcp-server.mcp.svc.cluster.local:443";
    let arguments = arguments.split_whitespace().collect::<Vec<_>>().join(" ");
    let ran = init("swapped", &format!("--target envoy-gateway {arguments}"));
    let keys = ran.read("keys.yaml");
    assert!(
        keys.contains("hostname: mcp.example.com, port: 443"),
        "{keys}"
    );
    assert!(keys.contains("hostnames: [auth.example.com]"), "{keys}");
    let ran = init("swapped", &format!("--target istio {arguments}"));
    assert!(ran.read("gateway.yaml").contains("number: 443 }"));
    assert!(ran.read("keys.yaml").contains("hosts: [mcp.example.com]"));
}

#[test]
fn wrong_values_are_told_in_a_sentence() {
    let good = format!("{SHIPPED} --upstream mcp-server:3000");
    for (arguments, code, said) in [
        (format!("--target nginx {good}"), 2, "--target"),
        (
            format!("--target envoy {good}").replace("https://mcp.example.com/mcp", "mcp"),
            2,
            "--resource",
        ),
        (
            format!("--target envoy {good}").replace("https://auth.example.com", "ftp://a"),
            2,
            "--issuer",
        ),
        (
            format!("--target envoy {good}").replace("mcp-server:3000", "a:b:c"),
            2,
            "--upstream",
        ),
        (
            format!("--target envoy {good}").replace("mcp-server:3000", "a]b}"),
            2,
            "--upstream",
        ),
        (
            format!("--target envoy {good}").replace("/mcp ", "/{tenant} "),
            2,
            "--resource",
        ),
        (
            format!("--target istio {good}").replace("https://mcp", "http://mcp"),
            2,
            "--resource",
        ),
        (
            format!("--target istio {good}").replace("mcp-server:3000", "https://mcp-server"),
            2,
            "--upstream",
        ),
        (
            format!("--target istio {good}").replace("mcp-server:3000", "10.0.0.7:3000"),
            2,
            "--upstream: a Service",
        ),
        (
            format!("--target envoy-gateway {good}").replace("mcp-server:", "mcp.example.com:"),
            2,
            "--upstream: a Service",
        ),
        (
            format!("--target istio {good} --introspection https://auth.example.com/i"),
            2,
            "--introspection",
        ),
        (
            format!("--target envoy {good} --introspection /introspect"),
            2,
            "--introspection",
        ),
        (
            format!("--target envoy {good} --scope a\"b"),
            1,
            "resources[0].scopes",
        ),
        (
            format!("--target envoy {good} --discover")
                .replace("https://auth.example.com", "http://127.0.0.1:9"),
            1,
            "--discover",
        ),
    ] {
        let ran = init("wrong", &arguments);
        assert_eq!(ran.code, code, "{arguments}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments}: {}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1);
        assert!(!ran.directory.exists());
    }
}

#[test]
fn nothing_is_overwritten() {
    let arguments = format!("--target envoy {SHIPPED} --upstream mcp-server:3000");
    let first = init("twice", &arguments);
    let own = first.directory.join("envoy.yaml");
    fs::write(&own, "mine").unwrap();
    let again = into(&first.directory, &arguments);
    assert_eq!(again.code, 2);
    assert_eq!(fs::read_to_string(own).unwrap(), "mine");
}
