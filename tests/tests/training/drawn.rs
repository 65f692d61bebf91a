//! Weights that will be loaded need not be drawn: what is drawn beside them, and what dropout draws later, stay as they are.

use crate::common::{batch, small_resnet, weights_of};
use localgrad::Device;
use localgrad::data::Normalize;
use localgrad::layers::Variable;
use localgrad::layers::spec::{LayerSpec, unnamed};
use localgrad::network::NetworkSpec;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Drawn, Method, TrainConfig, Trainer};
use localgrad::weights::Weights;

fn trainer(spec: &NetworkSpec, drawn: Drawn) -> Trainer {
    let method = Method { rule: RuleConfig::new(Rule::Man), ends: vec![2, 6], seed: 5, ..Method::default() };
    let normalize = Normalize::half(3);
    Trainer::to_load(spec.clone(), TrainConfig::from(method), normalize, &Device::Cpu, None, drawn).unwrap()
}

#[test]
fn the_others_are_drawn_alike_and_training_goes_on_alike() {
    let mut spec = small_resnet([3, 8, 8]);
    spec.head.insert(spec.head.len() - 1, unnamed(LayerSpec::Dropout { probability: 0.4 }));
    let mut whole = trainer(&spec, Drawn::All);
    let all = weights_of(&mut whole);
    let is_of_unit = |name: &str| !name.starts_with("aux") && !name.starts_with("fc");
    for drawn in [Drawn::AllButUnits, Drawn::None] {
        let mut loaded = trainer(&spec, drawn);
        let is_drawn = |name: &str| drawn == Drawn::AllButUnits && !is_of_unit(name);
        for ((name, numbers), (_, found)) in all.iter().zip(weights_of(&mut loaded)) {
            let is_constant = numbers.iter().all(|number| *number == numbers[0]);
            match is_constant || is_drawn(name) {
                true => assert_eq!(*numbers, found, "{name}"),
                false => assert!(found.iter().all(|bits| *bits == 0), "{name} was drawn"),
            }
        }
        let mut weights = Weights::new();
        whole
            .visit(&mut |name, variable| {
                weights.insert(name.into(), variable.value().copy()?);
                Ok(())
            })
            .unwrap();
        loaded
            .visit(&mut |name, mut variable: Variable<'_>| {
                variable.set(weights[name].copy()?);
                Ok(())
            })
            .unwrap();
        let samples = batch(&spec, 6, 1);
        let mut again = trainer(&spec, Drawn::All);
        for _ in 0..2 {
            let steps = [&mut again, &mut loaded].map(|t| t.step(&samples, 0.1, &mut |_| {}).unwrap());
            assert_eq!(steps[0], steps[1]);
        }
        assert_eq!(weights_of(&mut again), weights_of(&mut loaded));
    }
}
