//! Batches: what is in them, in which order, and that nothing but seed, epoch and position decides it.

use crate::common::{numbers, with_threads};
use crate::files::{idx_images, idx_labels};
use localgrad::data::idx::Idx;
use localgrad::data::subset::Subset;
use localgrad::data::{
    AugmentConfig, Autoencoded, Batch, Dataset, ImageShape, Loader, LoaderConfig, Normalize,
};
use localgrad::targets::{TargetKind, Targets};
use localgrad::{Error, ErrorKind, Result};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Images of which every pixel says whose and which it is; the label is the index.
struct Numbered {
    len: usize,
    shape: ImageShape,
    broken: Vec<usize>,
}

impl Dataset for Numbered {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(index as u32)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        if self.broken.contains(&index) {
            return Err(Error::format(format!("sample {index} is broken")));
        }
        for (position, pixel) in pixels.iter_mut().enumerate() {
            *pixel = (index * 1000 + position) as f32;
        }
        self.label(index)
    }
}

fn numbered(len: usize) -> Arc<Numbered> {
    let shape = ImageShape { channels: 2, height: 5, width: 6 };
    Arc::new(Numbered { len, shape, broken: Vec::new() })
}

fn loader(len: usize, config: LoaderConfig) -> Loader {
    Loader::new(numbered(len), Normalize::identity(2), config).unwrap()
}

fn bits(batch: &Batch) -> Vec<u32> {
    numbers(&batch.inputs).into_iter().map(f32::to_bits).collect()
}

/// The statistic of Pearson's test against equal frequencies.
fn chi_square(counts: impl Iterator<Item = usize> + Clone, expected: f64) -> f64 {
    counts.map(|count| (count as f64 - expected).powi(2) / expected).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_epoch_visits_every_sample_once(
        len in 1usize..700, batch in 1usize..90, seed: u64, epoch: u64, shuffle: bool,
    ) {
        let loader = loader(len, LoaderConfig { batch, shuffle, seed, ..Default::default() });
        prop_assert_eq!(loader.batches(), len.div_ceil(batch));
        let mut visited = Vec::new();
        for position in 0..loader.batches() {
            let samples = loader.samples(epoch, position).unwrap();
            prop_assert_eq!(samples.len(), batch.min(len - position * batch));
            visited.extend(samples);
        }
        prop_assert!(loader.samples(epoch, loader.batches()).is_err());
        if shuffle {
            visited.sort_unstable();
        }
        prop_assert_eq!(visited, (0..len).collect::<Vec<_>>());
    }
}

#[test]
fn large_sets_are_permuted_too() {
    let loader = loader(1_281_167, LoaderConfig { batch: 1_281_167, seed: 5, ..Default::default() });
    let mut samples = loader.samples(0, 0).unwrap();
    let in_place = samples.iter().enumerate().filter(|&(place, &sample)| place == sample).count();
    assert!(in_place < 10, "{in_place} samples stayed in place");
    samples.sort_unstable();
    assert!(samples.into_iter().eq(0..1_281_167));
}

#[test]
fn all_orders_are_equally_frequent() {
    const EPOCHS: usize = 24_000;
    for (len, orders) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
        let loader = loader(len, LoaderConfig { batch: len, seed: 1, ..Default::default() });
        let mut counts: HashMap<Vec<usize>, usize> = HashMap::new();
        for epoch in 0..EPOCHS {
            *counts.entry(loader.samples(epoch as u64, 0).unwrap()).or_default() += 1;
        }
        assert_eq!(counts.len(), orders);
        // The statistic has mean orders - 1 and variance twice that.
        let statistic = chi_square(counts.values().copied(), EPOCHS as f64 / orders as f64);
        let freedom = (orders - 1) as f64;
        assert!(statistic < freedom + 5.0 * (2.0 * freedom).sqrt(), "{len} samples: {statistic}");
    }
}

#[test]
fn places_and_samples_are_unrelated() {
    const EPOCHS: usize = 2000;
    let loader = loader(300, LoaderConfig { batch: 300, seed: 9, ..Default::default() });
    let mut at_place = vec![0usize; 300 * 10];
    let mut successors = 0;
    for epoch in 0..EPOCHS {
        let samples = loader.samples(epoch as u64, 0).unwrap();
        for (place, &sample) in samples.iter().take(10).enumerate() {
            at_place[place * 300 + sample] += 1;
        }
        successors += samples.windows(2).filter(|pair| pair[1] == pair[0] + 1).count();
    }
    let statistic = chi_square(at_place.iter().copied(), EPOCHS as f64 / 300.0);
    let freedom = 10.0 * 299.0;
    assert!((statistic - freedom).abs() < 5.0 * (2.0f64 * freedom).sqrt(), "{statistic}");
    // A random order has a sample followed by the next one 299/300 times an epoch, Poisson distributed.
    assert!((successors as f64 - EPOCHS as f64).abs() < 5.0 * (EPOCHS as f64).sqrt(), "{successors}");
}

