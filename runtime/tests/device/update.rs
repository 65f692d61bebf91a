//! Updates of many parameters in one launch, and the norm of their gradients.

use crate::common::Random;
use crate::run::{Case, Outcome, Run, in_every_order};
use localgrad::device::emulated::{Emulated, Memory};
use localgrad::device::launches::elements::scaled;
use localgrad::device::launches::update::{
    ARRAYS, GRADIENT, Slot, Table, WITH_AVERAGE, WITH_FACTOR, sum_splits,
};
use localgrad::device::table::body::Body;
use localgrad::kernels::optimizer::{AdamWStep, SgdStep, Step};
use localgrad::optimizer::OptimizerConfig;

pub(crate) const CASES: [(&str, Case); 5] = [
    ("SGD", |run| step(run, &OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 })),
    ("momentum", |run| {
        step(run, &OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1.0 })
    }),
    ("Nesterov's", |run| {
        step(run, &OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 1.0 })
    }),
    ("AdamW", |run| step(run, &OptimizerConfig::adamw())),
    ("averages, norms and sums", averages_and_sums),
];

#[test]
fn updates_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

const LENS: [usize; 5] = [5, 1500, 33, 1024, 1];
const SPLITS: [usize; 5] = [1, 3, 2, 1, 4];
const DECAYS: [f32; 5] = [0.0, 0.01, 0.1, 0.0, 0.5];

/// Parameters one after the other in each array, and their gradients with all splits.
fn slots() -> (Vec<Slot>, usize, usize) {
    let (mut at, mut gradient) = (0, 0);
    let slots = (0..LENS.len()).map(|i| {
        let (len, splits) = (LENS[i], SPLITS[i]);
        let slot = Slot { firsts: [at, at, at, gradient, at], len, splits, factor: DECAYS[i] };
        at += len;
        gradient += len * splits;
        slot
    });
    (slots.collect(), at, gradient)
}

/// The blocks of each parameter, the same for all.
fn addresses(run: &Run<'_>, arrays: [Option<&Memory>; ARRAYS]) -> Memory {
    run.addresses(&arrays.repeat(LENS.len()))
}

fn whole(gradients: &[f64], slot: &Slot, i: usize) -> f64 {
    (0..slot.splits).map(|split| gradients[slot.firsts[GRADIENT] + split * slot.len + i]).sum()
}

/// One parameter's element by the definition of the optimizer.
fn moved(step: &Step, decay: f64, value: f64, state: [f64; 2], g: f64) -> (f64, [f64; 2]) {
    match *step {
        Step::Sgd(SgdStep { rate, momentum, nesterov, .. }) => {
            let (rate, momentum) = (f64::from(rate), f64::from(momentum));
            let direction = g + decay * value;
            if momentum == 0.0 {
                return (value - rate * direction, state);
            }
            let kept = momentum * state[0] + direction;
            let step = if nesterov { direction + momentum * kept } else { kept };
            (value - rate * step, [kept, state[1]])
        }
        Step::AdamW(AdamWStep { keep, rate, beta1, beta2, new1, new2, root_correction, epsilon }) => {
            let [keep, rate, beta1, beta2, new1, new2, root_correction, epsilon] =
                [keep, rate, beta1, beta2, new1, new2, root_correction, epsilon].map(f64::from);
            let mean = beta1 * state[0] + new1 * g;
            let square = beta2 * state[1] + new2 * g * g;
            let keep = if decay == 0.0 { 1.0 } else { keep };
            (value * keep - rate * mean / (square.sqrt() / root_correction + epsilon), [mean, square])
        }
    }
}

