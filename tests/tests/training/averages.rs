//! Moving averages of all units of the path: what they follow, and that with them in the place of everything that
//! follows a block's gradient is the whole network's.

use crate::common::{batch, parameters_of, small_resnet};
use localgrad::Device;
use localgrad::data::Normalize;
use localgrad::layers::Variable;
use localgrad::maps::Map;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::rules::{Head, Rule, RuleConfig, auxiliary_specs};
use localgrad::trainer::{Method, TrainConfig, Trainer};
use std::collections::BTreeMap;

fn plain_sgd() -> OptimizerConfig {
    OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 1e-3 }
}

fn trainer(spec: &NetworkSpec, rule: RuleConfig, ends: &[usize]) -> Trainer {
    let config =
        TrainConfig::from(Method { rule, ends: ends.to_vec(), optimizer: plain_sgd(), ..Method::default() });
    Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).unwrap()
}

fn over_path(depth: usize, ema_momentum: f64, trained_copy: bool) -> RuleConfig {
    RuleConfig { depth, ema_momentum, trained_copy, ..RuleConfig::over(Rule::Man, Head::Path, false) }
}

fn named(trainer: &mut Trainer) -> BTreeMap<String, Vec<f32>> {
    parameters_of(trainer).into_iter().collect()
}

#[test]
fn every_average_follows_its_unit_from_before_its_update() {
    let spec = small_resnet([3, 8, 8]);
    let rule = over_path(1, 0.75, true);
    let pairs = auxiliary_specs(&spec, &[1, 6], &rule).unwrap().remove(0).pairs;
    // Units 3 and 5 change the shape; 6 is the last.
    assert_eq!(pairs.iter().map(|pair| pair.followed).collect::<Vec<_>>(), [3, 5, 6]);
    let mut trainer = trainer(&spec, rule, &[1, 6]);
    let before = named(&mut trainer);
    trainer.step(&batch(&spec, 4, 1), 0.1, &mut |_| {}).unwrap();
    let after = named(&mut trainer);
    for (number, pair) in pairs.iter().enumerate() {
        let place = if number == 0 { "aux.0.ema.".into() } else { format!("aux.0.pairs.{number}.ema.") };
        let unit = format!("{}.", spec.units[pair.followed].name);
        let weights = before.iter().filter_map(|(name, value)| Some((name.strip_prefix(&unit)?, value)));
        let mut seen = 0;
        for (name, source) in weights {
            let (old, new) = (&before[&format!("{place}{name}")], &after[&format!("{place}{name}")]);
            for ((old, new), source) in old.iter().zip(new).zip(source) {
                assert!((0.75 * old + 0.25 * source - new).abs() < 1e-6, "{place}{name}");
            }
            seen += 1;
        }
        assert!(seen >= 6, "{place} has no counterpart {unit}");
    }
}

#[test]
fn averages_of_all_that_follows_give_the_gradient_of_the_whole() {
    let spec = small_resnet([3, 8, 8]);
    let first = batch(&spec, 4, 1);
    let mut whole = trainer(&spec, RuleConfig::new(Rule::Bp), &[6]);
    let mut local = trainer(&spec, over_path(9, 0.0, false), &[1, 6]);
    for trainer in [&mut whole, &mut local] {
        // Moves nothing but the averages, which are then the units themselves.
        trainer.step(&first, 0.0, &mut |_| {}).unwrap();
    }
    let head = named(&mut whole);
    let copy = |name: &str, variable: Variable<'_>| {
        if let (Some(name), Variable::Parameter(parameter)) = (name.strip_prefix("aux.0.head.2."), variable) {
            let source = &head[&format!("fc.{name}")];
            parameter.value = Map::new(source.clone(), parameter.value.dims())?;
        }
        Ok(())
    };
    local.visit(&mut { copy }).unwrap();
    let batch = batch(&spec, 4, 2);
    let whole_loss = whole.step(&batch, 0.1, &mut |_| {}).unwrap().losses[0];
    let local_loss = local.step(&batch, 0.1, &mut |_| {}).unwrap().losses[0];
    assert!((whole_loss - local_loss).abs() < 1e-6, "{whole_loss} and {local_loss}");
    let (whole, local) = (named(&mut whole), named(&mut local));
    let mut moved = 0;
    for unit in &spec.units[..=1] {
        for (name, value) in whole.iter().filter(|(name, _)| name.starts_with(&unit.name)) {
            let distance = value.iter().zip(&local[name]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(distance < 1e-6, "{name}: {distance}");
            moved += usize::from(value != &head[name]);
        }
    }
    assert!(moved > 0, "nothing moved");
}
