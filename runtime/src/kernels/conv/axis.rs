//! One axis of a pass that gathers: which source lines the taps of each target line read.

use super::gather::Direction;
use super::geometry::Geometry;
use super::scratch::Window;

/// One axis of a convolution (targets are outputs) or of its input gradient (targets are inputs).
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Target lines.
    pub(super) targets: usize,
    /// Bands of target lines start at multiples of this.
    pub(super) multiple: usize,
    /// Target lines that read alike.
    pub(super) phases: Vec<Phase>,
    origin: Origin,
    lines: Lines,
}

/// Target lines `first, first + every, …`, whose taps read the scratch alike, `advance` lines further each.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) first: usize,
    pub(super) every: usize,
    pub(super) advance: usize,
    /// Kernel line, and the scratch line that it reads for the first target line of a band.
    pub(super) taps: Vec<(usize, usize)>,
}

/// First source line of the band that starts at target line t: `t * times / per + shift`.
#[derive(Clone, Copy, Debug)]
struct Origin {
    times: usize,
    per: usize,
    shift: isize,
    step: usize,
}

/// Scratch lines of a band of n target lines: `((n - 1) * times + plus) / per + 1`.
#[derive(Clone, Copy, Debug)]
struct Lines {
    times: usize,
    per: usize,
    plus: usize,
}

/// Kernel lines, stride, padding and dilation of one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spacing {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl Spacing {
    /// Lines from the first tap to the last.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }
}

impl Axis {
    /// Axis `i` of a pass of `g`.
    pub(super) fn of(g: &Geometry, direction: Direction, i: usize) -> Self {
        let spacing = Spacing {
            kernel: g.kernel[i],
            stride: g.stride[i],
            padding: g.padding[i],
            dilation: g.dilation[i],
        };
        match direction {
            Direction::Forward => Self::forward(spacing, g.output[i]),
            Direction::Backward => Self::backward(spacing, g.input[i]),
        }
    }

    /// The forward pass: output line o reads input line `o * stride - padding + k * dilation`.
    fn forward(spacing: Spacing, outputs: usize) -> Self {
        // A kernel of one line skips what the stride skips, so those lines are not copied.
        let (step, advance) = if spacing.kernel == 1 { (spacing.stride, 1) } else { (1, spacing.stride) };
        let taps = (0..spacing.kernel).map(|k| (k, k * spacing.dilation)).collect();
        Self {
            targets: outputs,
            multiple: 1,
            phases: vec![Phase { first: 0, every: 1, advance, taps }],
            origin: Origin { times: spacing.stride, per: 1, shift: -(spacing.padding as isize), step },
            lines: Lines { times: advance, per: 1, plus: spacing.reach() },
        }
    }

    /// The input gradient: input line i reads output line `(i + padding - k * dilation) / stride` where that is
    /// whole. Which taps are whole depends on the remainder of i: one phase each.
    fn backward(spacing: Spacing, inputs: usize) -> Self {
        let Spacing { kernel, stride, padding, dilation } = spacing;
        let shift = (padding as isize - spacing.reach() as isize).div_euclid(stride as isize);
        let phase = |first: usize| {
            let reads = |k: usize| {
                let at = (first + padding) as isize - (k * dilation) as isize;
                (at.rem_euclid(stride as isize) == 0)
                    .then(|| (k, (at.div_euclid(stride as isize) - shift) as usize))
            };
            // Ascending lines, so that neighbouring taps can be read as one run.
            let taps = (0..kernel).rev().filter_map(reads).collect();
            Phase { first, every: stride, advance: 1, taps }
        };
        Self {
            targets: inputs,
            multiple: stride,
            phases: (0..stride.min(inputs)).map(phase).collect(),
            origin: Origin { times: 1, per: stride, shift, step: 1 },
            // The last input line reads up to output line (n - 1 + padding) / stride.
            lines: Lines {
                times: 1,
                per: stride,
                plus: (padding as isize - shift * stride as isize) as usize,
            },
        }
    }

    /// The source lines that a band of `len > 0` target lines from `start` on reads.
    pub(super) fn window(&self, start: usize, len: usize) -> Window {
        let Origin { times, per, shift, step } = self.origin;
        Window { origin: (start * times / per) as isize + shift, step, len: self.lines(len) }
    }

    /// Scratch lines of a band of `len > 0` target lines.
    pub(super) fn lines(&self, len: usize) -> usize {
        ((len - 1) * self.lines.times + self.lines.plus) / self.lines.per + 1
    }
}

impl Phase {
    /// Target lines of this phase in a band of `len` lines.
    pub(super) fn count(&self, len: usize) -> usize {
        len.saturating_sub(self.first).div_ceil(self.every)
    }
}
