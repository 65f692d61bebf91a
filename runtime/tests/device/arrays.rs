//! Arrays in a device's memory, and the pool that they come from.

use crate::common::Random;
use crate::conv::geometry;
use crate::reference::on_device;
use localgrad::ErrorKind;
use localgrad::device::array::{Array, Order};
use localgrad::device::driver::{Driver, Piece};
use localgrad::device::emulated::Emulated;
use localgrad::device::engine::{Engine, Operand, Usage};
use localgrad::device::launches::elements::scaled;
use localgrad::device::operations::{elementwise, norm, update};
use localgrad::device::table::all::Class;
use localgrad::device::table::body::{Body, Element};
use localgrad::kernels::optimizer::Step;
use localgrad::optimizer::OptimizerConfig;

fn engine() -> Engine {
    Engine::new("emulated", Emulated::default(), Class::Scalar)
}

fn floats(engine: &Engine, dims: &[usize]) -> Array {
    Array::of_floats(engine, &vec![1.0; dims.iter().product()], dims).unwrap()
}

fn numbers(len: usize) -> Vec<f32> {
    Random::new(len as u64).numbers(len).iter().map(|&x| x as f32).collect()
}

#[test]
fn blocks_have_exactly_the_sizes_that_were_asked_for_and_serve_again() {
    let engine = engine();
    let (a, b) = (floats(&engine, &[1000]), floats(&engine, &[3, 7]));
    let view = b.samples(1, 1).unwrap();
    drop((a, b));
    let expected =
        Usage { live_bytes: 84, peak_bytes: 4084, held_bytes: 4084, free_bytes: 4000, allocations: 2 };
    assert_eq!(engine.usage(), expected, "a view keeps the whole");
    drop(view);
    let again = [floats(&engine, &[10, 100]), floats(&engine, &[21])];
    assert_eq!(engine.usage(), Usage { live_bytes: 4084, free_bytes: 0, ..expected });
    let others = [floats(&engine, &[999]), Array::of_bytes(&engine, &[0; 4000], &[4000]).unwrap()];
    assert_eq!(engine.usage().allocations, 4);
    drop((again, others));
    assert_eq!(engine.usage().live_bytes, 0);
}

#[test]
fn a_limit_is_kept() {
    let engine = engine();
    engine.limit(1000).unwrap();
    let a = floats(&engine, &[150]);
    let refused = Array::empty(&engine, Element::F32, &[101]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Memory);
    assert!(refused.to_string().contains("1004 bytes of the device are needed where 1000"), "{refused}");
    drop(a);
    // What waits for who asks for 150 gives way.
    let _b = floats(&engine, &[250]);
    assert_eq!(
        engine.usage(),
        Usage { live_bytes: 1000, peak_bytes: 1000, held_bytes: 1000, free_bytes: 0, allocations: 2 }
    );
    let refused = Array::empty(&engine, Element::U8, &[1]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Memory);
}

#[test]
fn a_block_that_serves_again_is_as_good_as_new() {
    let engine = engine();
    drop(floats(&engine, &[100]));
    let (x, y) = (Array::empty(&engine, Element::F32, &[100]).unwrap(), floats(&engine, &[100]));
    let launch = scaled(Body::Scale, 100, 2.0).unwrap();
    let fault = engine.launch(&launch, &[Operand::from(&x), Operand::from(&y)]).unwrap_err().to_string();
    assert!(fault.contains("nobody has written"), "{fault}");
}

