"""Wraps the module as an OCI image: `package_oci.py VERSION MODULE LAYOUT TAR`.

LAYOUT is an OCI image layout (a folder), TAR the same in one file. The image is of the variant
"compat" of the Wasm image specification (https://github.com/solo-io/wasm/tree/master/spec), which
Istio and Envoy Gateway read, and every registry takes since its media types are those of any image:
one layer, a gzipped tar, in it `plugin.wasm`.

Equal modules give equal bytes: nothing depends on clock, user, file order, or version of zlib.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

from package_tar import tar

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

Json = dict[str, Any]


def gzip(data: bytes) -> bytes:
    """RFC 1952 with stored blocks (RFC 1951 §3.2.4).

    What zlib makes of the same input differs between its versions, and with it the image's digest.
    """
    most = 0xFFFF
    out = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for at in range(0, len(data), most):
        block = data[at : at + most]
        last = at + most >= len(data)
        out += [struct.pack("<BHH", last, len(block), len(block) ^ most), block]
    return b"".join([*out, struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)])


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def document(content: Json) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


class Layout:
    """https://github.com/opencontainers/image-spec/blob/main/image-layout.md"""

    def __init__(self) -> None:
        self.files = {"oci-layout": document({"imageLayoutVersion": "1.0.0"})}

    def add(self, media_type: str, blob: bytes) -> Json:
        digest = sha256(blob)
        self.files["blobs/" + digest.replace(":", "/")] = blob
        return {"mediaType": media_type, "digest": digest, "size": len(blob)}


def image(module: bytes, version: str) -> tuple[Layout, str]:
    layout = Layout()
    content = tar({"plugin.wasm": module})
    config = {
        # It runs wherever Envoy does, but clients ask for a platform: this is theirs by default.
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [sha256(content)]},
    }
    manifest = layout.add(
        MANIFEST,
        document(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": layout.add(CONFIG, document(config)),
                "layers": [layout.add(LAYER, gzip(content))],
                "annotations": {
                    "module.wasm.image/variant": "compat",
                    "org.opencontainers.image.title": "mcp_auth_filter",
                    "org.opencontainers.image.version": version,
                    "org.opencontainers.image.licenses": "Apache-2.0",
                },
            }
        ),
    )
    # The tag, for clients that copy it to a registry.
    named = manifest | {"annotations": {"org.opencontainers.image.ref.name": version}}
    layout.files["index.json"] = document(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
    )
    return layout, manifest["digest"]


def main(version: str, module: str, folder: str, archive: str) -> None:
    layout, digest = image(Path(module).read_bytes(), version)
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in layout.files.items():
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    Path(archive).write_bytes(tar(layout.files))
    print(f"package: {archive}: image {digest}")


if __name__ == "__main__":
    main(*sys.argv[1:])
