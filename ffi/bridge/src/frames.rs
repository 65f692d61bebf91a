//! Camera frames: read where they lie, in rows with gaps and with a fourth channel, turned upright and brought to the size
//! that a network takes.

use crate::error::lg_error;
use crate::guard;
use crate::handles;
use crate::network::{NetworkObject, lg_network};
use crate::pointers::{self, Versioned};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::data::crop::{Footprint, footprints};
use localgrad_runtime::inputs::Inputs;
use std::ffi::c_void;

/// Rows and columns of a frame.
const MOST_PIXELS: usize = 65_535;

/// The channels of a frame's pixel, a byte each.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_frame_format {
    /// Red, green, blue.
    Rgb = 0,
    /// Red, green, blue, and one that is not looked at.
    Rgba = 1,
    /// Blue, green, red, and one that is not looked at.
    Bgra = 2,
    /// Grey.
    Gray = 3,
}

/// How a frame of other proportions fits a network.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_fit {
    /// The largest part of the network's proportions in its middle is taken.
    Crop = 0,
    /// All of it is taken, and distorted.
    Stretch = 1,
}

/// A frame of a camera or a bitmap, lent for the time of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_frame {
    /// sizeof(lg_frame).
    pub struct_size: usize,
    /// The first row.
    pub pixels: *const c_void,
    /// The size of all that may be read: row_bytes for each row, of which the last may end with its last pixel.
    pub bytes: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// From the beginning of a row to that of the next; 0, which is a row's pixels and no gap.
    pub row_bytes: usize,
    /// An lg_frame_format; LG_FRAME_FORMAT_RGB.
    pub format: i32,
    /// By how many degrees it must be turned clockwise to stand upright: 0, 90, 180 or 270; 0.
    pub rotation_degrees: i32,
    /// An lg_fit; LG_FIT_CROP.
    pub fit: i32,
}

// SAFETY: repr(C), the size is first, and numbers and pointers take any bytes.
unsafe impl Versioned for lg_frame {
    const NAME: &'static str = "lg_frame";
    const FIRST_BYTES: usize = size_of::<lg_frame>();

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            pixels: std::ptr::null(),
            bytes: 0,
            width: 0,
            height: 0,
            row_bytes: 0,
            format: lg_frame_format::Rgb as i32,
            rotation_degrees: 0,
            fit: lg_fit::Crop as i32,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Fills in a struct of `struct_size` bytes, which is sizeof(lg_frame).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_frame_init(frame: *mut lg_frame, struct_size: usize) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    guard::call(std::ptr::null_mut(), || unsafe { pointers::init_struct(frame, struct_size) })
}

/// Writes what a frame looks like to the network: one image of its size, bytes, NHWC, as lg_samples takes it. The frame is
/// read where it lies; smaller images are made by a weighted mean of all pixels, larger ones by interpolation. Colours
/// become grey where the network takes one channel. `capacity` is how many bytes `image` has room for, at least channels
/// times height times width. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_prepare_frame(
    network: *const lg_network,
    frame: *const lg_frame,
    image: *mut u8,
    capacity: usize,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let network = handles::get::<NetworkObject, _>(network)?;
        let Inputs::Pixels(input) = network.spec.input else {
            return Err(Fault::config("the network takes tokens, and a frame becomes an image"));
        };
        let needed = input.iter().product();
        if capacity < needed {
            return Err(pointers::too_small(needed, capacity));
        }
        // SAFETY: the caller promises that all pointers are what the header says, and no fewer bytes than `capacity`.
        unsafe {
            pointers::check(image, "image")?;
            let frame = pointers::read_struct(frame, "frame")?;
            let pixels = pointers::slice(frame.pixels.cast(), frame.bytes, "pixels")?;
            pointers::store(&prepare(&frame, pixels, input)?, image, "image")
        }
    })
}

/// A frame that was checked.
struct Upright<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
    row_bytes: usize,
    pixel_bytes: usize,
    /// Where red, green and blue lie in a pixel.
    places: [usize; 3],
    quarter_turns: usize,
}

