//! The records of a file sorted by run, and the few numbers that the sections share.

use crate::metrics::{BlockRecord, Done, Epoch, Exit, Judged, Memory, MetricRecord, Record, Start, Step};

/// All that a file says about one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Its name.
    pub(crate) name: String,
    /// What it is.
    pub(crate) start: Option<Start>,
    /// In ascending order.
    pub(crate) steps: Vec<Step>,
    /// In ascending order.
    pub(crate) epochs: Vec<Epoch>,
    /// The step that was traced last.
    pub(crate) memory: Option<Memory>,
    /// In the order in which they came.
    pub(crate) warnings: Vec<String>,
    /// What it takes for what, if that was looked at.
    pub(crate) judged: Option<Judged>,
    /// Its exits in ascending order, if they were kept.
    pub(crate) exits: Vec<Exit>,
    /// How it ended, if it did.
    pub(crate) done: Option<Done>,
}

/// Sorts records by run, in order of first appearance. Where a resumed run wrote a step or an epoch again, all
/// from that point on is replaced.
pub(crate) fn gather(records: Vec<Record>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for record in records {
        let known = runs.iter().position(|run| run.name == record.run());
        let at = known.unwrap_or_else(|| {
            runs.push(Run { name: record.run().to_owned(), ..Run::default() });
            runs.len() - 1
        });
        runs[at].add(record);
    }
    runs
}

impl Run {
    fn add(&mut self, record: Record) {
        match record {
            Record::Start(start) => {
                self.start = Some(*start);
                (self.judged, self.done) = (None, None);
                self.exits.clear();
            }
            Record::Step(step) => {
                self.steps.truncate(self.steps.partition_point(|s| s.step < step.step));
                self.steps.push(step);
            }
            Record::Epoch(epoch) => {
                self.epochs.truncate(self.epochs.partition_point(|e| e.epoch < epoch.epoch));
                self.epochs.push(epoch);
            }
            Record::Memory(memory) => self.memory = Some(memory),
            Record::Board(_) => {}
            Record::Warning(warning) => {
                if !self.warnings.contains(&warning.message) {
                    self.warnings.push(warning.message);
                }
            }
            Record::Judged(judged) => self.judged = Some(judged),
            Record::Exit(exit) => self.exits.push(exit),
            Record::Done(done) => self.done = Some(done),
        }
    }

    /// Its blocks; none if it never said what it is.
    pub(crate) fn blocks(&self) -> &[BlockRecord] {
        self.start.as_ref().map_or(&[], |start| &start.blocks)
    }

    /// How many losses its steps have.
    pub(crate) fn losses(&self) -> usize {
        self.steps.iter().map(|step| step.losses.len()).max().unwrap_or(0)
    }

    /// Whether it trains block by block.
    pub(crate) fn is_local(&self) -> bool {
        self.blocks().len() > 1
    }

    /// Whether gradients run through the whole network.
    pub(crate) fn is_end_to_end(&self) -> bool {
        self.blocks().len() == 1
    }

    /// The last accuracy that is known, as a fraction.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        let done = self.done.as_ref().map(|done| done.accuracy);
        done.or(self.epochs.last().map(|epoch| epoch.accuracy)).filter(|accuracy| accuracy.is_finite())
    }

    /// What it is judged by, by its name, and the last value that is known.
    pub(crate) fn metric(&self) -> Option<(&str, f64)> {
        let judged =
            self.done.as_ref().map(|done| &done.judged).or(self.epochs.last().map(|epoch| &epoch.judged));
        let found = judged.and_then(MetricRecord::first).filter(|(_, value)| value.is_finite());
        found.or(self.accuracy().map(|accuracy| ("accuracy", accuracy)))
    }

    /// The peak in bytes so far.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let last_epoch = self.epochs.last().map(|epoch| epoch.peak_bytes);
        let last_step = self.steps.last().map(|step| step.peak_bytes);
        self.done.as_ref().map(|done| done.peak_bytes).or(last_epoch.max(last_step))
    }

    /// Seconds of training so far.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.done.as_ref().map(|done| done.seconds).or(self.epochs.last().map(|epoch| epoch.seconds))
    }

    /// Samples a second, over the whole run or at its last step.
    pub(crate) fn samples_per_second(&self) -> Option<f64> {
        let last_step = self.steps.last().map(|step| step.samples_per_second);
        self.done.as_ref().map(|done| done.samples_per_second).or(last_step)
    }

    /// Steps done so far.
    pub(crate) fn steps_done(&self) -> u64 {
        let last_step = self.steps.last().map_or(0, |step| step.step);
        self.done.as_ref().map_or(last_step, |done| done.steps)
    }
}

/// What the runs are judged by, in words.
pub(crate) fn metric_words(runs: &[Run]) -> String {
    runs.iter().find_map(Run::metric).map_or("accuracy".into(), |(name, _)| name.replace('_', " "))
}

/// Words as a heading begins with them.
pub(crate) fn heading(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The run that others are compared with: the first end-to-end one.
pub(crate) fn baseline(runs: &[Run]) -> Option<&Run> {
    runs.iter().find(|run| run.is_end_to_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Warning;

    fn step(run: &str, step: u64, loss: f64) -> Record {
        Record::Step(Step { run: run.into(), step, losses: vec![loss], ..Step::default() })
    }

    fn epoch(run: &str, epoch: u64, accuracy: f64) -> Record {
        Record::Epoch(Epoch { run: run.into(), epoch, accuracy, seconds: 2.0, ..Epoch::default() })
    }

    #[test]
    fn runs_stay_apart_and_in_order() {
        let runs = gather(vec![step("b", 1, 0.1), step("a", 1, 0.2), step("b", 2, 0.3)]);
        let names: Vec<(&str, usize)> = runs.iter().map(|run| (run.name.as_str(), run.steps.len())).collect();
        assert_eq!(names, [("b", 2), ("a", 1)]);
    }

    #[test]
    fn a_resumed_run_replaces_what_it_does_again() {
        let done = Done { run: "a".into(), interrupted: true, ..Done::default() };
        let records = vec![
            step("a", 1, 0.1),
            step("a", 2, 0.2),
            step("a", 3, 0.3),
            epoch("a", 1, 0.5),
            Record::Done(done),
            Record::Start(Box::new(Start { run: "a".into(), ..Start::default() })),
            step("a", 2, 0.7),
            epoch("a", 1, 0.6),
        ];
        let run = &gather(records)[0];
        let losses: Vec<f64> = run.steps.iter().map(|s| s.losses[0]).collect();
        assert_eq!(losses, [0.1, 0.7]);
        assert_eq!((run.accuracy(), run.epochs.len()), (Some(0.6), 1));
        assert!(run.done.is_none());
    }

    #[test]
    fn the_end_of_a_run_counts_before_its_last_epoch_and_step() {
        let mut records = vec![step("a", 9, 0.1), epoch("a", 3, 0.5)];
        assert_eq!(gather(records.clone())[0].seconds(), Some(2.0));
        assert_eq!(gather(records.clone())[0].steps_done(), 9);
        let done = Done { run: "a".into(), accuracy: 0.75, seconds: 4.0, steps: 10, ..Done::default() };
        records.push(Record::Done(done));
        let run = &gather(records)[0];
        assert_eq!((run.accuracy(), run.seconds(), run.steps_done()), (Some(0.75), Some(4.0), 10));
    }

    #[test]
    fn a_repeated_warning_is_shown_once() {
        let warning = Record::Warning(Warning { run: "a".into(), message: "slow".into() });
        assert_eq!(gather(vec![warning.clone(), warning])[0].warnings, ["slow"]);
    }
}
