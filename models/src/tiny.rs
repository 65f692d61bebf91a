//! Networks of MLPerf Tiny (Banbury et al. 2021) that are none of another family's. Biases before batch norms, which take
//! them away, are left out. (Its network for visual wake words is `mobilenet_v1_x0_25` on 96 by 96 pixels.)

use crate::config::{ModelConfig, no_widths};
use crate::resnet;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::unit::Shortcut;
use localgrad::network::{NetworkSpec, NormConfig, UnitKind, UnitSpec};
use localgrad::{Error, Result};

const WIDTH: usize = 64;
const UNITS: usize = 4;
const RELU: Activation = Activation::Relu;
/// Widths of the autoencoder's dense layers but for the last, which gives the values.
const ENCODER: [usize; 5] = [128, 128, 128, 128, 8];
const DECODER: [usize; 4] = [128; 4];

/// `mlperf_resnet8`, for 3x32x32: a CIFAR ResNet whose ways around are convolutions without batch norm.
pub fn resnet8(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    if config.shortcut == Shortcut::Pad {
        return Err(Error::config(format!("{name} has its own ways around; leave the padding shortcut out")));
    }
    let config = ModelConfig { shortcut: Shortcut::Convolve, ..config.clone() };
    resnet::cifar(&[1; 3], &config, name)
}

/// `mlperf_ds_cnn` (Zhang et al. 2017, "Hello Edge"), for 1x49x10: 49 steps of ten cepstral coefficients.
pub fn ds_cnn(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let mut units = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Layers(stem(config.input.channels())),
        width: WIDTH,
        stride: [2, 2],
    }];
    units.extend((0..UNITS).map(|number| UnitSpec {
        name: format!("blocks.{number}"),
        kind: UnitKind::Separable { kernel: [3, 3], activation: RELU, norm: NormConfig::default() },
        width: WIDTH,
        stride: [1, 1],
    }));
    let head = vec![
        named("dropout2", LayerSpec::Dropout { probability: 0.4 }),
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs: WIDTH, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

/// `mlperf_autoencoder` (Koizumi et al. 2020, the baseline of DCASE's task 2), for 640x1x1: five steps of 128 mel
/// coefficients, given back as 640 values. Dense layers are convolutions of one position, the first one of the whole input,
/// whatever its height and width.
pub fn autoencoder(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let [channels, height, width] = config.input.sides();
    let whole = ConvConfig { kernel: [height, width], ..ConvConfig::default() };
    let first = LayerSpec::Conv { inputs: channels, outputs: ENCODER[0], config: whole, bias: false };
    let first = vec![named("0", first), named("1", LayerSpec::batch_norm(ENCODER[0], Some(RELU)))];
    let dense = UnitKind::ConvNorm { kernel: [1, 1], activation: RELU, norm: NormConfig::default() };
    let encoder = ENCODER.iter().enumerate().map(|(number, width)| (format!("encoder.{number}"), *width));
    let decoder = DECODER.iter().enumerate().map(|(number, width)| (format!("decoder.{number}"), *width));
    let mut units: Vec<UnitSpec> = encoder
        .chain(decoder)
        .map(|(name, width)| UnitSpec { name, kind: dense.clone(), width, stride: [1, 1] })
        .collect();
    units[0].kind = UnitKind::Layers(first);
    let head = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs: DECODER[3], outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

fn stem(inputs: usize) -> Vec<NamedLayer> {
    // Gives half the steps and half the coefficients, as padding to the same size does.
    let config = ConvConfig { kernel: [10, 4], stride: [2, 2], padding: [5, 1], ..ConvConfig::default() };
    vec![
        named("conv1", LayerSpec::Conv { inputs, outputs: WIDTH, config, bias: false }),
        named("bn1", LayerSpec::batch_norm(WIDTH, Some(RELU))),
        named("dropout1", LayerSpec::Dropout { probability: 0.2 }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use crate::network;
    use localgrad::layers::Features;

    fn at(name: &str, input: [usize; 3], classes: usize) -> NetworkSpec {
        network(name, &ModelConfig { input: input.into(), classes, ..ModelConfig::default() }).unwrap()
    }

    /// As many as the reference's, but for the statistics that it counts, too, and biases before batch norms.
    #[test]
    fn as_many_parameters_as_published() {
        let resnet = at("mlperf_resnet8", [3, 32, 32], 10);
        let normed = 3 * 16 + 2 * 32 + 2 * 64;
        assert_eq!(parameters(&resnet), 78_666 - 2 * normed - normed);
        let ds_cnn = at("mlperf_ds_cnn", [1, 49, 10], 12);
        let normed = 9 * 64;
        assert_eq!(parameters(&ds_cnn), 24_908 - 2 * normed - normed);
        let mobilenet = at("mobilenet_v1_x0_25", [3, 96, 96], 2);
        let normed: usize = 8
            + [8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256].iter().sum::<usize>()
            + [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256].iter().sum::<usize>();
        assert_eq!(parameters(&mobilenet), 221_794 - 2 * normed - normed);
        let autoencoder = at("mlperf_autoencoder", [640, 1, 1], 640);
        let normed = 8 * 128 + 8;
        assert_eq!(parameters(&autoencoder), 269_992 - 2 * normed - normed);
        // The same of a spectrogram that is not written as one row.
        assert_eq!(parameters(&at("mlperf_autoencoder", [1, 5, 128], 640)), parameters(&autoencoder));
    }

    #[test]
    fn a_second_of_speech_is_halved_once() {
        let spec = at("mlperf_ds_cnn", [1, 49, 10], 12);
        let last = spec.features_after(spec.units.len() - 1).unwrap();
        assert_eq!(last, Features::Map { channels: 64, height: 25, width: 5 });
    }
}
