//! Python's pickles, as far as data sets and weights are kept in them: numbers, texts, lists, dictionaries, NumPy arrays of bytes
//! and what stands for PyTorch's tensors.
//!
//! No code is run: a callable is a name and nothing else, and arrays are known by the names of what would make them. Every
//! value is made once and referred to by its number, so that a small file cannot stand for a large one.
//! See `Lib/pickletools.py` of CPython for the format.

use localgrad::{Error, Result};

/// A value, by its number among all.
pub type Id = usize;

/// What a pickle holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing of interest: none, numbers with a point, what is on the stack between values.
    Other,
    /// A whole number, or a truth.
    Int(i64),
    /// Bytes, or a text of either version of Python.
    Bytes(&'a [u8]),
    /// Bytes that a text stands for, one a character.
    Latin(Vec<u8>),
    /// A list, tuple or set.
    List(Vec<Id>),
    /// A dictionary: keys and values in turn.
    Dict(Vec<Id>),
    /// A callable by its module and name.
    Name(&'a [u8], &'a [u8]),
    /// What a callable would make of arguments, and what it would be set to.
    Made {
        /// The callable.
        by: Id,
        /// Its arguments.
        of: Id,
        /// The state that it would be given.
        state: Option<Id>,
    },
    /// What lies outside the pickle, by what it calls it.
    Persistent(Id),
}

/// All values of a pickle.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

/// A NumPy array of bytes.
#[derive(Debug, PartialEq)]
pub struct ByteArray<'a> {
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Row after row.
    pub bytes: &'a [u8],
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of any protocol.
    ///
    /// # Errors
    /// `Format` with what is wrong where; nothing is made that the bytes do not hold.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::read_first(bytes).map(|(pickle, _)| pickle)
    }

    /// The same of the pickle that `bytes` begin with, and the bytes behind it.
    ///
    /// # Errors
    /// Those of [`Pickle::read`].
    pub fn read_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8])> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        };
        let root = loop {
            let start = machine.at;
            match machine.step() {
                Some(Step::Next) => {}
                Some(Step::Done(root)) => break root,
                None => {
                    let code = bytes.get(start).copied().unwrap_or_default();
                    return Err(Error::format(format!(
                        "no pickle of plain data: cut off or wrong at byte {start} (opcode {code:#04x})"
                    )));
                }
            }
        };
        let rest = bytes.get(machine.at..).unwrap_or_default();
        Ok((Self { values: machine.values, root }, rest))
    }

    /// The number of the value that the pickle is.
    pub fn root(&self) -> Id {
        self.root
    }

    /// All values, also those that others are made of.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The value of that number.
    pub fn value(&self, id: Id) -> &Value<'a> {
        self.values.get(id).unwrap_or(&Value::Other)
    }

    /// The value under a key of the dictionary that the pickle is.
    pub fn get(&self, key: &str) -> Option<Id> {
        let Value::Dict(entries) = self.value(self.root) else { return None };
        let is_key = |id: Id| self.bytes(id) == Some(key.as_bytes());
        entries.chunks_exact(2).find(|pair| is_key(pair[0])).map(|pair| pair[1])
    }

    /// The whole numbers of a list.
    pub fn ints(&self, id: Id) -> Option<Vec<i64>> {
        let Value::List(items) = self.value(id) else { return None };
        let int = |&id: &Id| match self.value(id) {
            Value::Int(number) => Some(*number),
            _ => None,
        };
        items.iter().map(int).collect()
    }

    /// The texts of a list.
    pub fn texts(&self, id: Id) -> Option<Vec<String>> {
        let Value::List(items) = self.value(id) else { return None };
        let text = |&id: &Id| Some(String::from_utf8_lossy(self.bytes(id)?).into_owned());
        items.iter().map(text).collect()
    }

    /// A NumPy array of bytes in rows.
    pub fn byte_array(&self, id: Id) -> Option<ByteArray<'_>> {
        let Value::Made { by, of, state } = self.value(id) else { return None };
        let Value::Name(_, name) = self.value(*by) else { return None };
        let parts = |id: Id| match self.value(id) {
            Value::List(parts) => Some(parts.as_slice()),
            _ => None,
        };
        let (shape, dtype, data) = match (*name, state) {
            // version, shape, type, whether columns come first, data
            (b"_reconstruct", Some(state)) => match parts(*state)? {
                &[_, shape, dtype, by_columns, data] if *self.value(by_columns) == Value::Int(0) => {
                    (shape, dtype, data)
                }
                _ => return None,
            },
            // data, type, shape, order
            (b"_frombuffer", _) => match parts(*of)? {
                &[data, dtype, shape, order] if *self.value(order) == Value::Bytes(b"C") => {
                    (shape, dtype, data)
                }
                _ => return None,
            },
            _ => return None,
        };
        let Value::Made { of, .. } = self.value(dtype) else { return None };
        let is_bytes = matches!(self.value(*parts(*of)?.first()?), Value::Bytes(b"u1" | b"|u1" | b"uint8"));
        let shape: Option<Vec<usize>> =
            self.ints(shape)?.into_iter().map(|side| usize::try_from(side).ok()).collect();
        let (shape, bytes) = (shape?, self.bytes(data)?);
        let count = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side))?;
        (is_bytes && count == bytes.len()).then_some(ByteArray { shape, bytes })
    }

    /// Bytes, also those that Python 3 wrote for Python 2.
    fn bytes(&self, id: Id) -> Option<&[u8]> {
        match self.value(id) {
            Value::Bytes(bytes) => Some(bytes),
            Value::Latin(bytes) => Some(bytes),
            _ => None,
        }
    }
}

