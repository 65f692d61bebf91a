//! The memory of an open device: blocks of exactly the sizes that were asked for. A step asks for the same sizes as the step
//! before, so that what was given back serves again, and nothing is rounded up.

use super::deferred::Deferred;
use super::driver::{Driver, Node, Piece, Site};
use super::later::{LaterKind, Queue, Waiting};
use super::launch::{Launch, Traffic};
use super::launches::update::{ARRAYS, Table};
use super::series::Series;
use super::table::body::{Access, Element};
use crate::error::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, HashMap};

/// How much memory of a device is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub live_bytes: usize,
    /// The most that were in use at once.
    pub peak_bytes: usize,
    /// The most that the driver had given at once: in use, and waiting for who asks for as many.
    pub held_bytes: usize,
    /// Bytes that were given back and wait for who asks for as many.
    pub free_bytes: usize,
    /// Blocks that the driver was asked for.
    pub allocations: usize,
}

/// What was launched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// Launches, and copies from one block to another.
    pub launches: u64,
    /// What they cost together.
    pub traffic: Traffic,
    /// Launches of each kernel, whatever it is specialised for, and what they cost together.
    pub kernels: BTreeMap<&'static str, (u64, Traffic)>,
    /// Graphs that were begun, each a series of launches.
    pub graphs: u64,
    /// Launches in them.
    pub graph_launches: u64,
    /// Those of them that were given something else than the time before.
    pub updates: u64,
}

/// Some elements of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The block's number.
    pub(super) block: u64,
    /// The first element.
    pub(super) first: usize,
    /// Elements.
    pub(super) len: usize,
}

/// What a slot of a kernel is given.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// Nothing, as the kernel does not look at it.
    Nothing,
    /// Memory.
    Span(Span),
    /// Words, or the bits of floats, that are uploaded once and stay.
    Table(Element, Vec<u32>),
    /// Where these are.
    Addresses(Vec<[Option<Span>; ARRAYS]>),
}

/// What is asked of an open device, whatever its driver is. Blocks are numbers.
pub(super) trait Requests: Send {
    fn take(&mut self, element: Element, len: usize) -> Result<u64>;
    fn give(&mut self, block: u64);
    fn upload(&mut self, to: Span, bytes: &[u8]) -> Result<()>;
    fn download(&mut self, from: Span, bytes: &mut [u8]) -> Result<()>;
    fn copy(&mut self, to: Span, from: Span) -> Result<()>;
    fn launch(&mut self, launch: &Launch, given: Vec<Given>) -> Result<()>;
    fn later(&mut self, waiting: Waiting) -> Result<()>;
    fn defer(&mut self, deferred: Deferred) -> Result<()>;
    fn mask(&mut self, of: Span, mask: Span) -> bool;
    fn settle(&mut self) -> Result<()>;
    fn wait(&mut self) -> Result<()>;
    fn usage(&self) -> Usage;
    fn free_bytes(&self) -> Option<usize>;
    fn celsius(&self) -> Result<f64>;
    fn reset_peak(&mut self);
    fn launched(&mut self) -> &mut Launched;
    fn limit(&mut self, bytes: usize) -> Result<()>;
    fn keep(&mut self, bytes: usize) -> Result<()>;
}

/// A block that is in use.
struct Held<M> {
    memory: M,
    element: Element,
    len: usize,
    /// Of the blocks of its size the lowest serves next, so that each step finds its memory where the step before did.
    number: usize,
}

/// A driver and its memory.
pub(super) struct Pool<D: Driver> {
    driver: D,
    live: HashMap<u64, Held<D::Memory>>,
    free: HashMap<(Element, usize), BTreeMap<usize, D::Memory>>,
    tables: HashMap<(Element, Vec<u32>), Span>,
    series: Series,
    queue: Queue,
    deferred: Option<Deferred>,
    next: u64,
    limit_bytes: usize,
    /// Past it nothing waits for who asks for as many.
    keep_bytes: usize,
    usage: Usage,
    launched: Launched,
}

impl<D: Driver> Pool<D> {
    pub(super) fn new(driver: D) -> Self {
        Self {
            driver,
            live: HashMap::new(),
            free: HashMap::new(),
            tables: HashMap::new(),
            series: Series::default(),
            queue: Queue::default(),
            deferred: None,
            next: 0,
            limit_bytes: usize::MAX,
            keep_bytes: usize::MAX,
            usage: Usage::default(),
            launched: Launched::default(),
        }
    }

