//! Norms of each sample by itself, and slopes of channels, against f64.

use crate::common::Random;
use crate::run::{Case, NEAR, Outcome, Run, in_every_order};
use localgrad::device::launches::group_norm as launches;
use localgrad::device::launches::reorder;
use localgrad::device::table::body::Body;
use localgrad::kernels::group_norm::Sizes;

pub(crate) const CASES: [(&str, Case); 4] = [
    ("group norm", |run| groups(run, 3, Sizes { rows: 35, channels: 12, groups: 3 })),
    ("layer norm", |run| groups(run, 21, Sizes { rows: 1, channels: 300, groups: 1 })),
    ("response norm", response),
    ("slopes of channels", slopes),
];

#[test]
fn norms_of_samples_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

const EPSILON: f64 = 1e-5;

/// The group of an element, and its channel.
fn place(at: usize, sizes: Sizes) -> (usize, usize) {
    let (row, c) = (at / sizes.channels, at % sizes.channels);
    (row / sizes.rows * sizes.groups + c / (sizes.channels / sizes.groups), c)
}

/// The mean of each group of what `f` makes of its elements.
fn means(len: usize, sizes: Sizes, f: impl Fn(usize) -> f64) -> Vec<f64> {
    let count = sizes.rows * sizes.channels / sizes.groups;
    let mut means = vec![0.0; len / count];
    (0..len).for_each(|at| means[place(at, sizes).0] += f(at) / count as f64);
    means
}

fn groups(run: &mut Run<'_>, samples: usize, sizes: Sizes) -> Outcome<()> {
    let (len, channels) = (samples * sizes.rows * sizes.channels, sizes.channels);
    let mut random = Random::new(103);
    let (x, d) = (random.numbers(len), random.numbers(len));
    let (weight, bias) = (random.numbers(channels), random.numbers(channels));
    let mean = means(len, sizes, |at| x[at]);
    let centred = |at: usize| x[at] - mean[place(at, sizes).0];
    let variance = means(len, sizes, |at| centred(at).powi(2));
    let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    let normalized = |at: usize| centred(at) * inverse[place(at, sizes).0];
    let weighted = |at: usize| d[at] * weight[place(at, sizes).1];
    let (centre, along) =
        (means(len, sizes, weighted), means(len, sizes, |at| weighted(at) * normalized(at)));

    let p = launches::arguments(len, sizes, EPSILON).unwrap();
    let step = |body| launches::step(body, &p).unwrap();
    let numbers = 2 * mean.len();
    let (x_on, d_on) = (run.floats(&x), run.floats(&d));
    let (weight_on, bias_on) = (run.floats(&weight), run.floats(&bias));
    let (moments, sums, y, products) = (run.room(numbers), run.room(numbers), run.room(len), run.room(len));
    let (of_x, of_weight) = ((Some(&x_on), len), (Some(&weight_on), channels));
    let of_moments = (Some(&moments), numbers);
    run.launch(&step(Body::GroupMoments), &[of_x, of_moments])?;
    let pairs = |a: &[f64], b: &[f64]| a.iter().zip(b).flat_map(|(&a, &b)| [a, b]).collect::<Vec<_>>();
    run.near("moments", &moments, &pairs(&mean, &inverse), NEAR)?;
    let memory = [of_x, of_moments, of_weight, (Some(&bias_on), channels), (Some(&y), len)];
    run.launch(&step(Body::GroupApply), &memory)?;
    let twin = |at: usize| weight[at % channels] * normalized(at) + bias[at % channels];
    run.near("y", &y, &(0..len).map(twin).collect::<Vec<_>>(), NEAR)?;

    let of_d = (Some(&d_on), len);
    let memory = [of_d, of_x, of_moments, of_weight, (Some(&sums), numbers)];
    run.launch(&step(Body::GroupSums), &memory)?;
    run.near("sums", &sums, &pairs(&centre, &along), NEAR)?;
    let memory = [of_d, of_x, of_moments, (Some(&sums), numbers), of_weight, (Some(&products), len)];
    run.launch(&step(Body::GroupBackward), &memory)?;
    run.near("products", &products, &(0..len).map(|at| d[at] * normalized(at)).collect::<Vec<_>>(), NEAR)?;
    let d_x = |at: usize| {
        let group = place(at, sizes).0;
        (weighted(at) - centre[group] - normalized(at) * along[group]) * inverse[group]
    };
    run.near("d_x", &d_on, &(0..len).map(d_x).collect::<Vec<_>>(), NEAR)
}

