//! Metal by candle's wrappers of it. All contact with it is in this file.
//!
//! A GPU of Apple's has the memory of the process: blocks are shared, and what is brought there or back is copied once.

use super::driver::{Driver, Piece};
use super::launch::Launch;
use super::metal_refusal;
use super::table::all::Class;
use super::table::body::{Access, Element};
use super::table::dialect::{Dialect, source};
use super::table::kernel::Kernel;
use crate::error::{Error, ErrorKind, Result};
use candle_metal_kernels::MetalKernelError;
use candle_metal_kernels::metal::{Buffer, Commands, ComputePipeline, Device, ResidencySet};
use objc2::rc::{Retained, autoreleasepool};
use objc2_metal::{
    MTLBuffer as _, MTLCompileOptions, MTLDevice as _, MTLGPUFamily, MTLLanguageVersion,
    MTLMathFloatingPointFunctions, MTLMathMode, MTLResourceOptions, MTLSize,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

/// Memory of the process and of the GPU. Nobody but this file keeps launches in order.
const SHARED: MTLResourceOptions = MTLResourceOptions(
    MTLResourceOptions::StorageModeShared.0 | MTLResourceOptions::HazardTrackingModeUntracked.0,
);
/// Metal copies whole words alone.
const WORD_BYTES: usize = 4;

/// A GPU with one queue of work.
pub struct Metal {
    device: Device,
    commands: Commands,
    resident: Arc<ResidencySet>,
    name: String,
    class: Class,
    /// What was compiled so far.
    pipelines: RefCell<HashMap<Kernel, ComputePipeline>>,
    /// Waits so far, and one.
    epoch: Cell<u64>,
}

/// A block of memory.
pub struct Memory {
    buffer: Buffer,
    element: Element,
    len: usize,
    /// The epoch in which it was last handed to the GPU, which may be at work on it until that ends.
    used: Cell<u64>,
    resident: Arc<ResidencySet>,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // The pool waits for launches before.
        self.resident.remove(&self.buffer);
    }
}

impl Drop for Metal {
    fn drop(&mut self) {
        // Blocks go after it, and launches may still be at work on them.
        let _ = self.wait();
    }
}

/// A GPU that the system has, and what it runs.
struct Gpu {
    device: Device,
    name: String,
    class: Class,
}

impl Gpu {
    /// That of this number.
    fn find(number: usize) -> Result<Self> {
        let refused = |why: String| Error::new(ErrorKind::Device, why);
        if !objc2::available!(macos = 15, ios = 18) {
            return Err(refused("the GPU needs macOS 15 or iOS 18; use --device cpu".into()));
        }
        let device = match number {
            0 => Device::system_default(),
            _ => Device::all().into_iter().nth(number),
        };
        let device = device.ok_or_else(|| refused(format!("Metal finds no GPU {number}")))?;
        let name = device.as_ref().name().to_string();
        let has = |family| device.as_ref().supportsFamily(family);
        // Warps of 32, and memory that a table names: of Apple's own GPUs from A13 on.
        let class = match () {
            () if has(MTLGPUFamily::Apple7) => Class::Simdgroups,
            () if has(MTLGPUFamily::Apple6) => Class::Scalar,
            () => {
                return Err(refused(format!(
                    "{name} is too old: A13 and M1 are the least; use --device cpu"
                )));
            }
        };
        Ok(Self { device, name, class })
    }
}

/// What the GPU of this number is.
///
/// # Errors
/// `Device` where there is none, or one that is too old.
pub fn description(number: usize) -> Result<String> {
    autoreleasepool(|_| {
        let Gpu { device, name, .. } = Gpu::find(number)?;
        let gib = device.recommended_max_working_set_size() as f64 / f64::from(1 << 30);
        Ok(format!("{name}, {gib:.1} GiB of the system's memory"))
    })
}

impl Metal {
    /// Opens the GPU of this number.
    ///
    /// # Errors
    /// `Device` where there is none, or one that is too old.
    pub fn open(number: usize) -> Result<Self> {
        autoreleasepool(|_| {
            let Gpu { device, name, class } = Gpu::find(number)?;
            let resident = Arc::new(ResidencySet::new(&device));
            let opened = device.new_command_queue().and_then(|queue| Commands::new(queue, &resident));
            let commands = opened.map_err(|cause| failed(&name, "does not open", &cause))?;
            let pipelines = RefCell::default();
            Ok(Self { device, commands, resident, name, class, pipelines, epoch: Cell::new(1) })
        })
    }

    /// Which kernels it runs.
    pub fn class(&self) -> Class {
        self.class
    }

    fn failed(&self, what: &str, cause: &MetalKernelError) -> Error {
        failed(&self.name, what, cause)
    }

