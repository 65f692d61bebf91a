//! A batch norm as those need it who read a map through it: the numbers of its channels, the sums of its backward pass, and
//! the way from the gradient of its output to that of its input. All are small.

use super::Map;
use super::activation::Activation;
use super::batch_norm::Statistics;
use super::counted::ledger::Part;
use super::elementwise::same_shape;
use super::place::{Room, read};
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::norm as device;
use crate::error::{Error, Result};
use crate::kernels::batch_norm::{self as kernels, Gradient, Normalization, Sums};
use crate::kernels::simd::Isa;
use std::sync::Arc;

/// What becomes of each channel: activation((x - mean) · scale + bias). Clones share their numbers.
#[derive(Clone, Debug)]
pub enum Norm {
    /// For kernels; small to hold, as a tape holds many.
    Host(Arc<Normalization>),
    /// For a device's kernels.
    #[cfg(feature = "device")]
    Device(device::Norm),
    /// Counted.
    Counted {
        /// Channels.
        channels: usize,
        /// Its memory.
        room: Room,
    },
}

/// What a norm has beside its statistics.
#[derive(Clone, Copy, Debug)]
pub struct NormParameters<'a> {
    /// Its weight, `[C]`.
    pub weight: &'a Map,
    /// Its bias, `[C]`.
    pub bias: &'a Map,
    /// What is added to the variance.
    pub epsilon: f64,
    /// The activation behind it.
    pub activation: Option<Activation>,
}

/// The sums over rows that the gradients of a batch norm need, in f64.
#[derive(Clone, Debug)]
pub enum NormSums {
    /// By kernels.
    Host(Sums),
    /// What a device made of them.
    #[cfg(feature = "device")]
    Device(device::Sums),
    /// Counted.
    Counted {
        /// Channels.
        channels: usize,
    },
}

/// How to get from the gradient of a batch norm's output to that of its input.
#[derive(Clone, Debug)]
pub enum NormGradient {
    /// For kernels.
    Host(Gradient),
    /// For a device's kernels.
    #[cfg(feature = "device")]
    Device(device::Norm),
    /// Counted.
    Counted(Room),
}

/// What a [`Norm`] of so many channels takes beside itself: its numbers, their lists and the count of its clones.
pub(crate) fn bytes(channels: usize) -> usize {
    kernels::normalization_bytes(channels) + size_of::<Normalization>() + 2 * size_of::<usize>()
}

fn elsewhere() -> Error {
    Error::internal("a batch norm and what is read through it are not in one place")
}

impl Norm {
    /// From statistics and parameters, `[C]` all.
    ///
    /// # Errors
    /// `Internal` where not all are in one place, and those of the device.
    pub fn new(
        statistics: &Statistics,
        weight: &Map,
        bias: &Map,
        epsilon: f64,
        activation: Option<Activation>,
    ) -> Result<Self> {
        let channels = weight.elem_count();
        match weight {
            Map::Host(_) => {
                let (mean, variance) = (elements(&statistics.mean)?, elements(&statistics.variance)?);
                let (weight, bias) = (elements(weight)?, elements(bias)?);
                let by = Normalization::new(&mean, &variance, &weight, &bias, epsilon, activation);
                Ok(Self::Host(Arc::new(by)))
            }
            Map::Counted(_) => {
                let room = weight.place().room(Part::Passing, bytes(channels));
                Ok(Self::Counted { channels, room })
            }
            #[cfg(feature = "device")]
            Map::Device(weight) => {
                let statistics = [statistics.mean.array()?, statistics.variance.array()?];
                let parameters = [weight, bias.array()?];
                Ok(Self::Device(device::Norm::new(statistics, parameters, epsilon, activation)?))
            }
        }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        match self {
            Self::Host(by) => by.channels(),
            #[cfg(feature = "device")]
            Self::Device(by) => by.channels(),
            Self::Counted { channels, .. } => *channels,
        }
    }

    /// For a kernel.
    pub(super) fn host(&self) -> Result<&Normalization> {
        match self {
            Self::Host(by) => Ok(by),
            _ => Err(elsewhere()),
        }
    }

    /// For a device.
    #[cfg(feature = "device")]
    pub(super) fn device(&self) -> Result<&device::Norm> {
        match self {
            Self::Device(by) => Ok(by),
            _ => Err(elsewhere()),
        }
    }

