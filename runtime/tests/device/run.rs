//! One case on a device: memory, launches, and how far results are from their twins.

use localgrad::device::driver::{Driver, Piece};
use localgrad::device::emulated::{Emulated, Memory};
use localgrad::device::launch::Launch;
use localgrad::device::table::body::Element;

/// What went wrong: a fault that the device saw, or a result that is far from its twin.
pub(crate) type Outcome<T> = Result<T, String>;
/// A case. The tests run it in several orders, and without barriers.
pub(crate) type Case = fn(&mut Run<'_>) -> Outcome<()>;

/// Bound on |result - twin| relative to the largest twin (or 1).
pub(crate) const NEAR: f64 = 2e-5;

pub(crate) struct Run<'a> {
    device: &'a Emulated,
    /// The bits of every result that was compared.
    pub(crate) bits: Vec<u32>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(device: &'a Emulated) -> Self {
        Self { device, bits: vec![] }
    }

    pub(crate) fn empty(&self, element: Element, len: usize) -> Memory {
        self.device.allocate(element, len).unwrap()
    }

    pub(crate) fn room(&self, len: usize) -> Memory {
        self.empty(Element::F32, len)
    }

    pub(crate) fn floats(&self, numbers: &[f64]) -> Memory {
        let words: Vec<u32> = numbers.iter().map(|&x| (x as f32).to_bits()).collect();
        self.uploaded(Element::F32, &words)
    }

    pub(crate) fn words(&self, words: &[u32]) -> Memory {
        self.uploaded(Element::U32, words)
    }

    fn uploaded(&self, element: Element, words: &[u32]) -> Memory {
        let memory = self.empty(element, words.len());
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.device.upload(&memory, 0, &bytes).unwrap();
        memory
    }

    /// A table of where blocks are.
    pub(crate) fn addresses(&self, blocks: &[Option<&Memory>]) -> Memory {
        let memory = self.empty(Element::Address, blocks.len());
        let address = |block: &Option<&Memory>| block.map_or(0, |block| self.device.address(block));
        let bytes: Vec<u8> = blocks.iter().flat_map(|block| address(block).to_ne_bytes()).collect();
        self.device.upload(&memory, 0, &bytes).unwrap();
        memory
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> Memory {
        let memory = self.empty(Element::U8, bytes.len());
        self.device.upload(&memory, 0, bytes).unwrap();
        memory
    }

    /// The device.
    pub(crate) fn device(&self) -> &Emulated {
        self.device
    }

    /// Launches with whole blocks of memory; slots behind these are given nothing.
    pub(crate) fn launch(&self, launch: &Launch, memory: &[(Option<&Memory>, usize)]) -> Outcome<()> {
        let slots = launch.kernel.row().slots().len();
        let given = memory.iter().map(|&(memory, len)| memory.map(|memory| Piece { memory, first: 0, len }));
        let pieces: Vec<_> = given.chain(std::iter::repeat_with(|| None)).take(slots).collect();
        self.device.launch(launch, &pieces).map_err(|error| error.to_string())
    }

    pub(crate) fn read_bytes(&self, memory: &Memory, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.device.download(memory, 0, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn read(&self, memory: &Memory, len: usize) -> Vec<f32> {
        let bytes = self.read_bytes(memory, 4 * len);
        bytes.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
    }

    /// Holds a result against its twin. NaN is near NaN alone.
    pub(crate) fn near(&mut self, what: &str, memory: &Memory, twin: &[f64], tolerance: f64) -> Outcome<()> {
        self.near_from(0, what, memory, twin, tolerance)
    }

    /// The same from an element on: what is of another size has a tolerance of its own.
    pub(crate) fn near_from(
        &mut self,
        first: usize,
        what: &str,
        memory: &Memory,
        twin: &[f64],
        tolerance: f64,
    ) -> Outcome<()> {
        let found = self.read(memory, first + twin.len()).split_off(first);
        self.bits.extend(found.iter().map(|x| x.to_bits()));
        let largest = twin.iter().filter(|x| x.is_finite()).fold(1.0f64, |most, x| most.max(x.abs()));
        for (i, (&found, &twin)) in found.iter().zip(twin).enumerate() {
            let same = f64::from(found) == twin || (found.is_nan() && twin.is_nan());
            let off = (f64::from(found) - twin).abs() / largest;
            if !same && (off.is_nan() || off > tolerance) {
                return Err(format!("{what}[{i}] is {found}, not {twin}"));
            }
        }
        Ok(())
    }
}

/// Runs a case in three orders of lanes and blocks; the bits must be the same in each.
pub(crate) fn in_every_order(case: Case) {
    let mut first = None;
    for seed in 0..3 {
        let device = Emulated { seed, ..Emulated::default() };
        let mut run = Run::new(&device);
        if let Err(fault) = case(&mut run) {
            panic!("in order {seed}: {fault}");
        }
        assert!(!run.bits.is_empty(), "the case compares nothing");
        let first = first.get_or_insert_with(|| run.bits.clone());
        assert!(*first == run.bits, "order {seed} gives other bits");
    }
}
