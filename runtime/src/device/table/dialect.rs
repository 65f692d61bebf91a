//! The text of kernels in each dialect: a prelude, the kernels' language, and an entry point a kernel.

use super::body::{Access, Slot};
use super::kernel::Kernel;
use std::fmt::Write;

/// A language of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// For NVRTC.
    Cuda,
    /// For Apple's compiler.
    Metal,
    /// The same for clang, as OpenCL C++.
    MetalStandIn,
    /// C++ on the CPU, for the emulated device.
    Host,
}

/// The files of the kernels, in the order in which each knows those before it.
pub const FILES: [(&str, &str); 23] = [
    ("basics.h", include_str!("../kernels/basics.h")),
    ("source.h", include_str!("../kernels/source.h")),
    ("tile.h", include_str!("../kernels/tile.h")),
    ("tile_tf32.h", include_str!("../kernels/tile_tf32.h")),
    ("tile_f16.h", include_str!("../kernels/tile_f16.h")),
    ("tile_simd.h", include_str!("../kernels/tile_simd.h")),
    ("product.h", include_str!("../kernels/product.h")),
    ("finish.h", include_str!("../kernels/finish.h")),
    ("conv.h", include_str!("../kernels/conv.h")),
    ("conv_gather.h", include_str!("../kernels/conv_gather.h")),
    ("conv_d_weight.h", include_str!("../kernels/conv_d_weight.h")),
    ("conv_backward.h", include_str!("../kernels/conv_backward.h")),
    ("depthwise.h", include_str!("../kernels/depthwise.h")),
    ("norm.h", include_str!("../kernels/norm.h")),
    ("elementwise.h", include_str!("../kernels/elementwise.h")),
    ("reorder.h", include_str!("../kernels/reorder.h")),
    ("group_norm.h", include_str!("../kernels/group_norm.h")),
    ("norm_apply.h", include_str!("../kernels/norm_apply.h")),
    ("pool.h", include_str!("../kernels/pool.h")),
    ("resample.h", include_str!("../kernels/resample.h")),
    ("loss.h", include_str!("../kernels/loss.h")),
    ("similarity.h", include_str!("../kernels/similarity.h")),
    ("optimizer.h", include_str!("../kernels/optimizer.h")),
];
/// What the emulated device is made of, before the kernels.
const HOST_FILES: [&str; 4] = ["host_lanes.h", "host_memory.h", "host.h", "host_fragments.h"];

/// One text without includes, as NVRTC and Metal take a string; for the host one with includes, so that what goes wrong has
/// a file and a line.
pub fn source(dialect: Dialect, kernels: &[Kernel]) -> String {
    let mut text = prelude(dialect);
    for (name, file) in FILES {
        match dialect {
            Dialect::Host => text += &format!("#include \"{name}\"\n"),
            _ => text += file,
        }
    }
    for kernel in kernels {
        text += &entry(dialect, kernel);
    }
    text
}

fn prelude(dialect: Dialect) -> String {
    let metal = include_str!("../kernels/metal.h");
    match dialect {
        Dialect::Cuda => include_str!("../kernels/cuda.h").into(),
        Dialect::Metal => metal.into(),
        Dialect::MetalStandIn => {
            let without = metal.replace("#include <metal_stdlib>\n", "");
            include_str!("../kernels/metal_stand_in.h").to_owned() + &without
        }
        Dialect::Host => HOST_FILES.map(|name| format!("#include \"{name}\"\n")).concat(),
    }
}

