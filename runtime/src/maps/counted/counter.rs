//! What operations on counted maps count with: the ledger, the number of threads, and what kernels allocate.

use super::ledger::{Held, Ledger, Part};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::conv::{Geometry, PassKind, Path, Workspace, upsampled_workspace, workspace};
use crate::kernels::simd::Isa;
use crate::kernels::{batch_norm, product};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of an f32.
pub(crate) const ELEMENT_BYTES: usize = size_of::<f32>();
/// What a map takes beside its elements: storage, shape and strides, and its place in a list that has grown.
pub(crate) const MAP_BYTES: usize = 352 + 2 * size_of::<crate::maps::Map>();

/// What kernels allocate, remembered by shape: the same shapes come again and again.
pub(crate) type Workspaces = Arc<Mutex<HashMap<(Geometry, PassKind), Workspace, BuildHasherDefault<Sizes>>>>;

/// A hash of a few sizes that nobody chooses so that they collide.
#[derive(Debug, Default)]
pub(crate) struct Sizes(u64);

impl Hasher for Sizes {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..part.len()].copy_from_slice(part);
            // An odd number whose bits look random (Knuth's multiplicative hashing).
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// A machine with a CPU whose memory is counted.
#[derive(Debug)]
pub struct Counter {
    /// What is in memory.
    pub ledger: Ledger,
    /// Worker threads.
    pub threads: usize,
    workspaces: Workspaces,
}

impl Counter {
    /// One of a machine with so many worker threads that has counted nothing yet.
    pub fn new(threads: usize) -> Self {
        Self::remembering(threads, Workspaces::default())
    }

    /// The same, which looks up in `workspaces` what kernels allocate, and adds to them.
    pub(crate) fn remembering(threads: usize, workspaces: Workspaces) -> Self {
        Self { ledger: Ledger::default(), threads, workspaces }
    }

    /// Ends what is counted once there was more than a limit.
    ///
    /// # Errors
    /// `Memory`.
    pub(crate) fn check(&self) -> Result<()> {
        match self.ledger.is_over() {
            true => Err(Error::new(ErrorKind::Memory, "what is counted takes more memory than it may")),
            false => Ok(()),
        }
    }

    /// Memory that a kernel takes and gives back.
    pub(crate) fn scratch(&self, bytes: usize) {
        self.ledger.touch(Part::Scratch, bytes);
    }

    /// Memory that an operation holds for a while.
    pub(crate) fn hold(&self, bytes: usize) -> Held {
        self.ledger.take(Part::Scratch, bytes)
    }

    /// Bytes that go to or come from storage.
    pub(crate) fn store(&self, bytes: usize) {
        self.ledger.store(bytes as f64);
    }

    /// A pass over some maps, element by element.
    pub(crate) fn sweep(&self, elements: usize) {
        self.ledger.work(0.0, (elements * ELEMENT_BYTES) as f64);
    }

    /// A pass of a convolution that makes one map.
    pub(crate) fn convolve(&self, geometry: &Geometry, pass: PassKind) {
        self.convolve_for(geometry, pass, 1);
    }

    /// A pass of a convolution that makes so many maps.
    pub(crate) fn convolve_for(&self, geometry: &Geometry, pass: PassKind, made: usize) {
        let bytes = {
            let mut known = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || workspace(Path::best(), geometry, pass);
            known.entry((*geometry, pass)).or_insert_with(new).bytes(self.threads)
        };
        self.scratch(bytes);
        self.count(geometry, geometry.x_len() + geometry.y_len() + 2 * geometry.weight_len(), made);
    }

    /// A pass of a convolution of images of `size` rows and columns that are up-sampled on the way: forward, or backward to
    /// so many gradients.
    pub(crate) fn convolve_upsampled(&self, geometry: &Geometry, size: [usize; 2], gradients: Option<usize>) {
        let found = upsampled_workspace(Isa::best(), geometry, size, gradients.is_some());
        self.scratch(found.bytes(self.threads.min(geometry.images)));
        self.count(geometry, geometry.y_len(), gradients.unwrap_or(1));
    }

    fn count(&self, geometry: &Geometry, elements: usize, made: usize) {
        let multiply_adds = made * geometry.y_len() * geometry.group_in() * geometry.taps();
        self.ledger.work(multiply_adds as f64, (elements * ELEMENT_BYTES) as f64);
    }

    /// A matrix product `[rows, depth]` times `[depth, columns]` but for its result.
    pub(crate) fn product(&self, rows: usize, columns: usize, depth: usize) {
        self.scratch(self.product_bytes(rows, columns, depth));
        let moved = (rows * columns + rows * depth + depth * columns) * ELEMENT_BYTES;
        self.ledger.work((rows * columns * depth) as f64, moved as f64);
    }

    /// What a product has allocated beside its operands, in bytes.
    pub(crate) fn product_bytes(&self, rows: usize, columns: usize, depth: usize) -> usize {
        product::pieces(rows, columns, depth).min(self.threads)
            * product::piece_bytes(Isa::best(), rows, columns, depth)
    }

    /// Sums over the rows of a map, for statistics or gradients.
    pub(crate) fn sum_rows(&self, elements: usize, channels: usize) {
        self.scratch(batch_norm::sums_bytes(elements, channels, self.threads));
        self.sweep(elements);
    }
}
