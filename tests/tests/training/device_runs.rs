//! Runs on the emulated device: the memory that is planned is what they take, they go on elsewhere, and what becomes of a card
//! leaves the last checkpoint whole.

use crate::common::{Noise, small_resnet, weights_of};
use crate::trained::{batches, bp, local};
use localgrad::ErrorKind;
use localgrad::checkpoint::{Checkpoints, Configuration};
use localgrad::data::{Batch, Loader, LoaderConfig, Normalize};
use localgrad::device::driver::{Driver, Piece};
use localgrad::device::emulated::{Emulated, Memory};
use localgrad::device::engine::Engine;
use localgrad::device::launch::Launch;
use localgrad::device::table::all::Class;
use localgrad::device::table::body::Element;
use localgrad::error::{Error, Result};
use localgrad::evaluate::Tally;
use localgrad::fit::{Control, Duration, FitConfig, fit};
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Candidate, Freedom, Rates, Workload, choose, rehearse};
use localgrad::precision::Precision;
use localgrad::progress::Progress;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::sweep::sweep;
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig, Trainer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SAMPLES: usize = 6;
const RATE: f64 = 0.05;

fn emulated() -> Place {
    Place::Device(Engine::new("emulated", Emulated::default(), Class::Scalar))
}

pub(crate) fn trainer(spec: &NetworkSpec, config: &TrainConfig, place: &Place, scratch: &Path) -> Trainer {
    let scratch = config.execution.needs_scratch().then(|| Scratch::create(scratch, None).unwrap());
    let normalize = Normalize::half(spec.input.channels());
    Trainer::with_scratch(spec.clone(), config.clone(), normalize, place, scratch).unwrap()
}

pub(crate) fn take_steps(trainer: &mut Trainer, batches: &[Batch]) -> Result<()> {
    for chunk in batches.chunks(trainer.method().chunk) {
        let steps = chunk.iter().map(|batch| trainer.begin(batch, RATE)).collect::<Result<Vec<_>>>()?;
        sweep(trainer, steps, &mut |_| {})?;
    }
    Ok(())
}

/// Ways to train that take memory differently.
pub(crate) fn ways() -> Vec<TrainConfig> {
    let man = local(RuleConfig::new(Rule::Man));
    let with = |base: &TrainConfig, execution: Execution| TrainConfig { execution, ..base.clone() };
    let plain = Execution::default;
    vec![
        man.clone(),
        bp(),
        with(&bp(), Execution { pieces: vec![1, 3, 6], ..plain() }),
        with(&man, Execution { micro_batch: Some(3), ..plain() }),
        with(&man, Execution { recompute: true, ..plain() }),
        with(&bp(), Execution { activations: Precision::F16, ..plain() }),
        with(&man, Execution { offload: true, ..plain() }),
        with(&man, Execution { offload: true, features_on_disk: true, ..plain() }),
        TrainConfig::from(Method { chunk: 2, ..local(RuleConfig::new(Rule::Infopro)).method }),
    ]
}

