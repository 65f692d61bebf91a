//! Checks of losses, whose gradients are far smaller than 1.
#![allow(unreachable_pub)] // a test binary is no library

use crate::common::numbers;
use localgrad::maps::Map;

/// Panics unless `actual` is within 1e-5 of `expected`, relative to its size (or 1).
pub fn assert_value(what: &str, actual: f64, expected: f64) {
    let error = (actual - expected).abs() / expected.abs().max(1.0);
    assert!(error <= 1e-5, "{what}: {actual}, expected {expected} (relative error {error:.1e})");
}

/// Panics unless every element is within 1e-4 of the expected one, relative to the largest (or `floor`).
pub fn assert_gradient(what: &str, actual: &Map, expected: &[f64], floor: f64) {
    let actual = numbers(actual);
    assert_eq!(actual.len(), expected.len(), "{what}: number of elements");
    let scale = expected.iter().fold(floor, |m, v| m.max(v.abs()));
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs() / scale;
        assert!(error <= 1e-4, "{what}: element {i} is {a}, expected {e} (relative error {error:.1e})");
    }
}
