//! CUDA by NVIDIA's driver alone, which is looked for when a device is opened. All contact with it is in this file.

use super::driver::{Driver, Graphs, Node, Piece};
use super::launch::Launch;
use super::nvml::Sensor;
use super::ptx;
use super::refusal::{self, NO_DEVICE, System};
use super::table::all::Class;
use super::table::body::Element;
use super::table::kernel::Kernel;
use crate::error::{Error, ErrorKind, Result};
use cudarc::driver::result::{
    ctx, device, free_sync, init, malloc_sync, mem_get_info, memcpy_dtod_async, memcpy_dtoh_async,
    memcpy_htod_async, module, primary_ctx, stream,
};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};
use cudarc::driver::{DriverError, result};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::ptr::{from_ref, null, null_mut};
use std::sync::Arc;

/// The oldest cards that PTX is made for.
const LEAST_CAPABILITY: (i32, i32) = (5, 3);

/// `0000:01:00.0`, and more.
const BUS_BYTES: usize = 32;

/// A card with one stream of work.
pub struct Cuda {
    session: Arc<Session>,
    class: Class,
    is_integrated: bool,
    /// What was compiled for the card so far.
    functions: RefCell<HashMap<Kernel, sys::CUfunction>>,
    modules: RefCell<Vec<sys::CUmodule>>,
    has_graphs: bool,
    graphs: RefCell<HashMap<u64, Graph>>,
    graphs_made: Cell<u64>,
    /// Opened when somebody first asks how hot it is.
    sensor: OnceCell<Result<Sensor>>,
}

/// A block of the card's memory.
pub struct Memory {
    session: Arc<Session>,
    address: sys::CUdeviceptr,
    element: Element,
    len: usize,
}

/// Launches that the driver begins as one.
struct Graph {
    graph: sys::CUgraph,
    exec: sys::CUgraphExec,
    nodes: Vec<sys::CUgraphNode>,
}

/// What the driver must have for graphs; without, launches are begun one by one.
const GRAPH_CALLS: [&[u8]; 7] = [
    b"cuGraphCreate\0",
    b"cuGraphAddKernelNode\0",
    b"cuGraphInstantiate_v2\0",
    b"cuGraphExecKernelNodeSetParams\0",
    b"cuGraphLaunch\0",
    b"cuGraphExecDestroy\0",
    b"cuGraphDestroy\0",
];

/// The context of a card, and the stream of all that is done there.
struct Session {
    card: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    name: String,
}

// SAFETY: the driver's handles belong to no thread; who uses them makes their context its own first.
unsafe impl Send for Session {}
// SAFETY: as above; a session is never changed.
unsafe impl Sync for Session {}
// SAFETY: handles alone, as above.
unsafe impl Send for Cuda {}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: all blocks and modules are gone, which hold the session; each is given back once. A driver that refuses has
        // lost the card, and these with it.
        unsafe {
            let _ = ctx::set_current(self.context).and_then(|()| stream::destroy(self.stream));
            let _ = primary_ctx::release(self.card);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated in this context, and is given back once. The pool waits for launches before.
        unsafe {
            let _ = ctx::set_current(self.session.context).and_then(|()| free_sync(self.address));
        }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Blocks go after it, and launches may still be at work on them.
        let _ = self.wait();
        self.graphs.get_mut().drain().for_each(|(_, graph)| graph.destroy());
        for module in self.modules.get_mut().drain(..) {
            // SAFETY: it was loaded in this context, and is unloaded once.
            unsafe {
                let _ = ctx::set_current(self.session.context).and_then(|()| module::unload(module));
            }
        }
    }
}

impl Graph {
    fn destroy(self) {
        // SAFETY: the context is this thread's; each was made once, and is given back once. One that is at work goes when it has ended.
        unsafe {
            if !self.exec.is_null() {
                let _ = sys::cuGraphExecDestroy(self.exec);
            }
            let _ = sys::cuGraphDestroy(self.graph);
        }
    }
}

impl Session {
    /// Makes its context this thread's.
    fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as the session.
        unsafe { ctx::set_current(self.context) }.map_err(|cause| self.error("cannot be used", cause))
    }

    fn error(&self, what: &str, cause: DriverError) -> Error {
        let kind = match cause.0 {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => ErrorKind::Memory,
            _ => ErrorKind::Device,
        };
        Error::new(kind, format!("{} {what}: {}", self.name, words(cause)))
    }
}

