//! The three passes of convolutions, read through everything, on every unit.

use crate::common::Random;
use crate::norm::{check_moments, check_sums};
use crate::reference::{ALL, Read, bilinear, device_index, on_device, products, resampled};
use crate::run::{Case, NEAR, Outcome, Run, in_every_order};
use localgrad::device::emulated::Memory;
use localgrad::device::launches::conv::{self as launches, WithParts};
use localgrad::device::launches::elements::upsampling;
use localgrad::device::launches::update::sum_splits;
use localgrad::device::table::all::Class;
use localgrad::device::table::kernel::ReadKind;
use localgrad::kernels::conv::Geometry;
use localgrad::maps::conv::ConvConfig;

use ReadKind::{Normalized, Plain, Sum, Through, Upsampled};

pub(crate) const CASES: [(&str, Case); 16] = [
    ("a 3x3 of even channels", |run| {
        let g = geometry([2, 7, 5, 8], 12, 3, 1, 1, 1, 1);
        all(run, &g, Class::Scalar, [Normalized, Through], NEAR)
    }),
    ("a 3x3 with stride 2, wide", |run| {
        let g = geometry([3, 9, 7, 20], 68, 3, 2, 1, 1, 1);
        all(run, &g, Class::Scalar, [Plain, Through], NEAR)
    }),
    ("a stem of 7x7 and 3 channels", |run| {
        let g = geometry([1, 13, 11, 3], 10, 7, 2, 3, 1, 1);
        all(run, &g, Class::Scalar, [Plain, Through], NEAR)
    }),
    ("a projection with stride 2 of a residual sum", |run| {
        let g = geometry([2, 6, 6, 16], 32, 1, 2, 0, 1, 1);
        all(run, &g, Class::Scalar, [Sum, Through], NEAR)
    }),
    ("odd channels, stride 3, dilation 2", |run| {
        let g = geometry([2, 11, 8, 5], 7, 3, 3, 2, 2, 1);
        all(run, &g, Class::Scalar, [Normalized, Plain], NEAR)
    }),
    ("stride 2 and dilation 2", |run| {
        let g = geometry([1, 10, 9, 4], 4, 3, 2, 2, 2, 1);
        all(run, &g, Class::Scalar, [Sum, Through], NEAR)
    }),
    ("groups", |run| {
        let g = geometry([2, 6, 5, 12], 24, 3, 1, 1, 1, 3);
        all(run, &g, Class::Scalar, [Normalized, Through], NEAR)
    }),
    ("odd groups with stride 2", |run| {
        let g = geometry([1, 7, 6, 10], 15, 3, 2, 1, 1, 5);
        all(run, &g, Class::Scalar, [Normalized, Through], NEAR)
    }),
    ("one pixel, which is a linear layer", |run| {
        let g = geometry([5, 1, 1, 12], 7, 1, 1, 0, 1, 1);
        all(run, &g, Class::Scalar, [Plain, Plain], NEAR)
    }),
    ("an up-sampled map", |run| {
        upsampled(run, [2, 3, 4, 8], [6, 8], 12)?;
        upsampled(run, [1, 4, 3, 3], [7, 6], 5)
    }),
    ("as many channels, in several splits", |run| {
        for (channels, map) in [(16, Plain), (16, Normalized), (24, Normalized), (68, Plain)] {
            let g = geometry([4, 17, 18, channels], channels, 3, 1, 1, 1, 1);
            all(run, &g, Class::Scalar, [map, Through], NEAR)?;
        }
        let g = geometry([3, 9, 7, 20], 24, 3, 2, 1, 1, 1);
        all(run, &g, Class::Scalar, [Normalized, Through], NEAR)
    }),
    ("three passes of TF32", |run| {
        for outputs in [12, 24, 68] {
            let g = geometry([2, 6, 5, 20], outputs, 3, 1, 1, 1, 1);
            all(run, &g, Class::TensorCores { passes: 3 }, [Normalized, Through], NEAR)?;
        }
        for channels in [12, 68] {
            let g = geometry([2, 6, 5, channels], channels, 3, 1, 1, 1, 1);
            all(run, &g, Class::TensorCores { passes: 3 }, [Plain, Through], NEAR)?;
        }
        Ok(())
    }),
    ("TF32", |run| {
        let g = geometry([2, 7, 5, 20], 24, 3, 2, 1, 1, 1);
        all(run, &g, Class::TensorCores { passes: 1 }, [Sum, Through], ELEVEN_BITS)
    }),
    ("f16 forward", |run| {
        for outputs in [12, 24, 68] {
            let g = geometry([2, 6, 5, 20], outputs, 3, 1, 1, 1, 1);
            all(run, &g, Class::HalfTensorCores, [Normalized, Through], ELEVEN_BITS)?;
        }
        let g = geometry([2, 7, 5, 20], 24, 3, 2, 1, 1, 1);
        all(run, &g, Class::HalfTensorCores, [Sum, Through], ELEVEN_BITS)
    }),
    ("numbers rounded to f16", rounded_to_f16),
    ("matrices of simdgroups", |run| {
        for outputs in [12, 24, 68] {
            let g = geometry([2, 5, 5, 20], outputs, 3, 2, 1, 1, 1);
            all(run, &g, Class::Simdgroups, [Sum, Through], NEAR)?;
        }
        for channels in [12, 24, 68] {
            let g = geometry([2, 5, 5, channels], channels, 3, 1, 1, 1, 1);
            all(run, &g, Class::Simdgroups, [Plain, Through], NEAR)?;
        }
        Ok(())
    }),
];

