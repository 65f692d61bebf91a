//! Samples that the caller lends: checked, then turned into the normalised batches that training takes.

use crate::pointers::{self, Versioned};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::data::{Batch, Normalize};
use localgrad_runtime::inputs::Inputs;
use localgrad_runtime::layers::spec::Features;
use localgrad_runtime::maps::slices;
use localgrad_runtime::network::Objective;
use localgrad_runtime::rules::criterion::check_rows;
use localgrad_runtime::targets::Targets;
use localgrad_runtime::trainer::Trainer;
use std::ffi::c_void;
use std::ops::Range;

/// The type of a number in a sample.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_pixel {
    /// A byte, which stands for byte / 255.
    U8 = 0,
    /// A 32-bit float, taken as it is. All must be finite.
    F32 = 1,
    /// A 32-bit float of the rows that lg_trainer_features wrote: what stays as it is of the network has made of the images,
    /// and is not passed again. The layout is of no matter. All must be finite.
    Features = 2,
    /// A token: an unsigned 32-bit number below the network's vocabulary. The layout is of no matter.
    Token = 3,
}

/// The order of the numbers in an image.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_layout {
    /// Rows of pixels of channels, as in most image files.
    Nhwc = 0,
    /// Planes, one a channel, as in PyTorch.
    Nchw = 1,
}

/// Images with what they are to be answered with, lent for the time of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_samples {
    /// sizeof(lg_samples).
    pub struct_size: usize,
    /// The images, or rows of tokens or of features, one behind the other without gaps.
    pub images: *const c_void,
    /// Their size: count * channels * height * width, times 4 for floats; of tokens count * width * 4; of features count *
    /// (what lg_trainer_feature_count writes) * 4. Anything else is refused.
    pub images_bytes: usize,
    /// An lg_pixel.
    pub pixel: i32,
    /// An lg_layout.
    pub layout: i32,
    /// How many images.
    pub count: usize,
    /// The class of each, from 0; NULL where none are needed.
    pub labels: *const u32,
    /// In place of labels, a row of as many numbers for each as the network has outputs: of a network whose objective is
    /// labels 1 for one that is there and else 0, of one whose objective is values these, and of one that classifies the
    /// shares of the classes, which sum up to 1. NULL for labels.
    pub targets: *const f32,
}

// SAFETY: repr(C), the size is first, and numbers and pointers take any bytes.
unsafe impl Versioned for lg_samples {
    const NAME: &'static str = "lg_samples";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_samples, targets);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            images: std::ptr::null(),
            images_bytes: 0,
            pixel: lg_pixel::U8 as i32,
            layout: lg_layout::Nhwc as i32,
            count: 0,
            labels: std::ptr::null(),
            targets: std::ptr::null(),
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Fills in a struct of `struct_size` bytes, which is sizeof(lg_samples): bytes, NHWC, none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_samples_init(samples: *mut lg_samples, struct_size: usize) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    crate::guard::call(std::ptr::null_mut(), || unsafe { pointers::init_struct(samples, struct_size) })
}

/// The numbers of images, one image behind the other without gaps.
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// Bytes, which stand for byte / 255.
    U8(&'a [u8]),
    /// Numbers that are taken as they are. All must be finite.
    F32(&'a [f32]),
    /// Features in place of images, as [`crate::session::Session::features`] makes them.
    Features(&'a [f32]),
    /// Tokens, each below the network's vocabulary.
    Tokens(&'a [u32]),
}

impl Pixels<'_> {
    fn bytes(&self) -> usize {
        match self {
            Pixels::U8(bytes) => bytes.len(),
            Pixels::F32(floats) | Pixels::Features(floats) => size_of_val(*floats),
            Pixels::Tokens(tokens) => size_of_val(*tokens),
        }
    }

    fn are_features(&self) -> bool {
        matches!(self, Pixels::Features(_))
    }
}

/// Images with what they are to be answered with, lent for the time of a call.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// channels * height * width numbers an image.
    pub pixels: Pixels<'a>,
    /// The order of the numbers in an image.
    pub layout: lg_layout,
    /// How many images.
    pub count: usize,
    /// The class of each, from 0; none where none are needed.
    pub labels: &'a [u32],
    /// In place of labels, rows of as many numbers as the network has outputs; else none.
    pub targets: &'a [f32],
}

/// What a network takes.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    pub(crate) input: Inputs,
    pub(crate) classes: usize,
    pub(crate) objective: Objective,
    pub(crate) normalize: Normalize,
    /// The shape of a sample's features, or why it has none.
    pub(crate) features: Result<Features, String>,
}

