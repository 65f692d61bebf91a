//! Starting weights: spreads, bounds, and that only the stream decides.

use crate::common::{numbers, with_threads};
use localgrad::initial::{convolution_weight, linear_bias, linear_weight, normal, uniform};
use localgrad::random::Stream;

fn stream(index: u64) -> Stream {
    Stream::new(11, "init", &[index])
}

fn mean_and_deviation(x: &[f32]) -> (f64, f64) {
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / x.len() as f64;
    (mean, variance.sqrt())
}

#[test]
fn convolutions_spread_by_their_fan_out() {
    let weight = convolution_weight([64, 16, 3, 3], &mut stream(0)).unwrap();
    assert_eq!(weight.dims(), [64, 16, 3, 3]);
    let expected = (2.0f64 / (3.0 * 3.0 * 64.0)).sqrt();
    let (mean, deviation) = mean_and_deviation(&numbers(&weight));
    // 9216 numbers: five deviations of the estimates.
    assert!(mean.abs() < 5.0 * expected / 96.0, "mean {mean}");
    assert!((deviation / expected - 1.0).abs() < 5.0 / (2.0f64 * 9216.0).sqrt(), "deviation {deviation}");
}

#[test]
fn linear_layers_fill_their_bound() {
    let (weight, bias) =
        (linear_weight(100, 64, &mut stream(1)).unwrap(), linear_bias(2000, 64, &mut stream(2)).unwrap());
    assert_eq!((weight.dims(), bias.dims()), ([100, 64].as_slice(), [2000].as_slice()));
    for x in [numbers(&weight), numbers(&bias)] {
        let largest = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(largest <= 0.125 && largest > 0.124, "largest {largest}");
        let (mean, deviation) = mean_and_deviation(&x);
        assert!(mean.abs() < 0.01 && (deviation - 0.125 / 3f64.sqrt()).abs() < 0.004, "{mean} {deviation}");
    }
}

/// However a tensor is cut into tasks, it holds the stream's numbers one after the other.
#[test]
fn the_stream_decides() {
    let (mut filling, mut twin) = (stream(3), stream(3));
    let drawn = numbers(&with_threads(3, || normal(&[4, 5000], 2.0, &mut filling).unwrap()));
    assert_eq!(drawn, (0..20_000).map(|_| (twin.normal() * 2.0) as f32).collect::<Vec<_>>());
    let drawn = numbers(&with_threads(2, || uniform(&[20_000], 0.5, &mut filling).unwrap()));
    assert_eq!(
        drawn,
        (0..20_000).map(|_| ((2.0 * twin.uniform_f64() - 1.0) * 0.5) as f32).collect::<Vec<_>>()
    );
    assert_eq!(filling.next_u64(), twin.next_u64());
    assert_eq!(uniform(&[], 0.5, &mut filling).unwrap().rank(), 0);
}
