// What norms make of the parts of all tiles: by a launch of its own, or by the last block of the launch that makes the parts.

// 32 channels at a time: line l adds the parts of the tiles l, l + 16, ...; then the lines in their order. So sums do not hang on how
// many threads a block has, nor on which block is the last.
enum { LINES = 16, LINE_CHANNELS = 32, FINISH_THREADS = 512, FINISH_SHARED = 2 * LINES * LINE_CHANNELS };
// The parts [tile][2][total] of a map of `rows` rows, `tile_rows` a tile, and the channels that a block finishes.
struct Parts {
  Global<const float> at;
  unsigned tiles, tile_rows, rows;
  Columns columns;
};
// A channel of a block from `begin` on; where it has none, one of its own.
FN unsigned line_channel(CTX, Columns columns, unsigned begin) {
  const unsigned c = begin + THREAD % LINE_CHANNELS;
  return c < columns.end ? c : columns.first;
}
// What lines have put there, for the first 32 threads.
FN void add_lines(CTX, REF(float) a, REF(float) b, Shared<float> s) {
  BARRIER();
  a = b = 0.0f;
  if (THREAD < LINE_CHANNELS) {
    for (int line = 0; line < LINES; line++) {
      a += s[line * LINE_CHANNELS + (int)THREAD];
      b += s[(LINES + line) * LINE_CHANNELS + (int)THREAD];
    }
  }
}
struct Moments { float mean, variance; };
// Of channel c over all rows; the first 32 threads get it.
template <int THREADS> FN Moments whole_moments(CTX, REF(Parts) parts, unsigned c, Shared<float> s) {
  const unsigned total = parts.columns.total;
  // Around the mean of tile 0, which is near all others, squares of differences do not cancel.
  const float origin = fresh(parts.at, c);
  for (unsigned line = THREAD / LINE_CHANNELS; line < LINES; line += THREADS / LINE_CHANNELS) {
    float sum = 0.0f, squares = 0.0f;
    for (unsigned t = line; t < parts.tiles; t += LINES) {
      const unsigned left = parts.rows - t * parts.tile_rows;
      const float count = (float)(left < parts.tile_rows ? left : parts.tile_rows);
      const float d = fresh(parts.at, t * 2u * total + c) - origin;
      sum = fused(count, d, sum);
      squares += fused(count * d, d, fresh(parts.at, (t * 2u + 1u) * total + c));
    }
    s[line * LINE_CHANNELS + THREAD % LINE_CHANNELS] = sum;
    s[(LINES + line) * LINE_CHANNELS + THREAD % LINE_CHANNELS] = squares;
  }
  float sum, squares;
  add_lines(ctx, sum, squares, s);
  const float rows = (float)parts.rows, d = sum / rows, spread = squares - sum * d;
  Moments m;
  m.mean = origin + d;
  m.variance = spread < 0.0f ? 0.0f : spread / rows;
  return m;
}
FN void write_norm(Global<float> norm, unsigned c, unsigned channels, float mean, float weight, float bias, float inverse) {
  norm[MEAN * channels + c] = mean;
  norm[SCALE * channels + c] = weight * inverse;
  norm[BIAS * channels + c] = bias;
  norm[INVERSE * channels + c] = inverse;
}
// From moments: mean, scale, bias and 1/deviation of the norm, and the variance.
template <int THREADS>
FN void finish_moments(CTX, REF(Parts) parts, Global<const float> weight, Global<const float> bias, Global<float> norm,
                       Global<float> variance, float epsilon, Shared<float> s) {
  const Columns columns = parts.columns;
  for (unsigned begin = columns.first; begin < columns.end; begin += LINE_CHANNELS) {
    const unsigned c = line_channel(ctx, columns, begin);
    const Moments m = whole_moments<THREADS>(ctx, parts, c, s);
    if (THREAD < LINE_CHANNELS && begin + THREAD < columns.end) {
      write_norm(norm, c, columns.total, m.mean, weight[c], bias[c], 1.0f / root(m.variance + epsilon));
      variance[c] = m.variance;
    }
    if (begin + LINE_CHANNELS < columns.end) BARRIER();
  }
}
// From sums: the norm with centre and slope, and the gradients of weight and bias.
template <int THREADS>
FN void finish_sums(CTX, REF(Parts) parts, Global<const float> norm, Global<float> through, Global<float> d_weight,
                    Global<float> d_bias, Shared<float> s) {
  const Columns columns = parts.columns;
  const unsigned total = columns.total;
  for (unsigned begin = columns.first; begin < columns.end; begin += LINE_CHANNELS) {
    const unsigned c = line_channel(ctx, columns, begin);
    for (unsigned line = THREAD / LINE_CHANNELS; line < LINES; line += THREADS / LINE_CHANNELS) {
      float sum = 0.0f, products = 0.0f;
      for (unsigned t = line; t < parts.tiles; t += LINES) {
        sum += fresh(parts.at, t * 2u * total + c);
        products += fresh(parts.at, (t * 2u + 1u) * total + c);
      }
      s[line * LINE_CHANNELS + THREAD % LINE_CHANNELS] = sum;
      s[(LINES + line) * LINE_CHANNELS + THREAD % LINE_CHANNELS] = products;
    }
    float sum, products;
    add_lines(ctx, sum, products, s);
    if (THREAD < LINE_CHANNELS && begin + THREAD < columns.end) {
      const float inverse = norm[INVERSE * total + c], rows = (float)parts.rows;
      d_bias[c] = sum;
      d_weight[c] = products * inverse;
      for (unsigned row = MEAN; row <= BIAS; row++) through[row * total + c] = norm[row * total + c];
      through[CENTRE * total + c] = sum / rows;
      through[SLOPE * total + c] = products / rows * inverse * inverse;
      through[INVERSE * total + c] = inverse;
    }
    if (begin + LINE_CHANNELS < columns.end) BARRIER();
  }
}

FN Parts parts_of(Global<const float> at, unsigned tiles, unsigned tile_rows, unsigned rows, Columns columns, unsigned width) {
  Parts p;
  p.at = at;
  p.tiles = tiles;
  p.tile_rows = tile_rows;
  p.rows = rows;
  p.columns = columns;
  if (p.columns.end > columns.first + width) p.columns.end = columns.first + width;
  return p;
}
#if HAS_ARRIVALS
// Whether all `count` blocks that write parts of the same channels have written theirs, and this is the last of them: each counts itself.
// `arrivals` is as it was when the last one has.
FN bool is_last(CTX, Global<unsigned> arrivals, unsigned at, unsigned count, Shared<float> s) {
  SHOW_WRITTEN();
  BARRIER();
  if (THREAD == 0u) s[0] = arrives_last(arrivals, at, count) ? 1.0f : 0.0f;
  BARRIER();
  const bool last = s[0] != 0.0f;
  BARRIER();
  SEE_WRITTEN();
  return last;
}
#else
FN bool is_last(CTX, Global<unsigned>, unsigned, unsigned, Shared<float>) { return false; }
#endif
