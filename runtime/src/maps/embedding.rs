//! An embedding: a row of numbers for each token. Tokens are whole numbers in a map of f32. Devices sum rows as the host lists
//! them, which looks at the tokens for that.

use super::Map;
use super::place::make;
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::embedding as device;
use crate::error::{Error, Result};
use crate::kernels::embedding as kernels;

/// Row t of `weight: [V, C]` for each token t of `tokens: [N, T]`: `[N, 1, T, C]`, a map of one row.
///
/// # Errors
/// `Config` for a token that is none of the V, `Shape` for shapes that do not fit.
pub fn forward(tokens: &Map, weight: &Map) -> Result<Map> {
    let [n, t] = table("tokens", tokens)?;
    let [vocabulary, channels] = table("weight", weight)?;
    let dims = [n, 1, t, channels];
    #[cfg(feature = "device")]
    if let Map::Device(weight) = weight {
        let found = checked(&tokens.numbers()?, [t, vocabulary])?;
        return device::forward(&found, weight, dims).map(Map::Device);
    }
    make(
        tokens,
        &dims,
        || {
            let found = checked(&elements(tokens)?, [t, vocabulary])?;
            tensor(kernels::forward(&found, &elements(weight)?, channels), &dims[..])
        },
        |counter| {
            counter.scratch(n * t * size_of::<u32>());
            counter.sweep(n * t * (1 + 2 * channels));
        },
    )
}

/// The gradient of the weight, `[vocabulary, C]`, from `d_y: [N, 1, T, C]`, that of [`forward`]: each row is the sum of the
/// gradients where its token stands.
///
/// # Errors
/// As for [`forward`].
pub fn d_weight(tokens: &Map, d_y: &Map, vocabulary: usize) -> Result<Map> {
    let [n, t] = table("tokens", tokens)?;
    let channels = match *d_y.dims() {
        [samples, 1, steps, channels] if samples == n && steps == t => channels,
        ref found => {
            return Err(Error::shape(format!(
                "the gradient of {n} samples of {t} tokens has the shape {found:?}"
            )));
        }
    };
    let dims = [vocabulary, channels];
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        let found = checked(&tokens.numbers()?, [t, vocabulary])?;
        return device::d_weight(&found, d_y, dims).map(Map::Device);
    }
    make(
        tokens,
        &dims,
        || {
            let found = checked(&elements(tokens)?, [t, vocabulary])?;
            tensor(kernels::d_weight(&found, &elements(d_y)?, dims), &dims[..])
        },
        |counter| {
            let places = n * t * size_of::<u32>();
            counter.scratch(places + kernels::d_weight_bytes(n * t, dims, counter.threads));
            counter.sweep(n * t * channels + vocabulary * channels);
        },
    )
}

/// Refuses numbers that are no tokens below `vocabulary`: `tokens: [N, T]`, wherever they are.
///
/// # Errors
/// `Config`, with the first of them.
pub fn check_tokens(tokens: &Map, vocabulary: usize) -> Result<()> {
    let [_, t] = table("tokens", tokens)?;
    match tokens {
        Map::Counted(_) => Ok(()),
        _ => checked(&tokens.numbers()?, [t, vocabulary]).map(drop),
    }
}

/// Numbers as tokens below `vocabulary`, `length` of them a sample.
fn checked(numbers: &[f32], [length, vocabulary]: [usize; 2]) -> Result<Vec<u32>> {
    kernels::tokens(numbers, vocabulary).map_err(|place| {
        Error::config(format!(
            "token {} of sample {} is {}; tokens are whole numbers from 0 to {}",
            place % length,
            place / length,
            numbers[place],
            vocabulary.saturating_sub(1)
        ))
    })
}

fn table(name: &str, x: &Map) -> Result<[usize; 2]> {
    match *x.dims() {
        [rows, columns] if rows * columns > 0 => Ok([rows, columns]),
        ref dims => {
            Err(Error::shape(format!("an embedding needs {name} as rows with numbers, got {dims:?}")))
        }
    }
}
