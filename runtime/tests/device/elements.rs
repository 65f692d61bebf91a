//! Operations on each element alone, pools, resampling: against the CPU's own kernels where those are plain loops, which their
//! own tests hold against f64.

use crate::common::{ACTIVATIONS, Random, activated};
use crate::reference::{bilinear, resampled, round};
use crate::run::{Case, Outcome, Run, in_every_order};
use localgrad::device::launches::elements as launches;
use localgrad::device::launches::reorder::{self, ChannelSlice};
use localgrad::device::table::body::{Body, Element};
use localgrad::kernels::max_pool::Axis;
use localgrad::kernels::resample::Taps;
use localgrad::kernels::subsample::Sizes;
use localgrad::kernels::{dropout, half, max_pool, subsample};
use localgrad::precision::Precision;

pub(crate) const CASES: [(&str, Case); 10] = [
    ("activations", |run| ACTIVATIONS.iter().try_for_each(|&activation| activations(run, activation))),
    ("sums and scales", sums_and_scales),
    ("axes the other way round", turned),
    ("channels", channels),
    ("sums of products", products),
    ("dropout", dropped),
    ("numbers in 16 bits", sixteen_bits),
    ("max pools", max_pools),
    ("subsampling", subsampled),
    ("resampling", weighted),
];

#[test]
fn elements_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

/// More than a block, and no multiple of 4.
const LEN: usize = 1027;

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

fn narrowed(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

fn activations(run: &mut Run<'_>, activation: localgrad::maps::activation::Activation) -> Outcome<()> {
    let mut random = Random::new(43);
    let mut x: Vec<f64> = random.numbers(LEN).iter().map(|x| round(8.0 * x)).collect();
    x[..6].copy_from_slice(&[0.0, 6.0, -3.0, 3.0, -12.0, f64::NAN]);
    let d = random.numbers(LEN);
    let (x_on, y, d_on) = (run.floats(&x), run.room(LEN), run.floats(&d));
    let launch = |body| launches::activate(body, LEN, Some(activation)).unwrap();
    run.launch(&launch(Body::Activate), &[(Some(&x_on), LEN), (Some(&y), LEN)])?;
    // What f64's max and min make of a NaN is no twin.
    let twin = |x: f64| if x.is_nan() { x } else { activated(x, Some(activation)) };
    run.near("an activation", &y, &x.iter().map(|&x| twin(x)).collect::<Vec<_>>(), 2e-6)?;
    run.launch(&launch(Body::ActivateBackward), &[(Some(&d_on), LEN), (Some(&x_on), LEN)])?;
    let slope = |x: f64| f64::from(activation.derivative(x as f32));
    let twin_d: Vec<f64> = d.iter().zip(&x).map(|(d, &x)| d * slope(x)).collect();
    run.near("its slope", &d_on, &twin_d, 2e-6)?;
    let sum = run.floats(&x);
    let other = run.floats(&d);
    run.launch(&launch(Body::AddActivate), &[(Some(&sum), LEN), (Some(&other), LEN)])?;
    let added: Vec<f64> = x.iter().zip(&d).map(|(x, d)| twin(round(x + d))).collect();
    run.near("an activation of a sum", &sum, &added, 2e-6)
}

fn sums_and_scales(run: &mut Run<'_>) -> Outcome<()> {
    let mut random = Random::new(47);
    let (a, b) = (random.numbers(LEN), random.numbers(LEN));
    let (a_on, b_on) = (run.floats(&a), run.floats(&b));
    let launch = |body| launches::scaled(body, LEN, 0.25).unwrap();
    run.launch(&launch(Body::AddScaled), &[(Some(&a_on), LEN), (Some(&b_on), LEN)])?;
    let twin: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + 0.25 * b).collect();
    run.near("a scaled sum", &a_on, &twin, 1e-7)?;
    run.launch(&launch(Body::Scale), &[(Some(&b_on), LEN), (Some(&b_on), LEN)])?;
    run.near("a scale in place", &b_on, &b.iter().map(|b| 0.25 * b).collect::<Vec<_>>(), 0.0)
}