/// Error of a product of two factors of 11 bits is at most 2^-10 of it; of the largest of many sums, and of what is made of them
/// behind, this much.
const ELEVEN_BITS: f64 = 3e-3;

/// A product with the unit matrix is what it multiplies as an f16: to the nearest, of two as near the even one, small ones too.
fn rounded_to_f16(run: &mut Run<'_>) -> Outcome<()> {
    let two = |exponent: i32| 2f64.powi(exponent);
    let numbers = [
        (1.0 + two(-11), 1.0),
        (1.0 + 3.0 * two(-11), 1.0 + two(-9)),
        (-(1.0 + two(-11) + two(-20)), -(1.0 + two(-10))),
        (65519.0, 65504.0),
        (two(-14) + two(-25), two(-14)),
        (two(-24) * 1.5, two(-23)),
        (two(-25), 0.0),
        (two(-25) * 1.5, two(-24)),
    ];
    let g = geometry([1, 2, 1, 4], 4, 1, 1, 0, 1, 1);
    let x = run.floats(&numbers.map(|(number, _)| number));
    let weight: Vec<f64> = (0..16).map(|i| f64::from(u8::from(i % 5 == 0))).collect();
    let (weight, y) = (run.floats(&weight), run.room(8));
    let WithParts { launch, .. } =
        launches::forward(&g, &launches::Read::default(), 0, Class::HalfTensorCores).unwrap();
    let nothing = (None, 0);
    let slots = [(Some(&x), 8), nothing, nothing, (Some(&weight), 16)];
    let slots = [&slots[..], &[nothing; 5], &[(Some(&y), 8)]].concat();
    run.launch(&launch, &slots)?;
    let found: Vec<f64> = run.read(&y, 8).into_iter().map(f64::from).collect();
    let expected = numbers.map(|(_, rounded)| rounded);
    if found != expected {
        Err(format!("{found:?} are not {expected:?}"))
    } else {
        run.near("y", &y, &expected, 0.0)
    }
}

#[test]
fn all_passes_are_those_of_the_twin() {
    for (name, case) in CASES {
        println!("{name}");
        in_every_order(case);
    }
}

pub(crate) fn geometry(
    x_shape: [usize; 4],
    out_channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    groups: usize,
) -> Geometry {
    let config = ConvConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        dilation: [dilation; 2],
        groups,
    };
    config.geometry(&x_shape, &[out_channels, x_shape[3] / groups, kernel, kernel]).unwrap()
}

/// A clamp that some numbers are outside of.
pub(crate) const MAP_BOUNDS: [f32; 2] = [0.0, 1.5];
const GRADIENT_BOUNDS: [f32; 2] = [0.0, 1.2];

pub(crate) fn all(
    run: &mut Run<'_>,
    g: &Geometry,
    class: Class,
    [map, gradient]: [ReadKind; 2],
    tolerance: f64,
) -> Outcome<()> {
    let mut random = Random::new(7);
    let x = Read::new(&mut random, map, g.x_len(), g.in_channels, MAP_BOUNDS);
    let d = Read::new(&mut random, gradient, g.y_len(), g.out_channels, GRADIENT_BOUNDS);
    let weight = random.numbers(g.weight_len());
    forward(run, g, class, &x, &weight, tolerance)?;
    d_input(run, g, class, &d, &weight, tolerance)?;
    d_weight(run, g, class, &x, &d, tolerance)?;
    both(run, g, class, [&x, &d], &weight)
}

