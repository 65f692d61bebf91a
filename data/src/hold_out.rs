//! Which samples are held out where data come without a part to be judged by.

use localgrad::random::Stream;

/// One of so many is held out.
const ONE_OF: usize = 5;

/// Of each sample whether it is held out: of every class a fifth, drawn by `seed`, and of two samples or more at least
/// one, so that every class is judged that can be.
pub(crate) fn held_out(labels: &[u32], classes: usize, seed: u64) -> Vec<bool> {
    let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); classes];
    for (sample, &label) in labels.iter().enumerate() {
        if let Some(samples) = of_class.get_mut(label as usize) {
            samples.push(sample);
        }
    }
    let mut is_held = vec![false; labels.len()];
    for (class, mut samples) in (0..).zip(of_class) {
        let share = match samples.len() {
            0 | 1 => 0,
            count => (count / ONE_OF).max(1),
        };
        let mut stream = Stream::new(seed, "hold out", &[class]);
        for place in 0..share {
            let left = (samples.len() - place) as u64;
            samples.swap(place, place + stream.below(left) as usize);
            is_held[samples[place]] = true;
        }
    }
    is_held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_judged_that_can_be() {
        let labels: Vec<u32> = [vec![0; 20], vec![1; 2], vec![2], vec![4; 9]].concat();
        let count = |held: &[bool], class| {
            labels.iter().zip(held).filter(|(label, held)| **label == class && **held).count()
        };
        let held = held_out(&labels, 5, 1);
        assert_eq!([0, 1, 2, 3, 4].map(|class| count(&held, class)), [4, 1, 0, 0, 1]);
        assert_eq!(held, held_out(&labels, 5, 1));
        assert_ne!(held, held_out(&labels, 5, 2));
    }
}
