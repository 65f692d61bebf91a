//! How sure an answer is: probabilities of logits, and the temperature at which they are as large as answers are often
//! right (Guo et al. 2017).

/// `softmax(logits / temperature)`.
pub fn probabilities(logits: &[f32], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&v| (f64::from(v - largest) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The likeliest class, of equal ones the first, and its probability; none where a logit is no number.
pub fn likeliest(logits: &[f32], temperature: f64) -> Option<(usize, f64)> {
    if !logits.iter().all(|logit| logit.is_finite()) {
        return None;
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let class = logits.iter().position(|&logit| logit == largest)?;
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit - largest) / temperature).exp()).sum();
    Some((class, 1.0 / sum))
}

/// Temperatures that are tried, from 1/4 to 8: each is 2^(1/4) times the one before.
const TRIED: usize = 21;
/// The place of 1 among them.
const ONE: usize = 8;
const STEPS_AN_OCTAVE: f64 = 4.0;

fn tried(place: f64) -> f64 {
    ((place - ONE as f64) / STEPS_AN_OCTAVE).exp2()
}

/// The temperature of logits that come one by one: that of the least mean cross-entropy.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    /// The sum of cross-entropies at each temperature.
    sums: [f64; TRIED],
    samples: usize,
}

impl Calibration {
    /// Takes in the logits of a sample of this class; nothing where they are no numbers.
    pub fn add(&mut self, logits: &[f32], class: usize) {
        let Some(&of_class) = logits.get(class).filter(|_| logits.iter().all(|z| z.is_finite())) else {
            return;
        };
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (place, sum) in self.sums.iter_mut().enumerate() {
            let temperature = tried(place as f64);
            let all: f64 = logits.iter().map(|&z| (f64::from(z - largest) / temperature).exp()).sum();
            *sum += all.ln() + f64::from(largest - of_class) / temperature;
        }
        self.samples += 1;
    }

    /// The best of the temperatures, between those that are tried where a parabola through the best three has its least; 1
    /// where there were no samples.
    pub fn temperature(&self) -> f64 {
        let best = (0..TRIED).min_by(|&a, &b| self.sums[a].total_cmp(&self.sums[b])).unwrap_or(ONE);
        if self.samples == 0 {
            return 1.0;
        }
        let around = best.checked_sub(1).and_then(|before| self.sums.get(before..before + 3));
        let Some(&[before, least, after]) = around.and_then(|sums| sums.first_chunk()) else {
            return tried(best as f64);
        };
        let bend = before - 2.0 * least + after;
        let offset = if bend > 0.0 { (before - after) / (2.0 * bend) } else { 0.0 };
        tried(best as f64 + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn the_likeliest_class_has_its_probability() {
        let halves = likeliest(&[1.0, 1.0, -50.0], 1.0).map(|(class, p)| (class, (p * 2.0).round()));
        assert_eq!(halves, Some((0, 1.0)));
        assert_eq!(likeliest(&[0.0, f32::NAN], 1.0), None);
        let logits = [0.5, -1.0, 2.0, 1.9];
        for temperature in [0.5, 1.0, 3.0] {
            let all = probabilities(&logits, temperature);
            let exact: f64 = logits.iter().map(|&z| (f64::from(z) / temperature).exp()).sum();
            assert!((all[2] - (2.0 / temperature).exp() / exact).abs() < 1e-12);
            assert_eq!(likeliest(&logits, temperature), Some((2, all[2])));
        }
    }

    /// Samples of three classes, drawn by the softmax of logits that are told `scale` times as large.
    fn drawn(scale: f32) -> Calibration {
        let mut stream = Stream::new(3, "calibration", &[]);
        let mut calibration = Calibration::default();
        for _ in 0..20_000 {
            let logits: Vec<f32> = (0..3).map(|_| 4.0 * stream.uniform_f32() - 2.0).collect();
            let shares = probabilities(&logits, 1.0);
            let mut drawn = f64::from(stream.uniform_f32());
            let class = shares.iter().position(|share| {
                drawn -= share;
                drawn < 0.0
            });
            let told: Vec<f32> = logits.iter().map(|z| scale * z).collect();
            calibration.add(&told, class.unwrap_or(2));
        }
        calibration
    }

    #[test]
    fn a_temperature_undoes_what_makes_answers_too_sure() {
        for scale in [0.4f32, 1.0, 1.3, 3.0, 5.5] {
            let found = drawn(scale).temperature();
            assert!((found / f64::from(scale) - 1.0).abs() < 0.04, "{found} for {scale}");
        }
    }

    #[test]
    fn ends_of_what_is_tried_are_kept_to() {
        assert_eq!(Calibration::default().temperature(), 1.0);
        let mut sure = Calibration::default();
        sure.add(&[3.0, 0.0], 0);
        assert_eq!(sure.temperature(), 0.25);
        let mut wrong = Calibration::default();
        wrong.add(&[3.0, 0.0], 1);
        assert_eq!(wrong.temperature(), 8.0);
        wrong.add(&[f32::NAN, 0.0], 0);
        assert_eq!(wrong.samples, 1);
    }
}