#[test]
fn copies_and_parts_have_the_numbers() {
    let engine = engine();
    let expected = numbers(24);
    let x = Array::of_floats(&engine, &expected, &[2, 3, 4]).unwrap();
    let (copy, last) = (x.copy().unwrap(), x.samples(1, 1).unwrap());
    assert!(last.shares_memory(&x) && !copy.shares_memory(&x));
    assert_eq!((copy.floats().unwrap(), last.floats().unwrap()), (expected.clone(), expected[12..].to_vec()));
    let all = Array::cat(&[&last, &x]).unwrap();
    assert_eq!((all.dims(), all.floats().unwrap()), (&[3, 3, 4][..], [&expected[12..], &expected].concat()));
    let bytes = Array::of_bytes(&engine, &[1, 2, 3], &[3]).unwrap();
    assert_eq!(bytes.copy().unwrap().bytes().unwrap(), [1, 2, 3]);
    for refused in [x.reshape(&[5, 5]), x.samples(1, 2), Array::empty(&engine, Element::F32, &[1; 5])] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Shape);
    }
    assert_eq!(Array::cat(&[&x, &bytes]).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(bytes.floats().unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(Array::of_floats(&engine, &expected, &[5]).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn filters_lie_as_kernels_read_them_and_are_told_as_files_have_them() {
    let engine = engine();
    for g in [
        geometry([1, 9, 9, 6], 10, 3, 1, 1, 1, 1),
        geometry([1, 9, 9, 12], 8, 2, 1, 1, 1, 4),
        geometry([1, 9, 9, 5], 5, 3, 1, 1, 1, 5),
        geometry([1, 9, 9, 3], 6, 3, 1, 1, 1, 3),
    ] {
        let dims = [g.out_channels, g.group_in(), g.kernel[0], g.kernel[1]];
        let weight = numbers(g.weight_len());
        let rows = Array::of_floats(&engine, &weight, &dims).unwrap();
        let filters = rows.ordered(Order::Filters { groups: g.groups }).unwrap();
        assert_eq!((filters.dims(), filters.floats().unwrap()), (&dims[..], weight.clone()));
        // As they lie.
        let lying = Array::cat(&[&rows.reshape(&[weight.len()]).unwrap()]).unwrap();
        engine
            .launch(&scaled(Body::Scale, weight.len(), 1.0).unwrap(), &[(&filters).into(), (&lying).into()])
            .unwrap();
        let twin = on_device(&g, &weight.iter().map(|&w| w.into()).collect::<Vec<_>>());
        let found: Vec<f64> = lying.floats().unwrap().into_iter().map(f64::from).collect();
        assert_eq!(found, twin);
        // A view is of the rows.
        assert_eq!(
            filters.samples(1, 1).unwrap().floats().unwrap(),
            weight[weight.len() / dims[0]..][..weight.len() / dims[0]]
        );
    }
    let odd = floats(&engine, &[5, 2]).ordered(Order::Filters { groups: 2 });
    assert_eq!(odd.unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn a_weight_is_turned_once_and_its_clones_with_it() {
    let engine = engine();
    let expected = numbers(4 * 3 * 2 * 2);
    let order = Order::Filters { groups: 1 };
    let weight = Array::of_floats(&engine, &expected, &[4, 3, 2, 2]).unwrap();
    let clone = weight.clone();
    let settled = weight.settled(order).unwrap();
    assert!(settled.shares_memory(&weight) && weight.shares_memory(&clone));
    assert_eq!((weight.order(), clone.order(), clone.floats().unwrap()), (order, order, expected.clone()));
    engine.take_launched();
    clone.settled(order).unwrap();
    assert_eq!(engine.take_launched().launches, 0);
    // Whoever has a view goes on to see what is written.
    let weight = Array::of_floats(&engine, &expected, &[4, 3, 2, 2]).unwrap();
    let view = weight.samples(0, 1).unwrap();
    let copy = weight.settled(order).unwrap();
    assert!(view.shares_memory(&weight) && !copy.shares_memory(&weight));
    assert_eq!((weight.order(), copy.floats().unwrap()), (Order::Rows, expected));
}

#[test]
fn tables_are_uploaded_once_and_launches_are_counted() {
    let engine = engine();
    let x = floats(&engine, &[3, 4]);
    engine.take_launched();
    let table = localgrad::device::launches::elements::resample(
        1,
        4,
        &localgrad::kernels::resample::Taps::new(1, 1, |_| [(0, 0.5)]),
        &localgrad::kernels::resample::Taps::new(3, 1, |_| [(0, 1.0), (2, 2.0)]),
    );
    let (launch, words) = table.unwrap();
    let run = || {
        let y = Array::empty(&engine, Element::F32, &[4]).unwrap();
        engine.launch(&launch, &[(&x).into(), Operand::Table(&words), (&y).into()]).unwrap();
        y.floats().unwrap()
    };
    assert_eq!(run(), [1.5; 4]);
    let allocations = engine.usage().allocations;
    assert_eq!(run(), [1.5; 4]);
    assert_eq!(engine.usage().allocations, allocations);
    let launched = engine.take_launched();
    assert_eq!((launched.launches, launched.traffic.bytes_read), (2, 2 * 4 * 12));
    assert_eq!(engine.take_launched().launches, 0);
}

#[test]
fn arrays_of_two_devices_do_not_meet() {
    let (here, there) = (engine(), engine());
    let (x, y) = (floats(&here, &[8]), floats(&there, &[8]));
    let fault = here.launch(&scaled(Body::Scale, 8, 1.0).unwrap(), &[(&x).into(), (&y).into()]);
    assert!(fault.unwrap_err().to_string().contains("two devices"));
}

#[test]
fn copies_that_do_not_fit_are_refused() {
    let device = Emulated::default();
    let [a, b] = [8, 4].map(|len| device.allocate(Element::F32, len).unwrap());
    let bytes = device.allocate(Element::U8, 8).unwrap();
    for refused in [
        device.copy(&b, 0, &a, 0, 5),
        device.copy(&a, 6, &b, 0, 3),
        device.copy(&bytes, 0, &a, 0, 1),
        device.copy(&a, 0, &a, 4, 2),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Internal);
    }
    // What nobody has written stays so when it is copied.
    device.copy(&a, 0, &b, 0, 4).unwrap();
    let pieces = [Some(Piece { memory: &a, first: 0, len: 4 }), Some(Piece { memory: &b, first: 0, len: 4 })];
    let fault = device.launch(&scaled(Body::Scale, 4, 1.0).unwrap(), &pieces).unwrap_err().to_string();
    assert!(fault.contains("nobody has written"), "{fault}");
}

/// Value 1, momentum 0 and gradient 1 of so many elements.
fn parameter(engine: &Engine, len: usize) -> [Array; 3] {
    let zeros = Array::of_floats(engine, &vec![0.0; len], &[len]).unwrap();
    [floats(engine, &[len]), zeros, floats(engine, &[len])]
}

fn sgd(learning_rate: f64) -> Step {
    let config = OptimizerConfig::Sgd { momentum: 0.5, nesterov: false, weight_decay: 0.0 };
    config.step(learning_rate, 0)
}

/// The words of four parameters, which stay.
const TABLES_BYTES: usize = 4 * 9 * 4;

#[test]
fn steps_that_wait_are_one_launch() {
    let engine = engine();
    let parameters = [3, 1100, 7].map(|len| parameter(&engine, len));
    let live_bytes = engine.usage().live_bytes;
    let values = parameters.map(|[value, momentum, gradient]| {
        update::step(&value, &[&momentum], &gradient, &sgd(0.25)).unwrap();
        value
    });
    let running = floats(&engine, &[5]);
    let average = norm::averaged(&running, &running, 3.0, 0.75).unwrap();
    drop(running);
    assert_eq!(engine.take_launched().launches, 0);
    // What they were given back meanwhile is still theirs.
    assert_eq!(engine.usage().live_bytes, live_bytes + 40);
    engine.settle().unwrap();
    assert_eq!(engine.take_launched().launches, 2);
    assert_eq!(engine.usage().live_bytes, 4 * (1110 + 5) + TABLES_BYTES);
    for value in values {
        assert!(value.floats().unwrap().iter().all(|&value| value == 0.75));
    }
    assert_eq!(average.floats().unwrap(), [1.5; 5]);
}

#[test]
fn nobody_can_tell_that_steps_wait() {
    let engine = engine();
    let [value, momentum, gradient] = parameter(&engine, 30);
    let mut twin = (1.0, 0.0);
    let mut moved = |gradient: f32| {
        twin.1 = 0.5 * twin.1 + gradient;
        twin.0 -= 0.25 * twin.1;
        vec![twin.0; 30]
    };
    let step = |gradient: &Array| update::step(&value, &[&momentum], gradient, &sgd(0.25)).unwrap();
    // One after the other of the same value.
    step(&gradient);
    step(&gradient);
    moved(1.0);
    moved(1.0);
    // Who writes into a gradient writes into it afterwards.
    elementwise::scale(&gradient, 2.0).unwrap();
    step(&gradient);
    let expected = moved(2.0);
    // So does who brings, copies or takes.
    let copy = value.copy().unwrap();
    step(&gradient);
    assert_eq!(copy.floats().unwrap(), expected);
    let expected = moved(2.0);
    assert_eq!(value.floats().unwrap(), expected);
    // A moving average of the value, too.
    step(&gradient);
    let expected = moved(2.0);
    let average = norm::averaged(&copy, &value, 1.0, 0.0).unwrap();
    step(&gradient);
    moved(2.0);
    assert_eq!(average.floats().unwrap(), expected);
    // A launch that reads the value.
    step(&gradient);
    let expected = moved(2.0);
    assert_eq!(elementwise::scaled(&value, 1.0).unwrap().floats().unwrap(), expected);
}

#[test]
fn gradients_that_wait_hold_little_memory() {
    let engine = engine();
    let parameters: Vec<_> = (0..5).map(|_| parameter(&engine, 1 << 20)).collect();
    for [value, momentum, gradient] in &parameters {
        update::step(value, &[momentum], gradient, &sgd(0.25)).unwrap();
    }
    assert_eq!(engine.take_launched().launches, 1);
    engine.limit(engine.usage().live_bytes + 4000).unwrap();
    drop(parameters);
    // There is room as soon as what waits has been launched.
    floats(&engine, &[1 << 20]);
}

/// What waits goes back to the driver as far as it must: the smallest block that is enough, or the largest ones.
#[test]
fn a_pool_gives_back_no_more_than_it_must() {
    let engine = engine();
    let room = |len: usize| Array::empty(&engine, Element::F32, &[len]).unwrap();
    drop([100, 200, 400].map(room));
    let waiting = || engine.usage().free_bytes;
    assert_eq!(waiting(), 2800);
    engine.keep(2000).unwrap();
    assert_eq!(waiting(), 2000);
    engine.keep(500).unwrap();
    assert_eq!(waiting(), 400);
    // Another block takes the place of one that waits, within what is kept and allowed.
    let held = room(25);
    assert_eq!((waiting(), engine.usage().live_bytes), (400, 100));
    drop(room(50));
    assert_eq!((waiting(), engine.usage().live_bytes), (200, 100));
    engine.keep(usize::MAX).unwrap();
    engine.limit(100).unwrap();
    assert_eq!(waiting(), 0);
    drop(held);
}
