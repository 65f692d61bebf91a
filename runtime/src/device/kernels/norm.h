// Batch norm over maps [rows, C]: the moments and the sums of a map in memory, and what is made of the parts of all tiles.
struct Norm {
  unsigned rows, channels, tiles, tile_rows, elements, flags;
  unsigned kind;  // of the activation behind the norm, which is no clamp
  float epsilon, low, high, slope;
};
// residual_sum: the other summand has a norm; the mask is written. Of parts: the last block finishes them.
enum { BOTH_NORMALIZED = 1, WRITES_MASK = 2, FINISHES = 4 };

// parts [tile][2][C]: each tile's mean, and its sum of squares around it. grid: tiles of 64 rows, tiles of 32 channels.
template <int V>
FN void norm_moments(CTX, Global<const float> x, Global<float> parts, Global<const float> weight, Global<const float> bias,
                     Global<float> made, Global<float> first, Global<unsigned> arrivals, ARGS(Norm) p, Shared<float> s) {
  const unsigned m0 = GROUP_X * Lanes::BM, quad = THREAD % 8u * 4u, c = GROUP_Y * Lanes::BN + quad;
  const unsigned left = c < p.channels ? p.channels - c : 0u;
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < p.rows; r += Lanes::SLOTS)
    store_quad(s + (int)(r * Lanes::ROW + quad),
               left > 0 ? read_quad(x, (m0 + r) * p.channels + c, left, V == 4) : zero_quad());
  const Columns columns = lane_columns(GROUP_Y, p.channels);
  tile_moments<Lanes::BM, Lanes::BN, Lanes::THREADS>(ctx, s, m0, p.rows, columns, parts + (int)(GROUP_X * 2u * p.channels));
  if ((p.flags & FINISHES) == 0 || !is_last(ctx, arrivals, GROUP_Y, p.tiles, s)) return;
  Parts all = parts_of(parts, p.tiles, p.tile_rows, p.rows, columns, Lanes::BN);
  finish_moments<Lanes::THREADS>(ctx, all, weight, bias, made, first, p.epsilon, s);
}
// parts [tile][2][C]: the two sums that a norm of z needs for its gradient. The same grid.
template <int V>
FN void norm_sums(CTX, Global<const float> d, Global<const float> z, Global<const float> norm, Global<float> parts,
                  Global<float> made, Global<float> d_weight, Global<float> d_bias, Global<unsigned> arrivals, ARGS(Norm) p,
                  Shared<float> s) {
  const unsigned m0 = GROUP_X * Lanes::BM, c = GROUP_Y * Lanes::BN + THREAD % 8u * 4u;
  const unsigned left = c < p.channels ? p.channels - c : 0u;
  Quad first = zero_quad(), second = zero_quad();
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < p.rows && left > 0; r += Lanes::SLOTS) {
    const unsigned at = (m0 + r) * p.channels + c;
    add_sums(first, second, read_quad(d, at, left, V == 4), z, at, norm, c, left, p.channels, V == 4, p.low, p.high);
  }
  const Columns columns = lane_columns(GROUP_Y, p.channels);
  tile_sums<Lanes::BN, Lanes::THREADS>(ctx, first, second, columns, parts + (int)(GROUP_X * 2u * p.channels), s);
  if ((p.flags & FINISHES) == 0 || !is_last(ctx, arrivals, GROUP_Y, p.tiles, s)) return;
  Parts all = parts_of(parts, p.tiles, p.tile_rows, p.rows, columns, Lanes::BN);
  finish_sums<Lanes::THREADS>(ctx, all, norm, made, d_weight, d_bias, s);
}
// parts [tile][C]: the sums of the columns of a map, as of a bias. The same grid.
template <int V> FN void column_parts(CTX, Global<const float> x, Global<float> parts, ARGS(Norm) p, Shared<float> s) {
  const unsigned m0 = GROUP_X * Lanes::BM, c = GROUP_Y * Lanes::BN + THREAD % 8u * 4u;
  const unsigned left = c < p.channels ? p.channels - c : 0u;
  Quad sum = zero_quad();
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < p.rows && left > 0; r += Lanes::SLOTS) {
    const Quad q = read_quad(x, (m0 + r) * p.channels + c, left, V == 4);
    UNROLL for (int e = 0; e < 4; e++) sum.v[e] += q.v[e];
  }
  column_sums<Lanes::BN, Lanes::THREADS>(ctx, sum, s);
  for (unsigned n = THREAD; n < Lanes::BN; n += Lanes::THREADS) {
    const unsigned channel = GROUP_Y * Lanes::BN + n;
    if (channel < p.channels) parts[GROUP_X * p.channels + channel] = s[n];
  }
}

// The parts of a map, of which a block finishes 32 channels.
FN Parts finish_parts(CTX, Global<const float> parts, ARGS(Norm) p) {
  Columns columns;
  columns.first = GROUP_X * LINE_CHANNELS;
  columns.end = columns.total = p.channels;
  return parts_of(parts, p.tiles, p.tile_rows, p.rows, columns, LINE_CHANNELS);
}
// statistics [2][C]: mean and variance. grid: tiles of 32 channels.
FN void norm_statistics(CTX, Global<const float> parts, Global<float> statistics, ARGS(Norm) p, Shared<float> s) {
  Parts all = finish_parts(ctx, parts, p);
  const unsigned c = line_channel(ctx, all.columns, all.columns.first);
  const Moments m = whole_moments<FINISH_THREADS>(ctx, all, c, s);
  if (THREAD >= LINE_CHANNELS || all.columns.first + THREAD >= all.columns.end) return;
  statistics[c] = m.mean;
  statistics[p.channels + c] = m.variance;
}
// From moments: mean, scale, bias and 1/deviation of the norm, and the variance. grid: tiles of 32 channels.
FN void norm_finish(CTX, Global<const float> parts, Global<const float> weight, Global<const float> bias,
                    Global<float> norm, Global<float> variance, ARGS(Norm) p, Shared<float> s) {
  Parts all = finish_parts(ctx, parts, p);
  finish_moments<FINISH_THREADS>(ctx, all, weight, bias, norm, variance, p.epsilon, s);
}
// The norm of statistics, and no centre and slope: where these are constants, a clamp of its output's gradient and its scale are all of
// its own. grid: channels / 256.
FN void norm_of(CTX, Global<const float> weight, Global<const float> bias, Global<const float> mean,
                Global<const float> variance, Global<float> norm, ARGS(Norm) p) {
  const unsigned c = GROUP_X * 256u + THREAD, channels = p.channels;
  if (c >= channels) return;
  write_norm(norm, c, channels, mean[c], weight[c], bias[c], 1.0f / root(variance[c] + p.epsilon));
  norm[CENTRE * channels + c] = norm[SLOPE * channels + c] = 0.0f;
}
// From sums: the norm with centre and slope, and the gradients of weight and bias. grid: tiles of 32 channels.
FN void norm_sums_finish(CTX, Global<const float> parts, Global<const float> norm, Global<float> through,
                         Global<float> d_weight, Global<float> d_bias, ARGS(Norm) p, Shared<float> s) {
  Parts all = finish_parts(ctx, parts, p);
  finish_sums<FINISH_THREADS>(ctx, all, norm, through, d_weight, d_bias, s);
}