/// Samples as training takes them.
pub(crate) struct Given {
    pub(crate) batch: Batch,
    /// Whether features are in the place of its images.
    pub(crate) are_features: bool,
}

/// Samples that were checked.
pub(crate) struct Lent<'a> {
    pixels: Pixels<'a>,
    /// Numbers of a sample.
    elements: usize,
    planes: bool,
    pub(crate) count: usize,
    /// As many as samples; none where none were needed, or where there are rows.
    labels: &'a [u32],
    rows: &'a [f32],
    classes: usize,
}

impl Intake {
    /// What a trainer takes whose images are normalised so.
    pub(crate) fn of(trainer: &Trainer, normalize: Normalize) -> Self {
        let spec = &trainer.model.spec;
        let found = trainer.check_still().and_then(|()| trainer.still_shape());
        let features = found.map_err(|cause| match trainer.has_still() {
            true => cause.to_string(),
            false => format!("{cause}: set train to \"head\" or \"last-2-units\", or frozen_blocks"),
        });
        Self { input: spec.input, classes: spec.classes, objective: spec.objective, normalize, features }
    }

    /// The shape of a sample's features.
    pub(crate) fn features(&self) -> Outcome<Features> {
        self.features.clone().map_err(Fault::config)
    }

    /// What the caller's struct lends; its labels or targets only where they are needed.
    ///
    /// # Safety
    /// The pointers in `samples` are null, or what the header says for as long as the result is used.
    pub(crate) unsafe fn lend<'a>(&self, samples: &lg_samples, labelled: bool) -> Outcome<Samples<'a>> {
        let (pixel_bytes, count) = match samples.pixel {
            0 => (1, samples.count),
            1..=3 => (size_of::<f32>(), samples.count),
            other => return Err(Fault::argument(format!("pixel is {other}, which is no lg_pixel"))),
        };
        let layout = match samples.layout {
            0 => lg_layout::Nhwc,
            1 => lg_layout::Nchw,
            other => return Err(Fault::argument(format!("layout is {other}, which is no lg_layout"))),
        };
        // Before any of them is believed to be there.
        self.check_bytes(count, pixel_bytes, samples.pixel == 2, samples.images_bytes)?;
        let elements = samples.images_bytes / pixel_bytes;
        // SAFETY: the caller promises as many bytes as the header says, and as many labels or rows as samples.
        unsafe {
            let pixels = match samples.pixel {
                0 => Pixels::U8(pointers::slice(samples.images.cast(), elements, "images")?),
                2 => Pixels::Features(pointers::slice(samples.images.cast(), elements, "images")?),
                3 => Pixels::Tokens(pointers::slice(samples.images.cast(), elements, "images")?),
                _ => Pixels::F32(pointers::slice(samples.images.cast(), elements, "images")?),
            };
            let (mut labels, mut targets): (&[u32], &[f32]) = (&[], &[]);
            if labelled && samples.targets.is_null() && self.objective.is_classes() {
                labels = pointers::slice(samples.labels, count, "labels")?;
            } else if labelled && !samples.targets.is_null() {
                targets = pointers::slice(samples.targets, count.saturating_mul(self.classes), "targets")?;
            }
            Ok(Samples { pixels, layout, count, labels, targets })
        }
    }

    /// Refuses pixels in the place of tokens, and the other way around.
    fn check_kind(&self, pixels: &Pixels<'_>) -> Outcome<()> {
        match (self.input, pixels) {
            (_, Pixels::Features(_)) | (Inputs::Pixels(_), Pixels::U8(_) | Pixels::F32(_)) => Ok(()),
            (Inputs::Tokens(own), Pixels::Tokens(tokens)) => {
                match tokens.iter().position(|&token| token as usize >= own.vocabulary) {
                    None => Ok(()),
                    Some(at) => Err(Fault::argument(format!(
                        "sample {} holds the token {}, but the vocabulary is of {}, counted from 0",
                        at / own.length.max(1),
                        tokens[at],
                        own.vocabulary
                    ))),
                }
            }
            (Inputs::Tokens(_), _) => Err(Fault::argument(
                "the network takes tokens, not images: in C, set pixel to LG_PIXEL_TOKEN",
            )),
            (Inputs::Pixels(_), _) => Err(Fault::argument("the network takes images, not tokens")),
        }
    }

