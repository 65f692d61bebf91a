//! VGG with batch norm (Simonyan and Zisserman 2014), named as torchvision names it.

use crate::catalogue::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::pool::PoolConfig;
use localgrad::network::NetworkSpec;
use localgrad::network::unit::{UnitKind, UnitSpec};

/// Convolutions in each of the five stages.
fn counts(name: &str) -> [usize; 5] {
    match name {
        "vgg11" => [1, 1, 2, 2, 2],
        "vgg13" => [2; 5],
        "vgg16" => [2, 2, 3, 3, 3],
        _ => [2, 2, 4, 4, 4],
    }
}

/// `vgg11`, `vgg13`, `vgg16` or `vgg19`. A stage's pool belongs to its first unit; images of at most 64 pixels
/// get one linear layer as their head, larger ones the published three.
pub fn vgg(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let mut units = Vec::new();
    let mut number = 0;
    for (stage, count) in counts(name).into_iter().enumerate() {
        for position in 0..count {
            let pools = stage > 0 && position == 0;
            // torchvision counts the pools and ReLUs among the features.
            number += usize::from(pools);
            let names = [format!("features.{number}"), format!("features.{}", number + 1)];
            number += 3;
            units.push(UnitSpec {
                name: String::new(),
                kind: UnitKind::Plain { names, bias: true },
                width: 64 << stage.min(3),
                stride: if pools { 2 } else { 1 },
            });
        }
    }
    let size = [config.input[1], config.input[2]];
    let head = if size[0].max(size[1]) <= 64 { small_head(size, config) } else { published_head(config) };
    Ok(NetworkSpec { name: name.into(), input: config.input, classes: config.classes, units, head })
}

fn small_head(size: [usize; 2], config: &ModelConfig) -> Vec<NamedLayer> {
    let mut head = Vec::new();
    if size.iter().all(|side| side / 16 >= 2) {
        head.push(last_pool());
    }
    head.push(unnamed(LayerSpec::GlobalAveragePool));
    head.push(named("classifier", LayerSpec::Linear { inputs: 512, outputs: config.classes, bias: true }));
    head
}

fn published_head(config: &ModelConfig) -> Vec<NamedLayer> {
    let mut head =
        vec![last_pool(), unnamed(LayerSpec::AdaptiveAveragePool([7, 7])), unnamed(LayerSpec::Flatten)];
    let mut inputs = 512 * 7 * 7;
    for position in ["0", "3"] {
        head.push(named(
            format!("classifier.{position}"),
            LayerSpec::Linear { inputs, outputs: 4096, bias: true },
        ));
        head.push(unnamed(LayerSpec::Activation(Activation::Relu)));
        head.push(named(format!("dropout.{position}"), LayerSpec::Dropout { probability: 0.5 }));
        inputs = 4096;
    }
    head.push(named("classifier.6", LayerSpec::Linear { inputs, outputs: config.classes, bias: true }));
    head
}

fn last_pool() -> NamedLayer {
    unnamed(LayerSpec::MaxPool(PoolConfig { kernel: [2, 2], stride: [2, 2], padding: [0, 0] }))
}
