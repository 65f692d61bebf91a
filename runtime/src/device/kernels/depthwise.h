// Convolutions with a filter of its own for each channel; weights lie [KH, KW, C]. They cost memory traffic, not arithmetic: a block has
// 32 channels (8 quads) and 64 rows, a thread four rows of a quad.
struct Lanes {
  enum { BM = 64, BN = 32, THREADS = 128, ROW = BN + 4, SLOTS = THREADS / 8, SUMS = BM * ROW, SHARED = SUMS + THREADS * 4 };
};
FN Columns lane_columns(unsigned tile, unsigned channels) {
  Columns c;
  c.first = tile * Lanes::BN;
  c.end = c.total = channels;
  return c;
}
// Where tap `tap` of output `output` reads along an axis of `size` pixels, or -1.
FN int forward_pixel(unsigned output, unsigned tap, unsigned stride, unsigned padding, unsigned dilation, unsigned size) {
  const int at = (int)(output * stride + tap * dilation) - (int)padding;
  return at >= 0 && at < (int)size ? at : -1;
}
// Which output of `size` read pixel `input` by tap `tap`, or -1.
FN int backward_pixel(unsigned input, unsigned tap, unsigned stride, unsigned padding, unsigned dilation, unsigned size) {
  const int at = (int)(input + padding) - (int)(tap * dilation);
  if (at < 0 || at % (int)stride != 0) return -1;
  return at / (int)stride < (int)size ? at / (int)stride : -1;
}
// Both ways; grid: tiles of 64 pixels of out, tiles of 32 channels. parts [tile][2][C] as of conv_gather.
template <int KIND, bool BACK, int V>
FN void depthwise_gather(CTX, Global<const float> in, Global<const float> other, Global<const float> norm,
                         Global<const float> weight, Global<const float> z, Global<const float> z_norm,
                         Global<float> out, Global<float> parts, Global<const float> norm_weight,
                         Global<const float> norm_bias, Global<float> made, Global<float> made_first,
                         Global<float> made_second, Global<unsigned> arrivals, ARGS(Conv) p, Shared<float> s) {
  const unsigned channels = p.groups, height = BACK ? p.in_height : p.out_height;
  const unsigned width = BACK ? p.in_width : p.out_width, rows = p.images * height * width;
  const unsigned from_height = BACK ? p.out_height : p.in_height, from_width = BACK ? p.out_width : p.in_width;
  const unsigned m0 = GROUP_X * Lanes::BM, quad = THREAD % 8u * 4u, c = GROUP_Y * Lanes::BN + quad;
  const unsigned left = c < channels ? channels - c : 0u;
  Source<KIND> from = source<KIND>(in, other, norm, channels, p.low, p.high);
  from.width = from_width;
  Quad first = zero_quad(), second = zero_quad();
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < rows; r += Lanes::SLOTS) {
    const unsigned m = m0 + r, line = m / width, n = line / height, y = line - n * height, x = m - line * width;
    Quad sum = zero_quad();
    for (unsigned i = 0; i < p.kernel_height && left > 0; i++) {
      const int py = BACK ? backward_pixel(y, i, p.stride_y, p.padding_y, p.dilation_y, from_height)
                          : forward_pixel(y, i, p.stride_y, p.padding_y, p.dilation_y, from_height);
      if (py < 0) continue;
      for (unsigned j = 0; j < p.kernel_width; j++) {
        const int px = BACK ? backward_pixel(x, j, p.stride_x, p.padding_x, p.dilation_x, from_width)
                            : forward_pixel(x, j, p.stride_x, p.padding_x, p.dilation_x, from_width);
        if (px < 0) continue;
        const Quad v = from.template read4<V>(n * from_height * from_width, py, px, c);
        const Quad w = read_quad(weight, (i * p.kernel_width + j) * channels + c, left, V == 4);
        UNROLL for (int e = 0; e < 4; e++) sum.v[e] = fused(v.v[e], w.v[e], sum.v[e]);
      }
    }
    if (!BACK) store_quad(s + (int)(r * Lanes::ROW + quad), sum);
    if (left == 0) continue;
    write_quad(out, m * channels + c, left, V == 4, sum);
    if (BACK && (p.flags & WITH_SUMS) != 0)
      add_sums(first, second, sum, z, m * channels + c, z_norm, c, left, channels, V == 4, p.norm_low, p.norm_high);
  }
  Global<float> part = parts + (int)(GROUP_X * 2u * channels);
  const Columns columns = lane_columns(GROUP_Y, channels);
  if (!BACK && (p.flags & WITH_MOMENTS) != 0)
    tile_moments<Lanes::BM, Lanes::BN, Lanes::THREADS>(ctx, s, m0, rows, columns, part);
  if (BACK && (p.flags & WITH_SUMS) != 0)
    tile_sums<Lanes::BN, Lanes::THREADS>(ctx, first, second, columns, part, s + (int)Lanes::SUMS);
  const unsigned tiles = (rows + Lanes::BM - 1) / Lanes::BM;
  if ((p.flags & WITH_FINISH) == 0 || !is_last(ctx, arrivals, GROUP_Y, tiles, s)) return;
  Parts all = parts_of(parts, tiles, Lanes::BM, rows, columns, Lanes::BN);
  if (BACK) finish_sums<Lanes::THREADS>(ctx, all, z_norm, made, made_first, made_second, s);
  else finish_moments<Lanes::THREADS>(ctx, all, norm_weight, norm_bias, made, made_first, p.epsilon, s);
}
// parts [split][KH, KW, C]. grid: tiles of 32 channels, taps, splits.
template <int MAP, int GRAD, int V>
FN void depthwise_d_weight(CTX, Global<const float> in, Global<const float> other, Global<const float> norm,
                           Global<const float> d, Global<const float> z, Global<const float> z_norm,
                           Global<float> parts, ARGS(Conv) p, Shared<float> s) {
  const unsigned channels = p.groups, c = GROUP_X * Lanes::BN + THREAD % 8u * 4u;
  const unsigned tap_y = GROUP_Y / p.kernel_width, tap_x = GROUP_Y % p.kernel_width;
  const unsigned pixels = p.images * p.out_height * p.out_width, from = GROUP_Z * p.pixels_a_split;
  const unsigned to = from + p.pixels_a_split < pixels ? from + p.pixels_a_split : pixels;
  Source<MAP> x = source<MAP>(in, other, norm, channels, p.low, p.high);
  x.width = p.in_width;
  Source<GRAD> g = source<GRAD>(GRAD == THROUGH ? z : d, d, z_norm, channels, p.norm_low, p.norm_high);
  Quad sum = zero_quad();
  for (unsigned q = from + THREAD / 8u; q < to && c < channels; q += Lanes::SLOTS) {
    const unsigned n = QUOTIENT(q, p.by_image), inside = q - n * (p.out_height * p.out_width);
    const unsigned oy = QUOTIENT(inside, p.by_row), ox = inside - oy * p.out_width;
    const int py = forward_pixel(oy, tap_y, p.stride_y, p.padding_y, p.dilation_y, p.in_height);
    const int px = forward_pixel(ox, tap_x, p.stride_x, p.padding_x, p.dilation_x, p.in_width);
    if (py < 0 || px < 0) continue;
    const Quad a = x.template read4<V>(n * p.in_height * p.in_width, py, px, c), b = g.template read4<V>(q, 0, 0, c);
    UNROLL for (int e = 0; e < 4; e++) sum.v[e] = fused(a.v[e], b.v[e], sum.v[e]);
  }
  column_sums<Lanes::BN, Lanes::THREADS>(ctx, sum, s);
  for (unsigned n = THREAD; n < Lanes::BN; n += Lanes::THREADS) {
    const unsigned channel = GROUP_X * Lanes::BN + n, tap = GROUP_Z * p.kernel_height * p.kernel_width + GROUP_Y;
    if (channel < channels) parts[tap * channels + channel] = s[n];
  }
}
