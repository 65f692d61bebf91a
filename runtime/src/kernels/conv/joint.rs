//! Both gradients of a convolution in one pass over the images, a few at a time: what the two read, the gradient of y
//! made from that of a batch norm's output, the sums for the batch norm before, and the gradient that comes round a
//! residual's shortcut meet while they are in the cache. Each map is read once and written once.
//!
//! The images are dealt to parts fixed by shape, which are added in order.

use super::buffer::Buffer;
use super::depthwise;
use super::direct::Target;
use super::geometry::Geometry;
use super::joint_pixels::{self, JointPixels, of_pixels};
use super::source::ReadThrough;
use super::weight::{TASKS, WeightCut};
use super::winograd::{JointRows, square};
use super::workspace::{PassKind, Workspace, buffers};
use super::{Algorithm, Path, check_channels};
use crate::deal::deal;
use crate::error::{Error, Result};
use crate::kernels::batch_norm::{self, Gradient, Sums, part_bytes};
use crate::kernels::elementwise;
use crate::kernels::simd::Isa;
use crate::kernels::unwritten::{Unwritten, unwritten};
use std::mem::MaybeUninit;
use std::ops::Range;

/// What both gradients are made from, beside y.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// What the convolution read, where its weight's gradient or sums for a normalization are wanted.
    pub x: Option<ReadThrough<'a>>,
    /// The gradient of the output of the normalization that followed.
    pub d: &'a [f32],
    /// How to get from there to the gradient of y.
    pub by: &'a Gradient,
    /// `[O, I/groups, KH, KW]`.
    pub weight: &'a [f32],
    /// Added to the gradient of x.
    pub beside: Option<&'a [f32]>,
}

/// A method of convolution by which both gradients of a few images are made on one thread.
pub(super) trait Joint: Sync + Sized {
    /// What a thread computes with.
    type Buffers: Send;

    /// The gradient of y, or of x, of the images of one turn aims to be no larger.
    const TURN_BYTES: usize;

    fn new(isa: Isa, geometry: &Geometry, weight: &[f32]) -> Self;

    fn buffers(&self) -> Self::Buffers;

    /// Writes d_x of the first images, from d_y.
    fn d_input(&self, worker: &mut Self::Buffers, images: usize, d_y: &[f32], d_x: &mut [MaybeUninit<f32>]);

    /// Zeros for the products of a part.
    fn sums(&self) -> Buffer;

    /// Adds the products of the first images.
    fn add_weight(
        &self,
        worker: &mut Self::Buffers,
        images: usize,
        x: ReadThrough<'_>,
        d_y: &[f32],
        sums: &mut Buffer,
    );

    /// Writes d_weight from the sums of all parts.
    fn finish(&self, sums: &[Buffer], d_weight: &mut [MaybeUninit<f32>]);

    /// The cut of the weight's gradient alone, and the images of which a turn takes a multiple.
    fn cut(isa: Isa, geometry: &Geometry) -> (WeightCut, usize);

    /// Images of a turn.
    fn turn_images(isa: Isa, g: &Geometry) -> usize {
        let multiple = Self::cut(isa, g).1;
        let image_bytes = g.x_len().max(g.y_len()) / g.images * size_of::<f32>();
        (Self::TURN_BYTES / image_bytes / multiple).max(1) * multiple
    }

    /// Whether sums of products are small enough for every part to have its own, and images make a turn for every part.
    fn fits(isa: Isa, g: &Geometry) -> bool {
        let cut = Self::cut(isa, g).0;
        cut.chunks == 1 && cut.parts == TASKS && g.images >= TASKS * Self::turn_images(isa, g)
    }

    /// The memory of the method itself, with the sums of so many parts.
    fn workspace(isa: Isa, geometry: &Geometry, parts: usize) -> Workspace;
}

/// The smallest multiple of both.
pub(super) fn least_multiple(a: usize, b: usize) -> usize {
    (1..=b).map(|times| a * times).find(|multiple| multiple.is_multiple_of(b)).unwrap_or(a)
}

/// Whether [`backward`] knows the convolution: one whose x is as large as its y, whose sums of products are small
/// enough for every part to have its own, and whose images, or pixels, make a turn for every part; or a depthwise one.
pub fn applies(path: Path, g: &Geometry) -> bool {
    if g.is_depthwise() {
        return depthwise::joint_applies(g);
    }
    let both = [PassKind::DInput, PassKind::DWeight].map(|pass| path.method(g, pass));
    g.x_len() == g.y_len()
        && match both {
            [Algorithm::Winograd, Algorithm::Winograd] => JointRows::fits(path.isa, g),
            [Algorithm::SquareWinograd, Algorithm::SquareWinograd] => square::JointSquares::fits(path.isa, g),
            [Algorithm::Direct, Algorithm::Direct] => pixels_fit(path, g),
            _ => false,
        }
}

