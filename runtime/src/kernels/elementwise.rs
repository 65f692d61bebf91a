//! Elementwise kernels and plain sums.

use super::pieces::{AT_ONCE, PIECE, STRIP, add_in_order, add_strip, rows_of, rows_per_piece};
use crate::deal::pairs;
use crate::deal::{all, made_of};
use crate::kernels::activation::{Activation, silu};
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::unwritten::filled;

/// `activation(x)`.
pub fn activate(x: &[f32], activation: Activation) -> Vec<f32> {
    // Here and below the activation is a constant in each arm, which lets the compiler vectorise the loops.
    match activation {
        Activation::Relu => map(x, |x| Activation::Relu.apply(x)),
        Activation::Relu6 => map(x, |x| Activation::Relu6.apply(x)),
        Activation::Silu => map(x, |x| Activation::Silu.apply(x)),
        Activation::Sigmoid => map(x, |x| Activation::Sigmoid.apply(x)),
        Activation::Gelu => map(x, |x| Activation::Gelu.apply(x)),
        Activation::HardSwish => map(x, |x| Activation::HardSwish.apply(x)),
        Activation::HardSigmoid => map(x, |x| Activation::HardSigmoid.apply(x)),
        Activation::LeakyRelu { slope } => map(x, |x| Activation::LeakyRelu { slope }.apply(x)),
    }
}

/// Turns the gradient of `activation(x)` into the gradient of `x`.
pub fn activate_backward(d: &mut [f32], x: &[f32], activation: Activation) {
    match activation {
        Activation::Relu => update(d, x, |d, x| d * Activation::Relu.derivative(x)),
        Activation::Relu6 => update(d, x, |d, x| d * Activation::Relu6.derivative(x)),
        Activation::Silu => update(d, x, |d, x| d * Activation::Silu.derivative(x)),
        Activation::Sigmoid => update(d, x, |d, x| d * Activation::Sigmoid.derivative(x)),
        Activation::Gelu => update(d, x, |d, x| d * Activation::Gelu.derivative(x)),
        Activation::HardSwish => update(d, x, |d, x| d * Activation::HardSwish.derivative(x)),
        Activation::HardSigmoid => update(d, x, |d, x| d * Activation::HardSigmoid.derivative(x)),
        Activation::LeakyRelu { slope } => {
            update(d, x, |d, x| d * Activation::LeakyRelu { slope }.derivative(x))
        }
    }
}

/// `a = activation(a + b)`.
pub fn add_activate(a: &mut [f32], b: &[f32], activation: Option<Activation>) {
    match activation {
        None => update(a, b, |a, b| a + b),
        Some(Activation::Relu) => update(a, b, |a, b| Activation::Relu.apply(a + b)),
        Some(Activation::Relu6) => update(a, b, |a, b| Activation::Relu6.apply(a + b)),
        Some(Activation::Silu) => update(a, b, |a, b| Activation::Silu.apply(a + b)),
        Some(Activation::Sigmoid) => update(a, b, |a, b| Activation::Sigmoid.apply(a + b)),
        Some(Activation::Gelu) => update(a, b, |a, b| Activation::Gelu.apply(a + b)),
        Some(Activation::HardSwish) => update(a, b, |a, b| Activation::HardSwish.apply(a + b)),
        Some(Activation::HardSigmoid) => update(a, b, |a, b| Activation::HardSigmoid.apply(a + b)),
        Some(Activation::LeakyRelu { slope }) => {
            update(a, b, |a, b| Activation::LeakyRelu { slope }.apply(a + b))
        }
    }
}

fn map(x: &[f32], f: impl Fn(f32) -> f32 + Sync) -> Vec<f32> {
    let mut y = Vec::with_capacity(x.len());
    pairs((&mut y.spare_capacity_mut()[..x.len()], PIECE), (x, PIECE), &|y, x| {
        Isa::best().run(Update { a: filled(y), b: x, f: &|_, x| f(x) });
    });
    // SAFETY: every piece has been filled.
    unsafe { y.set_len(x.len()) };
    y
}

