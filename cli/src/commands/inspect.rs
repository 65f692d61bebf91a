//! `localgrad inspect`

use crate::arguments::InspectArguments;
use crate::choices;
use crate::commands::trained;
use crate::fault::{Fault, Outcome};
use crate::metrics::{BlockRecord, UnitRecord};
use crate::output::{Output, bytes, count, table};
use crate::portrait::Portrait;
use crate::weights_file;
use localgrad::rules::Rule;
use localgrad_models::MODELS;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct InspectRecord<'a> {
    event: &'static str,
    network: &'a str,
    rule: String,
    batch: usize,
    parameters: u64,
    auxiliary_parameters: u64,
    multiply_adds: u64,
    units: &'a [UnitRecord],
    blocks: &'a [BlockRecord],
}

/// Shows what a network, cut into blocks for a rule, consists of; trains nothing.
pub fn run(arguments: &InspectArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    if let Some(path) = &arguments.weights {
        return tell(path, output);
    }
    let input = choices::inputs(&arguments.shape.input)?;
    let answers = choices::answers(&arguments.shape, None)?;
    let network = choices::network(&arguments.model, input, answers)?;
    if arguments.spec {
        let text = match output.json {
            true => serde_json::to_string(&network),
            false => serde_json::to_string_pretty(&network),
        };
        let text = text.map_err(|cause| Fault::failed(cause.to_string()))?;
        Output { json: false }.text(&text);
        return Ok(());
    }
    let rule = choices::rule(&arguments.rule, Rule::Man, network.input)?;
    let ends = choices::cut(&arguments.rule, &[], &network, &rule)?.ends;
    let portrait = Portrait::new(&network, &ends, &rule, arguments.batch)?;
    let auxiliary: u64 = portrait.blocks.iter().map(|block| block.auxiliary_parameters).sum();
    output.record(&InspectRecord {
        event: "inspected",
        network: &network.name,
        rule: rule.rule.to_string(),
        batch: arguments.batch,
        parameters: portrait.parameters,
        auxiliary_parameters: auxiliary,
        multiply_adds: portrait.multiply_adds,
        units: &portrait.units,
        blocks: &portrait.blocks,
    });
    if output.json {
        return Ok(());
    }
    output.text(&format!(
        "{}: {} units, {} parameters, {} multiply-adds an image\n",
        network.name,
        network.units.len(),
        count(portrait.parameters as usize),
        count(portrait.multiply_adds as usize),
    ));
    output.text(&unit_table(&portrait));
    output.text(&format!("\n{} with {} blocks, batch {}\n", rule.rule, ends.len(), arguments.batch));
    output.text(&block_table(&portrait));
    Ok(())
}

#[derive(Serialize)]
struct IdentifiedRecord<'a> {
    event: &'static str,
    file: String,
    origin: &'a str,
    model: &'a str,
    classes: usize,
    class_names: &'a [String],
}

/// Says what a file of weights is.
fn tell(path: &Path, output: Output) -> Outcome<()> {
    let card = weights_file::card(path)?;
    let identity = if card.network.is_some() { None } else { trained::identity(path)? };
    let (origin, model, classes) = match (&card.network, &identity) {
        (Some(network), _) => ("localgrad", network.name.as_str(), network.classes),
        (None, Some(found)) => (found.origin, found.model, found.config.classes),
        (None, None) => {
            return Err(Fault::failed(format!(
                "{} holds {} tensors of a network that is none of: {}; tell what uses them by --model with a spec, such as \
                 inspect --spec prints",
                path.display(),
                weights_file::listed(path)?.len(),
                MODELS.join(", ")
            )));
        }
    };
    let file = path.display().to_string();
    let text = format!("{file}: {origin}, {model}, {classes} classes");
    let class_names = &card.class_names;
    output.record(&IdentifiedRecord { event: "identified", file, origin, model, classes, class_names });
    if !output.json {
        output.text(&text);
    }
    Ok(())
}

fn unit_table(portrait: &Portrait) -> String {
    let rows: Vec<Vec<String>> = portrait
        .units
        .iter()
        .enumerate()
        .map(|(number, unit)| {
            vec![
                format!("{number} {}", unit.name),
                unit.kind.clone(),
                unit.features.clone(),
                count(unit.parameters as usize),
                bytes(unit.activation_bytes),
            ]
        })
        .collect();
    table(&["unit", "kind", "gives", "parameters", "keeps a step"], &rows)
}

fn block_table(portrait: &Portrait) -> String {
    let rows: Vec<Vec<String>> = portrait
        .blocks
        .iter()
        .enumerate()
        .map(|(number, block)| {
            let auxiliary = if block.auxiliary.is_empty() { "the network's head" } else { &block.auxiliary };
            vec![
                format!("{number}: units {} to {}", block.first_unit, block.last_unit),
                count(block.parameters as usize),
                count(block.auxiliary_parameters as usize),
                bytes(block.activation_bytes),
                auxiliary.to_string(),
            ]
        })
        .collect();
    table(&["block", "parameters", "auxiliary", "keeps a step", "loss through"], &rows)
}