/// Whether a convolution is by kernels of one pixel, and small enough.
fn pixels_fit(path: Path, g: &Geometry) -> bool {
    joint_pixels::applies(g) && JointPixels::fits(path.isa, &of_pixels(g))
}

/// Writes the gradient of x in the place of `y`, and that of the weight if it is asked for; answers what the
/// normalization that x came through needs for its own.
///
/// # Errors
/// Internal when lengths do not fit, and for convolutions that are not [`applies`]' own.
pub fn backward(
    path: Path,
    geometry: &Geometry,
    given: Given<'_>,
    y: &mut [f32],
    d_weight: Option<&mut [f32]>,
) -> Result<Option<Sums>> {
    check(geometry, given, [y.len(); 2], d_weight.as_deref(), applies(path, geometry))?;
    // SAFETY: y is the place of both, and what else the gradients rest on has been checked.
    Ok(unsafe { by_method(path, geometry, given, [Target(y.as_mut_ptr()); 2], d_weight) })
}

/// The gradients by the method of the convolution.
///
/// # Safety
/// `y` and `d_x` are good for the elements of y and x, and are the same or do not overlap; what is given has been checked.
unsafe fn by_method(
    path: Path,
    geometry: &Geometry,
    given: Given<'_>,
    places: [Target; 2],
    d_weight: Option<&mut [f32]>,
) -> Option<Sums> {
    let isa = path.isa;
    // SAFETY: passed on from the caller.
    unsafe {
        match path.method(geometry, PassKind::DWeight) {
            _ if geometry.is_depthwise() => depthwise::backward(isa, geometry, given, places, d_weight),
            Algorithm::SquareWinograd => run::<square::JointSquares>(isa, geometry, given, places, d_weight),
            Algorithm::Winograd => run::<JointRows>(isa, geometry, given, places, d_weight),
            _ => run::<JointPixels>(isa, &of_pixels(geometry), given, places, d_weight),
        }
    }
}

/// Whether [`backward_apart`] knows the convolution: a depthwise one whose x is not as large as its y, or one by kernels
/// of one pixel, as in [`applies`].
pub fn apart_applies(path: Path, g: &Geometry) -> bool {
    depthwise::apart_applies(g) || (g.x_len() != g.y_len() && pixels_fit(path, g))
}

/// [`backward`] with the gradient of x in memory of its own, `d_x: [N, H, W, I]`.
///
/// # Errors
/// Internal when lengths do not fit, and for convolutions that are not [`apart_applies`]' own.
pub fn backward_apart<'a>(
    path: Path,
    geometry: &Geometry,
    given: Given<'_>,
    y: &[f32],
    d_x: impl Into<Unwritten<'a>>,
    d_weight: Option<&mut [f32]>,
) -> Result<Option<Sums>> {
    // SAFETY: a convolution stores nothing but numbers.
    let d_x = unsafe { d_x.into().room() };
    check(geometry, given, [d_x.len(), y.len()], d_weight.as_deref(), apart_applies(path, geometry))?;
    let places = [Target(y.as_ptr().cast_mut()), Target(d_x.as_mut_ptr().cast())];
    // SAFETY: y is only read, d_x is another's memory, and what else the gradients rest on has been checked.
    Ok(unsafe { by_method(path, geometry, given, places, d_weight) })
}

/// Refuses what does not fit `x_len` and `y_len` elements, and convolutions that a pass does not know.
fn check(
    geometry: &Geometry,
    given: Given<'_>,
    [x_len, y_len]: [usize; 2],
    d_weight: Option<&[f32]>,
    is_known: bool,
) -> Result<()> {
    geometry.check(x_len, given.weight.len(), y_len)?;
    let of_x = [given.x.map(|x| x.len()), given.beside.map(<[f32]>::len)];
    let fits = of_x.into_iter().flatten().all(|len| len == x_len)
        && given.d.len() == y_len
        && given.by.channels() == geometry.out_channels
        && d_weight.is_none_or(|d_weight| d_weight.len() == given.weight.len());
    if !fits || !is_known {
        return Err(Error::internal(format!("gradients of other lengths than {geometry:?} has")));
    }
    given.x.map_or(Ok(()), |x| check_channels(x, geometry.in_channels))
}

/// # Safety
/// As for [`by_method`].
unsafe fn run<J: Joint>(
    isa: Isa,
    geometry: &Geometry,
    given: Given<'_>,
    places: [Target; 2],
    d_weight: Option<&mut [f32]>,
) -> Option<Sums> {
    let joint = J::new(isa, geometry, given.weight);
    let turn = J::turn_images(isa, geometry);
    let part = part_images(geometry.images, turn);
    let lens = [geometry.y_len(), geometry.x_len()].map(|len| len / geometry.images);
    let work = JointPass { isa, joint: &joint, lens, turn, given, places, with_weight: d_weight.is_some() };
    let worker = || JointBuffers {
        method: joint.buffers(),
        d_y: Buffer::zeros(turn * lens[0]),
        scratch: vec![0.0; given.normalization().map_or(0, |by| 2 * by.width())],
    };
    let parts = (0..geometry.images.div_ceil(part)).map(|index| {
        let first = index * part;
        first..geometry.images.min(first + part)
    });
    let one = |worker: &mut JointBuffers<J>, images| work.part(worker, images);
    let (sums, totals): (Vec<Buffer>, Vec<Vec<f64>>) = deal(parts, worker, one).into_iter().unzip();
    if let Some(d_weight) = d_weight {
        // SAFETY: sums are numbers.
        joint.finish(&sums, unsafe { unwritten(d_weight).room() });
    }
    given.normalization().map(|by| Sums::of_parts(&totals.concat(), by))
}

