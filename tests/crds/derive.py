"""Makes the schemas of this folder from two packages that carry the CRDs as types (see README.md).

    python derive.py istio FOLDER        # the unpacked wheel of cloudcoil.models.istio
    python derive.py gateway-api FOLDER  # the unpacked archive of @kubernetes-models/gateway-api

Nothing of the packages is imported or run: their source is read. What a schema holds is every field
of `spec`, with its type, allowed values, pattern and bounds, and which ones are required.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

Json = dict[str, Any]

HERE = Path(__file__).parent
ISTIO = {
    "extensions/v1alpha1": ["TrafficExtension", "WasmPlugin"],
    "networking/v1": ["DestinationRule", "Gateway", "ServiceEntry", "VirtualService"],
    "networking/v1alpha3": ["EnvoyFilter"],
    "security/v1": ["AuthorizationPolicy", "PeerAuthentication"],
}
GATEWAY_API = {"v1": ["BackendTLSPolicy", "Gateway", "HTTPRoute"]}


def write(group: str, version: str, kind: str, spec: Json, definitions: Json) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "apiVersion": {"const": f"{group}/{version}"},
            "kind": {"const": kind},
            "metadata": {"$ref": "metadata.json"},
            "spec": spec,
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "$defs": {name: definitions[name] for name in sorted(needed(spec, definitions))},
    }
    file = HERE / f"{group}_{version}_{kind}.json"
    file.write_text(json.dumps(schema, separators=(",", ":")) + "\n")
    print(file.name, file.stat().st_size)


def needed(schema: Json, definitions: Json) -> set[str]:
    found: set[str] = set()
    todo = [schema]
    while todo:
        for name in re.findall(r'"#/\$defs/(\w+)"', json.dumps(todo.pop())):
            if name not in found:
                found.add(name)
                todo.append(definitions[name])
    return found


class Models:
    """Classes of Pydantic as schemas."""

    BOUNDS: ClassVar = {"pattern": "pattern", "ge": "minimum", "le": "maximum"}
    PLAIN: ClassVar = {
        **dict.fromkeys(("str", "Base64Str", "AwareDatetime"), "string"),
        **{"int": "integer", "float": "number", "bool": "boolean"},
    }

    def __init__(self, source: str) -> None:
        self.definitions: Json = {}
        for node in ast.parse(source).body:
            match node:
                case ast.ClassDef(name=name):
                    self.definitions[name] = self.of_class(node)
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Call(func=ast.Name(id="TypeAliasType"), args=[_, aliased]),
                ):
                    self.definitions[name] = self.of_type(aliased)[0]

    def of_class(self, node: ast.ClassDef) -> Json:
        properties: Json = {}
        required: list[str] = []
        for field in node.body:
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if field.target.id == "root":
                return self.of_type(field.annotation)[0]
            if ast.unparse(field.annotation).startswith("ClassVar"):
                continue
            schema, alias = self.of_type(field.annotation)
            name = alias or field.target.id
            properties[name] = schema
            if field.value is None:
                required.append(name)
        return closed(properties, required)

    def of_type(self, node: ast.expr) -> tuple[Json, str | None]:
        """The schema, and the name by which the field goes in YAML if that is another."""
        match node:
            case ast.BinOp(op=ast.BitOr()):
                options = [one for one in alternatives(node) if not is_none(one)]
                if len(options) == 1:
                    return self.of_type(options[0])
                return {"anyOf": [self.of_type(one)[0] for one in options]}, None
            case ast.Subscript(
                value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, field])
            ):
                schema, _ = self.of_type(inner)
                assert isinstance(field, ast.Call)
                given = {one.arg: ast.literal_eval(one.value) for one in field.keywords}
                schema = dict(schema)
                for name, value in given.items():
                    if name in self.BOUNDS:
                        schema[self.BOUNDS[name]] = value
                    elif name in ("min_length", "max_length"):
                        what = "Items" if schema.get("type") == "array" else "Length"
                        schema[name[:3] + what] = value
                    else:
                        assert name == "alias", name
                return schema, given.get("alias")
            case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
                options = values.elts if isinstance(values, ast.Tuple) else [values]
                return {"enum": [ast.literal_eval(one) for one in options]}, None
            case ast.Subscript(value=ast.Name(id="list"), slice=inner):
                return {"type": "array", "items": self.of_type(inner)[0]}, None
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, inner])):
                return {"type": "object", "additionalProperties": self.of_type(inner)[0]}, None
            case ast.Name(id="Any"):
                return {}, None
            case ast.Name(id=name) if name in self.PLAIN:
                return {"type": self.PLAIN[name]}, None
            case ast.Name(id=name):
                return {"$ref": f"#/$defs/{name}"}, None
        raise ValueError(ast.dump(node))


def alternatives(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp):
        yield from alternatives(node.left)
        yield from alternatives(node.right)
    else:
        yield node


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def closed(properties: Json, required: list[str]) -> Json:
    made: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**made, "required": required} if required else made


class Interfaces:
    """Interfaces and types of TypeScript as schemas."""

    TOKEN = re.compile(r'"[^"]*"|[\w.]+|[{}<>\[\]|?:;()=&]')
    PLAIN = ("string", "number", "boolean")

    def __init__(self, folder: Path) -> None:
        self.definitions: Json = {}
        parents: dict[str, list[str]] = {}
        for file in sorted(folder.glob("*.d.ts")):
            text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
            own = re.search(r"export (?:interface|type) (I\w+)([^{=]*)(.*)", text, re.DOTALL)
            if own is None:
                continue
            self.tokens = self.TOKEN.findall(own[3])
            self.at = 0
            self.accept("=")
            self.definitions[own[1]] = self.type()
            parents[own[1]] = [
                self.name(one) for one in re.findall(r"\w+", own[2]) if one != "extends"
            ]
        for name in parents:
            self.inherit(name, parents)

    def inherit(self, name: str, parents: dict[str, list[str]]) -> None:
        own = self.definitions[name]
        for parent in parents.get(name, ()):
            if parent not in self.definitions:
                assert parent == "TypeMeta"  # apiVersion and kind
                continue
            self.inherit(parent, parents)
            theirs = self.definitions[parent]
            own["properties"] = {**theirs["properties"], **own["properties"]}
            required = {*own.get("required", ()), *theirs.get("required", ())}
            if required:
                own["required"] = sorted(required)

    @staticmethod
    def name(token: str) -> str:
        """Names of Gateway API's own types have a prefix where they are imported."""
        return re.sub(r"^IIoK8sSigsGatewayApiApisV1", "I", token)

    def accept(self, token: str) -> bool:
        if self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        assert self.accept(token), self.tokens[self.at - 5 : self.at + 5]

    def type(self) -> Json:
        options = [self.single()]
        while self.accept("|"):
            options.append(self.single())
        if all("const" in one for one in options):
            return {"enum": [one["const"] for one in options]}
        return options[0] if len(options) == 1 else {"anyOf": options}

    def single(self) -> Json:
        if self.accept("("):
            inner = self.type()
            self.expect(")")
            return inner
        if self.accept("{"):
            return self.members()
        token = self.tokens[self.at]
        self.at += 1
        if token == "Array":
            self.expect("<")
            items = self.type()
            self.expect(">")
            return {"type": "array", "items": items}
        if token.startswith('"'):
            return {"const": token[1:-1]}
        if token.isdigit():
            return {"const": int(token)}
        if token in self.PLAIN:
            return {"type": token}
        if token.startswith("IIoK8sApimachinery"):
            return {"type": "object"}  # a type of Kubernetes itself: not looked into
        return {"$ref": f"#/$defs/{self.name(token)}"}

    def members(self) -> Json:
        properties: Json = {}
        required: list[str] = []
        while not self.accept("}"):
            if self.accept("["):
                while not self.accept("]"):
                    self.at += 1
                self.expect(":")
                rest = self.type()
                self.accept(";")
                self.expect("}")
                return {"type": "object", "additionalProperties": rest}
            name = self.tokens[self.at].strip('"')
            self.at += 1
            if not self.accept("?"):
                required.append(name)
            self.expect(":")
            properties[name] = self.type()
            self.accept(";")
        return closed(properties, required)


def istio(folder: Path) -> None:
    for path, kinds in ISTIO.items():
        group, version = path.split("/")
        file = folder / "cloudcoil" / "models" / "istio" / f"{path}.py"
        models = Models(file.read_text()).definitions
        for kind in kinds:
            spec = models[kind]["properties"]["spec"]
            write(f"{group}.istio.io", version, kind, spec, models)


def gateway_api(folder: Path) -> None:
    group = "gateway.networking.k8s.io"
    for version, kinds in GATEWAY_API.items():
        found = Interfaces(folder / "package" / group / version).definitions
        for kind in kinds:
            write(group, version, kind, found[f"I{kind}"]["properties"]["spec"], found)


if __name__ == "__main__":
    {"istio": istio, "gateway-api": gateway_api}[sys.argv[1]](Path(sys.argv[2]))
