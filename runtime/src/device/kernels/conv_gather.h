// A convolution as a product of matrices that nobody makes: forward, and the gradient of its input (BACK).
// C has a row for each pixel of the output and a column for each of its channels; k counts taps and the channels that are gathered.

// V: 4 where the channels of a group are multiples of 4 on both sides, else 1.
template <class TILE, int KIND, bool BACK, int V> struct GatherLoad {
  // A warp loads LOAD_ROWS rows. Lanes that are neighbours take neighbouring rows, which keeps the stores apart.
  enum { K_QUADS = TILE::BK / 4, LOAD_ROWS = 32 / K_QUADS };
  Source<KIND> source;
  Global<const float> weight;
  Axis y, x;
  unsigned in_height, in_width, channels, first_channel, columns, n0, k_len, kernel_width;
  unsigned k, c, tap_y, tap_x;  // of this thread's quads of A: tap_y and tap_x of the kernel, c of its channels
  unsigned b_k, stored_c, seen;
  unsigned image[TILE::A_QUADS];
  int at_y[TILE::A_QUADS], at_x[TILE::A_QUADS];
  Loaded a[TILE::A_QUADS];
  Quad b[TILE::B_QUADS];

  METHOD unsigned a_row(CTX, int i) {
    return THREAD / 32u * LOAD_ROWS + THREAD % LOAD_ROWS + i * (TILE::THREADS / K_QUADS);
  }
  METHOD unsigned a_k(CTX) { return THREAD % 32u / LOAD_ROWS * 4; }
  METHOD void begin(CTX, unsigned m0, unsigned rows, unsigned pixels_an_image) {
    k = c = a_k(ctx);
    b_k = tap_y = tap_x = 0;
    wrap();
    UNROLL for (int i = 0; i < TILE::A_QUADS; i++) {
      const unsigned r = a_row(ctx, i), m = m0 + r, row = m / x.size, n = row / y.size;
      const bool exists = r < TILE::BM && m < rows;
      image[i] = exists ? n * pixels_an_image : 0u;
      at_y[i] = exists ? (int)(row - n * y.size) * y.step + y.start : -0x3fffffff;
      at_x[i] = (int)(m - row * x.size) * x.step + x.start;
    }
  }
  METHOD void wrap() {
    while (c >= channels) {
      c -= channels;
      if (++tap_x == x.taps) {
        tap_x = 0;
        tap_y++;
      }
    }
  }
  template <class P> METHOD void fetch(CTX, ARGS(P) p) {
    seen = 0;
    stored_c = c;
    UNROLL for (int i = 0; i < TILE::A_QUADS; i++) {
      if (V == 4) fetch_a4(i);
      else fetch_a1<P>(i, p);
    }
    // B reads at the tap and the channels of A's quads.
    const unsigned at = ((y.first + tap_y * y.every) * kernel_width + x.first + tap_x * x.every) * columns * channels + c;
    const unsigned now = k;
    k += TILE::BK;
    c += TILE::BK;
    wrap();
    UNROLL for (int i = 0; i < TILE::B_QUADS; i++) {
      if (BACK) fetch_transposed<P>(ctx, i, now, at, p);
      else fetch_b(ctx, i);
    }
    b_k += TILE::BK;
  }
  METHOD void fetch_a4(int i) {
    const int py = at_y[i] + (int)tap_y * y.tap, px = at_x[i] + (int)tap_x * x.tap;
    if (k < k_len && (unsigned)py < in_height && (unsigned)px < in_width) {
      seen |= 1u << i;
      source.load4(a[i], image[i], py, px, first_channel + c);
    }
  }
  template <class P> METHOD void fetch_a1(int i, ARGS(P) p) {
    const Divisor by_taps = small_divisor(x.taps);
    for (int e = 0; e < 4; e++) {
      const unsigned tap = QUOTIENT(k + e, p.by_channels), ty = QUOTIENT(tap, by_taps);
      const int py = at_y[i] + (int)ty * y.tap, px = at_x[i] + (int)(tap - ty * x.taps) * x.tap;
      if (k + e < k_len && (unsigned)py < in_height && (unsigned)px < in_width) {
        seen |= 1u << (i * 4 + e);
        source.load1(a[i], e, image[i], py, px, first_channel + (k + e - tap * channels));
      }
    }
  }
  METHOD void fetch_b(CTX, int i) {
    const unsigned at = THREAD + i * TILE::THREADS;
    const unsigned kk = b_k + at / (TILE::BN / 4), n = n0 + at % (TILE::BN / 4) * 4;
    b[i] = kk < k_len && n < columns ? read_quad(weight, kk * columns + n, columns - n, V == 4) : zero_quad();
  }
  template <class P> METHOD void fetch_transposed(CTX, int i, unsigned now, unsigned at4, ARGS(P) p) {
    const unsigned at = THREAD + i * TILE::THREADS, n = n0 + at / 32u * LOAD_ROWS + at % LOAD_ROWS;
    b[i] = zero_quad();
    if (V == 4) {
      if (now < k_len && n < columns) b[i] = load_quad(weight + (at4 + n * channels));
      return;
    }
    const Divisor by_taps = small_divisor(x.taps);
    for (int e = 0; e < 4; e++) {
      const unsigned kk = b_k + a_k(ctx) + e, tap = QUOTIENT(kk, p.by_channels), ty = QUOTIENT(tap, by_taps);
      const unsigned place = (y.first + ty * y.every) * kernel_width + x.first + (tap - ty * x.taps) * x.every;
      if (kk < k_len && n < columns) b[i].v[e] = weight[(place * columns + n) * channels + (kk - tap * channels)];
    }
  }
  template <class P> METHOD void put(CTX, Shared<float> sa, Shared<float> sb, ARGS(P) p) {
    NormQuads norm;
    if (V == 4) source.norm4(norm, first_channel + stored_c);
    UNROLL for (int i = 0; i < TILE::A_QUADS; i++) {
      if (V == 1) {
        for (int e = 0; e < 4; e++) {
          const unsigned kk = k - TILE::BK + e;
          if (seen >> (i * 4 + e) & 1u)
            source.norm1(norm, e, first_channel + kk - QUOTIENT(kk, p.by_channels) * channels);
        }
      }
      Quad q;
      UNROLL for (int e = 0; e < 4; e++)
        q.v[e] = seen >> (V == 4 ? i : i * 4 + e) & 1u ? source.value(a[i], norm, e) : 0.0f;
      const unsigned r = a_row(ctx, i);
      if (r < TILE::BM) store_quad(sa + (r * TILE::A_ROW + a_k(ctx)), q);
    }
    UNROLL for (int i = 0; i < TILE::B_QUADS; i++) {
      const unsigned at = THREAD + i * TILE::THREADS;
      if (at >= TILE::BN * TILE::BK / 4) break;
      if (!BACK) {
        store_quad(sb + (at / (TILE::BN / 4) * TILE::B_ROW + at % (TILE::BN / 4) * 4), b[i]);
      } else {
        const unsigned n = at / 32u * LOAD_ROWS + at % LOAD_ROWS;
        for (int e = 0; e < 4; e++) sb[(a_k(ctx) + e) * TILE::B_ROW + n] = b[i].v[e];
      }
    }
  }
};

