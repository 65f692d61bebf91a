//! Batch norm: moments, sums, what is made of them, and what is written through one; residual sums and masks.

use crate::common::{ACTIVATIONS, Random, activated};
use crate::reference::{ALL, Read, clamped, is_inside, round};
use crate::run::{Case, NEAR, Outcome, Run, in_every_order};
use localgrad::device::arguments::Norm;
use localgrad::device::emulated::Memory;
use localgrad::device::launches::conv::WithParts;
use localgrad::device::launches::elements::kind;
use localgrad::device::launches::norm::{self as launches, NORM_ROWS};
use localgrad::device::table::body::{Body, Element};
use localgrad::device::table::kernel::ReadKind::{Normalized, Through};
use localgrad::maps::activation::Activation;

pub(crate) const CASES: [(&str, Case); 8] = [
    ("40 channels", |run| moments_and_sums(run, 150, 40, 0.0)),
    ("odd channels", |run| moments_and_sums(run, 67, 5, 0.0)),
    ("one row", |run| moments_and_sums(run, 1, 4, 0.0)),
    ("a mean far from 0", |run| moments_and_sums(run, 300, 8, 3000.0)),
    ("what is applied", |run| applied(run, 37, 8)),
    ("what is applied to odd channels", |run| applied(run, 21, 5)),
    ("constant statistics", constant),
    ("residual sums", |run| {
        residual_sums(run, 37, 8)?;
        residual_sums(run, 23, 5)
    }),
];

#[test]
fn norms_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

const EPSILON: f64 = 1e-5;

/// Finishes the moments of `y: [rows, channels]`, and holds the norm against the twin's.
pub(crate) fn check_moments(
    run: &mut Run<'_>,
    parts: &Memory,
    with_parts: &WithParts,
    y: &[f64],
    channels: usize,
) -> Outcome<()> {
    let p = Norm {
        tiles: with_parts.parts as u32,
        tile_rows: with_parts.part_rows as u32,
        ..launches::arguments(y.len() / channels, channels).unwrap()
    };
    finish_moments(run, parts, p, y)
}

fn finish_moments(run: &mut Run<'_>, parts: &Memory, p: Norm, y: &[f64]) -> Outcome<()> {
    let (rows, channels) = (p.rows as usize, p.channels as usize);
    let p = Norm { epsilon: EPSILON as f32, ..p };
    let mut random = Random::new(19);
    let weight: Vec<f64> = random.numbers(channels).iter().map(|w| round(1.0 + 0.3 * w)).collect();
    let bias = random.numbers(channels);
    let (weight_on, bias_on) = (run.floats(&weight), run.floats(&bias));
    let (norm, variance) = (run.room(NORM_ROWS * channels), run.room(channels));
    let memory = [
        (Some(parts), 2 * p.tiles as usize * channels),
        (Some(&weight_on), channels),
        (Some(&bias_on), channels),
        (Some(&norm), NORM_ROWS * channels),
        (Some(&variance), channels),
    ];
    run.launch(&launches::finish(Body::NormFinish, &p).unwrap(), &memory)?;
    let statistics = run.room(2 * channels);
    let memory = [(Some(parts), 2 * p.tiles as usize * channels), (Some(&statistics), 2 * channels)];
    run.launch(&launches::finish(Body::NormStatistics, &p).unwrap(), &memory)?;
    let (mut twin, mut variances) = (vec![0.0; 3 * channels], vec![]);
    for c in 0..channels {
        let column = || y.iter().skip(c).step_by(channels);
        let mean = column().sum::<f64>() / rows as f64;
        let variance = column().map(|y| (y - mean) * (y - mean)).sum::<f64>() / rows as f64;
        twin[c] = mean;
        variances.push(variance);
        twin[channels + c] = weight[c] / (variance + EPSILON).sqrt();
        twin[2 * channels + c] = bias[c];
    }
    for (i, what) in ["mean", "scale", "bias"].iter().enumerate() {
        run.near_from(i * channels, what, &norm, &twin[i * channels..][..channels], 1e-4)?;
    }
    run.near("the mean alone", &statistics, &twin[..channels], 1e-4)?;
    run.near_from(channels, "the variance alone", &statistics, &variances, 5e-5)?;
    run.near("the variance", &variance, &variances, 5e-5)
}

/// Finishes the sums of a gradient `d` of the output of `norm`, and holds what comes of them against the twin's.
pub(crate) fn check_sums(
    run: &mut Run<'_>,
    parts: &Memory,
    with_parts: &WithParts,
    norm: &Read,
    d: &[f64],
) -> Outcome<()> {
    let channels = norm.channels;
    let p =
        Norm { tiles: with_parts.parts as u32, ..launches::arguments(d.len() / channels, channels).unwrap() };
    finish_sums(run, parts, p, norm, d)
}

