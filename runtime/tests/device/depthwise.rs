//! Depthwise convolutions, all passes.

use crate::common::Random;
use crate::conv::{MAP_BOUNDS, check_weight, geometry};
use crate::norm::{check_moments, check_sums};
use crate::reference::{Read, device_index, on_device, products};
use crate::run::{Case, NEAR, Outcome, Run, in_every_order};
use localgrad::device::launches::conv as launches;
use localgrad::device::table::all::Class;
use localgrad::device::table::kernel::ReadKind::{self, Normalized, Plain, Sum, Through};

pub(crate) const CASES: [(&str, Case); 3] = [
    ("36 channels", |run| all(run, [2, 7, 9, 36], 3, [1, 1, 1], [Normalized, Through])),
    ("5x5 with stride 2", |run| all(run, [1, 9, 8, 8], 5, [2, 2, 1], [Sum, Plain])),
    ("odd channels, dilation 2", |run| all(run, [2, 6, 5, 7], 3, [2, 1, 2], [Plain, Through])),
];

#[test]
fn all_passes_are_those_of_the_twin() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

fn all(
    run: &mut Run<'_>,
    x_shape: [usize; 4],
    kernel: usize,
    [stride, padding, dilation]: [usize; 3],
    [map, gradient]: [ReadKind; 2],
) -> Outcome<()> {
    let channels = x_shape[3];
    let g = geometry(x_shape, channels, kernel, stride, padding, dilation, channels);
    let mut random = Random::new(17);
    let x = Read::new(&mut random, map, g.x_len(), channels, MAP_BOUNDS);
    let d = Read::new(&mut random, gradient, g.y_len(), channels, [0.0, 1.2]);
    let weight = random.numbers(g.weight_len());
    let read =
        launches::Read { map, bounds: x.bounds, gradient, norm_bounds: d.bounds, ..Default::default() };
    let weight_on = run.floats(&on_device(&g, &weight));
    let [x_on, x_other, x_norm] = [run.floats(&x.x), run.floats(&x.other), run.floats(&x.norm)];
    let [z, d_on, d_norm] = [run.floats(&d.x), run.floats(&d.other), run.floats(&d.norm)];
    let (norm_len, x_len, y_len) = (x.norm.len(), g.x_len(), g.y_len());
    let (x_read, d_read) = (x.all(), d.all());

    let forward = launches::forward(&g, &read, launches::WITH_MOMENTS, Class::Scalar).unwrap();
    let (out, parts) = (run.room(y_len), run.room(forward.parts_len));
    let mut memory = vec![(Some(&x_on), x_len), (Some(&x_other), x_len), (Some(&x_norm), norm_len)];
    memory.extend([(Some(&weight_on), weight.len()), (None, 0), (None, 0)]);
    memory.extend([(Some(&out), y_len), (Some(&parts), forward.parts_len)]);
    run.launch(&forward.launch, &memory)?;
    let mut y = vec![0.0; y_len];
    products(&g, |y_at, x_at, w_at| y[y_at] += x_read[x_at] * weight[w_at]);
    run.near("y", &out, &y, NEAR)?;
    check_moments(run, &parts, &forward, &y, channels)?;

    let before = Read::new(&mut random, Normalized, x_len, channels, x.bounds);
    let (before_x, before_norm) = (run.floats(&before.x), run.floats(&before.norm));
    let backward = launches::d_input(&g, &read, launches::WITH_SUMS, Class::Scalar).unwrap();
    let (out, parts) = (run.room(x_len), run.room(backward.parts_len));
    let mut memory = vec![(Some(&z), y_len), (Some(&d_on), y_len), (Some(&d_norm), norm_len)];
    memory.extend([
        (Some(&weight_on), weight.len()),
        (Some(&before_x), x_len),
        (Some(&before_norm), norm_len),
    ]);
    memory.extend([(Some(&out), x_len), (Some(&parts), backward.parts_len)]);
    run.launch(&backward.launch, &memory)?;
    let mut d_x = vec![0.0; x_len];
    products(&g, |y_at, x_at, w_at| d_x[x_at] += d_read[y_at] * weight[w_at]);
    run.near("d_x", &out, &d_x, NEAR)?;
    check_sums(run, &parts, &backward, &before, &d_x)?;

    let of_weight = launches::d_weight(&g, &read, Class::Scalar).unwrap();
    let parts = run.room(of_weight.parts_len);
    let d_slot = if gradient == Through { &d_on } else { &z };
    let mut memory = vec![(Some(&x_on), x_len), (Some(&x_other), x_len), (Some(&x_norm), norm_len)];
    memory.extend([(Some(d_slot), y_len), (Some(&z), y_len), (Some(&d_norm), norm_len)]);
    memory.push((Some(&parts), of_weight.parts_len));
    run.launch(&of_weight.launch, &memory)?;
    let mut twin = vec![0.0; g.weight_len()];
    products(&g, |y_at, x_at, w_at| twin[device_index(&g, w_at)] += d_read[y_at] * x_read[x_at]);
    check_weight(run, &g, &parts, &of_weight, &twin, NEAR)
}
