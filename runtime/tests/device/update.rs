//! Updates of many parameters in one launch, and the norm of their gradients.

use crate::common::Random;
use crate::run::{Case, Outcome, Run, in_every_order};
use localgrad::device::launches::elements::scaled;
use localgrad::device::launches::update::{Slot, Table, WITH_AVERAGE, WITH_FACTOR};
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
    ("gathered gradients", gathered),
];

#[test]
fn updates_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

const LENS: [usize; 5] = [5, 1500, 33, 1024, 1];
const SPLITS: [usize; 5] = [1, 3, 2, 1, 4];
const DECAYS: [f32; 5] = [0.0, 0.01, 0.1, 0.0, 0.5];

/// Parameters one after the other, and their gradients with all splits.
fn slots() -> (Vec<Slot>, usize, usize) {
    let (mut at, mut gradient) = (0, 0);
    let slots = (0..LENS.len()).map(|i| {
        let (len, splits) = (LENS[i], SPLITS[i]);
        let slot = Slot { value: at, state: at, gradient, average: at, len, splits, weight_decay: DECAYS[i] };
        at += len;
        gradient += len * splits;
        slot
    });
    (slots.collect(), at, gradient)
}

fn whole(gradients: &[f64], slot: &Slot, i: usize) -> f64 {
    (0..slot.splits).map(|split| gradients[slot.gradient + split * slot.len + i]).sum()
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
    let step = Step::new(config, 0.1, 3);
    let keep = 0.99;
    let launch = table.step(&step, WITH_AVERAGE | WITH_FACTOR, keep).unwrap();
    let mut memory = vec![
        (Some(&values_on), len),
        (Some(&states_on), len),
        (Some(&gradients_on), gradients_len),
        (Some(&averages_on), len),
        (Some(&words), table.words.len()),
        (Some(&factor), 1),
    ];
    if let Step::AdamW(_) = step {
        memory.insert(2, (Some(&squares_on), len));
    }
    run.launch(&launch, &memory)?;
    for slot in &slots {
        for i in 0..slot.len {
            let (at, mean_at) = (slot.value + i, slot.state + i);
            let state = [states[mean_at], states[mean_at + len]];
            let g = 0.5 * whole(&gradients, slot, i);
            let (value, state) = moved(&step, slot.weight_decay.into(), values[at], state, g);
            values[at] = value;
            (states[mean_at], states[mean_at + len]) = (state[0], state[1]);
            averages[at] = f64::from(keep) * averages[at] + (1.0 - f64::from(keep)) * value;
        }
    }
    run.near("values", &values_on, &values, 1e-6)?;
    run.near("states", &states_on, &states[..len], 1e-6)?;
    run.near("mean squares", &squares_on, &states[len..], 1e-6)?;
    run.near("averages", &averages_on, &averages, 1e-6)
}

fn gathered(run: &mut Run<'_>) -> Outcome<()> {
    let (mut slots, len, gradients_len) = slots();
    slots.iter_mut().for_each(|slot| slot.state = slot.value);
    let mut random = Random::new(101);
    let (gradients, before) = (random.numbers(gradients_len), random.numbers(len));
    let mut averages = random.numbers(len);
    let table = Table::new(&slots).unwrap();
    let (gradients_on, sums) = (run.floats(&gradients), run.floats(&before));
    let words = run.words(&table.words);
    let words_len = table.words.len();
    let memory = [(Some(&gradients_on), gradients_len), (Some(&sums), len), (Some(&words), words_len)];
    let each = |slot: &Slot| (0..slot.len).map(|i| whole(&gradients, slot, i)).collect::<Vec<_>>();
    let twin: Vec<f64> = slots.iter().flat_map(each).collect();
    run.launch(&table.gather(true).unwrap(), &memory)?;
    let added: Vec<f64> = twin.iter().zip(&before).map(|(sum, before)| sum + before).collect();
    run.near("added gradients", &sums, &added, 1e-6)?;
    run.launch(&table.gather(false).unwrap(), &memory)?;
    run.near("gathered gradients", &sums, &twin, 1e-6)?;

    let averages_on = run.floats(&averages);
    let memory = [(Some(&sums), len), (Some(&averages_on), len), (Some(&words), words_len)];
    run.launch(&table.average(0.75).unwrap(), &memory)?;
    averages.iter_mut().zip(&twin).for_each(|(average, value)| *average = 0.75 * *average + 0.25 * value);
    run.near("averages", &averages_on, &averages, 1e-6)?;

    let (parts, found) = (run.room(table.blocks()), run.room(2));
    let memory =
        [(Some(&gradients_on), gradients_len), (Some(&parts), table.blocks()), (Some(&words), words_len)];
    run.launch(&table.squares().unwrap(), &memory)?;
    let norm = twin.iter().map(|g| g * g).sum::<f64>().sqrt();
    for limit in [2.0, 1e4] {
        let launch = scaled(Body::ClipFactor, table.blocks(), limit).unwrap();
        run.launch(&launch, &[(Some(&parts), table.blocks()), (Some(&found), 2)])?;
        let factor = (f64::from(limit) / norm).min(1.0);
        run.near("the factor and the norm", &found, &[factor, norm], 1e-6)?;
    }
    Ok(())
}
