//! Starting weights: spreads, bounds, and that only the stream decides.

mod common;

use common::numbers;
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

#[test]
fn the_stream_decides() {
    let draw = |index| numbers(&normal((4, 5), 2.0, &mut stream(index)).unwrap());
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    let mut twin = stream(3);
    assert_eq!(draw(3), (0..20).map(|_| (twin.normal() * 2.0) as f32).collect::<Vec<_>>());
    let scalar = uniform((), 0.5, &mut stream(5)).unwrap();
    assert_eq!(scalar.rank(), 0);
}
