//! What `localgrad train` does when it is told nothing: a network, a rule and a recipe that finish in about a
//! minute on two cores and show what local training is for.

use crate::arguments::TrainArguments;
use localgrad::rules::Rule;

/// The network.
const MODEL: &str = "resnet32";
/// Its stem and stages: narrow where maps are large.
const WIDTHS: [usize; 4] = [8, 8, 32, 64];
/// The rule.
const RULE: Rule = Rule::Man;
/// The rule's head.
const HEAD: &str = "dgl";
/// Last unit of each block: the first are short, where maps are large.
const ENDS: [usize; 3] = [4, 8, 15];
/// A run of a few hundred steps needs an average that forgets its start in tens of steps.
const EMA_MOMENTUM: f64 = 0.9;
/// Samples a step.
const BATCH: usize = 32;
/// Passes over the data.
const EPOCHS: usize = 4;
/// Base learning rate.
const RATE: f64 = 0.05;
/// Share of each label spread over all classes.
const LABEL_SMOOTHING: f64 = 0.1;

/// Whether the demonstration was asked for: neither network, nor data, nor rule, nor budget was named.
pub fn wanted(arguments: &TrainArguments) -> bool {
    let rule = &arguments.rule;
    arguments.model.model.is_none()
        && arguments.data.data.is_none()
        && rule.rule.is_none()
        && rule.head.is_none()
        && rule.blocks.is_none()
        && rule.ends.is_none()
        && arguments.init.is_none()
        && arguments.budget.memory_budget.is_none()
}

/// The words that stand for what was not said.
pub fn complete(arguments: &mut TrainArguments) {
    arguments.model.model = Some(MODEL.into());
    arguments.model.widths.get_or_insert_with(|| WIDTHS.to_vec());
    arguments.rule.rule = Some(RULE.to_string());
    arguments.rule.head = Some(HEAD.into());
    arguments.rule.ends = Some(ENDS.to_vec());
    // End to end there is nothing to repeat: the whole network is one block.
    arguments.rule.recompute = true;
    arguments.rule.ema_momentum.get_or_insert(EMA_MOMENTUM);
    let recipe = &mut arguments.recipe;
    recipe.batch.get_or_insert(BATCH);
    recipe.lr.get_or_insert(RATE);
    recipe.label_smoothing.get_or_insert(LABEL_SMOOTHING);
    // So short a run has no time to warm up, nor to learn from varied images.
    recipe.warmup.get_or_insert(0);
    recipe.no_augment = true;
    if recipe.steps.is_none() {
        recipe.epochs.get_or_insert(EPOCHS);
    }
}
