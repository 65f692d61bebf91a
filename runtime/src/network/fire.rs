//! The units of SqueezeNet (Iandola et al. 2016).

use super::conv_norm::{ONE, padded};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::pool::PoolConfig;

/// The layers of the unit called `unit`: a 1x1 convolution to `squeezed` channels, then a 1x1 one and one of `kernel` side by side,
/// each of half the `width`. A unit with a stride begins with a max pool, rounded up. Named as torchvision names them.
pub(super) fn layers(
    unit: &str,
    [inputs, width]: [usize; 2],
    squeezed: usize,
    [kernel, stride]: [[usize; 2]; 2],
) -> Result<Vec<NamedLayer>> {
    if !width.is_multiple_of(2) {
        return Err(Error::config(format!(
            "unit '{unit}' puts two halves side by side; its width must be even, found {width}"
        )));
    }
    let relu = || unnamed(LayerSpec::Activation(Activation::Relu));
    let conv = |name: &str, inputs, outputs, kernel| {
        named(name, LayerSpec::Conv { inputs, outputs, config: padded(kernel, ONE), bias: true })
    };
    let mut layers = Vec::new();
    if stride != ONE {
        let kernel = stride.map(|step| if step > 1 { 3 } else { 1 });
        let pool = PoolConfig { kernel, stride, round_up: true, ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::MaxPool(pool)));
    }
    layers.extend([conv("squeeze", inputs, squeezed, ONE), relu()]);
    let half = width / 2;
    let branches =
        vec![vec![conv("expand1x1", squeezed, half, ONE)], vec![conv("expand3x3", squeezed, half, kernel)]];
    layers.extend([unnamed(LayerSpec::Concat { branches }), relu()]);
    Ok(layers)
}
