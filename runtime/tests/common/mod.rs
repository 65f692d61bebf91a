//! What every op's test needs: random inputs, closeness, finite differences, thread pools.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part, and none is a library
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use localgrad::maps::activation::Activation;
use localgrad::maps::{Map, Place};
use localgrad::threads::Workers;
use localgrad::{Device, Tensor};
use std::sync::Once;

/// Bound on |actual - expected| relative to the largest |expected| (or 1), for f32 against f64.
pub const TOLERANCE: f64 = 2e-5;
/// The same for gradients held against finite differences of the f64 twin.
pub const GRADIENT_TOLERANCE: f64 = 1e-4;

/// A small deterministic generator (xorshift64*), uniform in [-1, 1).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// `len` numbers that f32 holds exactly, so that twin and kernel see the same input.
    pub fn numbers(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| f64::from(self.uniform() as f32)).collect()
    }
}

/// A map at `place` of f64 numbers, rounded.
pub fn map(numbers: &[f64], shape: &[usize], place: &Place) -> Map {
    let data: Vec<f32> = numbers.iter().map(|&v| v as f32).collect();
    place.map(Tensor::from_vec(data, shape, &Device::Cpu).unwrap()).unwrap()
}

/// `x: [A, B]` with rows and columns exchanged, without a copy where the place has such maps: its elements do not lie one after
/// the other.
pub fn transposed(x: &Map) -> Map {
    x.place().map(host(x).tensor().unwrap().t().unwrap()).unwrap()
}

/// The same map on the host.
pub fn host(x: &Map) -> Map {
    x.to(&Place::Host).unwrap()
}

/// One of each kind of activation.
pub const ACTIVATIONS: [Activation; 8] = [
    Activation::Relu,
    Activation::Relu6,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::Gelu,
    Activation::HardSwish,
    Activation::HardSigmoid,
    Activation::LeakyRelu { slope: 0.125 },
];

/// An activation's twin.
pub fn activated(x: f64, activation: Option<Activation>) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match activation {
        None => x,
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Relu6) => x.clamp(0.0, 6.0),
        Some(Activation::Silu) => x * sigmoid,
        Some(Activation::Sigmoid) => sigmoid,
        Some(Activation::Gelu) => x * normal_below(x),
        Some(Activation::HardSwish) => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Some(Activation::HardSigmoid) => (x + 3.0).clamp(0.0, 6.0) / 6.0,
        Some(Activation::LeakyRelu { slope }) => x.max(0.0) + f64::from(slope) * x.min(0.0),
    }
}

/// Where an activation's derivative jumps, so that differences mean nothing.
pub fn near_kink(x: f64, distance: f64) -> bool {
    [-3.0, 0.0, 3.0, 6.0].iter().any(|kink| (x - kink).abs() < distance)
}

/// The share of the normal distribution below `x`: a series whose terms all have one sign.
fn normal_below(x: f64) -> f64 {
    if x.abs() > 9.0 {
        return if x < 0.0 { 0.0 } else { 1.0 };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..300 {
        term *= x * x / f64::from(2 * n + 1);
        sum += term;
    }
    0.5 + (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum
}

/// The elements of a map, in order.
pub fn numbers(x: &Map) -> Vec<f32> {
    x.numbers().unwrap()
}

/// Panics unless every element is within `tolerance` of the expected one, relative to the largest (or 1).
pub fn assert_close(what: &str, actual: &Map, expected: &[f64], tolerance: f64) {
    let actual = numbers(actual);
    assert_eq!(actual.len(), expected.len(), "{what}: number of elements");
    let scale = expected.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs() / scale;
        assert!(error <= tolerance, "{what}: element {i} is {a}, expected {e} (relative error {error:.1e})");
    }
}

/// Central differences of a scalar function, one element at a time.
pub fn finite_difference(f: impl Fn(&[f64]) -> f64, at: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut point = at.to_vec();
    (0..at.len())
        .map(|i| {
            point[i] = at[i] + STEP;
            let above = f(&point);
            point[i] = at[i] - STEP;
            let below = f(&point);
            point[i] = at[i];
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

/// Sum of products: turns an output into a scalar whose gradient with respect to the output is `d_y`.
pub fn project(y: &[f64], d_y: &[f64]) -> f64 {
    y.iter().zip(d_y).map(|(a, b)| a * b).sum()
}

/// Runs `f` inside a pool of `threads` workers.
pub fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> T {
    Workers::start(threads).unwrap().run(f)
}

/// Where operations are tested: on the CPU, and on an emulated device if this build has one; or on the device that
/// LOCALGRAD_TEST_DEVICE names (`cuda`, `metal`; `emulated` with the feature of this name).
pub fn places() -> Vec<Place> {
    static SAID: Once = Once::new();
    let name = std::env::var("LOCALGRAD_TEST_DEVICE").unwrap_or_else(|_| "cpu".into());
    SAID.call_once(|| println!("device: {name}"));
    match name.as_str() {
        "cuda" | "metal" => vec![Place::open(&name).unwrap()],
        #[cfg(feature = "emulated")]
        "emulated" => vec![emulated()],
        #[cfg(feature = "emulated")]
        _ => vec![Place::Host, emulated()],
        #[cfg(not(feature = "emulated"))]
        _ => vec![Place::Host],
    }
}

/// A device that is emulated. Its lanes and blocks run in no order that kernels may rely on.
#[cfg(feature = "emulated")]
pub fn emulated() -> Place {
    use localgrad::device::{emulated::Emulated, engine::Engine, table::all::Class};
    Place::Device(Engine::new("emulated", Emulated { seed: 7, ..Emulated::default() }, Class::Scalar))
}