/// What is read, on the device: `x`, the other, the norm.
fn uploaded(run: &Run<'_>, read: &Read) -> [Memory; 3] {
    [run.floats(&read.x), run.floats(&read.other), run.floats(&read.norm)]
}

fn config(x: &Read, d: &Read) -> launches::Read {
    launches::Read {
        map: x.source,
        bounds: x.bounds,
        gradient: d.source,
        norm_bounds: d.bounds,
        ..Default::default()
    }
}

/// Nothing, read as it is.
fn nothing() -> Read {
    Read { source: Plain, x: vec![], other: vec![], norm: vec![], channels: 1, bounds: ALL }
}

fn forward(
    run: &mut Run<'_>,
    g: &Geometry,
    class: Class,
    x: &Read,
    weight: &[f64],
    tolerance: f64,
) -> Outcome<()> {
    let bias = Random::new(3).numbers(g.out_channels);
    let flags = launches::WITH_BIAS | launches::WITH_MOMENTS;
    let with_parts = launches::forward(g, &config(x, &nothing()), flags, class).unwrap();
    let [x_on, other, norm] = uploaded(run, x);
    let (weight_on, bias_on) = (run.floats(&on_device(g, weight)), run.floats(&bias));
    let (out, parts) = (run.room(g.y_len()), run.room(with_parts.parts_len));
    run.launch(
        &with_parts.launch,
        &[
            (Some(&x_on), x.x.len()),
            (Some(&other), x.other.len()),
            (Some(&norm), x.norm.len()),
            (Some(&weight_on), weight.len()),
            (Some(&bias_on), bias.len()),
            (None, 0),
            (None, 0),
            (None, 0),
            (None, 0),
            (Some(&out), g.y_len()),
            (Some(&parts), with_parts.parts_len),
        ],
    )?;
    let read = x.all();
    let mut y: Vec<f64> = (0..g.y_len()).map(|i| bias[i % g.out_channels]).collect();
    products(g, |y_at, x_at, w_at| y[y_at] += read[x_at] * weight[w_at]);
    run.near("y", &out, &y, tolerance)?;
    let y: Vec<f64> = run.read(&out, y.len()).into_iter().map(f64::from).collect();
    check_moments(run, &parts, &with_parts, &y, g.out_channels)
}

fn d_input(
    run: &mut Run<'_>,
    g: &Geometry,
    class: Class,
    d: &Read,
    weight: &[f64],
    tolerance: f64,
) -> Outcome<()> {
    let mut random = Random::new(5);
    let before = Read::new(&mut random, Normalized, g.x_len(), g.in_channels, MAP_BOUNDS);
    let beside = random.numbers(g.x_len());
    let mask: Vec<u8> = (0..g.x_len().div_ceil(8)).map(|_| random.next_u64() as u8).collect();
    let flags = launches::WITH_BESIDE | launches::WITH_MASK | launches::WITH_SUMS;
    let with_parts = launches::d_input(g, &config(&before, d), flags, class).unwrap();
    let [z, d_on, norm] = uploaded(run, d);
    let weight_on = run.floats(&on_device(g, weight));
    let (beside_on, mask_on) = (run.floats(&beside), run.bytes(&mask));
    let [before_x, _, before_norm] = uploaded(run, &before);
    let (out, parts) = (run.room(g.x_len()), run.room(with_parts.parts_len));
    run.launch(
        &with_parts.launch,
        &[
            (Some(&z), g.y_len()),
            (Some(&d_on), g.y_len()),
            (Some(&norm), d.norm.len()),
            (Some(&weight_on), weight.len()),
            (None, 0),
            (Some(&beside_on), g.x_len()),
            (Some(&mask_on), mask.len()),
            (Some(&before_x), g.x_len()),
            (Some(&before_norm), before.norm.len()),
            (Some(&out), g.x_len()),
            (Some(&parts), with_parts.parts_len),
        ],
    )?;
    let (read, mut d_x) = (d.all(), beside);
    products(g, |y_at, x_at, w_at| d_x[x_at] += read[y_at] * weight[w_at]);
    for (i, d_x) in d_x.iter_mut().enumerate() {
        *d_x = if mask[i / 8] >> (i % 8) & 1 == 1 { *d_x } else { 0.0 };
    }
    run.near("d_x", &out, &d_x, tolerance)?;
    let d_x: Vec<f64> = run.read(&out, d_x.len()).into_iter().map(f64::from).collect();
    check_sums(run, &parts, &with_parts, &before, &d_x)
}

