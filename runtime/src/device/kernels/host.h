// The words of the kernels in C++ on the CPU, where what a GPU would leave undefined is an error: see host_lanes.h, host_memory.h.
#include <cmath>

struct Ctx {};
#define CTX Ctx ctx
#define FN static inline
#define METHOD inline
#define REF(T) T&
#define ARGS(T) const T&
#define UNROLL
#define THREAD (host::machine.lane)
#define LANE (host::machine.lane % 32u)
#define GROUP_X (host::machine.group[0])
#define GROUP_Y (host::machine.group[1])
#define GROUP_Z (host::machine.group[2])
#define BARRIER() host::barrier(__FILE__, __LINE__)
#define INF (std::numeric_limits<float>::infinity())

template <class T> using Global = host::Pointer<T>;
template <class T> using Shared = host::Pointer<T>;
using u8 = unsigned char;
using u16 = unsigned short;
using u64 = unsigned long long;
struct Quad { float v[4]; };
// Where a block of memory is that a table names.
using Address = u64;
FN host::Pointer<float> floats_at(Address block, unsigned first, unsigned len) {
  host::Memory* const memory = host::memory_at(block);
  if (memory == nullptr) host::fail("an address of no memory");
  if (memory->element_bytes != sizeof(float) || first + (size_t)len > memory->shadows.size())
    host::fail("a table names what its block does not hold");
  return host::Span{memory, first, len}.pointer<float>();
}

FN void check_aligned(const void* p, size_t bytes) {
  if (reinterpret_cast<size_t>(p) % bytes != 0) host::fail("an access of " + std::to_string(bytes) + " bytes off its boundary");
}
FN Quad load_quad(host::Pointer<const float> p) {
  check_aligned(p.base + p.at, 16);
  return Quad{{p[0], p[1], p[2], p[3]}};
}
FN void store_quad(host::Pointer<float> p, Quad x) {
  check_aligned(p.base + p.at, 16);
  for (int i = 0; i < 4; i++) p[i] = x.v[i];
}
FN void store_pair(host::Pointer<float> p, float a, float b) {
  check_aligned(p.base + p.at, 8);
  p[0] = a;
  p[1] = b;
}

#define HAS_ARRIVALS 1
#define SHOW_WRITTEN()
#define SEE_WRITTEN()
FN bool arrives_last(host::Pointer<unsigned> counts, unsigned at, unsigned count) { return host::count_last(counts, at, count); }
FN float fresh(host::Pointer<const float> p, unsigned at) { return p[at]; }

FN float exponential(float x) { return std::exp(x); }
FN float logarithm(float x) { return std::log(x); }
FN float root(float x) { return std::sqrt(x); }
FN float fused(float a, float b, float c) { return std::fma(a, b, c); }
FN unsigned high_product(unsigned a, unsigned b) { return (unsigned)((u64)a * b >> 32); }
FN float float_of(unsigned word) {
  float x;
  std::memcpy(&x, &word, 4);
  return x;
}
FN unsigned word_of(float x) {
  unsigned word;
  std::memcpy(&word, &x, 4);
  return word;
}
FN float exchanged(Ctx, float x, unsigned mask) {
  host::show(&x, 1);
  return host::shown_by(LANE ^ mask)[0];
}