    /// A block that is new to the pool.
    fn allocate(&mut self, element: Element, len: usize) -> Result<D::Memory> {
        let bytes = bytes(element, len);
        if self.usage.live_bytes.saturating_add(bytes) > self.limit_bytes {
            self.settle()?;
        }
        let all = self.usage.live_bytes.saturating_add(bytes);
        if all > self.limit_bytes {
            return Err(Error::new(
                ErrorKind::Memory,
                format!("{all} bytes of the device are needed where {} are allowed", self.limit_bytes),
            ));
        }
        self.release_past(self.limit_bytes.min(self.keep_bytes), bytes)?;
        self.usage.allocations += 1;
        let found = match self.driver.allocate(element, len) {
            Err(cause) if cause.kind() == ErrorKind::Memory && self.usage.free_bytes > 0 => {
                self.release(usize::MAX)?;
                self.driver.allocate(element, len)
            }
            found => found,
        };
        self.usage.held_bytes =
            self.usage.held_bytes.max(self.usage.live_bytes + self.usage.free_bytes + bytes);
        found.map_err(|cause| match cause.kind() {
            ErrorKind::Memory => Error::new(
                ErrorKind::Memory,
                format!(
                    "{cause}, beside {} that are in use; take a smaller batch, micro-batches or a memory budget",
                    self.usage.live_bytes
                ),
            ),
            _ => cause,
        })
    }

    /// Gives of what waits as much back as is held past `most_bytes` when `more_bytes` are there, too.
    fn release_past(&mut self, most_bytes: usize, more_bytes: usize) -> Result<()> {
        let held = self.usage.live_bytes.saturating_add(self.usage.free_bytes).saturating_add(more_bytes);
        match held.saturating_sub(most_bytes).min(self.usage.free_bytes) {
            0 => Ok(()),
            past => self.release(past),
        }
    }

    /// Gives at least so many of the bytes that wait back to the driver, when no launch uses them any more: the smallest block
    /// that is enough, or else the largest and so on.
    fn release(&mut self, least_bytes: usize) -> Result<()> {
        self.flush()?;
        self.driver.wait()?;
        let mut sizes: Vec<(usize, Element, usize)> = self
            .free
            .iter()
            .flat_map(|(&(element, len), of)| vec![(bytes(element, len), element, len); of.len()])
            .collect();
        sizes.sort_unstable();
        let mut left = least_bytes;
        while left > 0 && !sizes.is_empty() {
            let enough = sizes.partition_point(|&(size, ..)| size < left);
            let (size, element, len) = sizes.remove(enough.min(sizes.len() - 1));
            self.free.get_mut(&(element, len)).map(BTreeMap::pop_last);
            self.usage.free_bytes -= size;
            left = left.saturating_sub(size);
        }
        Ok(())
    }