    /// A kernel, compiled when it is first asked for.
    fn pipeline(&self, kernel: &Kernel) -> Result<ComputePipeline> {
        if let Some(pipeline) = self.pipelines.borrow().get(kernel) {
            return Ok(pipeline.clone());
        }
        let (name, options) = (kernel.name(), compile_options());
        let library =
            self.device.new_library_with_source(&source(Dialect::Metal, &[*kernel]), Some(&options));
        let function = library.and_then(|library| library.get_function(&name, None));
        let made =
            function.and_then(|function| self.device.new_compute_pipeline_state_with_function(&function));
        let pipeline =
            made.map_err(|cause| self.failed(&format!("does not take the kernel {name}"), &cause))?;
        let (most, wanted) = (pipeline.max_total_threads_per_threadgroup(), kernel.row().threads as usize);
        if most < wanted {
            let why = format!("{} runs {most} threads of {name} at once, and {wanted} are needed", self.name);
            return Err(Error::new(ErrorKind::Device, why));
        }
        self.pipelines.borrow_mut().insert(*kernel, pipeline.clone());
        Ok(pipeline)
    }

    /// Whether the GPU may be at work on a block.
    fn is_at_work(&self, memory: &Memory) -> bool {
        memory.used.get() == self.epoch.get()
    }

    /// Copies bytes behind the launches before; all numbers are whole words.
    fn enqueue_copy(&self, to: (&Buffer, usize), from: (&Buffer, usize), bytes: usize) -> Result<()> {
        let encoder = self.commands.blit_command_encoder();
        let mut encoder = encoder.map_err(|cause| self.failed("takes no more work", &cause))?;
        encoder.copy_from_buffer(from.0, from.1, to.0, to.1, bytes);
        Ok(())
    }
}

fn failed(name: &str, what: &str, cause: &MetalKernelError) -> Error {
    Error::new(ErrorKind::Device, format!("{name} {what}: {cause}"))
}

/// Fast math would fold tests for what is no number away, and contract what the emulated device rounds twice.
fn compile_options() -> Retained<MTLCompileOptions> {
    let options = MTLCompileOptions::new();
    options.setLanguageVersion(MTLLanguageVersion::Version3_0);
    options.setMathMode(MTLMathMode::Safe);
    options.setMathFloatingPointFunctions(MTLMathFloatingPointFunctions::Precise);
    options
}

impl Memory {
    /// The byte at which `bytes` begin whose first is the element `first`.
    fn at(&self, first: usize, bytes: usize) -> Result<usize> {
        let all = self.len * self.element.bytes();
        let begin = first.checked_mul(self.element.bytes());
        begin.filter(|begin| begin.checked_add(bytes).is_some_and(|end| end <= all)).ok_or_else(|| {
            Error::internal(format!(
                "{bytes} bytes from element {first} on do not fit a block of {} elements",
                self.len
            ))
        })
    }
}

impl Driver for Metal {
    type Memory = Memory;

    fn allocate(&self, element: Element, len: usize) -> Result<Memory> {
        let full = |bytes: Option<usize>| {
            let wanted = bytes.map_or_else(|| format!("{len} elements"), |bytes| format!("{bytes} bytes"));
            Error::new(ErrorKind::Memory, format!("{} has no room for {wanted}", self.name))
        };
        let bytes = len.checked_mul(element.bytes()).ok_or_else(|| full(None))?;
        autoreleasepool(|_| {
            // The system would give more, and then be short of it itself.
            let taken = self.device.current_allocated_size().saturating_add(bytes);
            if taken > self.device.recommended_max_working_set_size() {
                return Err(full(Some(bytes)));
            }
            let buffer = self.device.new_buffer(bytes, SHARED).map_err(|_| full(Some(bytes)))?;
            self.resident.insert(&buffer);
            Ok(Memory { buffer, element, len, used: Cell::new(0), resident: self.resident.clone() })
        })
    }