fn dropped(run: &mut Run<'_>) -> Outcome<()> {
    let x = Random::new(53).numbers(LEN);
    let (x_on, y) = (run.floats(&x), run.room(LEN));
    for (probability, first) in [(0.3, 0usize), (0.75, (1 << 40) + 5), (0.0, 1), (1.0, 2)] {
        let seed = 0x1234_5678_9abc_def0;
        let launch = launches::dropout(LEN, probability, seed, first as u64).unwrap();
        run.launch(&launch, &[(Some(&x_on), LEN), (Some(&y), LEN)])?;
        let mut twin = narrowed(&x);
        dropout::apply(&mut twin, probability, seed, first);
        run.near("dropout", &y, &wide(&twin), 0.0)?;
    }
    Ok(())
}

fn sixteen_bits(run: &mut Run<'_>) -> Outcome<()> {
    let mut x: Vec<f64> = Random::new(59)
        .numbers(LEN)
        .iter()
        .enumerate()
        .map(|(i, x)| round(x * 2f64.powi(i as i32 % 40 - 26)))
        .collect();
    // Ties, the largest, what is below the smallest, and halves of it.
    x[..9].copy_from_slice(&[
        2049.0,
        2051.0,
        65504.0,
        -65519.0,
        2f64.powi(-25),
        2f64.powi(-24),
        1.5 * 2f64.powi(-24),
        -0.0,
        6e-5,
    ]);
    for precision in [Precision::F16, Precision::Bf16] {
        let is_bf16 = precision == Precision::Bf16;
        let (x_on, bits, back) = (run.floats(&x), run.empty(Element::U16, LEN), run.room(LEN));
        let launch = |body| launches::sixteen_bits(body, LEN, is_bf16).unwrap();
        run.launch(&launch(Body::Narrow), &[(Some(&x_on), LEN), (Some(&bits), LEN)])?;
        let twin = half::narrow(&narrowed(&x), precision).unwrap();
        let found = run.read_bytes(&bits, 2 * LEN);
        let found: Vec<u16> = found.as_chunks::<2>().0.iter().map(|&two| u16::from_le_bytes(two)).collect();
        if let Some(i) = (0..LEN).find(|&i| found[i] != twin[i]) {
            return Err(format!("{} is {:#x} in 16 bits, not {:#x}", x[i], found[i], twin[i]));
        }
        run.launch(&launch(Body::Widen), &[(Some(&bits), LEN), (Some(&back), LEN)])?;
        let widened = |&bits: &u16| match is_bf16 {
            true => ::half::bf16::from_bits(bits).to_f64(),
            false => ::half::f16::from_bits(bits).to_f64(),
        };
        run.near("what was narrowed", &back, &twin.iter().map(widened).collect::<Vec<_>>(), 0.0)?;
    }
    Ok(())
}

