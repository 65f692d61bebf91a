//! The units of DenseNet (Huang et al. 2017).

use super::conv_norm::{ONE, padded};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, join, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::pool::PoolConfig;

const RELU: Option<Activation> = Some(Activation::Relu);

/// The layers of the unit called `unit` that puts `growth` new channels beside its `inputs`, through a 1x1 convolution to
/// `inner` channels and one of `kernel`, each behind batch norm and ReLU. Where it is given others than it needs to give `width`, a
/// transition comes first. Named as torchvision names them.
pub(super) fn dense(
    unit: &str,
    [inputs, width]: [usize; 2],
    [inner, growth]: [usize; 2],
    [kernel, stride]: [[usize; 2]; 2],
) -> Result<Vec<NamedLayer>> {
    let Some(before) = width.checked_sub(growth).filter(|&before| before > 0 && growth > 0) else {
        return Err(Error::config(format!(
            "unit '{unit}' adds {growth} channels to others, and cannot give {width} channels"
        )));
    };
    let mut layers = Vec::new();
    if stride != ONE || inputs != before {
        let transition = transition([inputs, before], stride);
        layers.extend(transition.into_iter().map(|l| named(join("transition", &l.name), l.layer)));
    }
    let grown = vec![
        named("norm1", LayerSpec::batch_norm(before, RELU)),
        named("conv1", conv([before, inner], ONE)),
        named("norm2", LayerSpec::batch_norm(inner, RELU)),
        named("conv2", conv([inner, growth], kernel)),
    ];
    layers.push(unnamed(LayerSpec::Concat { branches: vec![Vec::new(), grown] }));
    Ok(layers)
}

/// The layers between dense units: batch norm and ReLU, a 1x1 convolution to `width` channels, and a pool.
pub(super) fn transition([inputs, width]: [usize; 2], stride: [usize; 2]) -> Vec<NamedLayer> {
    let mut layers =
        vec![named("norm", LayerSpec::batch_norm(inputs, RELU)), named("conv", conv([inputs, width], ONE))];
    if stride != ONE {
        let pool = PoolConfig { kernel: stride, stride, ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::AveragePool(pool)));
    }
    layers
}

fn conv([inputs, outputs]: [usize; 2], kernel: [usize; 2]) -> LayerSpec {
    LayerSpec::Conv { inputs, outputs, config: padded(kernel, ONE), bias: false }
}
