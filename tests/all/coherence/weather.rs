//! Since when a Forebay's way to upstream has been undisturbed, which decides what it must know.

/// After a fault has ended, service and feed are back within this time.
pub const RECOVERS_WITHIN_MS: u64 = 3_000;

/// One Forebay's way to upstream.
#[derive(Debug, Default, Clone, Copy)]
pub struct Weather {
    /// Faults that go on.
    faults: u32,
    /// From then on nothing is excused any more, unless there is a fault.
    calm_from_ms: u64,
}

impl Weather {
    /// A fault begins.
    pub fn begin_fault(&mut self) {
        self.faults += 1;
    }

    /// It ends.
    pub fn end_fault(&mut self, now_ms: u64) {
        self.faults -= 1;
        self.calm_from_ms = now_ms + RECOVERS_WITHIN_MS;
    }

    /// There is service again: everybody agrees.
    pub fn clear_up(&mut self, now_ms: u64) {
        self.calm_from_ms = self.calm_from_ms.min(now_ms);
    }

    /// Whether a fault goes on or is not long enough over.
    pub fn is_disturbed(&self, now_ms: u64) -> bool {
        self.calm_since_ms(now_ms).is_none()
    }

    /// Since when nothing is wrong, unless something is.
    pub fn calm_since_ms(&self, now_ms: u64) -> Option<u64> {
        (self.faults == 0 && self.calm_from_ms <= now_ms).then_some(self.calm_from_ms)
    }
}

#[test]
fn a_disturbance_lasts_from_the_first_fault_until_some_time_after_the_last() {
    let mut weather = Weather::default();
    assert_eq!(weather.calm_since_ms(10), Some(0));
    weather.begin_fault();
    weather.begin_fault();
    weather.end_fault(40);
    assert!(weather.is_disturbed(40 + RECOVERS_WITHIN_MS));
    weather.end_fault(60);
    assert!(weather.is_disturbed(60));
    let calm_ms = 60 + RECOVERS_WITHIN_MS;
    assert_eq!(weather.calm_since_ms(calm_ms), Some(calm_ms));
    weather.begin_fault();
    weather.end_fault(calm_ms);
    weather.clear_up(calm_ms + 1);
    assert_eq!(weather.calm_since_ms(calm_ms + 2), Some(calm_ms + 1));
}
