// The words of the kernels in CUDA, for NVRTC without a header.
struct Ctx {};
#define CTX Ctx ctx
#define FN static __device__ __forceinline__
#define METHOD __device__ __forceinline__
#define REF(T) T&
#define ARGS(T) const T&
#define UNROLL _Pragma("unroll")
#define THREAD (threadIdx.x)
#define LANE (threadIdx.x % 32u)
#define GROUP_X (blockIdx.x)
#define GROUP_Y (blockIdx.y)
#define GROUP_Z (blockIdx.z)
#define BARRIER() __syncthreads()
#define INF (__int_as_float(0x7f800000))

template <class T> using Global = T*;
template <class T> using Shared = T*;
using u8 = unsigned char;
using u16 = unsigned short;
using u64 = unsigned long long;
struct Quad { float v[4]; };
// Where a block of memory is that a table names.
using Address = u64;
FN float* floats_at(Address block, unsigned first, unsigned) { return reinterpret_cast<float*>(block) + first; }

FN Quad load_quad(const float* p) {
  const float4 x = *reinterpret_cast<const float4*>(p);
  return Quad{{x.x, x.y, x.z, x.w}};
}
FN void store_quad(float* p, Quad x) {
  *reinterpret_cast<float4*>(p) = make_float4(x.v[0], x.v[1], x.v[2], x.v[3]);
}
FN void store_pair(float* p, float a, float b) { *reinterpret_cast<float2*>(p) = make_float2(a, b); }

FN float exponential(float x) { return expf(x); }
FN float logarithm(float x) { return logf(x); }
FN float root(float x) { return sqrtf(x); }
FN float fused(float a, float b, float c) { return fmaf(a, b, c); }
FN unsigned high_product(unsigned a, unsigned b) { return __umulhi(a, b); }
FN float float_of(unsigned word) { return __uint_as_float(word); }
FN unsigned word_of(float x) { return __float_as_uint(x); }
FN float exchanged(CTX, float x, unsigned mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }

// Blocks of a launch that count each other, and see what those before have written.
#define HAS_ARRIVALS 1
#define SHOW_WRITTEN() __threadfence()
#define SEE_WRITTEN() __threadfence()
FN bool arrives_last(unsigned* counts, unsigned at, unsigned count) { return atomicInc(counts + at, count - 1u) == count - 1u; }
// What another block may have written in this launch: past the cache of this one.
FN float fresh(const float* p, unsigned at) { return reinterpret_cast<const volatile float*>(p)[at]; }

#if __CUDA_ARCH__ >= 800
#define HAS_TF32 1
FN unsigned rounded_tf32(float x) {
  unsigned word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
  return word;
}
// c[16x8] += a[16x8] b[8x8] by the lanes of a warp: PTX ISA, mma.m16n8k8, has who holds what.
FN void multiply_tf32(REF(float) c0, REF(float) c1, REF(float) c2, REF(float) c3, const unsigned* a,
                      const unsigned* b) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#define HAS_F16 1
// Rounded to the nearest, ties to even; the first is the low half.
FN unsigned two_f16(float first, float second) {
  unsigned word;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
  return word;
}
// c[16x8] += a[16x16] b[16x8]: mma.m16n8k16.
FN void multiply_f16(REF(float) c0, REF(float) c1, REF(float) c2, REF(float) c3, const unsigned* a, const unsigned* b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