    fn piece(&self, span: Span) -> Result<Piece<'_, D::Memory>> {
        let memory = &self.held(span.block)?.memory;
        Ok(Piece { memory, first: span.first, len: span.len })
    }

    fn held(&self, block: u64) -> Result<&Held<D::Memory>> {
        self.live.get(&block).ok_or_else(|| Error::internal("a block was asked for that was given back"))
    }

    fn table(&mut self, element: Element, words: Vec<u32>) -> Result<Span> {
        let key = (element, words);
        if let Some(&span) = self.tables.get(&key) {
            return Ok(span);
        }
        let words = &key.1;
        let span = Span { block: self.take(element, words.len())?, first: 0, len: words.len() };
        self.upload(span, &words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>())?;
        self.tables.insert(key, span);
        Ok(span)
    }

    /// A block with the addresses of others.
    fn addresses(&mut self, arrays: &[[Option<Span>; ARRAYS]]) -> Result<Span> {
        let mut bytes = vec![];
        for span in arrays.iter().flatten() {
            let address = match span {
                Some(span) => self.driver.address(&self.held(span.block)?.memory),
                None => 0,
            };
            bytes.extend(address.to_ne_bytes());
        }
        let len = arrays.len() * ARRAYS;
        let span = Span { block: self.take(Element::Address, len)?, first: 0, len };
        // A launch that waits may read what was there before.
        self.flush()?;
        self.driver.upload(&self.held(span.block)?.memory, 0, &bytes)?;
        Ok(span)
    }

    /// Begins the launches that wait for the rest of their series.
    fn flush(&mut self) -> Result<()> {
        let Self { driver, series, launched, .. } = self;
        driver.graphs().map_or(Ok(()), |graphs| series.flush(graphs, launched))
    }

    /// Begins a launch, by itself or in a series.
    fn start(&mut self, launch: &Launch, spans: &[Option<Span>]) -> Result<()> {
        if self.driver.graphs().is_none() {
            let pieces = spans.iter().map(|span| span.map(|span| self.piece(span)).transpose());
            return self.driver.launch(launch, &pieces.collect::<Result<Vec<_>>>()?);
        }
        let slots = launch.kernel.row().slots();
        if slots.len() != spans.len() {
            let (name, wanted) = (launch.kernel.name(), slots.len());
            return Err(Error::internal(format!("{name} has {wanted} slots, not {}", spans.len())));
        }
        let site = |(element, span): (Element, Span)| {
            let held = self.held(span.block)?;
            if held.element != element || span.first.saturating_add(span.len) > held.len {
                let name = launch.kernel.name();
                return Err(Error::internal(format!("{name} was given {span:?} for {element:?}")));
            }
            Ok(Site { address: self.driver.address(&held.memory), first: span.first, len: span.len })
        };
        let given = slots.iter().zip(spans).map(|(slot, span)| span.map(|span| site((slot.element, span))));
        let sites = given.map(Option::transpose).collect::<Result<Vec<_>>>()?;
        let Self { driver, series, launched, .. } = self;
        let node = Node { launch: launch.clone(), sites };
        driver.graphs().map_or(Ok(()), |graphs| series.push(node, graphs, launched))
    }

    /// Launches what was deferred. What waits in the queue was asked for later.
    fn begin_deferred(&mut self) -> Result<()> {
        let Some(deferred) = self.deferred.take() else { return Ok(()) };
        let begun = deferred.launch().and_then(|launch| self.begin(&launch, deferred.given));
        deferred.given_back.into_iter().for_each(|block| self.free(block));
        begun
    }

    /// Launches what waits before somebody reads, or `writes`, a block, if he must wait for it.
    fn settle_before(&mut self, block: u64, writes: bool) -> Result<()> {
        if self.queue.is_before(block, writes) { self.settle() } else { Ok(()) }
    }

    /// Those that wait, in one launch for as many in a row as are alike.
    fn launch_alike(&mut self, waiting: &[Waiting]) -> Result<()> {
        for alike in waiting.chunk_by(|a, b| a.kind == b.kind) {
            let table = Table::new(&alike.iter().map(Waiting::slot).collect::<Vec<_>>())?;
            let words = Given::Table(Element::U32, table.words.clone());
            let mut given = vec![Given::Addresses(alike.iter().map(|one| one.arrays).collect()), words];
            let launch = match alike[0].kind {
                LaterKind::Step(step) => {
                    given.push(Given::Nothing);
                    table.step(&step, 0, 1.0)?
                }
                LaterKind::Average { keep } => table.average(keep)?,
            };
            self.begin(&launch, given)?;
        }
        Ok(())
    }

    /// Gives the driver a launch.
    fn begin(&mut self, launch: &Launch, given: Vec<Given>) -> Result<()> {
        let (mut spans, mut lent) = (vec![], vec![]);
        for given in given {
            spans.push(match given {
                Given::Nothing => None,
                Given::Span(span) => Some(span),
                Given::Table(element, words) => Some(self.table(element, words)?),
                Given::Addresses(arrays) => {
                    let span = self.addresses(&arrays)?;
                    lent.push(span.block);
                    Some(span)
                }
            });
        }
        let begun = self.start(launch, &spans);
        lent.into_iter().for_each(|block| self.free(block));
        begun?;
        self.count(launch.kernel.function_name(), launch.traffic);
        Ok(())
    }

    fn count(&mut self, kernel: &'static str, one: Traffic) {
        let all = &mut self.launched;
        all.launches += 1;
        all.traffic += one;
        let (launches, traffic) = all.kernels.entry(kernel).or_default();
        *launches += 1;
        *traffic += one;
    }

    /// Puts a block where it waits for its next user.
    fn free(&mut self, block: u64) {
        let Some(Held { memory, element, len, number }) = self.live.remove(&block) else { return };
        self.usage.live_bytes -= bytes(element, len);
        self.usage.free_bytes += bytes(element, len);
        self.free.entry((element, len)).or_default().insert(number, memory);
    }
}

fn bytes(element: Element, len: usize) -> usize {
    element.bytes().saturating_mul(len)
}

