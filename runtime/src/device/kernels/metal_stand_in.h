// What clang reads as OpenCL C++ in place of <metal_stdlib>: OpenCL's address spaces and functions under Metal's names, so that
// metal.h and every kernel are compiled where Apple's compiler is not. `this` is generic there and `thread` in Metal, so that
// `thread` against `device` is all that it does not tell apart.
#define device __global
#define threadgroup __local
#define thread __generic
namespace metal {
enum class mem_flags { mem_threadgroup };
inline void threadgroup_barrier(mem_flags) { barrier(CLK_LOCAL_MEM_FENCE); }
float simd_shuffle_xor(float, ushort);
namespace precise {
inline float exp(float x) { return ::exp(x); }
inline float log(float x) { return ::log(x); }
inline float sqrt(float x) { return ::sqrt(x); }
}  // namespace precise
template <class T> struct Cast;
template <> struct Cast<float> {
  static float of(unsigned x) { return as_float(x); }
};
template <> struct Cast<unsigned> {
  static unsigned of(float x) { return as_uint(x); }
};
template <class T, class U> inline T as_type(U x) { return Cast<T>::of(x); }
inline unsigned mulhi(unsigned a, unsigned b) { return ::mul_hi(a, b); }
struct simdgroup_float8x8 { float e[2]; };
template <class T, int ROWS, int COLUMNS> simdgroup_float8x8 make_filled_simdgroup_matrix(T x) {
  simdgroup_float8x8 m;
  m.e[0] = m.e[1] = x;
  return m;
}
void simdgroup_load(__generic simdgroup_float8x8&, const __local float*, ulong, ulong2, bool);
void simdgroup_store(const __generic simdgroup_float8x8&, __local float*, ulong);
void simdgroup_multiply_accumulate(__generic simdgroup_float8x8&, const __generic simdgroup_float8x8&,
                                   const __generic simdgroup_float8x8&, const __generic simdgroup_float8x8&);
}  // namespace metal
