//! Curves before they are drawn: thinned to what a screen can show, smoothed, cut at what is not a number.

/// The most points a drawn curve has.
pub(crate) const POINT_LIMIT: usize = 600;

/// A point: x, y.
pub(crate) type Point = (f64, f64);

/// At most `limit` of the points, in order: the first, the last, and the lowest and highest of each stretch
/// between, so that no spike is lost. A stretch without any finite y keeps one point, and so a gap.
pub(crate) fn thin(points: &[Point], limit: usize) -> Vec<Point> {
    let limit = limit.max(4);
    let ([first, inner @ .., last], true) = (points, points.len() > limit) else {
        return points.to_vec();
    };
    let stretch = inner.len().div_ceil((limit - 2) / 2);
    let mut thinned = vec![*first];
    for part in inner.chunks(stretch) {
        let finite = part.iter().enumerate().filter(|(_, (_, y))| y.is_finite());
        let lowest = finite.clone().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let highest = finite.max_by(|a, b| a.1.1.total_cmp(&b.1.1));
        let (Some((low, _)), Some((high, _))) = (lowest, highest) else {
            thinned.extend(part.first());
            continue;
        };
        thinned.push(part[low.min(high)]);
        if low != high {
            thinned.push(part[low.max(high)]);
        }
    }
    thinned.push(*last);
    thinned
}

/// How many points `smooth` averages over: a fiftieth of the curve.
pub(crate) fn smoothing_window(length: usize) -> usize {
    (length / 50).max(1)
}

/// The exponential moving average of y over about `window` points, without the pull towards zero at its start
/// (the correction of Kingma and Ba 2015, section 3). A y that is not finite stays, and the average goes on
/// after it.
pub(crate) fn smooth(points: &[Point], window: usize) -> Vec<Point> {
    let decay = 1.0 - 2.0 / (window as f64 + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |&(x, y): &Point| {
        if !y.is_finite() {
            return (x, f64::NAN);
        }
        sum = decay * sum + (1.0 - decay) * y;
        weight = decay * weight + (1.0 - decay);
        (x, sum / weight)
    };
    points.iter().map(average).collect()
}

/// The curve as steps: each y holds until the next x.
pub(crate) fn stairs(points: &[Point]) -> Vec<Point> {
    let mut stairs = Vec::with_capacity(points.len() * 2);
    let mut before = None;
    for &(x, y) in points {
        stairs.extend(before.map(|held| (x, held)));
        stairs.push((x, y));
        before = Some(y);
    }
    stairs
}

/// The pieces of a curve between points that are not finite.
pub(crate) fn pieces(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.split(|(x, y)| !x.is_finite() || !y.is_finite()).filter(|piece| !piece.is_empty())
}

/// The lowest and highest finite value, if there is any.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(length: usize) -> Vec<Point> {
        (0..length).map(|i| (i as f64, (i as f64 * 1.7).sin())).collect()
    }

    #[test]
    fn a_short_curve_is_left_alone() {
        assert_eq!(thin(&noisy(POINT_LIMIT), POINT_LIMIT), noisy(POINT_LIMIT));
        assert!(thin(&[], POINT_LIMIT).is_empty());
        assert_eq!(thin(&noisy(1), POINT_LIMIT), noisy(1));
    }

    #[test]
    fn a_long_curve_keeps_its_ends_its_spikes_and_its_order() {
        for length in [601, 602, 899, 1200, 1201, 5000, 99_999] {
            let mut points = noisy(length);
            points[length / 3].1 = 50.0;
            points[length / 2].1 = -40.0;
            let thinned = thin(&points, POINT_LIMIT);
            assert!(thinned.len() <= POINT_LIMIT, "{length}: {}", thinned.len());
            assert!(thinned.len() >= POINT_LIMIT / 3, "{length}: {}", thinned.len());
            assert_eq!((thinned[0], thinned[thinned.len() - 1]), (points[0], points[length - 1]));
            assert!(thinned.contains(&points[length / 3]) && thinned.contains(&points[length / 2]));
            assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn a_long_gap_stays_a_gap() {
        let mut points = noisy(6000);
        points[2000..3000].fill((2500.0, f64::NAN));
        let thinned = thin(&points, POINT_LIMIT);
        assert!(thinned.len() <= POINT_LIMIT);
        assert_eq!(pieces(&thinned).count(), 2);
    }

    #[test]
    fn smoothing_keeps_a_constant_and_calms_noise() {
        let constant: Vec<Point> = (0..100).map(|i| (i as f64, 3.0)).collect();
        assert!(smooth(&constant, 20).iter().all(|(_, y)| (y - 3.0).abs() < 1e-12));
        let (low, high) = range(smooth(&noisy(1000), 20)[500..].iter().map(|p| p.1)).unwrap();
        assert!(high - low < 0.5, "{low} to {high}");
        assert_eq!(smooth(&noisy(50), 1), noisy(50));
    }

    #[test]
    fn smoothing_goes_on_after_a_gap() {
        let smoothed = smooth(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0)], 3);
        assert!(smoothed[1].1.is_nan());
        assert_eq!((smoothed[0].1, smoothed[2].1), (1.0, 1.0));
    }

    #[test]
    fn stairs_hold_each_value_until_the_next() {
        assert_eq!(stairs(&[(0.0, 5.0), (2.0, 7.0)]), [(0.0, 5.0), (2.0, 5.0), (2.0, 7.0)]);
        assert!(stairs(&[]).is_empty());
    }

    #[test]
    fn range_ignores_what_is_not_finite() {
        assert_eq!(range([f64::NAN, 2.0, f64::INFINITY, -1.0].into_iter()), Some((-1.0, 2.0)));
        assert_eq!(range([f64::NAN].into_iter()), None);
    }
}
