//! The worker threads of a trainer: started on purpose, shared by all ops, gone when dropped.

use crate::error::{Error, ErrorKind, Result};
use crate::team::Team;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// More threads than any machine of these has cores: a larger number is taken for a mistake.
pub const MOST_THREADS: usize = 1024;

/// What the first worker is given to do.
type Task = Box<dyn FnOnce() + Send>;

/// A pool of workers. Ops called inside [`Workers::run`] use its threads and no others. Dropping it waits until the
/// last of them is gone.
pub struct Workers {
    team: Arc<Team>,
    /// Taken when it is dropped.
    tasks: Option<Mutex<Sender<Task>>>,
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
        let team = Arc::new(Team::new(threads));
        let (tasks, given) = channel::<Task>();
        let mut workers = Self { team, tasks: Some(Mutex::new(tasks)), threads: Vec::with_capacity(threads) };
        let mut given = Some(given);
        for index in 0..threads {
            let (team, given) = (Arc::clone(&workers.team), given.take());
            let builder = std::thread::Builder::new().name(format!("localgrad-{index}"));
            let thread = builder.spawn(move || match given {
                Some(given) => lead(&team, &given),
                None => team.follow(),
            });
            workers.threads.push(thread.map_err(|cause| {
                Error::new(ErrorKind::Device, format!("cannot start worker threads: {cause}"))
            })?);
        }
        Ok(workers)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Runs `work` on one of the workers and waits for it. Those who call at once come one after the other.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let Some(tasks) = self.tasks.as_ref().filter(|_| !self.team.is_led_here()) else { return work() };
        let (answer, answered) = sync_channel(1);
        let task: Box<dyn FnOnce() + Send + '_> = Box::new(move || {
            // Whoever waits for the answer is below, in this function.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        });
        // SAFETY: what the task borrows lives until it has run: this function waits for its answer, or for the end of what
        // it answers with, which goes with the task.
        let task = unsafe { std::mem::transmute::<Box<dyn FnOnce() + Send + '_>, Task>(task) };
        let sent = tasks.lock().unwrap_or_else(PoisonError::into_inner).send(task);
        if let Err(unsent) = sent {
            // The first worker ends after all others who could call: it does not come to this.
            unsent.0();
        }
        match answered.recv() {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => std::process::abort(),
        }
    }
}

/// The threads that work given out here is done by.
pub fn current_count() -> usize {
    crate::team::threads()
}

/// What the first worker does.
fn lead(team: &Arc<Team>, tasks: &Receiver<Task>) {
    team.lead();
    tasks.iter().for_each(|task| task());
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
        // The first ends when there are no more tasks, the others when they are told to.
        drop(self.tasks.take());
        self.team.end();
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
