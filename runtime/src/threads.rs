//! The worker threads of a trainer: started on purpose, shared by all ops, gone when dropped.

use crate::error::{Error, ErrorKind, Result};

/// A pool of workers. Ops called inside [`Workers::run`] use its threads and no others.
pub struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    /// Starts `threads` workers; 0 starts one for every core that the system grants.
    pub fn start(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("localgrad-{number}"))
            .build()
            .map_err(|cause| {
                Error::new(ErrorKind::Device, format!("cannot start worker threads: {cause}"))
            })?;
        Ok(Self { pool })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `work` on one of the workers and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}
