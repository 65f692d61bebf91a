//! Work dealt to the threads of the pool as they come free. Each makes what it computes with once, however the work
//! falls out, and one that wakes late finds nothing left to wait for.

use std::iter::Enumerate;
use std::sync::{Mutex, PoisonError};

/// Gives every item to `work` and answers what it made of them, in their order. A thread that takes part begins with
/// what `worker` makes.
pub fn deal<I, W, T>(
    items: impl ExactSizeIterator<Item = I> + Send,
    worker: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> T + Sync,
) -> Vec<T>
where
    T: Send,
{
    let count = items.len();
    let deck = Mutex::new(items.enumerate());
    let hand = || {
        let mut done = Vec::new();
        let Some((index, item)) = draw(&deck) else { return done };
        let mut with = worker();
        done.push((index, work(&mut with, item)));
        while let Some((index, item)) = draw(&deck) {
            done.push((index, work(&mut with, item)));
        }
        done
    };
    let mut done = together(rayon::current_num_threads().min(count), &hand);
    done.sort_unstable_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, made)| made).collect()
}

fn draw<I: Iterator>(deck: &Mutex<Enumerate<I>>) -> Option<(usize, I::Item)> {
    // An iterator that panicked is as far as it came; the panic itself goes on in its own thread.
    deck.lock().unwrap_or_else(PoisonError::into_inner).next()
}

/// `hand` on so many threads, and what all of them made.
fn together<T: Send>(threads: usize, hand: &(impl Fn() -> Vec<T> + Sync)) -> Vec<T> {
    if threads <= 1 {
        return hand();
    }
    let others = threads / 2;
    let (mut done, more) = rayon::join(|| together(threads - others, hand), || together(others, hand));
    done.extend(more);
    done
}

#[cfg(test)]
mod tests {
    use super::deal;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn keeps_the_order_and_makes_few_workers() {
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let workers = AtomicUsize::new(0);
            let squares = pool.install(|| {
                let worker = || workers.fetch_add(1, Ordering::Relaxed);
                deal((0..100).map(|i| i + 1), worker, |_, i: usize| i * i)
            });
            assert_eq!(squares, (1..=100).map(|i| i * i).collect::<Vec<usize>>());
            assert!((1..=threads).contains(&workers.into_inner()));
        }
        assert!(deal(0..0, || (), |(), i: usize| i).is_empty());
    }
}
