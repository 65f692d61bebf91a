//! The emulated device, for tests: the kernels as C++ on the CPU, a fiber a thread, where each access of memory is checked
//! (`kernels/host_device.h`). What a GPU would leave undefined is an error here: accesses out of bounds, of memory that nobody
//! has written, or that race, and threads that do not come to a barrier.

use super::driver::{Driver, Graphs, Node, Piece, Site};
use super::launch::Launch;
use super::table::body::Element;
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// An emulated device. Its launches have ended when they return.
#[derive(Clone, Debug, Default)]
pub struct Emulated {
    /// Lanes and blocks run in an order that is this seed's; 0: in theirs.
    pub seed: u32,
    /// The barrier that is left out, `file:line` as [`barriers`] tells it; empty: none.
    pub left_out: String,
    /// Bytes of its memory; none: as many as anybody asks for.
    pub memory_bytes: Option<usize>,
    /// Those that somebody has.
    pub used_bytes: Arc<AtomicUsize>,
    /// The graphs that there are, where it has any. What is in a block stays then when it serves somebody else.
    pub graphs: Option<Arc<Mutex<HeldGraphs>>>,
}

/// Graphs, by their numbers, and how many were made.
#[derive(Debug, Default)]
pub struct HeldGraphs {
    /// What each launches.
    pub held: HashMap<u64, Vec<Node>>,
    /// All that were ever made.
    pub made: u64,
}

/// A block of its memory.
#[derive(Debug)]
pub struct Memory {
    block: NonNull<c_void>,
    element: Element,
    len: usize,
    used_bytes: Arc<AtomicUsize>,
}

/// `host::Span`.
#[repr(C)]
struct Span {
    memory: *mut c_void,
    first: usize,
    len: usize,
}

/// Bytes of a message.
const MESSAGE_BYTES: usize = 512;
/// Bytes of the names of all barriers.
const BARRIERS_BYTES: usize = 1 << 14;

unsafe extern "C" {
    fn localgrad_emulated_allocate(len: usize, element_bytes: usize) -> *mut c_void;
    fn localgrad_emulated_free(memory: *mut c_void);
    fn localgrad_emulated_upload(memory: *mut c_void, first: usize, from: *const c_void, len: usize);
    fn localgrad_emulated_download(memory: *const c_void, first: usize, to: *mut c_void, len: usize);
    fn localgrad_emulated_copy(
        to: *mut c_void,
        first: usize,
        from: *const c_void,
        from_first: usize,
        len: usize,
    );
    fn localgrad_emulated_renew(memory: *mut c_void);
    fn localgrad_emulated_launch(
        name: *const c_char,
        grid: *const u32,
        memory: *const Span,
        arguments: *const u32,
        seed: u32,
        left_out: *const c_char,
        message: *mut c_char,
        message_bytes: usize,
    );
    fn localgrad_emulated_barriers(text: *mut c_char, bytes: usize);
}

// SAFETY: it is the only owner of its block, which belongs to no thread.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        self.used_bytes.fetch_sub(self.len * self.element.bytes(), Ordering::Relaxed);
        // SAFETY: it was allocated there, and is given back once.
        unsafe { localgrad_emulated_free(self.block.as_ptr()) }
    }
}

impl Memory {
    /// How many elements `bytes` are, which lie at `first` and on.
    fn elements(&self, first: usize, bytes: usize) -> Result<usize> {
        let each = self.element.bytes();
        let len = bytes / each;
        if !bytes.is_multiple_of(each) || first.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::internal(format!(
                "{bytes} bytes from element {first} on do not fit a block of {} elements of {each} bytes",
                self.len
            )));
        }
        Ok(len)
    }
}

impl Driver for Emulated {
    type Memory = Memory;

    fn allocate(&self, element: Element, len: usize) -> Result<Memory> {
        let full =
            || Error::new(ErrorKind::Memory, format!("the emulated device has no room for {len} elements"));
        let bytes = len.checked_mul(element.bytes()).ok_or_else(full)?;
        if self.free_bytes().is_some_and(|free_bytes| bytes > free_bytes) {
            return Err(full());
        }
        // SAFETY: it takes any numbers, and gives null where there is no room.
        let block = NonNull::new(unsafe { localgrad_emulated_allocate(len, element.bytes()) });
        let block = block.ok_or_else(full)?;
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(Memory { block, element, len, used_bytes: self.used_bytes.clone() })
    }

    fn free_bytes(&self) -> Option<usize> {
        let used_bytes = self.used_bytes.load(Ordering::Relaxed);
        self.memory_bytes.map(|bytes| bytes.saturating_sub(used_bytes))
    }

    fn upload(&self, to: &Memory, first: usize, bytes: &[u8]) -> Result<()> {
        let len = to.elements(first, bytes.len())?;
        // SAFETY: the block holds `len` elements from `first` on, and so do the bytes.
        unsafe { localgrad_emulated_upload(to.block.as_ptr(), first, bytes.as_ptr().cast(), len) }
        Ok(())
    }

    fn download(&self, from: &Memory, first: usize, bytes: &mut [u8]) -> Result<()> {
        let len = from.elements(first, bytes.len())?;
        // SAFETY: as for an upload, the other way.
        unsafe { localgrad_emulated_download(from.block.as_ptr(), first, bytes.as_mut_ptr().cast(), len) }
        Ok(())
    }

