"""Fixed keys, and signatures by them. All but PSS's are the same in every run."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from support.paths import REPOSITORY

Json = dict[str, Any]

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", 32),
    "ES384": (ec.SECP384R1(), "P-384", 48),
    "ES512": (ec.SECP521R1(), "P-521", 66),
    "ES256K": (ec.SECP256K1(), "secp256k1", 32),
}
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "ES512": 0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409,
    "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "EdDSA": 2**252 + 27742317777372353535851937790883648493,
}


def encode(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@functools.cache
def _rsa(number: int) -> rsa.RSAPrivateKey:
    pem = (REPOSITORY / f"src/testing/rsa-{'ab'[number]}.pem").read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@functools.cache
def _ec(alg: str, number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1_000_003 + number, CURVES[alg][0])


@functools.cache
def _ed(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)


@functools.cache
def _numbers(alg: str, number: int) -> tuple[tuple[str, str], ...]:
    if alg in CURVES:
        _, crv, size = CURVES[alg]
        point = _ec(alg, number).public_key().public_numbers()
        x, y = (encode(part.to_bytes(size)) for part in (point.x, point.y))
        return ("kty", "EC"), ("crv", crv), ("x", x), ("y", y)
    if alg == "EdDSA":
        x = encode(_ed(number).public_key().public_bytes_raw())
        return ("kty", "OKP"), ("crv", "Ed25519"), ("x", x)
    public = _rsa(number).public_key().public_numbers()
    n = encode(public.n.to_bytes((public.n.bit_length() + 7) // 8))
    return ("kty", "RSA"), ("n", n), ("e", encode(public.e.to_bytes(3)))


def jwk(kind: str, number: int = 0, /, **members: Any) -> Json:
    """The public key; only of ECDSA and EdDSA there are more than two."""
    return dict(_numbers(kind, number)) | members


def sign(alg: str, message: bytes, number: int = 0) -> bytes:
    if alg in CURVES:
        r, s = ecdsa(alg, message, number)
        return raw_ecdsa(alg, r, s)
    if alg == "EdDSA":
        return _ed(number).sign(message)
    digest = HASHES[alg[2:]]
    if alg.startswith("PS"):
        return pss(alg, message, digest.digest_size, number)
    return _rsa(number).sign(message, padding.PKCS1v15(), digest)


def ecdsa(alg: str, message: bytes, number: int = 0) -> tuple[int, int]:
    return decode_dss_signature(ecdsa_der(alg, message, number))


def ecdsa_der(alg: str, message: bytes, number: int = 0) -> bytes:
    digest = HASHES["256" if alg == "ES256K" else alg[2:]]
    return _ec(alg, number).sign(message, ec.ECDSA(digest, deterministic_signing=True))


def raw_ecdsa(alg: str, r: int, s: int) -> bytes:
    size = CURVES[alg][2]
    return r.to_bytes(size) + s.to_bytes(size)


def pss(alg: str, message: bytes, salt: int, number: int = 0) -> bytes:
    digest = HASHES[alg[2:]]
    return _rsa(number).sign(message, padding.PSS(padding.MGF1(digest), salt), digest)


def hmac_of_public_key(message: bytes) -> bytes:
    """The confusion of algorithms: HS256, keyed with the RSA key that everybody knows."""
    pem = _rsa(0).public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hmac.new(pem, message, hashlib.sha256).digest()
