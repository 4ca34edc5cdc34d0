//! A bound on what clients can make the filter do: so many times, and as many anew every second.

use std::time::Duration;

use crate::time::UnixNanos;

const PERIOD: Duration = Duration::from_secs(1);

/// How often something may still be done: a line written, a question asked.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    per_second: u32,
    left: u32,
    left_out: u64,
    since: UnixNanos,
}

impl RateLimit {
    /// One that is whole.
    pub(crate) const fn new(per_second: u32) -> Self {
        Self {
            per_second,
            left: per_second,
            left_out: 0,
            since: UnixNanos::ZERO,
        }
    }

    /// Returns whether it may be done once more; if not, it is counted as left out.
    pub(crate) fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.left_out = self.left_out.saturating_add(1);
                false
            }
        }
    }

    /// Makes it whole again once a second has passed, or the clock was set back; how many times
    /// it was left out until then, if any.
    pub(crate) fn handle_tick(&mut self, now: UnixNanos) -> Option<u64> {
        if now >= self.since && now.since(self.since) < PERIOD {
            return None;
        }
        let left_out = self.left_out;
        *self = Self {
            since: now,
            ..Self::new(self.per_second)
        };
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos::from_secs(1_800_000_000);

    fn taken(limit: &mut RateLimit, times: usize) -> usize {
        (0..times).filter(|_| limit.take()).count()
    }

    #[test]
    fn so_many_a_second() {
        let mut limit = RateLimit::new(3);
        assert_eq!(taken(&mut limit, 2), 2);
        assert_eq!(limit.handle_tick(NOW), None);
        assert_eq!(taken(&mut limit, 10), 3);
        let soon = NOW.saturating_add(Duration::from_millis(999));
        assert_eq!(limit.handle_tick(soon), None);
        assert_eq!(taken(&mut limit, 1), 0);
        let later = NOW.saturating_add(PERIOD);
        assert_eq!(limit.handle_tick(later), Some(8));
        assert_eq!(limit.handle_tick(later.saturating_add(PERIOD)), None);
        assert_eq!(taken(&mut limit, 4), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut limit = RateLimit::new(1);
        assert_eq!(limit.handle_tick(NOW), None);
        assert_eq!(taken(&mut limit, 2), 1);
        assert_eq!(limit.handle_tick(UnixNanos::from_secs(1)), Some(1));
        assert!(limit.take());
    }
}
