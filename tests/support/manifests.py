"""The Kubernetes manifests under envoy/, read strictly."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from .example import FOLDER

Json = dict[str, Any]

ISTIO = FOLDER / "istio"
ENVOY_GATEWAY = FOLDER / "envoy-gateway"


class _Loader(yaml.SafeLoader):
    """Refuses what YAML's own readers let pass: a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(file: Path) -> list[Json]:
    with file.open() as text:
        return list(yaml.load_all(text, _Loader))


def named(files: Iterable[Path], kind: str, name: str | None = None) -> Json:
    """The only resource of this kind (and name) in these files."""
    found = [
        one
        for file in files
        for one in documents(file)
        if one.get("kind") == kind and name in (None, one["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def identity(resource: Json) -> tuple[str, str]:
    """Namespace and name."""
    return resource["metadata"]["namespace"], resource["metadata"]["name"]
