// Batch norm over maps [rows, C]: the moments and the sums of a map in memory, and what is made of the parts of all tiles.
struct Norm {
  unsigned rows, channels, tiles, tile_rows, elements, flags;
  unsigned kind;  // of the activation behind the norm, which is no clamp
  float epsilon, low, high, slope;
};
// residual_sum: the other summand has a norm; the mask is written.
enum { BOTH_NORMALIZED = 1, WRITES_MASK = 2 };

// parts [tile][2][C]: each tile's mean, and its sum of squares around it. grid: tiles of 64 rows, tiles of 32 channels.
template <int V> FN void norm_moments(CTX, Global<const float> x, Global<float> parts, ARGS(Norm) p, Shared<float> s) {
  const unsigned m0 = GROUP_X * Lanes::BM, quad = THREAD % 8u * 4u, c = GROUP_Y * Lanes::BN + quad;
  const unsigned left = c < p.channels ? p.channels - c : 0u;
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < p.rows; r += Lanes::SLOTS)
    store_quad(s + (int)(r * Lanes::ROW + quad),
               left > 0 ? read_quad(x, (m0 + r) * p.channels + c, left, V == 4) : zero_quad());
  tile_moments<Lanes::BM, Lanes::BN, Lanes::THREADS>(ctx, s, m0, p.rows, lane_columns(GROUP_Y, p.channels),
                                                     parts + (int)(GROUP_X * 2u * p.channels));
}
// parts [tile][2][C]: the two sums that a norm of z needs for its gradient. The same grid.
template <int V>
FN void norm_sums(CTX, Global<const float> d, Global<const float> z, Global<const float> norm, Global<float> parts,
                  ARGS(Norm) p, Shared<float> s) {
  const unsigned m0 = GROUP_X * Lanes::BM, c = GROUP_Y * Lanes::BN + THREAD % 8u * 4u;
  const unsigned left = c < p.channels ? p.channels - c : 0u;
  Quad first = zero_quad(), second = zero_quad();
  for (unsigned r = THREAD / 8u; r < Lanes::BM && m0 + r < p.rows && left > 0; r += Lanes::SLOTS) {
    const unsigned at = (m0 + r) * p.channels + c;
    add_sums(first, second, read_quad(d, at, left, V == 4), z, at, norm, c, left, p.channels, V == 4, p.low, p.high);
  }
  tile_sums<Lanes::BN, Lanes::THREADS>(ctx, first, second, lane_columns(GROUP_Y, p.channels),
                                       parts + (int)(GROUP_X * 2u * p.channels), s);
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

// A block adds the parts of 32 channels on 16 lines: line l those of the tiles l, l + 16, ...; then the lines in their order.
enum { LINES = 16, FINISH_THREADS = 512, FINISH_SHARED = 2 * FINISH_THREADS };
FN void add_lines(CTX, REF(float) a, REF(float) b, Shared<float> s) {
  s[THREAD] = a;
  s[FINISH_THREADS + THREAD] = b;
  BARRIER();
  a = b = 0.0f;
  if (THREAD >= 32u) return;
  for (int line = 0; line < LINES; line++) {
    a += s[line * 32 + THREAD];
    b += s[FINISH_THREADS + line * 32 + THREAD];
  }
}
struct Moments { float mean, variance; };
// Of channel c over all rows, from the parts of all tiles; the first 32 threads get it.
FN Moments whole_moments(CTX, Global<const float> parts, ARGS(Norm) p, unsigned c, Shared<float> s) {
  const unsigned channels = p.channels;
  // Around the mean of tile 0, which is near all others, squares of differences do not cancel.
  const float origin = parts[c];
  float sum = 0.0f, squares = 0.0f;
  for (unsigned t = THREAD / 32u; t < p.tiles; t += LINES) {
    const unsigned left = p.rows - t * p.tile_rows;
    const float count = (float)(left < p.tile_rows ? left : p.tile_rows), d = parts[t * 2u * channels + c] - origin;
    sum = fused(count, d, sum);
    squares += fused(count * d, d, parts[(t * 2u + 1u) * channels + c]);
  }
  add_lines(ctx, sum, squares, s);
  const float rows = (float)p.rows, d = sum / rows, spread = squares - sum * d;
  Moments m;
  m.mean = origin + d;
  m.variance = spread < 0.0f ? 0.0f : spread / rows;
  return m;
}
// statistics [2][C]: mean and variance. grid: tiles of 32 channels.
FN void norm_statistics(CTX, Global<const float> parts, Global<float> statistics, ARGS(Norm) p, Shared<float> s) {
  const unsigned channel = GROUP_X * 32u + THREAD % 32u, c = channel < p.channels ? channel : p.channels - 1u;
  const Moments m = whole_moments(ctx, parts, p, c, s);
  if (THREAD >= 32u || channel >= p.channels) return;
  statistics[c] = m.mean;
  statistics[p.channels + c] = m.variance;
}
FN void write_norm(Global<float> norm, unsigned c, unsigned channels, float mean, float weight, float bias, float inverse) {
  norm[MEAN * channels + c] = mean;
  norm[SCALE * channels + c] = weight * inverse;
  norm[BIAS * channels + c] = bias;
  norm[INVERSE * channels + c] = inverse;
}
// From moments: mean, scale, bias and 1/deviation of the norm, and the variance. grid: tiles of 32 channels.
FN void norm_finish(CTX, Global<const float> parts, Global<const float> weight, Global<const float> bias,
                    Global<float> norm, Global<float> variance, ARGS(Norm) p, Shared<float> s) {
  const unsigned channels = p.channels, channel = GROUP_X * 32u + THREAD % 32u;
  const unsigned c = channel < channels ? channel : channels - 1u;
  const Moments m = whole_moments(ctx, parts, p, c, s);
  if (THREAD >= 32u || channel >= channels) return;
  write_norm(norm, c, channels, m.mean, weight[c], bias[c], 1.0f / root(m.variance + p.epsilon));
  variance[c] = m.variance;
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
  const unsigned channels = p.channels, channel = GROUP_X * 32u + THREAD % 32u;
  const unsigned c = channel < channels ? channel : channels - 1u;
  float sum = 0.0f, products = 0.0f;
  for (unsigned t = THREAD / 32u; t < p.tiles; t += LINES) {
    sum += parts[t * 2u * channels + c];
    products += parts[(t * 2u + 1u) * channels + c];
  }
  add_lines(ctx, sum, products, s);
  if (THREAD >= 32u || channel >= channels) return;
  const float inverse = norm[INVERSE * channels + c], rows = (float)p.rows;
  d_bias[c] = sum;
  d_weight[c] = products * inverse;
  for (unsigned row = MEAN; row <= BIAS; row++) through[row * channels + c] = norm[row * channels + c];
  through[CENTRE * channels + c] = sum / rows;
  through[SLOPE * channels + c] = products / rows * inverse * inverse;
  through[INVERSE * channels + c] = inverse;
}