/// What the driver says.
fn words(cause: DriverError) -> String {
    let said = cause.error_string().map(|text| text.to_string_lossy().into_owned());
    said.unwrap_or_else(|_| format!("error {}", cause.0 as u32))
}

/// Whether NVIDIA's driver is there, and how many cards it has.
///
/// # Errors
/// `Device`, with what is missing.
pub fn cards() -> Result<usize> {
    let refused = |why: String| Error::new(ErrorKind::Device, why);
    // SAFETY: it loads a library by name, which is NVIDIA's.
    if !unsafe { sys::is_culib_present() } {
        return Err(refused(System::look().without_library()));
    }
    let mut version = 0;
    // SAFETY: it writes one number, and needs nothing to have been started.
    let told = unsafe { sys::cuDriverGetVersion(&raw mut version) }.result();
    if let (Ok(()), Some(why)) = (told, refusal::of_version(version)) {
        return Err(refused(why));
    }
    let count = init().and_then(|()| device::get_count());
    let without = |code, said: &str| refused(System::look().without_card(code, said));
    match count.map_err(|cause| without(cause.0 as u32, &words(cause)))? {
        ..1 => Err(without(NO_DEVICE, "")),
        count => Ok(usize::try_from(count).unwrap_or(0)),
    }
}

/// A card that the driver has, which is not open.
struct Card {
    card: sys::CUdevice,
    name: String,
    capability: (i32, i32),
    memory_bytes: usize,
    /// Whether that is the system's.
    is_integrated: bool,
}

impl Card {
    /// That of this number.
    fn find(number: usize) -> Result<Self> {
        let count = cards()?;
        let card = i32::try_from(number).ok().filter(|_| number < count).ok_or_else(|| {
            Error::new(ErrorKind::Device, format!("there is no card {number}; NVIDIA's driver has {count}"))
        })?;
        let found = || {
            let card = device::get(card)?;
            // SAFETY: the driver gave the card.
            let attribute = |which| unsafe { device::get_attribute(card, which) };
            let capability = (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            );
            let is_integrated = attribute(Attribute::CU_DEVICE_ATTRIBUTE_INTEGRATED)? != 0;
            // SAFETY: as above.
            let memory_bytes = unsafe { device::total_mem(card)? };
            Ok(Self { card, name: device::get_name(card)?, capability, memory_bytes, is_integrated })
        };
        let found = found().map_err(|cause: DriverError| {
            Error::new(ErrorKind::Device, format!("card {number} tells nothing of itself: {}", words(cause)))
        })?;
        if found.capability < LEAST_CAPABILITY {
            let ((major, minor), name) = (found.capability, &found.name);
            return Err(Error::new(
                ErrorKind::Device,
                format!(
                    "{name} is too old: it has compute capability {major}.{minor}, and 5.3 is the least; use --device cpu"
                ),
            ));
        }
        Ok(found)
    }
}

/// What the card of this number is.
///
/// # Errors
/// `Device` where there is none, or one that is too old.
pub fn description(number: usize) -> Result<String> {
    let Card { name, capability: (major, minor), memory_bytes, is_integrated, .. } = Card::find(number)?;
    let gib = memory_bytes as f64 / f64::from(1 << 30);
    let shared = if is_integrated { " shared with the processor" } else { "" };
    Ok(format!("{name}, compute capability {major}.{minor}, {gib:.1} GiB{shared}"))
}

impl Cuda {
    /// Opens the card of this number.
    ///
    /// # Errors
    /// `Device` where there is none, or one that is too old.
    pub fn open(number: usize) -> Result<Self> {
        let Card { card, name, capability, is_integrated, .. } = Card::find(number)?;
        let opened = || {
            // SAFETY: the driver gave the card; the session gives the context back.
            let context = unsafe { primary_ctx::retain(card)? };
            // SAFETY: it was just made.
            unsafe { ctx::set_current(context)? };
            let stream = stream::create(stream::StreamKind::NonBlocking)?;
            Ok(Session { card, context, stream, name: name.clone() })
        };
        let session = opened().map_err(|cause: DriverError| {
            Error::new(ErrorKind::Device, format!("{name} does not open: {}", words(cause)))
        })?;
        let class = if capability.0 >= 8 { Class::TensorCores { passes: 3 } } else { Class::Scalar };
        Ok(Self {
            session: Arc::new(session),
            class,
            is_integrated,
            functions: RefCell::default(),
            modules: RefCell::default(),
            // SAFETY: the driver's library is loaded, or no card would have been found.
            has_graphs: GRAPH_CALLS
                .iter()
                .all(|name| unsafe { sys::culib().get::<*const c_void>(*name) }.is_ok()),
            graphs: RefCell::default(),
            graphs_made: Cell::new(0),
            sensor: OnceCell::new(),
        })
    }

