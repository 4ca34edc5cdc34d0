//! A bound on what clients can make the filter write: so many lines, and as many anew every second.

use std::time::Duration;

use crate::time::UnixNanos;

const PERIOD: Duration = Duration::from_secs(1);

/// The number of lines that may still be written.
#[derive(Clone, Debug)]
pub struct Quota {
    per_second: u32,
    left: u32,
    left_out: u64,
    since: UnixNanos,
}

impl Quota {
    /// One that is whole.
    pub const fn new(per_second: u32) -> Self {
        Self {
            per_second,
            left: per_second,
            left_out: 0,
            since: UnixNanos::ZERO,
        }
    }

    /// Returns whether one more line may be written; if not, it is counted as left out.
    pub fn take(&mut self) -> bool {
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

    /// Makes it whole again once a second has passed, or the clock was set back; how many lines
    /// were left out until then, if any.
    pub fn handle_tick(&mut self, now: UnixNanos) -> Option<u64> {
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

    fn taken(quota: &mut Quota, times: usize) -> usize {
        (0..times).filter(|_| quota.take()).count()
    }

    #[test]
    fn so_many_a_second() {
        let mut quota = Quota::new(3);
        assert_eq!(taken(&mut quota, 2), 2);
        assert_eq!(quota.handle_tick(NOW), None);
        assert_eq!(taken(&mut quota, 10), 3);
        let soon = NOW.saturating_add(Duration::from_millis(999));
        assert_eq!(quota.handle_tick(soon), None);
        assert_eq!(taken(&mut quota, 1), 0);
        let later = NOW.saturating_add(PERIOD);
        assert_eq!(quota.handle_tick(later), Some(8));
        assert_eq!(quota.handle_tick(later.saturating_add(PERIOD)), None);
        assert_eq!(taken(&mut quota, 4), 3);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_it() {
        let mut quota = Quota::new(1);
        assert_eq!(quota.handle_tick(NOW), None);
        assert_eq!(taken(&mut quota, 2), 1);
        assert_eq!(quota.handle_tick(UnixNanos::from_secs(1)), Some(1));
        assert!(quota.take());
    }
}
