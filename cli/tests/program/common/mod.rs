//! A made-up metrics file: its numbers come from formulas, not from training.

pub(crate) mod program;

use localgrad_cli::metrics::{BlockRecord, Done, Epoch, Memory, Record, Start, Step, UnitRecord, Warning};

/// What a made-up run looks like.
pub(crate) struct Sample {
    /// Name and rule.
    pub(crate) run: &'static str,
    /// Number of blocks.
    pub(crate) blocks: usize,
    /// Basic units in each of the three stages.
    pub(crate) depth: usize,
    /// Number of steps.
    pub(crate) steps: u64,
    /// Number of epochs.
    pub(crate) epochs: u64,
    /// Peak in MiB.
    pub(crate) peak_mib: f64,
    /// Accuracy at the end.
    pub(crate) accuracy: f64,
}

const MIB: f64 = 1024.0 * 1024.0;

/// A number in -0.5..0.5 that looks random and is always the same.
fn noise(seed: u64) -> f64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((bits ^ (bits >> 29)) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
}

fn units(depth: usize) -> Vec<UnitRecord> {
    let unit = |name: String, kind: &str, channels: u64, side: u64| UnitRecord {
        name,
        kind: kind.into(),
        features: format!("{channels}x{side}x{side}"),
        parameters: channels * channels * 18 + 4 * channels,
        activation_bytes: channels * side * side * 4 * 64,
    };
    let mut units = vec![unit("stem".into(), "stem", 16, 28)];
    for (stage, (channels, side)) in [(16, 28), (32, 14), (64, 7)].into_iter().enumerate() {
        units.extend((0..depth).map(|i| unit(format!("layer{}.{i}", stage + 1), "basic", channels, side)));
    }
    units.push(UnitRecord {
        name: "head".into(),
        kind: "pool, linear".into(),
        features: "10".into(),
        parameters: 650,
        activation_bytes: 64 * 64 * 4,
    });
    units
}

fn blocks(units: &[UnitRecord], count: usize) -> Vec<BlockRecord> {
    let bound = |at: usize| at * units.len() / count;
    let block = |at: usize| {
        let part = &units[bound(at)..bound(at + 1)];
        let last = at + 1 == count;
        BlockRecord {
            first_unit: bound(at),
            last_unit: bound(at + 1) - 1,
            parameters: part.iter().map(|unit| unit.parameters).sum(),
            activation_bytes: part.iter().map(|unit| unit.activation_bytes).sum(),
            auxiliary: if last {
                String::new()
            } else {
                "trained + averaged unit of 32 channels + head 1c2f".into()
            },
            auxiliary_parameters: if last { 0 } else { 21_000 + 900 * at as u64 },
        }
    };
    (0..count).map(block).collect()
}

impl Sample {
    /// All records of the run.
    pub(crate) fn records(&self) -> Vec<Record> {
        let units = units(self.depth);
        let start = Start {
            run: self.run.into(),
            version: "0.1.0".into(),
            network: format!("resnet{}", 6 * self.depth + 2),
            rule: self.run.into(),
            seed: 1,
            batch: 64,
            epochs: Some(self.epochs),
            samples: 1500,
            classes: 10,
            parameters: units.iter().map(|unit| unit.parameters).sum(),
            input: [1, 28, 28].into(),
            blocks: blocks(&units, self.blocks),
            units,
            device: "cpu, 2 threads".into(),
            command: "localgrad train --data embedded --seed 1 --out runs/first".into(),
            ..Start::default()
        };
        let mut records = vec![Record::Start(Box::new(start))];
        records.extend((1..=self.steps).map(|step| self.step(step)));
        records.push(self.memory());
        records.extend((1..=self.epochs).map(|epoch| self.epoch(epoch)));
        records.push(self.done());
        records
    }

