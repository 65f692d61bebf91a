//! Speed of the convolution's three passes on the CPU, for the layers of ResNet-32, beside a large product.
//!
//! Every number is a median, in GFLOP/s; the passes and the product take turns, so that what disturbs one
//! disturbs all. Run it with RAYON_NUM_THREADS=1 for one core.

use localgrad::ops::conv::{self, ConvConfig};
use localgrad::{Device, Result, Tensor};
use std::time::Instant;

const BATCH: usize = 64;
const ROUNDS: usize = 15;
const PRODUCT: usize = 1024;

fn random(shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::rand(-1f32, 1f32, shape, &Device::Cpu)?)
}

fn seconds(f: impl FnOnce() -> Result<Tensor>) -> Result<f64> {
    let start = Instant::now();
    std::hint::black_box(f()?);
    Ok(start.elapsed().as_secs_f64())
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn measure(size: usize, channels: [usize; 2], kernel: usize, stride: usize) -> Result<()> {
    let config = ConvConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        ..ConvConfig::default()
    };
    let x_shape = [BATCH, size, size, channels[0]];
    let weight_shape = [channels[1], channels[0], kernel, kernel];
    let (x, weight) = (random(&x_shape)?, random(&weight_shape)?);
    let d_y = conv::forward(&x, &weight, None, &config)?;
    let (a, b) = (random(&[PRODUCT, PRODUCT])?, random(&[PRODUCT, PRODUCT])?);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(seconds(|| conv::forward(&x, &weight, None, &config))?);
        times[1].push(seconds(|| conv::d_input(&d_y, &weight, &x_shape, &config))?);
        times[2].push(seconds(|| conv::d_weight(&x, &d_y, &weight_shape, &config))?);
        times[3].push(seconds(|| Ok(a.matmul(&b)?))?);
    }
    let direct = 2.0 * (d_y.elem_count() * channels[0] * kernel * kernel) as f64;
    let product = 2.0 * (PRODUCT * PRODUCT * PRODUCT) as f64;
    let [y, d_x, d_weight, product] = [(0, direct), (1, direct), (2, direct), (3, product)]
        .map(|(i, operations): (usize, f64)| operations / median(&mut times[i]) * 1e-9);
    println!(
        "{size:>2}x{size:<2} {:>3} -> {:<3} {kernel}x{kernel} /{stride} {y:>9.0} {d_x:>9.0} {d_weight:>9.0} {product:>9.0}",
        channels[0], channels[1]
    );
    Ok(())
}

fn main() -> Result<()> {
    println!("batch {BATCH}, GFLOP/s    forward   d_input  d_weight   product");
    measure(32, [3, 16], 3, 1)?;
    measure(32, [16, 16], 3, 1)?;
    measure(32, [16, 32], 3, 2)?;
    measure(32, [16, 32], 1, 2)?;
    measure(16, [32, 32], 3, 1)?;
    measure(16, [32, 64], 3, 2)?;
    measure(16, [32, 64], 1, 2)?;
    measure(8, [64, 64], 3, 1)
}
