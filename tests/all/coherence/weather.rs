//! Since when a Forebay's way to upstream has been undisturbed, which decides what it must know.

/// After a fault has ended, service and feed are back within this time.
pub const RECOVERS_WITHIN_MS: u64 = 3_000;

/// One Forebay's way to upstream.
#[derive(Debug, Default, Clone, Copy)]
pub struct Weather {
    /// Faults that go on.
    faults: u32,
    disturbed_since_ms: u64,
    /// From then on nothing is excused any more.
    calm_from_ms: u64,
}

impl Weather {
    /// A fault begins.
    pub fn begin_fault(&mut self, now_ms: u64) {
        if self.faults == 0 && now_ms >= self.calm_from_ms {
            self.disturbed_since_ms = now_ms;
        }
        self.faults += 1;
    }

    /// It ends.
    pub fn end_fault(&mut self, now_ms: u64) {
        self.faults -= 1;
        self.calm_from_ms = now_ms + RECOVERS_WITHIN_MS;
    }

    /// The last moment, up to `now_ms`, at which there was nothing wrong: what was visible then still is.
    pub fn calm_until_ms(&self, now_ms: u64) -> u64 {
        if self.faults > 0 || now_ms < self.calm_from_ms {
            self.disturbed_since_ms
        } else {
            now_ms
        }
    }
}

#[test]
fn a_disturbance_lasts_from_the_first_fault_until_some_time_after_the_last() {
    let mut weather = Weather::default();
    assert_eq!(weather.calm_until_ms(10), 10);
    weather.begin_fault(20);
    weather.begin_fault(30);
    weather.end_fault(40);
    assert_eq!(weather.calm_until_ms(50), 20);
    weather.end_fault(60);
    assert_eq!(weather.calm_until_ms(70), 20);
    weather.begin_fault(80);
    weather.end_fault(90);
    assert_eq!(weather.calm_until_ms(90 + RECOVERS_WITHIN_MS - 1), 20);
    assert_eq!(
        weather.calm_until_ms(90 + RECOVERS_WITHIN_MS),
        90 + RECOVERS_WITHIN_MS
    );
}