    /// Checks that `found` bytes are those of so many samples; how many numbers a sample has.
    fn check_bytes(
        &self,
        count: usize,
        pixel_bytes: usize,
        are_features: bool,
        found: usize,
    ) -> Outcome<usize> {
        let each = if are_features { self.features()?.elements() } else { self.input.elements() };
        let elements = count.checked_mul(each);
        let Some(bytes) = elements.and_then(|elements| elements.checked_mul(pixel_bytes)) else {
            return Err(Fault::argument(format!("{count} images are more than memory can hold")));
        };
        if bytes == found {
            return Ok(each);
        }
        let what = match self.input {
            _ if are_features => format!("rows of {each} features"),
            Inputs::Tokens(_) => format!("rows of {each} tokens"),
            Inputs::Pixels([channels, height, width]) => {
                format!("images of {channels} channels and {height}x{width} pixels")
            }
        };
        Err(Fault::new(lg_status::Shape, format!("images_bytes is {found}, but {count} {what} have {bytes}")))
    }

    /// Checks what the caller lends, labels or targets only where they are needed.
    pub(crate) fn check<'a>(&self, samples: &Samples<'a>, labelled: bool) -> Outcome<Lent<'a>> {
        let Samples { pixels, layout, count, labels, targets } = *samples;
        let pixel_bytes = match pixels {
            Pixels::U8(_) => 1,
            Pixels::F32(_) | Pixels::Features(_) | Pixels::Tokens(_) => size_of::<f32>(),
        };
        self.check_kind(&pixels)?;
        let elements = self.check_bytes(count, pixel_bytes, pixels.are_features(), pixels.bytes())?;
        let (labels, rows): (&[u32], &[f32]) = match (labelled, targets) {
            (false, _) => (&[], &[]),
            (true, []) => (labels, &[]),
            (true, rows) => (&[], rows),
        };
        if rows.is_empty() && labelled && count > 0 && !self.objective.is_classes() {
            return Err(Fault::argument(format!(
                "the network learns {} {}: give targets, a row of as many numbers for each image",
                self.classes,
                self.objective.noun()
            )));
        }
        if !rows.is_empty() {
            let outputs = (self.objective, self.classes);
            check_rows(outputs, rows, count).map_err(|cause| Fault::argument(cause.to_string()))?;
        } else if labelled && labels.len() != count {
            return Err(Fault::argument(format!("{count} images have {} labels", labels.len())));
        }
        if let Some((sample, label)) =
            labels.iter().enumerate().find(|(_, label)| **label as usize >= self.classes)
        {
            return Err(Fault::argument(format!(
                "sample {sample} has label {label}, but there are {} classes, counted from 0",
                self.classes
            )));
        }
        let planes = layout == lg_layout::Nchw;
        let lent = Lent { pixels, elements, planes, count, labels, rows, classes: self.classes };
        lent.check_finite()?;
        Ok(lent)
    }

    /// The share of so many right answers to `samples`; NaN where answers are values.
    pub(crate) fn accuracy(&self, correct: usize, samples: usize) -> f64 {
        match self.objective.answers(self.classes) {
            0 => f64::NAN,
            answers => correct as f64 / (samples.max(1) * answers) as f64,
        }
    }

    /// Samples `range` as a batch.
    pub(crate) fn batch(&self, lent: &Lent<'_>, range: Range<usize>) -> Outcome<Given> {
        let targets = lent.targets(range.clone());
        let mut images = Vec::new();
        self.append(lent, range, &mut images);
        self.assemble(images, targets, lent.are_features())
    }

    /// Images `range`, and the last of them again until they are `count`.
    pub(crate) fn filled_up(&self, lent: &Lent<'_>, range: Range<usize>, count: usize) -> Outcome<Given> {
        let mut images = Vec::with_capacity(count * lent.elements);
        self.append(lent, range.clone(), &mut images);
        for _ in range.len()..count {
            self.append(lent, range.end - 1..range.end, &mut images);
        }
        self.assemble(images, lent.targets(range), false)
    }

    /// Images [N, H, W, C], or features, and their targets as a batch.
    pub(crate) fn assemble(&self, images: Vec<f32>, targets: Targets, are_features: bool) -> Outcome<Given> {
        let each = if are_features { self.features()?.elements() } else { self.input.elements() };
        let count = images.len() / each.max(1);
        let dims = if are_features { self.features()?.dims(count) } else { self.input.dims(count) };
        let inputs = slices::tensor(images, dims)?.into();
        Ok(Given { batch: Batch { inputs, targets }, are_features })
    }

    /// Appends samples `range` to `images`, normalised and channels last; features as they are.
    pub(crate) fn append(&self, lent: &Lent<'_>, range: Range<usize>, images: &mut Vec<f32>) {
        let size = lent.elements;
        let start = images.len();
        images.reserve_exact(range.len() * size);
        if let Pixels::Features(rows) = lent.pixels {
            return images.extend_from_slice(&rows[range.start * size..range.end * size]);
        }
        if let Pixels::Tokens(tokens) = lent.pixels {
            let own = &tokens[range.start * size..range.end * size];
            return images.extend(own.iter().map(|&token| token as f32));
        }
        let channels = self.input.channels();
        let plane = size / channels.max(1);
        for sample in range {
            let first = sample * size;
            // Where each number of the image, channels last, lies in what was lent.
            let places = (0..size).map(|at| match lent.planes {
                true => first + at % channels * plane + at / channels,
                false => first + at,
            });
            match lent.pixels {
                Pixels::U8(bytes) => images.extend(places.map(|at| f32::from(bytes[at]) / 255.0)),
                Pixels::F32(floats) => images.extend(places.map(|at| floats[at])),
                Pixels::Features(_) | Pixels::Tokens(_) => {}
            }
        }
        self.normalize.apply(&mut images[start..]);
    }
}

