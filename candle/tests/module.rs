//! Networks that were trained here, in candle.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, ModuleT, VarBuilder};
use localgrad::data::{Batch, Normalize};
use localgrad::maps::Map;
use localgrad::model::Classifier;
use localgrad::network::NetworkSpec;
use localgrad::random::Stream;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad::weights::{self, Card};
use localgrad_candle::{Network, weights_of};
use localgrad_models::{ModelConfig, network};
use std::collections::HashMap;

const CPU: Device = Device::Cpu;
const SAMPLES: usize = 4;

fn small() -> NetworkSpec {
    let widths = Some(vec![4, 4, 8, 8]);
    let config = ModelConfig { input: [3, 12, 10].into(), classes: 5, widths, ..ModelConfig::default() };
    network("resnet8", &config).unwrap()
}

/// Images `[N, H, W, C]`, and the same as candle has them, `[N, C, H, W]`.
fn images(spec: &NetworkSpec) -> (Map, Tensor) {
    let [channels, height, width] = spec.input.sides();
    let mut stream = Stream::new(1, "images", &[]);
    let numbers: Vec<f32> = (0..SAMPLES * channels * height * width).map(|_| stream.uniform_f32()).collect();
    let tensor = Tensor::from_vec(numbers.clone(), (SAMPLES, height, width, channels), &CPU).unwrap();
    (Map::new(numbers, (SAMPLES, height, width, channels)).unwrap(), tensor.permute((0, 3, 1, 2)).unwrap())
}

/// A network after a few steps, which move weights and statistics.
fn trained(spec: &NetworkSpec) -> Trainer {
    let ends = vec![0, spec.units.len() - 1];
    let config = TrainConfig::from(Method { rule: RuleConfig::new(Rule::Greedy), ends, ..Method::default() });
    let normalize = Normalize::half(spec.input.channels());
    let mut trainer = Trainer::new(spec.clone(), config, normalize, &CPU).unwrap();
    let batch = Batch { inputs: images(spec).0, targets: vec![0, 1, 2, 3].into() };
    for _ in 0..3 {
        trainer.step(&batch, 0.1, &mut |_| {}).unwrap();
    }
    trainer
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_module_gives_what_the_classifier_gives() {
    let mobilenet = ModelConfig { input: [3, 32, 32].into(), classes: 5, ..ModelConfig::default() };
    for spec in [small(), network("mobilenet_v3_small", &mobilenet).unwrap()] {
        let mut trainer = trained(&spec);
        let (map, tensor) = images(&spec);
        let wanted = trainer.logits(&map).unwrap().numbers().unwrap();
        let weights = weights_of(&mut trainer, DType::F32, &CPU).unwrap();
        let module = Network::new(spec.clone(), &weights).unwrap();
        let logits = module.forward(&tensor).unwrap();
        assert_eq!(logits.dims(), [SAMPLES, 5]);
        assert_eq!(numbers(&logits), wanted);
        // By any number of threads at once, of any type of numbers, in training, too.
        std::thread::scope(|scope| {
            let all = [0; 3].map(|_| scope.spawn(|| module.forward_t(&tensor, true).unwrap()));
            all.into_iter().for_each(|found| assert_eq!(numbers(&found.join().unwrap()), wanted));
        });
        let doubles = module.forward(&tensor.to_dtype(DType::F64).unwrap()).unwrap();
        assert_eq!(numbers(&doubles), wanted);
        // What trains on changes nothing of it.
        let batch = Batch { inputs: map, targets: vec![0, 1, 2, 3].into() };
        trainer.step(&batch, 0.1, &mut |_| {}).unwrap();
        assert_eq!(numbers(&module.forward(&tensor).unwrap()), wanted);
    }
}

#[test]
fn an_exported_file_is_a_module_and_weights_for_others() {
    let (spec, directory) = (small(), tempfile::tempdir().unwrap());
    let path = directory.path().join("w.safetensors");
    let mut trainer = trained(&spec);
    let (map, tensor) = images(&spec);
    let wanted = trainer.logits(&map).unwrap().numbers().unwrap();
    let names = ["a", "b", "c", "d", "e"].map(String::from);
    let card = Card::of(&spec, &Normalize::half(3), &names);
    weights::write_network(&path, &mut trainer, &card, false).unwrap();

    let module = Network::load(&path, &CPU).unwrap();
    assert_eq!(numbers(&module.forward(&tensor).unwrap()), wanted);
    assert_eq!((module.normalize, module.class_names), (Some(Normalize::half(3)), names.to_vec()));

    // A VarBuilder over the file, at the root or below a name.
    let file =
        VarBuilder::from_buffered_safetensors(std::fs::read(&path).unwrap(), DType::F32, &CPU).unwrap();
    let module = Network::new(spec.clone(), &file).unwrap();
    assert_eq!(numbers(&module.forward(&tensor).unwrap()), wanted);
    let below: HashMap<String, Tensor> = candle_core::safetensors::load(&path, &CPU)
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| (format!("body.{name}"), tensor))
        .collect();
    let below = VarBuilder::from_tensors(below, DType::F32, &CPU);
    let module = Network::new(spec.clone(), &below.pp("body")).unwrap();
    assert_eq!(numbers(&module.forward(&tensor).unwrap()), wanted);
    assert!(Network::new(spec.clone(), &below).is_err());

    // A layer of candle's own over the same weights.
    let head = candle_nn::linear(8, 5, file.pp("fc")).unwrap();
    let row = Tensor::ones((1, 8), DType::F32, &CPU).unwrap();
    assert_eq!(head.forward(&row).unwrap().dims(), [1, 5]);

    let plain = directory.path().join("plain.safetensors");
    let all = weights::of_model(&mut trainer).unwrap();
    weights::write(&plain, &all, &Card::default(), false).unwrap();
    let error = Network::load(&plain, &CPU).err().unwrap().to_string();
    assert!(error.contains("does not say of which network"), "{error}");
}

