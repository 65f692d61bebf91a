//! `--rule auto`: end to end where that keeps to the budget, in pieces if need be; else the affordable ones of the accurate local
//! rules in `docs/results.md`, in as few blocks as keep to it: MAN over AugLocal's head in two, in more AugLocal with deep
//! auxiliary networks at half resolution.

use crate::arguments::{RuleArguments, TaskName, WaitingArguments};
use crate::budget::Attempt;
use crate::fault::{Fault, Outcome};
use localgrad::inputs::Inputs;
use localgrad::network::NetworkSpec;
use localgrad::plan::size;
use localgrad::rules::{Head, Rule, RuleConfig};
use std::collections::BTreeMap;

/// The word for it.
const AUTO: &str = "auto";
/// In two blocks: one unit after MAN's pair, the last, brings the auxiliary network to where the network ends.
const DEPTH: usize = 1;
/// In two blocks: an average that forgets its start in ten steps.
const EMA_MOMENTUM: f64 = 0.9;
/// In more than two: units of the first auxiliary networks.
const DEEP_DEPTH: usize = 4;
/// In more than two: windows whose means these units take.
const DEEP_POOL: usize = 2;

/// Whether the rule is to be chosen.
pub fn wanted(rule: &RuleArguments) -> bool {
    rule.rule.as_deref() == Some(AUTO)
}

/// The words of a rule that was chosen, and why it was.
#[derive(Debug)]
pub struct Chosen {
    /// What stands for `--rule auto`.
    pub rule: RuleArguments,
    /// A line for people.
    pub why: String,
}

/// Chooses among the rules; `attempt` says what a rule of these words could do within the budget. Two blocks lose next to
/// nothing, so that they come before end-to-end training with poor statistics; more come after it.
///
/// # Errors
/// Those of `attempt`.
pub fn choose(
    rule: &RuleArguments,
    network: &NetworkSpec,
    budget_bytes: Option<usize>,
    mut attempt: impl FnMut(&RuleArguments) -> Outcome<Attempt>,
) -> Outcome<Chosen> {
    let (whole, units) = (end_to_end(rule), network.units.len());
    let in_blocks = |count| in_blocks(rule, network.input, count);
    let Some(budget_bytes) = budget_bytes else {
        let why = "auto: bp, since there is no memory budget to keep to (--memory-budget)".into();
        return Ok(Chosen { rule: whole, why });
    };
    let budget = size::words(budget_bytes);
    let of_whole = attempt(&whole)?;
    let mut tried = BTreeMap::new();
    let mut of_local = |count: usize| -> Outcome<Attempt> {
        if let Some(known) = tried.get(&count) {
            return Ok(*known);
        }
        let found = attempt(&in_blocks(count))?;
        tried.insert(count, found);
        Ok(found)
    };
    let count = match (of_whole.fits_well, of_whole.fits) {
        (true, _) => None,
        (false, true) => Some(2).filter(|_| units > 1),
        (false, false) => match fewest(units, &mut |count| Ok(of_local(count)?.fits_well))? {
            None => fewest(units, &mut |count| Ok(of_local(count)?.fits))?,
            well => well,
        },
    };
    if let Some(count) = count
        && (!of_whole.fits || of_local(count)?.fits_well)
    {
        let rule = in_blocks(count);
        let than = if of_whole.fits { "with more samples at once than bp" } else { "as bp does not" };
        let why = format!("auto: {} in {count} blocks, which keeps to {budget} {than}", name(&rule));
        return Ok(Chosen { rule, why });
    }
    if of_whole.fits {
        return Ok(Chosen { rule: whole, why: format!("auto: bp, which keeps to {budget}") });
    }
    // The refusal that follows names the least that would do.
    let least = tried.iter().min_by_key(|(_, found)| found.least_bytes);
    let rule = match least {
        Some((&count, found)) if found.least_bytes < of_whole.least_bytes => in_blocks(count),
        _ => whole,
    };
    Ok(Chosen { rule, why: format!("auto: neither bp nor a local rule keeps to {budget}") })
}

/// The words of the local rule in so many blocks.
fn in_blocks(rule: &RuleArguments, input: Inputs, count: usize) -> RuleArguments {
    let words = if count > 2 && !input.are_tokens() { deep(rule) } else { local(rule) };
    RuleArguments { blocks: Some(count), ..words }
}

/// The fewest blocks that `fits`, looked for in ever larger steps and then by halves.
fn fewest(units: usize, fits: &mut impl FnMut(usize) -> Outcome<bool>) -> Outcome<Option<usize>> {
    let doubled = std::iter::successors(Some(2), |count| Some(2 * count)).take_while(|&count| count < units);
    let mut fails = 1;
    for count in doubled.chain((units > 1).then_some(units)) {
        if !fits(count)? {
            fails = count;
            continue;
        }
        let mut holds = count;
        while holds - fails > 1 {
            let middle = (holds + fails) / 2;
            if fits(middle)? { holds = middle } else { fails = middle }
        }
        return Ok(Some(holds));
    }
    Ok(None)
}

/// The rule that a run was begun with, for a run that goes on.
pub fn as_begun(rule: &RuleArguments, begun: &RuleConfig) -> RuleArguments {
    match begun.rule {
        Rule::Bp => end_to_end(rule),
        Rule::Auglocal => {
            RuleArguments { aux_depth: Some(begun.depth), aux_pool: Some(begun.pool), ..deep(rule) }
        }
        _ => RuleArguments {
            head: Some(begun.head.to_string()),
            aux_depth: Some(begun.depth),
            ema_momentum: Some(begun.ema_momentum),
            ..local(rule)
        },
    }
}