#[test]
fn seed_and_epoch_change_the_order_and_nothing_else_does() {
    let config = LoaderConfig { batch: 16, seed: 3, ..Default::default() };
    let samples = |config, epoch| loader(100, config).samples(epoch, 2).unwrap();
    assert_eq!(samples(config, 4), samples(config, 4));
    assert_ne!(samples(config, 4), samples(config, 5));
    assert_ne!(samples(config, 4), samples(LoaderConfig { seed: 4, ..config }, 4));
    let augmented = LoaderConfig { augment: Some(AugmentConfig::default()), ..config };
    assert_eq!(samples(config, 4), samples(augmented, 4));
    let fixed = LoaderConfig { shuffle: false, ..config };
    assert_eq!(samples(fixed, 0), samples(fixed, 9));
}

#[test]
fn batches_are_the_same_for_any_number_of_threads_and_after_a_restart() {
    let config =
        LoaderConfig { batch: 7, seed: 11, augment: Some(AugmentConfig::default()), ..Default::default() };
    let all = |threads| {
        with_threads(threads, || {
            let loader = Loader::new(numbered(31), Normalize::half(2), config).unwrap();
            (0..3)
                .flat_map(|epoch| (0..loader.batches()).map(move |position| (epoch, position)))
                .map(|(epoch, position)| loader.batch(epoch, position).unwrap())
                .map(|batch| (bits(&batch), batch.targets))
                .collect::<Vec<_>>()
        })
    };
    let one = all(1);
    assert_eq!(one.len(), 15);
    assert_eq!(one, all(2));
    assert_eq!(one, all(3));
    // Another loader goes straight to the last batch of the last epoch, the partial one.
    let last = Loader::new(numbered(31), Normalize::half(2), config).unwrap().batch(2, 4).unwrap();
    assert_eq!(last.inputs.dims(), [3, 5, 6, 2]);
    assert_eq!((bits(&last), last.targets), one[14]);
    assert_ne!(one[0].0, one[5].0, "two epochs are the same");
}

#[test]
fn a_sample_is_varied_alike_in_batches_of_any_size() {
    let augment = Some(AugmentConfig { padding: 2, reflect: false, ..Default::default() });
    let images = |batch, shuffle| {
        let loader = loader(20, LoaderConfig { batch, shuffle, augment, ..Default::default() });
        let mut images = vec![Vec::new(); 20];
        for position in 0..loader.batches() {
            let batch = loader.batch(1, position).unwrap();
            for (image, &label) in bits(&batch).chunks_exact(60).zip(batch.targets.labels().unwrap()) {
                images[label as usize] = image.to_vec();
            }
        }
        images
    };
    assert_eq!(images(3, true), images(20, true));
    assert_eq!(images(3, true), images(1, false));
}

#[test]
fn images_are_read_augmented_and_then_normalised() {
    let set = Arc::new(Idx::from_bytes(&idx_images(6, 5, 4), &idx_labels(6), "set").unwrap());
    let shape = set.shape();
    let augment = AugmentConfig { padding: 3, reflect: false, ..Default::default() };
    let normalize = Normalize { mean: vec![0.3], deviation: vec![0.7] };
    for augment in [None, Some(augment)] {
        let config = LoaderConfig { batch: 4, seed: 2, augment, ..Default::default() };
        let loader = Loader::new(set.clone(), normalize.clone(), config).unwrap();
        for position in 0..2 {
            let batch = loader.batch(8, position).unwrap();
            let samples = loader.samples(8, position).unwrap();
            assert_eq!(batch.inputs.dims(), [samples.len(), 5, 4, 1]);
            for (i, (&sample, image)) in samples.iter().zip(numbers(&batch.inputs).chunks(20)).enumerate() {
                let (mut expected, label) = crate::files::read(set.as_ref(), sample);
                if let Some(augment) = augment {
                    let plain = expected.clone();
                    augment.apply(augment.draw(2, 8, sample), shape, &plain, &mut expected).unwrap();
                }
                let expected: Vec<f32> = expected.iter().map(|x| (x - 0.3) / 0.7).collect();
                assert_eq!(image, expected);
                assert_eq!(batch.targets.labels().unwrap()[i], label);
            }
        }
    }
}

#[test]
fn evaluation_keeps_order_and_every_sample() {
    let loader = loader(10, LoaderConfig::evaluation(4));
    let of = |position| loader.batch(0, position).unwrap().targets.labels().unwrap().to_vec();
    let labels: Vec<u32> = (0..3).flat_map(of).collect();
    assert_eq!(labels, (0..10).collect::<Vec<u32>>());
    let batch = loader.batch(0, 2).unwrap();
    let expected: Vec<f32> = (8..10).flat_map(|i| (0..60).map(move |p| (i * 1000 + p) as f32)).collect();
    assert_eq!(numbers(&batch.inputs), expected);
}