fn d_weight(
    run: &mut Run<'_>,
    g: &Geometry,
    class: Class,
    x: &Read,
    d: &Read,
    tolerance: f64,
) -> Outcome<()> {
    let with_parts = launches::d_weight(g, &config(x, d), class).unwrap();
    let [x_on, other, norm] = uploaded(run, x);
    let [z, d_on, d_norm] = uploaded(run, d);
    let d_on = if d.source == Through { &d_on } else { &z };
    let parts = run.room(with_parts.parts_len);
    run.launch(
        &with_parts.launch,
        &[
            (Some(&x_on), x.x.len()),
            (Some(&other), x.other.len()),
            (Some(&norm), x.norm.len()),
            (Some(d_on), g.y_len()),
            (Some(&z), g.y_len()),
            (Some(&d_norm), d.norm.len()),
            (Some(&parts), with_parts.parts_len),
        ],
    )?;
    let (x_read, d_read) = (x.all(), d.all());
    let mut twin = vec![0.0; g.weight_len()];
    products(g, |y_at, x_at, w_at| twin[device_index(g, w_at)] += d_read[y_at] * x_read[x_at]);
    check_weight(run, g, &parts, &with_parts, &twin, tolerance)
}

/// Both gradients in one launch, where there is a kernel for that: of the bits that they have by a launch of their own each.
fn both(run: &mut Run<'_>, g: &Geometry, class: Class, [x, d]: [&Read; 2], weight: &[f64]) -> Outcome<()> {
    let mut random = Random::new(17);
    let beside = random.numbers(g.x_len());
    let mask: Vec<u8> = (0..g.x_len().div_ceil(8)).map(|_| random.next_u64() as u8).collect();
    let mut flags = launches::WITH_BESIDE | launches::WITH_MASK;
    flags |= if x.source == Normalized { launches::WITH_SUMS } else { 0 };
    let config = config(x, d);
    let Some(launches::Both { input, splits }) = launches::backward(g, &config, flags, class).unwrap() else {
        return Ok(());
    };
    let of_input = launches::d_input(g, &config, flags, class).unwrap();
    let of_weight = launches::d_weight(g, &config, class).unwrap();
    assert_eq!((input.parts_len, splits), (of_input.parts_len, of_weight.parts));
    let [x_on, _, x_norm] = uploaded(run, x);
    let [z, d_on, d_norm] = uploaded(run, d);
    let (weight_on, beside_on, mask_on) =
        (run.floats(&on_device(g, weight)), run.floats(&beside), run.bytes(&mask));
    let lens = [g.x_len(), input.parts_len, of_weight.parts_len];
    let [alone, together] = [0; 2].map(|_| lens.map(|len| run.room(len)));
    let (y_len, weight_len) = (g.y_len(), weight.len());
    let of_d = [(Some(&z), y_len), (Some(&d_on), y_len), (Some(&d_norm), d.norm.len())];
    let [x_slot, norm_slot] = [(Some(&x_on), x.x.len()), (Some(&x_norm), x.norm.len())];
    let [weight_slot, beside_slot] = [(Some(&weight_on), weight_len), (Some(&beside_on), g.x_len())];
    let mask_slot = (Some(&mask_on), mask.len());
    fn room(rooms: &[Memory; 3], lens: [usize; 3], slot: usize) -> (Option<&Memory>, usize) {
        (Some(&rooms[slot]), lens[slot])
    }
    let mut slots = of_d.to_vec();
    slots.extend([weight_slot, (None, 0), beside_slot, mask_slot, x_slot, norm_slot]);
    slots.extend([room(&alone, lens, 0), room(&alone, lens, 1)]);
    run.launch(&of_input.launch, &slots)?;
    let slots = [x_slot, (None, 0), norm_slot, of_d[1], of_d[0], of_d[2], room(&alone, lens, 2)];
    run.launch(&of_weight.launch, &slots)?;
    let mut slots = vec![x_slot, norm_slot, of_d[1], of_d[0], of_d[2], weight_slot, beside_slot, mask_slot];
    slots.extend([
        room(&together, lens, 0),
        room(&together, lens, 1),
        (None, 0),
        (None, 0),
        (None, 0),
        (None, 0),
    ]);
    slots.push(room(&together, lens, 2));
    run.launch(&input.launch, &slots)?;
    for (slot, what) in ["d_x", "sums", "d_weight"].into_iter().enumerate() {
        let [alone, together] = [&alone, &together].map(|rooms| run.read(&rooms[slot], lens[slot]));
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        if bits(&alone) != bits(&together) {
            return Err(format!("{what} of one launch has other bits than of its own"));
        }
        run.bits.extend(bits(&together));
    }
    Ok(())
}

