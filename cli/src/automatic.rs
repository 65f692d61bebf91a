//! `--rule auto`: end to end where that keeps to the budget, in pieces if need be; else MAN over AugLocal's head, the
//! affordable one of the accurate local rules in `docs/results.md`, in as few blocks as keep to it.

use crate::arguments::RuleArguments;
use crate::fault::{Fault, Outcome};
use localgrad::plan::size;
use localgrad::rules::{Head, Rule};

/// The word for it.
const AUTO: &str = "auto";
/// Numbers of blocks that are tried, fewest first; then every unit its own.
const BLOCKS: [usize; 4] = [2, 4, 8, 16];

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

/// Chooses among the rules; `fits` says whether a rule of these words keeps to the budget in some way.
///
/// # Errors
/// Wrong use when something is said of the rule that is to be chosen; those of `fits`.
pub fn choose(
    rule: &RuleArguments,
    units: usize,
    budget_bytes: Option<usize>,
    mut fits: impl FnMut(&RuleArguments) -> Outcome<bool>,
) -> Outcome<Chosen> {
    refuse_details(rule)?;
    let whole = end_to_end(rule);
    let Some(budget_bytes) = budget_bytes else {
        let why = "auto: bp, since there is no memory budget to keep to (--memory-budget)".into();
        return Ok(Chosen { rule: whole, why });
    };
    if fits(&whole)? {
        let why = format!("auto: bp, which keeps to {}", size::words(budget_bytes));
        return Ok(Chosen { rule: whole, why });
    }
    let counts = BLOCKS.into_iter().filter(|&count| count < units).chain([units]);
    for count in counts {
        let local = RuleArguments { blocks: Some(count), ..local(rule) };
        if fits(&local)? {
            let budget = size::words(budget_bytes);
            let why = format!("auto: {} in {count} blocks, since bp does not keep to {budget}", name(&local));
            return Ok(Chosen { rule: local, why });
        }
    }
    // The refusal that follows names the least that would do.
    let rule = RuleArguments { blocks: Some(units), ..local(rule) };
    Ok(Chosen { rule, why: "auto: neither bp nor a local rule keeps to the budget".into() })
}

/// The rule that a run was begun with, for a run that goes on.
pub fn as_begun(rule: &RuleArguments, begun: Rule) -> RuleArguments {
    if begun == Rule::Bp { end_to_end(rule) } else { local(rule) }
}

/// The words of end-to-end training in place of `--rule auto`.
pub fn end_to_end(rule: &RuleArguments) -> RuleArguments {
    RuleArguments { rule: Some(Rule::Bp.to_string()), ..rule.clone() }
}

fn local(rule: &RuleArguments) -> RuleArguments {
    RuleArguments {
        rule: Some(Rule::Man.to_string()),
        head: Some(Head::Auglocal.to_string()),
        aux_depth: Some(1),
        ema_momentum: Some(0.9),
        ..rule.clone()
    }
}

fn name(rule: &RuleArguments) -> String {
    [rule.rule.as_deref(), rule.head.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" over ")
}

fn refuse_details(rule: &RuleArguments) -> Outcome<()> {
    let said = [
        ("--head", rule.head.is_some()),
        ("--blocks", rule.blocks.is_some()),
        ("--ends", rule.ends.is_some()),
        ("--pieces", rule.pieces.is_some()),
        ("--aux-depth", rule.aux_depth.is_some()),
        ("--ema-momentum", rule.ema_momentum.is_some()),
        ("--average-alone", rule.average_alone),
    ];
    match said.iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(Fault::usage(format!(
            "--rule auto chooses what {flag} says; leave {flag} out, or name a rule"
        ))),
        None => Ok(()),
    }
}
