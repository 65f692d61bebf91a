//! Networks of the catalogue beside those of torchvision and timm: with the same weights they give the same logits.
#![allow(clippy::unwrap_used)]

mod filled;

use localgrad_models::MODELS;

/// Written by `python3 tests/torch/zoo.py logits`, where PyTorch is.
#[test]
fn logits_are_torchvisions_and_timms() {
    let known = filled::known();
    assert!(known.len() > 20, "{} networks are known", known.len());
    let mut wrong = Vec::new();
    for (name, known) in &known {
        assert!(name.starts_with("timm/") || MODELS.contains(&name.as_str()), "{name}");
        let found = filled::difference(known);
        if found.is_nan() || found >= 1e-4 {
            wrong.push(format!("the logits of {name} differ from those of {} by {found}", known.source));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
