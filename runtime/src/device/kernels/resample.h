// Weighted sums of pixels whose weights factor into rows and columns: average and adaptive pools, bilinear up-sampling, and the
// gradients of them all, by the transposed tables.
//
// The table has, for each row of the output and then for each column, where its taps begin, with the end of all behind each list; then
// the taps, two words each: which row or column of the input, and the bits of its weight.
struct Resample {
  unsigned elements;  // of the output
  unsigned channels, in_height, in_width, out_height, out_width;
  unsigned columns_at, taps_at;  // in the table
};
FN void resample(CTX, Global<const float> x, Global<const unsigned> table, Global<float> y, ARGS(Resample) p) {
  EACH_ELEMENT(i, p.elements) {
    const Spot out = spot_of(i, p.out_height, p.out_width, p.channels);
    const unsigned row_end = table[out.y + 1u], column_end = table[p.columns_at + out.x + 1u];
    float sum = 0.0f;
    for (unsigned column = table[p.columns_at + out.x]; column < column_end; column++) {
      float line = 0.0f;
      for (unsigned row = table[out.y]; row < row_end; row++) {
        const unsigned pixel = (out.image * p.in_height + table[p.taps_at + row * 2u]) * p.in_width + table[p.taps_at + column * 2u];
        line = fused(float_of(table[p.taps_at + row * 2u + 1u]), x[pixel * p.channels + out.c], line);
      }
      sum = fused(float_of(table[p.taps_at + column * 2u + 1u]), line, sum);
    }
    y[i] = sum;
  }
}
// The mean of each channel of each image: y [N, C] of x [N, rows, C]. grid: images, tiles of 32 channels.
template <int V> FN void mean_pool(CTX, Global<const float> x, Global<float> y, ARGS(Norm) p, Shared<float> s) {
  const unsigned c = GROUP_Y * Lanes::BN + THREAD % 8u * 4u, left = c < p.channels ? p.channels - c : 0u;
  Quad sum = zero_quad();
  for (unsigned r = THREAD / 8u; r < p.rows && left > 0; r += Lanes::SLOTS) {
    const Quad q = read_quad(x, (GROUP_X * p.rows + r) * p.channels + c, left, V == 4);
    UNROLL for (int e = 0; e < 4; e++) sum.v[e] += q.v[e];
  }
  column_sums<Lanes::BN, Lanes::THREADS>(ctx, sum, s);
  for (unsigned n = THREAD; n < Lanes::BN; n += Lanes::THREADS) {
    const unsigned channel = GROUP_Y * Lanes::BN + n;
    if (channel < p.channels) y[GROUP_X * p.channels + channel] = s[n] / (float)p.rows;
  }
}
