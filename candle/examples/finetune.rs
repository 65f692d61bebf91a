//! Fine-tunes a network here and infers with it in candle:
//!
//!     cargo run --release -p localgrad-candle --example finetune -- WEIGHTS PHOTOS OUT
//!
//! WEIGHTS is a file that localgrad exported, PHOTOS a folder with a folder of pictures for each class, or any other pictures
//! that `localgrad train` takes. The last layer is trained anew; OUT is the file that candle then reads.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::Module;
use localgrad::data::{AugmentConfig, ImageShape, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration, Event, FitConfig, fit};
use localgrad::network::NetworkSpec;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, Selection, TrainConfig, Trainer};
use localgrad::weights::{self, Card};
use localgrad_candle::Network;
use localgrad_data::{Found, Part, Reading, look, photos};
use std::path::Path;
use std::sync::Arc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const EPOCHS: usize = 8;
const BATCH: usize = 16;
const LEARNING_RATE: f64 = 0.02;
/// Pictures may take so much memory decoded.
const MOST_BYTES: usize = 256 << 20;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [weights, photos, out] = &words[..] else {
        return Err("give the weights to start from, a folder of pictures, and the file to write".into());
    };
    let judged = train(Path::new(weights), Path::new(photos), Path::new(out))?;
    infer(Path::new(out), &judged)
}

/// Trains the last layer, writes the network to `out`, and gives the pictures that it did not learn from.
fn train(path: &Path, pictures: &Path, out: &Path) -> Outcome<Loader> {
    let card = weights::read_card(path)?;
    let (Some(network), Some(normalize)) = (card.network, card.normalize) else {
        return Err(
            "the weights do not say of which network they are; take a file that localgrad exported".into()
        );
    };
    let Found::Pictures(collection) = look(pictures)? else { return Err("there are no pictures".into()) };
    let class_names = collection.whole().class_names.clone();
    let network = localgrad_models::adapt::adapt(network.clone(), network.input, class_names.len())?;
    let [channels, height, width] = network.input.sides();
    let reading = Reading { shape: ImageShape { channels, height, width }, strict: false };
    let loader = |part, how: LoaderConfig| -> Outcome<Loader> {
        let samples = photos::open(collection.part(part, 0)?, &reading, MOST_BYTES)?;
        Ok(Loader::new(Arc::from(samples), normalize.clone(), how)?)
    };
    let augment = Some(AugmentConfig::default());
    let learnt = loader(Part::Train, LoaderConfig { batch: BATCH, augment, ..LoaderConfig::default() })?;
    let judged = loader(Part::Judge, LoaderConfig::evaluation(BATCH))?;
    let mut trainer = trainer_of(&network, &normalize)?;
    weights::load_body(&mut trainer, weights::read(path, |name| Some(name.to_string()))?)?;
    let how = FitConfig {
        duration: Duration::Epochs(EPOCHS),
        learning_rate: LEARNING_RATE,
        ..FitConfig::default()
    };
    fit(&mut trainer, &learnt, Some(&judged), &how, &mut |event| {
        if let Event::Epoch { epoch, evaluation: Some(found), .. } = event {
            println!("epoch {epoch}: {:.1} % right", 100.0 * found.accuracy);
        }
        Control::Continue
    })?;
    let card = Card::of(&network, &normalize, &class_names);
    weights::write_network(out, &mut trainer, &card, false)?;
    Ok(judged)
}

fn trainer_of(network: &NetworkSpec, normalize: &Normalize) -> Outcome<Trainer> {
    let config = TrainConfig::from(Method {
        rule: RuleConfig::new(Rule::Bp),
        ends: vec![network.units.len() - 1],
        selection: Selection::Head,
        ..Method::default()
    });
    Ok(Trainer::new(network.clone(), config, normalize.clone(), &Device::Cpu)?)
}

/// Classifies pictures by candle alone, but for reading them.
fn infer(path: &Path, judged: &Loader) -> Outcome<()> {
    let network = Network::load(path, &Device::Cpu)?;
    let (mut right, mut all) = (0, 0);
    for position in 0..judged.batches() {
        let batch = judged.batch(0, position)?;
        // Candle's images are [N, C, H, W].
        let images = batch.inputs.tensor()?.permute((0, 3, 1, 2))?;
        let found = network.forward(&images)?.argmax(D::Minus1)?;
        let labels = Tensor::new(batch.targets.labels()?, &Device::Cpu)?;
        right += found.eq(&labels)?.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
        all += batch.targets.len();
    }
    println!("in candle: {right} of {all} right, classes {}", network.class_names.join(", "));
    Ok(())
}
