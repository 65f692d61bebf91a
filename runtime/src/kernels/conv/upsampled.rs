//! Convolution of up-sampled images, and its gradients, without the up-sampled map.
//!
//! Up-sampling mixes pixels and a convolution's taps mix channels, so the two change places: the products of every
//! pixel with the weights of all taps are made at the low resolution, and then spread over the pixels of y that they
//! reach. That is also fewer multiplications, by the factor that the area grows by. The gradients gather d_y back to
//! the products of each pixel, from which both are plain matrix products.
//!
//! ```text
//! a few rows of x [row, column, I]                 lanes: O, filled up to whole vectors
//!        │ times the packed weight [I, KH, KW, lanes]
//!        ▼
//! products [row, column, KH, KW, lanes]
//!        │ of one row and one row of the kernel: `spread_columns`        ▲ `gathered_columns`
//!        ▼                                                               │
//! a line [output column, O]
//!        │ added to each row of y that the row reaches: `reached_rows`   ▲ summed from them
//!        ▼                                                               │
//! y [output row, output column, O]                                     d_y
//! ```
//! The gradients go up where the forward pass goes down. Each list of taps says of one place below which places above it is a
//! weighted sum of, or the other way round.

use super::buffer::Buffer;
use super::check_channels;
use super::geometry::Geometry;
use super::scratch::BLOCK;
use super::source::{self, ReadThrough, Strip};
use super::workspace::{Workspace, buffers};
use crate::deal::{each, made_of};
use crate::error::{Error, Result};
use crate::kernels::product::{self, Matrix, product_here, scratch_bytes};
use crate::kernels::resample::Taps;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::unwritten::overwritten;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Sums of the weight gradient that are kept apart, each over some images.
const PARTS: usize = 8;
/// Pixels whose products are in memory together, so that they stay in a level-2 cache.
const BAND_PIXELS: usize = 256;

/// How images are up-sampled: along rows and columns, from the image to the convolution's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Upsampling {
    /// From the image's rows to the input's.
    pub rows: Taps,
    /// The same of columns.
    pub columns: Taps,
}

/// Convolves x `[N, h, w, I]`, up-sampled to the `[N, H, W, I]` of `geometry`, into y `[N, OH, OW, O]`, plus bias `[O]`.
///
/// # Errors
/// Internal when lengths do not fit, and for several groups of channels.
pub fn upsampled_forward(
    isa: Isa,
    geometry: &Geometry,
    upsampling: &Upsampling,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
) -> Result<()> {
    check(geometry, upsampling, x.len(), weight.len(), y.len())?;
    let zeros = vec![0.0; geometry.out_channels];
    let bias = bias.unwrap_or(&zeros);
    if bias.len() != geometry.out_channels {
        return Err(Error::internal(format!("a bias of {} elements for {geometry:?}", bias.len())));
    }
    let plan = UpsampledPlan::new(isa, geometry, upsampling);
    let weight = plan.packed(geometry, weight);
    let scratch = || Room {
        products: Buffer::zeros(plan.band * plan.row_products()),
        line: Buffer::zeros(plan.line_len()),
        product: product::Scratch::default(),
    };
    each(y.chunks_mut(plan.y_len()).zip(x.chunks(plan.x_len())), scratch, |room, (y, x)| {
        for y in y.chunks_exact_mut(bias.len()) {
            y.write_copy_of_slice(bias);
        }
        // SAFETY: every element has been written just now.
        let y = unsafe { overwritten(y) };
        plan.forward(isa, x, &weight, room, y);
    });
    Ok(())
}

