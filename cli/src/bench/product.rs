//! The machine's matrix-product peak: a large f32 product on the threads that train.

use localgrad::{Device, Result, Tensor};
use std::time::Instant;

/// Rows and columns of the product. The inner side is longer, so that the result stays small.
const SIDE: usize = 512;
/// Its inner side.
const DEPTH: usize = 2048;

/// Two matrices, and the best time that their product has taken.
pub struct Product {
    lhs: Tensor,
    rhs: Tensor,
    best_seconds: f64,
}

impl Product {
    /// Random matrices, multiplied once so that all buffers exist.
    pub fn new() -> Result<Self> {
        let random = |shape: (usize, usize)| Tensor::rand(-1f32, 1f32, shape, &Device::Cpu);
        let (lhs, rhs) = (random((SIDE, DEPTH))?, random((DEPTH, SIDE))?);
        lhs.matmul(&rhs)?;
        Ok(Self { lhs, rhs, best_seconds: f64::INFINITY })
    }

    /// Multiplies once more.
    pub fn repeat(&mut self) -> Result<()> {
        let start = Instant::now();
        std::hint::black_box(self.lhs.matmul(&self.rhs)?);
        self.best_seconds = self.best_seconds.min(start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Two operations a multiplication, at the best time so far; 0 before the first repeat.
    pub fn gflops(&self) -> f64 {
        2.0 * (SIDE * SIDE * DEPTH) as f64 / self.best_seconds * 1e-9
    }
}