fn finish_sums(run: &mut Run<'_>, parts: &Memory, p: Norm, norm: &Read, d: &[f64]) -> Outcome<()> {
    let (rows, channels) = (f64::from(p.rows), p.channels as usize);
    let (norm_on, through) = (run.floats(&norm.norm), run.room(norm.norm.len()));
    let (d_weight, d_bias) = (run.room(channels), run.room(channels));
    let memory = [
        (Some(parts), 2 * p.tiles as usize * channels),
        (Some(&norm_on), norm.norm.len()),
        (Some(&through), norm.norm.len()),
        (Some(&d_weight), channels),
        (Some(&d_bias), channels),
    ];
    run.launch(&launches::finish(Body::NormSumsFinish, &p).unwrap(), &memory)?;
    let sums = norm.sums(d);
    let inverse = &norm.norm[5 * channels..];
    let mut twin = norm.norm.clone();
    for c in 0..channels {
        twin[3 * channels + c] = sums[c] / rows;
        twin[4 * channels + c] = sums[channels + c] / rows * inverse[c] * inverse[c];
    }
    let products: Vec<f64> = (0..channels).map(|c| sums[channels + c] * inverse[c]).collect();
    run.near("d_weight of the norm", &d_weight, &products, 1e-4)?;
    run.near("d_bias of the norm", &d_bias, &sums[..channels], 1e-4)?;
    run.near("centre and slope", &through, &twin, 1e-4)
}

fn moments_and_sums(run: &mut Run<'_>, rows: usize, channels: usize, centre: f64) -> Outcome<()> {
    let mut random = Random::new(23);
    let mut z = Read::new(&mut random, Normalized, rows * channels, channels, [0.0, 1.0]);
    z.x.iter_mut().for_each(|x| *x = round(*x + centre));
    z.norm[..channels].iter_mut().for_each(|mean| *mean = round(*mean + centre));
    let d = random.numbers(rows * channels);
    let p = Norm { bounds: z.bounds, ..launches::arguments(rows, channels).unwrap() };
    let parts_len = 2 * p.tiles as usize * channels;
    let (x, d_on, norm) = (run.floats(&z.x), run.floats(&d), run.floats(&z.norm));
    let len = rows * channels;

    let parts = run.room(parts_len);
    let memory = [(Some(&x), len), (Some(&parts), parts_len)];
    run.launch(&launches::parts(Body::NormMoments, &p).unwrap(), &memory)?;
    finish_moments(run, &parts, p, &z.x)?;

    let parts = run.room(parts_len);
    let memory =
        [(Some(&d_on), len), (Some(&x), len), (Some(&norm), z.norm.len()), (Some(&parts), parts_len)];
    run.launch(&launches::parts(Body::NormSums, &p).unwrap(), &memory)?;
    finish_sums(run, &parts, p, &z, &d)?;

    let parts = run.room(parts_len / 2);
    let memory = [(Some(&d_on), len), (Some(&parts), parts_len / 2)];
    run.launch(&launches::parts(Body::ColumnParts, &p).unwrap(), &memory)?;
    let mut twin = vec![0.0; parts_len / 2];
    for (i, d) in d.iter().enumerate() {
        twin[i / channels / 64 * channels + i % channels] += d;
    }
    run.near("the sums of columns", &parts, &twin, NEAR)
}

fn applied(run: &mut Run<'_>, rows: usize, channels: usize) -> Outcome<()> {
    let len = rows * channels;
    let mut random = Random::new(29);
    let z = Read::new(&mut random, Normalized, len, channels, [0.0, 1.0]);
    let (x, other, norm) = (run.floats(&z.x), run.floats(&z.other), run.floats(&z.norm));
    let p = Norm { bounds: z.bounds, ..launches::arguments(rows, channels).unwrap() };
    let memory = |out| [(Some(&x), len), (None, 0), (Some(&norm), z.norm.len()), (Some(out), len)];
    let out = run.room(len);
    run.launch(&launches::apply(Normalized, &p).unwrap(), &memory(&out))?;
    run.near("a clamp of the norm", &out, &z.all(), NEAR)?;
    for activation in ACTIVATIONS {
        behind(run, &z, activation)?;
    }
    // Over what the norm read.
    let through = Read { source: Through, ..z };
    let memory = [(Some(&x), len), (Some(&other), len), (Some(&norm), through.norm.len()), (Some(&x), len)];
    run.launch(&launches::apply(Through, &p).unwrap(), &memory)?;
    run.near("the gradient in place", &x, &through.all(), NEAR)
}

/// An activation behind the norm, and its slope.
fn behind(run: &mut Run<'_>, z: &Read, activation: Activation) -> Outcome<()> {
    let (len, channels) = (z.x.len(), z.channels);
    let (kind, slope) = kind(Some(activation));
    let p = Norm { kind, slope, ..launches::arguments(len / channels, channels).unwrap() };
    let (x, norm, out) = (run.floats(&z.x), run.floats(&z.norm), run.room(len));
    let memory = [(Some(&x), len), (None, 0), (Some(&norm), z.norm.len()), (Some(&out), len)];
    run.launch(&launches::apply(Normalized, &p).unwrap(), &memory)?;
    let unbounded = |i: usize| {
        let (c, channels) = (i % channels, channels);
        (z.x[i] - z.norm[c]) * z.norm[channels + c] + z.norm[2 * channels + c]
    };
    let twin: Vec<f64> = (0..len).map(|i| activated(unbounded(i), Some(activation))).collect();
    run.near("an activation of the norm", &out, &twin, NEAR)?;
    let d = run.floats(&z.other);
    let memory = [(Some(&d), len), (Some(&x), len), (Some(&norm), z.norm.len())];
    run.launch(&launches::slope(&p).unwrap(), &memory)?;
    let twin: Vec<f64> =
        (0..len).map(|i| z.other[i] * f64::from(activation.derivative(unbounded(i) as f32))).collect();
    run.near("the slope of an activation", &d, &twin, NEAR)
}