/// The entry point of one kernel.
pub fn entry(dialect: Dialect, kernel: &Kernel) -> String {
    let (name, row) = (kernel.name(), kernel.row());
    let mut text = String::new();
    for (suffix, tile) in kernel.tiles() {
        let (threads, shared) = (tile.threads(), tile.shared());
        let asserted =
            format!("{name}_{suffix}::THREADS == {threads} && {name}_{suffix}::SHARED == {shared}");
        text += &format!("typedef {} {name}_{suffix};\n", tile.text());
        text += &format!("static_assert({asserted}, \"the table and the tile disagree\");\n");
    }
    let arguments = match dialect {
        Dialect::Cuda | Dialect::Metal => "p",
        Dialect::MetalStandIn => "*p",
        Dialect::Host => "*static_cast<const @*>(p)",
    };
    let mut given = vec!["ctx".to_owned()];
    for (i, slot) in row.slots().iter().enumerate() {
        given.push(match dialect {
            Dialect::Host => format!("m[{i}].pointer<{}>()", element(slot)),
            _ => slot.name.into(),
        });
    }
    given.push(arguments.replace('@', row.arguments));
    if row.shared > 0 {
        given.push("s".into());
    }
    let call = format!("{}({});", kernel.call(), given.join(", "));
    text += &match dialect {
        Dialect::Cuda => cuda(kernel, &call),
        Dialect::Metal => metal(kernel, &call),
        Dialect::MetalStandIn => stand_in(kernel, &call),
        Dialect::Host => {
            let parameters = "Ctx ctx, const host::Span* m, const void* p, Shared<float> s";
            format!("static void {name}({parameters}) {{ (void)s; {call} }}\n")
        }
    };
    text
}

fn element(slot: &Slot) -> String {
    match slot.access {
        Access::Read => format!("const {}", slot.element.text()),
        Access::Write => slot.element.text().into(),
    }
}

/// Shared memory of a block, under the words of a dialect.
fn shared(words: &str, kernel: &Kernel) -> String {
    match kernel.row().shared {
        0 => String::new(),
        floats => format!("{words} float s[{floats}]; "),
    }
}

fn cuda(kernel: &Kernel, call: &str) -> String {
    let row = kernel.row();
    let mut parameters = String::new();
    for slot in row.slots() {
        let restrict = if row.may_overlap { "" } else { " __restrict__" };
        _ = write!(parameters, "{}*{restrict} {}, ", element(&slot), slot.name);
    }
    // Asked for nothing, ptxas aims at round numbers of registers and spills a few to reach them.
    let blocks = if kernel.tile.is_some() { 2 } else { (512 / row.threads).max(1) };
    format!(
        "extern \"C\" __global__ void __launch_bounds__({}, {blocks}) {}({parameters}const {} p) \
         {{ {}Ctx ctx; {call} }}\n",
        row.threads,
        kernel.name(),
        row.arguments,
        shared("__shared__ __align__(16)", kernel),
    )
}

fn metal(kernel: &Kernel, call: &str) -> String {
    let row = kernel.row();
    let mut parameters = String::new();
    for (i, slot) in row.slots().iter().enumerate() {
        _ = write!(parameters, "device {}* {} [[buffer({i})]], ", element(slot), slot.name);
    }
    let memory = shared("threadgroup", kernel).replace("]; ", "] __attribute__((aligned(16))); ");
    format!(
        "kernel void {}({parameters}constant {}& p [[buffer({})]], \
         uint3 group [[threadgroup_position_in_grid]], uint lane [[thread_index_in_threadgroup]]) \
         {{ {memory}Ctx ctx; ctx.group = group; ctx.id = lane; {call} }}\n",
        kernel.name(),
        row.arguments,
        row.slots().len(),
    )
}

fn stand_in(kernel: &Kernel, call: &str) -> String {
    let row = kernel.row();
    let mut parameters = String::new();
    for slot in row.slots() {
        _ = write!(parameters, "__global {}* {}, ", element(&slot), slot.name);
    }
    let memory = shared("__local", kernel).replace("]; ", "] __attribute__((aligned(16))); ");
    let place = "ctx.group.x = get_group_id(0); ctx.group.y = get_group_id(1); ctx.group.z = get_group_id(2); \
                 ctx.id = get_local_id(0);";
    format!(
        "__kernel void {}({parameters}__constant {}* p) {{ {memory}Ctx ctx; {place} {call} }}\n",
        kernel.name(),
        row.arguments,
    )
}
