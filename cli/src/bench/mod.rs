//! Measuring training steps: their time, their arithmetic, their memory, and what the machine could do at best.
//!
//! A step is that of `train`, on a batch of random images that never changes.

pub mod product;
pub mod resident;
pub mod subject;
pub mod ops;
#[cfg(feature = "emulated")]
pub mod count;

/// The middle value; of an even number, the upper of the two. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The smallest value; infinite of none.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles_and_minima() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), least(&[3.0, 1.0, 2.0])), (2.0, 1.0));
        assert_eq!((median(&[1.0, 2.0]), median(&[])), (2.0, 0.0));
    }
}