fn response(run: &mut Run<'_>) -> Outcome<()> {
    const RESPONSE_EPSILON: f64 = 1e-6;
    let (samples, channels) = (3, 270);
    let mut random = Random::new(107);
    let mut squares: Vec<f64> = random.numbers(samples * channels).iter().map(|x| x.abs()).collect();
    squares[5] = 0.0;
    let (products, weight) = (random.numbers(squares.len()), random.numbers(channels));
    let mean = |n: usize| {
        let norms = squares[n * channels..][..channels].iter().map(|s| s.sqrt());
        norms.sum::<f64>() / channels as f64 + RESPONSE_EPSILON
    };
    let d_mean = |n: usize| {
        let term = |c: usize| products[n * channels + c] * weight[c] * squares[n * channels + c].sqrt();
        (0..channels).map(term).sum::<f64>() / channels as f64 / mean(n).powi(2)
    };
    let factor = |at: usize| 1.0 + weight[at % channels] * squares[at].sqrt() / mean(at / channels);
    let of_x = |at: usize| {
        let d_norm = products[at] * weight[at % channels] / mean(at / channels) - d_mean(at / channels);
        if squares[at] > 0.0 { d_norm / squares[at].sqrt() } else { 0.0 }
    };
    let d_weight = |at: usize| products[at] * squares[at].sqrt() / mean(at / channels);
    let all = |f: &dyn Fn(usize) -> f64| (0..samples * channels).map(f).collect::<Vec<_>>();

    let len = squares.len();
    let launch = |body| launches::response(body, samples, channels, RESPONSE_EPSILON).unwrap();
    let (squares_on, products_on) = (run.floats(&squares), run.floats(&products));
    let weight_on = run.floats(&weight);
    let (factors, of_x_on, d_weight_on) = (run.room(len), run.room(len), run.room(len));
    let (of_squares, of_weight) = ((Some(&squares_on), len), (Some(&weight_on), channels));
    run.launch(&launch(Body::ResponseFactors), &[of_squares, of_weight, (Some(&factors), len)])?;
    run.near("factors", &factors, &all(&factor), NEAR)?;
    let memory =
        [of_squares, (Some(&products_on), len), of_weight, (Some(&of_x_on), len), (Some(&d_weight_on), len)];
    run.launch(&launch(Body::ResponseBackward), &memory)?;
    run.near("what x is multiplied by", &of_x_on, &all(&of_x), NEAR)?;
    run.near("d_weight", &d_weight_on, &all(&d_weight), NEAR)
}

fn slopes(run: &mut Run<'_>) -> Outcome<()> {
    // Three groups; the last has fewer rows.
    let (rows, channels, each) = (131, 12, 50);
    let len = rows * channels;
    let mut random = Random::new(109);
    let (mut x, d, slopes) = (random.numbers(len), random.numbers(len), random.numbers(3 * channels));
    (x[0], x[1]) = (0.0, f64::NAN);
    let slope = |at: usize| slopes[at / channels / each * channels + at % channels];
    let all = |f: &dyn Fn(usize) -> f64| (0..len).map(f).collect::<Vec<_>>();
    let launch = |body| reorder::with_channels(body, len, each, channels).unwrap();
    let (x_on, d_on, slopes_on) = (run.floats(&x), run.floats(&d), run.floats(&slopes));
    let (y, products) = (run.room(len), run.room(len));
    let (of_x, of_slopes) = ((Some(&x_on), len), (Some(&slopes_on), slopes.len()));
    run.launch(&launch(Body::Prelu), &[of_x, of_slopes, (Some(&y), len)])?;
    run.near("y", &y, &all(&|at| if x[at] > 0.0 { x[at] } else { slope(at) * x[at] }), 1e-7)?;
    let memory = [(Some(&d_on), len), of_x, of_slopes, (Some(&products), len)];
    run.launch(&launch(Body::PreluBackward), &memory)?;
    run.near("products", &products, &all(&|at| if x[at] > 0.0 { 0.0 } else { d[at] * x[at] }), 1e-7)?;
    run.near("d_x", &d_on, &all(&|at| if x[at] > 0.0 { d[at] } else { slope(at) * d[at] }), 1e-7)
}
