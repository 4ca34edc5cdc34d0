"""What a CRD's rules in CEL (`x-kubernetes-validations`) say of a manifest, as an API server evaluates them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import cel

Json = dict[str, Any]

# Of Kubernetes' own functions those that the CRDs use. A URL is its text here.
FUNCTIONS: Json = {
    "isURL": lambda text: bool(urlsplit(text).scheme),
    "url": lambda text: text,
    "getScheme": lambda text: urlsplit(text).scheme,
}


def with_defaults(schema: Json, value: Any) -> Any:
    """An API server puts the schema's defaults in before it looks at rules."""
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        made = {
            name: copy.deepcopy(one["default"]) for name, one in fields.items() if "default" in one
        } | value
        others = schema.get("additionalProperties")
        return {
            name: with_defaults(fields.get(name, others if isinstance(others, dict) else {}), one)
            for name, one in made.items()
        }
    if isinstance(value, list):
        return [with_defaults(schema.get("items", {}), one) for one in value]
    return value


def violations(schema: Json, value: Any, path: str = "$") -> Iterator[str]:
    """The rules that do not hold. `value` has its defaults."""
    for rule in schema.get("x-kubernetes-validations", ()):
        # A rule on the change from what was there before.
        if "oldSelf" in rule["rule"]:
            continue
        if cel.evaluate(rule["rule"], {"self": value, **FUNCTIONS}) is not True:
            yield f"{path}: {rule.get('message', rule['rule'])}"
    if isinstance(value, dict):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, one in value.items():
            below = fields.get(name, others if isinstance(others, dict) else {})
            yield from violations(below, one, f"{path}.{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from violations(schema.get("items", {}), one, f"{path}[{number}]")
