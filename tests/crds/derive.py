"""Makes the schemas of this folder from the CRDs in the control planes' own Go modules.

    python derive.py                # needs go, and its module proxy
    python derive.py --crds FOLDER  # the CRDs themselves, for kubectl-validate and an API server

The versions are those of `tests/kubernetes/*/go.mod`. Each kind that the manifests use becomes
GROUP_VERSION_KIND.json (JSON Schema 2020-12): every field of `spec`, with type, allowed values, pattern
and bounds, and which ones are required. Unknown fields are errors, unless the CRD keeps them. Rules in CEL
stay as `x-kubernetes-validations`, which `tests/support/crd_rules.py` evaluates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

HERE = Path(__file__).parent
MODULES = HERE.parent / "kubernetes"
# Where the CRDs are: the folder with a go.mod, the module, the files in it.
SOURCES = [
    ("gateway", "sigs.k8s.io/gateway-api", "config/crd/standard/*s.yaml"),
    ("gateway", "github.com/envoyproxy/gateway", "charts/gateway-helm/charts/crds/crds/generated/*.yaml"),
    ("istio", "istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml"),
]  # fmt: skip
KINDS = {
    "extensions.istio.io": ["TrafficExtension", "WasmPlugin"],
    "gateway.envoyproxy.io": [
        "Backend", "ClientTrafficPolicy", "EnvoyExtensionPolicy", "EnvoyPatchPolicy", "SecurityPolicy",
    ],
    "gateway.networking.k8s.io": ["BackendTLSPolicy", "Gateway", "HTTPRoute"],
    "networking.istio.io": [
        "DestinationRule", "EnvoyFilter", "Gateway", "ServiceEntry", "VirtualService",
    ],
    "security.istio.io": ["AuthorizationPolicy", "PeerAuthentication"],
}  # fmt: skip
# Of each kind the version that the manifests use.
VERSIONS = {"extensions.istio.io": "v1alpha1", "gateway.envoyproxy.io": "v1alpha1", "EnvoyFilter": "v1alpha3"}  # fmt: skip

COPIED = {
    "type", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties",
    "maxProperties", "required", "default", "format", "x-kubernetes-validations",
}  # fmt: skip


def files() -> Iterator[Path]:
    """The modules' files with CustomResourceDefinitions."""
    for folder, module, pattern in SOURCES:
        told = subprocess.run(
            ["go", "mod", "download", "-json", module],
            cwd=MODULES / folder,
            env={**os.environ, "GOFLAGS": "-mod=mod"},
            check=True,
            capture_output=True,
        )
        found = sorted(Path(json.loads(told.stdout)["Dir"]).glob(pattern))
        assert found, f"{module} has no {pattern}"
        yield from found


def definitions() -> Iterator[Json]:
    for file in files():
        for one in yaml.safe_load_all(file.read_text()):
            if one and one["kind"] == "CustomResourceDefinition":
                yield one


def closed(schema: Json, *, structural: bool = True) -> Json:
    """The part of a CRD's schema that says what a manifest may be.

    `structural`: false inside anyOf and its like, which name fields that are declared elsewhere.
    """
    made: Json = {key: value for key, value in schema.items() if key in COPIED}
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            made[key] = [closed(one, structural=False) for one in schema[key]]
    if "not" in schema:
        made["not"] = closed(schema["not"], structural=False)
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if "items" in schema:
        made["items"] = closed(schema["items"], structural=structural)
    fields = schema.get("properties")
    if fields is not None:
        made["properties"] = {
            name: closed(one, structural=structural) for name, one in fields.items()
        }
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        made["additionalProperties"] = closed(others, structural=structural)
    elif structural and fields and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if made.get(exclusive) is True:  # as in OpenAPI 3.0
            made[exclusive] = made.pop(plain)
        elif made.get(exclusive) is False:
            del made[exclusive]
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def write_crds(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files():
        text = file.read_text()
        if "kind: CustomResourceDefinition" in text:
            (folder / file.name).write_text(text)


def write_schemas() -> None:
    wanted = {(group, kind) for group, kinds in KINDS.items() for kind in kinds}
    for crd in definitions():
        group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
        if (group, kind) not in wanted:
            continue
        name = VERSIONS.get(kind) or VERSIONS.get(group, "v1")
        (version,) = (one for one in crd["spec"]["versions"] if one["name"] == name)
        whole = version["schema"]["openAPIV3Schema"]
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "apiVersion": {"const": f"{group}/{name}"},
                "kind": {"const": kind},
                "metadata": {"$ref": "metadata.json"},
                "spec": closed(whole["properties"]["spec"]),
            },
            "required": ["apiVersion", "kind", "metadata", "spec"],
            "additionalProperties": False,
        }
        if "x-kubernetes-validations" in whole:
            schema["x-kubernetes-validations"] = whole["x-kubernetes-validations"]
        file = HERE / f"{group}_{name}_{kind}.json"
        file.write_text(json.dumps(schema, separators=(",", ":")) + "\n")
        print(file.name, file.stat().st_size)
        wanted.remove((group, kind))
    assert not wanted, f"no CRD has {wanted}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            write_schemas()
        case ["--crds", folder]:
            write_crds(Path(folder))
        case _:
            sys.exit(__doc__)
