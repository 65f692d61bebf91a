//! How long saving a checkpoint of ResNet-32 with MAN stops training, with and without its syncs.
//!
//!     cargo run --release -p localgrad-tests --example checkpoint_cost [DIRECTORY]

use localgrad::checkpoint::files::{Disk, FileInput, FileOutput, Files};
use localgrad::checkpoint::{Checkpoints, Configuration};
use localgrad::data::idx::Idx;
use localgrad::data::{Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration as Length, Event, FitConfig, fit};
use localgrad::maps::Place;
use localgrad::progress::Progress;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad::{Device, Error, Result};
use localgrad_models::{ModelConfig, network, published};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const SAVES: usize = 15;

/// A directory's files; it sums up the time that syncs take.
#[derive(Clone)]
struct Timed {
    disk: Disk,
    syncing: Arc<Mutex<Duration>>,
}

impl Timed {
    fn sync<T>(&self, sync: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let started = Instant::now();
        let done = sync();
        *self.syncing.lock().unwrap_or_else(PoisonError::into_inner) += started.elapsed();
        done
    }
}

struct TimedFile {
    file: Box<dyn FileOutput>,
    files: Timed,
}

impl FileOutput for TimedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        self.files.sync(|| file.sync())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
}

impl Files for Timed {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn FileInput>, u64)> {
        self.disk.open(name)
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        Ok(Box::new(TimedFile { file: self.disk.create(name)?, files: self.clone() }))
    }

    fn append(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        Ok(Box::new(TimedFile { file: self.disk.append(name)?, files: self.clone() }))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let files = self.clone();
        files.sync(|| self.disk.sync_directory())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

/// Eight grey images.
fn loader() -> Result<Loader> {
    let mut images = [0x0803u32, 8, 32, 32].map(u32::to_be_bytes).concat();
    images.extend((0..8 * 32 * 32).map(|number: u32| (number * 37 % 251) as u8));
    let mut labels = [0x0801u32, 8].map(u32::to_be_bytes).concat();
    labels.extend(0..8u8);
    let data = Idx::from_bytes(&images, &labels, "grey")?;
    Loader::new(Arc::new(data), Normalize::half(1), LoaderConfig { batch: 4, ..LoaderConfig::default() })
}

fn main() -> Result<()> {
    let place = std::env::args_os().nth(1).unwrap_or_else(|| "target/checkpoint-cost".into());
    let config = ModelConfig { input: [1, 32, 32].into(), classes: 10, ..ModelConfig::default() };
    let network = network("resnet32", &config)?;
    for blocks in [4, 16] {
        let every_unit = || (0..network.units.len()).collect();
        let rule = RuleConfig::new(Rule::Man);
        let ends = published::ends(&network, &rule, blocks).unwrap_or_else(every_unit);
        let train = TrainConfig::from(Method { rule, ends, ..Method::default() });
        let length = FitConfig {
            duration: Length::Steps(1),
            schedule: Schedule::Constant,
            learning_rate: 0.01,
            ..FitConfig::default()
        };
        let loader = loader()?;
        let configuration = Configuration::new(&network, &train, &length, &loader, &Place::Host)?;
        let mut trainer = Trainer::new(network.clone(), train, Normalize::half(1), &Device::Cpu)?;
        // One step, so that every weight has its momentum.
        fit(&mut trainer, &loader, None, &length, &mut |_: &Event| Control::Continue)?;
        let place = Path::new(&place).join(blocks.to_string());
        let disk = Disk::create(&place).map_err(|cause| Error::io(&place, cause))?;
        disk.list().unwrap_or_default().iter().for_each(|name| drop(disk.clone().remove(name)));
        let files = Timed { disk, syncing: Arc::default() };
        let progress = Progress::start(trainer.ranges().len());
        let mut checkpoints =
            Checkpoints::create_in(Box::new(files.clone()), configuration, 1, &mut trainer, &progress)?;
        let (mut totals, mut without) = (Vec::new(), Vec::new());
        for save in 0..SAVES {
            // As if a step had changed every block.
            trainer.set_passes(1_000 + save as u64);
            *files.syncing.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
            let started = Instant::now();
            checkpoints.save(&mut trainer, &progress)?;
            let total = started.elapsed();
            let syncing = *files.syncing.lock().unwrap_or_else(PoisonError::into_inner);
            totals.push(total);
            without.push(total - syncing);
        }
        totals.sort();
        without.sort();
        let bytes: u64 =
            checkpoints.manifest().generations[0].blocks.iter().map(|block| block.extent.bytes).sum();
        println!(
            "ResNet-32, MAN, {} blocks, {:.1} MiB: {:.1} ms, of which {:.1} ms (at most {:.1}) besides syncs",
            trainer.ranges().len(),
            bytes as f64 / (1 << 20) as f64,
            totals[SAVES / 2].as_secs_f64() * 1e3,
            without[SAVES / 2].as_secs_f64() * 1e3,
            without[SAVES - 1].as_secs_f64() * 1e3,
        );
    }
    Ok(())
}
