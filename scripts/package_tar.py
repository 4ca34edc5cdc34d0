"""Tar archives that depend on nothing but their files: not on clock, user or file order."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Collection


def tar(files: dict[str, bytes], executable: Collection[str] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)  # of root, and of 1970
            entry.size = len(files[name])
            entry.mode = 0o755 if name in executable else 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return out.getvalue()