/// The words of MAN, where nobody says over which head, with the head that the run began with: what it is by default may be
/// another than then.
pub fn over_as_begun(rule: &RuleArguments, begun: &RuleConfig) -> RuleArguments {
    let is_man = rule.rule.as_deref().is_none_or(|rule| rule == Rule::Man.to_string());
    if rule.head.is_some() || !is_man || begun.rule != Rule::Man {
        return rule.clone();
    }
    RuleArguments {
        head: Some(begun.head_name()),
        aux_depth: rule.aux_depth.or(begun.has_depth().then_some(begun.depth)),
        ema_momentum: rule.ema_momentum.or(Some(begun.ema_momentum)),
        ..rule.clone()
    }
}

/// The words of end-to-end training in place of `--rule auto`.
pub fn end_to_end(rule: &RuleArguments) -> RuleArguments {
    RuleArguments { rule: Some(Rule::Bp.to_string()), ..rule.clone() }
}

/// The words of AugLocal with deep auxiliary networks at half resolution, with the numbers that are not said.
fn deep(rule: &RuleArguments) -> RuleArguments {
    RuleArguments {
        rule: Some(Rule::Auglocal.to_string()),
        aux_depth: rule.aux_depth.or(Some(DEEP_DEPTH)),
        aux_pool: rule.aux_pool.or(Some(DEEP_POOL)),
        ..rule.clone()
    }
}

/// The words of the local rule in two blocks: MAN over AugLocal's head, with the numbers that are not said.
pub fn local(rule: &RuleArguments) -> RuleArguments {
    RuleArguments {
        rule: Some(Rule::Man.to_string()),
        head: Some(Head::Auglocal.to_string()),
        aux_depth: rule.aux_depth.or(Some(DEPTH)),
        ema_momentum: rule.ema_momentum.or(Some(EMA_MOMENTUM)),
        ..rule.clone()
    }
}

fn name(rule: &RuleArguments) -> String {
    [rule.rule.as_deref(), rule.head.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" over ")
}

/// Refuses words about the rule that is to be chosen.
pub fn check(rule: &RuleArguments, waiting: &WaitingArguments) -> Outcome<()> {
    let said = [
        ("--head", rule.head.is_some()),
        ("--blocks", rule.blocks.is_some()),
        ("--ends", rule.ends.is_some()),
        ("--pieces", rule.pieces.is_some()),
        ("--task", rule.task != TaskName::Softmax),
        ("--aux-depth", rule.aux_depth.is_some()),
        ("--pyramid", rule.pyramid.is_some()),
        ("--aux-pool", rule.aux_pool.is_some()),
        ("--ema-momentum", rule.ema_momentum.is_some()),
        ("--average-alone", rule.average_alone),
        ("--lambda-first", rule.lambda_first.is_some()),
        ("--lambda-last", rule.lambda_last.is_some()),
        ("--block-batches", !waiting.block_batches.is_empty()),
    ];
    match said.iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(Fault::usage(format!(
            "--rule auto chooses what {flag} says; leave {flag} out, or name a rule"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices;
    use crate::resume::{FinetuneOrTrain, parsed};

    fn said(words: &str) -> RuleArguments {
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        match parsed(&words).unwrap() {
            FinetuneOrTrain::Train(words) => words.rule,
            FinetuneOrTrain::Finetune(words) => words.train.rule,
        }
    }

    #[test]
    fn man_goes_on_over_the_head_it_began_with() {
        let input = Inputs::Pixels([3, 8, 8]);
        let path = RuleConfig { ema_momentum: 0.5, ..RuleConfig::over(Rule::Man, Head::Path, false) };
        for begun in [RuleConfig::new(Rule::Man), RuleConfig::usual(Rule::Man, input), path] {
            for words in ["train", "train --rule man"] {
                let rule = over_as_begun(&said(words), &begun);
                assert_eq!(choices::rule(&rule, Rule::Man, input).unwrap(), begun);
            }
        }
        let infopro = RuleConfig::new(Rule::Man);
        assert_eq!(over_as_begun(&said("train --head dgl"), &infopro).head.as_deref(), Some("dgl"));
        assert_eq!(over_as_begun(&said("train --rule greedy"), &infopro).head, None);
    }

    #[test]
    fn man_contrasts_over_a_published_head() {
        let contrasts = |words: &str| choices::rule(&said(words), Rule::Man, Inputs::Pixels([3, 8, 8]));
        assert_eq!(contrasts("train --task contrastive").unwrap().head_name(), "infopro");
        assert_eq!(contrasts("train").unwrap().head_name(), "auglocal");
        assert!(contrasts("train --task contrastive --head auglocal").is_err());
    }

    #[test]
    fn the_fewest_are_found() {
        for least in 2..=17 {
            let found = fewest(17, &mut |count| Ok(count >= least)).unwrap();
            assert_eq!(found, Some(least));
        }
        assert_eq!(fewest(17, &mut |_| Ok(false)).unwrap(), None);
        assert_eq!(fewest(1, &mut |_| Ok(true)).unwrap(), None);
    }
}
