//! The waits after failures, and for callbacks.

use std::time::Duration;

/// The first pause after a failed fetch; it doubles with each further failure.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// The longest pause after a failed fetch, before jitter.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
/// The number of times that a fetch is tried again after [`FIRST`] while there were never any keys: a server that has
/// just started may still be making its own.
const FIRST_KEYS: u32 = 5;
/// For a try that is so near, requests wait where there were never any keys.
pub(crate) const NEAR: Duration = Duration::from_secs(2);
/// The least time from a failure to the next try that requests can cause while no keys can be used.
pub(crate) const ON_REQUEST: Duration = Duration::from_secs(2);
/// The time past its timeout for which a fetch is waited for; then its callback is taken for lost.
pub(crate) const CALLBACK_GRACE: Duration = Duration::from_secs(2);

/// The pause after so many failures in a row before this one.
pub(crate) fn pause(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.min(6)).unwrap_or(1);
    FIRST.saturating_mul(factor).min(LONGEST)
}

/// The same where there were never any keys.
pub(crate) fn pause_for_first_keys(failures: u32) -> Duration {
    pause(failures.saturating_sub(FIRST_KEYS.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute() {
        let seconds: Vec<u64> = (0..9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(u32::MAX), LONGEST);
        let seconds = (0..8).map(|failures| pause_for_first_keys(failures).as_secs());
        assert_eq!(seconds.collect::<Vec<_>>(), [1, 1, 1, 1, 1, 2, 4, 8]);
    }
}
