//! Any bytes as the state of a block: refused without a change, or taken whole.

use localgrad::Device;
use localgrad::checkpoint::block_input;
use localgrad::data::Normalize;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, resnet};
use std::cell::RefCell;
use std::io::Cursor;

fn trainer() -> Trainer {
    let config = ModelConfig {
        input: [1, 6, 6].into(),
        classes: 10,
        widths: Some(vec![2, 2, 3, 4]),
        ..ModelConfig::default()
    };
    let network = resnet::cifar(&[1, 1, 1], &config, "small").expect("a network");
    let rule = RuleConfig::new(Rule::Greedy);
    let train = TrainConfig::from(Method { rule, ends: vec![0, 1, 3], ..Method::default() });
    Trainer::new(network, train, Normalize::half(1), &Device::Cpu).expect("a trainer")
}

thread_local! {
    static TRAINER: RefCell<Trainer> = RefCell::new(trainer());
}

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    TRAINER.with(|trainer| {
        for block in 0..3 {
            let _ = block_input::load(&mut trainer.borrow_mut(), block, &mut Cursor::new(data));
        }
    });
}
