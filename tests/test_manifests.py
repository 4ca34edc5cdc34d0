"""The Kubernetes manifests under envoy/ are what their CRDs and the filter take.

Every field is checked against the schema of its CRD (`crds/README.md`) and the CRD's rules in CEL, as an API
server does; an unknown field is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from support.crd_rules import violations, with_defaults
from support.example import FOLDER
from support.manifests import ENVOY_GATEWAY, ISTIO, documents, named

Json = dict[str, Any]

CRDS = Path(__file__).parent / "crds"
MANIFESTS = [
    file
    for folder in (ISTIO, ENVOY_GATEWAY)
    for file in sorted(folder.glob("*.yaml"))
    if not file.name.startswith("values")
]
RESOURCES = [(file, one) for file in MANIFESTS for one in documents(file)]


def relative(file: Path) -> str:
    return str(file.relative_to(FOLDER))


def identifier(one: tuple[Path, Json]) -> str:
    return f"{relative(one[0])}:{one[1]['kind']}"


def schema_file(resource: Json) -> Path:
    name = resource["apiVersion"].replace("/", "_")
    return CRDS / f"{name}_{resource['kind']}.json"


def problems(resource: Json) -> list[str]:
    def of_file(uri: str) -> Resource[Any]:
        return Resource.from_contents(json.loads((CRDS / uri).read_text()))

    schema = json.loads(schema_file(resource).read_text())
    validator = Draft202012Validator(schema, registry=Registry(retrieve=of_file))
    found = [f"{one.json_path}: {one.message}" for one in validator.iter_errors(resource)]
    return found or list(violations(schema, with_defaults(schema, resource)))


@pytest.mark.parametrize(
    ("file", "resource"), RESOURCES, ids=[identifier(one) for one in RESOURCES]
)
def test_a_manifest_is_what_its_crd_takes(file: Path, resource: Json) -> None:
    assert problems(resource) == []


WRONG = [
    ("istio/filter.yaml", "TrafficExtension", "spec.wasm.failPolicy", "FAIL_RELOAD", "failPolicy"),
    ("istio/filter.yaml", "TrafficExtension", "spec.wasm.failStrategy", "FAIL_CLOSED", "FAIL_CLOSED"),
    ("istio/filter.yaml", "TrafficExtension", "spec.wasm.sha256", "ABC", "ABC"),
    ("istio/filter.yaml", "TrafficExtension", "spec.match", [{"mode": "GATEWAY"}], "GATEWAY"),
    ("istio/filter.yaml", "TrafficExtension", "spec.wasm.url", 1, "1"),
    ("istio/filter.yaml", "TrafficExtension", "spec.wasm.url", "ftp://a/b", "url must have"),
    ("istio/filter.yaml", "TrafficExtension", "metadata.namespace", None, "namespace"),
    ("istio/filter.yaml", "TrafficExtension", "spec.targetRefs", [{"kind": "Gateway", "name": "mcp"}], "only one of"),
    ("istio/gateway.yaml", "VirtualService", "spec.http.0.timeout", "0s", "greater than 1ms"),
    ("istio/gateway-api.yaml", "HTTPRoute", "spec.rules.0.matches.0.path.value", "/a//b", "must not contain '//'"),
    ("istio/keys.yaml", "ServiceEntry", "spec.ports.0.number", 0, "65535"),
    ("envoy-gateway/filter.yaml", "EnvoyExtensionPolicy", "spec.wasm.0.failPolicy", "x", "failPolicy"),
    ("envoy-gateway/filter.yaml", "EnvoyExtensionPolicy", "spec.wasm.0.code.type", "Image", "image"),
    ("envoy-gateway/gateway.yaml", "ClientTrafficPolicy", "spec.path.escapedSlashesAction", "UnescapeForward", "UnescapeForward"),
    ("envoy-gateway/keys.yaml", "Backend", "spec.endpoints.0.fqdn.port", 70000, "70000"),
    ("envoy-gateway/keys.yaml", "BackendTLSPolicy", "spec.validation.wellKnownCACertificates", None, "must specify"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "kind", "path", "value", "said"), WRONG, ids=[f"{one[1]}:{one[2]}={one[3]}" for one in WRONG]
)  # fmt: skip
def test_a_wrong_manifest_is_found(file: str, kind: str, path: str, value: Any, said: str) -> None:
    resource = named([FOLDER / file], kind)
    *parents, last = [int(one) if one.isdigit() else one for one in path.split(".")]
    target: Any = resource
    for one in parents:
        target = target[one]
    if value is None:
        del target[last]
    else:
        target[last] = value
    assert said in "\n".join(problems(resource))


def configurations(value: Any) -> Iterator[Json]:
    """The filter's JSON, wherever a file has it: as a text, or as YAML."""
    if isinstance(value, dict):
        if {"issuers", "resources"} <= value.keys():
            yield value
            return
        for one in value.values():
            yield from configurations(one)
    elif isinstance(value, list):
        for one in value:
            yield from configurations(one)
    elif isinstance(value, str) and '"issuers"' in value:
        yield json.loads(value)


