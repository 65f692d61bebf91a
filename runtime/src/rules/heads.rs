//! The heads of auxiliary networks as layers, numbered as a sequential list of all their layers is, pools,
//! activations and flattening included, so that weights carry the published names.

use super::config::{Head, RuleConfig};
use crate::error::Result;
use crate::layers::spec::{Features, LayerSpec, NamedLayer, named};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::PoolConfig;

/// Layers with their numbers. Fused activations still take a number of their own.
#[derive(Default)]
struct Numbered {
    layers: Vec<NamedLayer>,
    next: usize,
}

impl Numbered {
    fn push(&mut self, layer: LayerSpec) {
        self.layers.push(named(self.next.to_string(), layer));
        self.next += 1;
    }

    fn conv_bn_relu(&mut self, inputs: usize, outputs: usize, kernel: usize, stride: usize) {
        let config = ConvConfig {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 2],
            ..ConvConfig::default()
        };
        self.push(LayerSpec::Conv { inputs, outputs, config, bias: false });
        self.bn_relu(outputs);
    }

    fn bn_relu(&mut self, channels: usize) {
        self.push(LayerSpec::batch_norm(channels, Some(Activation::Relu)));
        self.next += 1;
    }

    fn linear(&mut self, inputs: usize, outputs: usize, bias: bool) {
        self.push(LayerSpec::Linear { inputs, outputs, bias });
    }

    /// Global average pool, which also flattens.
    fn global_pool(&mut self) {
        self.push(LayerSpec::GlobalAveragePool);
        self.next += 1;
    }
}

/// The head on `features` (a map), with `outputs` logits; `widest` is the network's widest unit.
pub fn head(
    config: &RuleConfig,
    features: Features,
    widest: usize,
    outputs: usize,
) -> Result<Vec<NamedLayer>> {
    let (channels, height, width) = features.map()?;
    let mut list = Numbered::default();
    match config.head {
        // AugLocal's units come before it.
        Head::Greedy | Head::Auglocal | Head::Path => {
            list.global_pool();
            list.linear(channels, outputs, true);
        }
        Head::Dgl => dgl(&mut list, channels, [height, width], outputs),
        Head::Predsim => {
            let (pool, size) = predsim_pool(channels, [height, width], config.pooled_features);
            // A pool of one element is the identity, which the released code also numbers.
            list.push(LayerSpec::AveragePool(pool));
            list.push(LayerSpec::Flatten);
            list.linear(channels * size[0] * size[1], outputs, true);
        }
        Head::Conv { convolutions, linears } => {
            let mut inputs = channels;
            for number in 0..convolutions {
                let grown = if number == 0 { (2 * channels).min(widest.max(channels)) } else { inputs };
                let stride = if number == 0 && channels < widest { 2 } else { 1 };
                list.conv_bn_relu(inputs, grown, 3, stride);
                inputs = grown;
            }
            list.global_pool();
            linear_layers(&mut list, inputs, config.feature_dim, linears, outputs);
        }
        Head::Imagenet => {
            let squeezed = (channels / 4).max(1);
            list.conv_bn_relu(channels, squeezed, 1, 1);
            list.conv_bn_relu(squeezed, 256, 3, 2);
            list.conv_bn_relu(256, 512, 3, 2);
            list.conv_bn_relu(512, 2048, 1, 1);
            list.global_pool();
            list.linear(2048, outputs, true);
        }
    }
    Ok(list.layers)
}

fn linear_layers(list: &mut Numbered, inputs: usize, width: usize, count: usize, outputs: usize) {
    let mut inputs = inputs;
    for _ in 1..count {
        list.linear(inputs, width, true);
        list.push(LayerSpec::Activation(Activation::Relu));
        inputs = width;
    }
    list.linear(inputs, outputs, true);
}

/// Belilovsky et al. 2020, `mlp-sr`: for a map of side s, pools to ceil(s/4) and then to min(ceil(s/4), 2).
fn dgl(list: &mut Numbered, channels: usize, size: [usize; 2], outputs: usize) {
    let pooled = size.map(|s| s.div_ceil(4));
    list.push(LayerSpec::AdaptiveAveragePool(pooled));
    for _ in 0..3 {
        list.conv_bn_relu(channels, channels, 1, 1);
    }
    let last = pooled.map(|s| s.min(2));
    list.push(LayerSpec::AdaptiveAveragePool(last));
    list.push(LayerSpec::Flatten);
    let width = channels * last[0] * last[1];
    for _ in 0..2 {
        list.linear(width, width, false);
        list.bn_relu(width);
    }
    list.linear(width, outputs, true);
}

/// Nøkland and Eidnes 2019: halve the height, then the width, until at most `limit` features are left. Sizes
/// that do not divide are padded as their code pads. Returns the pool and the size it gives.
fn predsim_pool(channels: usize, size: [usize; 2], limit: usize) -> (PoolConfig, [usize; 2]) {
    let mut kernel = [1, 1];
    let mut pooled = size;
    let features = |pooled: [usize; 2]| channels * pooled[0] * pooled[1];
    while features(pooled) > limit && (kernel[0] < size[0] || kernel[1] < size[1]) {
        for side in 0..2 {
            if features(pooled) > limit && kernel[side] < size[side] {
                kernel[side] *= 2;
                pooled[side] = size[side].div_ceil(kernel[side]);
            }
        }
    }
    let padding = [0, 1].map(|side| kernel[side] * (pooled[side] - size[side] / kernel[side]) / 2);
    (PoolConfig { kernel, stride: kernel, padding, ..PoolConfig::default() }, pooled)
}

/// InfoPro's decoder from `features` to logits of the image's pixels; the sigmoid is part of its loss.
pub fn decoder(features: Features, image: [usize; 3]) -> Result<Vec<NamedLayer>> {
    let (channels, ..) = features.map()?;
    let [image_channels, height, width] = image;
    let same = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    let upsample = LayerSpec::Upsample { size: [height, width], align_corners: true };
    Ok(vec![
        named("", upsample),
        named("0", LayerSpec::Conv { inputs: channels, outputs: 12, config: same, bias: true }),
        named("1", LayerSpec::batch_norm(12, Some(Activation::Relu))),
        named("3", LayerSpec::Conv { inputs: 12, outputs: image_channels, config: same, bias: true }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::spec::output_of_all;
    use crate::rules::config::Rule;

    #[test]
    fn every_head_fits_every_size() {
        for head_name in ["greedy", "dgl", "predsim", "0c2f", "1c1f", "1c2f", "1c3f", "2c2f", "imagenet"] {
            let config = RuleConfig::over(Rule::Man, head_name.parse().unwrap(), false);
            for (channels, height, width) in [(8, 16, 16), (3, 1, 1), (16, 15, 17), (64, 7, 2), (600, 5, 5)] {
                let features = Features::Map { channels, height, width };
                let layers = head(&config, features, 64, 10).unwrap();
                assert_eq!(output_of_all(&layers, features).unwrap(), Features::Flat(10), "{head_name}");
            }
        }
    }

    #[test]
    fn predsim_pools_as_published() {
        let pool = |channels, side| predsim_pool(channels, [side, side], 512);
        assert_eq!(pool(8, 8).0.kernel, [1, 1]);
        assert_eq!((pool(8, 16).0.kernel, pool(8, 16).1), ([2, 2], [8, 8]));
        let (config, size) = pool(8, 17);
        assert_eq!((config.kernel, config.padding, size), ([4, 2], [2, 1], [5, 9]));
    }
}
