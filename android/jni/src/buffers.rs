//! What the Java side lends: direct buffers, read where they lie, and small arrays, copied.

use crate::upcalls::Stopped;
use jni::Env;
use jni::objects::{JByteBuffer, JIntArray, JLongArray};
use localgrad_bridge::samples::{Pixels, Samples, lg_layout};
use localgrad_bridge::status::Fault;

/// Place, bytes, kind, layout and number of images, as Kotlin's `Samples.header` writes them.
const HEADER: usize = 5;

/// Samples in a direct buffer, which lives and stays as it is while `'a` lasts: that of the references to it.
pub(crate) fn samples<'a>(
    env: &mut Env<'_>,
    images: &'a JByteBuffer<'_>,
    header: &JLongArray<'_>,
    labels: &'a [u32],
) -> Result<Samples<'a>, Stopped> {
    let mut numbers = [0; HEADER];
    header.get_region(env, 0, &mut numbers)?;
    let [place, bytes, kind, layout, count] =
        numbers.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let capacity = env.get_direct_buffer_capacity(images)?;
    if place.checked_add(bytes).is_none_or(|end| end > capacity) {
        return Err(Fault::argument("the buffer of the images is smaller than it says").into());
    }
    let start = match bytes {
        0 => std::ptr::NonNull::<f32>::dangling().as_ptr().cast::<u8>(),
        // SAFETY: the place is inside the buffer.
        _ => unsafe { env.get_direct_buffer_address(images)?.add(place) },
    };
    let pixels = if kind == 0 {
        // SAFETY: so many bytes are inside the buffer, which lives as long as the reference to it.
        Pixels::U8(unsafe { std::slice::from_raw_parts(start, bytes) })
    } else {
        let floats = start.cast::<f32>();
        if !floats.is_aligned() || !bytes.is_multiple_of(size_of::<f32>()) {
            let message = "floats begin at a multiple of 4 bytes and have 4 each; the buffer's position or limit is another";
            return Err(Fault::argument(message).into());
        }
        // SAFETY: as above; it is aligned.
        Pixels::F32(unsafe { std::slice::from_raw_parts(floats, bytes / size_of::<f32>()) })
    };
    let layout = if layout == 0 { lg_layout::Nhwc } else { lg_layout::Nchw };
    Ok(Samples { pixels, layout, count, labels })
}

/// The labels of an array; negative ones, which Kotlin refuses, become larger than any class.
pub(crate) fn labels(env: &Env<'_>, array: &JIntArray<'_>) -> jni::errors::Result<Vec<u32>> {
    let mut labels = vec![0; array.len(env)?];
    array.get_region(env, 0, &mut labels)?;
    Ok(labels.into_iter().map(|label| label as u32).collect())
}
