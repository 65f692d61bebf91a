// Similarity matching: deviations over space, the mean squared error between the similarities of features [N, C] and those of their
// labels, and its gradient.
struct Similarity {
  unsigned samples, channels, positions;
  float same, different;  // similarities of samples of one class, of two
};
enum { SIMILARITY_THREADS = 256, SIMILARITY_SHARED = SIMILARITY_THREADS / 32 };

// Mean and unbiased standard deviation over space of each sample's channels, [N, C] each, of x [N, positions, C].
// grid: samples, tiles of 32 channels.
template <int V>
FN void deviation(CTX, Global<const float> x, Global<float> mean, Global<float> deviations, ARGS(Similarity) p,
                  Shared<float> s) {
  const unsigned quad = THREAD % 8u * 4u, c = GROUP_Y * Lanes::BN + quad, left = c < p.channels ? p.channels - c : 0u;
  const unsigned first = GROUP_X * p.positions * p.channels + c;
  Quad centre = zero_quad();
  for (int pass = 0; pass < 2; pass++) {
    Quad sum = zero_quad();
    for (unsigned r = THREAD / 8u; r < p.positions && left > 0; r += Lanes::SLOTS) {
      const Quad q = read_quad(x, first + r * p.channels, left, V == 4);
      UNROLL for (int e = 0; e < 4; e++) {
        const float d = q.v[e] - centre.v[e];
        sum.v[e] = pass == 0 ? sum.v[e] + d : fused(d, d, sum.v[e]);
      }
    }
    if (pass != 0) BARRIER();
    column_sums<Lanes::BN, Lanes::THREADS>(ctx, sum, s);
    UNROLL for (int e = 0; e < 4; e++) centre.v[e] = s[quad + e] / (float)p.positions;
    for (unsigned n = THREAD; n < Lanes::BN; n += Lanes::THREADS) {
      const unsigned channel = GROUP_Y * Lanes::BN + n, at = GROUP_X * p.channels + channel;
      if (channel >= p.channels) continue;
      if (pass == 0) mean[at] = s[n] / (float)p.positions;
      else deviations[at] = root(s[n] / (float)(p.positions - 1u));
    }
  }
}
// The gradient of x from d, that of the deviations; none where a deviation is 0. grid: elements of x / 1024.
FN void deviation_backward(CTX, Global<const float> x, Global<const float> mean, Global<const float> deviations,
                           Global<const float> d, Global<float> d_x, ARGS(Similarity) p) {
  EACH_ELEMENT(i, p.samples * p.positions * p.channels) {
    const unsigned pixel = i / p.channels, at = pixel / p.positions * p.channels + (i - pixel * p.channels);
    const float size = deviations[at];
    d_x[i] = size == 0.0f ? 0.0f : (x[i] - mean[at]) * (d[at] / ((float)(p.positions - 1u) * size));
  }
}
// rows = (x - mean) / (1e-8 + norm) of each sample, and the norms. grid: samples.
FN void similarity_rows(CTX, Global<const float> x, Global<float> rows, Global<float> norms, ARGS(Similarity) p,
                        Shared<float> s) {
  const unsigned first = GROUP_X * p.channels;
  float sum = 0.0f, squares = 0.0f;
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) sum += x[first + c];
  const float mean = block_sum<SIMILARITY_THREADS>(ctx, sum, s) / (float)p.channels;
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) {
    const float d = x[first + c] - mean;
    squares = fused(d, d, squares);
  }
  const float norm = root(block_sum<SIMILARITY_THREADS>(ctx, squares, s));
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) rows[first + c] = (x[first + c] - mean) / (1e-8f + norm);
  if (THREAD == 0u) norms[GROUP_X] = norm;
}
// errors [N, N]: the gradient of the loss with respect to the similarities, for both of a pair; parts: a sum of squares a sample.
// grid: samples; a warp a pair in turn.
FN void similarity_errors(CTX, Global<const float> rows, Global<const unsigned> labels, Global<float> errors,
                          Global<float> parts, ARGS(Similarity) p, Shared<float> s) {
  const unsigned mine = GROUP_X, warps = SIMILARITY_THREADS / 32u;
  const float samples = (float)p.samples;
  float loss = 0.0f;
  for (unsigned other = THREAD / 32u; other < p.samples; other += warps) {
    float dot = 0.0f;
    for (unsigned c = LANE; c < p.channels; c += 32u) dot = fused(rows[mine * p.channels + c], rows[other * p.channels + c], dot);
    dot = warp_sum(ctx, dot);
    const float error = clamped(dot, -1.0f, 1.0f) - (labels[mine] == labels[other] ? p.same : p.different);
    if (LANE != 0u) continue;
    loss = fused(error, error, loss);
    errors[mine * p.samples + other] = dot >= -1.0f && dot <= 1.0f ? error * (4.0f / (samples * samples)) : 0.0f;
  }
  loss = block_sum<SIMILARITY_THREADS>(ctx, loss, s);
  if (THREAD == 0u) parts[mine] = loss;
}
// The gradient of the features: errors times rows, and back through the division by the norm and the centring. grid: samples.
FN void similarity_backward(CTX, Global<const float> errors, Global<const float> rows, Global<const float> norms,
                            Global<float> d_x, ARGS(Similarity) p, Shared<float> s) {
  const unsigned first = GROUP_X * p.channels;
  const float norm = norms[GROUP_X], size = 1e-8f + norm;
  float inner = 0.0f, sum = 0.0f;
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) {
    float d = 0.0f;
    for (unsigned other = 0; other < p.samples; other++)
      d = fused(errors[GROUP_X * p.samples + other], rows[other * p.channels + c], d);
    d_x[first + c] = d;  // read again by this thread alone
    inner = fused(d, rows[first + c], inner);
  }
  const float total = block_sum<SIMILARITY_THREADS>(ctx, inner, s), radial = norm > 0.0f ? total * size / norm : 0.0f;
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) {
    const float d = (d_x[first + c] - radial * rows[first + c]) / size;
    d_x[first + c] = d;
    sum += d;
  }
  const float mean = block_sum<SIMILARITY_THREADS>(ctx, sum, s) / (float)p.channels;
  for (unsigned c = THREAD; c < p.channels; c += SIMILARITY_THREADS) d_x[first + c] -= mean;
}