/// The gradients with respect to the weight `[O, I, KH, KW]` and to x `[N, h, w, I]`, each if asked for, from
/// d_y `[N, OH, OW, O]`. Writes every element of both.
///
/// # Errors
/// Internal when lengths do not fit, and for several groups of channels.
#[expect(clippy::too_many_arguments, reason = "those of both gradients")]
pub fn upsampled_backward(
    isa: Isa,
    geometry: &Geometry,
    upsampling: &Upsampling,
    x: Option<&[f32]>,
    d_y: ReadThrough<'_>,
    weight: &[f32],
    d_weight: Option<&mut [f32]>,
    d_x: Option<&mut [MaybeUninit<f32>]>,
) -> Result<()> {
    let plan = UpsampledPlan::new(isa, geometry, upsampling);
    let x_len = geometry.images * plan.x_len();
    let lens = [x.map(<[f32]>::len), d_x.as_ref().map(|d_x| d_x.len())];
    let wrong = lens.into_iter().flatten().find(|&len| len != x_len);
    check(geometry, upsampling, wrong.unwrap_or(x_len), weight.len(), d_y.len())?;
    check_channels(d_y, geometry.out_channels)?;
    let images = geometry.images.div_ceil(PARTS.min(geometry.images));
    let parts = geometry.images.div_ceil(images);
    let weight = plan.packed(geometry, weight);
    let d_x_parts: Vec<Option<&mut [MaybeUninit<f32>]>> = match d_x {
        Some(d_x) => d_x.chunks_mut(images * plan.x_len()).map(Some).collect(),
        None => (0..parts).map(|_| None).collect(),
    };
    let x = x.filter(|_| d_weight.is_some());
    let sums: Vec<Buffer> = made_of(d_x_parts.into_iter().enumerate(), |(part, d_x)| {
        let images = part * images..((part + 1) * images).min(geometry.images);
        plan.backward(isa, images, x, d_y, &weight, d_x)
    });
    if let Some(d_weight) = d_weight {
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| Buffer::zeros(weight.len()));
        for part in sums {
            total.iter_mut().zip(part.iter()).for_each(|(total, sum)| *total += sum);
        }
        plan.unpack(geometry, &total, d_weight);
    }
    Ok(())
}

/// The memory of one pass over images of `size` rows and columns.
pub fn upsampled_workspace(isa: Isa, geometry: &Geometry, size: [usize; 2], backward: bool) -> Workspace {
    let lanes = geometry.out_channels.next_multiple_of(isa.lanes());
    let pixel = geometry.taps() * lanes;
    let band = (BAND_PIXELS / size[1]).clamp(1, size[0]);
    let packed = geometry.in_channels * pixel;
    let line = geometry.output[1] * geometry.out_channels + lanes;
    let pixels = band * size[1];
    // Two neighbours for each place, in lists of both directions that may have twice the room they need.
    let places = 2 * (geometry.output[0] + geometry.output[1] * (1 + geometry.out_channels))
        + size[1] * geometry.kernel[1] * 3;
    let taps = 4 * geometry.kernel[1].max(geometry.kernel[0]) * places * size_of::<(usize, f32)>();
    let y = if backward { geometry.output[0] * geometry.output[1] * geometry.out_channels } else { 0 };
    let parts = if backward { PARTS.min(geometry.images) } else { 0 };
    let bytes = |rows, columns, depth| scratch_bytes(isa, rows, columns, depth);
    let channels = geometry.in_channels;
    // Rooms of one kind serve both products of backward, each as large as the larger one of its kind.
    let product = if backward {
        bytes(channels, pixel, pixels) + bytes(pixels, channels, pixel)
    } else {
        bytes(pixels, pixel, channels)
    };
    Workspace {
        call_bytes: taps + packed * size_of::<f32>() + parts * (buffers(&[packed]) + size_of::<Buffer>()),
        worker_bytes: buffers(&[pixels * pixel, line, y]) + product,
    }
}

