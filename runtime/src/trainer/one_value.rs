//! Batch norms that would see one value of each channel. It is its own mean, so that they make it 0, whatever it is:
//! what lies before them gets no gradient, and what lies after learns from nothing. Specs and sizes tell before anything
//! is trained.

use super::{Method, TrainConfig};
use crate::error::{Error, Result};
use crate::layers::spec::{Features, LayerSpec, NamedLayer, join, output_of_all};
use crate::network::{NetworkSpec, blocks};
use crate::rules::auxiliary_specs;

/// Refuses steps on `batch` samples that pass one by one through a batch norm of which one sample has one value.
///
/// # Errors
/// `Config`, with the layer; those of expanding specs.
pub fn check_statistics(network: &NetworkSpec, train: &TrainConfig, batch: usize) -> Result<()> {
    let is_alone = |(block, _): &(usize, String)| shares(train, *block, batch).0 == 1;
    let Some((_, layer)) = norms_of_one_value(network, &train.method)?.into_iter().find(is_alone) else {
        return Ok(());
    };
    let what = match train.execution.micro_batch {
        Some(1) if batch > 1 => "a micro-batch",
        _ => "a batch",
    };
    Err(Error::config(format!(
        "batch norm {layer} would see one value of a channel, as a sample has no more there and {what} of 1 is one sample: it \
         makes any value 0, and nothing could be learned; let at least 2 samples pass at once, or take larger images"
    )))
}

/// What to warn of where a step on some of these `samples` has batch norm see one value of a channel: steps take `batch`
/// of them, and the last of an epoch those that are left. None where `samples` is 0, or all is well.
///
/// # Errors
/// Those of expanding specs.
pub fn warning_of_last_samples(
    network: &NetworkSpec,
    train: &TrainConfig,
    batch: usize,
    samples: usize,
) -> Result<Option<String>> {
    if batch == 0 || samples == 0 {
        return Ok(None);
    }
    let leaves_one = |block: usize, batch: usize| {
        let ends_in_one = |samples: usize| samples > 0 && shares(train, block, samples).1 == 1;
        (samples >= batch && ends_in_one(batch)) || ends_in_one(samples % batch)
    };
    let norms = norms_of_one_value(network, &train.method)?;
    let Some((_, layer)) = norms.iter().find(|(block, _)| leaves_one(*block, batch)) else { return Ok(None) };
    let all_well = |batch: &usize| norms.iter().all(|(block, _)| !leaves_one(*block, *batch));
    let advice = match (2..batch).rev().find(all_well) {
        Some(other) => format!("batches of {other} leave none alone"),
        None => "choose another batch, or leave a sample out".into(),
    };
    Ok(Some(format!(
        "the last samples of some steps pass alone, and batch norm {layer} sees one value of a channel of each: it makes it \
         0, learns nothing there, and takes a variance of 0 into its running one; {advice}"
    )))
}

/// How many samples of a batch pass at once through a block, as far as batch norm knows, and how many at last.
fn shares(train: &TrainConfig, block: usize, batch: usize) -> (usize, usize) {
    let TrainConfig { method, execution } = train;
    let batch = method.block_batches.get(block).copied().unwrap_or(batch);
    let share = execution.micro_batch.filter(|_| !execution.exact).unwrap_or(batch).min(batch).max(1);
    (share, if batch.is_multiple_of(share) { share } else { batch % share })
}

/// The first batch norm of each trained block of which a sample has one value of a channel, with the block.
fn norms_of_one_value(network: &NetworkSpec, method: &Method) -> Result<Vec<(usize, String)>> {
    let auxiliaries = auxiliary_specs(network, &method.ends, &method.rule)?;
    let expanded = network.expand()?;
    let mut found = Vec::new();
    let first_trained = method.first_trained(&expanded);
    let still_blocks = method.still_blocks(first_trained);
    for (block, range) in blocks::ranges(&method.ends).into_iter().enumerate().skip(still_blocks) {
        let mut norm = None;
        // Others go by their running statistics.
        let takes_batch = |unit: &usize| method.selection.of_unit(*unit, expanded.len()).norms;
        for unit in (first_trained.max(*range.start())..=*range.end()).filter(takes_batch) {
            let input = if unit == 0 { network.input_features() } else { expanded[unit - 1].1 };
            let name = &network.units[unit].name;
            norm = norm.map_or_else(|| norm_of_one_value(&expanded[unit].0, input, name), |n| Ok(Some(n)))?;
        }
        let output = expanded[*range.end()].1;
        if norm.is_none() {
            norm = match auxiliaries.get(block) {
                None => norm_of_head(network, method, output)?,
                Some(auxiliary) => {
                    let place = format!("aux.{block}");
                    auxiliary
                        .lists(output)?
                        .iter()
                        .find_map(|(layers, input)| norm_of_one_value(layers, *input, &place).transpose())
                        .transpose()?
                }
            };
        }
        found.extend(norm.map(|norm| (block, format!("'{norm}'"))));
    }
    Ok(found)
}

/// The first batch norm of the head that goes by its batch and has one value of a channel.
fn norm_of_head(network: &NetworkSpec, method: &Method, input: Features) -> Result<Option<String>> {
    let mut features = input;
    for (layers, trains) in method.selection.of_head(&network.head, network.units.len()) {
        let norm = if trains.norms { norm_of_one_value(layers, features, "")? } else { None };
        if norm.is_some() {
            return Ok(norm);
        }
        features = output_of_all(layers, features)?;
    }
    Ok(None)
}

fn norm_of_one_value(layers: &[NamedLayer], input: Features, path: &str) -> Result<Option<String>> {
    let mut features = input;
    for NamedLayer { name, layer } in layers {
        let place = join(path, name);
        if matches!(layer, LayerSpec::BatchNorm { .. }) && features.elements() == features.channels() {
            return Ok(Some(place.into_owned()));
        }
        for branch in layer.branches() {
            let found = norm_of_one_value(branch, features, &place)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        features = layer.output(features)?;
    }
    Ok(None)
}
