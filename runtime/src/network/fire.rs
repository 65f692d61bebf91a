//! The units of SqueezeNet (Iandola et al. 2016).

use super::conv_norm::square;
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::pool::PoolConfig;

/// The layers of the unit called `unit`: a 1x1 convolution to `squeezed` channels, then a 1x1 and a 3x3 one side by side,
/// each of half the `width`. A unit with a stride begins with a max pool, rounded up. Named as torchvision names them.
pub(super) fn layers(
    unit: &str,
    [inputs, width]: [usize; 2],
    squeezed: usize,
    stride: usize,
) -> Result<Vec<NamedLayer>> {
    if !width.is_multiple_of(2) {
        return Err(Error::config(format!(
            "unit '{unit}' puts two halves side by side; its width must be even, found {width}"
        )));
    }
    let relu = || unnamed(LayerSpec::Activation(Activation::Relu));
    let conv = |name: &str, inputs, outputs, kernel| {
        named(name, LayerSpec::Conv { inputs, outputs, config: square(kernel, 1), bias: true })
    };
    let mut layers = Vec::new();
    if stride > 1 {
        let pool =
            PoolConfig { kernel: [3, 3], stride: [stride; 2], round_up: true, ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::MaxPool(pool)));
    }
    layers.extend([conv("squeeze", inputs, squeezed, 1), relu()]);
    let half = width / 2;
    let branches =
        vec![vec![conv("expand1x1", squeezed, half, 1)], vec![conv("expand3x3", squeezed, half, 3)]];
    layers.extend([unnamed(LayerSpec::Concat { branches }), relu()]);
    Ok(layers)
}
