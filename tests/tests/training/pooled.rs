//! AugLocal's units on means over windows: what a twin makes of the same windows in plain loops, and gradients as
//! differences have them.

use crate::common::{batch, small_resnet};
use localgrad::layers::{Features, GradientSink, Initializer, Mode, Trains};
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::{Map, Place};
use localgrad::parameter::Parameter;
use localgrad::random::Stream;
use localgrad::rules::auxiliary::Auxiliary;
use localgrad::rules::criterion::Criterion;
use localgrad::rules::judge::Target;
use localgrad::rules::{AuxiliarySpec, Rule, RuleConfig, auxiliary_specs};
use localgrad::tape::Tape;
use localgrad::targets::Targets;

const SIDE: usize = 18;
const CHANNELS: usize = 4;
const SAMPLES: usize = 3;

/// Lets go of gradients of weights.
struct Ignore;

impl GradientSink for Ignore {
    fn take(&mut self, _: &mut Parameter, _: Map) -> localgrad::Result<()> {
        Ok(())
    }

    fn updates(&self) -> bool {
        false
    }
}

fn spec(pool: usize) -> AuxiliarySpec {
    let rule = RuleConfig { depth: 3, pool, ..RuleConfig::new(Rule::Auglocal) };
    auxiliary_specs(&small_resnet([3, SIDE, SIDE]), &[1, 6], &rule).unwrap().remove(0)
}

/// The loss of what a block gives, maps of this side, and its gradient.
fn loss(spec: &AuxiliarySpec, side: usize, h: &[f32], targets: &Targets) -> (f64, Vec<f32>) {
    let features = Features::Map { channels: CHANNELS, height: side, width: side };
    let initializer =
        Initializer { seed: 4, draws: true, place: Place::Host, part: Part::Auxiliary, trains: Trains::ALL };
    // Weights are drawn by their names: those of the same units are the same.
    let mut auxiliary = Auxiliary::new(spec, features, false, "aux.0", &initializer).unwrap();
    let target = Target {
        targets,
        classes: 5,
        criterion: Criterion::default(),
        images: None,
        weight: 1.0,
        label_weight: 1.0,
    };
    let h = Map::new(h.to_vec(), features.dims(SAMPLES)).unwrap();
    let mode = Mode::Train { draw: Default::default() }.again();
    let (loss, d_h) = auxiliary.loss(h, &target, mode, &mut Tape::new(), &mut Ignore).unwrap();
    (loss, d_h.numbers().unwrap())
}

/// Which of the means a value is part of.
fn window(at: usize) -> usize {
    let (channel, column, row) = (at % CHANNELS, at / CHANNELS % SIDE, at / CHANNELS / SIDE % SIDE);
    let sample = at / (CHANNELS * SIDE * SIDE);
    ((sample * (SIDE / 2) + row / 2) * (SIDE / 2) + column / 2) * CHANNELS + channel
}

#[test]
fn units_take_means_over_windows() {
    let (pooled, plain) = (spec(2), spec(1));
    assert_eq!(pooled.units[1..], plain.units[..], "the units are the same");
    assert!(pooled.to_string().starts_with("means over 2x2 + units of"), "{pooled}");
    let mut stream = Stream::new(5, "features", &[]);
    let h: Vec<f32> =
        (0..SAMPLES * SIDE * SIDE * CHANNELS).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect();
    let targets = batch(&small_resnet([3, SIDE, SIDE]), SAMPLES, 9).targets;
    let mut means = vec![0.0f64; h.len() / 4];
    for (at, value) in h.iter().enumerate() {
        means[window(at)] += f64::from(*value) / 4.0;
    }
    let means: Vec<f32> = means.into_iter().map(|mean| mean as f32).collect();
    let (found, d_h) = loss(&pooled, SIDE, &h, &targets);
    let (wanted, d_means) = loss(&plain, SIDE / 2, &means, &targets);
    assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
    for (at, d) in d_h.iter().enumerate() {
        let wanted = d_means[window(at)] / 4.0;
        assert!((d - wanted).abs() < 1e-5, "{at}: {d} {wanted}");
    }
    // Along a direction, between which points no unit is bent much.
    let direction: Vec<f32> = h.iter().map(|_| 2.0 * stream.uniform_f32() - 1.0).collect();
    let at = |step: f32| {
        let moved: Vec<f32> = h.iter().zip(&direction).map(|(h, d)| h + step * d).collect();
        loss(&pooled, SIDE, &moved, &targets).0
    };
    let difference = (at(0.0005) - at(-0.0005)) / 0.001;
    let slope: f64 = d_h.iter().zip(&direction).map(|(d, along)| f64::from(d * along)).sum();
    assert!((difference - slope).abs() < 0.02 * slope.abs().max(0.1), "{difference} {slope}");
}
