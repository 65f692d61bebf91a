//! Statistics of a batch that passes in shares, from those of each share.

use super::batch_norm::{Statistics, of_moments};
use super::slices::elements;
use crate::error::Result;
use crate::kernels::batch_norm::Moments;

/// What the shares so far have added up to, of each channel, in f64.
#[derive(Debug)]
pub struct Shares {
    samples: f64,
    mean: Vec<f64>,
    /// Sums of squared deviations from the mean, as many rows making one sample as anywhere.
    square: Vec<f64>,
}

impl Shares {
    /// The first share, of so many samples, which must be on the host.
    ///
    /// # Errors
    /// `Internal` where it is not.
    pub fn new(own: &Statistics, samples: usize) -> Result<Self> {
        let count = samples as f64;
        let double = |numbers: &[f32], factor: f64| -> Vec<f64> {
            numbers.iter().map(|&number| factor * f64::from(number)).collect()
        };
        let (mean, variance) = (elements(&own.mean)?, elements(&own.variance)?);
        Ok(Self { samples: count, mean: double(&mean, 1.0), square: double(&variance, count) })
    }

    /// Adds another: means and sums of squared deviations of two sets as one (Chan, Golub and LeVeque 1979).
    ///
    /// # Errors
    /// As [`Shares::new`].
    pub fn add(&mut self, own: &Statistics, samples: usize) -> Result<()> {
        let (own_mean, own_variance) = (elements(&own.mean)?, elements(&own.variance)?);
        let (before, count) = (self.samples, samples as f64);
        let all = before + count;
        for (channel, (mean, square)) in self.mean.iter_mut().zip(&mut self.square).enumerate() {
            let apart = f64::from(own_mean[channel]) - *mean;
            *square += count * f64::from(own_variance[channel]) + apart * apart * before * count / all;
            *mean += apart * count / all;
        }
        self.samples = all;
        Ok(())
    }

    /// The statistics of all of them.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn statistics(&self) -> Result<Statistics> {
        of_moments(Moments {
            variance: self.square.iter().map(|square| (square / self.samples) as f32).collect(),
            mean: self.mean.iter().map(|&mean| mean as f32).collect(),
        })
    }
}
