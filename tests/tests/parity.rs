//! Walks reference trajectories: the same weights, images and rule must give the same losses, final weights and
//! logits as a double-precision reference of the published methods. Prints a line a case.
//!
//! The reference is in double precision. Where the input of a ReLU lies within f32 rounding of zero, its sign
//! there is luck, and one flipped sign moves a weight's gradient by more than the bound (PyTorch in f32 fails
//! such cases too). So a case also holds if it does from starting weights moved by at most one unit in their
//! last place, backward stability as numerical analysis has it; its line then says `start_moved`.
//!
//! Cases lie in `tests/parity` and in the folder that LOCALGRAD_PARITY_DIR names; `tests/parity/README.md`
//! describes them and the bounds. LOCALGRAD_TEST_DEVICE=cuda runs them on a GPU, LOCALGRAD_TEST_DEVICE=emulated on one that is
//! emulated, in builds with the feature of that name.

use localgrad::data::{Batch, Normalize};
use localgrad::layers::Variable;
use localgrad::maps::{Map, Place};
use localgrad::optimizer::OptimizerConfig;
use localgrad::random::Stream;
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::threads::Workers;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad::{DType, Device, Tensor};
use localgrad_models::{ModelConfig, resnet};
use serde::Deserialize;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};

const LOSS_BOUND: f64 = 1e-3;
const WEIGHT_BOUND: f64 = 1e-3;
const LOGIT_BOUND: f64 = 5e-3;

type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The `config` of a case; what it means is in `tests/parity/README.md`.
#[derive(Deserialize)]
struct Case {
    rule: String,
    units: Vec<usize>,
    widths: Vec<usize>,
    classes: usize,
    image: usize,
    steps: usize,
    lr: f64,
    wd: f64,
    ends: Vec<usize>,
    head: String,
    feat: usize,
    #[serde(default = "published_pooled_features")]
    hidden: usize,
    reconstruct: bool,
    depth: usize,
    pyramid: f64,
    momentum: f64,
    lam_first: [f64; 2],
    lam_last: [f64; 2],
    mean: f32,
    std: f32,
}

fn published_pooled_features() -> usize {
    512
}

/// Largest errors of a case, each relative as its bound is.
struct Errors {
    loss: f64,
    weight: f64,
    logit: f64,
}

fn main() {
    let folders = [Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("parity")), named_folder()];
    let (mut failed, mut walked) = (0, 0);
    for folder in folders.into_iter().flatten() {
        match cases(&folder) {
            Ok(paths) => {
                for path in paths {
                    walked += 1;
                    failed += usize::from(!report(&path));
                }
            }
            Err(cause) => {
                println!("parity {}: FAILED {cause}", folder.display());
                failed += 1;
            }
        }
    }
    println!("{} passed, {failed} failed", walked - failed.min(walked));
    if failed > 0 || walked == 0 {
        std::process::exit(1);
    }
}

fn named_folder() -> Option<PathBuf> {
    std::env::var_os("LOCALGRAD_PARITY_DIR").map(PathBuf::from)
}

fn cases(folder: &Path) -> AnyResult<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Walks one case, and prints its line; whether it holds.
fn report(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let workers = Workers::start(2).expect("worker threads");
    match workers.run(|| walk_with_moves(path, &place()?)) {
        Ok((e, moves)) if e.hold() => {
            let moved = if moves > 0 { " start_moved=1ulp" } else { "" };
            println!(
                "parity {name}: ok max_loss_error={:.1e} max_weight_error={:.1e}{moved}",
                e.loss, e.weight
            );
            true
        }
        Ok((e, _)) => {
            println!(
                "parity {name}: FAILED max_loss_error={:.1e} (bound {LOSS_BOUND:.0e}) max_weight_error={:.1e} (bound \
                 {WEIGHT_BOUND:.0e}) max_logit_error={:.1e} (bound {LOGIT_BOUND:.0e})",
                e.loss, e.weight, e.logit
            );
            false
        }
        Err(cause) => {
            println!("parity {name}: FAILED {cause}");
            false
        }
    }
}