/// The image of `input`, [C, H, W], that `frame` is to a network, H rows of W pixels of C bytes. `pixels` takes the place of
/// the frame's pointer.
///
/// # Errors
/// `Argument` where the frame's numbers mean nothing or say more bytes than there are; `Config` where the network takes
/// neither grey nor coloured images.
pub fn prepare(frame: &lg_frame, pixels: &[u8], input: [usize; 3]) -> Outcome<Vec<u8>> {
    let source = Upright::check(frame, pixels)?;
    let [channels, height, width] = input;
    if channels != 1 && channels != 3 {
        return Err(Fault::config(format!(
            "the network takes images of {channels} channels; a frame becomes one of 1 or 3"
        )));
    }
    let (all_columns, all_rows) = source.size();
    let (columns, rows) = match frame.fit {
        0 => {
            let scale = (all_columns as f64 / width as f64).min(all_rows as f64 / height as f64);
            (scale * width as f64, scale * height as f64)
        }
        1 => (all_columns as f64, all_rows as f64),
        other => return Err(Fault::argument(format!("fit is {other}, which is no lg_fit"))),
    };
    let across = footprints(all_columns, columns, width);
    let down = footprints(all_rows, rows, height);
    let mut image = Vec::with_capacity(channels * height * width);
    for Footprint { first: top, weights: row_weights } in &down {
        for Footprint { first: left, weights } in &across {
            let mut sums = [0f32; 3];
            for (row, row_weight) in row_weights.iter().enumerate() {
                for (column, weight) in weights.iter().enumerate() {
                    let colours = source.colours(left + column, top + row);
                    for (sum, colour) in sums.iter_mut().zip(colours) {
                        *sum += row_weight * weight * f32::from(colour);
                    }
                }
            }
            let byte = |number: f32| (number + 0.5).clamp(0.0, 255.0) as u8;
            match channels {
                1 => image.push(byte(0.299 * sums[0] + 0.587 * sums[1] + 0.114 * sums[2])),
                _ => image.extend(sums.map(byte)),
            }
        }
    }
    Ok(image)
}

impl<'a> Upright<'a> {
    fn check(frame: &lg_frame, pixels: &'a [u8]) -> Outcome<Self> {
        let (pixel_bytes, places) = match frame.format {
            0 => (3, [0, 1, 2]),
            1 => (4, [0, 1, 2]),
            2 => (4, [2, 1, 0]),
            3 => (1, [0, 0, 0]),
            other => return Err(Fault::argument(format!("format is {other}, which is no lg_frame_format"))),
        };
        let lg_frame { width, height, .. } = *frame;
        if !(1..=MOST_PIXELS).contains(&width) || !(1..=MOST_PIXELS).contains(&height) {
            return Err(Fault::argument(format!(
                "a frame of {width}x{height} pixels is none, or more than any camera's; choose from 1 to {MOST_PIXELS}"
            )));
        }
        let tight = width * pixel_bytes;
        let row_bytes = if frame.row_bytes == 0 { tight } else { frame.row_bytes };
        if row_bytes < tight {
            return Err(Fault::argument(format!(
                "row_bytes is {row_bytes}, but a row of {width} pixels has {tight}"
            )));
        }
        let needed = row_bytes.checked_mul(height - 1).and_then(|rows| rows.checked_add(tight));
        if needed.is_none_or(|needed| needed > pixels.len()) {
            return Err(Fault::argument(format!(
                "the frame has {} bytes, too few for {height} rows of {row_bytes}",
                pixels.len()
            )));
        }
        let quarter_turns = match frame.rotation_degrees {
            0 => 0,
            90 => 1,
            180 => 2,
            270 => 3,
            other => {
                return Err(Fault::argument(format!(
                    "a frame is turned by 0, 90, 180 or 270 degrees, and not by {other}"
                )));
            }
        };
        Ok(Self { pixels, width, height, row_bytes, pixel_bytes, places, quarter_turns })
    }

    /// Columns and rows when it stands upright.
    fn size(&self) -> (usize, usize) {
        let (columns, rows) = (self.width, self.height);
        if self.quarter_turns.is_multiple_of(2) { (columns, rows) } else { (rows, columns) }
    }

