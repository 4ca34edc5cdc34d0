//! What it takes to have a host check signatures: the forms that it wants, and proof that it can.
//!
//! BoringSSL and its kin take a key as SubjectPublicKeyInfo, and ECDSA signatures in DER. Whether a
//! host's function is right is tried out before it is trusted.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Algorithm, Inner, KeyType, PublicKey, SignatureVerifier, der};

/// One signature to check, as hosts take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCheck<'a> {
    /// The name of the hash function.
    pub hash: &'static str,
    /// SubjectPublicKeyInfo in DER (RFC 5280 §4.1).
    pub key: &'a [u8],
    /// RSASSA-PKCS1-v1_5 as it is; ECDSA as a DER sequence (RFC 3279 §2.2.3).
    pub signature: Cow<'a, [u8]>,
}

impl<'a> HostCheck<'a> {
    /// `None` for algorithms that hosts do not have, for keys of another type, and for signatures
    /// that are none by their form.
    pub fn new(alg: Algorithm, key: &'a PublicKey, signature: &'a [u8]) -> Option<Self> {
        let (hash, signature) = match (alg, &key.inner) {
            (Algorithm::Rs256, Inner::Rsa(_)) => ("SHA256", Cow::Borrowed(signature)),
            (Algorithm::Rs384, Inner::Rsa(_)) => ("SHA384", Cow::Borrowed(signature)),
            (Algorithm::Rs512, Inner::Rsa(_)) => ("SHA512", Cow::Borrowed(signature)),
            (Algorithm::Es256, Inner::P256(_)) => {
                p256::ecdsa::Signature::from_slice(signature).ok()?;
                ("SHA256", Cow::Owned(der::ecdsa_signature(signature)))
            }
            (Algorithm::Es384, Inner::P384(_)) => {
                p384::ecdsa::Signature::from_slice(signature).ok()?;
                ("SHA384", Cow::Owned(der::ecdsa_signature(signature)))
            }
            (Algorithm::Es512, Inner::P521(_)) => {
                p521::ecdsa::Signature::from_slice(signature).ok()?;
                ("SHA512", Cow::Owned(der::ecdsa_signature(signature)))
            }
            _ => return None,
        };
        Some(Self {
            hash,
            key: &key.encoded,
            signature,
        })
    }
}

/// Whether a verifier tells good signatures of `alg` from bad ones: one that is known to be good
/// passes, and fails with a bit changed in it or in the message.
pub fn is_sound(alg: Algorithm, verifier: &dyn SignatureVerifier) -> bool {
    let Some((key, good)) = known_good(alg) else {
        return false;
    };
    let mut bad = good.clone();
    if let Some(last) = bad.last_mut() {
        *last ^= 1;
    }
    verifier.verify(alg, &key, MESSAGE, &good)
        && !verifier.verify(alg, &key, MESSAGE, &bad)
        && !verifier.verify(alg, &key, OTHER_MESSAGE, &good)
}

/// A key, and its signature of [`MESSAGE`].
fn known_good(alg: Algorithm) -> Option<(PublicKey, Vec<u8>)> {
    let bytes = |text| URL_SAFE_NO_PAD.decode(text).ok();
    let (_, key, signature) = KNOWN.iter().find(|(known, ..)| *known == alg)?;
    let key = bytes(key)?;
    let key = match alg.key_type() {
        KeyType::Rsa => PublicKey::rsa(&key, &[1, 0, 1]),
        KeyType::P256 => PublicKey::p256(&key),
        KeyType::P384 => PublicKey::p384(&key),
        KeyType::P521 => PublicKey::p521(&key),
        KeyType::Secp256k1
        | KeyType::Ed25519
        | KeyType::MlDsa44
        | KeyType::MlDsa65
        | KeyType::MlDsa87 => return None,
    };
    Some((key.ok()?, bytes(signature)?))
}

const KNOWN: [(Algorithm, &str, &str); 6] = [
    (Algorithm::Rs256, RSA_MODULUS, RS256),
    (Algorithm::Rs384, RSA_MODULUS, RS384),
    (Algorithm::Rs512, RSA_MODULUS, RS512),
    (Algorithm::Es256, ES256_POINT, ES256),
    (Algorithm::Es384, ES384_POINT, ES384),
    (Algorithm::Es512, ES512_POINT, ES512),
];

// Made with OpenSSL for this purpose; the private keys were not kept.
const MESSAGE: &[u8] = b"mcp-auth-filter";
const OTHER_MESSAGE: &[u8] = b"mcp-auth-fimter";
const RSA_MODULUS: &str = "\
    tv2EQrUjlOsDVdssSY6IoNd-6kzACq23E7rdAOhjmMLLj5wRBFS98xKIYen8N5tNsSUYBk-i-Ry0gDn8o-\
    X0viPttT9kJO2ooIRDS_3Yc4apGlmCGezJDpRU3xBmKdLaYun7yLlyImwo1D_V_ySalpiOjzDHwLLxOzmXCFbN\
    M5Mj7mBs0MKIkudeI0QeebGEaAahHIDMEmhJtO90FgYRX3vKJIPOLngTdsnTC_ryBWFS2A5o0zTEKMEQSZXglM\
    t7ZJEue4lBsrwcWvR_L4bQTjq9EItpO9gwgbiPNTzio5QEPI6mNF9A78VCg1PJnV2Snbt1S6MnkSRrX2QlZLSC\
    dQ";
