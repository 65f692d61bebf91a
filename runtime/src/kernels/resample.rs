//! Weighted sums of pixels with weights that factor into rows and columns: average pools, bilinear
//! up-sampling, strided slices, and the gradients of them all (which are the transposed sums).

use crate::deal::each;

/// For each output position along one axis, the input positions it sums and their weights: a sparse matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    inputs: usize,
    /// Where the taps of each output start, and their number at the end.
    starts: Vec<usize>,
    taps: Vec<(usize, f32)>,
}

impl Taps {
    /// The taps that `of` names for each of the `outputs`; each input position must be below `inputs`.
    pub fn new<I: IntoIterator<Item = (usize, f32)>>(
        inputs: usize,
        outputs: usize,
        of: impl Fn(usize) -> I,
    ) -> Self {
        let mut starts = Vec::with_capacity(outputs + 1);
        starts.push(0);
        let mut taps = Vec::new();
        for output in 0..outputs {
            taps.extend(of(output).into_iter().filter(|&(input, _)| input < inputs));
            starts.push(taps.len());
        }
        Self { inputs, starts, taps }
    }

    /// The sizes of the input and of the output.
    pub fn sizes(&self) -> (usize, usize) {
        (self.inputs, self.starts.len() - 1)
    }

    /// The taps of one output position.
    pub fn of(&self, output: usize) -> &[(usize, f32)] {
        &self.taps[self.starts[output]..self.starts[output + 1]]
    }

    /// The taps of the gradient: inputs and outputs exchanged.
    pub fn transposed(&self) -> Self {
        let (inputs, outputs) = self.sizes();
        // Where the next tap of each input goes: at first where the taps of the one before it begin, at last where its own end.
        let mut starts = vec![0; inputs + 1];
        self.taps
            .iter()
            .filter(|&&(input, _)| input + 2 <= inputs)
            .for_each(|&(input, _)| starts[input + 2] += 1);
        (1..=inputs).for_each(|input| starts[input] += starts[input - 1]);
        let mut taps = vec![(0, 0.0); self.taps.len()];
        for output in 0..outputs {
            for &(input, weight) in self.of(output) {
                taps[starts[input + 1]] = (output, weight);
                starts[input + 1] += 1;
            }
        }
        Self { inputs: outputs, starts, taps }
    }

    /// The same as a row-major matrix, `[outputs, inputs]`.
    pub fn matrix(&self) -> Vec<f32> {
        let (inputs, outputs) = self.sizes();
        let mut matrix = vec![0.0; outputs * inputs];
        for (output, row) in matrix.chunks_exact_mut(inputs.max(1)).enumerate() {
            for &(input, weight) in self.of(output) {
                row[input] += weight;
            }
        }
        matrix
    }
}

/// `x: [N, rows in, columns in, channels]` -> `[N, rows out, columns out, channels]`.
///
/// Each row of the output first sums whole rows of the input into one line, then pixels of that line.
pub fn resample(x: &[f32], channels: usize, rows: &Taps, columns: &Taps) -> Vec<f32> {
    let ((height, out_height), (width, out_width)) = (rows.sizes(), columns.sizes());
    let (line_len, out_len) = (width * channels, out_width * channels);
    let images = x.len() / (height * line_len);
    let mut y = vec![0.0; images * out_height * out_len];
    let line = || vec![0.0; line_len];
    each(y.chunks_mut(out_len).enumerate(), line, |line, (row, y)| {
        let x = &x[row / out_height * height * line_len..][..height * line_len];
        weighted_sum(line, x, rows.of(row % out_height));
        for (column, y) in y.chunks_exact_mut(channels).enumerate() {
            weighted_sum(y, line, columns.of(column));
        }
    });
    y
}

/// The sum of parts of `x`, each as long as `y`.
fn weighted_sum(y: &mut [f32], x: &[f32], taps: &[(usize, f32)]) {
    let len = y.len();
    let Some((&(first, weight), others)) = taps.split_first() else {
        y.fill(0.0);
        return;
    };
    for (y, &x) in y.iter_mut().zip(&x[first * len..][..len]) {
        *y = weight * x;
    }
    for &(part, weight) in others {
        for (y, &x) in y.iter_mut().zip(&x[part * len..][..len]) {
            *y += weight * x;
        }
    }
}