fn max_pools(run: &mut Run<'_>) -> Outcome<()> {
    let axis = |input, kernel, stride, padding| {
        let output = (input + 2 * padding - kernel) / stride + 1;
        Axis { input, output, kernel, stride, padding }
    };
    for [rows, columns] in [
        [axis(9, 3, 2, 1), axis(8, 3, 2, 1)],
        [axis(6, 2, 2, 0), axis(7, 2, 2, 0)],
        [axis(7, 3, 1, 1), axis(5, 5, 3, 2)],
    ] {
        let (images, channels) = (2, 5);
        let (large, small) = (
            images * rows.input * columns.input * channels,
            images * rows.output * columns.output * channels,
        );
        let mut random = Random::new(61);
        // Few values, so that there are equals.
        let mut x: Vec<f64> = random.numbers(large).iter().map(|x| (4.0 * x).round()).collect();
        x[large / 2] = f64::NAN;
        let d_y = random.numbers(small);
        let (x_on, y, places) = (run.floats(&x), run.room(small), run.empty(Element::U8, small));
        let launch = |body| launches::max_pool(body, images, channels, [rows, columns]).unwrap();
        let memory = [(Some(&x_on), large), (Some(&y), small), (Some(&places), small)];
        run.launch(&launch(Body::MaxPool), &memory)?;
        let (twin, twin_places) = max_pool::forward(&narrowed(&x), channels, rows, columns);
        run.near("the maxima", &y, &wide(&twin), 0.0)?;
        if run.read_bytes(&places, small) != twin_places {
            return Err("the places of the maxima are others".into());
        }
        let (d_on, d_x) = (run.floats(&d_y), run.room(large));
        let memory = [(Some(&d_on), small), (Some(&places), small), (Some(&d_x), large)];
        run.launch(&launch(Body::MaxPoolBackward), &memory)?;
        let twin = max_pool::backward(&narrowed(&d_y), &twin_places, channels, rows, columns);
        run.near("the gradient of a max pool", &d_x, &wide(&twin), 1e-6)?;
    }
    Ok(())
}

fn turned(run: &mut Run<'_>) -> Outcome<()> {
    let (groups, [outer, middle, inner]) = (3, [9, 7, 11]);
    let x = Random::new(59).numbers(groups * outer * middle * inner);
    let (x_on, y) = (run.floats(&x), run.room(x.len()));
    let launch = reorder::reversed(x.len(), [outer, middle, inner]).unwrap();
    run.launch(&launch, &[(Some(&x_on), x.len()), (Some(&y), x.len())])?;
    let twin: Vec<f64> = (0..x.len())
        .map(|at| {
            let (k, j, h) = (at % inner, at / inner % middle, at / inner / middle % outer);
            x[((at / inner / middle / outer * inner + k) * middle + j) * outer + h]
        })
        .collect();
    run.near("axes", &y, &twin, 0.0)
}

fn channels(run: &mut Run<'_>) -> Outcome<()> {
    let (rows, count, all) = (131, 5, 12);
    let mut random = Random::new(63);
    let (x, y) = (random.numbers(rows * all), random.numbers(rows * count));
    let (x_on, y_on) = (run.floats(&x), run.floats(&y));
    let part = ChannelSlice { rows, count: 3, from: [all, 7], to: [count, 1] };
    let memory = [(Some(&x_on), x.len()), (Some(&y_on), y.len())];
    run.launch(&reorder::copy_channels(part).unwrap(), &memory)?;
    let mut twin = y;
    for at in 0..3 * rows {
        twin[at / 3 * count + 1 + at % 3] = x[at / 3 * all + 7 + at % 3];
    }
    run.near("copied channels", &y_on, &twin, 0.0)?;

    let wide = run.room(rows * all);
    let memory = [(Some(&y_on), twin.len()), (Some(&wide), x.len())];
    run.launch(&reorder::spread(rows, count, 4, all).unwrap(), &memory)?;
    let among =
        |at: usize| (4..4 + count).contains(&(at % all)).then(|| twin[at / all * count + at % all - 4]);
    let twin: Vec<f64> = (0..rows * all).map(|at| among(at).unwrap_or(0.0)).collect();
    run.near("spread channels", &wide, &twin, 0.0)?;

    // Three groups; the last has fewer rows.
    let factors = random.numbers(3 * all);
    let factors_on = run.floats(&factors);
    let memory = [(Some(&x_on), x.len()), (Some(&factors_on), factors.len()), (Some(&x_on), x.len())];
    run.launch(&reorder::with_channels(Body::MultiplyChannels, x.len(), 50, all).unwrap(), &memory)?;
    let twin: Vec<f64> =
        x.iter().enumerate().map(|(at, x)| x * factors[at / all / 50 * all + at % all]).collect();
    run.near("multiplied channels", &x_on, &twin, 1e-7)
}

