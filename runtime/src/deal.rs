//! Work dealt to the threads of the pool as they come free. Each makes what it computes with once, however the work
//! falls out, and one that wakes late finds nothing left to wait for.

use crate::team::together;
use std::iter::repeat_with;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Gives every item to `work` and answers what it made of them, in their order. A thread that takes part begins with
/// what `worker` makes.
pub fn deal<I, W, T: Send>(
    items: impl ExactSizeIterator<Item = I> + Send,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> T + Sync,
) -> Vec<T> {
    let mut made: Vec<Option<T>> = repeat_with(|| None).take(items.len()).collect();
    each(items.zip(&mut made), worker, |with, (item, made)| *made = Some(work(with, item)));
    made.into_iter().flatten().collect()
}

/// Gives every item to `work`, which has places of its own for what it makes. A thread that takes part begins with what
/// `worker` makes.
pub fn each<I, W>(
    items: impl ExactSizeIterator<Item = I> + Send,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) + Sync,
) {
    let count = items.len();
    let deck = Mutex::new(items);
    let hand = || {
        let Some(mut item) = locked(&deck).next() else { return };
        let mut with = worker();
        loop {
            work(&mut with, item);
            match locked(&deck).next() {
                Some(next) => item = next,
                None => return,
            }
        }
    };
    together(count, &hand);
}

/// What a thread panicked with is as far as it came; the panic itself goes on in that thread.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `work` makes of every item, in their order.
pub fn made_of<I, T: Send>(
    items: impl ExactSizeIterator<Item = I> + Send,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    deal(items, || (), |(), item| work(item))
}

/// Gives every item to `work`.
pub fn all<I>(items: impl ExactSizeIterator<Item = I> + Send, work: impl Fn(I) + Sync) {
    each(items, || (), |(), item| work(item));
}

/// Gives `work` every piece of `a` with the piece of `b` beside it, each of so many elements. The plumbing is compiled once
/// for all kernels on the same kinds of elements: a small kernel is a fraction of it.
pub fn pairs<A: Send, B: Sync>(
    (a, a_piece): (&mut [A], usize),
    (b, b_piece): (&[B], usize),
    work: &(dyn Fn(&mut [A], &[B]) + Sync),
) {
    all(a.chunks_mut(a_piece).zip(b.chunks(b_piece)), |(a, b)| work(a, b));
}

#[cfg(test)]
mod tests {
    use super::deal;
    use crate::threads::Workers;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn keeps_the_order_and_makes_few_workers() {
        for threads in 1..=3 {
            let pool = Workers::start(threads).unwrap();
            let workers = AtomicUsize::new(0);
            let squares = pool.run(|| {
                let worker = || workers.fetch_add(1, Ordering::Relaxed);
                deal((0..100).map(|i| i + 1), worker, |_, i: usize| i * i)
            });
            assert_eq!(squares, (1..=100).map(|i| i * i).collect::<Vec<usize>>());
            assert!((1..=threads).contains(&workers.into_inner()));
        }
        assert!(deal(0..0, || (), |(), i: usize| i).is_empty());
    }
}
