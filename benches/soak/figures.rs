//! What comes of measuring again and again.

use serde_json::{Value, json};

const MIB: f64 = 1_048_576.0;
/// Caches are filled by then, at the latest in the first third.
const WARM_MINUTES: f64 = 5.0;
/// What the beginning and the end are each: the part of the time after that.
const PART: f64 = 0.2;

/// Bytes at moments, in minutes since the beginning.
#[derive(Default)]
pub struct Series(Vec<(f64, f64)>);

impl Series {
    pub fn push(&mut self, minute: f64, bytes: f64) {
        self.0.push((minute, bytes));
    }

    /// Growth in percent from the beginning, when it was warm, to the end; nothing when it was too
    /// short to tell.
    pub fn growth_percent(&self) -> Option<f64> {
        let (from, to) = self.ends()?;
        Some((to / from - 1.0) * 100.0)
    }

    /// The same moments without this part of what another has at each of them.
    pub fn without(&self, part: f64, of: &Self) -> Self {
        let points = self.0.iter().filter_map(|(minute, bytes)| {
            // The latest that was known then.
            let known = of.0.partition_point(|(at, _)| at <= minute).checked_sub(1)?;
            Some((*minute, bytes - part * of.0[known].1))
        });
        Self(points.collect())
    }

    /// By how much it grew for each byte by which another did; nothing when that did not grow.
    pub fn growth_per_byte(&self, of: &Self) -> Option<f64> {
        let ((from, to), (of_from, of_to)) = (self.ends()?, of.ends()?);
        (of_to > of_from).then(|| (to - from) / (of_to - of_from))
    }

    pub fn report(&self) -> Value {
        let mib = |bytes: f64| (bytes / MIB * 100.0).round() / 100.0;
        let ends = self.ends();
        json!({
            "warm_mib": ends.map(|(from, _)| mib(from)),
            "last_mib": ends.map(|(_, to)| mib(to)),
            "mib_per_hour": self.per_hour().map(mib),
        })
    }

    /// Medians of the beginning after the warm-up, and of the end.
    fn ends(&self) -> Option<(f64, f64)> {
        let warm = self.warm();
        let (first, last) = (warm.first()?.0, warm.last()?.0);
        let part = (last - first) * PART;
        let median = |from: f64, to: f64| {
            let within = warm.iter().filter(|(minute, _)| (from..=to).contains(minute));
            let mut values: Vec<f64> = within.map(|(_, bytes)| *bytes).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        Some((median(first, first + part)?, median(last - part, last)?))
    }

    fn warm(&self) -> &[(f64, f64)] {
        let last = self.0.last().map_or(0.0, |(minute, _)| *minute);
        let warm = WARM_MINUTES.min(last / 3.0);
        &self.0[self.0.partition_point(|(minute, _)| *minute < warm)..]
    }

    /// By how much it grows in an hour, by least squares.
    fn per_hour(&self) -> Option<f64> {
        let warm = self.warm();
        let count = warm.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| warm.iter().map(of).sum::<f64>() / count;
        let (minute, bytes) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = warm.iter().map(|point| (point.0 - minute).powi(2)).sum();
        let together: f64 = warm.iter().map(|point| (point.0 - minute) * (point.1 - bytes)).sum();
        (spread > 0.0).then(|| together / spread * 60.0)
    }
}

/// Milliseconds within which so many percent of them are.
pub fn percentile_ms(percent: usize, micros: &[u32]) -> f64 {
    let mut micros = micros.to_vec();
    micros.sort_unstable();
    let at = (micros.len() * percent).div_ceil(100).saturating_sub(1);
    micros.get(at).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
}
