"""Tokens, good ones and ones that are broken in every way that has a name; the same in every run."""

from __future__ import annotations

import random

from . import by_claims, by_form, by_header
from .mint import NOW, SETTINGS, Case, Mint

__all__ = ["NOW", "SETTINGS", "Case", "generate"]


def generate() -> list[Case]:
    cases = []
    families = [
        family for module in (by_header, by_claims, by_form) for family in module.kinds.families
    ]
    for family, make in families:
        for kind, token, expected in make(Mint(random.Random(family))):
            member, _, setting = kind.partition("@")
            name = f"{family}: {member}" if member else family
            cases.append(Case(name, setting or "usual", token, expected))
    return cases
