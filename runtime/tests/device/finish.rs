//! What launches make of the parts that their blocks leave: the last block does it where blocks see what others have written, and a
//! launch of its own elsewhere, to the same bits.

use crate::common::Random;
use crate::conv::geometry;
use crate::run::{Case, Outcome, Run, in_every_order};
use localgrad::device::array::Array;
use localgrad::device::driver::{Driver, Piece};
use localgrad::device::emulated::{Emulated, Memory};
use localgrad::device::engine::Engine;
use localgrad::device::launch::Launch;
use localgrad::device::operations::conv;
use localgrad::device::operations::norm::{self, Norm, Parameters, Sums};
use localgrad::device::operations::read::{GradientRead, Read};
use localgrad::device::table::all::Class;
use localgrad::device::table::body::Element;
use localgrad::error::{Error, Result};
use localgrad::kernels::conv::Geometry;
use localgrad::maps::activation::Activation;

pub(crate) const CASES: [(&str, Case); 4] = [
    ("finished by the last block", |run| {
        agree(run, &geometry([2, 5, 4, 8], 12, 3, 1, 1, 1, 1), Class::Scalar)?;
        agree(run, &geometry([2, 4, 3, 40], 68, 3, 2, 1, 1, 1), Class::Scalar)
    }),
    ("finished in groups and of odd channels", |run| {
        agree(run, &geometry([1, 5, 4, 12], 24, 3, 1, 1, 1, 3), Class::Scalar)?;
        agree(run, &geometry([1, 7, 6, 5], 7, 3, 2, 1, 1, 1), Class::Scalar)
    }),
    ("finished of many tiles", |run| {
        agree(run, &geometry([1, 50, 45, 4], 4, 1, 1, 0, 1, 1), Class::Scalar)?;
        agree(run, &geometry([2, 4, 3, 40], 68, 3, 1, 1, 1, 1), Class::TensorCores { passes: 3 })
    }),
    ("finished of filters of their own", |run| {
        agree(run, &geometry([2, 9, 8, 36], 36, 3, 1, 1, 1, 36), Class::Scalar)
    }),
];

#[test]
fn the_last_block_makes_what_a_launch_of_its_own_does() {
    CASES.iter().for_each(|&(_, case)| in_every_order(case));
}

/// The emulated device as one whose blocks do not see what others have written.
struct Apart(Emulated);

impl Driver for Apart {
    type Memory = Memory;

    fn allocate(&self, element: Element, len: usize) -> Result<Memory> {
        self.0.allocate(element, len)
    }

    fn upload(&self, to: &Memory, first: usize, bytes: &[u8]) -> Result<()> {
        self.0.upload(to, first, bytes)
    }

    fn download(&self, from: &Memory, first: usize, bytes: &mut [u8]) -> Result<()> {
        self.0.download(from, first, bytes)
    }

    fn copy(&self, to: &Memory, first: usize, from: &Memory, from_first: usize, len: usize) -> Result<()> {
        self.0.copy(to, first, from, from_first, len)
    }

    fn address(&self, memory: &Memory) -> u64 {
        self.0.address(memory)
    }

    fn shows_writes(&self) -> bool {
        false
    }

    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Memory>>]) -> Result<()> {
        self.0.launch(launch, memory)
    }

    fn wait(&self) -> Result<()> {
        self.0.wait()
    }
}

/// Holds what one way makes against the other.
fn agree(run: &mut Run<'_>, g: &Geometry, class: Class) -> Outcome<()> {
    let device = run.device().clone();
    let together = Engine::new("together", device.clone(), class);
    let apart = Engine::new("apart", Apart(device), class);
    let words = |error: Error| error.to_string();
    let (found, expected) = (made(&together, g).map_err(words)?, made(&apart, g).map_err(words)?);
    let finishing = |engine: &Engine| {
        let kernels = engine.take_launched().kernels;
        kernels.keys().filter(|name| name.ends_with("finish")).count()
    };
    assert_eq!((finishing(&together), finishing(&apart)), (0, 2));
    run.bits.extend(found.iter().map(|number| number.to_bits()));
    match found.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits()) {
        None => Ok(()),
        Some(i) => Err(format!("number {i} is {}, not {}", found[i], expected[i])),
    }
}

/// What a convolution and the norms before and behind it make.
fn made(engine: &Engine, g: &Geometry) -> Result<Vec<f32>> {
    let mut random = Random::new(43);
    let mut floats = |dims: &[usize]| {
        let numbers = random.numbers(dims.iter().product());
        let numbers: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
        Array::of_floats(engine, &numbers, dims)
    };
    let [height, width] = g.input;
    let x = floats(&[g.images, height, width, g.in_channels])?;
    let weight = floats(&[g.out_channels, g.in_channels / g.groups, g.kernel[0], g.kernel[1]])?;
    let d_y = floats(&[g.images, g.output[0], g.output[1], g.out_channels])?;
    let [scale, bias] = [floats(&[g.out_channels])?, floats(&[g.out_channels])?];
    let [before_scale, before_bias] = [floats(&[g.in_channels])?, floats(&[g.in_channels])?];
    let of = |weight, bias| Parameters { weight, bias, epsilon: 1e-5, activation: Some(Activation::Relu) };
    let mut all = vec![];

    // Moments in a convolution, and of a map in memory: a convolution without groups adds its bias itself.
    let behind = of(&scale, &bias);
    for bias in [None, Some(&bias)] {
        let (y, made) = conv::forward(Read::Plain(&x), &weight, bias, g, Some(&behind))?;
        let ([mean, variance], norm) = made.ok_or_else(|| Error::internal("no norm was made"))?;
        all.extend(
            [mean.floats()?, variance.floats()?, norm.numbers.floats()?[..3 * g.out_channels].to_vec()]
                .concat(),
        );
        all.extend(sums_of(&norm::sums(&d_y, &y, &norm)?)?);
    }
    let [mean, variance] = norm::statistics(&x, g.in_channels)?;
    let before = Norm::new([&mean, &variance], [&before_scale, &before_bias], 1e-5, Some(Activation::Relu))?;
    let (_, sums) = conv::d_input(GradientRead::Plain(&d_y), &weight, g, None, Some((&x, &before)))?;
    all.extend(sums_of(&sums.ok_or_else(|| Error::internal("no sums were made"))?)?);
    Ok(all)
}

fn sums_of(sums: &Sums) -> Result<Vec<f32>> {
    Ok([sums.through.numbers.floats()?, sums.d_weight.floats()?, sums.d_bias.floats()?].concat())
}
