//! A gradient that waits for what else becomes of it.

use crate::common::Random;
use crate::conv::geometry;
use localgrad::device::array::Array;
use localgrad::device::emulated::Emulated;
use localgrad::device::engine::Engine;
use localgrad::device::operations::read::GradientRead;
use localgrad::device::operations::{conv, elementwise, mask, update};
use localgrad::device::table::all::Class;
use localgrad::kernels::conv::Geometry;
use localgrad::optimizer::OptimizerConfig;

/// A convolution from 5 channels to 7, what its gradient is made of, and the mask that it meets.
struct Case {
    engine: Engine,
    geometry: Geometry,
    d_y: Array,
    weight: Array,
    beside: Array,
    mask: Array,
}

impl Case {
    fn new() -> Self {
        let engine = Engine::new("emulated", Emulated::default(), Class::Scalar);
        let geometry = geometry([3, 6, 5, 5], 7, 3, 1, 1, 1, 1);
        let mut random = Random::new(5);
        let mut floats = |dims: &[usize]| {
            let numbers = random.numbers(dims.iter().product());
            let numbers: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
            Array::of_floats(&engine, &numbers, dims).unwrap()
        };
        let (d_y, weight) = (floats(&[3, 6, 5, 7]), floats(&[7, 5, 3, 3]));
        let [beside, of_mask] = [0; 2].map(|_| floats(&[3, 6, 5, 5]));
        let mask = mask::of_output(&of_mask, f32::INFINITY).unwrap();
        engine.wait().unwrap();
        engine.take_launched();
        Self { engine, geometry, d_y, weight, beside, mask }
    }

    fn gradient(&self) -> Array {
        let d_y = GradientRead::Plain(&self.d_y);
        conv::d_input(d_y, &self.weight, &self.geometry, Some(&self.beside), None).unwrap().0
    }
}

#[test]
fn a_gradient_and_its_mask_are_one_launch() {
    let case = Case::new();
    let masked = case.gradient();
    mask::apply(&masked, &case.mask).unwrap();
    let found = masked.floats().unwrap();
    let launched = case.engine.take_launched().kernels;
    let names: Vec<_> = launched.keys().copied().filter(|name| *name != "reversed").collect();
    assert_eq!(names, ["conv_d_input"]);
    let twin = case.gradient();
    case.engine.wait().unwrap();
    mask::apply(&twin, &case.mask).unwrap();
    assert_eq!(case.engine.take_launched().launches, 2);
    assert_eq!(found, twin.floats().unwrap());
}

#[test]
fn nobody_can_tell_that_a_gradient_waits() {
    let case = Case::new();
    let expected = case.gradient().floats().unwrap();
    let config = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let step = config.step(0.5, 0);
    // The weight changes meanwhile, what was read is written over, and given back.
    let d_x = case.gradient();
    update::step(&case.weight, &[], &case.weight.copy().unwrap(), &step).unwrap();
    elementwise::scale(&case.d_y, 3.0).unwrap();
    let Case { engine, geometry, d_y, weight, beside, .. } = case;
    drop(beside);
    assert_eq!(d_x.floats().unwrap(), expected);
    // What nobody asks for any more goes back when it was made.
    drop(conv::d_input(GradientRead::Plain(&d_y), &weight, &geometry, None, None).unwrap());
    let live_bytes = engine.usage().live_bytes;
    engine.wait().unwrap();
    assert_eq!(engine.usage().live_bytes, live_bytes - 4 * d_x.len());
    // A second mask is applied to what the first left.
    let (d_y, weight) = (&d_y, &weight);
    let d_x = conv::d_input(GradientRead::Plain(d_y), weight, &geometry, None, None).unwrap().0;
    let before = conv::d_input(GradientRead::Plain(d_y), weight, &geometry, None, None).unwrap().0;
    let before = before.floats().unwrap();
    let [first, second] = [1.0, -1.0].map(|sign| {
        let numbers: Vec<f32> = before.iter().map(|x| sign * x).collect();
        mask::of_output(&Array::of_floats(&engine, &numbers, d_x.dims()).unwrap(), f32::INFINITY).unwrap()
    });
    let twice = conv::d_input(GradientRead::Plain(d_y), weight, &geometry, None, None).unwrap().0;
    mask::apply(&twice, &first).unwrap();
    mask::apply(&twice, &second).unwrap();
    assert!(twice.floats().unwrap().iter().all(|&x| x == 0.0));
}
