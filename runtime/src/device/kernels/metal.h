// The words of the kernels in Metal's language, 3.0 and later.
#include <metal_stdlib>
using namespace metal;

struct Ctx {
  uint3 group;
  uint id;  // `thread` is a keyword
};
#define CTX Ctx ctx
#define FN static inline
#define METHOD inline
#define REF(T) thread T&
#define ARGS(T) constant T&
#define UNROLL _Pragma("clang loop unroll(full)")
#define THREAD (ctx.id)
#define LANE (ctx.id % 32u)
#define GROUP_X (ctx.group.x)
#define GROUP_Y (ctx.group.y)
#define GROUP_Z (ctx.group.z)
#define BARRIER() threadgroup_barrier(mem_flags::mem_threadgroup)
#define INF INFINITY

template <class T> using Global = device T*;
template <class T> using Shared = threadgroup T*;
using u8 = uchar;
using u16 = ushort;
using u64 = ulong;
struct Quad { float v[4]; };
// Where a block of memory is that a table names.
struct Address { device float* floats; };
FN device float* floats_at(Address block, unsigned first, unsigned) { return block.floats + first; }

FN Quad quad_of(float4 x) { return Quad{{x.x, x.y, x.z, x.w}}; }
// Member by member: OpenCL, in whose place clang reads this, spells a float4 otherwise.
FN float4 float4_of(Quad x) {
  float4 v;
  v.x = x.v[0];
  v.y = x.v[1];
  v.z = x.v[2];
  v.w = x.v[3];
  return v;
}
FN float2 float2_of(float a, float b) {
  float2 v;
  v.x = a;
  v.y = b;
  return v;
}
FN Quad load_quad(device const float* p) { return quad_of(*(device const float4*)p); }
FN Quad load_quad(threadgroup const float* p) { return quad_of(*(threadgroup const float4*)p); }
FN void store_quad(device float* p, Quad x) { *(device float4*)p = float4_of(x); }
FN void store_quad(threadgroup float* p, Quad x) { *(threadgroup float4*)p = float4_of(x); }
FN void store_pair(device float* p, float a, float b) { *(device float2*)p = float2_of(a, b); }
FN void store_pair(threadgroup float* p, float a, float b) { *(threadgroup float2*)p = float2_of(a, b); }

FN float exponential(float x) { return precise::exp(x); }
FN float logarithm(float x) { return precise::log(x); }
FN float root(float x) { return precise::sqrt(x); }
FN float fused(float a, float b, float c) { return fma(a, b, c); }
FN unsigned high_product(unsigned a, unsigned b) { return mulhi(a, b); }
FN float float_of(unsigned word) { return as_type<float>(word); }
FN unsigned word_of(float x) { return as_type<unsigned>(x); }
FN float exchanged(CTX, float x, unsigned mask) { return simd_shuffle_xor(x, (ushort)mask); }

// Blocks of a launch do not see what others have written: what parts come to is a launch of its own.
#define HAS_ARRIVALS 0
FN float fresh(device const float* p, unsigned at) { return p[at]; }

#define HAS_SIMDGROUP 1
FN void load_fragment(thread simdgroup_float8x8& m, threadgroup const float* p, unsigned row_len, bool transposed) {
  const ulong2 origin = 0;
  simdgroup_load(m, p, row_len, origin, transposed);
}
FN void multiply_fragments(thread simdgroup_float8x8& c, thread const simdgroup_float8x8& a,
                           thread const simdgroup_float8x8& b) {
  simdgroup_multiply_accumulate(c, a, b, c);
}
FN void store_fragment(thread const simdgroup_float8x8& m, threadgroup float* p, unsigned row_len) {
  simdgroup_store(m, p, row_len);
}
FN void clear_fragment(thread simdgroup_float8x8& m) { m = make_filled_simdgroup_matrix<float, 8, 8>(0.0f); }
