//! What every replayed layer needs: the ledger, the number of threads, and what kernels allocate.

use super::ledger::{Held, Ledger, Part};
use super::outline::{Lazy, Outline};
use crate::error::Result;
use crate::kernels::conv::{Geometry, PassKind, Path, Workspace, upsampled_workspace, workspace};
use crate::kernels::simd::Isa;
use crate::kernels::{batch_norm, product};
use crate::maps::norm;
use crate::precision::Precision;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Bytes of an f32.
pub(super) const ELEMENT_BYTES: usize = size_of::<f32>();
/// What a tensor takes beside its elements: handle, storage, shape and strides.
pub(super) const TENSOR_BYTES: usize = 384;

/// What kernels allocate, remembered by shape: the same shapes come again and again.
pub(super) type Workspaces = Rc<RefCell<HashMap<(Geometry, PassKind), Workspace>>>;

/// Where a replay takes place.
pub(super) struct Context {
    /// What is in memory.
    pub(super) ledger: Ledger,
    /// Worker threads.
    pub(super) threads: usize,
    /// Tensors of a parameter's size that the optimizer keeps.
    pub(super) state_tensors: usize,
    /// Whether the layers that are being made will be updated.
    pub(super) remembers: Cell<bool>,
    /// Whether gradients wait for the end of the step.
    pub(super) gathers: bool,
    /// Whether gradients wait for the losses of later branches.
    pub(super) waits: Cell<bool>,
    /// What activations wait in.
    pub(super) activations: Precision,
    /// What running statistics saw of the batch and have not taken in yet.
    seen: RefCell<Vec<Outline>>,
    workspaces: Workspaces,
}

impl Context {
    /// An empty one.
    pub(super) fn new(
        threads: usize,
        state_tensors: usize,
        gathers: bool,
        activations: Precision,
        workspaces: Workspaces,
    ) -> Self {
        Self {
            activations,
            ledger: Ledger::default(),
            threads,
            state_tensors,
            remembers: Cell::new(true),
            gathers,
            waits: Cell::new(false),
            seen: RefCell::default(),
            workspaces,
        }
    }

    /// `Statistic::see_mean` and `Statistic::see_variance`
    pub(super) fn see(&self, statistics: &[Outline; 2]) {
        self.seen.borrow_mut().extend(statistics.iter().cloned());
    }

    /// `Trainer::settle`: the unbiased variance, two products and a sum of one after the other.
    pub(super) fn settle(&self) {
        let mut seen = self.seen.borrow_mut();
        let largest = seen.iter().map(Outline::elements).max().unwrap_or(0);
        drop([(); 4].map(|()| self.map(&[largest])));
        seen.clear();
    }

    /// A new tensor of f32 for `part`.
    pub(super) fn tensor(&self, part: Part, dims: &[usize]) -> Outline {
        let bytes = dims.iter().product::<usize>() * ELEMENT_BYTES + TENSOR_BYTES;
        Outline::new(dims.to_vec(), self.ledger.take(part, bytes))
    }

    /// A new map on its way.
    pub(super) fn map(&self, dims: &[usize]) -> Outline {
        self.tensor(Part::Passing, dims)
    }

    /// A new tensor of bytes.
    pub(super) fn byte_tensor(&self, dims: &[usize]) -> Outline {
        let held = self.ledger.take(Part::Passing, dims.iter().product::<usize>() + TENSOR_BYTES);
        Outline::of_bytes(dims.to_vec(), held)
    }

    /// Memory that a kernel takes and gives back.
    pub(super) fn scratch(&self, bytes: usize) {
        self.ledger.touch(Part::Scratch, bytes);
    }

    /// Bytes that go to or come from storage.
    pub(super) fn store(&self, bytes: usize) {
        self.ledger.store(bytes as f64);
    }

    /// A pass over some maps, element by element.
    pub(super) fn sweep(&self, elements: usize) {
        self.ledger.work(0.0, (elements * ELEMENT_BYTES) as f64);
    }

    /// A pass of a convolution.
    pub(super) fn convolve(&self, geometry: &Geometry, pass: PassKind) {
        let mut known = self.workspaces.borrow_mut();
        let found = known.entry((*geometry, pass)).or_insert_with(|| workspace(Path::best(), geometry, pass));
        self.scratch(found.bytes(self.threads));
        self.count(geometry, geometry.x_len() + geometry.y_len() + 2 * geometry.weight_len());
    }

    /// A pass of a convolution of images of `size` rows and columns that are up-sampled on the way.
    pub(super) fn convolve_upsampled(&self, geometry: &Geometry, size: [usize; 2], backward: bool) {
        let found = upsampled_workspace(Isa::best(), geometry, size, backward);
        self.scratch(found.bytes(self.threads.min(geometry.images)));
        self.count(geometry, geometry.y_len());
    }

    fn count(&self, geometry: &Geometry, elements: usize) {
        let multiply_adds = geometry.y_len() * geometry.group_in() * geometry.taps();
        self.ledger.work(multiply_adds as f64, (elements * ELEMENT_BYTES) as f64);
    }

    /// A matrix product `[rows, depth]` times `[depth, columns]` but for its result.
    pub(super) fn product(&self, rows: usize, columns: usize, depth: usize) {
        let workers = product::pieces(rows, columns, depth).min(self.threads);
        self.scratch(workers * product::panel_bytes(Isa::best(), depth));
        let moved = (rows * columns + rows * depth + depth * columns) * ELEMENT_BYTES;
        self.ledger.work((rows * columns * depth) as f64, moved as f64);
    }

    /// Sums over the rows of a map, for statistics or gradients.
    pub(super) fn sum_rows(&self, x: &Outline) {
        self.scratch(batch_norm::sums_bytes(x.elements(), x.channels(), self.threads));
        self.sweep(x.elements());
    }

    /// The numbers that normalize a map of so many channels.
    pub(super) fn normalization(&self, channels: usize) -> Rc<Held> {
        Rc::new(self.ledger.take(Part::Passing, norm::bytes(channels)))
    }

    /// The map itself.
    pub(super) fn resolve(&self, x: Lazy) -> Result<Outline> {
        Ok(match x {
            Lazy::Plain(x) | Lazy::Sum(x, _) => x,
            Lazy::Normalized(x, _by) => {
                let y = self.map(x.dims());
                self.sweep(2 * x.elements());
                y
            }
        })
    }
}
