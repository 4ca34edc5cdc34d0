"""A Kubernetes API server takes every manifest, and refuses wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from api_server import ApiServer, Refused
from support.manifests import ENVOY_GATEWAY, ISTIO, documents, named

MANIFESTS = [
    (file, one)
    for folder in (ISTIO, ENVOY_GATEWAY)
    for file in sorted(folder.glob("*.yaml"))
    if not file.name.startswith("values")
    for one in documents(file)
]
WRONG: list[tuple[Path, str, Callable[[dict], object], str]] = [
    (ISTIO / "gateway.yaml", "VirtualService", lambda spec: spec["http"][0].update(timeout="0s"), "greater than 1ms"),
    (ISTIO / "filter.yaml", "TrafficExtension", lambda spec: spec["wasm"].update(failPolicy="x"), "failPolicy"),
    (ENVOY_GATEWAY / "filter.yaml", "EnvoyExtensionPolicy", lambda spec: spec["wasm"][0].update(failPolicy="x"), "failPolicy"),
    (ENVOY_GATEWAY / "keys.yaml", "BackendTLSPolicy", lambda spec: spec["validation"].pop("wellKnownCACertificates"), "must specify"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "manifest"), MANIFESTS, ids=[f"{file.parent.name}/{file.stem}:{one['kind']}" for file, one in MANIFESTS]
)  # fmt: skip
def test_it_takes_every_manifest(api: ApiServer, file: Path, manifest: dict) -> None:
    """Strictly: an unknown field would be an error."""
    assert api.apply_one(manifest, dry=True) == []


@pytest.mark.parametrize(("file", "kind", "change", "said"), WRONG, ids=[one[1] for one in WRONG])
def test_it_refuses_wrong_ones(
    api: ApiServer, file: Path, kind: str, change: Callable[[dict], object], said: str
) -> None:
    manifest = named([file], kind)
    change(manifest["spec"])
    with pytest.raises(Refused, match=said):
        api.apply_one(manifest, dry=True)
