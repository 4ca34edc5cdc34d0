"""The Kubernetes manifests under envoy/ are what their CRDs and the filter take.

Where a schema of the CRD could be had (`crds/README.md`), every field is checked against it, and an
unknown one is an error. For the rest the folder's README has a table of every field that is used,
with where it is documented; here it is checked that manifests and table have the same fields.
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
from support.example import FOLDER
from support.manifests import ENVOY_GATEWAY, ISTIO, documents

Json = dict[str, Any]

CRDS = Path(__file__).parent / "crds"
MANIFESTS = [
    file
    for folder in (ISTIO, ENVOY_GATEWAY)
    for file in sorted(folder.glob("*.yaml"))
    if not file.name.startswith("values")
]
RESOURCES = [(file, one) for file in MANIFESTS for one in documents(file)]

# Checked on paper: the tables of these files.
ON_PAPER = {"gateway.envoyproxy.io": ENVOY_GATEWAY / "README.md"}
# What is another's: looked into by the filter's schema, or by Envoy itself.
FREE = {"config", "value"}


def relative(file: Path) -> str:
    return str(file.relative_to(FOLDER))


def group(resource: Json) -> str:
    return resource["apiVersion"].partition("/")[0]


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
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(resource)]


@pytest.mark.parametrize(
    ("file", "resource"),
    [one for one in RESOURCES if group(one[1]) not in ON_PAPER],
    ids=[identifier(one) for one in RESOURCES if group(one[1]) not in ON_PAPER],
)
def test_a_manifest_is_what_its_crd_takes(file: Path, resource: Json) -> None:
    assert problems(resource) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.wasm.failPolicy", "FAIL_RELOAD", "failPolicy"),
        ("spec.wasm.failStrategy", "FAIL_CLOSED", "FAIL_CLOSED"),
        ("spec.wasm.sha256", "ABC", "ABC"),
        ("spec.match", [{"mode": "GATEWAY"}], "GATEWAY"),
        ("spec.wasm.url", 1, "1"),
        ("metadata.namespace", None, "namespace"),
    ],
)
def test_a_wrong_manifest_is_found(path: str, value: Any, said: str) -> None:
    (resource,) = documents(ISTIO / "filter.yaml")
    *parents, last = path.split(".")
    target = resource
    for one in parents:
        target = target[one]
    if value is None:
        del target[last]
    else:
        target[last] = value
    assert said in "\n".join(problems(resource))


def fields(value: Any, path: str = "spec") -> Iterator[str]:
    """Every field that has a value of its own."""
    name = path.rpartition(".")[2]
    if name in FREE:
        yield path
    elif isinstance(value, dict) and value:
        for key, one in value.items():
            yield from fields(one, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for one in value:
            yield from fields(one, f"{path}[]")
    else:
        yield path


@pytest.mark.parametrize("checked", ON_PAPER)
def test_the_table_has_every_field_that_no_schema_was_had_for(checked: str) -> None:
    used = {
        (one["kind"], field)
        for _, one in RESOURCES
        if group(one) == checked
        for field in fields(one["spec"])
    }
    rows = re.findall(r"^\| (\w+) \| `(spec[^`]*)` \|", ON_PAPER[checked].read_text(), re.MULTILINE)
    assert used
    assert set(rows) == used
    assert len(rows) == len(used), "a row twice"


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
