//! How deep layers may lie in layers when a spec is read, so that no file can exhaust the stack.

use super::spec::NamedLayer;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::cell::Cell;

/// Residuals within residuals; known networks have one level.
const MAX_DEPTH: usize = 16;

thread_local! {
    // Serde hands no context down, so the depth of the value being read is kept beside it.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Level;

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Reads the layers of a branch.
pub(super) fn layers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NamedLayer>, D::Error> {
    let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
    let _level = Level;
    if depth >= MAX_DEPTH {
        return Err(D::Error::custom(format!("layers lie more than {MAX_DEPTH} deep in layers")));
    }
    Vec::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::super::spec::{LayerSpec, ShortcutSpec, unnamed};
    use super::*;

    fn nested(depth: usize) -> NamedLayer {
        (0..depth).fold(unnamed(LayerSpec::Flatten), |inner, level| {
            let shortcut = match level % 2 {
                0 => ShortcutSpec::Identity,
                _ => ShortcutSpec::Projection(vec![]),
            };
            unnamed(LayerSpec::Residual { main: vec![inner], shortcut, activation: None })
        })
    }

    #[test]
    fn depth_is_bounded_in_both_formats_and_forgotten_after_an_error() {
        for _ in 0..2 {
            for (depth, fits) in
                [(0, true), (1, true), (MAX_DEPTH, true), (MAX_DEPTH + 1, false), (60, false)]
            {
                let layer = nested(depth);
                let bytes = postcard::to_stdvec(&layer).unwrap();
                let found = postcard::from_bytes::<NamedLayer>(&bytes);
                assert_eq!(found.as_ref().ok() == Some(&layer), fits, "{depth} in postcard");
                let text = serde_json::to_string(&layer).unwrap();
                let found = serde_json::from_str::<NamedLayer>(&text);
                assert_eq!(found.as_ref().ok() == Some(&layer), fits, "{depth} in JSON");
            }
        }
    }
}