#[test]
fn what_does_not_fit_is_said_in_one_sentence() {
    let spec = small();
    let mut trainer = trained(&spec);
    let tensors = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let all = weights::of_model(&mut trained(&spec)).unwrap();
        let mut tensors: HashMap<String, Tensor> =
            all.into_iter().map(|(name, map)| (name, map.tensor().unwrap().clone())).collect();
        change(&mut tensors);
        VarBuilder::from_tensors(tensors, DType::F32, &CPU)
    };
    let refused = |weights: &VarBuilder<'_>| {
        let error = Network::new(spec.clone(), weights).err().unwrap().to_string();
        assert!(!error.contains('\n'), "{error}");
        error
    };
    let missing = tensors(&|all| {
        all.remove("fc.bias");
        all.remove("bn1.weight");
    });
    let error = refused(&missing);
    assert!(error.contains("missing bn1.weight [4]; missing fc.bias [5]"), "{error}");
    let misshaped = tensors(&|all| {
        all.insert("fc.weight".into(), Tensor::zeros((5, 9), DType::F32, &CPU).unwrap());
    });
    assert!(refused(&misshaped).contains("fc.weight is [5, 9] where [5, 8] is needed"));
    // Sides of 1 are of no matter, nor is what the network has not.
    let alike = tensors(&|all| {
        let matrix = all["fc.weight"].reshape((5, 8, 1, 1)).unwrap();
        all.insert("fc.weight".into(), matrix);
        all.insert("more".into(), Tensor::zeros(3, DType::F32, &CPU).unwrap());
    });
    let module = Network::new(spec.clone(), &alike).unwrap();
    let (map, tensor) = images(&spec);
    assert_eq!(numbers(&module.forward(&tensor).unwrap()), trainer.logits(&map).unwrap().numbers().unwrap());
    for wrong in [tensor.narrow(1, 0, 2).unwrap(), tensor.get(0).unwrap()] {
        let error = module.forward(&wrong).unwrap_err().to_string();
        assert!(error.contains("resnet8 takes images of 3x12x10, found"), "{error}");
    }
}
