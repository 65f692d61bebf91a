//! Class weights that make every class count the same.

use super::Dataset;
use crate::error::Result;

/// Of each class what its samples must count so that all classes that occur count the same together, and a sample 1 on
/// average: N / (K·n) for n of N samples and K classes that occur. One that does not occur has weight 1.
///
/// # Errors
/// Those of reading labels.
pub fn balanced_class_weights(dataset: &dyn Dataset) -> Result<Vec<f32>> {
    let mut counts = vec![0usize; dataset.classes()];
    for index in 0..dataset.len() {
        if let Some(count) = counts.get_mut(dataset.label(index)? as usize) {
            *count += 1;
        }
    }
    let occurring = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 1.0,
        count => (dataset.len() as f64 / (occurring as f64 * count as f64)) as f32,
    };
    Ok(counts.iter().map(weight).collect())
}
