//! Losses and their gradients, which are also held against finite differences of the twin.

use crate::common::{Random, finite_difference};
use crate::reference::round;
use crate::run::{Case, NEAR, Outcome, Run, in_every_order};
use localgrad::device::launches::elements::scaled;
use localgrad::device::launches::loss as launches;
use localgrad::device::table::body::Body;
use localgrad::kernels::cross_entropy::total_weight;

pub(crate) const CASES: [(&str, Case); 9] = [
    ("cross-entropy with smoothing", |run| cross_entropy(run, 13, 10, 0.1, &[])),
    ("cross-entropy of 100 classes", |run| cross_entropy(run, 4, 100, 0.0, &[])),
    ("cross-entropy with weights", |run| {
        let weights: Vec<f32> = (0..7).map(|k| 0.5 + k as f32 * 0.25).collect();
        cross_entropy(run, 9, 7, 0.2, &weights)
    }),
    ("cross-entropy of shares", |run| {
        soft_cross_entropy(run, 13, 10, 0.1, &[])?;
        soft_cross_entropy(run, 9, 37, 0.0, &[])
    }),
    ("cross-entropy of shares with weights", |run| {
        let weights: Vec<f32> = (0..7).map(|k| 0.5 + k as f32 * 0.25).collect();
        soft_cross_entropy(run, 9, 7, 0.2, &weights)
    }),
    ("binary cross-entropy", binary_cross_entropy),
    ("squared errors and Huber's loss", |run| {
        errors(run, 2500, None)?;
        errors(run, 1023, Some(0.75))
    }),
    ("similarity of vectors", |run| similarity(run, 6, 1, 10)),
    ("similarity of maps", |run| {
        similarity(run, 5, 12, 8)?;
        similarity(run, 4, 9, 37)
    }),
];

#[test]
fn losses_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

fn cross_entropy(
    run: &mut Run<'_>,
    rows: usize,
    classes: usize,
    smoothing: f64,
    class_weights: &[f32],
) -> Outcome<()> {
    let mut random = Random::new(79);
    // Whole numbers, so that there are ties, of which the first counts.
    let mut logits: Vec<f64> = random.numbers(rows * classes).iter().map(|x| (5.0 * x).round()).collect();
    let mut labels: Vec<u32> = (0..rows).map(|_| (random.next_u64() % classes as u64) as u32).collect();
    if classes > 64 {
        // Two equals in one lane.
        (logits[3], logits[35], labels[0]) = (9.0, 9.0, 3);
    }
    let total = total_weight(&labels, class_weights);
    let weight = |k: usize| class_weights.get(k).map_or(1.0, |&weight| f64::from(weight));
    let loss = |logits: &[f64]| {
        let row_loss = |(row, &label): (&[f64], &u32)| {
            let log_sum = row.iter().map(|z| z.exp()).sum::<f64>().ln();
            let spread: f64 = row.iter().enumerate().map(|(k, z)| weight(k) * (log_sum - z)).sum();
            let label = label as usize;
            (1.0 - smoothing) * weight(label) * (log_sum - row[label]) + smoothing / classes as f64 * spread
        };
        logits.chunks(classes).zip(&labels).map(row_loss).sum::<f64>() / total
    };
    let hits = logits
        .chunks(classes)
        .zip(&labels)
        .filter(|(row, label)| first_maximum(row) == **label as usize)
        .count();
    let weights: Vec<f64> = class_weights.iter().map(|&weight| weight.into()).collect();
    let (logits_on, labels_on, weights_on) = (run.floats(&logits), run.words(&labels), run.floats(&weights));
    let (d_logits, found) = (run.room(logits.len()), run.room(2));
    let memory = [
        (Some(&logits_on), logits.len()),
        (Some(&labels_on), labels.len()),
        (Some(&weights_on), weights.len()),
        (Some(&d_logits), logits.len()),
        (Some(&found), 2),
    ];
    run.launch(&launches::cross_entropy(&labels, classes, smoothing, class_weights).unwrap(), &memory)?;
    run.near("loss and count", &found, &[loss(&logits), hits as f64], 1e-6)?;
    run.near("d_logits", &d_logits, &finite_difference(loss, &logits), 1e-6)
}

