//! The little DER (X.690 §10) that hosts are asked in.

use super::trim;

/// SubjectPublicKeyInfo of an RSA key (RFC 3279 §2.3.1); numbers are big-endian.
pub(super) fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = sequence(&[integer(modulus), integer(exponent)]);
    // rsaEncryption, with the NULL that it has for parameters.
    public_key(
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
        &key,
    )
}

/// SubjectPublicKeyInfo of a point on P-256 (RFC 5480 §2).
pub(super) fn p256_key(point: &[u8]) -> Vec<u8> {
    // id-ecPublicKey, prime256v1
    public_key(
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        point,
    )
}

/// SubjectPublicKeyInfo of a point on P-384 (RFC 5480 §2).
pub(super) fn p384_key(point: &[u8]) -> Vec<u8> {
    // id-ecPublicKey, secp384r1
    public_key(
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
        point,
    )
}

/// SubjectPublicKeyInfo of a point on P-521 (RFC 5480 §2).
pub(super) fn p521_key(point: &[u8]) -> Vec<u8> {
    // id-ecPublicKey, secp521r1
    public_key(
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        point,
    )
}

/// Ecdsa-Sig-Value (RFC 3279 §2.2.3) of `r` and `s` side by side.
pub(super) fn ecdsa_signature(raw: &[u8]) -> Vec<u8> {
    let (r, s) = raw.split_at_checked(raw.len() / 2).unwrap_or_default();
    sequence(&[integer(r), integer(s)])
}

/// RFC 5280 §4.1: the algorithm, then the key as a string of bits, none of which is unused.
fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    sequence(&[
        element(0x30, algorithm),
        element(0x03, &[&[0], key].concat()),
    ])
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &elements.concat())
}

/// Integers have a sign: where the first bit is set, a zero goes before it.
fn integer(number: &[u8]) -> Vec<u8> {
    let number = trim(number);
    if number.first().is_some_and(|first| *first < 0x80) {
        element(0x02, number)
    } else {
        element(0x02, &[&[0], number].concat())
    }
}

/// What is encoded here has some hundred bytes.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let length: &[u8] = match (high, low) {
        (0, 0..0x80) => &[low],
        (0, _) => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, content].concat()
}
