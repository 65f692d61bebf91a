//! Networks for windows of sensors: `[C, 1, T]`, channels by time, and for texts. Of taller input every row is taken by itself.

use crate::config::{ModelConfig, no_widths};
use localgrad::inputs::{Inputs, Tokens};
use localgrad::layers::spec::{LayerSpec, named, unnamed};
use localgrad::network::{NetworkSpec, TemporalBlock, UnitKind, UnitSpec};
use localgrad::{Error, Result};

/// Widths of the residual network's units.
const WIDTHS: [usize; 3] = [64, 128, 128];
/// Width of the dilated network, and its number of units, each of which reaches twice as far as the one before.
const TCN_WIDTH: usize = 64;
const TCN_UNITS: usize = 6;

/// `resnet1d`: three units of three convolutions each, of 7, 5 and 3 steps (Wang et al. 2017, "Time series classification
/// from scratch with deep neural networks", there of 8, 5 and 3); where the shape stays, the input is added as it is.
pub fn resnet1d(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let units = WIDTHS.map(|width| (width, TemporalBlock::default()));
    network(name, config, &units)
}

/// `tcn`: six units of two convolutions of 3 steps, with dilations from 1 to 32 (Bai et al. 2018, "An empirical evaluation of
/// generic convolutional and recurrent networks for sequence modeling"). A window is whole when it is classified, so that
/// kernels reach back and ahead, and batch norm takes the place of weight norm. The last step sees 126 steps on both sides.
pub fn tcn(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let unit = |number: usize| TemporalBlock { kernels: vec![3, 3], dilation: 1 << number, dropout: 0.2 };
    let units: [_; TCN_UNITS] = std::array::from_fn(|number| (TCN_WIDTH, unit(number)));
    network(name, config, &units)
}

/// `text_tcn`: an embedding of tokens, such as the words of a text, and the units of [`tcn`].
pub fn text_tcn(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let Inputs::Tokens(Tokens { vocabulary, .. }) = config.input else {
        return Err(Error::config(format!(
            "{name} takes tokens, not images of {}; say how many, of how many to choose from",
            config.input
        )));
    };
    let mut network = tcn(name, config)?;
    let embedding = LayerSpec::Embedding { vocabulary, channels: TCN_WIDTH };
    let first = UnitSpec {
        name: String::new(),
        kind: UnitKind::Layers(vec![named("embedding", embedding)]),
        width: TCN_WIDTH,
        stride: [1, 1],
    };
    network.units.insert(0, first);
    Ok(network)
}

fn network(name: &str, config: &ModelConfig, blocks: &[(usize, TemporalBlock)]) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let unit = |(position, (width, block)): (usize, &(usize, TemporalBlock))| UnitSpec {
        name: format!("layer{}", position + 1),
        kind: UnitKind::TemporalBlock(block.clone()),
        width: *width,
        stride: [1, 1],
    };
    let units: Vec<UnitSpec> = blocks.iter().enumerate().map(unit).collect();
    let inputs = blocks.last().map_or(config.input.channels(), |(width, _)| *width);
    let head = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::adapt;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    /// Nine channels of a sensor, six activities.
    fn config() -> ModelConfig {
        ModelConfig { input: [9, 1, 128].into(), classes: 6, ..ModelConfig::default() }
    }

    #[test]
    fn as_many_parameters_as_their_convolutions_have() {
        let norms = |width: usize, count: usize| 2 * width * count;
        let unit = |inputs: usize, width: usize| width * (7 * inputs + (5 + 3) * width) + norms(width, 3);
        let projected = |inputs: usize, width: usize| inputs * width + norms(width, 1);
        let all = unit(9, 64) + projected(9, 64) + unit(64, 128) + projected(64, 128) + unit(128, 128);
        assert_eq!(parameters(&resnet1d("resnet1d", &config()).unwrap()), all + 128 * 6 + 6);
        let first = 3 * (9 + 64) * 64 + norms(64, 2) + projected(9, 64);
        let others = 5 * (3 * 2 * 64 * 64 + norms(64, 2));
        assert_eq!(parameters(&tcn("tcn", &config()).unwrap()), first + others + 64 * 6 + 6);
    }

    #[test]
    fn a_text_begins_with_its_tokens_rows() {
        let of = |length, vocabulary| {
            let input = Inputs::Tokens(Tokens { length, vocabulary });
            text_tcn("text_tcn", &ModelConfig { input, classes: 6, ..ModelConfig::default() }).unwrap()
        };
        let spec = of(40, 300);
        spec.validate().unwrap();
        let wide = ModelConfig { input: [64, 1, 40].into(), classes: 6, ..ModelConfig::default() };
        assert_eq!(parameters(&spec), 300 * 64 + parameters(&tcn("tcn", &wide).unwrap()));
        assert_eq!(spec.features_after(0).unwrap(), Features::Map { channels: 64, height: 1, width: 40 });
        assert_eq!(adapt(spec, of(25, 90).input, 6).unwrap(), of(25, 90));
        assert!(text_tcn("text_tcn", &config()).unwrap_err().to_string().contains("takes tokens"));
    }

    #[test]
    fn windows_keep_their_length() {
        for (spec, channels) in
            [(resnet1d("resnet1d", &config()).unwrap(), 128), (tcn("tcn", &config()).unwrap(), 64)]
        {
            spec.validate().unwrap();
            let last = spec.features_after(spec.units.len() - 1).unwrap();
            assert_eq!(last, Features::Map { channels, height: 1, width: 128 });
        }
    }
}
