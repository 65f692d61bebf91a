//! The matrix-product peak: a large f32 product on the CPU by the threads that train.

use localgrad::{Device, Error, ErrorKind, Result, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::time::Instant;

/// Rows and columns of both matrices.
const SIDE: usize = 1024;

/// Two matrices, and the best time that their product has taken.
pub struct Product {
    /// candle's own threads, which sleep while others work.
    pool: ThreadPool,
    lhs: Tensor,
    rhs: Tensor,
    /// Kept until the next one takes its place, so that what training grows by is training's own.
    result: Option<Tensor>,
    best_seconds: f64,
    /// How often the time was taken.
    pub repeats: usize,
}

impl Product {
    /// Random matrices, multiplied once, on so many threads, so that all buffers exist.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|cause| {
            Error::new(ErrorKind::Device, format!("cannot start the product's threads: {cause}"))
        })?;
        let random = || Tensor::rand(-1f32, 1f32, (SIDE, SIDE), &Device::Cpu);
        let (lhs, rhs) = (random()?, random()?);
        let result = Some(pool.install(|| lhs.matmul(&rhs))?);
        Ok(Self { pool, lhs, rhs, result, best_seconds: f64::INFINITY, repeats: 0 })
    }

    /// Multiplies once more.
    pub fn repeat(&mut self) -> Result<()> {
        self.result = None;
        let start = Instant::now();
        let result = std::hint::black_box(self.pool.install(|| self.lhs.matmul(&self.rhs))?);
        self.best_seconds = self.best_seconds.min(start.elapsed().as_secs_f64());
        self.repeats += 1;
        self.result = Some(result);
        Ok(())
    }

    /// Two operations a multiplication, at the best time so far; 0 before the first repeat.
    pub fn gflops(&self) -> f64 {
        2.0 * (SIDE * SIDE * SIDE) as f64 / self.best_seconds * 1e-9
    }
}
