//! Networks of the catalogue beside those of torchvision and timm, or our own in PyTorch: with the same weights they give the
//! same logits.
#![allow(clippy::unwrap_used)]

mod filled;

use localgrad_models::MODELS;
use std::sync::Mutex;

/// Written by `python3 tests/torch/zoo.py logits`, where PyTorch is.
#[test]
fn logits_are_those_of_pytorch() {
    let known = filled::known();
    assert!(known.len() > MODELS.len(), "{} networks are known", known.len());
    for name in MODELS {
        assert!(known.contains_key(*name), "{name} is compared with nothing");
    }
    let (left, wrong) = (Mutex::new(known.iter()), Mutex::new(Vec::new()));
    let compare = || {
        // One at a time is taken; each takes the time of making up its weights.
        let next = || left.lock().unwrap().next();
        while let Some((name, known)) = next() {
            let found = filled::difference(known);
            if found.is_nan() || found >= 1e-4 {
                let words = format!("the logits of {name} differ from those of {} by {found}", known.source);
                wrong.lock().unwrap().push(words);
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(compare))));
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