fn first_maximum(row: &[f64]) -> usize {
    let most = row.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
    row.iter().position(|&z| z == most).unwrap()
}

fn soft_cross_entropy(
    run: &mut Run<'_>,
    rows: usize,
    classes: usize,
    smoothing: f64,
    class_weights: &[f32],
) -> Outcome<()> {
    let mut random = Random::new(97);
    // Whole numbers, and shares that are equal or 0, so that there are ties, of which the first counts.
    let logits: Vec<f64> = random.numbers(rows * classes).iter().map(|x| (5.0 * x).round()).collect();
    let mut shares: Vec<f64> =
        random.numbers(rows * classes).iter().map(|x| (3.0 * x.abs()).floor() / 4.0).collect();
    for (row, shares) in shares.chunks_mut(classes).enumerate() {
        shares[row % classes] += 0.5;
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share = round(*share / sum));
    }
    let weight = |k: usize| class_weights.get(k).map_or(1.0, |&weight| f64::from(weight));
    let total: f64 = shares.iter().enumerate().map(|(at, share)| weight(at % classes) * share).sum();
    let loss = |logits: &[f64]| {
        let mut sum = 0.0;
        for (row, shares) in logits.chunks(classes).zip(shares.chunks(classes)) {
            let log_sum = row.iter().map(|z| z.exp()).sum::<f64>().ln();
            for (k, (z, share)) in row.iter().zip(shares).enumerate() {
                let target = (1.0 - smoothing) * share + smoothing / classes as f64;
                sum += weight(k) * target * (log_sum - z);
            }
        }
        sum / total
    };
    let both = logits.chunks(classes).zip(shares.chunks(classes));
    let hits = both.filter(|(row, shares)| first_maximum(row) == first_maximum(shares)).count();
    let weights: Vec<f64> = class_weights.iter().map(|&weight| weight.into()).collect();
    let (logits_on, shares_on, weights_on) = (run.floats(&logits), run.floats(&shares), run.floats(&weights));
    let (d_logits, found) = (run.room(logits.len()), run.room(2));
    let launch = launches::soft_cross_entropy([rows, classes], smoothing, total, class_weights).unwrap();
    let memory = [
        (Some(&logits_on), logits.len()),
        (Some(&shares_on), shares.len()),
        (Some(&weights_on), weights.len()),
        (Some(&d_logits), logits.len()),
        (Some(&found), 2),
    ];
    run.launch(&launch, &memory)?;
    run.near("loss and count", &found, &[loss(&logits), hits as f64], 1e-6)?;
    run.near("d_logits", &d_logits, &finite_difference(loss, &logits), 1e-6)
}