const RS256: &str = "\
    N32wJyDEizOfB-dV5MSrxXzVluCKXoKhA8i9tMXOBN4pCTyMr-Pha4XrxSP-4ZuCr4swR20Q5LlWP-\
    gKI7gjtBwFVptnOf3byJnx52Ar_AImsScllB5fNxbK000ZyfHLUepCn2NmezagG-ErktIKusXuJpwP5lKU1Lqa\
    dpMNzO3P0S32QLPGWTI3d4XCALLPXqQidhjIHSQ1FtmpxIx-\
    v932BmneGRWcfbYiuXQL4YxhxcMKP9IISMSz239BEFs20bHR7q0ZKBPXS3mNleeJcGSdHXz0vn1EaUZgKdLH8q\
    P-mQpxqO4dnRn6bBKprKnvRKotR5ZQKb83wdhMQfqf5Q";
const RS384: &str = "\
    owjoAf6OgKlpCn68xEnzRcwkysqW30hTB6fHvAnxhP-91qrxQJODgT8Lk3BVA24iP38jMcYj-\
    q4n0qn93VC0m2RC6Ev_ZDrANhvVrNJ0x-\
    W9YDXLovTWI2781ZxGH7Maf9OTamRNk5SJS0939P9xrKVee1gSjASDyjQOyzlHJ44WB7v3BJUgi9dcSbSSD8mN\
    tfPMsKIi2TMQXYehyqcDYqUzjSB1zTPTKE3RFmMIbUuKkKehS8ypYxmtDetqz7MJG6FJNPS3NYaJFDE0aETjPH\
    5k6L2-RCnE9Z5x1EyGeMQVFubyv-oxi-RpX_Qagc-Uo9k-wsaCYJkf5lDSOTCuxQ";
const RS512: &str = "\
    V-BOCqzSkTWov-KsRoLAfkNyycDNXmTJSAYsY7tXI6Dl0M0_UN-KkYibldxNgbDHjcRlNb23RHTuvR_YGBVc-\
    ZS4pYMNjHg68kH-AZGKRyGygrXyJdpJRYeuJ1Iw51SZGMgrBDXDIxHsGoOqeEFIAdmG8NwTEYe2tYh04gkSoNp\
    uBHkEjn9fG0WbTJWzNy4Cb0Gj8ep2tmq-\
    FvHZ6x2PuSdRBu4S_bn8W_9kbClQrITRPBkqQ5dtp-3YVNXulV9os_9NqqiQQF9Q5qhHHi5f_JkrXwevD2So-\
    gBENldEqzhlo5kwNJUc8_N0z_GV0JOiqEOHYueZd2MDlk0xWI1evw";
const ES256_POINT: &str = "\
    BLXMpnLwoUORRvEeUP-kV6jXhImo9TSPK85M0InH9aXNosW74aZvHd32alhh5keyZ-\
    Zhd7hJUkQDlkTFgG9uONI";
const ES256: &str = "\
    aq8_YJ7_a2KdYf-b9cwUOMJdFOJg8rGcMLAGxgw7UOv2EiAn_HLK66kMvfyoP0kI4cxhLltyfFbx-UOUdy7J_g";
const ES384_POINT: &str = "\
    BK16h77vQtZbcnwe2_RbTGGhRxW7HjgspXt4vZEH3eT0bkzh6HGaaRp2Uw2Kx2lFrayLQrCCAAF8o-YkQ-\
    miv4GoP7tPOW4HjYgqB6_IOQS18cEWa89QqdWizL6hhQI7Pg";
const ES384: &str = "\
    Ry0bVeqL32nMmNazOToRz-HP4DEqMitcPro3WgXOhAQDOhBQsqlybzZR-iyQMTPRagYLPgtw1pu-\
    GalRhi5A_qQGrp1hk01-Ygfn8Nmcu61ChqwCU6158vXCgsuGm70H";
const ES512_POINT: &str = "\
    BACICv8YNRcrVXBdhW4-DKobNuXB_Nc1SZt6UrnQSeNF9HuTJa2BeoJLTaMU1Y6aNrPym-_dNUsk2NwHt44ivS\
    _FUAGGzHBTk5sjZ98NzzNMykFGKBm9G2v283vcyHmS-qNWTD0nTBegNBgZbh6TN-hdR1r7BWx7R5j1S3MzPgiI\
    -rsyww";
const ES512: &str = "\
    AZY_WBQNHpdT8Y4tCs5PG1GxiShH9jeMNmrfgdGWtTI6PJ4U2kumDIs01iyYeyzRnKDP6eW57qVt8BzaPH0zxD\
    zXAbZMPR7Immf4KYkb6W6FFQQrDtAoxhsHf2Ds9KoB_i4EpwhB2U0lHSZhxNdBotIrf-YJ_6oJScQhFfgB7j3A\
    3RIw";