/// Adds the splits, as an update does, and holds the sum against the twin.
pub(crate) fn check_weight(
    run: &mut Run<'_>,
    g: &Geometry,
    parts: &Memory,
    with_parts: &WithParts,
    twin: &[f64],
    tolerance: f64,
) -> Outcome<()> {
    let len = g.weight_len();
    let whole = run.room(len);
    let memory = [(Some(parts), with_parts.parts_len), (Some(&whole), len)];
    run.launch(&sum_splits(len, with_parts.parts).unwrap(), &memory)?;
    run.near("d_weight", &whole, twin, tolerance)
}

fn upsampled(run: &mut Run<'_>, small: [usize; 4], size: [usize; 2], outputs: usize) -> Outcome<()> {
    let [images, height, width, channels] = small;
    let g = geometry([images, size[0], size[1], channels], outputs, 3, 1, 1, 1, 1);
    let mut random = Random::new(11);
    let (rows, columns) = (bilinear(height, size[0]), bilinear(width, size[1]));
    let (x, weight) = (random.numbers(small.iter().product()), random.numbers(g.weight_len()));
    let d = random.numbers(g.y_len());
    let table: Vec<f64> = upsampling(&rows, &columns).into_iter().map(f64::from).collect();
    let read = launches::Read { map: Upsampled, small: [height, width], ..Default::default() };
    let (x_on, table_on) = (run.floats(&x), run.floats(&table));
    let (weight_on, d_on) = (run.floats(&on_device(&g, &weight)), run.floats(&d));
    let large = resampled(&x, channels, &rows, &columns);

    let with_parts = launches::forward(&g, &read, 0, Class::Scalar).unwrap();
    let out = run.room(g.y_len());
    let mut memory = vec![(Some(&x_on), x.len()), (None, 0), (Some(&table_on), table.len())];
    memory.extend([(Some(&weight_on), weight.len()), (None, 0), (None, 0), (None, 0), (None, 0), (None, 0)]);
    memory.extend([(Some(&out), g.y_len()), (None, 0)]);
    run.launch(&with_parts.launch, &memory)?;
    let mut y = vec![0.0; g.y_len()];
    products(&g, |y_at, x_at, w_at| y[y_at] += large[x_at] * weight[w_at]);
    run.near("y of an up-sampled map", &out, &y, NEAR)?;

    let with_parts = launches::d_weight(&g, &read, Class::Scalar).unwrap();
    let parts = run.room(with_parts.parts_len);
    let memory = [
        (Some(&x_on), x.len()),
        (None, 0),
        (Some(&table_on), table.len()),
        (Some(&d_on), d.len()),
        (None, 0),
        (None, 0),
        (Some(&parts), with_parts.parts_len),
    ];
    run.launch(&with_parts.launch, &memory)?;
    let mut twin = vec![0.0; g.weight_len()];
    products(&g, |y_at, x_at, w_at| twin[device_index(&g, w_at)] += d[y_at] * large[x_at]);
    check_weight(run, &g, &parts, &with_parts, &twin, NEAR)
}

/// A NaN goes where it belongs and nowhere else: not into what is 0 beyond the end of k, or of a map.
#[test]
fn a_nan_stays_where_it_belongs() {
    in_every_order(|run| {
        for (g, class) in [
            (geometry([2, 7, 5, 12], 12, 3, 1, 1, 1, 1), Class::Scalar),
            (geometry([2, 5, 9, 20], 40, 3, 1, 1, 1, 1), Class::Scalar),
            (geometry([2, 5, 4, 3], 5, 3, 1, 1, 1, 1), Class::Scalar),
            (geometry([1, 5, 4, 12], 8, 3, 1, 1, 1, 1), Class::TensorCores { passes: 3 }),
            (geometry([1, 5, 4, 12], 8, 3, 1, 1, 1, 1), Class::Simdgroups),
        ] {
            for source in [Plain, Normalized, Sum] {
                let mut random = Random::new(13);
                let mut x = Read::new(&mut random, source, g.x_len(), g.in_channels, MAP_BOUNDS);
                x.x[g.x_len() / 3] = f64::NAN;
                let weight = random.numbers(g.weight_len());
                forward(run, &g, class, &x, &weight, NEAR)?;
            }
        }
        Ok(())
    });
}