fn step(run: &mut Run<'_>, config: &OptimizerConfig) -> Outcome<()> {
    let (slots, len, gradients_len) = slots();
    let mut random = Random::new(97);
    let (mut values, mut averages) = (random.numbers(len), random.numbers(len));
    let mut states: Vec<f64> = random.numbers(2 * len).iter().map(|x| x.abs()).collect();
    let gradients = random.numbers(gradients_len);
    let table = Table::new(&slots).unwrap();
    let values_on = run.floats(&values);
    let (states_on, squares_on) = (run.floats(&states[..len]), run.floats(&states[len..]));
    let (gradients_on, averages_on) = (run.floats(&gradients), run.floats(&averages));
    let (words, factor) = (run.words(&table.words), run.floats(&[0.5]));
    let step = config.step(0.1, 3);
    let keep = 0.99;
    let launch = table.step(&step, WITH_AVERAGE | WITH_FACTOR, keep).unwrap();
    let arrays = [&values_on, &states_on, &squares_on, &gradients_on, &averages_on].map(Some);
    let arrays = addresses(run, arrays);
    let memory =
        [(Some(&arrays), ARRAYS * LENS.len()), (Some(&words), table.words.len()), (Some(&factor), 1)];
    run.launch(&launch, &memory)?;
    for slot in &slots {
        for i in 0..slot.len {
            let at = slot.firsts[0] + i;
            let state = [states[at], states[at + len]];
            let g = 0.5 * whole(&gradients, slot, i);
            let (value, state) = moved(&step, slot.factor.into(), values[at], state, g);
            values[at] = value;
            (states[at], states[at + len]) = (state[0], state[1]);
            averages[at] = f64::from(keep) * averages[at] + (1.0 - f64::from(keep)) * value;
        }
    }
    run.near("values", &values_on, &values, 1e-6)?;
    run.near("states", &states_on, &states[..len], 1e-6)?;
    run.near("mean squares", &squares_on, &states[len..], 1e-6)?;
    run.near("averages", &averages_on, &averages, 1e-6)
}

fn averages_and_sums(run: &mut Run<'_>) -> Outcome<()> {
    let (slots, len, gradients_len) = slots();
    let mut random = Random::new(101);
    let gradients = random.numbers(gradients_len);
    let (values, before) = (random.numbers(len), random.numbers(len));
    let table = Table::new(&slots).unwrap();
    let gradients_on = run.floats(&gradients);
    let (values_on, before_on, averages_on) = (run.floats(&values), run.floats(&before), run.room(len));
    let (words, words_len) = (run.words(&table.words), table.words.len());
    let arrays =
        addresses(run, [Some(&values_on), Some(&before_on), None, Some(&gradients_on), Some(&averages_on)]);
    let named = [(Some(&arrays), ARRAYS * LENS.len()), (Some(&words), words_len)];
    run.launch(&table.average(0.75).unwrap(), &named)?;
    let mut averages = vec![];
    for slot in &slots {
        for at in slot.firsts[0]..slot.firsts[0] + slot.len {
            averages.push(0.75 * before[at] + 0.25 * f64::from(slot.factor) * values[at]);
        }
    }
    run.near("averages", &averages_on, &averages, 1e-6)?;

    let (parts, found) = (run.room(table.blocks()), run.room(2));
    run.launch(&table.squares().unwrap(), &[named[0], named[1], (Some(&parts), table.blocks())])?;
    let each = |slot: &Slot| (0..slot.len).map(|i| whole(&gradients, slot, i)).collect::<Vec<_>>();
    let norm = slots.iter().flat_map(each).map(|g| g * g).sum::<f64>().sqrt();
    for limit in [2.0, 1e4] {
        let launch = scaled(Body::ClipFactor, table.blocks(), limit).unwrap();
        run.launch(&launch, &[(Some(&parts), table.blocks()), (Some(&found), 2)])?;
        let factor = (f64::from(limit) / norm).min(1.0);
        run.near("the factor and the norm", &found, &[factor, norm], 1e-6)?;
    }

    let (slot, sum) = (&slots[1], run.room(LENS[1]));
    let splits = run.floats(&gradients[slot.firsts[GRADIENT]..][..slot.len * slot.splits]);
    let memory = [(Some(&splits), slot.len * slot.splits), (Some(&sum), slot.len)];
    run.launch(&sum_splits(slot.len, slot.splits).unwrap(), &memory)?;
    run.near("a sum of splits", &sum, &each(slot), 1e-6)
}

/// A table can name any memory; what there is not is seen.
#[test]
fn addresses_of_nothing_are_seen() {
    let device = Emulated::default();
    let run = Run::new(&device);
    let table = Table::new(&[Slot { len: 40, splits: 1, factor: 1.0, ..Slot::default() }]).unwrap();
    let words = run.words(&table.words);
    let (values, before, short) = (run.floats(&[1.0; 40]), run.floats(&[1.0; 40]), run.room(39));
    for (average, fault) in
        [(None, "an address of no memory"), (Some(&short), "what its block does not hold")]
    {
        let arrays = run.addresses(&[Some(&values), Some(&before), None, None, average]);
        let memory = [(Some(&arrays), ARRAYS), (Some(&words), table.words.len())];
        let found = run.launch(&table.average(0.5).unwrap(), &memory).unwrap_err();
        assert!(found.contains(fault), "{found}");
    }
}