// What is added to a row of the result, and summed over it, before it is written.
template <class TILE, class P> struct GatherRow {
  Global<const float> bias, beside, z, z_norm;
  Global<const u8> mask;
  Columns columns;
  unsigned left;
  bool wide;
  Quad first, second;

  METHOD void forward(ARGS(P) p, REF(Quad) q, unsigned n) {
    if ((p.flags & WITH_BIAS) == 0) return;
    const Quad b = read_quad(bias, n, left, wide);
    UNROLL for (int e = 0; e < 4; e++) q.v[e] += b.v[e];
  }
  METHOD void backward(ARGS(P) p, REF(Quad) q, unsigned at, unsigned n) {
    if ((p.flags & WITH_BESIDE) != 0) {
      const Quad other = read_quad(beside, at, left, wide);
      UNROLL for (int e = 0; e < 4; e++) q.v[e] += other.v[e];
    }
    if ((p.flags & WITH_MASK) != 0) {
      UNROLL for (unsigned e = 0; e < 4u; e++)
        q.v[e] = e < left && (mask[(at + e) / 8u] >> ((at + e) % 8u) & 1) ? q.v[e] : 0.0f;
    }
    if ((p.flags & WITH_SUMS) != 0)
      add_sums(first, second, q, z, at, z_norm, n, left, columns.total, wide, p.norm_low, p.norm_high);
  }
};