impl Lent<'_> {
    /// What samples `range` are to be answered with; nothing where that was not needed.
    pub(crate) fn targets(&self, range: Range<usize>) -> Targets {
        match self.rows {
            [] => Targets::Classes(self.labels.get(range).unwrap_or_default().to_vec()),
            rows => {
                let (width, Range { start, end }) = (self.classes, range);
                Targets::Rows { width, numbers: rows[start * width..end * width].to_vec() }
            }
        }
    }

    pub(crate) fn are_features(&self) -> bool {
        self.pixels.are_features()
    }

    fn check_finite(&self) -> Outcome<()> {
        let (Pixels::F32(floats) | Pixels::Features(floats)) = self.pixels else { return Ok(()) };
        match floats.iter().position(|number| !number.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Fault::argument(format!(
                "sample {} holds {}, which is no finite number",
                at / self.elements.max(1),
                floats[at]
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_and_type_comes_to_the_same() {
        let input = Inputs::Pixels([2, 2, 3]);
        let objective = Objective::Classes;
        let (normalize, features) = (Normalize::half(2), Err(String::new()));
        let intake = Intake { input, classes: 3, objective, normalize, features };
        let bytes: Vec<u8> = (0..24).map(|i| i * 10).collect();
        let mut planes = vec![0u8; 24];
        for (at, byte) in bytes.iter().enumerate() {
            let (sample, pixel, channel) = (at / 12, at % 12 / 2, at % 2);
            planes[sample * 12 + channel * 6 + pixel] = *byte;
        }
        let expected: Vec<f32> = bytes.iter().map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.5).collect();
        let labels = [2u32, 0];
        for (source, layout) in [(&bytes, lg_layout::Nhwc), (&planes, lg_layout::Nchw)] {
            let floats: Vec<f32> = source.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            for (images, size, pixel) in
                [(source.as_ptr().cast(), 24, lg_pixel::U8), (floats.as_ptr().cast(), 96, lg_pixel::F32)]
            {
                let samples = lg_samples {
                    images,
                    images_bytes: size,
                    pixel: pixel as i32,
                    layout: layout as i32,
                    count: 2,
                    labels: labels.as_ptr(),
                    ..lg_samples::initial()
                };
                // SAFETY: all pointers are to the arrays above.
                let lent = unsafe { intake.lend(&samples, true) }.unwrap();
                let lent = intake.check(&lent, true).unwrap();
                let batch = intake.batch(&lent, 0..2).unwrap().batch;
                assert_eq!(batch.inputs.dims(), [2, 2, 3, 2]);
                assert_eq!(batch.inputs.numbers().unwrap(), expected);
                assert_eq!(batch.targets.labels().unwrap(), labels);
                let second = intake.batch(&lent, 1..2).unwrap().batch;
                assert_eq!(second.inputs.numbers().unwrap(), expected[12..]);
                assert_eq!(second.targets.labels().unwrap(), [0]);
            }
        }
    }
}