impl<D: Driver> Requests for Pool<D> {
    fn take(&mut self, element: Element, len: usize) -> Result<u64> {
        // Drivers give no block of no elements.
        let len = len.max(1);
        let (number, memory) = match self.free.get_mut(&(element, len)).and_then(BTreeMap::pop_first) {
            Some((number, memory)) => {
                self.usage.free_bytes -= bytes(element, len);
                // What waits in a series may read it yet.
                if self.driver.graphs().is_none() {
                    self.driver.renew(&memory);
                }
                (number, memory)
            }
            None => {
                let memory = self.allocate(element, len)?;
                (self.usage.allocations, memory)
            }
        };
        self.usage.live_bytes += bytes(element, len);
        self.usage.peak_bytes = self.usage.peak_bytes.max(self.usage.live_bytes);
        self.next += 1;
        self.live.insert(self.next, Held { memory, element, len, number });
        Ok(self.next)
    }

    fn give(&mut self, block: u64) {
        match &mut self.deferred {
            _ if self.queue.holds(block) => self.queue.given.push(block),
            Some(deferred) if deferred.holds(block) => deferred.given_back.push(block),
            _ => self.free(block),
        }
    }

    fn upload(&mut self, to: Span, bytes: &[u8]) -> Result<()> {
        self.begin_deferred()?;
        self.settle_before(to.block, true)?;
        self.flush()?;
        self.driver.upload(&self.held(to.block)?.memory, to.first, bytes)
    }

    fn download(&mut self, from: Span, bytes: &mut [u8]) -> Result<()> {
        self.begin_deferred()?;
        self.settle_before(from.block, false)?;
        self.flush()?;
        self.driver.download(&self.held(from.block)?.memory, from.first, bytes)
    }

    fn copy(&mut self, to: Span, from: Span) -> Result<()> {
        self.begin_deferred()?;
        self.settle_before(to.block, true)?;
        self.settle_before(from.block, false)?;
        self.flush()?;
        let (target, source) = (self.held(to.block)?, self.held(from.block)?);
        self.driver.copy(&target.memory, to.first, &source.memory, from.first, from.len)?;
        let moved = bytes(target.element, from.len) as u64;
        self.count("copy", Traffic { bytes_read: moved, bytes_written: moved, operations: 0 });
        Ok(())
    }

    fn launch(&mut self, launch: &Launch, given: Vec<Given>) -> Result<()> {
        self.begin_deferred()?;
        for (slot, given) in launch.kernel.row().slots().iter().zip(&given) {
            if let Given::Span(span) = given {
                self.settle_before(span.block, slot.access == Access::Write)?;
            }
        }
        self.begin(launch, given)
    }

    fn later(&mut self, waiting: Waiting) -> Result<()> {
        if !self.queue.can_take(&waiting) {
            self.settle()?;
        }
        self.queue.push(waiting);
        if self.queue.is_full() { self.settle() } else { Ok(()) }
    }

    fn defer(&mut self, deferred: Deferred) -> Result<()> {
        self.begin_deferred()?;
        for (slot, given) in deferred.launch()?.kernel.row().slots().iter().zip(&deferred.given) {
            if let Given::Span(span) = given {
                self.settle_before(span.block, slot.access == Access::Write)?;
            }
        }
        self.deferred = Some(deferred);
        Ok(())
    }

    fn mask(&mut self, of: Span, mask: Span) -> bool {
        match &mut self.deferred {
            Some(deferred) if deferred.can_mask(of) && !self.queue.is_before(mask.block, false) => {
                deferred.mask(mask);
                true
            }
            _ => false,
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.begin_deferred()?;
        let Queue { waiting, given, .. } = std::mem::take(&mut self.queue);
        let launched = self.launch_alike(&waiting);
        given.into_iter().for_each(|block| self.free(block));
        launched
    }

    fn wait(&mut self) -> Result<()> {
        self.settle()?;
        self.flush()?;
        self.driver.wait()
    }

    fn usage(&self) -> Usage {
        self.usage
    }

    fn free_bytes(&self) -> Option<usize> {
        self.driver.free_bytes().map(|bytes| bytes + self.usage.free_bytes)
    }

    fn celsius(&self) -> Result<f64> {
        self.driver.celsius()
    }

    fn reset_peak(&mut self) {
        self.usage.peak_bytes = self.usage.live_bytes;
        self.usage.held_bytes = self.usage.live_bytes + self.usage.free_bytes;
    }

    fn launched(&mut self) -> &mut Launched {
        &mut self.launched
    }

    fn limit(&mut self, bytes: usize) -> Result<()> {
        self.begin_deferred()?;
        self.limit_bytes = bytes;
        self.keep(self.keep_bytes)
    }

    fn keep(&mut self, bytes: usize) -> Result<()> {
        self.keep_bytes = bytes;
        self.release_past(bytes.min(self.limit_bytes), 0)
    }
}