// Block `block` of a group: out = the convolution of what `in` is read through with the weight, plus bias; or the gradient of the input
// of one, from that of its output. parts [phase * tiles + tile][2][channels]: the moments of out, or the sums for the norm before it; the last block makes of them
// what a launch of its own else would.
// There are phases * column tiles * tiles blocks. Those that read the same pixels follow each other: phases first, then columns.
template <class TILE, int KIND, bool BACK, int V>
FN void gather_tile(CTX, unsigned block, unsigned group, Global<const float> in, Global<const float> other, Global<const float> norm,
                    Global<const float> weight, Global<const float> bias, Global<const float> beside,
                    Global<const u8> mask, Global<const float> z, Global<const float> z_norm, Global<float> out,
                    Global<float> parts, Global<const float> norm_weight, Global<const float> norm_bias,
                    Global<float> made, Global<float> first, Global<float> second, Global<unsigned> arrivals,
                    ARGS(Conv) p, Shared<float> s) {
  const unsigned phases = BACK ? p.stride_y * p.stride_x : 1u, at = block / phases;
  const unsigned phase = block % phases, phase_y = phase / p.stride_x, phase_x = phase % p.stride_x;
  const unsigned tile_m = at / p.column_tiles;
  GatherLoad<TILE, KIND, BACK, V> load;
  if (BACK) {
    load.y = backward_axis((int)p.in_height, (int)p.kernel_height, (int)p.stride_y, (int)p.padding_y,
                           (int)p.dilation_y, (int)phase_y);
    load.x = backward_axis((int)p.in_width, (int)p.kernel_width, (int)p.stride_x, (int)p.padding_x,
                           (int)p.dilation_x, (int)phase_x);
  } else {
    load.y = forward_axis(p.out_height, p.kernel_height, p.stride_y, p.padding_y, p.dilation_y);
    load.x = forward_axis(p.out_width, p.kernel_width, p.stride_x, p.padding_x, p.dilation_x);
  }
  const unsigned out_height = BACK ? p.in_height : p.out_height, out_width = BACK ? p.in_width : p.out_width;
  load.in_height = BACK ? p.out_height : p.in_height;
  load.in_width = BACK ? p.out_width : p.in_width;
  load.channels = BACK ? p.out_channels : p.in_channels;
  load.columns = BACK ? p.in_channels : p.out_channels;
  load.kernel_width = p.kernel_width;
  load.first_channel = group * load.channels;
  load.n0 = at % p.column_tiles * TILE::BN;
  load.k_len = load.y.taps * load.x.taps * load.channels;
  load.weight = weight + (int)(group * p.kernel_height * p.kernel_width * p.in_channels * p.out_channels);
  load.source = source<KIND>(in, other, norm, load.channels * p.groups, p.low, p.high);
  load.source.height = load.in_height;
  load.source.width = load.in_width;
  load.source.small_width = p.small_width;
  const unsigned rows = p.images * load.y.size * load.x.size, m0 = tile_m * TILE::BM;
  if (rows > 0)
    load.begin(ctx, m0, rows, KIND == UPSAMPLED ? p.small_height * p.small_width : load.in_height * load.in_width);
  TILE tile;
  const unsigned stages = m0 < rows ? (load.k_len + TILE::BK - 1) / TILE::BK : 0u;
  product<TILE, GatherLoad<TILE, KIND, BACK, V>, Conv>(ctx, tile, load, p, stages, s);
  // A phase may have fewer pixels than the largest: its sums are 0, and its moments are not asked for.
  if (m0 >= rows && (!BACK || (p.flags & WITH_SUMS) == 0)) return;
  tile.spill(ctx, s);
  BARRIER();

  GatherRow<TILE, Conv> row;
  row.bias = bias;
  row.beside = beside;
  row.mask = mask;
  row.z = z;
  row.z_norm = z_norm;
  row.columns.total = load.columns * p.groups;
  row.columns.first = group * load.columns + load.n0;
  row.columns.end = (group + 1u) * load.columns;
  row.wide = load.columns % 4u == 0u;
  row.first = row.second = zero_quad();
  const unsigned quad = THREAD % (TILE::BN / 4u) * 4u, n = row.columns.first + quad;
  row.left = n < row.columns.end ? row.columns.end - n : 0u;
  for (unsigned r = THREAD / (TILE::BN / 4u); r < TILE::BM && m0 + r < rows && row.left > 0;
       r += TILE::THREADS * 4 / TILE::BN) {
    unsigned pixel = m0 + r;
    Shared<float> here = s + (int)(r * TILE::C_ROW + quad);
    Quad q = load_quad(here);
    if (BACK) {
      const unsigned line = pixel / load.x.size, image = line / load.y.size;
      const unsigned y = (line - image * load.y.size) * p.stride_y + phase_y;
      pixel = (image * out_height + y) * out_width + (pixel - line * load.x.size) * p.stride_x + phase_x;
      row.backward(p, q, pixel * row.columns.total + n, n);
    } else {
      row.forward(p, q, n);
      store_quad(here, q);  // the moments are of what is written, and read by this thread
    }
    write_quad(out, pixel * row.columns.total + n, row.left, row.wide, q);
  }
  Global<float> part = parts + (int)((phase * p.tiles + tile_m) * 2u * row.columns.total);
  if (!BACK && (p.flags & WITH_MOMENTS) != 0)
    tile_moments<TILE::BM, TILE::BN, TILE::THREADS>(ctx, s, m0, rows, row.columns, part);
  if (BACK && (p.flags & WITH_SUMS) != 0)
    tile_sums<TILE::BN, TILE::THREADS>(ctx, row.first, row.second, row.columns, part, s + (int)TILE::C_LEN);
  if ((p.flags & WITH_FINISH) == 0) return;
  const unsigned tiles = p.tiles * phases;
  if (!is_last(ctx, arrivals, group * p.column_tiles + at % p.column_tiles, tiles, s)) return;
  Parts all = parts_of(parts, tiles, TILE::BM, p.images * out_height * out_width, row.columns, TILE::BN);
  if (BACK) finish_sums<TILE::THREADS>(ctx, all, z_norm, made, first, second, s);
  else finish_moments<TILE::THREADS>(ctx, all, norm_weight, norm_bias, made, first, p.epsilon, s);
}
// The gather alone. grid: its blocks, groups, 1.
template <class TILE, int KIND, bool BACK, int V>
FN void conv_gather(CTX, Global<const float> in, Global<const float> other, Global<const float> norm,
                    Global<const float> weight, Global<const float> bias, Global<const float> beside,
                    Global<const u8> mask, Global<const float> z, Global<const float> z_norm, Global<float> out,
                    Global<float> parts, Global<const float> norm_weight, Global<const float> norm_bias,
                    Global<float> made, Global<float> first, Global<float> second, Global<unsigned> arrivals,
                    ARGS(Conv) p, Shared<float> s) {
  gather_tile<TILE, KIND, BACK, V>(ctx, GROUP_X, GROUP_Y, in, other, norm, weight, bias, beside, mask, z, z_norm, out, parts,
                                   norm_weight, norm_bias, made, first, second, arrivals, p, s);
}
