//! Which kernel carries an operation out on a class of devices, and all that a class may need.
//!
//! The choice hangs on shapes alone. It is never measured, so that the same device gives the same bytes.

use super::body::Body;
use super::kernel::{Kernel, ReadKind};
use super::tile::{Tile, Unit};

/// What devices differ in that kernels see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Fused multiplications alone: NVIDIA before sm_80, Apple before Apple7, and the emulated device.
    Scalar,
    /// Tensor cores.
    TensorCores {
        /// 1 for TF32, 3 for about f32.
        passes: u32,
    },
    /// Tensor cores that multiply f16 where no factor is a gradient, and else TF32: gradients are too small for f16.
    HalfTensorCores,
    /// Matrices of simdgroups.
    Simdgroups,
}

/// A pass of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// Its output.
    Forward,
    /// The gradient of its input.
    DInput,
    /// The gradient of its weight.
    DWeight,
}

/// Of what a convolution's kernel is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Channels of a group of the input and of the output.
    pub channels: [u32; 2],
    /// Whether each channel has a filter of its own.
    pub is_depthwise: bool,
    /// All channels of the input.
    pub all_channels: u32,
}

/// The kernel of one pass. `map` is what the input is read through, `gradient` what the output's gradient is.
pub fn choose(shape: ConvShape, pass: Pass, map: ReadKind, gradient: ReadKind, class: Class) -> Kernel {
    let [inputs, outputs] = shape.channels;
    let source = if pass == Pass::DInput { gradient } else { map };
    let gradient = if pass == Pass::DWeight { gradient } else { ReadKind::Plain };
    if shape.is_depthwise {
        let body = match pass {
            Pass::Forward => Body::DepthwiseForward,
            Pass::DInput => Body::DepthwiseDInput,
            Pass::DWeight => Body::DepthwiseDWeight,
        };
        let is_wide = shape.all_channels.is_multiple_of(4);
        return Kernel { map: source, gradient, is_wide, ..Kernel::of(body) };
    }
    let (body, columns) = match pass {
        Pass::Forward => (Body::ConvForward, outputs),
        Pass::DInput => (Body::ConvDInput, inputs),
        Pass::DWeight => (Body::ConvDWeight, outputs),
    };
    let is_wide = inputs.is_multiple_of(4) && outputs.is_multiple_of(4);
    // Odd channels are those of a stem or of a classifier, and up-sampled maps those of a decoder: one tile serves.
    let tile = match (is_wide, source) {
        (false, _) => tile(body, 16, Class::Scalar),
        (true, ReadKind::Upsampled) => tile(body, columns, Class::Scalar),
        (true, _) => tile(body, columns, class),
    };
    Kernel { body, tile: Some(tile), map: source, gradient, is_wide }
}

/// The kernel of both gradients in one launch, where there is one: of convolutions in one group, between as many channels or
/// nearly, of a map and behind a norm.
pub fn choose_both(
    shape: ConvShape,
    groups: u32,
    map: ReadKind,
    gradient: ReadKind,
    class: Class,
) -> Option<Kernel> {
    let [inputs, outputs] = shape.channels;
    let is_read = matches!(map, ReadKind::Plain | ReadKind::Normalized) && gradient == ReadKind::Through;
    let is_wide = inputs.is_multiple_of(4) && outputs.is_multiple_of(4);
    if shape.is_depthwise || groups != 1 || !is_read || !is_wide {
        return None;
    }
    let [of_input, of_output] = [inputs, outputs].map(|columns| tile(Body::ConvBackward, columns, class));
    let tile = Some(of_input);
    (of_input == of_output).then(|| Kernel { tile, map, gradient, is_wide, ..Kernel::of(Body::ConvBackward) })
}

fn tile(body: Body, columns: u32, class: Class) -> Tile {
    let class = match class {
        Class::HalfTensorCores if body != Body::ConvForward => Class::TensorCores { passes: 1 },
        class => class,
    };
    let columns = if columns <= 16 {
        16
    } else if columns <= 32 {
        32
    } else {
        64
    };
    let is_k_first = body == Body::ConvDWeight;
    let is_tall = !is_k_first && columns < 64;
    let warps = if columns == 16 || is_tall { [4, 1] } else { [2, 2] };
    match class {
        Class::Scalar => {
            let each = match (is_k_first, columns) {
                (false, 32) | (_, 64) => [8, 4],
                _ => [4, 4],
            };
            let (rows, depth) = (if is_tall { 128 } else { 64 }, if is_k_first { 16 } else { 8 });
            Tile { rows, columns, depth, is_k_first, unit: Unit::Scalar { each } }
        }
        Class::TensorCores { passes } => {
            let rows = if is_tall { 128 } else { 64 };
            Tile { rows, columns, depth: 16, is_k_first, unit: Unit::Tf32 { warps, passes } }
        }
        Class::HalfTensorCores => {
            let rows = if is_tall { 128 } else { 64 };
            Tile { rows, columns, depth: 16, is_k_first, unit: Unit::F16 { warps } }
        }
        Class::Simdgroups => {
            let groups = if columns == 16 { [4, 1] } else { [2, 2] };
            Tile { rows: 64, columns, depth: 16, is_k_first, unit: Unit::Simdgroup { groups } }
        }
    }
}

/// Every kernel that a device of this class may run, each once.
pub fn all(class: Class) -> Vec<Kernel> {
    let mut kernels = vec![];
    for pass in [Pass::Forward, Pass::DInput, Pass::DWeight] {
        for (map, gradient) in sources(pass) {
            for channels in [16, 32, 64, 1] {
                let shape =
                    ConvShape { channels: [channels; 2], is_depthwise: false, all_channels: channels };
                add(&mut kernels, choose(shape, pass, map, gradient, class));
                let shape = ConvShape { channels: [1; 2], is_depthwise: true, all_channels: channels };
                if map != ReadKind::Upsampled {
                    add(&mut kernels, choose(shape, pass, map, gradient, class));
                }
            }
        }
    }
    for map in [ReadKind::Plain, ReadKind::Normalized] {
        for channels in [16, 32, 64] {
            let shape = ConvShape { channels: [channels; 2], is_depthwise: false, all_channels: channels };
            kernels.extend(choose_both(shape, 1, map, ReadKind::Through, class));
        }
    }
    for is_wide in [false, true] {
        for body in [Body::NormMoments, Body::NormSums, Body::ColumnParts, Body::MeanPool, Body::Deviation] {
            add(&mut kernels, Kernel { is_wide, ..Kernel::of(body) });
        }
        for map in [ReadKind::Normalized, ReadKind::Through] {
            add(&mut kernels, Kernel { is_wide, map, ..Kernel::of(Body::NormApply) });
        }
    }
    kernels.extend(Body::all().map(Kernel::of).filter(Kernel::is_single));
    kernels
}

fn add(kernels: &mut Vec<Kernel>, kernel: Kernel) {
    if !kernels.contains(&kernel) {
        kernels.push(kernel);
    }
}

/// What a pass may read: maps, and gradients.
fn sources(pass: Pass) -> Vec<(ReadKind, ReadKind)> {
    let maps = [ReadKind::Plain, ReadKind::Normalized, ReadKind::Sum, ReadKind::Upsampled];
    let gradients = [ReadKind::Plain, ReadKind::Through];
    match pass {
        Pass::Forward => maps.map(|map| (map, ReadKind::Plain)).to_vec(),
        Pass::DInput => gradients.map(|gradient| (ReadKind::Plain, gradient)).to_vec(),
        Pass::DWeight => maps.iter().flat_map(|&map| gradients.map(|gradient| (map, gradient))).collect(),
    }
}
