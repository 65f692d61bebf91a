//! Axes: the range of a chart in one direction, its round marks and their labels.

use super::text::{byte_unit, count};

/// What the numbers of an axis are. The name is also what the page's script goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Whole numbers: steps, epochs.
    Count,
    /// Plain numbers: losses, fractions of a step.
    Number,
    /// Fractions, shown as percentages.
    Percent,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name for the script.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Number => "number",
            Self::Percent => "percent",
            Self::Bytes => "bytes",
        }
    }
}

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What is measured.
    pub(crate) label: String,
    /// Its unit.
    pub(crate) unit: Unit,
    /// Value at the left or lower end.
    pub(crate) from: f64,
    /// Value at the right or upper end.
    pub(crate) to: f64,
    /// Whether equal distances are equal ratios.
    pub(crate) logarithmic: bool,
    /// Marks: value and label.
    pub(crate) marks: Vec<(f64, String)>,
}

impl Axis {
    /// Where `value` lies: 0 at `from`, 1 at `to`.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.clamp(0.0, 1.0)
    }

    /// An axis that ends exactly at `from` and `to`, with marks in between.
    pub(crate) fn exact(label: &str, unit: Unit, from: f64, to: f64) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        let mut step = round_step(to - from);
        if unit == Unit::Count {
            step = step.max(1.0);
        }
        let marks =
            multiples(step, from, to).map(|value| (value, mark_label(value, step, unit, to))).collect();
        Self { label: label.into(), unit, from, to, logarithmic: false, marks }
    }

    /// An axis around `low..=high` that begins and ends at a mark.
    pub(crate) fn rounded(label: &str, unit: Unit, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + low.abs().max(1e-3) };
        let scale = if unit == Unit::Bytes { byte_unit(high).0 } else { 1.0 };
        let step = round_step((high - low) / scale) * scale;
        let from = (low / step + 1e-9).floor() * step;
        let to = (high / step - 1e-9).ceil() * step;
        let marks =
            multiples(step, from, to).map(|value| (value, mark_label(value, step, unit, to))).collect();
        Self { label: label.into(), unit, from, to, logarithmic: false, marks }
    }

    /// A logarithmic axis around `low..=high`, both above 0, with marks at 1, 2 and 5 times powers of ten.
    pub(crate) fn logarithmic(label: &str, low: f64, high: f64) -> Self {
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let many = decades.clone().count() > 4;
        let factors: &[f64] = if many { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all: Vec<f64> =
            decades.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power))).collect();
        let from = all.iter().copied().filter(|mark| *mark <= low * 1.001).fold(low, f64::min);
        let from = all.iter().copied().filter(|mark| *mark <= low * 1.001).fold(from, f64::max);
        let to = all.iter().copied().find(|mark| *mark >= high * 0.999).unwrap_or(high);
        let inside = all.into_iter().filter(|mark| (from..=to).contains(mark));
        let marks = inside.map(|value| (value, plain(value, value))).collect();
        Self { label: label.into(), unit: Unit::Number, from, to, logarithmic: true, marks }
    }
}

/// A step of 1, 2 or 5 times a power of ten that cuts `length` into four to ten parts.
fn round_step(length: f64) -> f64 {
    let rough = length / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = rough / power;
    let round = if factor < 1.5 {
        1.0
    } else if factor < 3.5 {
        2.0
    } else if factor < 7.5 {
        5.0
    } else {
        10.0
    };
    round * power
}

/// The multiples of `step` in `from..=to`.
fn multiples(step: f64, from: f64, to: f64) -> impl Iterator<Item = f64> {
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last.min(first + 20)).map(move |multiple| multiple as f64 * step)
}

/// What stands at a mark; all marks of an axis share a unit and a number of decimals.
fn mark_label(value: f64, step: f64, unit: Unit, largest: f64) -> String {
    match unit {
        Unit::Count => count(value.max(0.0).round() as u64),
        Unit::Number => plain(value, step),
        Unit::Percent => format!("{} %", plain(value * 100.0, step * 100.0)),
        Unit::Bytes => {
            let (size, name) = byte_unit(largest);
            format!("{} {name}", plain(value / size, step / size))
        }
    }
}

/// `value` with the decimals that a step of `step` needs.
fn plain(value: f64, step: f64) -> String {
    if !(1e-6..1e6).contains(&step) {
        return format!("{value:.0e}");
    }
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.marks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn marks_are_round_and_in_one_unit() {
        let mib = 1024.0 * 1024.0;
        let bytes = Axis::rounded("live", Unit::Bytes, 0.0, 10.4 * mib);
        assert_eq!(labels(&bytes), ["0 MiB", "2 MiB", "4 MiB", "6 MiB", "8 MiB", "10 MiB", "12 MiB"]);
        assert_eq!(bytes.to, 12.0 * mib);
        let accuracy = Axis::rounded("accuracy", Unit::Percent, 0.62, 0.97);
        assert_eq!(
            labels(&accuracy),
            ["60 %", "65 %", "70 %", "75 %", "80 %", "85 %", "90 %", "95 %", "100 %"]
        );
        let loss = Axis::rounded("loss", Unit::Number, 0.0, 2.31);
        assert_eq!(labels(&loss), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
    }

    #[test]
    fn an_exact_axis_keeps_its_ends() {
        let steps = Axis::exact("step", Unit::Count, 1.0, 1170.0);
        assert_eq!((steps.from, steps.to), (1.0, 1170.0));
        assert_eq!(labels(&steps), ["200", "400", "600", "800", "1,000"]);
        assert_eq!(labels(&Axis::exact("epoch", Unit::Count, 1.0, 3.0)), ["1", "2", "3"]);
    }

    #[test]
    fn values_have_their_places() {
        let axis = Axis::exact("x", Unit::Number, 2.0, 4.0);
        assert_eq!((axis.place(2.0), axis.place(3.0), axis.place(9.0)), (0.0, 0.5, 1.0));
        let axis = Axis::logarithmic("loss", 0.01, 100.0);
        assert!((axis.place(1.0) - 0.5).abs() < 1e-12);
        assert_eq!((axis.from, axis.to), (0.01, 100.0));
    }

    #[test]
    fn a_logarithmic_axis_begins_and_ends_at_marks() {
        let axis = Axis::logarithmic("loss", 0.013, 3.1);
        assert_eq!(labels(&axis), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]);
        let wide = Axis::logarithmic("loss", 1e-3, 3e5);
        assert_eq!(labels(&wide)[..3], ["0.001", "0.01", "0.1"]);
        assert_eq!(wide.to, 1e6);
    }

    #[test]
    fn an_empty_range_still_makes_an_axis() {
        for (low, high) in [(0.0, 0.0), (0.5, 0.5), (1e9, 1e9), (-2.0, -2.0)] {
            let axis = Axis::rounded("y", Unit::Number, low, high);
            assert!(axis.from <= low && axis.to > low && axis.marks.len() >= 2, "{axis:?}");
        }
        assert_eq!(labels(&Axis::exact("epoch", Unit::Count, 1.0, 1.0)), ["1", "2"]);
    }
}
