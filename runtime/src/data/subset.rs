//! Some samples of a data set: the first, for trials, or some of every class, held out.

use super::survey::Seen;
use super::{Dataset, ImageShape, Window, no_sample};
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::random::Stream;
use crate::targets::TargetKind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples of another data set, in its order. Classes and labels stay as they are.
pub struct Subset {
    whole: Arc<dyn Dataset>,
    places: Places,
}

/// Where samples are in the other set.
enum Places {
    /// One after the other.
    Run { start: usize, len: usize },
    /// One by one.
    List(Vec<u32>),
}

impl Subset {
    /// The first `len` samples of `whole`.
    ///
    /// # Errors
    /// `Config` when `len` is 0 or more than `whole` has.
    pub fn first(whole: Box<dyn Dataset>, len: usize) -> Result<Self> {
        if len == 0 || len > whole.len() {
            return Err(Error::config(format!(
                "the limit is {len} samples; it must be between 1 and the {} that the data set has",
                whole.len()
            )));
        }
        Ok(Self { whole: Arc::from(whole), places: Places::Run { start: 0, len } })
    }

    /// `whole` in two: all but `held_out` samples, and these. Of every class the same share is held out, up to one
    /// sample; which ones, the seed says.
    ///
    /// # Errors
    /// `Config` when one of the two would be empty, or there are more samples than can be counted in 32 bits; those of
    /// reading labels.
    pub fn split(whole: Arc<dyn Dataset>, held_out: usize, seed: u64) -> Result<[Self; 2]> {
        check_split(whole.as_ref(), held_out)?;
        let of_class = by_class(whole.as_ref())?;
        let shares = shares(&of_class, held_out, whole.len());
        let mut is_held = vec![false; whole.len()];
        for ((class, mut samples), share) in of_class.into_iter().zip(shares) {
            let mut stream = Stream::new(seed, "hold out", &[class.into()]);
            // The first steps of a shuffle (Fisher and Yates) draw as many as are wanted.
            for place in 0..share {
                let left = (samples.len() - place) as u64;
                samples.swap(place, place + stream.below(left) as usize);
                is_held[samples[place] as usize] = true;
            }
        }
        let part = |held: bool| {
            let places = (0_u32..).zip(&is_held).filter(|(_, is)| **is == held).map(|(place, _)| place);
            Self { whole: whole.clone(), places: Places::List(places.collect()) }
        };
        Ok([part(false), part(true)])
    }

    /// `whole` in two: all but the last `held_out` samples, and these.
    ///
    /// # Errors
    /// `Config` when one of the two would be empty.
    pub fn split_end(whole: Arc<dyn Dataset>, held_out: usize) -> Result<[Self; 2]> {
        check_split(whole.as_ref(), held_out)?;
        let start = whole.len() - held_out;
        let part =
            |start: usize, len: usize| Self { whole: whole.clone(), places: Places::Run { start, len } };
        Ok([part(0, start), part(start, held_out)])
    }

    /// Where a sample is in the other set.
    fn place(&self, index: usize) -> Result<usize> {
        let place = match &self.places {
            Places::Run { start, len } => (index < *len).then(|| start + index),
            Places::List(places) => places.get(index).map(|&place| place as usize),
        };
        place.ok_or_else(|| no_sample(index, self.len()))
    }
}

fn check_split(whole: &dyn Dataset, held_out: usize) -> Result<()> {
    let len = whole.len();
    if held_out == 0 || held_out >= len {
        return Err(Error::config(format!(
            "{held_out} samples are to be held out; it must be between 1 and one fewer than the {len} there are"
        )));
    }
    match u32::try_from(len) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::config(format!("of {len} samples none can be held out: they are too many"))),
    }
}

/// The samples of every class that occurs.
fn by_class(whole: &dyn Dataset) -> Result<BTreeMap<u32, Vec<u32>>> {
    let mut of_class: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (place, index) in (0_u32..).zip(0..whole.len()) {
        of_class.entry(whole.label(index)?).or_default().push(place);
    }
    Ok(of_class)
}