fn products(run: &mut Run<'_>) -> Outcome<()> {
    let mut random = Random::new(61);
    let (a, b) = (random.numbers(LEN), random.numbers(LEN));
    let (a_on, b_on) = (run.floats(&a), run.floats(&b));
    let parts_len = launches::parts(LEN);
    let (parts, sum) = (run.room(parts_len), run.room(1));
    let memory = [(Some(&a_on), LEN), (Some(&b_on), LEN), (Some(&parts), parts_len)];
    run.launch(&launches::scaled(Body::ProductParts, LEN, 1.0).unwrap(), &memory)?;
    let memory = [(Some(&parts), parts_len), (Some(&sum), 1)];
    run.launch(&launches::scaled(Body::SumParts, parts_len, 1.0).unwrap(), &memory)?;
    run.near("a sum of products", &sum, &[a.iter().zip(&b).map(|(a, b)| a * b).sum()], 2e-6)
}

fn subsampled(run: &mut Run<'_>) -> Outcome<()> {
    let sizes = Sizes { large: [7, 5, 6], small: [4, 2, 11], stride: [2, 3] };
    let (large, small) = (2 * 7 * 5 * 6, 2 * 4 * 2 * 11);
    let mut random = Random::new(67);
    let (x, d_y) = (random.numbers(large), random.numbers(small));
    let (x_on, y, d_on, d_x) = (run.floats(&x), run.room(small), run.floats(&d_y), run.room(large));
    let launch = |body| launches::subsample(body, 2, sizes).unwrap();
    run.launch(&launch(Body::Subsample), &[(Some(&x_on), large), (Some(&y), small)])?;
    run.near("what is subsampled", &y, &wide(&subsample::forward(&narrowed(&x), sizes)), 0.0)?;
    run.launch(&launch(Body::SubsampleBackward), &[(Some(&d_on), small), (Some(&d_x), large)])?;
    run.near("its gradient", &d_x, &wide(&subsample::backward(&narrowed(&d_y), sizes)), 0.0)
}

fn weighted(run: &mut Run<'_>) -> Outcome<()> {
    // Adaptive averages whose windows overlap, by rows; bilinear up-sampling by columns; and the way back.
    let rows = Taps::new(7, 3, |i| {
        let (from, to) = (i * 7 / 3, (i * 7 + 7).div_ceil(3));
        (from..to).map(move |row| (row, 1.0 / (to - from) as f32))
    });
    let columns = bilinear(4, 9);
    for (rows, columns) in [(rows.clone(), columns.clone()), (rows.transposed(), columns.transposed())] {
        let (images, channels) = (2, 6);
        let ((height, out_height), (width, out_width)) = (rows.sizes(), columns.sizes());
        let (len, out_len) = (images * height * width * channels, images * out_height * out_width * channels);
        let x = Random::new(71).numbers(len);
        let (launch, table) = launches::resample(images, channels, &rows, &columns).unwrap();
        let (x_on, words, y) = (run.floats(&x), run.words(&table), run.room(out_len));
        run.launch(&launch, &[(Some(&x_on), len), (Some(&words), table.len()), (Some(&y), out_len)])?;
        run.near("weighted sums", &y, &resampled(&x, channels, &rows, &columns), 1e-6)?;
    }
    for channels in [8, 37] {
        let (images, positions) = (2, 35);
        let x = Random::new(73).numbers(images * positions * channels);
        let (x_on, y) = (run.floats(&x), run.room(images * channels));
        let launch = launches::mean_pool(images, positions, channels).unwrap();
        run.launch(&launch, &[(Some(&x_on), x.len()), (Some(&y), images * channels)])?;
        let mut twin = vec![0.0; images * channels];
        for (i, x) in x.iter().enumerate() {
            twin[i / (positions * channels) * channels + i % channels] += x / positions as f64;
        }
        run.near("means", &y, &twin, 1e-6)?;
    }
    Ok(())
}