    /// Red, green and blue of a pixel of the upright frame.
    fn colours(&self, column: usize, row: usize) -> [u8; 3] {
        let (x, y) = match self.quarter_turns {
            0 => (column, row),
            1 => (row, self.height - 1 - column),
            2 => (self.width - 1 - column, self.height - 1 - row),
            _ => (self.width - 1 - row, column),
        };
        let pixel = y * self.row_bytes + x * self.pixel_bytes;
        self.places.map(|place| self.pixels[pixel + place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte(at: usize) -> u8 {
        (at.wrapping_mul(2_654_435_761) >> 13) as u8
    }

    fn frame(width: usize, height: usize, format: lg_frame_format) -> lg_frame {
        lg_frame { width, height, format: format as i32, ..lg_frame::initial() }
    }

    /// The same in double precision and whole: the upright frame first, then each pixel's mean over the plane.
    fn naive(
        rgb: &[u8],
        width: usize,
        height: usize,
        turns: usize,
        stretch: bool,
        to: [usize; 3],
    ) -> Vec<f64> {
        let (mut upright, mut w, mut h) = (rgb.to_vec(), width, height);
        for _ in 0..turns {
            let mut turned = vec![0; upright.len()];
            for y in 0..h {
                for x in 0..w {
                    for c in 0..3 {
                        turned[(x * h + (h - 1 - y)) * 3 + c] = upright[(y * w + x) * 3 + c];
                    }
                }
            }
            (upright, w, h) = (turned, h, w);
        }
        let mut scale = [w as f64 / to[2] as f64, h as f64 / to[1] as f64];
        if !stretch {
            scale = [scale[0].min(scale[1]); 2];
        }
        let start = [(w as f64 - scale[0] * to[2] as f64) / 2.0, (h as f64 - scale[1] * to[1] as f64) / 2.0];
        let mut image = Vec::new();
        for row in 0..to[1] {
            for column in 0..to[2] {
                let middle =
                    [start[0] + (column as f64 + 0.5) * scale[0], start[1] + (row as f64 + 0.5) * scale[1]];
                let (mut sums, mut whole) = ([0.0; 3], 0.0);
                for y in 0..h {
                    for x in 0..w {
                        let away = |at: usize, axis: usize| {
                            let far = (at as f64 + 0.5 - middle[axis]).abs() / scale[axis].max(1.0);
                            if far < 1.0 { 1.0 - far } else { 0.0 }
                        };
                        let weight = away(x, 0) * away(y, 1);
                        whole += weight;
                        for c in 0..3 {
                            sums[c] += weight * f64::from(upright[(y * w + x) * 3 + c]);
                        }
                    }
                }
                image.extend(sums.map(|sum| sum / whole));
            }
        }
        image
    }

    #[test]
    fn frames_are_what_plain_loops_make_of_them() {
        let sizes = [(5, 7), (16, 4), (3, 3), (33, 21), (1, 9)];
        for (case, (width, height)) in sizes.into_iter().enumerate() {
            let rgb: Vec<u8> = (0..width * height * 3).map(|at| byte(at + case * 1000)).collect();
            for turns in 0..4 {
                for fit in [lg_fit::Crop, lg_fit::Stretch] {
                    for to in [[3, 4, 4], [3, 6, 3], [3, 11, 13]] {
                        let mut asked = frame(width, height, lg_frame_format::Rgb);
                        (asked.rotation_degrees, asked.fit) = (90 * turns as i32, fit as i32);
                        let found = prepare(&asked, &rgb, to).unwrap();
                        let expected = naive(&rgb, width, height, turns, fit == lg_fit::Stretch, to);
                        assert_eq!(found.len(), expected.len());
                        for (found, expected) in found.iter().zip(expected) {
                            assert!((f64::from(*found) - expected).abs() < 0.502, "{found} {expected}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_of_the_networks_size_is_taken_as_it_is_in_every_format() {
        let (width, height) = (5, 4);
        let rgb: Vec<u8> = (0..width * height * 3).map(byte).collect();
        let input = [3, height, width];
        assert_eq!(prepare(&frame(width, height, lg_frame_format::Rgb), &rgb, input).unwrap(), rgb);
        for (format, order) in [(lg_frame_format::Rgba, [0, 1, 2]), (lg_frame_format::Bgra, [2, 1, 0])] {
            for gap in [0, 1, 12] {
                let row_bytes = width * 4 + gap;
                let mut pixels = vec![99; row_bytes * height - gap];
                for (at, pixel) in rgb.chunks(3).enumerate() {
                    let place = at / width * row_bytes + at % width * 4;
                    order.iter().zip(pixel).for_each(|(c, byte)| pixels[place + c] = *byte);
                }
                let asked = lg_frame { row_bytes, ..frame(width, height, format) };
                assert_eq!(prepare(&asked, &pixels, input).unwrap(), rgb);
                assert!(prepare(&asked, &pixels[1..], input).unwrap_err().message.contains("too few"));
            }
        }
        let gray = &rgb[..width * height];
        let asked = frame(width, height, lg_frame_format::Gray);
        assert_eq!(prepare(&asked, gray, [1, height, width]).unwrap(), gray);
        let thrice: Vec<u8> = gray.iter().flat_map(|byte| [*byte; 3]).collect();
        assert_eq!(prepare(&asked, gray, input).unwrap(), thrice);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let good = frame(2, 2, lg_frame_format::Rgb);
        let pixels = [0; 12];
        let wrong = [
            lg_frame { width: 0, ..good },
            lg_frame { height: usize::MAX, ..good },
            lg_frame { row_bytes: 5, ..good },
            lg_frame { row_bytes: usize::MAX, ..good },
            lg_frame { format: 4, ..good },
            lg_frame { fit: -1, ..good },
            lg_frame { rotation_degrees: 45, ..good },
        ];
        for frame in wrong {
            assert_eq!(prepare(&frame, &pixels, [3, 2, 2]).unwrap_err().status, lg_status::Argument);
        }
        assert_eq!(prepare(&good, &pixels, [4, 2, 2]).unwrap_err().status, lg_status::Config);
    }
}