fn check(
    geometry: &Geometry,
    upsampling: &Upsampling,
    x_len: usize,
    weight_len: usize,
    y_len: usize,
) -> Result<()> {
    geometry.check(geometry.x_len(), weight_len, y_len)?;
    let ((height, rows), (width, columns)) = (upsampling.rows.sizes(), upsampling.columns.sizes());
    let fits = x_len == geometry.images * height * width * geometry.in_channels;
    if geometry.groups == 1 && geometry.input == [rows, columns] && fits {
        return Ok(());
    }
    Err(Error::internal(format!(
        "an up-sampled convolution got {x_len} elements of {height}x{width} pixels for {geometry:?}"
    )))
}

/// What a thread computes images of y with.
struct Room {
    products: Buffer,
    line: Buffer,
    product: product::Scratch,
}

/// Who reaches whom, and how much: the picture above.
struct UpsampledPlan {
    /// Rows and columns of x.
    size: [usize; 2],
    /// Rows and columns of y.
    output: [usize; 2],
    in_channels: usize,
    out_channels: usize,
    kernel: [usize; 2],
    /// Output channels, filled up to whole vectors.
    lanes: usize,
    /// For each row of the kernel, of each row of x: the rows of y that it reaches through that.
    reached_rows: Vec<Taps>,
    /// Of each column of y: where in a row of products, of any row of the kernel, it is summed from.
    spread_columns: Taps,
    /// Of each column of x and each column of the kernel: where in a row of d_y their gradient is summed from.
    gathered_columns: Taps,
    /// Rows of x whose products are in memory together.
    band: usize,
}

impl UpsampledPlan {
    fn new(isa: Isa, geometry: &Geometry, upsampling: &Upsampling) -> Self {
        let (size, kernel) = ([upsampling.rows.sizes().0, upsampling.columns.sizes().0], geometry.kernel);
        let lanes = geometry.out_channels.next_multiple_of(isa.lanes());
        let [rows, columns] = [(0, &upsampling.rows), (1, &upsampling.columns)].map(|(axis, taps)| {
            (0..kernel[axis]).map(|tap| through(taps, geometry, axis, tap)).collect::<Vec<Taps>>()
        });
        let taps = kernel[0] * kernel[1];
        let spread_columns = Taps::new(size[1] * taps * lanes, geometry.output[1], |column| {
            columns.iter().enumerate().flat_map(move |(tap, taps_of)| {
                taps_of.of(column).iter().map(move |&(x, weight)| ((x * taps + tap) * lanes, weight))
            })
        });
        let transposed: Vec<Taps> = columns.iter().map(Taps::transposed).collect();
        let channels = geometry.out_channels;
        let gathered_columns = Taps::new(geometry.output[1] * channels, size[1] * kernel[1], |place| {
            let taps = transposed[place % kernel[1]].of(place / kernel[1]).iter();
            taps.map(move |&(column, weight)| (column * channels, weight))
        });
        Self {
            size,
            output: geometry.output,
            in_channels: geometry.in_channels,
            out_channels: channels,
            kernel,
            lanes,
            reached_rows: rows.iter().map(Taps::transposed).collect(),
            spread_columns,
            gathered_columns,
            band: (BAND_PIXELS / size[1]).clamp(1, size[0]),
        }
    }

    /// Floats of one image of x.
    fn x_len(&self) -> usize {
        self.size[0] * self.size[1] * self.in_channels
    }

    /// Floats of one image of y.
    fn y_len(&self) -> usize {
        self.output[0] * self.output[1] * self.out_channels
    }

    /// Products of one pixel.
    fn pixel_products(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.lanes
    }

    /// Products of one row.
    fn row_products(&self) -> usize {
        self.size[1] * self.pixel_products()
    }

    /// Floats of a row of y, and room for the last vector to stand out.
    fn line_len(&self) -> usize {
        self.output[1] * self.out_channels + self.lanes
    }

