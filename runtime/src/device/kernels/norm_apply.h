// What is read through a norm, written to memory after all; and residual sums with the mask of their clamp, a bit an element.

// NORMALIZED: the norm of x, through any activation (of NONE the clamp alone). THROUGH: the gradient of its input, from x, what it read, and `other`, the gradient of its output.
// out may be the place of either. grid: elements / 1024.
template <int KIND, int V>
FN void norm_apply(CTX, Global<const float> x, Global<const float> other, Global<const float> norm, Global<float> out,
                   ARGS(Norm) p) {
  const unsigned at = (GROUP_X * 256u + THREAD) * 4u;
  if (at >= p.elements) return;
  Source<KIND> from = source<KIND>(x, other, norm, p.channels, p.low, p.high);
  if (V == 4) {
    const unsigned row = at / p.channels;
    Quad q = from.template read4<4>(row, 0, 0, at - row * p.channels);
    if (KIND == NORMALIZED && p.kind != NONE) {
      UNROLL for (int e = 0; e < 4; e++) q.v[e] = activated(p.kind, p.slope, q.v[e]);
    }
    store_quad(out + at, q);
    return;
  }
  for (unsigned e = at; e < at + 4u && e < p.elements; e++) {
    const unsigned row = e / p.channels;
    Loaded loaded;
    NormQuads n;
    from.load1(loaded, 0, row, 0, 0, e - row * p.channels);
    from.norm1(n, 0, e - row * p.channels);
    const float y = from.value(loaded, n, 0);
    out[e] = KIND == NORMALIZED ? activated(p.kind, p.slope, y) : y;
  }
}
FN float normalized_at(Global<const float> x, Global<const float> norm, unsigned at, unsigned channels) {
  const unsigned c = at % channels;
  return fused(x[at] - norm[c], norm[SCALE * channels + c], norm[BIAS * channels + c]);
}
FN Quad normalized_quad(Global<const float> x, Global<const float> norm, unsigned at, unsigned channels) {
  const unsigned c = at % channels;
  Quad q = load_quad(x + at);
  const Quad mean = load_quad(norm + c), scale = load_quad(norm + (SCALE * channels + c));
  const Quad bias = load_quad(norm + (BIAS * channels + c));
  UNROLL for (int e = 0; e < 4; e++) q.v[e] = fused(q.v[e] - mean.v[e], scale.v[e], bias.v[e]);
  return q;
}
// d times the slope of the activation behind the norm of x, in place: what the norm's own gradient begins with. grid: elements / 1024.
FN void norm_slope(CTX, Global<float> d, Global<const float> x, Global<const float> norm, ARGS(Norm) p) {
  EACH_ELEMENT(i, p.elements) d[i] = d[i] * slope_at(p.kind, p.slope, normalized_at(x, norm, i, p.channels));
}
FN unsigned inside(float y, float low, float high) { return y > low && y < high ? 1u : 0u; }

// y = clamp(norm of x + around, or + the norm of around), and its mask. grid: elements / 2048; a thread has a byte of the mask.
FN void residual_sum(CTX, Global<const float> x, Global<const float> norm, Global<const float> around,
                     Global<const float> around_norm, Global<float> y, Global<u8> mask, ARGS(Norm) p) {
  const unsigned from = (GROUP_X * 256u + THREAD) * 8u, channels = p.channels;
  if (from >= p.elements) return;
  const bool both = (p.flags & BOTH_NORMALIZED) != 0;
  unsigned bits = 0;
  if (channels % 4u == 0u && from + 8u <= p.elements) {
    UNROLL for (unsigned four = 0; four < 8u; four += 4u) {
      const unsigned at = from + four;
      Quad q = normalized_quad(x, norm, at, channels);
      const Quad other = both ? normalized_quad(around, around_norm, at, channels) : load_quad(around + at);
      UNROLL for (unsigned e = 0; e < 4u; e++) {
        q.v[e] = clamped(q.v[e] + other.v[e], p.low, p.high);
        bits |= inside(q.v[e], p.low, p.high) << (four + e);
      }
      store_quad(y + at, q);
    }
  } else {
    for (unsigned e = 0; e < 8u && from + e < p.elements; e++) {
      const unsigned at = from + e;
      const float other = both ? normalized_at(around, around_norm, at, channels) : around[at];
      const float sum = clamped(normalized_at(x, norm, at, channels) + other, p.low, p.high);
      y[at] = sum;
      bits |= inside(sum, p.low, p.high) << e;
    }
  }
  if ((p.flags & WRITES_MASK) != 0) mask[from / 8u] = (u8)bits;
}
// The mask of a clamp's output y. grid: elements / 2048.
FN void mask_of(CTX, Global<const float> y, Global<u8> mask, ARGS(Norm) p) {
  const unsigned from = (GROUP_X * 256u + THREAD) * 8u;
  if (from >= p.elements) return;
  unsigned bits = 0;
  for (unsigned e = 0; e < 8u && from + e < p.elements; e++) bits |= inside(y[from + e], p.low, p.high) << e;
  mask[from / 8u] = (u8)bits;
}
// d is set to 0 where the mask's bit is not set. grid: elements / 2048.
FN void mask_apply(CTX, Global<float> d, Global<const u8> mask, ARGS(Norm) p) {
  const unsigned from = (GROUP_X * 256u + THREAD) * 8u;
  if (from >= p.elements) return;
  const unsigned bits = mask[from / 8u];
  for (unsigned e = 0; e < 8u && from + e < p.elements; e++)
    if ((bits >> e & 1u) == 0u) d[from + e] = 0.0f;
}
