//! A residual unit, forward and backward, in launches that read through both norms: nothing normalized is in memory. All
//! gradients are held against finite differences of the unit in f64.

use crate::common::{Random, finite_difference};
use crate::conv::geometry;
use crate::reference::{ALL, on_device, products, round};
use crate::run::{Case, Outcome, Run, in_every_order};
use localgrad::device::arguments::Norm;
use localgrad::device::emulated::Memory;
use localgrad::device::launches::conv::{self as convs, WithParts};
use localgrad::device::launches::norm::{self as norms, NORM_ROWS};
use localgrad::device::launches::update::sum_splits;
use localgrad::device::table::all::Class;
use localgrad::device::table::body::{Body, Element};
use localgrad::device::table::kernel::ReadKind::{Normalized, Plain, Through};
use localgrad::kernels::conv::Geometry;

pub(crate) const CASES: [(&str, Case); 1] = [("a residual unit", unit)];

#[test]
fn gradients_of_a_residual_unit_are_its_differences() {
    in_every_order(unit);
}

const CHANNELS: usize = 8;
const RELU: [f32; 2] = [0.0, f32::INFINITY];
const EPSILON: f64 = 1e-5;

/// The weight and bias of a norm, and its rows on the device.
struct NormOf {
    weight: Vec<f64>,
    bias: Vec<f64>,
    on: Memory,
}

impl NormOf {
    fn new(run: &Run<'_>, random: &mut Random) -> Self {
        let weight = random.numbers(CHANNELS).iter().map(|w| round(1.0 + 0.4 * w)).collect();
        Self { weight, bias: random.numbers(CHANNELS), on: run.room(NORM_ROWS * CHANNELS) }
    }

    fn slot(&self) -> (Option<&Memory>, usize) {
        (Some(&self.on), NORM_ROWS * CHANNELS)
    }

    fn finish(&self, run: &Run<'_>, g: &Geometry, parts: &Memory, with_parts: &WithParts) -> Outcome<()> {
        let p = Norm {
            tiles: with_parts.parts as u32,
            tile_rows: with_parts.part_rows as u32,
            epsilon: EPSILON as f32,
            ..norms::arguments(g.y_len() / CHANNELS, CHANNELS).unwrap()
        };
        let (weight, bias, variance) = (run.floats(&self.weight), run.floats(&self.bias), run.room(CHANNELS));
        let memory = [
            (Some(parts), with_parts.parts_len),
            (Some(&weight), CHANNELS),
            (Some(&bias), CHANNELS),
            self.slot(),
            (Some(&variance), CHANNELS),
        ];
        run.launch(&norms::finish(Body::NormFinish, &p).unwrap(), &memory)
    }

    /// The gradients of weight and bias; centre and slope are written.
    fn finish_sums(&self, run: &Run<'_>, g: &Geometry, parts: &Memory, count: usize) -> Outcome<[Memory; 2]> {
        let p = Norm { tiles: count as u32, ..norms::arguments(g.y_len() / CHANNELS, CHANNELS).unwrap() };
        let gradients = [run.room(CHANNELS), run.room(CHANNELS)];
        let memory = [
            (Some(parts), 2 * count * CHANNELS),
            self.slot(),
            self.slot(),
            (Some(&gradients[0]), CHANNELS),
            (Some(&gradients[1]), CHANNELS),
        ];
        run.launch(&norms::finish(Body::NormSumsFinish, &p).unwrap(), &memory)?;
        Ok(gradients)
    }
}

/// `z` of a convolution that reads `x`, plainly or through `by`; its moments go to `after`.
fn forward(
    run: &Run<'_>,
    g: &Geometry,
    (x, by): (&Memory, Option<&NormOf>),
    weight: &Memory,
    after: &NormOf,
) -> Outcome<Memory> {
    let map = if by.is_some() { Normalized } else { Plain };
    let read = convs::Read { map, bounds: RELU, ..Default::default() };
    let with_parts = convs::forward(g, &read, convs::WITH_MOMENTS, Class::Scalar).unwrap();
    let (z, parts) = (run.room(g.y_len()), run.room(with_parts.parts_len));
    let none = (None, 0);
    let memory = [
        (Some(x), g.x_len()),
        none,
        by.map_or(none, NormOf::slot),
        (Some(weight), g.weight_len()),
        none,
        none,
        none,
        none,
        none,
        (Some(&z), g.y_len()),
        (Some(&parts), with_parts.parts_len),
    ];
    run.launch(&with_parts.launch, &memory)?;
    after.finish(run, g, &parts, &with_parts)?;
    Ok(z)
}