    /// The weights as `[I, KH, KW, lanes]`, zero in the lanes that stand for no channel.
    fn packed(&self, geometry: &Geometry, weight: &[f32]) -> Vec<f32> {
        let taps = geometry.taps();
        let mut packed = vec![0.0; self.in_channels * self.pixel_products()];
        for (o, filter) in weight.chunks_exact(self.in_channels * taps).enumerate() {
            for (at, &w) in filter.iter().enumerate() {
                packed[at * self.lanes + o] = w;
            }
        }
        packed
    }

    /// The weights from their packed order.
    fn unpack(&self, geometry: &Geometry, packed: &[f32], weight: &mut [f32]) {
        for (o, filter) in weight.chunks_exact_mut(self.in_channels * geometry.taps()).enumerate() {
            for (at, w) in filter.iter_mut().enumerate() {
                *w = packed[at * self.lanes + o];
            }
        }
    }

    /// Adds the convolution of one image to y, which holds the bias.
    fn forward(&self, isa: Isa, x: &[f32], weight: &[f32], room: &mut Room, y: &mut [f32]) {
        let Room { products, line, product } = room;
        let row_len = self.output[1] * self.out_channels;
        for (band, x) in x.chunks(self.band * self.size[1] * self.in_channels).enumerate() {
            let rows = x.len() / (self.size[1] * self.in_channels);
            let products = &mut products[..rows * self.row_products()];
            let (pixels, weights) =
                (Matrix::new(x, self.in_channels), Matrix::new(weight, self.pixel_products()));
            product_here(isa, products, pixels, weights, false, product);
            for (row, products) in products.chunks_exact(self.row_products()).enumerate() {
                for (tap, reached) in self.reached_rows.iter().enumerate() {
                    let from = &products[tap * self.kernel[1] * self.lanes..];
                    let places = Places { together: self.output[1], step: self.out_channels, next: 0 };
                    isa.run(Sums { from, taps: &self.spread_columns, lanes: self.lanes, places, to: line });
                    for &(target, factor) in reached.of(band * self.band + row) {
                        let y = &mut y[target * row_len..][..row_len];
                        isa.run(AddScaled { x: &line[..row_len], factor, y });
                    }
                }
            }
        }
    }

    /// Writes the gradients of some images to `d_x`, from its start on, and answers the sum of those of the packed
    /// weight, zero without `x`.
    fn backward(
        &self,
        isa: Isa,
        images: Range<usize>,
        x: Option<&[f32]>,
        d_y: ReadThrough<'_>,
        weight: &[f32],
        mut d_x: Option<&mut [MaybeUninit<f32>]>,
    ) -> Buffer {
        let mut sums = Buffer::zeros(if x.is_some() { weight.len() } else { 0 });
        let mut gradient = Buffer::zeros(if matches!(d_y, ReadThrough::Plain(_)) { 0 } else { self.y_len() });
        let mut products = Buffer::zeros(self.band * self.row_products());
        let mut line = Buffer::zeros(self.line_len());
        let mut product = product::Scratch::default();
        let weight = Matrix::new(weight, self.pixel_products()).transposed();
        let first = images.start;
        for image in images {
            let d_y = self.image(isa, d_y.part(image * self.y_len(), self.y_len()), &mut gradient);
            for row in (0..self.size[0]).step_by(self.band) {
                let rows = row..(row + self.band).min(self.size[0]);
                let products = &mut products[..rows.len() * self.row_products()];
                self.gather(isa, rows.clone(), d_y, &mut line, products);
                let row_len = self.size[1] * self.in_channels;
                let (start, len) = (row * row_len, rows.len() * row_len);
                let gathered = Matrix::new(products, self.pixel_products());
                if let Some(x) = x {
                    let x = &x[image * self.x_len() + start..][..len];
                    product_here(
                        isa,
                        &mut sums,
                        Matrix::new(x, self.in_channels).transposed(),
                        gathered,
                        true,
                        &mut product,
                    );
                }
                if let Some(d_x) = &mut d_x {
                    let d_x = &mut d_x[(image - first) * self.x_len() + start..][..len];
                    d_x.fill(MaybeUninit::new(0.0));
                    // SAFETY: every element has been written just now.
                    product_here(isa, unsafe { overwritten(d_x) }, gathered, weight, false, &mut product);
                }
            }
        }
        sums
    }

