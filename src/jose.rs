//! JSON Object Signing and Encryption, as far as tokens need it: the compact serialisation (RFC 7515),
//! keys (RFC 7517) and signatures (RFC 7518). What a token says is `token`'s.

pub mod jwk;
pub(crate) mod jws;
pub mod signature;

pub use jws::MAX_KID_BYTES;
