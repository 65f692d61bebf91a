// The matrix operations of warps, lane by lane, with the layouts of the hardware.
#define HAS_TF32 1
FN unsigned rounded_tf32(float x) { return (word_of(x) + 0x1000u) & 0xffffe000u; }
// PTX ISA, mma.m16n8k8: lane 4g + q has of a (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4); of b (q, g), (q + 4, g); of c (g, 2q),
// (g, 2q + 1), (g + 8, 2q), (g + 8, 2q + 1). The hardware cuts the low 13 bits.
FN void multiply_tf32(float& c0, float& c1, float& c2, float& c3, const unsigned* a, const unsigned* b) {
  float mine[6];
  for (int i = 0; i < 6; i++) mine[i] = float_of((i < 4 ? a[i] : b[i - 4]) & 0xffffe000u);
  host::show(mine, 6);
  const unsigned g = LANE / 4, q = LANE % 4;
  float* const c[4] = {&c0, &c1, &c2, &c3};
  for (unsigned i = 0; i < 4; i++) {
    for (unsigned k = 0; k < 8; k++) {
      const float x = host::shown_by(g * 4 + k % 4)[i / 2 + 2 * (k / 4)];
      const float y = host::shown_by((q * 2 + i % 2) * 4 + k % 4)[4 + k / 4];
      *c[i] += x * y;
    }
  }
}

#define HAS_F16 1
FN unsigned f16_of(float x);
FN float f32_of_f16(unsigned word);
FN unsigned two_f16(float first, float second) { return f16_of(first) | f16_of(second) << 16; }
// mma.m16n8k16: lane 4g + q has of a, two neighbours along k a word, (g, 2q), (g + 8, 2q), (g, 2q + 8), (g + 8, 2q + 8); of b (2q, g),
// (2q + 8, g); of c what it has of TF32's.
FN void multiply_f16(float& c0, float& c1, float& c2, float& c3, const unsigned* a, const unsigned* b) {
  float mine[6];
  for (int i = 0; i < 6; i++) mine[i] = float_of(i < 4 ? a[i] : b[i - 4]);
  host::show(mine, 6);
  const unsigned g = LANE / 4, q = LANE % 4;
  float* const c[4] = {&c0, &c1, &c2, &c3};
  for (unsigned i = 0; i < 4; i++) {
    for (unsigned k = 0; k < 16; k++) {
      const unsigned x = word_of(host::shown_by(g * 4 + k % 8 / 2)[i / 2 + 2 * (k / 8)]);
      const unsigned y = word_of(host::shown_by((q * 2 + i % 2) * 4 + k % 8 / 2)[4 + k / 8]);
      *c[i] += f32_of_f16(x >> k % 2 * 16 & 0xffffu) * f32_of_f16(y >> k % 2 * 16 & 0xffffu);
    }
  }
}

// The layout of Apple's 8 x 8 matrices is not documented; MLX relies on this one. Kernels do not see it.
#define HAS_SIMDGROUP 1
struct simdgroup_float8x8 { float e[2]; };
FN unsigned fragment_row() { return (LANE / 4 & 4) + LANE / 2 % 4; }
FN unsigned fragment_column() { return (LANE / 4 & 2) * 2 + LANE % 2 * 2; }
FN unsigned fragment_lane(unsigned row, unsigned column) {
  return (row & 4) * 4 + (column & 4) * 2 + (row & 3) * 2 + (column & 2) / 2;
}
FN void load_fragment(simdgroup_float8x8& m, Shared<const float> p, unsigned row_len, bool transposed) {
  for (unsigned i = 0; i < 2; i++) {
    const unsigned row = fragment_row(), column = fragment_column() + i;
    m.e[i] = transposed ? p[column * row_len + row] : p[row * row_len + column];
  }
}
FN void multiply_fragments(simdgroup_float8x8& c, const simdgroup_float8x8& a, const simdgroup_float8x8& b) {
  const float mine[4] = {a.e[0], a.e[1], b.e[0], b.e[1]};
  host::show(mine, 4);
  for (unsigned i = 0; i < 2; i++) {
    for (unsigned k = 0; k < 8; k++) {
      const float x = host::shown_by(fragment_lane(fragment_row(), k))[k % 2];
      const float y = host::shown_by(fragment_lane(k, fragment_column() + i))[2 + i % 2];
      c.e[i] += x * y;
    }
  }
}
FN void store_fragment(const simdgroup_float8x8& m, Shared<float> p, unsigned row_len) {
  store_pair(p + (fragment_row() * row_len + fragment_column()), m.e[0], m.e[1]);
}
FN void clear_fragment(simdgroup_float8x8& m) { m.e[0] = m.e[1] = 0.0f; }
