//! Operations on each element alone, pools, resampling.

use crate::device::arguments::{Elements, Norm, Pool, Resample};
use crate::device::launch::{FLAT_ELEMENTS, Launch, Traffic, pair, whole};
use crate::device::launches::PART_CHANNELS;
use crate::device::table::body::Body;
use crate::device::table::kernel::Kernel;
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::kernels::max_pool::Axis;
use crate::kernels::resample::Taps;
use crate::kernels::subsample::Sizes;

/// The number that kernels know an activation by, and its slope below 0; no activation is 0.
pub fn kind(activation: Option<Activation>) -> (u32, f32) {
    match activation {
        None => (0, 0.0),
        Some(Activation::Relu) => (1, 0.0),
        Some(Activation::Relu6) => (2, 0.0),
        Some(Activation::Silu) => (3, 0.0),
        Some(Activation::Sigmoid) => (4, 0.0),
        Some(Activation::Gelu) => (5, 0.0),
        Some(Activation::HardSwish) => (6, 0.0),
        Some(Activation::HardSigmoid) => (7, 0.0),
        Some(Activation::LeakyRelu { slope }) => (8, slope),
    }
}

/// [`Body::Activate`], [`Body::ActivateBackward`] and [`Body::AddActivate`].
///
/// # Errors
/// Of what is too large for a device.
pub fn activate(body: Body, elements: usize, activation: Option<Activation>) -> Result<Launch> {
    let (kind, factor) = kind(activation);
    let p = Elements { elements: whole(elements)?, kind, factor, ..Elements::default() };
    let maps = if body == Body::Activate { 1 } else { 2 };
    Launch::flat(body, elements, &p, Traffic::floats(maps * elements, elements, elements))
}

/// [`Body::AddScaled`] and [`Body::Scale`] by a factor; [`Body::ProductParts`] without one; of [`Body::SumParts`] the parts, of [`Body::ClipFactor`] the limit, of
/// [`Body::BinaryCrossEntropy`] 1 over the elements.
///
/// # Errors
/// Of what is too large for a device.
pub fn scaled(body: Body, elements: usize, factor: f32) -> Result<Launch> {
    let p = Elements { elements: whole(elements)?, factor, ..Elements::default() };
    let (read, written) = match body {
        Body::Scale => (elements, elements),
        Body::SumParts | Body::ClipFactor => (elements, 2),
        Body::ProductParts => (2 * elements, parts(elements)),
        _ => (2 * elements, elements),
    };
    let traffic = Traffic::floats(read, written, elements);
    match body {
        Body::SumParts | Body::ClipFactor => Launch::new(Kernel::of(body), [1, 1, 1], &p, traffic),
        _ => Launch::flat(body, elements, &p, traffic),
    }
}

/// The parts of a sum over all elements.
pub fn parts(elements: usize) -> usize {
    elements.div_ceil(FLAT_ELEMENTS)
}

/// Inverted dropout of elements that stand at `first` and on, as `kernels/dropout.rs` has it on the CPU.
///
/// # Errors
/// Of what is too large for a device.
pub fn dropout(elements: usize, probability: f64, seed: u64, first: u64) -> Result<Launch> {
    let halves = |word: u64| [word as u32, (word >> 32) as u32];
    let kept = if probability < 1.0 { (1.0 / (1.0 - probability)) as f32 } else { 0.0 };
    let p = Elements {
        elements: whole(elements)?,
        // 2^32, for a probability of 1, has no word: nothing is kept all the same.
        threshold: ((probability * 4_294_967_296.0) as u64).min(u32::MAX.into()) as u32,
        factor: kept,
        seed: halves(crate::kernels::dropout::mix(seed)),
        first: halves(first),
        ..Elements::default()
    };
    Launch::flat(Body::Dropout, elements, &p, Traffic::floats(elements, elements, elements))
}

/// [`Body::Narrow`] and [`Body::Widen`]: f16, or bf16.
///
/// # Errors
/// Of what is too large for a device.
pub fn sixteen_bits(body: Body, elements: usize, is_bf16: bool) -> Result<Launch> {
    let p = Elements { elements: whole(elements)?, kind: is_bf16.into(), ..Elements::default() };
    let (wide, narrow) = (4 * elements as u64, 2 * elements as u64);
    let (bytes_read, bytes_written) = if body == Body::Narrow { (wide, narrow) } else { (narrow, wide) };
    Launch::flat(body, elements, &p, Traffic { bytes_read, bytes_written, operations: 0 })
}