    /// Which kernels it runs.
    pub fn class(&self) -> Class {
        self.class
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.session.name
    }

    /// What tells how hot it is.
    fn find_sensor(&self) -> Result<Sensor> {
        let mut bus = [0; BUS_BYTES];
        // SAFETY: it writes a text that ends with a zero byte within as many bytes.
        let told =
            unsafe { sys::cuDeviceGetPCIBusId(bus.as_mut_ptr().cast(), bus.len() as i32, self.session.card) };
        told.result().map_err(|cause| self.session.error("does not tell its place on the bus", cause))?;
        let bus = CStr::from_bytes_until_nul(&bus).map_err(|_| Error::internal("a name without an end"))?;
        Sensor::open(bus)
    }

    /// A kernel, compiled for the card when it is first asked for.
    fn function(&self, kernel: &Kernel) -> Result<sys::CUfunction> {
        if let Some(&function) = self.functions.borrow().get(kernel) {
            return Ok(function);
        }
        let name = kernel.name();
        let text = CString::new(ptx::text(&name, self.class)?);
        let text = text.map_err(|_| Error::internal("PTX with a zero byte"))?;
        let entry = CString::new(name.as_str()).map_err(|_| Error::internal("a name with a zero byte"))?;
        let refused = |cause| self.session.error(&format!("does not take the kernel {name}"), cause);
        // SAFETY: the text ends with a zero byte, and the context is this thread's.
        let module = unsafe { module::load_data(text.as_ptr().cast()) }.map_err(refused)?;
        self.modules.borrow_mut().push(module);
        // SAFETY: the module lives until the device is dropped.
        let function = unsafe { module::get_function(module, entry) }.map_err(refused)?;
        self.functions.borrow_mut().insert(*kernel, function);
        Ok(function)
    }

    /// Does `work` with a launch as the driver takes it, where each slot is at its address.
    fn with_parameters<T>(
        &self,
        launch: &Launch,
        addresses: &[sys::CUdeviceptr],
        work: impl FnOnce(&sys::CUDA_KERNEL_NODE_PARAMS) -> T,
    ) -> Result<T> {
        let func = self.function(&launch.kernel)?;
        let mut parameters: Vec<*mut c_void> =
            addresses.iter().map(|address| from_ref(address).cast_mut().cast()).collect();
        parameters.push(launch.arguments.as_ptr().cast_mut().cast());
        let [x, y, z] = launch.grid;
        Ok(work(&sys::CUDA_KERNEL_NODE_PARAMS {
            func,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: launch.kernel.row().threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            kernelParams: parameters.as_mut_ptr(),
            extra: null_mut(),
        }))
    }

    /// Begins a launch behind those before it.
    fn start(&self, launch: &Launch, addresses: &[sys::CUdeviceptr]) -> Result<()> {
        let begin = |p: &sys::CUDA_KERNEL_NODE_PARAMS| {
            // SAFETY: there is a parameter a slot, each within its block, and behind them the struct of the table's row, as
            // `Launch::new` saw to. The driver has copied all when it returns, and blocks live until the pool has waited.
            unsafe {
                sys::cuLaunchKernel(
                    p.func,
                    p.gridDimX,
                    p.gridDimY,
                    p.gridDimZ,
                    p.blockDimX,
                    p.blockDimY,
                    p.blockDimZ,
                    p.sharedMemBytes,
                    self.session.stream,
                    p.kernelParams,
                    p.extra,
                )
            }
        };
        let begun = self.with_parameters(launch, addresses, begin)?;
        begun
            .result()
            .map_err(|cause| self.session.error(&format!("did not begin {}", launch.kernel.name()), cause))
    }

