//! Key sets of issuers.
