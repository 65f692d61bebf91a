// Operations on each element alone: activations and their slopes, sums, scales, dropout, numbers in 16 bits; and sums over all. Four
// elements a thread; grid: elements / 1024.
enum { NONE, RELU, RELU6, SILU, SIGMOID, GELU, HARD_SWISH, HARD_SIGMOID, LEAKY_RELU };
struct Elements {
  unsigned elements, kind;
  float factor;  // of what is added or scaled; the slope of a leaky ReLU; what dropout keeps is multiplied by it
  unsigned seed_low, seed_high, first_low, first_high, threshold;  // of dropout
  float delta;  // of Huber's loss
};

FN float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }
FN float hard_sigmoid(float x) { return clamped(x + 3.0f, 0.0f, 6.0f) * (1.0f / 6.0f); }
// The normal distribution below x: exp(-x^2 / 2) times a polynomial of t, as kernels/normal.rs has it on the CPU.
FN float normal_below(float x) {
  const float size = x < 0.0f ? -x : x, t = 1.0f / fused(0.24748737f, size, 1.0f);
  float p = fused(t, 0.018327365f, -0.07477177f);
  p = fused(t, p, 0.07982061f);
  p = fused(t, p, 0.0005228067f);
  p = fused(t, p, 0.031702556f);
  p = fused(t, p, 0.079277344f);
  p = fused(t, p, 0.07345789f);
  p = fused(t, p, 0.0944032f);
  p = fused(t, p, 0.09851537f);
  p = fused(t, p, 0.09874463f);
  const float tail = exponential(-0.5f * x * x) * t * p;
  return x < 0.0f ? tail : 1.0f - tail;
}
FN float activated(unsigned kind, float slope, float x) {
  switch (kind) {
    case RELU: return x < 0.0f ? 0.0f : x;
    case RELU6: return clamped(x, 0.0f, 6.0f);
    case SILU: return x * sigmoid(x);
    case SIGMOID: return sigmoid(x);
    case GELU: return x * normal_below(x);
    case HARD_SWISH: return x * hard_sigmoid(x);
    case HARD_SIGMOID: return hard_sigmoid(x);
    case LEAKY_RELU: return x > 0.0f ? x : slope * x;
    default: return x;
  }
}
// The derivative at x, the function's input.
FN float slope_at(unsigned kind, float slope, float x) {
  switch (kind) {
    case RELU: return x > 0.0f ? 1.0f : 0.0f;
    case RELU6: return x > 0.0f && x < 6.0f ? 1.0f : 0.0f;
    case SILU: {
      const float s = sigmoid(x);
      return s * (1.0f + x * (1.0f - s));
    }
    case SIGMOID: {
      const float s = sigmoid(x);
      return s * (1.0f - s);
    }
    case GELU: return normal_below(x) + x * exponential(-0.5f * x * x) * 0.39894228f;
    case HARD_SWISH: return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : x * (1.0f / 3.0f) + 0.5f;
    case HARD_SIGMOID: return x > -3.0f && x < 3.0f ? 1.0f / 6.0f : 0.0f;
    case LEAKY_RELU: return x > 0.0f ? 1.0f : slope;
    default: return 1.0f;
  }
}

// Neighbouring threads have neighbouring elements.
#define EACH_ELEMENT(i, elements) \
  for (unsigned i = GROUP_X * 1024u + THREAD, turn = 0; turn < 4u && i < (elements); turn++, i += 256u)

// y = activation(x); y may be the place of x.
FN void activate(CTX, Global<const float> x, Global<float> y, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) y[i] = activated(p.kind, p.factor, x[i]);
}
// d = d * slope at x, in place.
FN void activate_backward(CTX, Global<float> d, Global<const float> x, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) d[i] = d[i] * slope_at(p.kind, p.factor, x[i]);
}
// a = activation(a + b), in place.
FN void add_activate(CTX, Global<float> a, Global<const float> b, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) a[i] = activated(p.kind, p.factor, a[i] + b[i]);
}
// a = a + factor * b, in place.
FN void add_scaled(CTX, Global<float> a, Global<const float> b, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) a[i] = fused(p.factor, b[i], a[i]);
}
// y = factor * x; y may be the place of x.
FN void scale(CTX, Global<const float> x, Global<float> y, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) y[i] = p.factor * x[i];
}

