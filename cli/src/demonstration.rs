//! What `localgrad train` does when it is told nothing: a network, a rule and a recipe that finish in about a
//! minute on two cores and show what local training is for.

use crate::arguments::TrainArguments;
use localgrad::rules::Rule;

/// The network.
pub const MODEL: &str = "resnet20";
/// Its stem and stages.
pub const WIDTHS: [usize; 4] = [16, 16, 32, 64];
/// The rule.
pub const RULE: Rule = Rule::Man;
/// The rule's head.
pub const HEAD: &str = "dgl";
/// Number of blocks.
pub const BLOCKS: usize = 4;
/// Samples a step.
pub const BATCH: usize = 64;
/// Passes over the data.
pub const EPOCHS: usize = 8;

/// Whether the demonstration was asked for: neither network, nor data, nor rule was named.
pub fn wanted(arguments: &TrainArguments) -> bool {
    let rule = &arguments.rule;
    arguments.model.model.is_none()
        && arguments.data.data.is_none()
        && rule.rule.is_none()
        && rule.head.is_none()
        && rule.blocks.is_none()
        && rule.ends.is_none()
        && arguments.init.is_none()
}

/// The words that stand for what was not said.
pub fn complete(arguments: &mut TrainArguments) {
    arguments.model.model = Some(MODEL.into());
    arguments.model.widths.get_or_insert_with(|| WIDTHS.to_vec());
    arguments.rule.rule = Some(RULE.to_string());
    arguments.rule.head = Some(HEAD.into());
    arguments.rule.blocks = Some(BLOCKS);
    arguments.recipe.batch.get_or_insert(BATCH);
    if arguments.recipe.steps.is_none() {
        arguments.recipe.epochs.get_or_insert(EPOCHS);
    }
}