#[test]
fn the_last_batch_is_left_out_only_on_demand() {
    let config = LoaderConfig { batch: 4, drop_last: true, ..Default::default() };
    let loader = loader(11, config);
    assert_eq!(loader.batches(), 2);
    assert_eq!(loader.batch(0, 1).unwrap().targets.len(), 4);
    assert_eq!(loader.batch(0, 2).unwrap_err().kind(), ErrorKind::Config);
    assert!(!LoaderConfig::default().drop_last);
}

#[test]
fn loaders_that_cannot_be_are_errors() {
    let fails = |normalize: Normalize, config: LoaderConfig, word: &str| {
        let error = Loader::new(numbered(9), normalize, config).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    };
    let config = LoaderConfig::default();
    fails(Normalize::identity(2), LoaderConfig { batch: 0, ..config }, "batch of 0");
    fails(Normalize::cifar10(), config, "3 means and 3 deviations do not fit images of 2 channels");
    fails(Normalize { mean: vec![0.0; 2], deviation: vec![1.0, 0.0] }, config, "above 0");
    fails(Normalize { mean: vec![f32::NAN, 0.0], deviation: vec![1.0; 2] }, config, "finite");
    let augment = Some(AugmentConfig { padding: 5, ..Default::default() });
    fails(Normalize::identity(2), LoaderConfig { augment, ..config }, "padding by 5");
    fails(
        Normalize::identity(2),
        LoaderConfig { drop_last: true, batch: 10, ..config },
        "no full batch of 10",
    );
    assert!(
        Loader::new(numbered(9), Normalize::identity(2), LoaderConfig { batch: usize::MAX, ..config })
            .is_ok()
    );
}

#[test]
fn of_several_broken_samples_the_first_is_reported() {
    let shape = ImageShape { channels: 1, height: 2, width: 2 };
    let set = Arc::new(Numbered { len: 40, shape, broken: vec![17, 5, 33] });
    let loader = Loader::new(set, Normalize::identity(1), LoaderConfig::evaluation(40)).unwrap();
    for threads in 1..4 {
        let error = with_threads(threads, || loader.batch(0, 0)).unwrap_err();
        assert_eq!(error.to_string(), "sample 5 is broken");
    }
}

#[test]
fn samples_that_answer_themselves_are_varied_with_their_answers() {
    let normalize = Normalize { mean: vec![3.0, -1.0], deviation: vec![0.5, 4.0] };
    let augment = Some(AugmentConfig::default());
    for augment in [None, augment] {
        let config = LoaderConfig { batch: 4, seed: 3, augment, ..LoaderConfig::default() };
        let own: Arc<dyn Dataset> = Arc::new(Autoencoded::new(numbered(9)));
        assert_eq!((own.classes(), own.target_kind()), (60, TargetKind::Values));
        let loader = Loader::new(own, normalize.clone(), config).unwrap();
        let plain = Loader::new(numbered(9), normalize.clone(), config).unwrap();
        let unnormalised = Loader::new(numbered(9), Normalize::identity(2), config).unwrap();
        for position in 0..3 {
            let [batch, plain, pixels] =
                [&loader, &plain, &unnormalised].map(|loader| loader.batch(1, position).unwrap());
            assert_eq!(bits(&batch), bits(&plain));
            let Targets::Rows { width: 60, numbers: found } = batch.targets else { panic!("no rows of 60") };
            // Channel by channel, as the data have them.
            let planes = |image: &[f32]| {
                [0, 1]
                    .map(|channel| image.iter().skip(channel).step_by(2).copied().collect::<Vec<f32>>())
                    .concat()
            };
            let wanted: Vec<f32> = numbers(&pixels.inputs).chunks(60).flat_map(planes).collect();
            assert_eq!(found, wanted);
        }
        if augment.is_none() {
            let samples = loader.samples(0, 2).unwrap();
            assert_eq!(loader.targets(&samples).unwrap(), loader.batch(0, 2).unwrap().targets);
        }
    }
}

#[test]
fn a_part_of_samples_that_answer_themselves_does_so_too() {
    let own: Arc<dyn Dataset> = Arc::new(Autoencoded::new(numbered(9)));
    let [part, _] = Subset::split_end(own, 3).unwrap();
    assert!(part.answers_itself() && part.label(5).unwrap() == 0);
    let mut row = vec![0.0; 60];
    part.target(2, &mut row).unwrap();
    assert_eq!(row[..3], [2000.0, 2002.0, 2004.0]);
    assert!(part.target(2, &mut row[1..]).is_err() && part.target(6, &mut row).is_err());
}
