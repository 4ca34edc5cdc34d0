//! For how long a key set is fresh: what its server says (RFC 9111), within the operator's bounds.

use std::time::Duration;

/// The shortest time between two refreshes, whatever a server says: many send `max-age=0` with
/// everything.
const SHORTEST: Duration = Duration::from_secs(60);

/// When to refresh a key set that came with this `cache-control`: by its `max-age`, but not sooner
/// than after a minute, and not later than `longest`.
pub(super) fn refresh(cache_control: &[u8], longest: Duration) -> Duration {
    match max_age(cache_control) {
        Some(age) => age.max(SHORTEST).min(longest),
        None => longest,
    }
}

/// The first well-formed `max-age` (RFC 9111 §5.2.2.1; §5.2 allows it quoted).
fn max_age(cache_control: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(cache_control).ok()?;
    text.split(',').find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("max-age") {
            return None;
        }
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // Beyond 64 bits is beyond every bound as well (RFC 9111 §1.2.2).
        Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_ask_for_more_fetches_but_not_for_fewer_or_for_many() {
        for (header, seconds) in [
            ("", 600),
            ("no-cache", 600),
            ("max-age=300", 300),
            ("public, Max-Age = 300, must-revalidate", 300),
            ("max-age=\"300\"", 300),
            ("no-store, max-age=0", 60),
            ("max-age=59", 60),
            ("max-age=86400", 600),
            ("max-age=99999999999999999999999", 600),
            ("max-age=", 600),
            ("max-age=-1", 600),
            ("max-age=+90", 600),
            ("max-age=9e1", 600),
            ("s-maxage=90", 600),
            ("max-age=x, max-age=90", 90),
        ] {
            let longest = Duration::from_secs(600);
            assert_eq!(
                refresh(header.as_bytes(), longest),
                Duration::from_secs(seconds),
                "{header}"
            );
        }
        assert_eq!(
            refresh(b"max-age=300", Duration::from_secs(5)),
            Duration::from_secs(5)
        );
        assert_eq!(
            refresh(b"max-age=\xff", Duration::from_secs(600)),
            Duration::from_secs(600)
        );
    }
}