pub(crate) fn workload(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> Workload {
    Workload {
        evaluation_batch: Some(2 * SAMPLES),
        place: Some(place.clone()),
        ..Workload::steps(spec.clone(), config.clone(), SAMPLES, 1)
    }
}

/// Trains, evaluates and looks at all weights; what was held of the device's memory at most.
fn held_bytes(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> Result<usize> {
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = trainer(spec, config, place, directory.path());
    take_steps(&mut trainer, &batches(spec, 4, SAMPLES))?;
    Tally::default().add(&mut trainer, &batches(spec, 1, 2 * SAMPLES)[0])?;
    weights_of(&mut trainer);
    Ok(place.taken().held_bytes)
}

#[test]
fn a_run_takes_what_was_planned() {
    let spec = small_resnet([3, 8, 8]);
    for config in ways() {
        let place = emulated();
        let planned = rehearse(&workload(&spec, &config, &place)).unwrap().unwrap();
        place.allow(None, Some(planned.held_bytes)).unwrap();
        let held = held_bytes(&spec, &config, &place).unwrap();
        println!("{:?}: {planned:?}, held {held}", config.execution);
        assert!(held <= planned.held_bytes, "{config:?}: {held} of {planned:?}");
        assert!(10 * planned.held_bytes <= 11 * held, "{config:?}: {held} of {planned:?}");
    }
}

/// Keeps features of all samples, and of those to be judged by; what was held of the device's memory at most.
fn held_with_features(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = trainer(spec, config, place, directory.path());
    let data = |samples| Arc::new(Noise::new(samples, SIDE));
    let how = LoaderConfig { batch: SAMPLES, ..LoaderConfig::default() };
    let train = Loader::new(data(LEARNT), Normalize::half(3), how).unwrap();
    let test = Loader::new(data(JUDGED), Normalize::half(3), LoaderConfig::evaluation(SAMPLES)).unwrap();
    let how = FitConfig { duration: Duration::Epochs(2), learning_rate: RATE, ..FitConfig::default() };
    fit(&mut trainer, &train, Some(&test), &how, &mut |_| Control::Continue).unwrap();
    weights_of(&mut trainer);
    place.taken().held_bytes
}

/// Samples of which features are kept.
const LEARNT: usize = 4 * SAMPLES;
const JUDGED: usize = 2 * SAMPLES;
const SIDE: usize = 8;

#[test]
fn features_that_are_kept_on_a_device_are_planned() {
    let spec = small_resnet([3, SIDE, SIDE]);
    for (selection, precision, features_on_disk, micro_batch) in [
        (Selection::Head, Precision::F32, false, None),
        (Selection::LastUnits(2), Precision::F32, false, None),
        (Selection::LastUnits(4), Precision::F16, false, None),
        (Selection::LastUnits(4), Precision::F32, false, Some(3)),
        (Selection::LastUnits(4), Precision::F16, true, None),
    ] {
        let config = TrainConfig {
            method: Method { cache: Some(CacheConfig { variants: 1, precision }), selection, ..bp().method },
            execution: Execution { features_on_disk, micro_batch, ..Execution::default() },
        };
        let place = emulated();
        let workload = Workload {
            samples: LEARNT,
            evaluation_samples: JUDGED,
            evaluation_batch: Some(SAMPLES),
            ..workload(&spec, &config, &place)
        };
        let planned = rehearse(&workload).unwrap().unwrap();
        place.allow(None, Some(planned.held_bytes)).unwrap();
        let held = held_with_features(&spec, &config, &place);
        println!("{selection} {precision} {features_on_disk}: {planned:?}, held {held}");
        assert!(held <= planned.held_bytes, "{config:?}: {held} of {planned:?}");
        assert!(10 * planned.held_bytes <= 11 * held, "{config:?}: {held} of {planned:?}");
        // The least that was planned is enough, too.
        let place = emulated();
        place.allow(Some(planned.least_bytes()), None).unwrap();
        assert!(held_with_features(&spec, &config, &place) <= planned.least_bytes());
    }
}

#[test]
fn a_device_has_no_more_memory_than_it_has() {
    let place = Place::open("emulated:1").unwrap();
    let free_bytes = place.free_bytes().unwrap();
    assert!(free_bytes > 0 && free_bytes <= 1 << 20, "{free_bytes}");
    let map = place.full(&[free_bytes / 4], 0.0).unwrap();
    assert!(place.free_bytes().unwrap() < 4);
    assert_eq!(place.full(&[2], 0.0).unwrap_err().kind(), ErrorKind::Memory);
    drop(map);
    assert_eq!(place.free_bytes(), Some(free_bytes));
    assert!(place.celsius().unwrap_err().to_string().contains("no temperature"));
    assert_eq!(Place::Host.celsius().unwrap(), None);
}

#[test]
fn a_budget_is_kept_to_the_byte() {
    let spec = small_resnet([3, 8, 8]);
    for config in ways() {
        let place = emulated();
        let planned = rehearse(&workload(&spec, &config, &place)).unwrap().unwrap();
        let least = planned.training_bytes.max(planned.evaluation_bytes);
        place.allow(Some(least), None).unwrap();
        let held = held_bytes(&spec, &config, &place).unwrap();
        assert!(held <= least, "{config:?}: {held} of {planned:?}");
        // What settles early may need a little less.
        let place = emulated();
        place.allow(Some(planned.training_bytes / 2), None).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let trained = || {
            let scratch = config.execution.needs_scratch();
            let scratch = scratch.then(|| Scratch::create(directory.path(), None).unwrap());
            let normalize = Normalize::half(3);
            let mut trainer =
                Trainer::with_scratch(spec.clone(), config.clone(), normalize, &place, scratch)?;
            take_steps(&mut trainer, &batches(&spec, 2, SAMPLES))
        };
        let error = trained().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory, "{config:?}: {error}");
    }
}

#[test]
fn a_budget_chooses_how_a_device_trains() {
    let spec = small_resnet([3, 8, 8]);
    let place = emulated();
    let whole = workload(&spec, &bp(), &place);
    let all = rehearse(&whole).unwrap().unwrap();
    let freedom =
        Freedom { micro_batch: true, recompute: true, pieces: true, ..Freedom::of_cuts(vec![vec![6]]) };
    let budget_bytes = all.training_bytes * 3 / 4;
    let choice = choose(&whole, &freedom, budget_bytes, &Rates::default()).unwrap();
    let chosen = choice.chosen.applied(&whole);
    println!("{budget_bytes} of {all:?}: {}", choice.chosen.words());
    assert_ne!(chosen.train.execution, whole.train.execution);
    place.allow(Some(budget_bytes), None).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = trainer(&spec, &chosen.train, &place, directory.path());
    take_steps(&mut trainer, &batches(&spec, 3, SAMPLES)).unwrap();
    assert!(place.taken().held_bytes <= budget_bytes);
    let refused = choose(&whole, &freedom, 1000, &Rates::default()).unwrap_err();
    assert!(refused.least_bytes().is_some(), "{refused}");
}

#[test]
fn what_a_device_chooses_is_the_fastest_that_fits() {
    let spec = small_resnet([3, 8, 8]);
    let whole = Workload {
        evaluation_batch: None,
        ..workload(&spec, &local(RuleConfig::new(Rule::Dgl)), &emulated())
    };
    let cuts = vec![vec![6], vec![3, 6], vec![1, 3, 6], (0..7).collect()];
    let freedom = Freedom { micro_batch: true, recompute: true, ..Freedom::of_cuts(cuts) };
    let mut all = Vec::new();
    for (ends, micro_batch, recompute) in freedom.cuts.iter().flat_map(|ends| {
        [None, Some(3), Some(2), Some(1)]
            .into_iter()
            .flat_map(move |size| [false, true].map(|recompute| (ends, size, recompute)))
    }) {
        let mut one = whole.clone();
        one.train.method.ends.clone_from(ends);
        one.train.execution = Execution { micro_batch, recompute, ..Execution::default() };
        // Batch norm has to see more than one value.
        all.extend(Candidate::of(&one, &Rates::default()));
    }
    let most = all.iter().map(|candidate| candidate.peak_bytes).max().unwrap();
    let mut kinds = Vec::new();
    for part in [100, 90, 80, 70, 60, 50, 45, 40, 35, 30, 25] {
        let budget_bytes = most * part / 100;
        let order = |candidate: &Candidate| (candidate.has_poor_statistics(SAMPLES), candidate.step_seconds);
        let fitting = all.iter().filter(|candidate| candidate.peak_bytes <= budget_bytes);
        let best = fitting.min_by(|a, b| order(a).partial_cmp(&order(b)).unwrap());
        match (choose(&whole, &freedom, budget_bytes, &Rates::default()), best) {
            (Ok(choice), Some(best)) => {
                assert_eq!(
                    order(&choice.chosen),
                    order(best),
                    "{part} %: {}, {}",
                    choice.chosen.words(),
                    best.words()
                );
                assert!(choice.plan.peak_bytes <= budget_bytes);
                kinds.push(choice.chosen.words());
            }
            (Err(refusal), None) => assert!(refusal.least_bytes().unwrap() > budget_bytes, "{refusal}"),
            (chosen, best) => panic!("{part} %: {chosen:?}, {best:?}"),
        }
    }
    kinds.dedup();
    assert!(kinds.len() >= 3, "{kinds:?}");
}

fn configuration(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> Configuration {
    let fit = FitConfig { duration: Duration::Steps(4), ..FitConfig::default() };
    Configuration::of_stream(spec, config, &fit, SAMPLES, &Normalize::half(3), place)
}

/// Takes two steps at `first`, saves there, goes on at `second`; where it stands after four.
fn moved(spec: &NetworkSpec, config: &TrainConfig, first: &Place, second: &Place) -> Vec<(String, Vec<u32>)> {
    let directory = tempfile::tempdir().unwrap();
    let saved = directory.path().join("checkpoint");
    let batches = batches(spec, 4, SAMPLES);
    let mut before = trainer(spec, config, first, directory.path());
    take_steps(&mut before, &batches[..2]).unwrap();
    let progress = Progress { steps: 2, ..Progress::start(before.ranges().len()) };
    let there = configuration(spec, config, first);
    drop(Checkpoints::create(&saved, there, 1, &mut before, &progress).unwrap());
    drop(before);
    let mut after = trainer(spec, config, second, directory.path());
    let here = configuration(spec, config, second);
    let (_, progress) = Checkpoints::resume(&saved, here, 1, &mut after).unwrap().unwrap();
    assert_eq!(progress.steps, 2);
    take_steps(&mut after, &batches[2..]).unwrap();
    weights_of(&mut after)
}

fn stayed(spec: &NetworkSpec, config: &TrainConfig, place: &Place) -> Vec<(String, Vec<u32>)> {
    let directory = tempfile::tempdir().unwrap();
    let mut trainer = trainer(spec, config, place, directory.path());
    take_steps(&mut trainer, &batches(spec, 4, SAMPLES)).unwrap();
    weights_of(&mut trainer)
}

#[test]
fn a_run_goes_on_elsewhere_and_exactly_where_it_was() {
    let spec = small_resnet([3, 8, 8]);
    let man = local(RuleConfig::new(Rule::Man));
    let away = TrainConfig { execution: Execution { offload: true, ..Execution::default() }, ..man.clone() };
    for config in [man, bp(), away] {
        let there = stayed(&spec, &config, &emulated());
        assert_eq!(moved(&spec, &config, &emulated(), &emulated()), there, "{config:?}");
        let here = stayed(&spec, &config, &Place::Host);
        for (first, second) in [(Place::Host, emulated()), (emulated(), Place::Host)] {
            let found = moved(&spec, &config, &first, &second);
            assert_ne!(found, here);
            for ((name, a), (other, b)) in found.iter().zip(&here) {
                assert_eq!(name, other);
                let number = |bits: &u32| f32::from_bits(*bits);
                let most = b.iter().map(|b| number(b).abs()).fold(0.01, f32::max);
                let off = a.iter().zip(b).map(|(a, b)| (number(a) - number(b)).abs()).fold(0.0, f32::max);
                assert!(off <= 5e-3 * most, "{config:?}: {name} is off by {off} of {most}");
            }
        }
    }
}

/// A device that is lost, or has no more room, after so many launches and allocations.
struct Failing {
    device: Emulated,
    launches: Arc<AtomicUsize>,
    allocations: Arc<AtomicUsize>,
    /// A kernel that does nothing.
    idle: Option<&'static str>,
}

impl Default for Failing {
    fn default() -> Self {
        let [launches, allocations] = [1 << 30, 1 << 30].map(|count| Arc::new(AtomicUsize::new(count)));
        Self { device: Emulated::default(), launches, allocations, idle: None }
    }
}

/// Counts down, and stays at 0.
fn is_over(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
}

impl Failing {
    fn lost(&self) -> Result<()> {
        match self.launches.load(Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Device, "the card has fallen off the bus")),
            _ => Ok(()),
        }
    }
}

