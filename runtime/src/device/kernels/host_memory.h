// Memory of the device that is emulated: each element knows whether it was written, and by whom it was written and read since when.
#include <cstring>
#include <limits>
#include <mutex>
#include <set>

namespace host {
// A launch is a number of its own; epochs count barriers.
struct Shadow {
  unsigned launch = 0, write_block = 0, write_epoch = 0, writer = 0, read_block = 0, read_epoch = 0, reader = 0;
  bool many_readers = false, many_blocks = false, written = false;
};
inline void begin_launch(Shadow& s) {
  if (s.launch == machine.launch) return;
  s.launch = machine.launch;
  s.write_epoch = s.read_epoch = 0;
  s.many_blocks = false;
}
// Whether this block, as the last to arrive where that one did, sees what it had written by then.
inline bool is_shown(const Shadow& s) {
  const auto arrival = machine.arrivals.find(s.write_block);
  if (arrival == machine.arrivals.end() || machine.last_at == nullptr || arrival->second.at != machine.last_at) return false;
  return s.write_epoch < arrival->second.epoch && machine.last_epoch < machine.epoch;
}
inline void note_read(Shadow& s) {
  if (!s.written) fail("read of memory that nobody has written");
  begin_launch(s);
  if (s.write_epoch != 0) {
    if (s.write_block != machine.block && !is_shown(s)) fail("race between blocks: read of what another block writes");
    if (s.write_epoch == machine.epoch && s.writer != machine.lane)
      fail("race: read of what another thread wrote since the barrier");
  }
  if (s.read_epoch != 0 && s.read_block != machine.block) s.many_blocks = true;
  if (s.read_epoch == machine.epoch) {
    if (s.reader != machine.lane) s.many_readers = true;
    return;
  }
  s.read_epoch = machine.epoch;
  s.read_block = machine.block;
  s.reader = machine.lane;
  s.many_readers = false;
}
inline void note_write(Shadow& s) {
  begin_launch(s);
  if (s.write_epoch != 0 && s.write_block != machine.block) fail("race between blocks: two writers");
  if (s.write_epoch == machine.epoch && s.writer != machine.lane) fail("race: two writers");
  if (s.read_epoch != 0 && (s.many_blocks || s.read_block != machine.block))
    fail("race between blocks: write over what another block reads");
  if (s.read_epoch == machine.epoch && (s.many_readers || s.reader != machine.lane))
    fail("race: write over what another thread read since the barrier");
  s.write_epoch = machine.epoch;
  s.write_block = machine.block;
  s.writer = machine.lane;
  s.written = true;
}

// One element; reading and writing it tells its shadow.
template <class T> struct Cell {
  T* at;
  Shadow* shadow;
  operator T() const {
    note_read(*shadow);
    return *at;
  }
  T operator=(T x) {
    note_write(*shadow);
    return *at = x;
  }
  T operator=(const Cell& other) { return *this = T(other); }
  T operator+=(T x) { return *this = T(*this) + x; }
  T operator-=(T x) { return *this = T(*this) - x; }
};
template <class T> struct Pointer {
  T* base = nullptr;
  long at = 0, len = 0;
  Shadow* shadow = nullptr;
  Pointer operator+(long elements) const { return {base, at + elements, len, shadow}; }
  Cell<T> operator[](long i) const {
    const long j = at + i;
    if (j < 0 || j >= len) fail("out of bounds: element " + std::to_string(j) + " of " + std::to_string(len));
    return {base + j, shadow + j};
  }
  operator Pointer<const T>() const { return {base, at, len, shadow}; }
};
// A block counts itself; whether it is the last of so many, which leaves the count at 0.
inline bool count_last(Pointer<unsigned> counts, unsigned at, unsigned count) {
  counts[at];
  unsigned* const here = counts.base + counts.at + at;
  if (*here >= count) fail("more blocks arrive than are counted");
  machine.arrivals[machine.block] = {here, machine.epoch};
  if (++*here < count) return false;
  *here = 0;
  machine.last_at = here;
  machine.last_epoch = machine.epoch;
  return true;
}

// A block of memory; what is not written yet is NaN. Elements are of one size, which who makes it says.
struct Memory {
  std::vector<unsigned char> bytes;
  std::vector<Shadow> shadows;
  size_t element_bytes;
  Memory(size_t len, size_t element) : bytes(len * element, 0xff), shadows(len), element_bytes(element) {}
};
// The blocks that there are: a table may name others.
struct Blocks {
  std::mutex lock;
  std::set<Memory*> live;
};
inline Blocks& blocks() {
  static Blocks all;
  return all;
}
inline Memory* memory_at(unsigned long long address) {
  Memory* const memory = reinterpret_cast<Memory*>(address);
  const std::lock_guard<std::mutex> held(blocks().lock);
  return blocks().live.count(memory) != 0 ? memory : nullptr;
}
// A part of a block, or nothing.
struct Span {
  Memory* memory;
  size_t first, len;
  template <class T> Pointer<T> pointer() const {
    if (memory == nullptr) return {};
    return {reinterpret_cast<T*>(memory->bytes.data()) + first, 0, (long)len, memory->shadows.data() + first};
  }
};
}  // namespace host
