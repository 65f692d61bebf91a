//! Rows of a weight, one for each token, and their gradient: sums of rows, each of which counts once.

use super::elementwise::rows;
use super::pool::resample;
use crate::device::array::Array;
use crate::error::Result;
use crate::kernels::embedding::{Places, places};
use crate::kernels::resample::Taps;

/// The only column there is.
fn column() -> Taps {
    Taps::new(1, 1, |_| [(0, 1.0)])
}

/// Rows of `weight: [V, C]`, as an array of `dims: [N, 1, T, C]`.
///
/// # Errors
/// Those of the device.
pub fn forward(tokens: &[u32], weight: &Array, dims: [usize; 4]) -> Result<Array> {
    let (vocabulary, channels) = (weight.dims()[0], dims[3]);
    let weight = rows(weight)?.reshape(&[1, vocabulary, 1, channels])?;
    let taken = Taps::new(vocabulary, tokens.len(), |place| [(tokens[place] as usize, 1.0)]);
    resample(&weight, [1, tokens.len(), 1, channels], &taken, &column())?.reshape(&dims)
}

/// The gradient of the weight, `[V, C]`, from `d_y: [N, 1, T, C]`.
///
/// # Errors
/// Those of the device.
pub fn d_weight(tokens: &[u32], d_y: &Array, [vocabulary, channels]: [usize; 2]) -> Result<Array> {
    let d_y = rows(d_y)?.reshape(&[1, tokens.len(), 1, channels])?;
    let Places { starts, places } = places(tokens, vocabulary);
    let of = |token: usize| places[starts[token] as usize..starts[token + 1] as usize].iter();
    let added = Taps::new(tokens.len(), vocabulary, |token| of(token).map(|&place| (place as usize, 1.0)));
    resample(&d_y, [1, vocabulary, 1, channels], &added, &column())?.reshape(&[vocabulary, channels])
}
