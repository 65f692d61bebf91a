//! The units of DenseNet (Huang et al. 2017).

use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, join, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::PoolConfig;

const RELU: Option<Activation> = Some(Activation::Relu);

/// The layers of the unit called `unit` that puts `growth` new channels beside its `inputs`, through a 1x1 convolution to
/// `inner` channels and a 3x3 one, each behind batch norm and ReLU. Where it is given others than it needs to give `width`, a
/// transition comes first. Named as torchvision names them.
pub(super) fn dense(
    unit: &str,
    [inputs, width]: [usize; 2],
    [inner, growth]: [usize; 2],
    stride: usize,
) -> Result<Vec<NamedLayer>> {
    let Some(before) = width.checked_sub(growth).filter(|&before| before > 0 && growth > 0) else {
        return Err(Error::config(format!(
            "unit '{unit}' adds {growth} channels to others, and cannot give {width} channels"
        )));
    };
    let mut layers = Vec::new();
    if stride > 1 || inputs != before {
        let transition = transition([inputs, before], stride);
        layers.extend(transition.into_iter().map(|l| named(join("transition", &l.name), l.layer)));
    }
    let grown = vec![
        named("norm1", LayerSpec::batch_norm(before, RELU)),
        named("conv1", conv([before, inner], 1)),
        named("norm2", LayerSpec::batch_norm(inner, RELU)),
        named("conv2", conv([inner, growth], 3)),
    ];
    layers.push(unnamed(LayerSpec::Concat { branches: vec![Vec::new(), grown] }));
    Ok(layers)
}

/// The layers between dense units: batch norm and ReLU, a 1x1 convolution to `width` channels, and a pool.
pub(super) fn transition([inputs, width]: [usize; 2], stride: usize) -> Vec<NamedLayer> {
    let mut layers =
        vec![named("norm", LayerSpec::batch_norm(inputs, RELU)), named("conv", conv([inputs, width], 1))];
    if stride > 1 {
        let pool = PoolConfig { kernel: [stride; 2], stride: [stride; 2], ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::AveragePool(pool)));
    }
    layers
}

fn conv([inputs, outputs]: [usize; 2], kernel: usize) -> LayerSpec {
    let config = ConvConfig { kernel: [kernel; 2], padding: [kernel / 2; 2], ..ConvConfig::default() };
    LayerSpec::Conv { inputs, outputs, config, bias: false }
}