/// The gradient of a convolution's input through the norm behind it, and the sums for the norm before, or `beside` added.
fn d_input(
    run: &Run<'_>,
    g: &Geometry,
    (z, d, by): (&Memory, &Memory, &NormOf),
    (weight, bounds): (&Memory, [f32; 2]),
    before: Option<(&Memory, &NormOf)>,
    beside: Option<&Memory>,
) -> Outcome<(Memory, Memory, WithParts)> {
    let read = convs::Read { gradient: Through, norm_bounds: bounds, bounds: RELU, ..Default::default() };
    let flags = if before.is_some() { convs::WITH_SUMS } else { 0 }
        | if beside.is_some() { convs::WITH_BESIDE } else { 0 };
    let with_parts = convs::d_input(g, &read, flags, Class::Scalar).unwrap();
    let (d_x, parts) = (run.room(g.x_len()), run.room(with_parts.parts_len));
    let memory = [
        (Some(z), g.y_len()),
        (Some(d), g.y_len()),
        by.slot(),
        (Some(weight), g.weight_len()),
        (None, 0),
        (beside, g.x_len()),
        (None, 0),
        (before.map(|(x, _)| x), g.x_len()),
        before.map_or((None, 0), |(_, norm)| norm.slot()),
        (Some(&d_x), g.x_len()),
        (Some(&parts), with_parts.parts_len),
    ];
    run.launch(&with_parts.launch, &memory)?;
    Ok((d_x, parts, with_parts))
}

/// The whole gradient of a weight.
fn d_weight(
    run: &Run<'_>,
    g: &Geometry,
    (x, x_by): (&Memory, Option<&NormOf>),
    (z, d, by): (&Memory, &Memory, &NormOf),
    bounds: [f32; 2],
) -> Outcome<Memory> {
    let map = if x_by.is_some() { Normalized } else { Plain };
    let read =
        convs::Read { map, bounds: RELU, gradient: Through, norm_bounds: bounds, ..Default::default() };
    let with_parts = convs::d_weight(g, &read, Class::Scalar).unwrap();
    let parts = run.room(with_parts.parts_len);
    let memory = [
        (Some(x), g.x_len()),
        (None, 0),
        x_by.map_or((None, 0), NormOf::slot),
        (Some(d), g.y_len()),
        (Some(z), g.y_len()),
        by.slot(),
        (Some(&parts), with_parts.parts_len),
    ];
    run.launch(&with_parts.launch, &memory)?;
    let len = g.weight_len();
    let whole = run.room(len);
    let memory = [(Some(&parts), with_parts.parts_len), (Some(&whole), len)];
    run.launch(&sum_splits(len, with_parts.parts).unwrap(), &memory)?;
    Ok(whole)
}