    fn upload(&self, to: &Memory, first: usize, bytes: &[u8]) -> Result<()> {
        let at = to.at(first, bytes.len())?;
        autoreleasepool(|_| {
            let words = at.is_multiple_of(WORD_BYTES) && bytes.len().is_multiple_of(WORD_BYTES);
            if self.is_at_work(to) && words && !bytes.is_empty() {
                let staged = self.device.new_buffer_with_data(bytes.as_ptr().cast(), bytes.len(), SHARED);
                let staged = staged.map_err(|cause| self.failed("took no numbers", &cause))?;
                return self.enqueue_copy((&to.buffer, at), (&staged, 0), bytes.len());
            }
            if self.is_at_work(to) {
                self.wait()?;
            }
            // SAFETY: the block has room for them, the two are apart, and the GPU is not at work on it.
            unsafe {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.buffer.contents().add(at), bytes.len());
            }
            Ok(())
        })
    }

    fn download(&self, from: &Memory, first: usize, bytes: &mut [u8]) -> Result<()> {
        let at = from.at(first, bytes.len())?;
        self.wait()?;
        // SAFETY: the block has as many, the two are apart, and the GPU has ended.
        unsafe {
            std::ptr::copy_nonoverlapping(from.buffer.contents().add(at), bytes.as_mut_ptr(), bytes.len());
        }
        Ok(())
    }

    fn copy(&self, to: &Memory, first: usize, from: &Memory, from_first: usize, len: usize) -> Result<()> {
        if to.element != from.element {
            let (to, from) = (to.element, from.element);
            return Err(Error::internal(format!("{from:?} cannot be copied to {to:?}")));
        }
        let bytes = len * to.element.bytes();
        let (at, from_at) = (to.at(first, bytes)?, from.at(from_first, bytes)?);
        if [at, from_at, bytes].iter().all(|number| number.is_multiple_of(WORD_BYTES)) {
            to.used.set(self.epoch.get());
            from.used.set(self.epoch.get());
            return autoreleasepool(|_| self.enqueue_copy((&to.buffer, at), (&from.buffer, from_at), bytes));
        }
        self.wait()?;
        // SAFETY: both blocks have as many bytes there, they are two, and the GPU has ended.
        unsafe {
            let from = from.buffer.contents().add(from_at);
            std::ptr::copy_nonoverlapping(from, to.buffer.contents().add(at), bytes);
        }
        Ok(())
    }

    fn address(&self, memory: &Memory) -> u64 {
        // Who asks hands it to the next launch.
        memory.used.set(self.epoch.get());
        memory.buffer.as_ref().gpuAddress()
    }

    fn free_bytes(&self) -> Option<usize> {
        let most = self.device.recommended_max_working_set_size();
        Some(most.saturating_sub(self.device.current_allocated_size()))
    }

    fn shows_writes(&self) -> bool {
        false
    }

    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Memory>>]) -> Result<()> {
        let row = launch.kernel.row();
        let slots = row.slots();
        if slots.len() != memory.len() {
            let (name, wanted) = (launch.kernel.name(), slots.len());
            return Err(Error::internal(format!("{name} has {wanted} slots, not {}", memory.len())));
        }
        let mut offsets = vec![];
        for (slot, piece) in slots.iter().zip(memory) {
            offsets.push(match piece {
                None => 0,
                Some(piece) if piece.memory.element != slot.element => {
                    let found = piece.memory.element;
                    return Err(Error::internal(format!("{} is no {found:?}", slot.name)));
                }
                Some(piece) => piece.memory.at(piece.first, piece.len * slot.element.bytes())?,
            });
        }
        autoreleasepool(|_| {
            let pipeline = self.pipeline(&launch.kernel)?;
            let commands = self.commands.command_encoder();
            let commands = commands.map_err(|cause| self.failed("takes no more work", &cause))?;
            let encoder = commands.as_ref();
            // In order: each launch sees what those before have written, also what a table of addresses names.
            encoder.insert_memory_barrier();
            encoder.set_compute_pipeline_state(&pipeline);
            for (index, ((slot, piece), offset)) in slots.iter().zip(memory).zip(offsets).enumerate() {
                let buffer = piece.as_ref().map(|piece| &piece.memory.buffer);
                if let Some(piece) = piece {
                    piece.memory.used.set(self.epoch.get());
                }
                // The wrapper has later encoders wait for those that write: what addresses name is written.
                match slot.access == Access::Write || slot.element == Element::Address {
                    true => encoder.set_output_buffer(index, buffer, offset),
                    false => encoder.set_input_buffer(index, buffer, offset),
                }
            }
            let arguments: &[u32] = &launch.arguments;
            let bytes: *const c_void = arguments.as_ptr().cast();
            encoder.set_bytes_directly(slots.len(), size_of_val(arguments), bytes);
            let [width, height, depth] = launch.grid.map(|blocks| blocks as usize);
            let threads = MTLSize { width: row.threads as usize, height: 1, depth: 1 };
            encoder.dispatch_thread_groups(MTLSize { width, height, depth }, threads);
            Ok(())
        })
    }

    fn wait(&self) -> Result<()> {
        let ended = autoreleasepool(|_| self.commands.wait_until_completed());
        self.epoch.set(self.epoch.get() + 1);
        ended.map_err(|cause| match cause {
            MetalKernelError::CommandBufferError(said) => metal_refusal::of_work(&self.name, &said),
            cause => self.failed("did not end its work", &cause),
        })
    }
}
