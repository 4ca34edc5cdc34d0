"""One story for each provider: how it is set up as its page says, and what is left out."""

from __future__ import annotations

from collections.abc import Callable

from ..stage import Stage
from . import (
    better_auth,
    canaille,
    django_oauth_toolkit,
    glewlwyd,
    hydra,
    introspection,
    keycloak,
    oidc_provider,
)

ALL: dict[str, Callable[[Stage], None]] = {
    "hydra": hydra.run,
    "keycloak": keycloak.run,
    "oidc-provider": oidc_provider.run,
    "better-auth": better_auth.run,
    "django-oauth-toolkit": django_oauth_toolkit.run,
    "canaille": canaille.run,
    "glewlwyd": glewlwyd.run,
    "introspection": introspection.run,
}