impl Errors {
    /// Whether all are within their bounds.
    fn hold(&self) -> bool {
        self.loss <= LOSS_BOUND && self.weight <= WEIGHT_BOUND && self.logit <= LOGIT_BOUND
    }
}

/// Moves of the start that are tried. Each decides every undecided sign anew.
const MOVES: u64 = 40;

/// Walks from the given start, and if that does not hold from starts moved by one unit in the last place. Returns
/// the first errors that hold and the number of the move, or else the errors from the given start.
fn walk_with_moves(path: &Path, place: &Place) -> AnyResult<(Errors, u64)> {
    let given = walk(path, place, 0)?;
    // Losses are not sensitive to single signs: where they are wrong, so is the runtime.
    if given.hold() || given.loss > LOSS_BOUND {
        return Ok((given, 0));
    }
    for moves in 1..=MOVES {
        let errors = walk(path, place, moves)?;
        if errors.hold() {
            return Ok((errors, moves));
        }
    }
    Ok((given, 0))
}

/// Each element times 1 or 1 ± 2^-23, at random.
fn moved(value: &Tensor, name: &str, moves: u64) -> AnyResult<Tensor> {
    let mut stream = Stream::new(moves, name, &[]);
    let elements: Vec<f32> = value.flatten_all()?.to_vec1()?;
    let elements =
        elements.iter().map(|v| v * (1.0 + (stream.below(3) as f32 - 1.0) * f32::EPSILON)).collect();
    Ok(Tensor::from_vec(elements, value.shape(), &Device::Cpu)?)
}

fn walk(path: &Path, place: &Place, moves: u64) -> AnyResult<Errors> {
    let case = read_config(path)?;
    let tensors = localgrad::candle::safetensors::load(path, &Device::Cpu)?;
    let mut trainer = trainer(&case, place)?;
    load_start(&mut trainer, &tensors, place, moves)?;

    let images = channels_last(named(&tensors, "images")?)?;
    let labels = named(&tensors, "labels")?.to_dtype(DType::U32)?.to_vec2::<u32>()?;
    let expected = named(&tensors, "losses")?.to_vec2::<f64>()?;
    let mut errors = Errors { loss: 0.0, weight: 0.0, logit: 0.0 };
    for step in 0..case.steps {
        let batch =
            Batch { inputs: images.get(step)?.contiguous()?.into(), targets: labels[step].clone().into() };
        let report = trainer.step(&batch, case.lr, &mut |_| {})?;
        if report.losses.len() != expected[step].len() {
            return Err(format!("{} blocks, expected {}", report.losses.len(), expected[step].len()).into());
        }
        for (found, wanted) in report.losses.iter().zip(&expected[step]) {
            errors.loss = larger(errors.loss, (found - wanted).abs() / wanted.abs());
        }
    }
    errors.weight = weight_error(&mut trainer, &tensors)?;
    let logits = trainer.model.logits(&images.get(0)?.contiguous()?.into())?;
    errors.logit = relative_error(&logits, named(&tensors, "eval_logits")?)?;
    Ok(errors)
}

fn read_config(path: &Path) -> AnyResult<Case> {
    let file = std::fs::read(path)?;
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&file)?;
    let map = metadata.metadata().as_ref().ok_or("the file has no metadata")?;
    Ok(serde_json::from_str(map.get("config").ok_or("the metadata has no 'config'")?)?)
}

fn trainer(case: &Case, place: &Place) -> AnyResult<Trainer> {
    let model = ModelConfig {
        input: [3, case.image, case.image].into(),
        classes: case.classes,
        widths: Some(case.widths.clone()),
        ..ModelConfig::default()
    };
    let spec = resnet::cifar(&case.units, &model, "parity")?;
    let rule = match case.rule.as_str() {
        "plain" => Rule::Greedy,
        name => name.parse()?,
    };
    let head: Head = case.head.parse()?;
    let mut rule = RuleConfig::over(rule, head, case.reconstruct);
    rule.feature_dim = case.feat;
    rule.pooled_features = case.hidden;
    rule.depth = case.depth.max(1);
    rule.pyramid = case.pyramid;
    rule.ema_momentum = case.momentum;
    // PredSim's weights are fixed by its rule; a case that does not say them leaves [0, 1] there.
    if !(head == Head::Predsim && case.lam_first == [0.0, 1.0]) {
        rule.lambda_first = case.lam_first;
        rule.lambda_last = case.lam_last;
    }
    let config = TrainConfig::from(Method {
        rule,
        ends: case.ends.clone(),
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: case.wd },
        ..Method::default()
    });
    let normalize = Normalize { mean: vec![case.mean; 3], deviation: vec![case.std; 3] };
    Ok(Trainer::new(spec, config, normalize, place)?)
}

