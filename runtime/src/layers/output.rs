//! What a layer makes of features, and why it cannot take them.

use super::limits::{check_epsilon, check_features, check_momentum, check_probability, check_weight};
use super::spec::{Features, LayerSpec, NamedLayer, ShortcutSpec, output_of_all};
use crate::error::{Error, Result};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::{MOST_WINDOW_PIXELS, PoolConfig};

/// The features that `layer` makes of `input`, whose numbers have been looked at; how many they are has not.
pub(super) fn output(layer: &LayerSpec, input: Features) -> Result<Features> {
    if let Features::Tokens(_) = input
        && !matches!(layer, LayerSpec::Embedding { .. })
    {
        return Err(Error::shape(format!(
            "an embedding alone takes tokens, of which there are {input}; begin with one"
        )));
    }
    match layer {
        LayerSpec::BatchNorm { .. }
        | LayerSpec::LayerNorm { .. }
        | LayerSpec::GroupNorm { .. }
        | LayerSpec::ResponseNorm { .. }
        | LayerSpec::Activation(_)
        | LayerSpec::Prelu { .. }
        | LayerSpec::Scale { .. }
        | LayerSpec::Dropout { .. }
        | LayerSpec::DropPath { .. }
        | LayerSpec::Shuffle { .. } => check_keeping(layer, input.channels()).map(|()| input),
        LayerSpec::Conv { inputs, outputs, config, .. } => convolved([*inputs, *outputs], config, input),
        LayerSpec::Linear { inputs, outputs, .. } => match input {
            Features::Flat(length) if length == *inputs => {
                check_weight(&[*outputs, *inputs])?;
                Ok(Features::Flat(*outputs))
            }
            _ => Err(Error::shape(format!("linear takes {inputs} features, found {input}"))),
        },
        LayerSpec::Embedding { vocabulary, channels } => embedded([*vocabulary, *channels], input),
        LayerSpec::MaxPool(pool) => {
            check_window(pool)?;
            pooled(pool, input)
        }
        LayerSpec::AveragePool(pool) => pooled(pool, input),
        LayerSpec::AdaptiveAveragePool(size) | LayerSpec::Upsample { size, .. } => {
            let (channels, ..) = input.map()?;
            if size.contains(&0) {
                return Err(Error::shape("a feature map cannot be resized to nothing"));
            }
            Ok(Features::Map { channels, height: size[0], width: size[1] })
        }
        LayerSpec::GlobalAveragePool => Ok(Features::Flat(input.map()?.0)),
        LayerSpec::Flatten => Ok(Features::Flat(input.elements())),
        LayerSpec::Slice { first, count } => match first.checked_add(*count) {
            Some(end) if *count > 0 && end <= input.channels() => Ok(input.with_channels(*count)),
            _ => Err(Error::shape(format!(
                "{} channels cannot be cut to {count} from number {first} on",
                input.channels()
            ))),
        },
        LayerSpec::Concat { branches } => side_by_side(branches, input),
        LayerSpec::Excite { gate } => excited(gate, input),
        LayerSpec::Residual { main, shortcut, activation } => {
            check_activation(*activation)?;
            summed(main, shortcut, input)
        }
    }
}

/// Checks a layer that gives features as it takes them, of so many channels.
fn check_keeping(layer: &LayerSpec, channels: usize) -> Result<()> {
    let expect = |what, wanted| expect_channels(what, wanted, channels);
    match layer {
        LayerSpec::BatchNorm { channels, activation, epsilon, momentum } => {
            check_activation(*activation)?;
            check_epsilon(*epsilon)?;
            check_momentum(*momentum)?;
            expect("batch norm", *channels)
        }
        LayerSpec::LayerNorm { channels, epsilon } => {
            check_epsilon(*epsilon)?;
            expect("layer norm", *channels)
        }
        LayerSpec::GroupNorm { channels, groups, epsilon } => {
            check_epsilon(*epsilon)?;
            expect("group norm", *channels)?;
            check_groups("group norm", *channels, *groups)
        }
        LayerSpec::ResponseNorm { channels } => expect("global response norm", *channels),
        LayerSpec::Activation(activation) => check_activation(Some(*activation)),
        LayerSpec::Prelu { slopes } if *slopes != 1 => expect("a ReLU with a slope a channel", *slopes),
        LayerSpec::Scale { start, .. } if !(*start as f32).is_finite() => {
            Err(Error::config(format!("a scale cannot start as {start}; give a finite number, such as 1e-6")))
        }
        LayerSpec::Scale { channels, .. } => expect("scale", *channels),
        LayerSpec::Dropout { probability } | LayerSpec::DropPath { probability } => {
            check_probability(*probability)
        }
        LayerSpec::Shuffle { groups } => check_groups("a shuffle", channels, *groups),
        _ => Ok(()),
    }
}