fn unit(run: &mut Run<'_>) -> Outcome<()> {
    let g = geometry([2, 4, 3, CHANNELS], CHANNELS, 3, 1, 1, 1, 1);
    let len = g.x_len();
    let mut random = Random::new(103);
    let (x, d_y) = (random.numbers(len), random.numbers(len));
    let weights = [random.numbers(g.weight_len()), random.numbers(g.weight_len())];
    let [norm1, norm2] = [NormOf::new(run, &mut random), NormOf::new(run, &mut random)];
    let x_on = run.floats(&x);
    let [weight1, weight2] = [&weights[0], &weights[1]].map(|w| run.floats(&on_device(&g, w)));
    let z1 = forward(run, &g, (&x_on, None), &weight1, &norm1)?;
    let z2 = forward(run, &g, (&z1, Some(&norm1)), &weight2, &norm2)?;
    let p = Norm {
        bounds: RELU,
        flags: norms::WRITES_MASK,
        ..norms::arguments(len / CHANNELS, CHANNELS).unwrap()
    };
    let (y, mask, d) = (run.room(len), run.empty(Element::U8, len / 8), run.floats(&d_y));
    let memory = [
        (Some(&z2), len),
        norm2.slot(),
        (Some(&x_on), len),
        (None, 0),
        (Some(&y), len),
        (Some(&mask), len / 8),
    ];
    run.launch(&norms::masked(Body::ResidualSum, &p).unwrap(), &memory)?;
    run.launch(&norms::masked(Body::MaskApply, &p).unwrap(), &[(Some(&d), len), (Some(&mask), len / 8)])?;

    let p = Norm { bounds: ALL, ..p };
    let parts = run.room(2 * p.tiles as usize * CHANNELS);
    let memory =
        [(Some(&d), len), (Some(&z2), len), norm2.slot(), (Some(&parts), 2 * p.tiles as usize * CHANNELS)];
    run.launch(&norms::parts(Body::NormSums, &p).unwrap(), &memory)?;
    let d_norm2 = norm2.finish_sums(run, &g, &parts, p.tiles as usize)?;
    let (d1, parts, with_parts) =
        d_input(run, &g, (&z2, &d, &norm2), (&weight2, ALL), Some((&z1, &norm1)), None)?;
    let d_weight2 = d_weight(run, &g, (&z1, Some(&norm1)), (&z2, &d, &norm2), ALL)?;
    let d_norm1 = norm1.finish_sums(run, &g, &parts, with_parts.parts)?;
    let (d_x, ..) = d_input(run, &g, (&z1, &d1, &norm1), (&weight1, RELU), None, Some(&d))?;
    let d_weight1 = d_weight(run, &g, (&x_on, None), (&z1, &d1, &norm1), RELU)?;

    let twin = Twin { g, x, weights, norms: [norm1, norm2].map(|norm| [norm.weight, norm.bias]), d_y };
    run.near(
        "d_x",
        &d_x,
        &finite_difference(|x| Twin { x: x.to_vec(), ..twin.clone() }.loss(), &twin.x),
        1e-4,
    )?;
    for (i, d) in [d_weight1, d_weight2].iter().enumerate() {
        let loss = |w: &[f64]| {
            let mut twin = twin.clone();
            twin.weights[i] = w.to_vec();
            twin.loss()
        };
        let gradient = on_device(&g, &finite_difference(loss, &twin.weights[i]));
        run.near("d_weight", d, &gradient, 1e-4)?;
    }
    for (i, gradients) in [d_norm1, d_norm2].iter().enumerate() {
        for (j, d) in gradients.iter().enumerate() {
            let loss = |numbers: &[f64]| {
                let mut twin = twin.clone();
                twin.norms[i][j] = numbers.to_vec();
                twin.loss()
            };
            run.near("a norm's gradient", d, &finite_difference(loss, &twin.norms[i][j]), 1e-4)?;
        }
    }
    Ok(())
}

/// The unit in f64, by its definition.
#[derive(Clone)]
struct Twin {
    g: Geometry,
    x: Vec<f64>,
    weights: [Vec<f64>; 2],
    norms: [[Vec<f64>; 2]; 2],
    d_y: Vec<f64>,
}

impl Twin {
    fn loss(&self) -> f64 {
        let inner: Vec<f64> = self.normalized(&self.x, 0).iter().map(|y| y.max(0.0)).collect();
        let outer = self.normalized(&inner, 1);
        let sums = outer.iter().zip(&self.x).map(|(a, b)| (a + b).max(0.0));
        sums.zip(&self.d_y).map(|(y, d)| y * d).sum()
    }

    fn normalized(&self, x: &[f64], i: usize) -> Vec<f64> {
        let mut z = vec![0.0; self.g.y_len()];
        products(&self.g, |y_at, x_at, w_at| z[y_at] += x[x_at] * self.weights[i][w_at]);
        let rows = (z.len() / CHANNELS) as f64;
        let [weight, bias] = &self.norms[i];
        for c in 0..CHANNELS {
            let column = || z.iter().skip(c).step_by(CHANNELS);
            let mean = column().sum::<f64>() / rows;
            let variance = column().map(|z| (z - mean).powi(2)).sum::<f64>() / rows;
            let scale = weight[c] / (variance + EPSILON).sqrt();
            z.iter_mut().skip(c).step_by(CHANNELS).for_each(|z| *z = (*z - mean) * scale + bias[c]);
        }
        z
    }
}