enum Step {
    Next,
    Done(Id),
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    /// Values by the number that they were put away under.
    memo: Vec<Option<Id>>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(part)
    }

    /// A little-endian number of so many bytes.
    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn sized(&mut self, len: usize) -> Option<&'a [u8]> {
        let size = usize::try_from(self.number(len)?).ok()?;
        self.take(size)
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        let len = self.bytes.get(self.at..)?.iter().position(|&byte| byte == b'\n')?;
        let line = self.take(len)?;
        self.at += 1;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn line_number(&mut self) -> Option<i64> {
        let line = self.line()?;
        std::str::from_utf8(line.strip_suffix(b"L").unwrap_or(line)).ok()?.parse().ok()
    }

    fn push(&mut self, value: Value<'a>) -> Option<Step> {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Some(Step::Next)
    }

    fn since_mark(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn last(&mut self, count: usize) -> Option<Vec<Id>> {
        let from = self.stack.len().checked_sub(count)?;
        Some(self.stack.split_off(from))
    }

    fn add(&mut self, mut added: Vec<Id>) -> Option<Step> {
        let onto = *self.stack.last()?;
        match self.values.get_mut(onto)? {
            Value::List(items) | Value::Dict(items) => items.append(&mut added),
            // Of a class that is known by its name alone.
            Value::Made { .. } => {}
            _ => return None,
        }
        Some(Step::Next)
    }

    fn put(&mut self, place: u64) -> Option<Step> {
        let place = usize::try_from(place).ok().filter(|&place| place <= self.bytes.len())?;
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(*self.stack.last()?);
        Some(Step::Next)
    }

    fn fetch(&mut self, place: u64) -> Option<Step> {
        let id = (*self.memo.get(usize::try_from(place).ok()?)?)?;
        self.stack.push(id);
        Some(Step::Next)
    }

    /// What a callable would make of its arguments; a text that stands for bytes becomes these.
    fn reduce(&mut self) -> Option<Step> {
        let &[by, of] = self.last(2)?.as_slice() else { return None };
        if let (Value::Name(b"_codecs", b"encode"), Value::List(parts)) = (&self.values[by], &self.values[of])
            && let Some(Value::Bytes(text)) = parts.first().and_then(|&first| self.values.get(first))
        {
            let latin = |c: char| u8::try_from(u32::from(c)).ok();
            let bytes = std::str::from_utf8(text).ok()?.chars().map(latin).collect::<Option<Vec<u8>>>()?;
            return self.push(Value::Latin(bytes));
        }
        if let Value::Name(b"collections", b"OrderedDict" | b"defaultdict") = self.values[by] {
            return self.push(Value::Dict(Vec::new()));
        }
        self.push(Value::Made { by, of, state: None })
    }

    fn build(&mut self) -> Option<Step> {
        let given = self.stack.pop()?;
        if let Value::Made { state, .. } = self.values.get_mut(*self.stack.last()?)? {
            *state = Some(given);
        }
        Some(Step::Next)
    }

    fn step(&mut self) -> Option<Step> {
        match self.take(1)?[0] {
            0x80 => self.take(1).map(|_| Step::Next),
            0x95 => self.take(8).map(|_| Step::Next),
            b'.' => Some(Step::Done(self.stack.pop()?)),
            b'(' => {
                self.marks.push(self.stack.len());
                Some(Step::Next)
            }
            b'0' => self.stack.pop().map(|_| Step::Next),
            b'1' => self.since_mark().map(|_| Step::Next),
            b'2' => {
                self.stack.push(*self.stack.last()?);
                Some(Step::Next)
            }
            b'R' | 0x81 => self.reduce(),
            0x92 => {
                // Arguments by name are of no use.
                self.stack.pop()?;
                self.reduce()
            }
            b'Q' => {
                let id = self.stack.pop()?;
                self.push(Value::Persistent(id))
            }
            b'b' => self.build(),
            code @ (b'q' | b'r' | b'p' | b'h' | b'j' | b'g' | 0x94) => self.memo_step(code),
            code @ (b'}'
            | b']'
            | b')'
            | 0x8f
            | b'l'
            | b'd'
            | b't'
            | 0x91
            | 0x85..=0x87
            | b'a'
            | b'e'
            | b's'
            | b'u'
            | 0x90) => self.container(code),
            code => self.scalar(code),
        }
    }

    fn memo_step(&mut self, code: u8) -> Option<Step> {
        let place = match code {
            b'q' | b'h' => self.number(1)?,
            b'r' | b'j' => self.number(4)?,
            b'p' | b'g' => u64::try_from(self.line_number()?).ok()?,
            _ => self.memo.len() as u64,
        };
        match code {
            b'h' | b'j' | b'g' => self.fetch(place),
            _ => self.put(place),
        }
    }

    fn container(&mut self, code: u8) -> Option<Step> {
        match code {
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' | b')' | 0x8f => self.push(Value::List(Vec::new())),
            b'd' => {
                let entries = self.since_mark()?;
                self.push(Value::Dict(entries))
            }
            b'l' | b't' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Value::List(items))
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(code - 0x84))?;
                self.push(Value::List(items))
            }
            b'a' | b's' => {
                let added = self.last(if code == b'a' { 1 } else { 2 })?;
                self.add(added)
            }
            _ => {
                let added = self.since_mark()?;
                self.add(added)
            }
        }
    }

    fn scalar(&mut self, code: u8) -> Option<Step> {
        let value = match code {
            b'N' => Value::Other,
            0x88 => Value::Int(1),
            0x89 => Value::Int(0),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            // Four bytes with a sign.
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            b'I' | b'L' => Value::Int(self.line_number()?),
            b'G' => {
                self.take(8)?;
                Value::Other
            }
            b'F' => {
                self.line()?;
                Value::Other
            }
            0x8a => {
                let bytes = self.sized(1)?;
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let filled = if negative { -1 } else { 0 };
                let number = |bytes: &[u8]| {
                    bytes.iter().rev().fold(filled, |sum: i64, &byte| sum << 8 | i64::from(byte))
                };
                if bytes.len() > 8 { Value::Other } else { Value::Int(number(bytes)) }
            }
            b'U' | b'C' | 0x8c => Value::Bytes(self.sized(1)?),
            b'T' | b'B' | b'X' => Value::Bytes(self.sized(4)?),
            0x8d | 0x8e | 0x96 => Value::Bytes(self.sized(8)?),
            b'V' => Value::Bytes(self.line()?),
            b'S' => {
                let line = self.line()?;
                Value::Bytes(line.get(1..line.len().checked_sub(1)?)?)
            }
            b'c' => Value::Name(self.line()?, self.line()?),
            0x93 => {
                let &[module, name] = self.last(2)?.as_slice() else { return None };
                match (self.values.get(module)?, self.values.get(name)?) {
                    (Value::Bytes(module), Value::Bytes(name)) => Value::Name(module, name),
                    _ => return None,
                }
            }
            _ => return None,
        };
        self.push(value)
    }
}
