//! Samples mixed with others of their batch: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019). What chance decides is a
//! function of seed, epoch and batch alone.
//!
//! The sample at place i is mixed with that at place N - 1 - i, so that two take from each other and no copy is needed; the
//! order of an epoch is random. One in the middle stays as it is.

use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::targets::{TargetKind, Targets};
use serde::{Deserialize, Serialize};

/// How samples are mixed. Where both ways are wanted, each batch takes one of them, with equal chances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlendConfig {
    /// Pixels and targets are averaged, with a share drawn from Beta(A, A).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
    /// A rectangle comes from the other image, and targets by its area; the share of the area that stays is drawn from
    /// Beta(A, A), before the rectangle is cut at the borders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<f64>,
}

/// How the samples of one batch are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blend {
    /// This share of each pixel stays.
    Mixup(f32),
    /// The pixels in these rows and columns, from the first to before the last, come from the other image.
    Cutmix {
        /// Rows.
        rows: [usize; 2],
        /// Columns.
        columns: [usize; 2],
    },
}

impl BlendConfig {
    /// Checks that samples of `dataset` can be mixed so.
    ///
    /// # Errors
    /// `Config`.
    pub fn check(&self, dataset: &dyn Dataset) -> Result<()> {
        let numbers = [("mixup", self.mixup), ("cutmix", self.cutmix)];
        for (name, number) in numbers {
            if let Some(number) = number.filter(|number| !(number.is_finite() && *number > 0.0)) {
                return Err(Error::config(format!("{name} takes a number above 0, found {number}")));
            }
        }
        match dataset.target_kind() {
            TargetKind::Class => Ok(()),
            kind => Err(Error::config(format!(
                "samples of one class each can be mixed, and these have {}; leave mixup and cutmix out",
                kind.noun()
            ))),
        }
    }

    /// What chance decides for batch `position` of `epoch`; none where nothing is to be mixed.
    pub fn draw(&self, shape: ImageShape, (seed, epoch, position): (u64, u64, usize)) -> Option<Blend> {
        let mut stream = Stream::new(seed, "blend", &[epoch, position as u64]);
        let heads = stream.below(2) == 0;
        match (self.mixup, self.cutmix) {
            (None, None) => None,
            (Some(mixup), cutmix) if cutmix.is_none() || heads => {
                Some(Blend::Mixup(beta(mixup, &mut stream) as f32))
            }
            (_, Some(cutmix)) => Some(rectangle(shape, beta(cutmix, &mut stream), &mut stream)),
            (Some(_), None) => None,
        }
    }
}

/// A rectangle of 1 - `share` of the image around any of its pixels, as far as it lies in the image.
fn rectangle(shape: ImageShape, share: f64, stream: &mut Stream) -> Blend {
    let side = (1.0 - share).max(0.0).sqrt();
    let mut range = |length: usize| {
        let half = (length as f64 * side) as usize / 2;
        let middle = stream.below(length as u64) as usize;
        [middle.saturating_sub(half), (middle + half).min(length)]
    };
    Blend::Cutmix { rows: range(shape.height), columns: range(shape.width) }
}

impl Blend {
    /// Mixes the samples of a batch: `images`, `[N, H, W, C]` of `shape`, in place, and their classes, of which there are so
    /// many, to shares.
    pub fn apply(&self, images: &mut [f32], labels: &[u32], shape: ImageShape, classes: usize) -> Targets {
        let size = shape.elements();
        let (front, back) = images.split_at_mut(labels.len() / 2 * size);
        let pairs = front.chunks_exact_mut(size).zip(back.chunks_exact_mut(size).rev());
        pairs.for_each(|(one, other)| self.blend(one, other, shape));
        let kept = self.kept(shape);
        let mut numbers = vec![0.0; labels.len() * classes];
        for (place, row) in numbers.chunks_exact_mut(classes).enumerate() {
            let other = labels.len() - 1 - place;
            row[labels[place] as usize] += if other == place { 1.0 } else { kept };
            if other != place {
                row[labels[other] as usize] += 1.0 - kept;
            }
        }
        Targets::Rows { width: classes, numbers }
    }

    /// The share of a sample that stays its own.
    fn kept(&self, shape: ImageShape) -> f32 {
        match *self {
            Self::Mixup(kept) => kept,
            Self::Cutmix { rows, columns } => {
                let area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
                (1.0 - area as f64 / (shape.height * shape.width) as f64) as f32
            }
        }
    }

    fn blend(&self, one: &mut [f32], other: &mut [f32], shape: ImageShape) {
        match *self {
            Self::Mixup(kept) => {
                for (one, other) in one.iter_mut().zip(other) {
                    let (a, b) = (*one, *other);
                    *one = kept * a + (1.0 - kept) * b;
                    *other = kept * b + (1.0 - kept) * a;
                }
            }
            Self::Cutmix { rows, columns } => {
                let ImageShape { channels, width, .. } = shape;
                for row in rows[0]..rows[1] {
                    let [start, end] = columns.map(|column| (row * width + column) * channels);
                    one[start..end].swap_with_slice(&mut other[start..end]);
                }
            }
        }
    }
}