    /// Adds a launch to a graph, behind the last one.
    fn add(&self, graph: &mut Graph, node: &Node) -> Result<()> {
        let behind = graph.nodes.last().map_or(null(), from_ref);
        let count = usize::from(!behind.is_null());
        let mut added = null_mut();
        let add = |p: &sys::CUDA_KERNEL_NODE_PARAMS| {
            // SAFETY: as of a launch; the node before is of this graph.
            unsafe { sys::cuGraphAddKernelNode(&raw mut added, graph.graph, behind, count, p) }
        };
        let found = self.with_parameters(&node.launch, &addresses(node), add)?;
        found.result().map_err(|cause| self.session.error("adds no launch to a graph", cause))?;
        graph.nodes.push(added);
        Ok(())
    }

    /// Adds the launches to a graph that is empty, and makes it ready.
    fn fill(&self, graph: &mut Graph, nodes: &[Node]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.add(graph, node))?;
        // SAFETY: it is a graph; nobody wants to read which node was refused.
        let made = unsafe {
            sys::cuGraphInstantiate_v2(&raw mut graph.exec, graph.graph, null_mut(), null_mut(), 0)
        };
        made.result().map_err(|cause| self.session.error("makes no graph", cause))
    }
}

/// Where each slot of a launch is: the pool has seen that it is within its block, and of its kind.
fn addresses(node: &Node) -> Vec<sys::CUdeviceptr> {
    let slots = node.launch.kernel.row().slots();
    let pairs = slots.iter().zip(&node.sites);
    pairs
        .map(|(slot, site)| site.map_or(0, |site| site.address + (site.first * slot.element.bytes()) as u64))
        .collect()
}

fn no_graph() -> Error {
    Error::internal("there is no such launch in a graph, or no such graph")
}

impl Memory {
    /// Where `bytes` lie whose first is the element `first`.
    fn at(&self, first: usize, bytes: usize) -> Result<sys::CUdeviceptr> {
        let begin = first.checked_mul(self.element.bytes());
        let all = self.len * self.element.bytes();
        match begin.filter(|begin| begin.checked_add(bytes).is_some_and(|end| end <= all)) {
            Some(begin) => Ok(self.address + begin as sys::CUdeviceptr),
            None => Err(Error::internal(format!(
                "{bytes} bytes from element {first} on do not fit a block of {} elements",
                self.len
            ))),
        }
    }
}

impl Driver for Cuda {
    type Memory = Memory;

    fn allocate(&self, element: Element, len: usize) -> Result<Memory> {
        let session = self.session.clone();
        session.enter()?;
        let bytes = len.checked_mul(element.bytes());
        let bytes =
            bytes.ok_or_else(|| Error::new(ErrorKind::Memory, format!("no card holds {len} elements")))?;
        // SAFETY: it is given back by its owner alone, and is read where it was written.
        let address = unsafe { malloc_sync(bytes) };
        let address =
            address.map_err(|cause| session.error(&format!("has no room for {bytes} bytes"), cause))?;
        Ok(Memory { session, address, element, len })
    }

    fn upload(&self, to: &Memory, first: usize, bytes: &[u8]) -> Result<()> {
        self.session.enter()?;
        let at = to.at(first, bytes.len())?;
        // SAFETY: the block has room for them. From memory that the driver does not know it returns when it has them.
        unsafe { memcpy_htod_async(at, bytes, self.session.stream) }
            .map_err(|cause| self.session.error("took no numbers", cause))
    }

    fn download(&self, from: &Memory, first: usize, bytes: &mut [u8]) -> Result<()> {
        self.session.enter()?;
        let at = from.at(first, bytes.len())?;
        // SAFETY: the block has as many; they are waited for before the bytes are anybody's again.
        let copied = unsafe { memcpy_dtoh_async(bytes, at, self.session.stream) };
        let waited = self.wait();
        copied.map_err(|cause| self.session.error("gave no numbers", cause))?;
        waited
    }

    fn copy(&self, to: &Memory, first: usize, from: &Memory, from_first: usize, len: usize) -> Result<()> {
        if to.element != from.element {
            let (to, from) = (to.element, from.element);
            return Err(Error::internal(format!("{from:?} cannot be copied to {to:?}")));
        }
        self.session.enter()?;
        let bytes = len * to.element.bytes();
        let (to, from) = (to.at(first, bytes)?, from.at(from_first, bytes)?);
        // SAFETY: both blocks have as many bytes there.
        unsafe { memcpy_dtod_async(to, from, bytes, self.session.stream) }
            .map_err(|cause| self.session.error("copied no numbers", cause))
    }

