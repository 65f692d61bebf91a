//! Builds the emulated device, for the feature `emulated` alone: nothing else here needs a C++ compiler.

#[cfg(feature = "emulated")]
#[path = "src/device/table/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod table;

#[cfg(not(feature = "emulated"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "emulated")]
fn main() {
    if let Err(cause) = emulated::build() {
        println!("cargo::error=the emulated device cannot be built: {cause}");
    }
}

#[cfg(feature = "emulated")]
mod emulated {
    use crate::table::all::{Class, all};
    use crate::table::dialect::{Dialect, source};
    use crate::table::kernel::Kernel;
    use std::path::Path;
    use std::{env, error, fs, thread};

    type Result<T> = std::result::Result<T, Box<dyn error::Error + Send + Sync>>;

    /// Texts that are compiled side by side.
    const TEXTS: usize = 4;
    const KERNELS: &str = "src/device/kernels";

    /// Compiles every kernel of every class, and the device.
    pub(crate) fn build() -> Result<()> {
        println!("cargo::rerun-if-changed={KERNELS}");
        println!("cargo::rerun-if-changed=src/device/table");
        let mut kernels: Vec<Kernel> = vec![];
        let classes = [
            Class::Scalar,
            Class::TensorCores { passes: 3 },
            Class::TensorCores { passes: 1 },
            Class::HalfTensorCores,
            Class::Simdgroups,
        ];
        for kernel in classes.into_iter().flat_map(all) {
            if !kernels.contains(&kernel) {
                kernels.push(kernel);
            }
        }
        let directory = env::var("OUT_DIR")?;
        let directory = Path::new(&directory);
        let texts: Vec<String> = (0..TEXTS).map(|i| text(i, &kernels)).collect();
        thread::scope(|scope| {
            let compile = |(i, text): (usize, &String)| {
                let (name, text) = (format!("localgrad_kernels_{i}"), text.clone());
                scope.spawn(move || compile(directory, &name, &text))
            };
            let running: Vec<_> = texts.iter().enumerate().map(compile).collect();
            running.into_iter().try_for_each(|text| text.join().unwrap_or_else(|_| Err("it ended".into())))
        })?;
        compile(directory, "localgrad_emulated", &device())
    }

    /// Each [`TEXTS`]th kernel, as neighbours take as long as each other, and their list.
    fn text(first: usize, kernels: &[Kernel]) -> String {
        let kernels: Vec<Kernel> = kernels.iter().skip(first).step_by(TEXTS).copied().collect();
        let mut text = source(Dialect::Host, &kernels);
        text = text.replace("#include \"basics.h\"", "#include \"host_entry.h\"\n#include \"basics.h\"");
        text += &format!("extern const host::Entry localgrad_kernels_{first}[] = {{\n");
        for kernel in &kernels {
            let (name, row) = (kernel.name(), kernel.row());
            text += &format!("{{\"{name}\", {}, {}, {name}}},\n", row.threads, row.shared);
        }
        text + "{nullptr, 0, 0, nullptr}};\n"
    }

    fn device() -> String {
        let mut text = source(Dialect::Host, &[]) + "#include \"host_entry.h\"\n#include \"host_device.h\"\n";
        for i in 0..TEXTS {
            text += &format!("extern const host::Entry localgrad_kernels_{i}[];\n");
        }
        let lists: String = (0..TEXTS).map(|i| format!("localgrad_kernels_{i}, ")).collect();
        text + &format!("const host::Entry* const localgrad_kernel_lists[] = {{{lists}nullptr}};\n")
    }

    fn compile(directory: &Path, name: &str, text: &str) -> Result<()> {
        let file = directory.join(format!("{name}.cpp"));
        fs::write(&file, text)?;
        let mut build = cc::Build::new();
        // As CUDA without its contraction and Metal's safe mode compute; a switch of fibers is no jump out of a frame.
        build.cpp(true).std("c++17").opt_level(1).flag("-ffp-contract=off").flag("-U_FORTIFY_SOURCE");
        build.include(KERNELS).warnings(false).flag("-w").file(file).try_compile(name)?;
        Ok(())
    }
}
