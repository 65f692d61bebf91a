//! What the Java side lends: direct buffers, read where they lie, and small arrays, copied.

use crate::upcalls::Stopped;
use jni::Env;
use jni::objects::{JByteBuffer, JFloatArray, JIntArray, JLongArray};
use localgrad_bridge::samples::{Pixels, Samples, lg_layout};
use localgrad_bridge::status::Fault;

/// Place, bytes, kind, layout and number of images, as Kotlin's `Samples.header` writes them.
const HEADER: usize = 5;

/// Kinds, as Kotlin's `Kind` counts them: bytes of images, and what is in place of images. All others are floats.
const BYTES: usize = 0;
const FEATURES: usize = 2;
const TOKENS: usize = 3;

/// Samples in a direct buffer, which lives and stays as it is while `'a` lasts: that of the references to it.
pub(crate) fn samples<'a>(
    env: &mut Env<'_>,
    images: &'a JByteBuffer<'_>,
    header: &JLongArray<'_>,
    answers: &'a Answers,
) -> Result<Samples<'a>, Stopped> {
    let mut numbers = [0; HEADER];
    header.get_region(env, 0, &mut numbers)?;
    let [place, bytes, kind, layout, count] =
        numbers.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let bytes = self::bytes(env, images, place, bytes)?;
    // SAFETY: any four bytes are a float, and a token.
    let pixels = unsafe {
        match kind {
            BYTES => Pixels::U8(bytes),
            FEATURES => Pixels::Features(numbers_of(bytes)?),
            TOKENS => Pixels::Tokens(numbers_of(bytes)?),
            _ => Pixels::F32(numbers_of(bytes)?),
        }
    };
    let layout = if layout == 0 { lg_layout::Nhwc } else { lg_layout::Nchw };
    Ok(Samples { pixels, layout, count, labels: &answers.labels, targets: &answers.targets })
}

/// Bytes as numbers of four each.
///
/// # Safety
/// Any four bytes are a `T`.
unsafe fn numbers_of<T>(bytes: &[u8]) -> Result<&[T], Fault> {
    // SAFETY: the caller's promise.
    match unsafe { bytes.align_to() } {
        ([], numbers, []) => Ok(numbers),
        _ => Err(Fault::argument(
            "floats and tokens begin at a multiple of 4 bytes and have 4 each; the buffer's position or limit is another",
        )),
    }
}

/// So many bytes of a direct buffer, from a place on; they live and stay as they are while `'a` lasts, as those of
/// [`samples`].
pub(crate) fn bytes<'a>(
    env: &Env<'_>,
    buffer: &'a JByteBuffer<'_>,
    place: usize,
    count: usize,
) -> Result<&'a [u8], Stopped> {
    let capacity = env.get_direct_buffer_capacity(buffer)?;
    if place.checked_add(count).is_none_or(|end| end > capacity) {
        return Err(Fault::argument("the buffer of the images is smaller than it says").into());
    }
    if count == 0 {
        return Ok(&[]);
    }
    // SAFETY: the place and so many bytes behind it are inside the buffer, which lives as long as the reference to it.
    Ok(unsafe { std::slice::from_raw_parts(env.get_direct_buffer_address(buffer)?.add(place), count) })
}

/// All of a direct buffer as floats to be written, which nobody else uses while `'a` lasts.
pub(crate) fn floats_mut<'a>(
    env: &Env<'_>,
    buffer: &'a mut JByteBuffer<'_>,
) -> jni::errors::Result<&'a mut [f32]> {
    let count = env.get_direct_buffer_capacity(buffer)? / size_of::<f32>();
    if count == 0 {
        return Ok(&mut []);
    }
    // SAFETY: Kotlin has just allocated the buffer, which is aligned then and zeroed, and waits until it is written.
    Ok(unsafe { std::slice::from_raw_parts_mut(env.get_direct_buffer_address(buffer)?.cast(), count) })
}

/// What samples are to be answered with: labels, or rows of targets, or nothing.
#[derive(Default)]
pub(crate) struct Answers {
    labels: Vec<u32>,
    targets: Vec<f32>,
}

/// Those of two arrays, one of which is empty; negative labels, which Kotlin refuses, become larger than any class.
pub(crate) fn answers(
    env: &Env<'_>,
    labels: &JIntArray<'_>,
    targets: &JFloatArray<'_>,
) -> jni::errors::Result<Answers> {
    let (mut classes, mut numbers) = (vec![0; labels.len(env)?], vec![0.0; targets.len(env)?]);
    labels.get_region(env, 0, &mut classes)?;
    targets.get_region(env, 0, &mut numbers)?;
    Ok(Answers { labels: classes.into_iter().map(|label| label as u32).collect(), targets: numbers })
}
