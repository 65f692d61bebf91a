//! How much memory a pass needs beside its tensors, known from its shape.

use super::buffer::Buffer;
use super::depthwise;
use super::direct;
use super::gather::{Direction, GatherPlan};
use super::geometry::Geometry;
use super::joint;
use super::pointwise;
use super::winograd::{self, square};
use super::{Algorithm, Path, weight};

/// Bytes that a pass allocates beside its tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Once a call: the plan, packed weights, partial sums.
    pub call_bytes: usize,
    /// Once a worker thread: scratches and products.
    pub worker_bytes: usize,
}

/// A pass of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassKind {
    /// y.
    Forward,
    /// The gradient with respect to x.
    DInput,
    /// The gradient with respect to the weight.
    DWeight,
    /// Both gradients at once; see [`joint::applies`] and [`joint::apart_applies`].
    Joint,
}

impl Workspace {
    /// What this and another take together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self {
            call_bytes: self.call_bytes + other.call_bytes,
            worker_bytes: self.worker_bytes + other.worker_bytes,
        }
    }

    /// The bytes on `threads` worker threads.
    pub fn bytes(&self, threads: usize) -> usize {
        self.call_bytes + threads * self.worker_bytes
    }
}

/// The memory of one pass of `geometry`.
pub fn workspace(path: Path, geometry: &Geometry, pass: PassKind) -> Workspace {
    if geometry.is_depthwise() {
        return depthwise::workspace(geometry, pass);
    }
    if pass == PassKind::Joint {
        return joint::workspace(path, geometry);
    }
    let direction = if pass == PassKind::DInput { Direction::Backward } else { Direction::Forward };
    match (pass, path.method(geometry, pass)) {
        (PassKind::DWeight, Algorithm::Direct) => weight::workspace(&weight::plan(path.isa, geometry)),
        (PassKind::DWeight, Algorithm::SquareWinograd) => {
            let (plan, cut) = square::weight_plan(path.isa, geometry);
            square::weight_workspace(&plan, &cut)
        }
        (PassKind::DWeight, _) => {
            let (plan, cut) = winograd::weight_plan(path.isa, geometry);
            winograd::weight_workspace(&plan, &cut)
        }
        (_, Algorithm::SquareWinograd) => {
            square::workspace(&square::SquarePlan::new(path.isa, geometry, direction))
        }
        (_, Algorithm::Winograd) => {
            winograd::workspace(&winograd::RowPlan::new(path.isa, geometry, direction))
        }
        (_, _) => {
            let gather = GatherPlan::new(path.isa, geometry, direction);
            if pointwise::applies(geometry) {
                return pointwise::workspace(&gather, geometry, direction);
            }
            direct::workspace(&gather)
        }
    }
}

/// Bytes of buffers of so many floats each.
pub(in crate::kernels) fn buffers(lens: &[usize]) -> usize {
    lens.iter().map(|&len| Buffer::bytes(len)).sum()
}