/// Puts every `init.*` tensor where it belongs, and sees that none is missing or left over.
fn load_start(
    trainer: &mut Trainer,
    tensors: &HashMap<String, Tensor>,
    place: &Place,
    moves: u64,
) -> AnyResult<()> {
    let mut left: Vec<&str> = tensors.keys().filter_map(|name| name.strip_prefix("init.")).collect();
    trainer.visit(&mut |name, mut variable: Variable<'_>| {
        let value = tensors
            .get(&format!("init.{name}"))
            .ok_or_else(|| localgrad::Error::format(format!("the case has no init.{name}")))?;
        let shape = variable.value().dims().to_vec();
        if value.elem_count() != variable.value().elem_count() {
            let found = value.dims();
            return Err(localgrad::Error::format(format!("init.{name} is {found:?}, expected {shape:?}")));
        }
        let value = if moves > 0 { &moved(value, name, moves).map_err(failed)? } else { value };
        variable.set(place.map(value.reshape(shape)?.copy()?)?);
        left.retain(|other| *other != name);
        Ok(())
    })?;
    match left.as_slice() {
        [] => Ok(()),
        left => Err(format!("no place for {}", left.join(", ")).into()),
    }
}

fn failed(cause: impl std::fmt::Display) -> localgrad::Error {
    localgrad::Error::format(cause.to_string())
}

fn weight_error(trainer: &mut Trainer, tensors: &HashMap<String, Tensor>) -> AnyResult<f64> {
    let mut worst = 0.0;
    trainer.visit(&mut |name, variable| {
        let expected = tensors
            .get(&format!("final.{name}"))
            .ok_or_else(|| localgrad::Error::format(format!("the case has no final.{name}")))?;
        let error = relative_error(variable.value(), expected)
            .map_err(|cause| localgrad::Error::format(format!("final.{name}: {cause}")))?;
        worst = larger(worst, error);
        Ok(())
    })?;
    Ok(worst)
}

/// Largest difference, relative to the largest expected value.
fn relative_error(found: &Map, expected: &Tensor) -> AnyResult<f64> {
    let found: Vec<f64> = found.numbers()?.into_iter().map(f64::from).collect();
    let expected = expected.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    if found.len() != expected.len() {
        return Err(format!("{} elements, expected {}", found.len(), expected.len()).into());
    }
    let scale = expected.iter().fold(1e-12f64, |m, v| m.max(v.abs()));
    Ok(found.iter().zip(&expected).fold(0.0, |worst, (a, b)| larger(worst, (a - b).abs() / scale)))
}

/// The larger of two errors, where not-a-number is the largest of all.
fn larger(a: f64, b: f64) -> f64 {
    if a >= b {
        a
    } else if b.is_nan() {
        f64::INFINITY
    } else {
        b
    }
}

fn named<'a>(tensors: &'a HashMap<String, Tensor>, name: &str) -> AnyResult<&'a Tensor> {
    tensors.get(name).ok_or_else(|| format!("the case has no tensor '{name}'").into())
}

/// `[steps, N, C, H, W]` to `[steps, N, H, W, C]`.
fn channels_last(images: &Tensor) -> AnyResult<Tensor> {
    Ok(images.permute((0, 1, 3, 4, 2))?.contiguous()?)
}

/// The device that LOCALGRAD_TEST_DEVICE names, or the CPU.
fn place() -> AnyResult<Place> {
    Ok(Place::open(&std::env::var("LOCALGRAD_TEST_DEVICE").unwrap_or_else(|_| "cpu".into()))?)
}
