//! What kernels are told: the structs of `kernels/*.h`, word for word. The host makes them from shapes.

/// Division of numbers below 2^31 by one that is known: the high word of a product, shifted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Divisor {
    by: u32,
    magic: u32,
    shift: u32,
}

impl Divisor {
    /// By `by`, which is not 0.
    pub fn new(by: u32) -> Self {
        if by <= 1 {
            return Self { by: 1, magic: 0, shift: 0 };
        }
        // Granlund and Montgomery, "Division by invariant integers using multiplication", 1994: with 2^bits at least `by`,
        // 2^(31 + bits) / by rounded up has an error too small for numbers of 31 bits.
        let bits = 32 - (by - 1).leading_zeros();
        let magic = (1u64 << (31 + bits)).div_ceil(u64::from(by));
        Self { by, magic: magic as u32, shift: bits - 1 }
    }

    /// `number` divided, as a kernel does it.
    pub fn quotient(self, number: u32) -> u32 {
        if self.by == 1 {
            return number;
        }
        ((u64::from(number) * u64::from(self.magic)) >> 32) as u32 >> self.shift
    }
}

/// A convolution; see `conv.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `conv.h`.
pub struct Conv {
    pub images: u32,
    pub input: [u32; 2],
    pub output: [u32; 2],
    pub channels: [u32; 2],
    pub groups: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
    pub dilation: [u32; 2],
    pub flags: u32,
    pub small: [u32; 2],
    pub pixels_a_split: u32,
    pub tiles: u32,
    pub column_tiles: u32,
    pub bounds: [f32; 2],
    pub norm_bounds: [f32; 2],
    pub epsilon: f32,
    pub by_channels: Divisor,
    pub by_image: Divisor,
    pub by_row: Divisor,
}

/// A norm over a map; see `norm.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `norm.h`.
pub struct Norm {
    pub rows: u32,
    pub channels: u32,
    pub tiles: u32,
    pub tile_rows: u32,
    pub elements: u32,
    pub flags: u32,
    pub kind: u32,
    pub epsilon: f32,
    pub bounds: [f32; 2],
    pub slope: f32,
}

/// An operation on each element alone; see `elementwise.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `elementwise.h`.
pub struct Elements {
    pub elements: u32,
    pub kind: u32,
    pub factor: f32,
    pub seed: [u32; 2],
    pub first: [u32; 2],
    pub threshold: u32,
    pub delta: f32,
}

/// Axes the other way round; see `reorder.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `reorder.h`.
pub struct Axes {
    pub elements: u32,
    pub outer: u32,
    pub middle: u32,
    pub inner: u32,
}

/// A norm of each sample by itself; see `group_norm.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `group_norm.h`.
pub struct Groups {
    pub elements: u32,
    pub rows: u32,
    pub channels: u32,
    pub width: u32,
    pub epsilon: f32,
}

/// Channels put elsewhere; see `reorder.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `reorder.h`.
pub struct Channels {
    pub elements: u32,
    pub count: u32,
    pub from_channels: u32,
    pub from: u32,
    pub to_channels: u32,
    pub to: u32,
}

/// A pool or a subsampling; see `pool.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `pool.h`.
pub struct Pool {
    pub elements: u32,
    pub input: [u32; 2],
    pub output: [u32; 2],
    pub channels: u32,
    pub out_channels: u32,
    pub before: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub padding: [u32; 2],
}

/// Weighted sums of pixels; see `resample.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `resample.h`.
pub struct Resample {
    pub elements: u32,
    pub channels: u32,
    pub input: [u32; 2],
    pub output: [u32; 2],
    pub columns_at: u32,
    pub taps_at: u32,
}

/// A loss of rows of logits; see `loss.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `loss.h`.
pub struct Loss {
    pub rows: u32,
    pub classes: u32,
    pub weighted: u32,
    pub smoothing: f32,
    pub total: f32,
    pub weight_sum: f32,
}

/// Similarities of samples; see `similarity.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `similarity.h`.
pub struct Similarity {
    pub samples: u32,
    pub channels: u32,
    pub positions: u32,
    pub same: f32,
    pub different: f32,
}

/// An update of many parameters; see `optimizer.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)] // Each is the field of its name in `optimizer.h`.
pub struct Update {
    pub parameters: u32,
    pub flags: u32,
    pub rate: f32,
    pub momentum: f32,
    pub keep: f32,
    pub decay_keep: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub new1: f32,
    pub new2: f32,
    pub root_correction: f32,
    pub epsilon: f32,
}

/// Arguments of a kernel.
///
/// # Safety
/// The type is `repr(C)` and made of `u32` and `f32` alone, so that it is words without gaps.
pub unsafe trait Arguments: Copy {
    /// The struct of the kernels' language.
    const NAME: &'static str;
}

// SAFETY: words, as above.
unsafe impl Arguments for Conv {
    const NAME: &'static str = "Conv";
}
// SAFETY: words, as above.
unsafe impl Arguments for Norm {
    const NAME: &'static str = "Norm";
}
// SAFETY: words, as above.
unsafe impl Arguments for Elements {
    const NAME: &'static str = "Elements";
}
// SAFETY: words, as above.
unsafe impl Arguments for Axes {
    const NAME: &'static str = "Axes";
}
// SAFETY: words, as above.
unsafe impl Arguments for Groups {
    const NAME: &'static str = "Groups";
}
// SAFETY: words, as above.
unsafe impl Arguments for Channels {
    const NAME: &'static str = "Channels";
}
// SAFETY: words, as above.
unsafe impl Arguments for Pool {
    const NAME: &'static str = "Pool";
}
// SAFETY: words, as above.
unsafe impl Arguments for Resample {
    const NAME: &'static str = "Resample";
}
// SAFETY: words, as above.
unsafe impl Arguments for Loss {
    const NAME: &'static str = "Loss";
}
// SAFETY: words, as above.
unsafe impl Arguments for Similarity {
    const NAME: &'static str = "Similarity";
}
// SAFETY: words, as above.
unsafe impl Arguments for Update {
    const NAME: &'static str = "Update";
}

/// The words of `arguments`, as a launch carries them.
pub fn words<T: Arguments>(arguments: &T) -> Vec<u32> {
    let len = size_of::<T>() / size_of::<u32>();
    // SAFETY: an `Arguments` is words without gaps, and a word has no invalid value.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(arguments).cast::<u32>(), len) }.to_vec()
}