    fn address(&self, memory: &Memory) -> u64 {
        memory.address
    }

    fn free_bytes(&self) -> Option<usize> {
        // What a Jetson's card and its processor share has room that is not told: files that are kept in memory go first.
        let is_own = !self.is_integrated && self.session.enter().is_ok();
        is_own.then(mem_get_info).and_then(|told| told.ok()).map(|(free_bytes, _)| free_bytes)
    }

    fn celsius(&self) -> Result<f64> {
        match self.sensor.get_or_init(|| self.find_sensor()) {
            Ok(sensor) => sensor.celsius(),
            Err(why) => Err(Error::new(why.kind(), why.to_string())),
        }
    }

    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Memory>>]) -> Result<()> {
        self.session.enter()?;
        let row = launch.kernel.row();
        let slots = row.slots();
        if slots.len() != memory.len() {
            let (name, wanted) = (launch.kernel.name(), slots.len());
            return Err(Error::internal(format!("{name} has {wanted} slots, not {}", memory.len())));
        }
        let mut addresses: Vec<sys::CUdeviceptr> = vec![];
        for (slot, piece) in slots.iter().zip(memory) {
            addresses.push(match piece {
                None => 0,
                Some(piece) if piece.memory.element != slot.element => {
                    let found = piece.memory.element;
                    return Err(Error::internal(format!("{} is no {found:?}", slot.name)));
                }
                Some(piece) => piece.memory.at(piece.first, piece.len * slot.element.bytes())?,
            });
        }
        self.start(launch, &addresses)
    }

    fn graphs(&self) -> Option<&dyn Graphs> {
        self.has_graphs.then_some(self)
    }

    fn wait(&self) -> Result<()> {
        self.session.enter()?;
        // SAFETY: the stream lives as long as the session.
        unsafe { result::stream::synchronize(self.session.stream) }
            .map_err(|cause| self.session.error("did not end its work", cause))
    }
}

impl Graphs for Cuda {
    fn launch_node(&self, node: &Node) -> Result<()> {
        self.session.enter()?;
        self.start(&node.launch, &addresses(node))
    }

    fn make_graph(&self, nodes: &[Node]) -> Result<u64> {
        self.session.enter()?;
        let mut graph = Graph { graph: null_mut(), exec: null_mut(), nodes: vec![] };
        // SAFETY: the context is this thread's; the graph is destroyed once.
        let made = unsafe { sys::cuGraphCreate(&raw mut graph.graph, 0) };
        made.result().map_err(|cause| self.session.error("makes no graph", cause))?;
        if let Err(cause) = self.fill(&mut graph, nodes) {
            graph.destroy();
            return Err(cause);
        }
        let number = self.graphs_made.get() + 1;
        self.graphs_made.set(number);
        self.graphs.borrow_mut().insert(number, graph);
        Ok(number)
    }

    fn update_graph(&self, graph: u64, number: usize, node: &Node) -> Result<()> {
        self.session.enter()?;
        let graphs = self.graphs.borrow();
        let graph = graphs.get(&graph).ok_or_else(no_graph)?;
        let &there = graph.nodes.get(number).ok_or_else(no_graph)?;
        let update = |p: &sys::CUDA_KERNEL_NODE_PARAMS| {
            // SAFETY: as of a launch; the node is of the graph that this one was made of. What is at work keeps what it was given.
            unsafe { sys::cuGraphExecKernelNodeSetParams(graph.exec, there, p) }
        };
        let updated = self.with_parameters(&node.launch, &addresses(node), update)?;
        updated.result().map_err(|cause| self.session.error("does not change a graph", cause))
    }

    fn begin_graph(&self, graph: u64) -> Result<()> {
        self.session.enter()?;
        let graphs = self.graphs.borrow();
        let graph = graphs.get(&graph).ok_or_else(no_graph)?;
        // SAFETY: its launches are as of a launch by itself.
        let begun = unsafe { sys::cuGraphLaunch(graph.exec, self.session.stream) };
        begun.result().map_err(|cause| self.session.error("did not begin a graph", cause))
    }

    fn free_graph(&self, graph: u64) {
        let found = self.graphs.borrow_mut().remove(&graph);
        if let Some(graph) = found.filter(|_| self.session.enter().is_ok()) {
            graph.destroy();
        }
    }
}
