//! The table of kernels, and what launches carry.

use localgrad::device::arguments::{Divisor, Norm, words};
use localgrad::device::launch::{Launch, Traffic};
use localgrad::device::launches::conv::{self, Read};
use localgrad::device::ptx;
use localgrad::device::table::all::{Class, ConvShape, Pass, all, choose};
use localgrad::device::table::body::{Access, Body, Element, Slot};
use localgrad::device::table::kernel::{Kernel, ReadKind};

use crate::conv::geometry;

#[test]
fn the_table_is_in_the_order_of_the_bodies() {
    for (i, body) in Body::all().enumerate() {
        assert_eq!((body as usize, body.row().body), (i, body));
    }
    let slots = Body::ResidualSum.row().slots();
    assert_eq!(slots[1], Slot { name: "norm", element: Element::F32, access: Access::Read });
    assert_eq!(slots[5], Slot { name: "mask", element: Element::U8, access: Access::Write });
}

#[test]
fn words_are_the_fields_in_their_order() {
    let norm =
        Norm { rows: 1, channels: 2, epsilon: 0.5, bounds: [-1.0, 4.0], slope: 0.25, ..Norm::default() };
    let float = f32::to_bits;
    let twin = [1, 2, 0, 0, 0, 0, 0, float(0.5), float(-1.0), float(4.0), float(0.25)];
    assert_eq!(words(&norm), twin);
}

#[test]
fn divisors_divide_all_numbers_of_31_bits() {
    let largest = (1u32 << 31) - 1;
    for by in (1..70).chain([127, 128, 129, 12_544, 65_535, 65_536, 65_537, 401_408, largest - 1, largest]) {
        let divisor = Divisor::new(by);
        let multiple = |i: u32| (largest / by).saturating_sub(i) * by;
        let near = (0..200).flat_map(|i| [largest - i, multiple(i), multiple(i) + (by - 1), i]);
        for number in near.map(|number| number.min(largest)) {
            assert_eq!(divisor.quotient(number), number / by, "{number} / {by}");
        }
    }
}

#[test]
fn a_kernel_is_chosen_by_shape_alone() {
    let name = |channels: [u32; 2], pass, map, gradient, class| {
        let shape = ConvShape { channels, is_depthwise: false, all_channels: channels[0] };
        choose(shape, pass, map, gradient, class).name()
    };
    let exact = Class::TensorCores { passes: 3 };
    for (channels, pass, map, gradient, class, expected) in [
        ([3, 16], Pass::Forward, ReadKind::Plain, ReadKind::Plain, exact, "conv_forward_s128x16_plain_v1"),
        (
            [16, 16],
            Pass::Forward,
            ReadKind::Normalized,
            ReadKind::Plain,
            exact,
            "conv_forward_x128x16_normalized_v4",
        ),
        (
            [16, 64],
            Pass::Forward,
            ReadKind::Sum,
            ReadKind::Plain,
            Class::Scalar,
            "conv_forward_s64x64_sum_v4",
        ),
        (
            [16, 64],
            Pass::DInput,
            ReadKind::Sum,
            ReadKind::Through,
            Class::Scalar,
            "conv_d_input_s128x16_through_v4",
        ),
        (
            [32, 32],
            Pass::DWeight,
            ReadKind::Sum,
            ReadKind::Through,
            exact,
            "conv_d_weight_x64x32_sum_through_v4",
        ),
        (
            [64, 64],
            Pass::Forward,
            ReadKind::Upsampled,
            ReadKind::Plain,
            exact,
            "conv_forward_s64x64_upsampled_v4",
        ),
        (
            [64, 48],
            Pass::DInput,
            ReadKind::Plain,
            ReadKind::Plain,
            Class::Simdgroups,
            "conv_d_input_m64x64_plain_v4",
        ),
    ] {
        assert_eq!(name(channels, pass, map, gradient, class), expected);
    }
    let shape = ConvShape { channels: [1, 1], is_depthwise: true, all_channels: 36 };
    let kernel = choose(shape, Pass::DWeight, ReadKind::Plain, ReadKind::Through, exact);
    assert_eq!(kernel.name(), "depthwise_d_weight_plain_through_v4");
}

#[test]
fn gradients_are_no_f16() {
    let shape = ConvShape { channels: [16, 64], is_depthwise: false, all_channels: 16 };
    let name = |pass, map, gradient| choose(shape, pass, map, gradient, Class::HalfTensorCores).name();
    assert_eq!(name(Pass::Forward, ReadKind::Sum, ReadKind::Plain), "conv_forward_h64x64_sum_v4");
    assert_eq!(name(Pass::DInput, ReadKind::Plain, ReadKind::Through), "conv_d_input_t128x16_through_v4");
    assert_eq!(name(Pass::DWeight, ReadKind::Sum, ReadKind::Through), "conv_d_weight_t64x64_sum_through_v4");
}

#[test]
fn traffic_is_that_of_the_maps() {
    let g = geometry([2, 8, 8, 16], 32, 3, 1, 1, 1, 1);
    let forward = conv::forward(&g, &Read::default(), 0, Class::Scalar).unwrap();
    let expected = Traffic {
        bytes_read: 4 * (2 * 64 * 16 + 32 * 16 * 9),
        bytes_written: 4 * 2 * 64 * 32,
        operations: 2 * 2 * 64 * 32 * 16 * 9,
    };
    assert_eq!(forward.launch.traffic, expected);
    assert_eq!(forward.parts_len, 0);
}

#[test]
fn a_launch_of_other_arguments_is_refused() {
    let launch = |grid| Launch::new(Kernel::of(Body::Scale), grid, &Norm::default(), Traffic::default());
    let fault = launch([1, 1, 1]).unwrap_err().to_string();
    assert!(fault.contains("scale takes Elements, not Norm"), "{fault}");
    let launch = |grid| Launch::new(Kernel::of(Body::MaskOf), grid, &Norm::default(), Traffic::default());
    assert!(launch([1, 1, 1]).is_ok());
    for grid in [[0, 1, 1], [1, 65_536, 1]] {
        let fault = launch(grid).unwrap_err().to_string();
        assert!(fault.contains("cannot run on a grid"), "{fault}");
    }
    // More pixels than a kernel counts.
    let g = geometry([1 << 20, 64, 64, 4], 4, 1, 1, 0, 1, 1);
    let fault = conv::forward(&g, &Read::default(), 0, Class::Scalar).unwrap_err().to_string();
    assert!(fault.contains("make the batch smaller"), "{fault}");
}

#[test]
fn the_ptx_of_every_kernel_is_there() {
    for class in [
        Class::Scalar,
        Class::TensorCores { passes: 3 },
        Class::TensorCores { passes: 1 },
        Class::HalfTensorCores,
    ] {
        for kernel in all(class) {
            let name = kernel.name();
            let text = ptx::text(&name, class).unwrap();
            assert!(text.contains(&format!(".entry {name}(")), "{name}");
            assert!(
                [".version 6.0\n", ".version 7.0\n"].iter().any(|version| text.contains(version)),
                "{name}"
            );
        }
    }
    assert!(ptx::text("no_kernel", Class::Scalar).is_err());
}
