//! Which resource a request belongs to.
