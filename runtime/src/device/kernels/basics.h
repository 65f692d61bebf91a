// What all kernels share: four neighbours at once, bounds that keep a NaN, division by what does not change.

// Division of numbers below 2^31 by a number that the host knows: a product and a shift.
struct Divisor { unsigned by, magic, shift; };
// No function: `d` may lie in constant memory.
#define QUOTIENT(p, d) ((d).by == 1u ? (p) : high_product(p, (d).magic) >> (d).shift)
// The same, made here, where p * by is below 2^32.
FN Divisor small_divisor(unsigned by) {
  Divisor d;
  d.by = by;
  d.magic = by > 1u ? 0xffffffffu / by + 1u : 0u;
  d.shift = 0;
  return d;
}

// Between bounds. fmin and fmax would turn a NaN into a bound, and hide that training diverged.
FN float clamped(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
// The gradient d of a clamp's output where its input, or its output, is x.
FN float passed(float d, float x, float low, float high) { return x > low && x < high ? d : 0.0f; }

FN Quad zero_quad() {
  Quad q;
  UNROLL for (int e = 0; e < 4; e++) q.v[e] = 0.0f;
  return q;
}
// Four neighbours, or the `left` of them that exist and zeros. `wide`: all four do, on a boundary of 16 bytes.
FN Quad read_quad(Global<const float> p, unsigned at, unsigned left, bool wide) {
  if (wide) return load_quad(p + at);
  Quad q = zero_quad();
  UNROLL for (unsigned e = 0; e < 4u; e++) if (e < left) q.v[e] = p[at + e];
  return q;
}
FN void write_quad(Global<float> p, unsigned at, unsigned left, bool wide, Quad q) {
  if (wide) {
    store_quad(p + at, q);
    return;
  }
  UNROLL for (unsigned e = 0; e < 4u; e++) if (e < left) p[at + e] = q.v[e];
}

// Over the lanes of a warp: each lane gets the same, added in the same order.
FN float warp_sum(CTX, float x) {
  UNROLL for (unsigned mask = 16; mask > 0; mask /= 2) x += exchanged(ctx, x, mask);
  return x;
}
FN float warp_max(CTX, float x) {
  UNROLL for (unsigned mask = 16; mask > 0; mask /= 2) {
    const float other = exchanged(ctx, x, mask);
    x = other > x ? other : x;
  }
  return x;
}
// Over the threads of a block, in a fixed order; `s` holds a float a warp. All threads get it.
template <int THREADS> FN float block_sum(CTX, float x, Shared<float> s) {
  x = warp_sum(ctx, x);
  if (LANE == 0u) s[THREAD / 32u] = x;
  BARRIER();
  float sum = 0.0f;
  for (int warp = 0; warp < THREADS / 32; warp++) sum += s[warp];
  BARRIER();
  return sum;
}
