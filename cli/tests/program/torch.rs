//! PyTorch's own files of weights are weights like others.

use crate::common::program::{path, told};
use crate::made::picture;
use crate::made::torch::{Tensor, saved, saved_in_row};
use localgrad::model::Model;
use localgrad::weights::{self, Card, Weights};
use serde_json::Value;
use std::path::Path;

/// Random weights of a network, with a counter that torch has beside them.
fn random(name: &str, config: &localgrad_models::ModelConfig) -> Weights {
    let spec = localgrad_models::network(name, config).unwrap();
    let mut model = Model::new(spec, 3, &localgrad::Device::Cpu).unwrap();
    weights::of_model(&mut model).unwrap()
}

fn tensors(weights: &Weights, prefix: &str) -> Vec<Tensor> {
    let tensor = |(name, value): (&String, &localgrad::maps::Map)| {
        (format!("{prefix}{name}"), value.dims().to_vec(), value.numbers().unwrap())
    };
    weights
        .iter()
        .map(tensor)
        .chain([(format!("{prefix}bn1.num_batches_tracked"), vec![], vec![7.0])])
        .collect()
}

#[test]
fn pytorchs_weights_are_judged_predict_and_are_tuned() {
    let directory = tempfile::tempdir().unwrap();
    let config = localgrad_models::ModelConfig {
        input: [3, 32, 32].into(),
        classes: 2,
        widths: Some(vec![4, 4, 8, 8]),
        ..Default::default()
    };
    let ours = random("resnet8", &config);
    let safetensors = path(directory.path(), "w.safetensors");
    weights::write(Path::new(&safetensors), &ours, &Card::default(), false).unwrap();
    let photos = directory.path().join("photos");
    for (class, shade) in [("a", 9), ("b", 200)] {
        std::fs::create_dir_all(photos.join(class)).unwrap();
        (0..4).for_each(|at| {
            std::fs::write(photos.join(class).join(format!("{at}.png")), picture(shade + at)).unwrap()
        });
    }
    let photos = path(directory.path(), "photos");
    let network = ["--model", "resnet8", "--widths", "4,4,8,8", "--normalize", "half", "--json"];
    let size = ["--input", "3x32x32"];
    let judged = |file: &str| {
        let eval = ["eval", "--weights", file, "--data", &photos, "--classes", "2"];
        told(&[&eval[..], &size, &network].concat(), 0)
    };
    let [right, _] = judged(&safetensors);
    for (name, bytes, words) in [
        ("w.pth", saved(&tensors(&ours, ""), &[]), "num_batches_tracked"),
        ("w.pt", saved(&tensors(&ours, "module."), &["state_dict"]), "'module.'"),
        ("w.bin", saved(&tensors(&ours, "model."), &["ema", "module"]), "'model.'"),
        ("old.pth", saved_in_row(&tensors(&ours, "")), "num_batches_tracked"),
        // Whatever it is called.
        ("other.safetensors", saved(&tensors(&ours, ""), &["model"]), "num_batches_tracked"),
    ] {
        let file = path(directory.path(), name);
        std::fs::write(&file, bytes).unwrap();
        let [out, error] = judged(&file);
        assert!(out == right && error.contains(words), "{name}: {out}{error}");
        let run = path(directory.path(), &format!("run-{name}"));
        let tune = ["finetune", &photos, "--init", &file, "--steps", "1", "--out", &run];
        let [out, _] = told(&[&tune[..], &size, &network].concat(), 0);
        let loaded = out.lines().find(|line| line.contains("\"loaded\"")).unwrap();
        let loaded: Value = serde_json::from_str(loaded).unwrap();
        assert_eq!(loaded["tensors"], ours.len() - 2, "{name}: {loaded}");
    }
}

#[test]
fn pytorchs_weights_are_known_by_their_tensors() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        localgrad_models::ModelConfig { input: [3, 224, 224].into(), classes: 3, ..Default::default() };
    let ours = random("squeezenet1_1", &config);
    let file = path(directory.path(), "squeezenet.pth");
    std::fs::write(&file, saved(&tensors(&ours, ""), &[])).unwrap();
    let [text, _] = told(&["inspect", "--weights", &file], 0);
    assert!(text.trim_end().ends_with("torchvision, squeezenet1_1, 3 classes"), "{text}");
    let image = path(directory.path(), "p.png");
    std::fs::write(&image, picture(70)).unwrap();
    let same = path(directory.path(), "w.safetensors");
    weights::write(Path::new(&same), &ours, &Card::default(), false).unwrap();
    let [ours_predicted, theirs_predicted] =
        [&same, &file].map(|file| told(&["predict", "--weights", file, &image, "--json"], 0)[0].clone());
    assert_eq!(theirs_predicted, ours_predicted);
    assert!(theirs_predicted.contains("\"predicted\""), "{theirs_predicted}");

    let mut spoiled = tensors(&ours, "");
    spoiled[0].2[1] = f32::NAN;
    std::fs::write(&file, saved(&spoiled, &[])).unwrap();
    let [_, error] = told(&["predict", "--weights", &file, &image], 1);
    assert!(error.contains(&format!("tensor {} holds NaN", spoiled[0].0)), "{error}");
    std::fs::write(&file, saved(&tensors(&ours, "visual."), &[])).unwrap();
    let [_, error] = told(&["inspect", "--weights", &file], 1);
    assert!(error.contains("tensors of a network that is none of"), "{error}");
}
