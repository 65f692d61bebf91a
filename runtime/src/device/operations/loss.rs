//! Losses with their gradients. What a loss is stays on the device until somebody reads it.

use super::elementwise::{like, rows};
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launch::Launch;
use crate::device::launches::elements::{parts, scaled};
use crate::device::launches::loss as launches;
use crate::device::table::body::{Body, Element};
use crate::error::Result;

/// A loss on a device.
#[derive(Clone, Debug)]
pub struct Loss {
    /// Its value, and of a cross-entropy how many rows are right.
    pub found: Array,
    /// Its gradient, of the input's shape.
    pub d_input: Array,
}

impl Loss {
    /// Its value, when all launches before have ended.
    ///
    /// # Errors
    /// Those of the device.
    pub fn value(&self) -> Result<f64> {
        Ok(self.found.floats()?.first().map_or(f64::NAN, |&value| value.into()))
    }
}

/// Softmax cross-entropy of `logits: [N, K]`; `class_weights` are one a class, or none.
///
/// # Errors
/// Those of the device.
pub fn cross_entropy(
    logits: &Array,
    labels: &[u32],
    classes: usize,
    smoothing: f64,
    class_weights: &[f32],
) -> Result<Loss> {
    let labels_on = Array::of_words(logits.engine(), labels)?;
    let launch = launches::cross_entropy(labels, classes, smoothing, class_weights)?;
    of_rows(&launch, logits, &labels_on, class_weights)
}

/// The same where `shares: [N, K]` are the targets; divided by `total`.
///
/// # Errors
/// Those of the device.
pub fn soft_cross_entropy(
    logits: &Array,
    shares: &[f32],
    [samples, classes]: [usize; 2],
    (smoothing, total): (f64, f64),
    class_weights: &[f32],
) -> Result<Loss> {
    let shares = Array::of_floats(logits.engine(), shares, &[samples, classes])?;
    let launch = launches::soft_cross_entropy([samples, classes], smoothing, total, class_weights)?;
    of_rows(&launch, logits, &shares, class_weights)
}

/// A loss of rows of logits by what each is to be.
fn of_rows(launch: &Launch, logits: &Array, targets: &Array, class_weights: &[f32]) -> Result<Loss> {
    let (engine, logits, d_input) = (logits.engine(), rows(logits)?, like(logits)?);
    let found = Array::empty(engine, Element::F32, &[2])?;
    let weights = match class_weights {
        [] => Operand::Nothing,
        weights => Operand::Floats(weights),
    };
    let operands = [
        Operand::from(&logits),
        Operand::from(targets),
        weights,
        Operand::from(&d_input),
        Operand::from(&found),
    ];
    engine.launch(launch, &operands)?;
    Ok(Loss { found, d_input })
}

/// The mean of squared errors of `outputs: [N, K]`, or with a `delta` Huber's loss of them.
///
/// # Errors
/// Those of the device.
pub fn errors(outputs: &Array, targets: &[f32], delta: Option<f64>) -> Result<Loss> {
    let targets = Array::of_floats(outputs.engine(), targets, outputs.dims())?;
    of_elements(&launches::errors(outputs.len(), delta)?, outputs, &targets)
}

/// Binary cross-entropy of logits and targets, averaged over all elements.
///
/// # Errors
/// Those of the device.
pub fn binary_cross_entropy(logits: &Array, targets: &Array) -> Result<Loss> {
    let elements = logits.len();
    of_elements(&scaled(Body::BinaryCrossEntropy, elements, 1.0 / elements as f32)?, logits, targets)
}

/// A loss that is a mean over all elements, whose sum `launch` makes a part a block.
fn of_elements(launch: &Launch, x: &Array, targets: &Array) -> Result<Loss> {
    let (engine, x, targets) = (x.engine(), rows(x)?, rows(targets)?);
    let (d_input, elements) = (like(&x)?, x.len());
    let of_blocks = Array::empty(engine, Element::F32, &[parts(elements)])?;
    engine.launch(launch, &[&x, &targets, &d_input, &of_blocks].map(Operand::from))?;
    let found = Array::empty(engine, Element::F32, &[1])?;
    let operands = [&of_blocks, &found].map(Operand::from);
    engine.launch(&scaled(Body::SumParts, of_blocks.len(), 1.0 / elements as f32)?, &operands)?;
    Ok(Loss { found, d_input })
}

/// Similarity matching of `x: [samples, positions, channels]`; see `maps/similarity.rs`.
///
/// # Errors
/// Those of the device.
pub fn similarity(x: &Array, labels: &[u32], sizes: [usize; 3], classes: usize) -> Result<Loss> {
    let [samples, positions, channels] = sizes;
    let p = launches::similarity(samples, positions, channels, classes)?;
    let (engine, x, d_input) = (x.engine(), rows(x)?, like(x)?);
    let room = |dims: &[usize]| Array::empty(engine, Element::F32, dims);
    let per_row = [samples, channels];
    let (mean, deviations, row, d_deviations) =
        (room(&per_row)?, room(&per_row)?, room(&per_row)?, room(&per_row)?);
    let (norms, errors, of_samples) = (room(&[samples])?, room(&[samples, samples])?, room(&[samples])?);
    let (labels_on, found) = (Array::of_words(engine, labels)?, room(&[1])?);
    let step = |body, arrays: &[&Array]| {
        let operands: Vec<_> = arrays.iter().map(|&array| Operand::from(array)).collect();
        engine.launch(&launches::similarity_step(body, &p)?, &operands)
    };
    step(Body::Deviation, &[&x, &mean, &deviations])?;
    step(Body::SimilarityRows, &[&deviations, &row, &norms])?;
    step(Body::SimilarityErrors, &[&row, &labels_on, &errors, &of_samples])?;
    step(Body::SimilarityBackward, &[&errors, &row, &norms, &d_deviations])?;
    step(Body::DeviationBackward, &[&x, &mean, &deviations, &d_deviations, &d_input])?;
    let mean_of_pairs = 1.0 / (samples * samples) as f32;
    let operands = [&of_samples, &found].map(Operand::from);
    engine.launch(&scaled(Body::SumParts, samples, mean_of_pairs)?, &operands)?;
    Ok(Loss { found, d_input })
}