fn constant(run: &mut Run<'_>) -> Outcome<()> {
    let channels = 300;
    let mut random = Random::new(31);
    let (weight, bias) = (random.numbers(channels), random.numbers(channels));
    let mut running = random.numbers(2 * channels);
    running[channels..].iter_mut().for_each(|variance| *variance = round(variance.abs() + 0.1));
    let (weight_on, bias_on) = (run.floats(&weight), run.floats(&bias));
    let (mean_on, variance_on) = (run.floats(&running[..channels]), run.floats(&running[channels..]));
    let norm = run.room(NORM_ROWS * channels);
    let p = Norm { epsilon: EPSILON as f32, ..launches::arguments(1, channels).unwrap() };
    let memory = [
        (Some(&weight_on), channels),
        (Some(&bias_on), channels),
        (Some(&mean_on), channels),
        (Some(&variance_on), channels),
        (Some(&norm), NORM_ROWS * channels),
    ];
    run.launch(&launches::of(&p).unwrap(), &memory)?;
    let inverse: Vec<f64> = running[channels..].iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    let mut twin = running[..channels].to_vec();
    twin.extend((0..channels).map(|c| weight[c] * inverse[c]));
    twin.extend(bias);
    twin.extend(vec![0.0; 2 * channels]);
    twin.extend(inverse);
    run.near("the norm of constant statistics", &norm, &twin, NEAR)
}

fn residual_sums(run: &mut Run<'_>, rows: usize, channels: usize) -> Outcome<()> {
    let len = rows * channels;
    let mut random = Random::new(37);
    let bounds = [0.0, f32::INFINITY];
    let main = Read::new(&mut random, Normalized, len, channels, ALL);
    let around = Read::new(&mut random, Normalized, len, channels, ALL);
    let plain: Vec<f64> = around.x.clone();
    let (x, x_norm) = (run.floats(&main.x), run.floats(&main.norm));
    let (around_on, around_norm) = (run.floats(&around.x), run.floats(&around.norm));
    let mask_len = len.div_ceil(8);
    for flags in [launches::WRITES_MASK, launches::WRITES_MASK | launches::BOTH_NORMALIZED, 0] {
        let p = Norm { bounds, flags, ..launches::arguments(rows, channels).unwrap() };
        let (y, mask) = (run.room(len), run.empty(Element::U8, mask_len));
        let memory = [
            (Some(&x), len),
            (Some(&x_norm), main.norm.len()),
            (Some(&around_on), len),
            (Some(&around_norm), around.norm.len()),
            (Some(&y), len),
            (Some(&mask), mask_len),
        ];
        run.launch(&launches::masked(Body::ResidualSum, &p).unwrap(), &memory)?;
        let other = if flags & launches::BOTH_NORMALIZED != 0 { around.all() } else { plain.clone() };
        let twin: Vec<f64> = main.all().iter().zip(other).map(|(a, b)| clamped(a + b, bounds)).collect();
        run.near("the residual sum", &y, &twin, NEAR)?;
        if flags != 0 {
            check_mask(run, &mask, &y, p)?;
        }
    }
    Ok(())
}

/// The mask is that of `y`, as the mask's own kernel finds it; and applied it leaves what is inside.
fn check_mask(run: &mut Run<'_>, mask: &Memory, y: &Memory, p: Norm) -> Outcome<()> {
    let len = p.elements as usize;
    let mask_len = len.div_ceil(8);
    let inside: Vec<bool> = run.read(y, len).iter().map(|&y| is_inside(y.into(), p.bounds)).collect();
    let own = run.empty(Element::U8, mask_len);
    let memory = [(Some(y), len), (Some(&own), mask_len)];
    run.launch(&launches::masked(Body::MaskOf, &p).unwrap(), &memory)?;
    for mask in [mask, &own] {
        let bits = run.read_bytes(mask, mask_len);
        if let Some(i) = (0..len).find(|&i| (bits[i / 8] >> (i % 8) & 1 == 1) != inside[i]) {
            return Err(format!("bit {i} of the mask is not that of the sum"));
        }
    }
    let numbers = Random::new(41).numbers(len);
    let d = run.floats(&numbers);
    let memory = [(Some(&d), len), (Some(mask), mask_len)];
    run.launch(&launches::masked(Body::MaskApply, &p).unwrap(), &memory)?;
    let twin: Vec<f64> =
        numbers.iter().zip(inside).map(|(&d, inside)| if inside { d } else { 0.0 }).collect();
    run.near("what is masked", &d, &twin, 0.0)
}