    fn copy(&self, to: &Memory, first: usize, from: &Memory, from_first: usize, len: usize) -> Result<()> {
        if to.element != from.element || to.block == from.block {
            let (to, from) = (to.element, from.element);
            return Err(Error::internal(format!("{from:?} cannot be copied to {to:?}, nor within a block")));
        }
        let bytes = len * to.element.bytes();
        to.elements(first, bytes)?;
        from.elements(from_first, bytes)?;
        // SAFETY: each block holds `len` elements from there on, and they are two.
        unsafe {
            localgrad_emulated_copy(to.block.as_ptr(), first, from.block.as_ptr(), from_first, len);
        }
        Ok(())
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.block.as_ptr() as u64
    }

    fn renew(&self, memory: &Memory) {
        // SAFETY: it is a block, and nobody else uses it meanwhile.
        unsafe { localgrad_emulated_renew(memory.block.as_ptr()) }
    }

    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Memory>>]) -> Result<()> {
        let name = launch.kernel.name();
        let slots = launch.kernel.row().slots();
        if slots.len() != memory.len() {
            return Err(Error::internal(format!("{name} has {} slots, not {}", slots.len(), memory.len())));
        }
        let mut spans = vec![];
        for (slot, piece) in slots.iter().zip(memory) {
            spans.push(match piece {
                None => Span { memory: null_mut(), first: 0, len: 0 },
                Some(piece) => {
                    if piece.memory.element != slot.element {
                        let found = piece.memory.element;
                        return Err(Error::internal(format!("{} of {name} is no {found:?}", slot.name)));
                    }
                    piece.memory.elements(piece.first, piece.len * slot.element.bytes())?;
                    Span { memory: piece.memory.block.as_ptr(), first: piece.first, len: piece.len }
                }
            });
        }
        self.run(launch, &spans)
    }

    fn graphs(&self) -> Option<&dyn Graphs> {
        self.graphs.is_some().then_some(self)
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl Emulated {
    /// Runs a launch with a span for each slot of its kernel, each within its block.
    fn run(&self, launch: &Launch, spans: &[Span]) -> Result<()> {
        let name = launch.kernel.name();
        let text = |text: &str| CString::new(text).map_err(|_| Error::internal("a name with a zero byte"));
        let (entry, left_out) = (text(&name)?, text(&self.left_out)?);
        let mut message = vec![0u8; MESSAGE_BYTES];
        // SAFETY: there is a span a slot, each within its block; the arguments are the struct of the table's row, as
        // `Launch::new` saw to, and the message is written within its bytes. An address of a table is looked up among the blocks
        // that there are.
        unsafe {
            localgrad_emulated_launch(
                entry.as_ptr(),
                launch.grid.as_ptr(),
                spans.as_ptr(),
                launch.arguments.as_ptr(),
                self.seed,
                left_out.as_ptr(),
                message.as_mut_ptr().cast(),
                message.len(),
            );
        }
        match told(&message) {
            told if told.is_empty() => Ok(()),
            told => Err(Error::new(ErrorKind::Device, format!("{name}: {told}"))),
        }
    }

    /// Does this to its graphs.
    fn with_graphs<T>(&self, work: impl FnOnce(&mut HeldGraphs) -> T) -> Result<T> {
        let graphs = self.graphs.as_ref().ok_or_else(|| Error::internal("this device has no graphs"))?;
        Ok(work(&mut graphs.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Graphs for Emulated {
    fn launch_node(&self, node: &Node) -> Result<()> {
        let span = |site: &Option<Site>| match *site {
            None => Span { memory: null_mut(), first: 0, len: 0 },
            Some(Site { address, first, len }) => Span { memory: address as *mut c_void, first, len },
        };
        self.run(&node.launch, &node.sites.iter().map(span).collect::<Vec<_>>())
    }

    fn make_graph(&self, nodes: &[Node]) -> Result<u64> {
        self.with_graphs(|graphs| {
            graphs.made += 1;
            graphs.held.insert(graphs.made, nodes.to_vec());
            graphs.made
        })
    }

    fn update_graph(&self, graph: u64, number: usize, node: &Node) -> Result<()> {
        let found = self.with_graphs(|graphs| {
            let here = graphs.held.get_mut(&graph).and_then(|nodes| nodes.get_mut(number));
            here.filter(|here| here.is_like(node)).map(|here| here.clone_from(node))
        })?;
        found.ok_or_else(|| Error::internal("there is no such launch in a graph"))
    }

    fn begin_graph(&self, graph: u64) -> Result<()> {
        let nodes = self.with_graphs(|graphs| graphs.held.get(&graph).cloned())?;
        let nodes = nodes.ok_or_else(|| Error::internal("there is no such graph"))?;
        nodes.iter().try_for_each(|node| self.launch_node(node))
    }

    fn free_graph(&self, graph: u64) {
        // Without graphs there is none to be given back.
        let _ = self.with_graphs(|graphs| graphs.held.remove(&graph));
    }
}

/// The barriers that launches of this thread have met since it last asked, `file:line` each.
pub fn barriers() -> Vec<String> {
    let mut text = vec![0u8; BARRIERS_BYTES];
    // SAFETY: it writes within the bytes it is told of.
    unsafe { localgrad_emulated_barriers(text.as_mut_ptr().cast(), text.len()) }
    told(&text).lines().map(str::to_owned).collect()
}

fn told(bytes: &[u8]) -> String {
    CStr::from_bytes_until_nul(bytes).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}