/// Images of a part.
fn part_images(images: usize, turn: usize) -> usize {
    images.div_ceil(turn).div_ceil(TASKS) * turn
}

impl<'a> Given<'a> {
    /// What x came through.
    pub(super) fn normalization(&self) -> Option<&'a batch_norm::Normalization> {
        match self.x {
            Some(ReadThrough::Normalized(_, by)) => Some(by),
            _ => None,
        }
    }
}

/// What a thread computes with.
struct JointBuffers<J: Joint> {
    method: J::Buffers,
    /// The gradient of y of one turn.
    d_y: Buffer,
    /// Of the sums for a normalization.
    scratch: Vec<f32>,
}

struct JointPass<'a, J> {
    isa: Isa,
    joint: &'a J,
    /// Elements of an image of y and of x.
    lens: [usize; 2],
    turn: usize,
    given: Given<'a>,
    /// Where y is, and where d_x is to be.
    places: [Target; 2],
    with_weight: bool,
}

impl<J: Joint> JointPass<'_, J> {
    /// The images of one part: answers its sums.
    fn part(&self, worker: &mut JointBuffers<J>, images: Range<usize>) -> (Buffer, Vec<f64>) {
        let mut sums = if self.with_weight { self.joint.sums() } else { Buffer::zeros(0) };
        let mut totals = vec![0.0; self.given.normalization().map_or(0, |by| 2 * by.channels())];
        for first in images.clone().step_by(self.turn) {
            let images = first..images.end.min(first + self.turn);
            self.turn(worker, images, &mut sums, &mut totals);
        }
        (sums, totals)
    }

    /// The images of one turn.
    fn turn(
        &self,
        worker: &mut JointBuffers<J>,
        images: Range<usize>,
        sums: &mut Buffer,
        totals: &mut [f64],
    ) {
        let Self { isa, joint, given, .. } = *self;
        let JointBuffers { method, d_y, scratch } = worker;
        let [of_y, of_x] = self.lens.map(|len| images.start * len..images.end * len);
        let d_y = &mut d_y[..of_y.len()];
        {
            // SAFETY: images of y, which only this part touches.
            let y = unsafe { std::slice::from_raw_parts(self.places[0].0.add(of_y.start), of_y.len()) };
            batch_norm::d_input_to(isa, &given.d[of_y], y, given.by, d_y);
        }
        let x = given.x.map(|x| x.part(of_x.start, of_x.len()));
        if let (true, Some(x)) = (self.with_weight, x) {
            joint.add_weight(method, images.len(), x, d_y, sums);
        }
        // SAFETY: images of d_x, which only this part touches, and y is no longer read.
        let d_x = unsafe {
            let d_x = self.places[1].0.add(of_x.start);
            joint.d_input(method, images.len(), d_y, std::slice::from_raw_parts_mut(d_x.cast(), of_x.len()));
            std::slice::from_raw_parts_mut(d_x, of_x.len())
        };
        if let Some(beside) = given.beside {
            elementwise::add_piece(isa, d_x, &beside[of_x]);
        }
        if let Some(ReadThrough::Normalized(x, by)) = x {
            batch_norm::rows_to_pre_activation(isa, d_x, x, by);
            batch_norm::add_rows(isa, d_x, x, by, scratch, totals);
        }
    }
}

/// The memory of [`backward`].
pub(super) fn workspace(path: Path, g: &Geometry) -> Workspace {
    match path.method(g, PassKind::DWeight) {
        Algorithm::SquareWinograd => workspace_by::<square::JointSquares>(path.isa, g),
        Algorithm::Winograd => workspace_by::<JointRows>(path.isa, g),
        _ => workspace_by::<JointPixels>(path.isa, &of_pixels(g)),
    }
}

fn workspace_by<J: Joint>(isa: Isa, g: &Geometry) -> Workspace {
    let turn = J::turn_images(isa, g);
    let parts = g.images.div_ceil(part_images(g.images, turn));
    let lists = 2 * (size_of::<Buffer>() + size_of::<Vec<f64>>());
    J::workspace(isa, g, parts).plus(&Workspace {
        // Totals are joined in the end.
        call_bytes: parts * lists + 2 * part_bytes(parts, g.in_channels),
        worker_bytes: buffers(&[turn * (g.y_len() / g.images)])
            + batch_norm::normalization_bytes(g.in_channels),
    })
}