    /// The gradient of one image of y, made in `scratch` if it is not in memory.
    fn image<'a>(&self, isa: Isa, d_y: ReadThrough<'a>, scratch: &'a mut [f32]) -> &'a [f32] {
        if let ReadThrough::Plain(d_y) = d_y {
            return d_y;
        }
        let channels = self.out_channels;
        for channel in (0..channels).step_by(BLOCK) {
            let len = (channels - channel).min(BLOCK);
            let strip = Strip { channel, len, every: channels, to_every: channels, to_len: len };
            source::copy(isa, d_y.after(channel), strip, &mut scratch[channel..]);
        }
        scratch
    }

    /// The gradients of the products of some rows of x. The lanes that stand for no channel are left with those
    /// of neighbours, which meet zeros in the packed weight.
    fn gather(&self, isa: Isa, rows: Range<usize>, d_y: &[f32], line: &mut [f32], products: &mut [f32]) {
        let row_len = self.output[1] * self.out_channels;
        for (row, products) in rows.zip(products.chunks_exact_mut(self.row_products())) {
            for (tap, reached) in self.reached_rows.iter().enumerate() {
                line.fill(0.0);
                for &(source, factor) in reached.of(row) {
                    let x = &d_y[source * row_len..][..row_len];
                    isa.run(AddScaled { x, factor, y: &mut line[..row_len] });
                }
                let to = &mut products[tap * self.kernel[1] * self.lanes..];
                let places =
                    Places { together: self.kernel[1], step: self.lanes, next: self.pixel_products() };
                isa.run(Sums { from: line, taps: &self.gathered_columns, lanes: self.lanes, places, to });
            }
        }
    }
}

/// The taps of y's rows or columns through one row or column of the kernel; none where it meets the padding.
fn through(taps: &Taps, geometry: &Geometry, axis: usize, tap: usize) -> Taps {
    let (inputs, upsampled) = taps.sizes();
    Taps::new(inputs, geometry.output[axis], |target| {
        let at = target * geometry.stride[axis] + tap * geometry.dilation[axis];
        let at = at.checked_sub(geometry.padding[axis]).filter(|&at| at < upsampled);
        at.map_or(&[][..], |at| taps.of(at)).iter().copied()
    })
}

/// Where sums are written: `step` floats apart, and every `together` of them `next` floats after those before.
#[derive(Clone, Copy)]
struct Places {
    together: usize,
    step: usize,
    next: usize,
}

/// Weighted sums of parts of `from`, `lanes` floats each. A sum may overlap the end of the one before.
struct Sums<'a> {
    from: &'a [f32],
    taps: &'a Taps,
    lanes: usize,
    places: Places,
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, taps, lanes, places, to } = self;
        for sum in 0..taps.sizes().1 {
            let to =
                &mut to[sum / places.together * places.next + sum % places.together * places.step..][..lanes];
            for vector in (0..lanes).step_by(S::LANES) {
                // SAFETY: the CPU has `S`; every part is a slice that holds the vector.
                unsafe {
                    let mut acc = S::zero();
                    for &(at, weight) in taps.of(sum) {
                        let part = &from[at..at + lanes];
                        acc = S::fma(S::splat(weight), S::load(part.as_ptr().add(vector)), acc);
                    }
                    S::store(to.as_mut_ptr().add(vector), acc);
                }
            }
        }
    }
}

/// y += factor * x, of one length.
struct AddScaled<'a> {
    x: &'a [f32],
    factor: f32,
    y: &'a mut [f32],
}

impl Kernel for AddScaled<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, factor, y } = self;
        for (y, &x) in y.iter_mut().zip(x) {
            *y += factor * x;
        }
    }
}
