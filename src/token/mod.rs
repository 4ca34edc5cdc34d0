//! One JWT: parsed, judged, and verified.
