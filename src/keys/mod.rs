//! Key sets of issuers.

pub mod jwk;