/// A number of the distribution Beta(a, a), from two of the gamma distribution.
fn beta(a: f64, stream: &mut Stream) -> f64 {
    let (x, y) = (gamma(a, stream), gamma(a, stream));
    match x + y {
        sum if sum > 0.0 => x / sum,
        // Both were too small for a number: it is one of the ends.
        _ => stream.below(2) as f64,
    }
}

/// A number of the gamma distribution of this shape (Marsaglia and Tsang 2000).
fn gamma(a: f64, stream: &mut Stream) -> f64 {
    if a < 1.0 {
        let power = stream.uniform_f64().powf(1.0 / a);
        return gamma(a + 1.0, stream) * power;
    }
    let d = a - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - stream.uniform_f64();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 4, width: 6 };

    /// Every number of sample i is i + 1.
    fn images(samples: usize) -> Vec<f32> {
        (0..samples).flat_map(|sample| vec![sample as f32 + 1.0; SHAPE.elements()]).collect()
    }

    #[test]
    fn numbers_are_those_of_their_distribution() {
        for a in [0.1, 0.4, 1.0, 2.5] {
            let mut stream = Stream::new(7, "test", &[]);
            let drawn: Vec<f64> = (0..20_000).map(|_| beta(a, &mut stream)).collect();
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * a + 1.0));
            assert!((mean - 0.5).abs() < 0.015, "mean {mean} of {a}");
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "variance {variance} of {a}, expected {expected}"
            );
        }
        let mut stream = Stream::new(7, "test", &[1]);
        assert!((0..1000).map(|_| beta(1e-9, &mut stream)).all(|x| (0.0..=1.0).contains(&x)));
    }

    #[test]
    fn two_average_and_the_middle_stays() {
        let mut images = images(3);
        let targets = Blend::Mixup(0.75).apply(&mut images, &[0, 2, 1], SHAPE, 3);
        let size = SHAPE.elements();
        let values: Vec<f32> = images.chunks(size).map(|image| image[size - 1]).collect();
        assert_eq!(values, [1.5, 2.0, 2.5]);
        let numbers = vec![0.75, 0.25, 0.0, 0.0, 0.0, 1.0, 0.25, 0.75, 0.0];
        assert_eq!(targets, Targets::Rows { width: 3, numbers });
        let same = Blend::Mixup(0.75).apply(&mut images, &[1, 0, 1], SHAPE, 2);
        assert_eq!(same, Targets::Rows { width: 2, numbers: vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0] });
    }

    #[test]
    fn a_rectangle_comes_from_the_other() {
        let mut images = images(2);
        let blend = Blend::Cutmix { rows: [1, 3], columns: [2, 5] };
        let targets = blend.apply(&mut images, &[0, 1], SHAPE, 2);
        assert_eq!(targets, Targets::Rows { width: 2, numbers: vec![0.75, 0.25, 0.25, 0.75] });
        let (one, other) = images.split_at(SHAPE.elements());
        for (place, (&one, &other)) in one.iter().zip(other).enumerate() {
            let (row, column) = (place / 12, place / 2 % 6);
            let inside = (1..3).contains(&row) && (2..5).contains(&column);
            assert_eq!([one, other], if inside { [2.0, 1.0] } else { [1.0, 2.0] });
        }
    }

    #[test]
    fn chance_depends_on_seed_epoch_and_batch() {
        let both = BlendConfig { mixup: Some(1.0), cutmix: Some(1.0) };
        let draws: Vec<Blend> = (0..200).filter_map(|batch| both.draw(SHAPE, (3, 1, batch))).collect();
        let averaged = draws.iter().filter(|draw| matches!(draw, Blend::Mixup(_))).count();
        assert!((70..130).contains(&averaged), "{averaged} of 200");
        for draw in &draws {
            assert!((0.0..=1.0).contains(&draw.kept(SHAPE)), "{draw:?}");
        }
        assert_eq!(both.draw(SHAPE, (3, 1, 5)), Some(draws[5]));
        for other in [(4, 1, 5), (3, 2, 5), (3, 1, 6)] {
            assert_ne!(both.draw(SHAPE, other), Some(draws[5]));
        }
        assert_eq!(BlendConfig::default().draw(SHAPE, (3, 1, 5)), None);
        let cutmix = BlendConfig { cutmix: Some(1.0), ..BlendConfig::default() };
        assert!(matches!(cutmix.draw(SHAPE, (0, 0, 0)), Some(Blend::Cutmix { .. })));
    }
}
