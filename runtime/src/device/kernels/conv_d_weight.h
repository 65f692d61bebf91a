// The gradient of a convolution's weight: a row of C for each tap and input channel, a column for each output channel, and k counts
// the pixels of the output. Pixels are split among blocks; the splits are added in their order by whoever reads the gradient.
template <class TILE, int MAP, int GRAD, int V> struct WeightLoad {
  enum { M_QUADS = TILE::BM / 4, N_QUADS = TILE::BN / 4, EACH = V == 4 ? 1 : 4 };
  Source<MAP> x;
  Source<GRAD> d;
  unsigned pixel, end, m0, n0, m_len, columns, in_first, out_first, x_pixels, seen_x, seen_d;
  Loaded a[TILE::A_QUADS], b[TILE::B_QUADS];
  NormQuads x_norm, d_norm;
  int tap_y[EACH], tap_x[EACH];
  unsigned c[EACH];

  // A thread's rows of A and columns of B are the same in each stage, and are divided once.
  METHOD void begin(CTX, ARGS(Conv) p) {
    const unsigned m = m0 + THREAD % M_QUADS * 4, n = n0 + THREAD % N_QUADS * 4;
    UNROLL for (int e = 0; e < EACH; e++) {
      const unsigned tap = (m + e) / p.in_channels, y = tap / p.kernel_width;
      c[e] = in_first + m + e - tap * p.in_channels;
      tap_y[e] = (int)(y * p.dilation_y) - (int)p.padding_y;
      tap_x[e] = (int)((tap - y * p.kernel_width) * p.dilation_x) - (int)p.padding_x;
    }
    if (V == 4) {
      if (m < m_len) x.norm4(x_norm, c[0]);
      if (n < columns) d.norm4(d_norm, out_first + n);
    } else {
      UNROLL for (int e = 0; e < 4; e++) {
        if (m + e < m_len) x.norm1(x_norm, e, c[e]);
        if (n + e < columns) d.norm1(d_norm, e, out_first + n + e);
      }
    }
  }
  template <class P> METHOD void fetch(CTX, ARGS(P) p) {
    seen_x = seen_d = 0;
    UNROLL for (int i = 0; i < TILE::A_QUADS; i++) {
      const unsigned at = THREAD + i * TILE::THREADS, here = pixel + at / M_QUADS, m = m0 + at % M_QUADS * 4;
      if (at >= M_QUADS * TILE::BK || here >= end) continue;
      const unsigned n = QUOTIENT(here, p.by_image), inside = here - n * (p.out_height * p.out_width);
      const unsigned oy = QUOTIENT(inside, p.by_row), ox = inside - oy * p.out_width;
      UNROLL for (int e = 0; e < EACH; e++) {
        const int py = (int)(oy * p.stride_y) + tap_y[e], px = (int)(ox * p.stride_x) + tap_x[e];
        if (m + e >= m_len || (unsigned)py >= p.in_height || (unsigned)px >= p.in_width) continue;
        seen_x |= 1u << (i * EACH + e);
        if (V == 4) x.load4(a[i], n * x_pixels, py, px, c[0]);
        else x.load1(a[i], e, n * x_pixels, py, px, c[e]);
      }
    }
    UNROLL for (int i = 0; i < TILE::B_QUADS; i++) {
      const unsigned at = THREAD + i * TILE::THREADS, here = pixel + at / N_QUADS, n = n0 + at % N_QUADS * 4;
      if (at >= N_QUADS * TILE::BK || here >= end) continue;
      UNROLL for (int e = 0; e < EACH; e++) {
        if (n + e >= columns) continue;
        seen_d |= 1u << (i * EACH + e);
        if (V == 4) d.load4(b[i], here, 0, 0, out_first + n);
        else d.load1(b[i], e, here, 0, 0, out_first + n + e);
      }
    }
    pixel += TILE::BK;
  }
  template <class P> METHOD void put(CTX, Shared<float> sa, Shared<float> sb, ARGS(P)) {
    UNROLL for (int i = 0; i < TILE::A_QUADS; i++) {
      const unsigned at = THREAD + i * TILE::THREADS;
      Quad q;
      UNROLL for (int e = 0; e < 4; e++)
        q.v[e] = seen_x >> (V == 4 ? i : i * 4 + e) & 1u ? x.value(a[i], x_norm, e) : 0.0f;
      if (at < M_QUADS * TILE::BK) store_quad(sa + (at / M_QUADS * TILE::A_ROW + at % M_QUADS * 4), q);
    }
    UNROLL for (int i = 0; i < TILE::B_QUADS; i++) {
      const unsigned at = THREAD + i * TILE::THREADS;
      Quad q;
      UNROLL for (int e = 0; e < 4; e++)
        q.v[e] = seen_d >> (V == 4 ? i : i * 4 + e) & 1u ? d.value(b[i], d_norm, e) : 0.0f;
      if (at < N_QUADS * TILE::BK) store_quad(sb + (at / N_QUADS * TILE::B_ROW + at % N_QUADS * 4), q);
    }
  }
};
// Tile (tile_m, tile_n) of the pixels of a split, from what is read through x and d. parts [split][G, KH, KW, I, O].
template <class TILE, int MAP, int GRAD, int V>
FN void weight_tile(CTX, unsigned tile_m, unsigned tile_n, unsigned column_tiles, unsigned split, Source<MAP> x, Source<GRAD> d,
                    Global<float> parts, ARGS(Conv) p, Shared<float> s) {
  static_assert(TILE::K_FIRST && TILE::THREADS % (TILE::BM / 4) == 0 && TILE::THREADS % (TILE::BN / 4) == 0,
                "a thread's channels must not change");
  const unsigned group = tile_n / column_tiles, pixels = p.images * p.out_height * p.out_width;
  const unsigned from = split * p.pixels_a_split;
  const unsigned to = from + p.pixels_a_split < pixels ? from + p.pixels_a_split : pixels;
  WeightLoad<TILE, MAP, GRAD, V> load;
  load.x = x;
  load.x.height = p.in_height;
  load.x.width = p.in_width;
  load.x.small_width = p.small_width;
  load.x_pixels = MAP == UPSAMPLED ? p.small_height * p.small_width : p.in_height * p.in_width;
  load.d = d;
  load.m_len = p.kernel_height * p.kernel_width * p.in_channels;
  load.columns = p.out_channels;
  load.in_first = group * p.in_channels;
  load.out_first = group * p.out_channels;
  load.m0 = tile_m * TILE::BM;
  load.n0 = tile_n % column_tiles * TILE::BN;
  load.pixel = from;
  load.end = to;
  load.begin(ctx, p);
  TILE tile;
  const unsigned stages = from < to ? (to - from + TILE::BK - 1) / TILE::BK : 0u;
  product<TILE, WeightLoad<TILE, MAP, GRAD, V>, Conv>(ctx, tile, load, p, stages, s);
  tile.spill(ctx, s);
  BARRIER();
  const unsigned quad = THREAD % (TILE::BN / 4u) * 4u, n = load.n0 + quad;
  const unsigned first = (split * p.groups + group) * load.m_len + load.m0;
  for (unsigned r = THREAD / (TILE::BN / 4u); r < TILE::BM && load.m0 + r < load.m_len && n < p.out_channels;
       r += TILE::THREADS * 4 / TILE::BN)
    write_quad(parts, (first + r) * p.out_channels + n, p.out_channels - n, p.out_channels % 4u == 0u,
               load_quad(s + (int)(r * TILE::C_ROW + quad)));
}
// The gradient of the weight alone. grid: tiles of a group's KH * KW * I, groups * tiles of O, splits.
template <class TILE, int MAP, int GRAD, int V>
FN void conv_d_weight(CTX, Global<const float> in, Global<const float> other, Global<const float> norm,
                      Global<const float> d, Global<const float> z, Global<const float> z_norm, Global<float> parts,
                      ARGS(Conv) p, Shared<float> s) {
  weight_tile<TILE, MAP, GRAD, V>(
      ctx, GROUP_X, GROUP_Y, p.column_tiles, GROUP_Z,
      source<MAP>(in, other, norm, p.in_channels * p.groups, p.low, p.high),
      source<GRAD>(GRAD == THROUGH ? z : d, d, z_norm, p.out_channels * p.groups, p.norm_low, p.norm_high), parts, p, s);
}
