// The one loop over stages of a product, and what is summed over the columns of a tile once it is in shared memory.

// LOAD has fetch(ctx, p), which begins to load the next stage, and put(ctx, a, b, p), which finishes it into shared memory.
// Each is in the text once, without a prologue: half the code, and half the time of a driver's compiler.
template <class TILE, class LOAD, class P>
FN void product(CTX, REF(TILE) tile, REF(LOAD) load, ARGS(P) p, unsigned stages, Shared<float> s) {
  tile.begin(ctx);
  if (stages == 0) return;
  for (unsigned i = 0; i <= stages; i++) {
    Shared<float> next = s + (int)(i % 2 * TILE::STAGE_LEN), now = s + (int)((i + 1) % 2 * TILE::STAGE_LEN);
    if (i < stages) load.template fetch<P>(ctx, p);
    if (i > 0) tile.step(ctx, now, now + (int)TILE::A_LEN);
    if (i < stages) load.template put<P>(ctx, next, next + (int)TILE::A_LEN, p);
    BARRIER();
  }
}

// From here on a thread is at group * (BN / 4) + quad, and has the rows group, group + groups, ... of four columns.

// The sums of each column over the threads, in the order of groups: afterwards sums[0 .. BN).
template <int BN, int THREADS> FN void column_sums(CTX, Quad mine, Shared<float> sums) {
  store_quad(sums + (int)(THREAD * 4u), mine);
  BARRIER();
  for (unsigned n = THREAD; n < BN; n += THREADS) {
    float sum = 0.0f;
    for (int group = 0; group < THREADS * 4 / BN; group++) sum += sums[group * BN + n];
    sums[n] = sum;
  }
  BARRIER();
}
// Which columns of a map a tile has: BN from `first` on of the columns of its group, which end before `end`.
struct Columns { unsigned first, end, total; };

// The mean of each column of the tile, and the sum of squares around it: [2][total] at `part`. Around the tile's own mean nothing
// cancels, however large the mean.
template <int BM, int BN, int THREADS>
FN void tile_moments(CTX, Shared<float> s, unsigned m0, unsigned rows, Columns columns, Global<float> part) {
  const unsigned quad = THREAD % (BN / 4u), here = rows - m0 < BM ? rows - m0 : (unsigned)BM;
  Shared<float> sums = s + BM * (BN + 4);
  Quad mean = zero_quad();
  for (int pass = 0; pass < 2; pass++) {
    Quad sum = zero_quad();
    for (unsigned r = THREAD / (BN / 4u); r < here; r += THREADS * 4 / BN) {
      const Quad q = load_quad(s + (int)(r * (BN + 4) + quad * 4u));
      UNROLL for (int e = 0; e < 4; e++) {
        const float d = q.v[e] - mean.v[e];
        sum.v[e] = pass == 0 ? sum.v[e] + d : fused(d, d, sum.v[e]);
      }
    }
    if (pass != 0) BARRIER();
    column_sums<BN, THREADS>(ctx, sum, sums);
    UNROLL for (int e = 0; e < 4; e++) mean.v[e] = sums[quad * 4u + e] / (float)here;
    for (unsigned n = THREAD; n < BN; n += THREADS) {
      if (columns.first + n < columns.end)
        part[pass * columns.total + columns.first + n] = pass == 0 ? sums[n] / (float)here : sums[n];
    }
  }
}
// Two sums of each column: [2][total] at `part`.
template <int BN, int THREADS>
FN void tile_sums(CTX, Quad first, Quad second, Columns columns, Global<float> part, Shared<float> sums) {
  for (int pass = 0; pass < 2; pass++) {
    if (pass != 0) BARRIER();
    column_sums<BN, THREADS>(ctx, pass == 0 ? first : second, sums);
    for (unsigned n = THREAD; n < BN; n += THREADS) {
      if (columns.first + n < columns.end) part[pass * columns.total + columns.first + n] = sums[n];
    }
  }
}
// The two sums that a norm of z needs for its gradient, from four neighbours d of the gradient of its output.
FN void add_sums(REF(Quad) first, REF(Quad) second, Quad d, Global<const float> z, unsigned at, Global<const float> norm,
                 unsigned c, unsigned left, unsigned channels, bool wide, float low, float high) {
  const Quad v = read_quad(z, at, left, wide), mean = read_quad(norm, c, left, wide);
  const Quad scale = read_quad(norm, channels + c, left, wide);
  const Quad bias = read_quad(norm, 2 * channels + c, left, wide);
  UNROLL for (unsigned e = 0; e < 4u; e++) {
    const float x = v.v[e] - mean.v[e], y = fused(x, scale.v[e], bias.v[e]);
    const float g = e < left ? passed(d.v[e], y, low, high) : 0.0f;
    first.v[e] += g;
    second.v[e] = fused(g, x, second.v[e]);
  }
}
