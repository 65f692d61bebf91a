//! What the emulated device itself sees.

use crate::run::{Case, Run};
use crate::{conv, depthwise, elements, finish, group_norm, loss, norm, unit, update};
use localgrad::device::driver::{Driver, Piece};
use localgrad::device::emulated::{Emulated, barriers};
use localgrad::device::launches::elements::{mean_pool, scaled};
use localgrad::device::table::all::{Class, all};
use localgrad::device::table::body::{Body, Element};
use std::collections::{BTreeSet, HashSet};

fn cases() -> Vec<(&'static str, Case)> {
    let mut cases = conv::CASES.to_vec();
    cases.extend(depthwise::CASES);
    cases.extend(norm::CASES);
    cases.extend(group_norm::CASES);
    cases.extend(elements::CASES);
    cases.extend(loss::CASES);
    cases.extend(update::CASES);
    cases.extend(unit::CASES);
    cases.extend(finish::CASES);
    cases
}

/// Every barrier of the kernels is needed: without it some case fails, and says why.
#[test]
fn a_removed_barrier_is_caught() {
    let device = Emulated { seed: 2, ..Emulated::default() };
    barriers();
    let mut sites: BTreeSet<String> = BTreeSet::new();
    let mut met = vec![];
    for (name, case) in cases() {
        case(&mut Run::new(&device)).unwrap();
        let here = barriers();
        sites.extend(here.iter().cloned());
        met.push((name, case, here));
    }
    assert!(sites.len() >= 10, "only {sites:?}");
    for site in sites {
        let device = Emulated { seed: 2, left_out: site.clone(), ..Emulated::default() };
        let of_site = met.iter().filter(|(_, _, here)| here.contains(&site));
        let caught = of_site.map(|(_, case, _)| case(&mut Run::new(&device))).find_map(Result::err);
        println!("without {site}: {caught:?}");
        assert!(caught.is_some(), "nothing is wrong without the barrier at {site}");
    }
}

#[test]
fn names_are_unlike_and_every_body_is_reached() {
    let classes = [
        Class::Scalar,
        Class::TensorCores { passes: 3 },
        Class::TensorCores { passes: 1 },
        Class::HalfTensorCores,
        Class::Simdgroups,
    ];
    let kernels: HashSet<_> = classes.into_iter().flat_map(all).collect();
    let names: HashSet<_> = kernels.iter().map(|kernel| kernel.name()).collect();
    assert_eq!(names.len(), kernels.len());
    for body in Body::all() {
        assert!(kernels.iter().any(|kernel| kernel.body == body), "{body:?}");
    }
}

#[test]
fn what_a_card_would_leave_undefined_is_an_error() {
    let device = Emulated::default();
    let floats = |len: usize, written: bool| {
        let memory = device.allocate(Element::F32, len).unwrap();
        if written {
            device.upload(&memory, 0, &vec![0; 4 * len]).unwrap();
        }
        memory
    };
    let fault = |x: &_, x_len, y: &_, y_len| {
        let launch = scaled(Body::Scale, 100, 2.0).unwrap();
        let pieces = [
            Some(Piece { memory: x, first: 0, len: x_len }),
            Some(Piece { memory: y, first: 0, len: y_len }),
        ];
        device.launch(&launch, &pieces).err().map(|error| error.to_string())
    };
    let (x, y) = (floats(100, true), floats(100, false));
    assert_eq!(fault(&x, 100, &y, 100), None);
    let short = fault(&x, 99, &floats(100, false), 100).unwrap();
    assert!(short.contains("out of bounds: element 99 of 99"), "{short}");
    let short = fault(&x, 100, &floats(100, false), 96).unwrap();
    assert!(short.contains("out of bounds: element 96 of 96"), "{short}");
    let unwritten = fault(&floats(100, false), 100, &y, 100).unwrap();
    assert!(unwritten.contains("nobody has written"), "{unwritten}");
    let past = fault(&x, 101, &y, 100).unwrap();
    assert!(past.contains("do not fit a block of 100"), "{past}");
}

#[test]
fn blocks_that_write_what_others_read_race() {
    let device = Emulated::default();
    let memory = device.allocate(Element::F32, 4 * 35 * 8).unwrap();
    device.upload(&memory, 0, &[0; 4 * 4 * 35 * 8]).unwrap();
    // The means of four images over the first of them.
    let launch = mean_pool(4, 35, 8).unwrap();
    let pieces = [
        Some(Piece { memory: &memory, first: 0, len: 4 * 35 * 8 }),
        Some(Piece { memory: &memory, first: 0, len: 32 }),
    ];
    let fault = device.launch(&launch, &pieces).unwrap_err().to_string();
    assert!(fault.contains("race"), "{fault}");
}

#[test]
fn a_launch_that_does_not_fit_its_kernel_is_refused() {
    let device = Emulated::default();
    let bytes = device.allocate(Element::U8, 8).unwrap();
    let launch = scaled(Body::Scale, 8, 2.0).unwrap();
    let piece = || Some(Piece { memory: &bytes, first: 0, len: 8 });
    let fault = device.launch(&launch, &[piece(), piece()]).unwrap_err().to_string();
    assert!(fault.contains("x of scale is no U8"), "{fault}");
    let fault = device.launch(&launch, &[piece()]).unwrap_err().to_string();
    assert!(fault.contains("scale has 2 slots, not 1"), "{fault}");
}