/// [`Body::MaxPool`] and [`Body::MaxPoolBackward`] of images of `channels`.
///
/// # Errors
/// Of what is too large for a device.
pub fn max_pool(body: Body, images: usize, channels: usize, [rows, columns]: [Axis; 2]) -> Result<Launch> {
    let large = images * rows.input * columns.input * channels;
    let small = images * rows.output * columns.output * channels;
    whole(large)?;
    let (elements, read) = if body == Body::MaxPool { (small, large) } else { (large, small) };
    let p = Pool {
        elements: whole(elements)?,
        input: pair([rows.input, columns.input])?,
        output: pair([rows.output, columns.output])?,
        channels: whole(channels)?,
        kernel: pair([rows.kernel, columns.kernel])?,
        stride: pair([rows.stride, columns.stride])?,
        padding: pair([rows.padding, columns.padding])?,
        ..Pool::default()
    };
    let mut traffic = Traffic::floats(read, elements, rows.kernel * columns.kernel * small);
    if body == Body::MaxPool {
        traffic.bytes_written += small as u64;
    } else {
        traffic.bytes_read += small as u64;
    }
    Launch::flat(body, elements, &p, traffic)
}

/// [`Body::Subsample`] and [`Body::SubsampleBackward`].
///
/// # Errors
/// Of what is too large for a device.
pub fn subsample(body: Body, images: usize, sizes: Sizes) -> Result<Launch> {
    let ([height, width, channels], [out_height, out_width, out_channels]) = (sizes.large, sizes.small);
    let elements = match body {
        Body::Subsample => images * out_height * out_width * out_channels,
        _ => images * height * width * channels,
    };
    let p = Pool {
        elements: whole(elements)?,
        input: pair([height, width])?,
        output: pair([out_height, out_width])?,
        channels: whole(channels)?,
        out_channels: whole(out_channels)?,
        before: whole(sizes.before())?,
        stride: pair(sizes.stride)?,
        ..Pool::default()
    };
    let kept = images * out_height * out_width * channels;
    Launch::flat(body, elements, &p, Traffic::floats(kept, elements, 0))
}

/// Weighted sums of pixels, and the table of their taps that the kernel reads.
///
/// # Errors
/// Of what is too large for a device.
pub fn resample(images: usize, channels: usize, rows: &Taps, columns: &Taps) -> Result<(Launch, Vec<u32>)> {
    let ((height, out_height), (width, out_width)) = (rows.sizes(), columns.sizes());
    let (mut starts, mut taps) = (vec![], vec![]);
    for axis in [rows, columns] {
        for output in 0..axis.sizes().1 {
            starts.push(whole(taps.len() / 2)?);
            for &(input, weight) in axis.of(output) {
                taps.extend([whole(input)?, weight.to_bits()]);
            }
        }
        starts.push(whole(taps.len() / 2)?);
    }
    let elements = images * out_height * out_width * channels;
    whole(images * height * width * channels)?;
    let p = Resample {
        elements: whole(elements)?,
        channels: whole(channels)?,
        input: pair([height, width])?,
        output: pair([out_height, out_width])?,
        columns_at: whole(out_height + 1)?,
        taps_at: whole(starts.len())?,
    };
    let taps_each = |axis: &Taps| (0..axis.sizes().1).map(|i| axis.of(i).len()).sum::<usize>();
    let operations = 2 * images * channels * taps_each(rows) * taps_each(columns);
    let traffic = Traffic::floats(images * height * width * channels, elements, operations);
    starts.extend(taps);
    Ok((Launch::flat(Body::Resample, elements, &p, traffic)?, starts))
}

/// The two pixels of the small map, and their weights, that each row and then each column of an up-sampled map lies between:
/// what a convolution reads one through ([`ReadKind::Upsampled`](crate::device::table::kernel::ReadKind::Upsampled)).
pub fn upsampling(rows: &Taps, columns: &Taps) -> Vec<f32> {
    let mut table = vec![];
    for axis in [rows, columns] {
        for output in 0..axis.sizes().1 {
            let (first, second) = match axis.of(output) {
                [first, second, ..] => (*first, *second),
                [first] => (*first, (first.0, 0.0)),
                [] => ((0, 0.0), (0, 0.0)),
            };
            table.extend([first.0 as f32, second.0 as f32, first.1, second.1]);
        }
    }
    table
}

/// The mean of each channel of each image of `positions` pixels.
///
/// # Errors
/// Of what is too large for a device.
pub fn mean_pool(images: usize, positions: usize, channels: usize) -> Result<Launch> {
    let elements = images * positions * channels;
    let p = Norm {
        rows: whole(positions)?,
        channels: whole(channels)?,
        elements: whole(elements)?,
        ..Norm::default()
    };
    let kernel = Kernel { is_wide: channels.is_multiple_of(4), ..Kernel::of(Body::MeanPool) };
    let grid = [whole(images)?, whole(channels.div_ceil(PART_CHANNELS))?, 1];
    Launch::new(kernel, grid, &p, Traffic::floats(elements, images * channels, elements))
}
