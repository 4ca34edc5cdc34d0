"""Signing keys made for one run, and tokens by them."""

from __future__ import annotations

import itertools
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from .control import Lane

RESOURCE = "https://mcp.example.com/mcp"

ALGORITHMS = ("EdDSA", "ES256", "RS256")

_numbers = itertools.count(1)


class SigningKey:
    """A key pair, with a name that no other key of the run has unless one is given."""

    algorithm = "EdDSA"
    """What new keys are for. It decides what one request costs, and so how much load fits."""

    def __init__(self, kid: str = "") -> None:
        self.alg = SigningKey.algorithm
        self.kid = kid or f"key-{next(_numbers)}"
        self._private: Any
        match self.alg:
            case "EdDSA":
                self._private = ed25519.Ed25519PrivateKey.generate()
                public = OKPAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
            case "ES256":
                self._private = ec.generate_private_key(ec.SECP256R1())
                public = ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
            case "RS256":
                self._private = rsa.generate_private_key(65537, 2048)
                public = RSAAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
            case other:
                raise ValueError(f"unknown algorithm: {other}")
        self.jwk: dict[str, Any] = {**public, "kid": self.kid, "alg": self.alg, "use": "sig"}
        self.jwk.pop("key_ops", None)

    def token(self, issuer: str) -> str:
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": RESOURCE,
            "sub": "alice",
            "client_id": "chaos",
            "iat": now,
            "exp": now + 3600,
            "jti": f"token-{next(_numbers)}",
        }
        headers = {"typ": "at+jwt", "kid": self.kid}
        return jwt.encode(claims, self._private, algorithm=self.alg, headers=headers)

    def lane(self, issuer: str) -> Lane:
        """Requests with a good token."""
        return Lane(token=self.token(issuer))

    def stranger_lane(self, issuer: str) -> Lane:
        """Requests with tokens of random keys that are good but for that."""
        payload = self.token(issuer).split(".")[1]
        return Lane(stranger_alg=self.alg, stranger_payload=payload)