/// What is no number, and what is masked.
#[test]
fn a_nan_shows_and_a_masked_class_costs_nothing() {
    in_every_order(|run| {
        let logits = run.floats(&[0.0, f64::NEG_INFINITY, 0.0, 1.0, f64::NAN, 0.0, f64::INFINITY, 0.0, 0.0]);
        let shares = run.floats(&[0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let labels = run.words(&[0, 0, 0]);
        let (d_logits, found) = (run.room(9), run.room(2));
        for (rows, value, hits) in [(1, 2f64.ln(), 1.0), (2, f64::NAN, 1.0), (3, f64::NAN, 2.0)] {
            let soft = launches::soft_cross_entropy([rows, 3], 0.0, rows as f64, &[]).unwrap();
            let hard = launches::cross_entropy(&vec![0; rows], 3, 0.0, &[]).unwrap();
            for (launch, targets, len) in [(&soft, &shares, 3 * rows), (&hard, &labels, rows)] {
                let memory = [
                    (Some(&logits), 3 * rows),
                    (Some(targets), len),
                    (None, 0),
                    (Some(&d_logits), 3 * rows),
                    (Some(&found), 2),
                ];
                run.launch(launch, &memory)?;
                run.near("loss and count", &found, &[value, hits], 1e-6)?;
            }
        }
        let outputs = run.floats(&[f64::NAN, 1.0]);
        let targets = run.floats(&[0.0, 0.0]);
        let (d, part) = (run.room(2), run.room(1));
        for delta in [None, Some(0.5)] {
            let memory = [(Some(&outputs), 2), (Some(&targets), 2), (Some(&d), 2), (Some(&part), 1)];
            run.launch(&launches::errors(2, delta).unwrap(), &memory)?;
            run.near("the part", &part, &[f64::NAN], 0.0)?;
            run.near("the gradient", &d, &[f64::NAN, if delta.is_some() { 0.25 } else { 1.0 }], 0.0)?;
        }
        Ok(())
    });
}

fn errors(run: &mut Run<'_>, len: usize, delta: Option<f64>) -> Outcome<()> {
    let mut random = Random::new(101);
    let outputs: Vec<f64> = random.numbers(len).iter().map(|x| round(3.0 * x)).collect();
    let targets = random.numbers(len);
    let (blocks, mean) = (len.div_ceil(1024), 1.0 / len as f64);
    let (outputs_on, targets_on) = (run.floats(&outputs), run.floats(&targets));
    let (d, parts, found) = (run.room(len), run.room(blocks), run.room(1));
    let memory =
        [(Some(&outputs_on), len), (Some(&targets_on), len), (Some(&d), len), (Some(&parts), blocks)];
    run.launch(&launches::errors(len, delta).unwrap(), &memory)?;
    let sum = scaled(Body::SumParts, blocks, mean as f32).unwrap();
    run.launch(&sum, &[(Some(&parts), blocks), (Some(&found), 1)])?;
    let of_error = |error: f64| match delta {
        None => (error * error, 2.0 * error),
        Some(delta) if error.abs() > delta => {
            (delta * error.abs() - delta * delta / 2.0, delta * error.signum())
        }
        Some(_) => (error * error / 2.0, error),
    };
    let each: Vec<_> =
        outputs.iter().zip(&targets).map(|(output, target)| of_error(output - target)).collect();
    run.near("the loss", &found, &[each.iter().map(|(loss, _)| loss * mean).sum()], 1e-6)?;
    run.near("d_outputs", &d, &each.iter().map(|(_, slope)| slope * mean).collect::<Vec<_>>(), 1e-9)
}

fn binary_cross_entropy(run: &mut Run<'_>) -> Outcome<()> {
    let len = 2500;
    let mut random = Random::new(83);
    let logits: Vec<f64> = random.numbers(len).iter().map(|x| round(20.0 * x)).collect();
    let targets: Vec<f64> = random.numbers(len).iter().map(|x| round(x.abs())).collect();
    let (logits_on, targets_on) = (run.floats(&logits), run.floats(&targets));
    let (d, parts, found) = (run.room(len), run.room(len.div_ceil(1024)), run.room(1));
    let blocks = len.div_ceil(1024);
    let memory = [(Some(&logits_on), len), (Some(&targets_on), len), (Some(&d), len), (Some(&parts), blocks)];
    run.launch(&scaled(Body::BinaryCrossEntropy, len, 1.0 / len as f32).unwrap(), &memory)?;
    let sum = scaled(Body::SumParts, blocks, 1.0 / len as f32).unwrap();
    run.launch(&sum, &[(Some(&parts), blocks), (Some(&found), 1)])?;
    let terms = logits.iter().zip(&targets);
    let loss: f64 = terms.clone().map(|(z, t)| z.max(0.0) - z * t + (-z.abs()).exp().ln_1p()).sum();
    let gradient: Vec<f64> = terms.map(|(z, t)| (1.0 / (1.0 + (-z).exp()) - t) / len as f64).collect();
    run.near("the loss", &found, &[loss / len as f64], 1e-6)?;
    run.near("d_logits", &d, &gradient, 1e-9)
}

/// What similarity matching finds of `x: [samples, positions, channels]`.
fn similarity_twin(x: &[f64], labels: &[u32], positions: usize, channels: usize, classes: usize) -> f64 {
    let samples = labels.len();
    let features: Vec<f64> = (0..samples * channels)
        .map(|at| {
            let (n, c) = (at / channels, at % channels);
            let pixel = |i: usize| x[(n * positions + i) * channels + c];
            if positions == 1 {
                return pixel(0);
            }
            let mean = (0..positions).map(pixel).sum::<f64>() / positions as f64;
            let squares: f64 = (0..positions).map(|i| (pixel(i) - mean).powi(2)).sum();
            (squares / (positions - 1) as f64).sqrt()
        })
        .collect();
    let unit = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let norm = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt();
        row.iter().map(|x| (x - mean) / (1e-8 + norm)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = features.chunks(channels).map(unit).collect();
    let one_hot =
        |label: u32| (0..classes).map(|k| f64::from(u8::from(k as u32 == label))).collect::<Vec<_>>();
    let wanted: Vec<_> = labels.iter().map(|&label| unit(&one_hot(label))).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let error = |i: usize, j: usize| dot(&rows[i], &rows[j]).clamp(-1.0, 1.0) - dot(&wanted[i], &wanted[j]);
    let pairs = (0..samples).flat_map(|i| (0..samples).map(move |j| (i, j)));
    pairs.map(|(i, j)| error(i, j).powi(2)).sum::<f64>() / (samples * samples) as f64
}

fn similarity(run: &mut Run<'_>, samples: usize, positions: usize, channels: usize) -> Outcome<()> {
    let classes = 3;
    let (rows, len) = (samples * channels, samples * positions * channels);
    let x = Random::new(89).numbers(len);
    let labels: Vec<u32> = (0..samples as u32).map(|n| n % classes as u32).collect();
    let p = launches::similarity(samples, positions, channels, classes).unwrap();
    let step = |body| launches::similarity_step(body, &p).unwrap();
    let (x_on, labels_on) = (run.floats(&x), run.words(&labels));
    let (mean, deviations) = (run.room(rows), run.room(rows));
    if positions > 1 {
        let memory = [(Some(&x_on), len), (Some(&mean), rows), (Some(&deviations), rows)];
        run.launch(&step(Body::Deviation), &memory)?;
    }
    let features = if positions > 1 { &deviations } else { &x_on };
    let (units, norms, errors) = (run.room(rows), run.room(samples), run.room(samples * samples));
    let (parts, found, d) = (run.room(samples), run.room(1), run.room(rows));
    let memory = [(Some(features), rows), (Some(&units), rows), (Some(&norms), samples)];
    run.launch(&step(Body::SimilarityRows), &memory)?;
    let memory = [
        (Some(&units), rows),
        (Some(&labels_on), samples),
        (Some(&errors), samples * samples),
        (Some(&parts), samples),
    ];
    run.launch(&step(Body::SimilarityErrors), &memory)?;
    let memory =
        [(Some(&errors), samples * samples), (Some(&units), rows), (Some(&norms), samples), (Some(&d), rows)];
    run.launch(&step(Body::SimilarityBackward), &memory)?;
    let sum = scaled(Body::SumParts, samples, 1.0 / (samples * samples) as f32).unwrap();
    run.launch(&sum, &[(Some(&parts), samples), (Some(&found), 1)])?;
    let loss = |x: &[f64]| similarity_twin(x, &labels, positions, channels, classes);
    run.near("the loss", &found, &[loss(&x)], 1e-6)?;
    let gradient = finite_difference(loss, &x);
    if positions == 1 {
        return run.near("d_x", &d, &gradient, NEAR);
    }
    let d_x = run.room(len);
    let memory = [
        (Some(&x_on), len),
        (Some(&mean), rows),
        (Some(&deviations), rows),
        (Some(&d), rows),
        (Some(&d_x), len),
    ];
    run.launch(&step(Body::DeviationBackward), &memory)?;
    run.near("d_x through deviations", &d_x, &gradient, NEAR)
}