impl Driver for Failing {
    type Memory = Memory;

    fn allocate(&self, element: Element, len: usize) -> Result<Memory> {
        self.lost()?;
        if is_over(&self.allocations) {
            return Err(Error::new(ErrorKind::Memory, format!("no room for {len} elements")));
        }
        self.device.allocate(element, len)
    }

    fn upload(&self, to: &Memory, first: usize, bytes: &[u8]) -> Result<()> {
        self.lost()?;
        self.device.upload(to, first, bytes)
    }

    fn download(&self, from: &Memory, first: usize, bytes: &mut [u8]) -> Result<()> {
        self.lost()?;
        self.device.download(from, first, bytes)
    }

    fn copy(&self, to: &Memory, first: usize, from: &Memory, from_first: usize, len: usize) -> Result<()> {
        self.lost()?;
        self.device.copy(to, first, from, from_first, len)
    }

    fn address(&self, memory: &Memory) -> u64 {
        self.device.address(memory)
    }

    fn renew(&self, memory: &Memory) {
        self.device.renew(memory);
    }

    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Memory>>]) -> Result<()> {
        if is_over(&self.launches) {
            self.lost()?;
        }
        match self.idle {
            Some(idle) if launch.kernel.name().starts_with(idle) => Ok(()),
            _ => self.device.launch(launch, memory),
        }
    }

    fn free_bytes(&self) -> Option<usize> {
        Some(FREE_BYTES)
    }

    fn wait(&self) -> Result<()> {
        self.lost()
    }
}

