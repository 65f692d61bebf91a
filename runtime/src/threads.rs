//! The worker threads of a trainer: started on purpose, shared by all ops, gone when dropped.

use crate::error::{Error, ErrorKind, Result};
use std::thread::JoinHandle;

/// A pool of workers. Ops called inside [`Workers::run`] use its threads and no others. Dropping it waits until the
/// last of them is gone.
pub struct Workers {
    /// Taken when it is dropped.
    pool: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `threads` workers; 0 starts one for every core that the system grants.
    pub fn start(threads: usize) -> Result<Self> {
        let mut handles = Vec::new();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .spawn_handler(|thread| {
                let name = format!("localgrad-{}", thread.index());
                handles.push(std::thread::Builder::new().name(name).spawn(|| thread.run())?);
                Ok(())
            })
            .build()
            .map_err(|cause| {
                Error::new(ErrorKind::Device, format!("cannot start worker threads: {cause}"))
            })?;
        Ok(Self { pool: Some(pool), threads: handles })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Runs `work` on one of the workers and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // The threads end when their pool is gone.
        drop(self.pool.take());
        for thread in self.threads.drain(..) {
            // A worker's panic was passed on to the caller of `run`.
            let _ = thread.join();
        }
    }
}
