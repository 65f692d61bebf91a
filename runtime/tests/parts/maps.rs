//! Maps themselves, at every place and only counted: what they answer, and what they share.

use crate::common::{Random, map, numbers, places};
use localgrad::ErrorKind;
use localgrad::maps::counted::Counter;
use localgrad::maps::packed::Packed;
use localgrad::maps::{Map, Place, elementwise};
use localgrad::precision::Precision;
use std::sync::Arc;

fn counted() -> Place {
    Place::Counted(Arc::new(Counter::new(1)))
}

#[test]
fn shapes_change_and_numbers_stay() {
    let x = Random::new(1).numbers(2 * 3 * 4);
    let expected: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    for place in places() {
        let here = map(&x, &[2, 3, 4], &place);
        assert_eq!((here.dims(), here.rank(), here.elem_count()), (&[2, 3, 4][..], 3, 24));
        let flat = here.reshape((2, 12)).unwrap();
        assert_eq!((flat.dims(), numbers(&flat)), (&[2, 12][..], expected.clone()));
        assert!(flat.shares_memory(&here) && !here.copy().unwrap().shares_memory(&here));
        let last = here.samples(1, 1).unwrap();
        assert_eq!((last.dims(), numbers(&last)), (&[1, 3, 4][..], expected[12..].to_vec()));
        let all = Map::cat(&[last, here.clone()]).unwrap();
        assert_eq!((all.dims(), numbers(&all)), (&[3, 3, 4][..], [&expected[12..], &expected].concat()));
        assert!(here.reshape((5, 5)).is_err() && here.samples(1, 2).is_err());
        for other in places() {
            let moved = here.to(&other).unwrap();
            assert_eq!((moved.place().is_host(), numbers(&moved)), (other.is_host(), expected.clone()));
        }
    }
}

#[test]
fn maps_wait_in_16_bits() {
    let x = Random::new(2).numbers(1000);
    for precision in [Precision::F16, Precision::Bf16] {
        let waited = |place: &Place| {
            let packed = Packed::new(&map(&x, &[10, 100], place), precision).unwrap();
            assert_eq!(packed.dims(), [10, 100]);
            let bits = |x: f32| x.to_bits();
            numbers(&packed.unpack().unwrap()).into_iter().map(bits).collect::<Vec<_>>()
        };
        let expected = waited(&Place::Host);
        for place in places() {
            assert_eq!(waited(&place), expected, "{place:?}, {precision:?}");
        }
    }
}

#[test]
fn counted_maps_have_shapes_and_no_numbers() {
    let place = counted();
    let x = place.full(&[2, 3, 4], 1.0).unwrap();
    assert_eq!((x.dims(), x.rank(), x.elem_count(), x.is_bytes()), (&[2, 3, 4][..], 3, 24, false));
    let flat = x.reshape((2, 12)).unwrap();
    assert!(flat.dims() == [2, 12] && flat.shares_memory(&x) && !x.copy().unwrap().shares_memory(&x));
    assert_eq!(Map::cat(&[x.samples(1, 1).unwrap(), x.clone()]).unwrap().dims(), [3, 3, 4]);
    assert_eq!(x.reshape((5, 5)).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(x.samples(1, 2).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(place.full(&[1; 5], 0.0).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(x.numbers().unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(x.to(&Place::Host).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn claims_are_given_back_with_the_last_clone() {
    let counter = Arc::new(Counter::new(1));
    let place = Place::Counted(counter.clone());
    let x = place.full(&[10, 100], 1.0).unwrap();
    let claimed = counter.ledger.live_bytes();
    assert!(claimed >= 4000);
    let (view, clone) = (x.samples(0, 1).unwrap(), x.clone());
    drop((x, clone));
    assert_eq!(counter.ledger.live_bytes(), claimed, "a view keeps the whole");
    drop(view);
    assert_eq!(counter.ledger.live_bytes(), 0);
}

#[test]
fn maps_of_two_places_do_not_meet() {
    let mut here = places();
    here.push(counted());
    for (i, a) in here.iter().enumerate() {
        for (k, b) in here.iter().enumerate() {
            let (a, b) = (a.full(&[2, 3], 1.0).unwrap(), b.full(&[2, 3], 1.0).unwrap());
            for result in [elementwise::add(a.clone(), &b).err(), elementwise::sum_of_products(&a, &b).err()]
            {
                let kind = result.map(|error| error.kind());
                assert_eq!(kind, (i != k).then_some(ErrorKind::Internal), "{a:?} and {b:?}");
            }
        }
    }
}

#[test]
fn one_memory_on_both_sides_is_refused() {
    // It must not deadlock.
    for place in [Place::Host, counted()] {
        let a = place.full(&[2, 3], 0.0).unwrap();
        let view = a.reshape((3, 2)).unwrap().reshape((2, 3)).unwrap();
        assert_eq!(elementwise::add(a, &view).unwrap_err().kind(), ErrorKind::Internal);
    }
}