// parts: each block's sum of a * b.
FN void product_parts(CTX, Global<const float> a, Global<const float> b, Global<float> parts, ARGS(Elements) p,
                      Shared<float> s) {
  float sum = 0.0f;
  EACH_ELEMENT(i, p.elements) sum = fused(a[i], b[i], sum);
  sum = block_sum<256>(ctx, sum, s);
  if (THREAD == 0u) parts[GROUP_X] = sum;
}

// The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
FN u64 mixed(u64 bits) {
  bits = (bits ^ (bits >> 30)) * (((u64)0xbf58476du << 32) | 0x1ce4e5b9u);
  bits = (bits ^ (bits >> 27)) * (((u64)0x94d049bbu << 32) | 0x133111ebu);
  return bits ^ (bits >> 31);
}
// x times the mask of inverted dropout, a function of seed and position: 0, or `factor`; y may be the place of x. The host mixes the seed.
FN void dropout(CTX, Global<const float> x, Global<float> y, ARGS(Elements) p) {
  const u64 seed = ((u64)p.seed_high << 32) | p.seed_low, first = ((u64)p.first_high << 32) | p.first_low;
  const u64 golden = ((u64)0x9e3779b9u << 32) | 0x7f4a7c15u;
  EACH_ELEMENT(i, p.elements) {
    const u64 bits = mixed(seed + (first + i) * golden);
    y[i] = x[i] * ((unsigned)(bits >> 32) < p.threshold ? 0.0f : p.factor);
  }
}

// Numbers in 16 bits: kind 0 is f16, 1 is bf16. Rounded to the nearest, ties to even, as the CPU does.
FN unsigned bf16_of(float x) {
  const unsigned word = word_of(x);
  if (x != x) return word >> 16 | 0x40u;
  return (word + 0x7fffu + (word >> 16 & 1u)) >> 16;
}
FN unsigned f16_of(float x) {
  const unsigned word = word_of(x), sign = word >> 16 & 0x8000u, size = word & 0x7fffffffu;
  if (size > 0x7f800000u) return sign | 0x7e00u | (size >> 13 & 0x3ffu);
  if (size >= 0x477ff000u) return sign | 0x7c00u;
  if (size >= 0x38800000u) return sign | (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
  if (size < 0x33000001u) return sign;
  const unsigned shift = 126u - (size >> 23), whole = (size & 0x7fffffu) | 0x800000u;
  const unsigned cut = whole >> shift, rest = whole & ((1u << shift) - 1u), middle = 1u << (shift - 1u);
  return sign | (cut + (rest > middle || (rest == middle && (cut & 1u) != 0u) ? 1u : 0u));
}
FN float f32_of_f16(unsigned word) {
  const unsigned sign = (word & 0x8000u) << 16, exponent = word >> 10 & 31u, fraction = word & 0x3ffu;
  if (exponent == 31u) return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0u) return float_of(sign | (exponent + 112u) << 23 | fraction << 13);
  const float size = (float)fraction * 5.9604644775390625e-8f;  // 2^-24
  return sign != 0u ? -size : size;
}
FN void narrow(CTX, Global<const float> x, Global<u16> y, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) y[i] = (u16)(p.kind == 0u ? f16_of(x[i]) : bf16_of(x[i]));
}
FN void widen(CTX, Global<const u16> x, Global<float> y, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) y[i] = p.kind == 0u ? f32_of_f16(x[i]) : float_of((unsigned)x[i] << 16);
}