EXAMPLES = [file for file in sorted(FOLDER.rglob("*.yaml")) if any(configurations(documents(file)))]


def test_the_examples_are_found() -> None:
    assert {relative(file) for file in EXAMPLES} == {
        "envoy.yaml",
        "envoy-gateway/filter.yaml",
        "hydra/envoy.yaml",
        "identity.yaml",
        "introspection.yaml",
        "istio/filter-envoyfilter.yaml",
        "istio/filter-wasmplugin.yaml",
        "istio/filter.yaml",
        "observability/tracing.yaml",
        "xds/listeners.yaml",
    }


@pytest.mark.parametrize("file", EXAMPLES, ids=relative)
def test_the_filters_json_conforms_to_its_schema(file: Path) -> None:
    schema = json.loads((FOLDER / "config.schema.json").read_text())
    validator = validator_for(schema)(schema)
    for one in configurations(documents(file)):
        assert [error.message for error in validator.iter_errors(one)] == []


def with_key(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, one in value.items():
            if name == key:
                yield one
            yield from with_key(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from with_key(one, key)


def test_the_interlock_is_the_same_everywhere() -> None:
    files = [FOLDER / "envoy.yaml", ISTIO / "interlock.yaml", ENVOY_GATEWAY / "interlock.yaml"]
    found = [
        one
        for file in files
        for one in with_key(documents(file), "typed_config")
        if one["@type"].endswith(".rbac.v3.RBAC")
    ]
    assert len(found) == len(files)
    assert found[0] == found[1] == found[2]


def test_istios_three_filters_are_one() -> None:
    """They differ in what carries them; who follows the README can change from one to another."""
    files = [ISTIO / f"filter{one}.yaml" for one in ("", "-wasmplugin", "-envoyfilter")]
    first, *others = [next(configurations(documents(file))) for file in files]
    assert all(one == first for one in others)
    for key in ("url", "sha256"):
        plugin, older = (next(with_key(documents(file), key)) for file in files[:2])
        assert plugin == older
    assert next(with_key(documents(files[2]), "uri")) == next(with_key(documents(files[0]), "url"))


def test_istios_manifests_are_for_the_same_gateway() -> None:
    selectors = [
        one["spec"][how] if how == "selector" else one["spec"][how]["labels"]
        for file, one in RESOURCES
        if file.parent == ISTIO
        for how in ("selector", "workloadSelector")
        if how in one["spec"] and one["metadata"]["namespace"] == "istio-ingress"
    ]
    labels = [one.get("matchLabels", one) for one in selectors]
    assert len(labels) == 6
    assert all(one == labels[0] for one in labels)


def test_nothing_fails_open() -> None:
    for file in sorted(FOLDER.rglob("*.yaml")):
        uncommented = re.sub(r"#.*", "", file.read_text())
        assert "FAIL_OPEN" not in uncommented
        assert not re.search(r"fail_?open: *true", uncommented, re.IGNORECASE)


def test_a_key_that_is_there_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("spec:\n  a: 1\n  a: 2\n")
    with pytest.raises(yaml.constructor.ConstructorError):
        documents(file)