/// `a = a + factor · b`.
pub fn add_scaled(a: &mut [f32], b: &[f32], factor: f32) {
    update(a, b, |a, b| a + factor * b);
}

/// `x = factor · x`.
pub fn scale(x: &mut [f32], factor: f32) {
    all(x.chunks_mut(PIECE), |x| x.iter_mut().for_each(|v| *v *= factor));
}

/// `a = f(a, b)`, element by element.
pub fn update(a: &mut [f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    pairs((a, PIECE), (b, PIECE), &|a, b| Isa::best().run(Update { a, b, f: &f }));
}

/// `a = a + b` of elements few enough for this thread.
pub fn add_piece(isa: Isa, a: &mut [f32], b: &[f32]) {
    isa.run(Update { a, b, f: &|a, b| a + b });
}

/// `x = activation(x)` of elements few enough for this thread, for the activations that maps are read through.
pub fn activate_piece(isa: Isa, x: &mut [f32], activation: Activation) {
    match activation {
        Activation::Silu => isa.run(Silu(x)),
        Activation::HardSwish => isa.run(Change { x, f: &|x| Activation::HardSwish.apply(x) }),
        _ => x.iter_mut().for_each(|x| *x = activation.apply(*x)),
    }
}

/// A slice that becomes SiLU's.
struct Silu<'a>(&'a mut [f32]);

impl Kernel for Silu<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        self.0.iter_mut().for_each(|x| *x = silu::<S>(*x));
    }
}

/// A slice to be changed.
struct Change<'a, F> {
    x: &'a mut [f32],
    f: &'a F,
}

impl<F: Fn(f32) -> f32> Kernel for Change<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        self.x.iter_mut().for_each(|x| *x = (self.f)(*x));
    }
}

/// `a = a · b` of elements few enough for this thread.
pub fn multiply_piece(isa: Isa, a: &mut [f32], b: &[f32]) {
    isa.run(Update { a, b, f: &|a, b| a * b });
}

/// Two slices to be combined into the first.
struct Update<'a, F> {
    a: &'a mut [f32],
    b: &'a [f32],
    f: &'a F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for Update<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (a, &b) in self.a.iter_mut().zip(self.b) {
            *a = (self.f)(*a, b);
        }
    }
}

/// The sum over rows of `x: [rows, channels]`.
pub fn sum_rows(x: &[f32], channels: usize) -> Vec<f32> {
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * channels];
    pairs((&mut partials, channels), (x, piece), &|sums, x| {
        let mut strip_sums = vec![0.0; channels];
        for strip in x.chunks(STRIP * channels) {
            strip_sums.fill(0.0);
            let fours = strip.chunks_exact(AT_ONCE * channels);
            let rest = fours.remainder();
            fours.for_each(|rows| add_rows::<AT_ONCE>(&mut strip_sums, rows));
            rest.chunks_exact(channels).for_each(|row| add_rows::<1>(&mut strip_sums, row));
            add_strip(sums, &strip_sums);
        }
    });
    add_in_order(&partials, channels).into_iter().map(|sum| sum as f32).collect()
}

fn add_rows<const R: usize>(sums: &mut [f32], rows: &[f32]) {
    let rows = rows_of::<R>(rows, sums.len());
    for c in 0..sums.len() {
        sums[c] += rows.iter().map(|row| row[c]).sum::<f32>();
    }
}

/// The sum of `a · b`, in f64 and in a fixed order.
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f64 {
    let partials: Vec<f64> = made_of(a.chunks(PIECE).zip(b.chunks(PIECE)), |(a, b)| dot(a, b));
    partials.iter().sum()
}

/// Independent sums of a dot product, which let it be vectorised.
const LANES: usize = 8;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for i in 0..LANES {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    for (i, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
        lanes[i] += f64::from(a) * f64::from(b);
    }
    lanes.iter().sum()
}
