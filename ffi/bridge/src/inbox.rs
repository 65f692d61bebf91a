//! Samples on their way to a step: those that were pushed, and a function of the caller's that gives others.

use crate::pointers::Versioned;
use crate::samples::{Given, Intake, Lent, Samples, lg_samples};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::maps::slices;
use localgrad_runtime::targets::Targets;
use std::ffi::c_void;

/// What a callback answers. Any other number means that it failed.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_answer {
    /// Go on.
    Continue = 0,
    /// Stop: enough was done, or there are no more samples.
    Stop = 1,
}

/// Gives samples: fills in `*samples`, which it gets empty, and answers LG_ANSWER_CONTINUE, or LG_ANSWER_STOP where
/// there are no more. What it lends stays as it is until it is called again or the call that called it returns. `number`
/// is the number of steps done (of batches, in an evaluation), so that samples that are a function of it are the same
/// after a resume. It is called on the thread whose call needs the samples, and must not throw.
pub type lg_source_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, number: u64, samples: *mut lg_samples) -> i32>;

/// Gives samples on demand: gives some to what it is asked by, or none where there are no more.
pub type Source = Box<dyn FnMut(&mut Asked<'_>) -> Outcome<()> + Send>;

/// A batch that a source is asked for.
pub struct Asked<'a> {
    /// Steps done, or batches in an evaluation.
    pub number: u64,
    /// The most samples that it may have.
    pub most: usize,
    intake: &'a Intake,
    given: Option<Given>,
}

impl Asked<'_> {
    /// Gives samples, from 1 to `most`, which are copied.
    pub fn give(&mut self, samples: &Samples<'_>) -> Outcome<()> {
        self.check_count(samples.count)?;
        let lent = self.intake.check(samples, true)?;
        self.given = Some(self.intake.batch(&lent, 0..lent.count)?);
        Ok(())
    }

    fn check_count(&self, count: usize) -> Outcome<()> {
        match (1..=self.most).contains(&count) {
            true => Ok(()),
            false => Err(Fault::argument(format!(
                "the source gave {count} samples for batch {}; give 1 to {}, or answer LG_ANSWER_STOP",
                self.number, self.most
            ))),
        }
    }
}

/// Batch `number` from `source`, of at most `most` samples; `None` where there are no more.
pub(crate) fn ask(source: &mut Source, number: u64, intake: &Intake, most: usize) -> Outcome<Option<Given>> {
    let mut asked = Asked { number, most, intake, given: None };
    source(&mut asked)?;
    Ok(asked.given)
}

/// What a function is given back with each call.
struct UserData(*mut c_void);

// SAFETY: the pointer is only handed back to the function, and the header says on which thread that is called.
unsafe impl Send for UserData {}

impl UserData {
    fn pointer(&self) -> *mut c_void {
        self.0
    }
}

/// The caller's function as a source; `None` where it is NULL.
///
/// # Safety
/// The function can be called with these arguments, and lends what it gives until it is called again.
pub(crate) unsafe fn source_of(function: lg_source_fn, user_data: *mut c_void) -> Option<Source> {
    let (function, user_data) = (function?, UserData(user_data));
    Some(Box::new(move |asked| {
        let (number, mut samples) = (asked.number, lg_samples::initial());
        // SAFETY: the caller gave this function for these arguments.
        match unsafe { function(user_data.pointer(), number, &raw mut samples) } {
            0 => {}
            1 => return Ok(()),
            other => {
                let message = format!("the source answered {other} for batch {number}");
                return Err(Fault::new(lg_status::Callback, message));
            }
        }
        asked.check_count(samples.count)?;
        // SAFETY: the function lends what it gives until it is called again.
        let lent = unsafe { asked.intake.lend(&samples, true) }?;
        asked.give(&lent)
    }))
}

/// Samples that were pushed.
#[derive(Default)]
pub(crate) struct Inbox {
    images: Vec<f32>,
    targets: Option<Targets>,
    /// Whether features are in the place of images.
    are_features: bool,
}

impl Inbox {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.targets.as_ref().map_or(0, Targets::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Samples of a step that could not begin, to be the next one's.
    pub(crate) fn put_back(&mut self, given: Given) -> Outcome<()> {
        let Given { batch, are_features } = given;
        let images = slices::elements(&batch.inputs)?.to_vec();
        *self = Self { images, targets: Some(batch.targets), are_features };
        Ok(())
    }

    /// All of them, which leaves none.
    pub(crate) fn take(&mut self, intake: &Intake) -> Outcome<Given> {
        let targets = self.targets.take().unwrap_or(Targets::Classes(Vec::new()));
        intake.assemble(std::mem::take(&mut self.images), targets, self.are_features)
    }

    /// Whether features wait.
    pub(crate) fn has_features(&self) -> bool {
        !self.is_empty() && self.are_features
    }

    /// Adds samples, which are copied.
    pub(crate) fn add(&mut self, lent: &Lent<'_>, intake: &Intake) -> Outcome<()> {
        self.add_targets(lent.targets(0..lent.count), lent.are_features())?;
        intake.append(lent, 0..lent.count, &mut self.images);
        Ok(())
    }

    /// Adds what samples are to be answered with, of which either all have rows or none; and either all are features or none.
    fn add_targets(&mut self, targets: Targets, are_features: bool) -> Outcome<()> {
        if !self.is_empty() && self.are_features != are_features {
            return Err(Fault::config(
                "samples of one step come as images, or all as features; train a step first",
            ));
        }
        self.are_features = are_features;
        let waiting = self.targets.take();
        match (&waiting, &targets) {
            (Some(Targets::Classes(_)), Targets::Rows { .. })
            | (Some(Targets::Rows { .. }), Targets::Classes(_)) => {
                self.targets = waiting;
                Err(Fault::config(
                    "samples of one step come with labels, or all with targets; train a step first",
                ))
            }
            _ => {
                self.targets = Some(Targets::joined(waiting.into_iter().chain([targets])));
                Ok(())
            }
        }
    }
}
