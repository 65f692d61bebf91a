//! The worker threads of a trainer: started on purpose, shared by all ops, gone when dropped.

use crate::error::{Error, ErrorKind, Result};
use std::thread::JoinHandle;

/// More threads than any machine of these has cores: a larger number is taken for a mistake.
pub const MOST_THREADS: usize = 1024;

/// A pool of workers. Ops called inside [`Workers::run`] use its threads and no others. Dropping it waits until the
/// last of them is gone.
pub struct Workers {
    /// Taken when it is dropped.
    pool: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `threads` workers; 0 starts as many as `RAYON_NUM_THREADS` says, or else one for every core that the
    /// system grants.
    ///
    /// # Errors
    /// `Config` for more than [`MOST_THREADS`], `Device` where the system starts no more.
    pub fn start(threads: usize) -> Result<Self> {
        let threads = if threads > 0 { threads } else { default_count(std::env::var(VARIABLE).ok()) };
        if threads > MOST_THREADS {
            return Err(Error::config(format!(
                "{threads} threads are too many; use up to {MOST_THREADS}, and no more than there are cores for speed"
            )));
        }
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

/// Says how many threads there are where nobody else does.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// The number that `variable` holds, or else one for each core. What is no number above 0 says nothing.
fn default_count(variable: Option<String>) -> usize {
    let wished = variable.and_then(|text| text.parse().ok()).filter(|&threads: &usize| threads > 0);
    wished.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_threads_are_refused() {
        for threads in [MOST_THREADS + 1, 100_000, usize::MAX] {
            let refused = Workers::start(threads).err().unwrap();
            assert!(refused.to_string().contains("use up to 1024"), "{refused}");
        }
        assert_eq!(Workers::start(3).unwrap().count(), 3);
    }

    #[test]
    fn the_environment_may_say_how_many() {
        let cores = std::thread::available_parallelism().unwrap().get();
        let count = |text: &str| default_count(Some(text.into()));
        assert_eq!((count("3"), count("100000")), (3, 100_000));
        assert_eq!([count("0"), count(""), count("all"), count("-1"), default_count(None)], [cores; 5]);
    }
}
