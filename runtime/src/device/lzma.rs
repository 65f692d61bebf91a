//! LZMA, as 7-Zip's and xz's raw streams have it (Igor Pavlov, "LZMA specification", 2015), decoded alone. It halves what a library
//! carries where deflate has done its best.

use crate::error::{Error, Result};

/// How streams here are made: bits of the byte before that choose a literal's probabilities; nothing hangs on the position.
const LITERAL_CONTEXT_BITS: usize = 3;
const STATES: usize = 12;
/// From this state on the last thing was no literal.
const AFTER_MATCH: usize = 7;
const LEAST_LEN: usize = 2;
const HALF: u16 = 1 << 10;

/// The bytes of a stream that holds `len`.
///
/// # Errors
/// `Internal` for what is no such stream.
pub(super) fn decoded(stream: &[u8], len: usize) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new(stream, len);
    while decoder.out.len() < len {
        decoder.next(len)?;
    }
    Ok(decoder.out)
}

/// The range coder: bits, each by how likely it is 0, of 2048.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    range: u32,
    code: u32,
}

impl Bits<'_> {
    fn shift(&mut self) {
        if self.range < 1 << 24 {
            self.range <<= 8;
            // Behind its end a stream has nothing to say.
            self.code = self.code << 8 | u32::from(self.bytes.next().copied().unwrap_or(0));
        }
    }

    fn bit(&mut self, probability: &mut u16) -> usize {
        let bound = (self.range >> 11) * u32::from(*probability);
        let bit = self.code >= bound;
        if bit {
            self.range -= bound;
            self.code -= bound;
            *probability -= *probability >> 5;
        } else {
            self.range = bound;
            *probability += (2048 - *probability) >> 5;
        }
        self.shift();
        usize::from(bit)
    }

    /// Bits that are as likely 0 as 1.
    fn even(&mut self, count: usize) -> usize {
        (0..count).fold(0, |number, _| {
            self.range >>= 1;
            let bit = self.code >= self.range;
            self.code -= if bit { self.range } else { 0 };
            self.shift();
            number << 1 | usize::from(bit)
        })
    }

    /// A number of so many bits, the highest first, each by those before it.
    fn number(&mut self, tree: &mut [u16], bits: usize) -> usize {
        (0..bits).fold(1, |node, _| node << 1 | self.bit(&mut tree[node])) - (1 << bits)
    }

    /// The same with the lowest first; the tree's first node is at `root`.
    fn reversed(&mut self, tree: &mut [u16], root: usize, bits: usize) -> usize {
        let (mut node, mut number) = (1, 0);
        for i in 0..bits {
            let bit = self.bit(&mut tree[root + node]);
            node = node << 1 | bit;
            number |= bit << i;
        }
        number
    }
}

/// How long a match is.
struct Lengths {
    choices: [u16; 2],
    low: [u16; 8],
    middle: [u16; 8],
    high: [u16; 256],
}

impl Lengths {
    fn new() -> Self {
        Self { choices: [HALF; 2], low: [HALF; 8], middle: [HALF; 8], high: [HALF; 256] }
    }

    fn next(&mut self, bits: &mut Bits<'_>) -> usize {
        LEAST_LEN
            + if bits.bit(&mut self.choices[0]) == 0 {
                bits.number(&mut self.low, 3)
            } else if bits.bit(&mut self.choices[1]) == 0 {
                8 + bits.number(&mut self.middle, 3)
            } else {
                16 + bits.number(&mut self.high, 8)
            }
    }
}

struct Decoder<'a> {
    bits: Bits<'a>,
    out: Vec<u8>,
    state: usize,
    /// The last four distances, less 1.
    distances: [usize; 4],
    literals: Vec<u16>,
    is_match: [u16; STATES],
    is_repeat: [u16; STATES],
    /// Whether it is not the last distance, not the one before, not that before; and whether it is longer than a byte.
    is_other: [[u16; STATES]; 3],
    is_long: [u16; STATES],
    match_len: Lengths,
    repeat_len: Lengths,
    slots: [[u16; 64]; 4],
    near: [u16; 128],
    align: [u16; 16],
}

impl<'a> Decoder<'a> {
    fn new(stream: &'a [u8], len: usize) -> Self {
        let mut bits = Bits { bytes: stream.iter(), range: u32::MAX, code: 0 };
        for _ in 0..5 {
            bits.code = bits.code << 8 | u32::from(bits.bytes.next().copied().unwrap_or(0));
        }
        Self {
            bits,
            out: Vec::with_capacity(len),
            state: 0,
            distances: [0; 4],
            literals: vec![HALF; 0x300 << LITERAL_CONTEXT_BITS],
            is_match: [HALF; STATES],
            is_repeat: [HALF; STATES],
            is_other: [[HALF; STATES]; 3],
            is_long: [HALF; STATES],
            match_len: Lengths::new(),
            repeat_len: Lengths::new(),
            slots: [[HALF; 64]; 4],
            near: [HALF; 128],
            align: [HALF; 16],
        }
    }

