//! The kernels of the convolution allocate no more than their workspace says.
#![allow(clippy::unwrap_used)] // the helpers of tests may fail as tests do

mod common;
#[path = "common/counting.rs"]
mod counting;

use counting::{NOW, PEAK};
use localgrad::kernels::batch_norm::{Gradient, Normalization};
use localgrad::kernels::conv::{self as kernels, Algorithm, Geometry, Given, PassKind, Path, ReadThrough};
use localgrad::kernels::simd::Isa;
use localgrad::kernels::unwritten::unwritten;
use std::sync::atomic::Ordering::SeqCst;

/// Lists of a pass that no buffer holds, such as those of its units.
const SLACK: usize = 32 << 10;

/// The most that `f` had allocated at a time.
fn peak(f: impl FnOnce()) -> usize {
    let before = NOW.load(SeqCst);
    PEAK.store(before, SeqCst);
    f();
    PEAK.load(SeqCst) - before
}

fn geometry(images: usize, size: usize, channels: [usize; 2], kernel: usize, groups: usize) -> Geometry {
    Geometry {
        images,
        input: [size; 2],
        output: [size; 2],
        in_channels: channels[0],
        out_channels: channels[1],
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [kernel / 2; 2],
        dilation: [1; 2],
        groups,
    }
}

fn hold_to_workspace(path: Path, g: &Geometry, threads: usize) {
    let (x, weight, y) = (vec![1.0; g.x_len()], vec![1.0; g.weight_len()], vec![1.0; g.y_len()]);
    let (mut d_x, mut d_weight, mut out) = (x.clone(), weight.clone(), y.clone());
    let norm = |channels: usize| {
        let ones = vec![1.0; channels];
        Normalization::new(&ones, &ones, &ones, &ones, 1e-5, None)
    };
    let by = norm(g.in_channels);
    let gradient = Gradient::new(&norm(g.out_channels), None, y.len() / g.out_channels);
    let is_apart = kernels::apart_applies(path, g);
    let joint = (is_apart || kernels::joint_applies(path, g)).then_some(PassKind::Joint);
    for pass in [PassKind::Forward, PassKind::DInput, PassKind::DWeight].into_iter().chain(joint) {
        let allowed = kernels::workspace(path, g, pass).bytes(threads);
        let mut run = || match pass {
            PassKind::Forward => kernels::forward(path, g, &x, &weight, None, unwritten(&mut out)).unwrap(),
            PassKind::DInput => kernels::d_input(path, g, &y, &weight, unwritten(&mut d_x)).unwrap(),
            PassKind::DWeight => kernels::d_weight(path, g, &x, &y, unwritten(&mut d_weight)).unwrap(),
            PassKind::Joint => {
                let x = Some(ReadThrough::Normalized(&x, &by));
                let given = Given { x, d: &y, by: &gradient, weight: &weight, beside: None };
                if is_apart {
                    let room = unwritten(&mut d_x);
                    kernels::backward_apart(path, g, given, &out, room, Some(&mut d_weight)).unwrap();
                } else {
                    kernels::backward(path, g, given, &mut out, Some(&mut d_weight)).unwrap();
                }
            }
        };
        // Once to let the pool allocate what it keeps.
        run();
        let used = peak(run);
        assert!(used <= allowed + SLACK, "{pass:?} of {g:?} by {path:?}: {used} bytes, not {allowed}");
        assert!(allowed <= 2 * used + threads * (512 << 10), "{pass:?} of {g:?}: {allowed} for {used} bytes");
    }
}

#[test]
fn workspace_is_what_the_kernels_allocate() {
    let shapes = [
        geometry(16, 16, [32, 32], 3, 1),
        geometry(4, 28, [64, 64], 3, 1),
        geometry(20, 32, [16, 16], 3, 1),
        geometry(37, 16, [32, 32], 3, 1),
        geometry(2, 30, [3, 70], 7, 1),
        geometry(1, 14, [300, 200], 1, 1),
        geometry(8, 7, [530, 300], 1, 1),
        geometry(9, 15, [48, 48], 5, 48),
        geometry(8, 28, [24, 144], 1, 1),
        geometry(7, 29, [144, 24], 1, 1),
        geometry(3, 59, [64, 64], 1, 1),
        geometry(3, 15, [48, 48], 5, 48),
        Geometry { stride: [2; 2], output: [8; 2], ..geometry(9, 15, [48, 48], 5, 48) },
    ];
    for isa in Isa::available() {
        for method in [Algorithm::Direct, Algorithm::Winograd, Algorithm::SquareWinograd] {
            for threads in [1, 2] {
                common::with_threads(threads, || {
                    shapes.iter().for_each(|g| hold_to_workspace(Path { isa, method }, g, threads));
                });
            }
        }
    }
}