    /// What the gradients of a map of `rows` rows need, whose sums these are; none where statistics are constants.
    ///
    /// # Errors
    /// `Internal` where sums and numbers are in different places.
    pub fn gradient(&self, sums: Option<&NormSums>, rows: usize, like: &Map) -> Result<NormGradient> {
        match self {
            Self::Host(by) => {
                let sums = sums.map(NormSums::host).transpose()?;
                Ok(NormGradient::Host(Gradient::new(by, sums, rows)))
            }
            #[cfg(feature = "device")]
            Self::Device(by) => Ok(NormGradient::Device(match sums {
                None => by.clone(),
                Some(NormSums::Device(sums)) => sums.through.clone(),
                Some(_) => return Err(elsewhere()),
            })),
            Self::Counted { channels, .. } => {
                let bytes = 2 * kernels::normalization_bytes(*channels);
                Ok(NormGradient::Counted(like.place().room(Part::Passing, bytes)))
            }
        }
    }
}

#[cfg(feature = "device")]
impl<'a> NormParameters<'a> {
    /// For a device.
    pub(super) fn device(&self) -> Result<device::Parameters<'a>> {
        let Self { epsilon, activation, .. } = *self;
        Ok(device::Parameters { weight: self.weight.array()?, bias: self.bias.array()?, epsilon, activation })
    }
}

impl NormSums {
    /// Adds those of another share of the batch.
    ///
    /// # Errors
    /// `Internal` where both are not on the host.
    pub fn add(&mut self, own: &Self) -> Result<()> {
        let (Self::Host(all), own) = (self, own.host()?) else { return Err(elsewhere()) };
        let pairs = [
            (&mut all.gradient, &own.gradient),
            (&mut all.gradient_times_normalized, &own.gradient_times_normalized),
        ];
        for (all, own) in pairs {
            all.iter_mut().zip(own).for_each(|(all, own)| *all += own);
        }
        Ok(())
    }

    /// For a kernel.
    fn host(&self) -> Result<&Sums> {
        match self {
            Self::Host(sums) => Ok(sums),
            _ => Err(elsewhere()),
        }
    }

    /// The gradients of weight and bias, `[C]`, that they are; `like` is where.
    ///
    /// # Errors
    /// `Internal` where these are not of the place of `like`.
    pub fn gradients(&self, like: &Map) -> Result<(Map, Map)> {
        match self {
            Self::Host(sums) => {
                let rounded = |sums: &[f64]| {
                    tensor(sums.iter().map(|&sum| sum as f32).collect(), sums.len()).map(Map::Host)
                };
                Ok((rounded(&sums.gradient_times_normalized)?, rounded(&sums.gradient)?))
            }
            #[cfg(feature = "device")]
            Self::Device(sums) => Ok((Map::Device(sums.d_weight.clone()), Map::Device(sums.d_bias.clone()))),
            Self::Counted { channels } => {
                let place = like.place();
                Ok((place.empty(&[*channels])?, place.empty(&[*channels])?))
            }
        }
    }
}

impl NormGradient {
    /// For a kernel.
    pub(super) fn host(&self) -> Result<&Gradient> {
        match self {
            Self::Host(by) => Ok(by),
            _ => Err(elsewhere()),
        }
    }

    /// For a device.
    #[cfg(feature = "device")]
    pub(super) fn device(&self) -> Result<&device::Norm> {
        match self {
            Self::Device(by) => Ok(by),
            _ => Err(elsewhere()),
        }
    }
}

/// The sums that the gradients of a normalization of `z` need, from `d`, the gradient of its output.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn sums(d: &Map, z: &Map, by: &Norm) -> Result<NormSums> {
    same_shape(d, z)?;
    #[cfg(feature = "device")]
    if let Map::Device(z) = z {
        return device::sums(d.array()?, z, by.device()?).map(NormSums::Device);
    }
    read(
        z,
        || Ok(NormSums::Host(kernels::sums(Isa::best(), &elements(d)?, &elements(z)?, by.host()?))),
        |counter| {
            counter.sum_rows(z.elem_count(), by.channels());
            NormSums::Counted { channels: by.channels() }
        },
    )
}