    /// A literal or a match, of which nothing goes past `most` bytes.
    fn next(&mut self, most: usize) -> Result<()> {
        let state = self.state;
        if self.bits.bit(&mut self.is_match[state]) == 0 {
            return self.literal();
        }
        let is_repeat = self.bits.bit(&mut self.is_repeat[state]) == 1;
        let len = if !is_repeat {
            let len = self.match_len.next(&mut self.bits);
            self.distances.rotate_right(1);
            self.distances[0] = self.distance(len);
            self.state = if state < AFTER_MATCH { 7 } else { 10 };
            len
        } else {
            let bits = &mut self.bits;
            let which = (0..3).find(|&i| bits.bit(&mut self.is_other[i][state]) == 0).unwrap_or(3);
            if which == 0 && self.bits.bit(&mut self.is_long[state]) == 0 {
                self.state = if state < AFTER_MATCH { 9 } else { 11 };
                1
            } else {
                self.distances[..=which].rotate_right(1);
                self.state = if state < AFTER_MATCH { 8 } else { 11 };
                self.repeat_len.next(&mut self.bits)
            }
        };
        for _ in 0..len.min(most - self.out.len()) {
            let byte = self.behind()?;
            self.out.push(byte);
        }
        Ok(())
    }

    /// The byte at the last distance.
    fn behind(&self) -> Result<u8> {
        let last = self.out.len().checked_sub(1);
        let at = last.and_then(|last| last.checked_sub(self.distances[0]));
        let byte = at.and_then(|at| self.out.get(at)).copied();
        byte.ok_or_else(|| Error::internal("a packed text refers to what is before its beginning"))
    }

    fn literal(&mut self) -> Result<()> {
        let before = usize::from(self.out.last().copied().unwrap_or(0));
        let context = before >> (8 - LITERAL_CONTEXT_BITS);
        let mut symbol = 1;
        // Behind a match the byte differs from the one that would have followed; its bits tell, as long as they are the same.
        let mut other = if self.state >= AFTER_MATCH { Some(usize::from(self.behind()?)) } else { None };
        let tree = &mut self.literals[0x300 * context..][..0x300];
        while symbol < 0x100 {
            let expected = other.map(|byte| byte >> 7 & 1);
            let bit = self.bits.bit(&mut tree[expected.map_or(0, |expected| (1 + expected) << 8) + symbol]);
            symbol = symbol << 1 | bit;
            other = other.filter(|_| expected == Some(bit)).map(|byte| byte << 1);
        }
        self.out.push(symbol as u8);
        self.state = match self.state {
            0..4 => 0,
            state @ 4..10 => state - 3,
            state => state - 6,
        };
        Ok(())
    }

    /// The distance of a match, less 1.
    fn distance(&mut self, len: usize) -> usize {
        let slot = self.bits.number(&mut self.slots[(len - LEAST_LEN).min(3)], 6);
        if slot < 4 {
            return slot;
        }
        let bits = slot / 2 - 1;
        let first = (2 | slot & 1) << bits;
        if slot < 14 {
            return first + self.bits.reversed(&mut self.near, first - slot, bits);
        }
        let high = self.bits.even(bits - 4) << 4;
        first + high + self.bits.reversed(&mut self.align, 0, 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By Python: `lzma.compress(text, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "preset": 9, "lc": 3, "lp": 0, "pb": 0}])`.
    const PACKED: &[u8] = include_bytes!("lzma/text");

    /// Literals, matches near and far, long and short ones, and each of the last four distances again.
    fn text() -> Vec<u8> {
        let mut text = vec![];
        let mut number = 1u32;
        for i in 0..400u32 {
            number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            text.extend(format!("%r{} = %f{};\n", number >> 16 & 63, i & 7).bytes());
            if i % 50 == 49 {
                text.extend(vec![b'-'; 300]);
                text.extend_from_within(..text.len() / 2);
            }
        }
        text
    }

    #[test]
    fn a_text_is_what_was_packed() {
        let text = text();
        assert_eq!(decoded(PACKED, text.len()).unwrap(), text);
        assert_eq!(decoded(PACKED, 100).unwrap(), text[..100]);
    }

    #[test]
    fn what_is_no_stream_ends() {
        for first in 0..=255 {
            let stream: Vec<u8> = (0..200u32).map(|i| (i * i * 7 + first * 31) as u8).collect();
            match decoded(&stream, 5000) {
                Ok(bytes) => assert_eq!(bytes.len(), 5000),
                Err(cause) => assert!(cause.to_string().contains("before its beginning"), "{cause}"),
            }
        }
    }
}
