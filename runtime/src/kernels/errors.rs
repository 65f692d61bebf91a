//! Losses of errors, outputs minus targets: squared and Huber's.

/// Mean of squared errors, and its gradient with respect to the outputs. Both slices are of one length, not 0.
pub fn squared_error(outputs: &[f32], targets: &[f32]) -> (f64, Vec<f32>) {
    mean_of(outputs, targets, |error| (error * error, 2.0 * error))
}

/// Mean of ½·e² for errors e up to `delta`, and delta·(|e| - ½·delta) beyond, and its gradient.
pub fn huber(outputs: &[f32], targets: &[f32], delta: f64) -> (f64, Vec<f32>) {
    mean_of(outputs, targets, |error| match error.abs() <= delta {
        true => (0.5 * error * error, error),
        false => (delta * (error.abs() - 0.5 * delta), delta * error.signum()),
    })
}

/// The sum of absolute errors, and that of squared ones.
pub fn sums(outputs: &[f32], targets: &[f32]) -> [f64; 2] {
    let errors = outputs.iter().zip(targets).map(|(&output, &target)| f64::from(output) - f64::from(target));
    errors.fold([0.0; 2], |[absolute, squared], error| [absolute + error.abs(), squared + error * error])
}

/// `of` gives the loss of an error and its slope.
fn mean_of(outputs: &[f32], targets: &[f32], of: impl Fn(f64) -> (f64, f64)) -> (f64, Vec<f32>) {
    let count = outputs.len() as f64;
    let mut sum = 0.0;
    let slopes = outputs.iter().zip(targets).map(|(&output, &target)| {
        let (loss, slope) = of(f64::from(output) - f64::from(target));
        sum += loss;
        (slope / count) as f32
    });
    let d_outputs = slopes.collect();
    (sum / count, d_outputs)
}