/// Bytes that nobody has of the memory of one that fails.
const FREE_BYTES: usize = 1 << 20;

#[test]
fn what_waits_in_a_pool_is_free_for_a_run() {
    let failing = Failing {
        launches: Arc::new(AtomicUsize::new(1)),
        allocations: Arc::new(AtomicUsize::new(9)),
        ..Failing::default()
    };
    let place = Place::Device(Engine::new("emulated", failing, Class::Scalar));
    assert_eq!(place.free_bytes(), Some(FREE_BYTES));
    let map = place.full(&[100], 1.0).unwrap();
    assert_eq!(place.free_bytes(), Some(FREE_BYTES));
    drop(map);
    assert_eq!(place.free_bytes(), Some(FREE_BYTES + 400));
    assert_eq!((Place::Host.free_bytes(), emulated().free_bytes()), (None, None));
}

#[test]
fn the_last_checkpoint_is_whole_whatever_becomes_of_the_device() {
    let spec = small_resnet([3, 8, 8]);
    let config = local(RuleConfig::new(Rule::Man));
    let batches = batches(&spec, 4, SAMPLES);
    let expected = stayed(&spec, &config, &emulated());
    for (launches, allocations) in [(1, 1 << 30), (40, 1 << 30), (150, 1 << 30), (1 << 30, 0), (1 << 30, 5)] {
        let directory = tempfile::tempdir().unwrap();
        let saved = directory.path().join("checkpoint");
        let [left, room] = [1 << 30, 1 << 30].map(|count| Arc::new(AtomicUsize::new(count)));
        let failing = Failing { launches: left.clone(), allocations: room.clone(), ..Failing::default() };
        let place = Place::Device(Engine::new("emulated", failing, Class::Scalar));
        let mut before = trainer(&spec, &config, &place, directory.path());
        take_steps(&mut before, &batches[..2]).unwrap();
        let progress = Progress { steps: 2, ..Progress::start(before.ranges().len()) };
        let there = configuration(&spec, &config, &place);
        let mut checkpoints = Checkpoints::create(&saved, there.clone(), 1, &mut before, &progress).unwrap();
        // Nothing that was kept for the next step may serve it.
        place.allow(None, Some(0)).unwrap();
        left.store(launches, Ordering::Relaxed);
        room.store(allocations, Ordering::Relaxed);
        let error = take_steps(&mut before, &batches[2..]).unwrap_err();
        let is_lost = launches < 1 << 30;
        assert_eq!(error.kind(), if is_lost { ErrorKind::Device } else { ErrorKind::Memory }, "{error}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        if is_lost {
            let progress = Progress { steps: 3, ..progress.clone() };
            let unsaved = checkpoints.save(&mut before, &progress).unwrap_err();
            assert_eq!(unsaved.kind(), ErrorKind::Device, "{unsaved}");
        }
        drop((checkpoints, before));
        let mut after = trainer(&spec, &config, &emulated(), directory.path());
        let (_, progress) = Checkpoints::resume(&saved, there, 1, &mut after).unwrap().unwrap();
        assert_eq!(progress.steps, 2);
        take_steps(&mut after, &batches[2..]).unwrap();
        assert_eq!(weights_of(&mut after), expected, "{launches} launches, {allocations} allocations");
    }
}

#[test]
fn a_device_that_computes_wrongly_is_not_opened() {
    let open =
        |idle| Place::Device(Engine::new("wrong", Failing { idle, ..Failing::default() }, Class::Scalar));
    open(None).check_itself().unwrap();
    let kernels = [
        ("conv_forward", "a convolution"),
        ("mean_pool", "a pool"),
        ("max_pool", "a pool"),
        ("sgd", "a step of an optimizer"),
    ];
    for (kernel, operation) in kernels {
        let error = open(Some(kernel)).check_itself().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Device, "{kernel}: {error}");
        let told = error.to_string();
        println!("{kernel}: {told}");
        assert!(
            told.contains(&format!("device 'wrong' computes wrongly: of {operation} ")),
            "{kernel}: {told}"
        );
    }
}
