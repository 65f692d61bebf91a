//! Weights go to PyTorch and come back: by files that PyTorch wrote once, and by PyTorch itself where a Python with
//! torch and safetensors is named by `LOCALGRAD_PYTHON` or is `python3`.
#![allow(clippy::unwrap_used)]

use localgrad::maps::Map;
use localgrad::model::Model;
use localgrad::weights::{self, Card, Weights};
use localgrad::{DType, Device};
use localgrad_models::{ModelConfig, names, resnet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("torch").join(name)
}

/// The script's network.
fn small() -> Model {
    let config = ModelConfig {
        input: [1, 12, 12].into(),
        classes: 10,
        widths: Some(vec![4, 4, 8, 8]),
        ..ModelConfig::default()
    };
    Model::new(resnet::cifar(&[1, 1, 1], &config, "small").unwrap(), 9, &Device::Cpu).unwrap()
}

fn read(path: &Path) -> Weights {
    weights::read(path, |name| (!names::is_counter(name)).then(|| names::canonical(name, "fc"))).unwrap()
}

/// The largest difference between our logits and PyTorch's.
fn error(model: &mut Model, cases: &Path) -> f32 {
    let cases = read(cases);
    let images = cases["images"].tensor().unwrap().permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let logits = model.logits(&images.into()).unwrap().numbers().unwrap();
    let expected = cases["logits"].numbers().unwrap();
    assert_eq!(logits.len(), expected.len());
    logits.iter().zip(&expected).fold(0.0, |most, (a, b)| f32::max(most, (a - b).abs()))
}

fn bits(map: &Map) -> Vec<u32> {
    map.numbers().unwrap().iter().map(|number| number.to_bits()).collect()
}

/// A Python that has torch, if there is one.
fn python() -> Option<Command> {
    let python = std::env::var_os("LOCALGRAD_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import torch, safetensors.torch"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("no Python with torch and safetensors: only the stored files were tested");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(stored("roundtrip.py"));
    Some(command)
}

fn must_succeed(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn torchs_weights_come_in_and_go_out_unchanged() {
    let mut model = small();
    let theirs = read(&stored("weights.safetensors"));
    weights::load(&mut model, &theirs).unwrap();
    let found = error(&mut model, &stored("cases.safetensors"));
    assert!(found < 1e-4, "logits differ from PyTorch's by {found}");

    let directory = tempfile::tempdir().unwrap();
    let (full, half) = (directory.path().join("full"), directory.path().join("half"));
    let ours = weights::of_model(&mut model).unwrap();
    weights::write(&full, &ours, &Card::default(), false).unwrap();
    weights::write(&half, &ours, &Card::default(), true).unwrap();
    let again = weights::read(&full, |name| Some(name.into())).unwrap();
    assert_eq!(again.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    let halves = weights::read(&half, |name| Some(name.into())).unwrap();
    for (name, map) in &theirs {
        assert_eq!(bits(&again[name]), bits(map), "{name}");
        let half = map.tensor().unwrap().to_dtype(DType::F16).unwrap();
        assert_eq!(bits(&halves[name]), bits(&half.to_dtype(DType::F32).unwrap().into()), "{name}");
    }
    if let Some(mut script) = python() {
        script.arg("read").arg(full).arg(stored("cases.safetensors"));
        must_succeed(script);
    }
}

#[test]
fn torch_itself_writes_what_we_read() {
    let Some(mut script) = python() else { return };
    let directory = tempfile::tempdir().unwrap();
    script.arg("write").arg(directory.path());
    must_succeed(script);
    let mut model = small();
    weights::load(&mut model, &read(&directory.path().join("weights.safetensors"))).unwrap();
    let found = error(&mut model, &directory.path().join("cases.safetensors"));
    assert!(found < 1e-4, "logits differ from PyTorch's by {found}");
}

#[test]
fn torch_loads_a_checkpoint_by_two_lines() {
    let Some(mut script) = python() else { return };
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/version-1");
    script.arg("blocks").arg(checkpoint);
    must_succeed(script);
}