/// How many samples of each class make `held_out` together: the same share of each, rounded down, and one more of those
/// that lost most by that.
fn shares(of_class: &BTreeMap<u32, Vec<u32>>, held_out: usize, len: usize) -> Vec<usize> {
    let exact = |samples: &Vec<u32>| samples.len() as u128 * held_out as u128;
    let len = len as u128;
    // Both fit: they are below the number of samples.
    let mut shares: Vec<usize> = of_class.values().map(|samples| (exact(samples) / len) as usize).collect();
    let lost: Vec<u128> = of_class.values().map(|samples| exact(samples) % len).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(lost[class]));
    let missing = held_out - shares.iter().sum::<usize>();
    order.into_iter().take(missing).for_each(|class| shares[class] += 1);
    shares
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        match &self.places {
            Places::Run { len, .. } => *len,
            Places::List(places) => places.len(),
        }
    }

    fn shape(&self) -> ImageShape {
        self.whole.shape()
    }

    fn input(&self) -> Inputs {
        self.whole.input()
    }

    fn classes(&self) -> usize {
        self.whole.classes()
    }

    fn class_names(&self) -> &[String] {
        self.whole.class_names()
    }

    fn sample_name(&self, index: usize) -> Option<&str> {
        self.whole.sample_name(self.place(index).ok()?)
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.whole.label(self.place(index)?)
    }

    fn target_kind(&self) -> TargetKind {
        self.whole.target_kind()
    }

    fn answers_itself(&self) -> bool {
        self.whole.answers_itself()
    }

    fn numbers(&self, index: usize) -> Result<&[f32]> {
        self.whole.numbers(self.place(index)?)
    }

    fn target(&self, index: usize, row: &mut [f32]) -> Result<()> {
        self.whole.target(self.place(index)?, row)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        self.whole.read(self.place(index)?, pixels)
    }

    fn read_part(
        &self,
        index: usize,
        choose: &dyn Fn([usize; 2]) -> Window,
        pixels: &mut [f32],
    ) -> Result<u32> {
        self.whole.read_part(self.place(index)?, choose, pixels)
    }

    fn seen(&self, index: usize) -> Option<Seen> {
        self.whole.seen(self.place(index).ok()?)
    }

    fn decoding_bytes(&self) -> usize {
        self.whole.decoding_bytes()
    }

    fn resident_bytes(&self) -> usize {
        let places = match &self.places {
            Places::Run { .. } => 0,
            Places::List(places) => places.capacity() * size_of::<u32>(),
        };
        self.whole.resident_bytes() + places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples without pixels.
    struct Labels(Vec<u32>);

    impl Dataset for Labels {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn shape(&self) -> ImageShape {
            ImageShape { channels: 1, height: 1, width: 1 }
        }

        fn classes(&self) -> usize {
            self.0.iter().max().map_or(0, |&most| most as usize + 1)
        }

        fn label(&self, index: usize) -> Result<u32> {
            Ok(self.0[index])
        }

        fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
            pixels[0] = index as f32;
            Ok(self.0[index])
        }
    }

    fn places(subset: &Subset) -> Vec<usize> {
        let mut pixels = [0.0];
        let place = |index| {
            subset.read(index, &mut pixels).unwrap();
            pixels[0] as usize
        };
        (0..subset.len()).map(place).collect()
    }

    fn split(labels: &[u32], held_out: usize, seed: u64) -> [Vec<usize>; 2] {
        let whole: Arc<dyn Dataset> = Arc::new(Labels(labels.to_vec()));
        let [train, test] = Subset::split(whole, held_out, seed).unwrap();
        assert!(test.label(held_out).is_err());
        [places(&train), places(&test)]
    }

    #[test]
    fn every_class_gives_the_same_share() {
        let sorted: Vec<u32> = (0..160).map(|index| index / 40).collect();
        let [train, test] = split(&sorted, 40, 3);
        for class in 0..4 {
            assert_eq!(test.iter().filter(|&&place| sorted[place] == class).count(), 10);
        }
        let mut all = [train.clone(), test.clone()].concat();
        assert!(train.is_sorted() && test.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..160).collect::<Vec<_>>());
        assert_eq!(split(&sorted, 40, 3), [train.clone(), test.clone()]);
        assert_ne!(split(&sorted, 40, 4)[1], test);
        // Not the first or the last of each class.
        assert_ne!(test, (0..160).filter(|index| index % 40 < 10).collect::<Vec<_>>());
    }

    #[test]
    fn shares_that_are_no_whole_numbers_add_up() {
        let mut labels = vec![0; 7];
        labels.extend([5; 90]);
        labels.extend([9; 3]);
        for held_out in 1..100 {
            let [train, test] = split(&labels, held_out, 0);
            assert_eq!((train.len(), test.len()), (100 - held_out, held_out));
            for (class, count) in [(0, 7.0), (5, 90.0), (9, 3.0)] {
                let found = test.iter().filter(|&&place| labels[place] == class).count() as f64;
                let exact = count * held_out as f64 / 100.0;
                assert!((found - exact).abs() < 1.0, "{found} of {exact}");
            }
        }
    }

    #[test]
    fn neither_part_is_empty() {
        for held_out in [0, 3, 4] {
            let whole: Arc<dyn Dataset> = Arc::new(Labels(vec![0, 1, 2]));
            assert!(Subset::split(whole.clone(), held_out, 0).is_err());
            assert!(Subset::split_end(whole, held_out).is_err());
        }
        let whole: Arc<dyn Dataset> = Arc::new(Labels(vec![0, 0, 1, 1]));
        let [train, test] = Subset::split_end(whole, 1).unwrap();
        assert_eq!((places(&train), places(&test)), (vec![0, 1, 2], vec![3]));
    }
}