    fn step(&self, step: u64) -> Record {
        let part = step as f64 / self.steps as f64;
        let loss = |block: usize| {
            let floor = 0.08 + 0.35 * (1.0 - block as f64 / self.blocks as f64);
            let noise = noise(step * 31 + block as u64 * 7 + self.blocks as u64);
            (floor + 2.2 * (-7.0 * part * (1.0 - 0.02 * block as f64)).exp()) * (1.0 + 0.35 * noise)
        };
        Record::Step(Step {
            run: self.run.into(),
            step,
            epoch: (part * self.epochs as f64) as u64,
            losses: (0..self.blocks).map(loss).collect(),
            learning_rate: 0.1 * (1.0 - part),
            samples_per_second: 510.0,
            live_bytes: (2.0 * MIB) as u64,
            peak_bytes: (self.peak_mib * MIB) as u64,
        })
    }

    fn epoch(&self, epoch: u64) -> Record {
        let part = epoch as f64 / self.epochs as f64;
        Record::Epoch(Epoch {
            run: self.run.into(),
            epoch,
            accuracy: self.accuracy - 0.4 * (-5.0 * part).exp()
                + 0.4 * (-5.0_f64).exp()
                + 0.02 * (1.0 - part) * noise(epoch),
            train_losses: vec![1.0 - part; self.blocks],
            seconds: part * 31.0,
            peak_bytes: (self.peak_mib * MIB) as u64,
            ..Epoch::default()
        })
    }

    fn memory(&self) -> Record {
        let base = 2.0 * MIB;
        let each = 60;
        let mut points = Vec::new();
        for block in 0..self.blocks {
            for i in 0..each {
                let part = (i as f64 + 0.5) / each as f64;
                let hill = 1.0 - (2.0 * part - 1.0).abs();
                let height = hill * (self.peak_mib * MIB - base) * (1.0 - 0.12 * block as f64 % 0.6);
                let saw = 0.15 * MIB * noise(i + 1000 * block as u64);
                let seconds = (block as f64 + part) / self.blocks as f64 * 0.12;
                points.push([seconds, base + height + saw, block as f64]);
            }
        }
        Record::Memory(Memory { run: self.run.into(), step: 20, points })
    }

    fn done(&self) -> Record {
        Record::Done(Done {
            run: self.run.into(),
            accuracy: self.accuracy,
            top1_error: 1.0 - self.accuracy,
            loss: 0.12,
            steps: self.steps,
            seconds: 31.4,
            samples_per_second: 512.3,
            peak_bytes: (self.peak_mib * MIB) as u64,
            planned_bytes: (self.blocks > 1).then_some((self.peak_mib * 1.06 * MIB) as u64),
            resident_peak_bytes: Some(((self.peak_mib + 20.0) * MIB) as u64),
            stored_bytes: None,
            storage_seconds: None,
            waited_seconds: Some(0.25),
            interrupted: false,
            ..Done::default()
        })
    }
}

/// Block-local training beside end-to-end training of the same network.
pub(crate) fn pair() -> Vec<Record> {
    let shared =
        Sample { run: "man", blocks: 4, depth: 3, steps: 940, epochs: 10, peak_mib: 5.2, accuracy: 0.962 };
    let end_to_end = Sample { run: "bp", blocks: 1, peak_mib: 14.1, accuracy: 0.969, ..shared };
    [shared.records(), end_to_end.records()].concat()
}

/// A deep network in many blocks, a second rule, a run that was stopped, and a warning.
pub(crate) fn many() -> Vec<Record> {
    let deep = Sample {
        run: "auglocal",
        blocks: 16,
        depth: 9,
        steps: 5200,
        epochs: 40,
        peak_mib: 9.7,
        accuracy: 0.934,
    };
    let other = Sample { run: "dgl", blocks: 3, accuracy: 0.902, peak_mib: 21.4, ..deep };
    let end_to_end = Sample { run: "bp", blocks: 1, accuracy: 0.941, peak_mib: 58.3, ..deep };
    let mut records = [deep.records(), other.records(), end_to_end.records()].concat();
    for record in &mut records {
        if let Record::Done(done) = record
            && done.run == "dgl"
        {
            done.interrupted = true;
        }
    }
    let message = "block 2 uses 1.3 times the memory of the others; --ends 5,11,28 would even it out".into();
    records.push(Record::Warning(Warning { run: "dgl".into(), message }));
    records
}