fn convolved([inputs, outputs]: [usize; 2], config: &ConvConfig, input: Features) -> Result<Features> {
    let (channels, height, width) = input.map()?;
    expect_channels("convolution", inputs, channels)?;
    if config.groups == 0 || inputs % config.groups != 0 || outputs % config.groups != 0 {
        return Err(Error::shape(format!(
            "convolution {inputs} to {outputs} channels cannot have {} groups",
            config.groups
        )));
    }
    check_weight(&[outputs, inputs / config.groups, config.kernel[0], config.kernel[1]])?;
    let [height, width] = config.output_size(height, width)?;
    Ok(Features::Map { channels: outputs, height, width })
}

fn embedded([vocabulary, channels]: [usize; 2], input: Features) -> Result<Features> {
    check_weight(&[vocabulary, channels])?;
    match input {
        Features::Tokens(tokens) if tokens.vocabulary == vocabulary => {
            Ok(Features::Map { channels, height: 1, width: tokens.length })
        }
        _ => Err(Error::shape(format!("an embedding of {vocabulary} tokens takes tokens, found {input}"))),
    }
}

fn check_window(pool: &PoolConfig) -> Result<()> {
    let [rows, columns] = pool.kernel;
    match rows * columns > MOST_WINDOW_PIXELS {
        true => Err(Error::config(format!(
            "a max pool over {rows} by {columns} pixels is too large, as its windows have up to \
             {MOST_WINDOW_PIXELS}; two pools after each other reach as far"
        ))),
        false => Ok(()),
    }
}

fn pooled(pool: &PoolConfig, input: Features) -> Result<Features> {
    let (channels, height, width) = input.map()?;
    let [height, width] = pool.output_size([height, width])?;
    Ok(Features::Map { channels, height, width })
}

fn side_by_side(branches: &[Vec<NamedLayer>], input: Features) -> Result<Features> {
    let [first, others @ ..] = branches else {
        return Err(Error::shape("a concatenation needs a branch at least"));
    };
    others.iter().try_fold(output_of_all(first, input)?, |all, branch| {
        let more = output_of_all(branch, input)?;
        if all.with_channels(1) != more.with_channels(1) {
            return Err(Error::shape(format!("{all} and {more} cannot stand side by side")));
        }
        check_features(all.with_channels(all.channels().saturating_add(more.channels())))
    })
}

fn excited(gate: &[NamedLayer], input: Features) -> Result<Features> {
    let found = output_of_all(gate, input)?;
    match found.channels() == input.channels() && found.elements() == found.channels() {
        true => Ok(input),
        false => Err(Error::shape(format!(
            "a gate must give a number for each of {} channels, found {found}",
            input.channels()
        ))),
    }
}

fn summed(main: &[NamedLayer], shortcut: &ShortcutSpec, input: Features) -> Result<Features> {
    let output = output_of_all(main, input)?;
    let around = match shortcut {
        ShortcutSpec::Identity => input,
        ShortcutSpec::Projection(layers) => output_of_all(layers, input)?,
        ShortcutSpec::Pad { stride, channels } => {
            let (from, height, width) = input.map()?;
            if stride.contains(&0) || *channels < from || (channels - from) % 2 != 0 {
                return Err(Error::shape(format!(
                    "a padding shortcut cannot go from {from} to {channels} channels with stride {stride:?}; \
                     use a projection"
                )));
            }
            Features::Map {
                channels: *channels,
                height: height.div_ceil(stride[0]),
                width: width.div_ceil(stride[1]),
            }
        }
    };
    if output != around {
        return Err(Error::shape(format!("a residual sum of {output} and {around} is not possible")));
    }
    Ok(output)
}

fn check_activation(activation: Option<Activation>) -> Result<()> {
    activation.map_or(Ok(()), Activation::check)
}

fn check_groups(what: &str, channels: usize, groups: usize) -> Result<()> {
    match groups > 0 && channels.is_multiple_of(groups) {
        true => Ok(()),
        false => Err(Error::shape(format!("{what} of {channels} channels cannot have {groups} groups"))),
    }
}

fn expect_channels(what: &str, wanted: usize, found: usize) -> Result<()> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::shape(format!("{what} takes {wanted} channels, found {found}")))
}
