//! A batch that cannot be trained on is refused before anything of the trainer has changed.

use crate::run::{Run, state};
use localgrad::ErrorKind;
use localgrad::data::Batch;
use localgrad::maps::Place;
use localgrad::rules::Rule;

#[test]
fn a_label_of_no_class_changes_nothing() {
    for rule in [Rule::Bp, Rule::Greedy, Rule::Man] {
        let run = Run::new(rule);
        let mut trainer = run.trainer();
        let [channels, height, width] = run.network.input.sides();
        let images = Place::Host.full(&[4, height, width, channels], 1.0).unwrap();
        let good = Batch { inputs: images, targets: vec![0, 1, 0, 1].into() };
        trainer.step(&good, 0.05, &mut |_| {}).unwrap();
        let before = state(&mut trainer);
        for wrong in [run.network.classes as u32, u32::MAX] {
            let bad = Batch { inputs: good.inputs.clone(), targets: vec![0, 1, wrong, 1].into() };
            let error = trainer.step(&bad, 0.05, &mut |_| {}).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let text = error.to_string();
            assert!(text.contains(&format!("label {wrong} of sample 2")), "{text}");
            assert!(state(&mut trainer) == before, "{rule}: something has changed");
        }
        trainer.step(&good, 0.05, &mut |_| {}).unwrap();
    }
}
