// Norms of each sample by itself: group and layer norm, whose groups have a mean and a deviation each, and the global response norm,
// whose channels compete by their norms.
struct Groups {
  unsigned elements;
  unsigned rows, channels, width;  // rows of a sample; channels of a group
  float epsilon;
};
enum { GROUP_THREADS = 256 };

// Where element e of a group lies: samples have channels / width groups each.
FN unsigned group_element(unsigned group, unsigned e, unsigned rows, unsigned channels, unsigned width) {
  const unsigned groups = channels / width, sample = group / groups, row = e / width;
  return (sample * rows + row) * channels + (group - sample * groups) * width + (e - row * width);
}
// moments [groups][2]: mean and 1/deviation. grid: groups.
FN void group_moments(CTX, Global<const float> x, Global<float> moments, ARGS(Groups) p, Shared<float> s) {
  const unsigned count = p.rows * p.width;
  float sum = 0.0f, squares = 0.0f;
  for (unsigned e = THREAD; e < count; e += GROUP_THREADS)
    sum += x[group_element(GROUP_X, e, p.rows, p.channels, p.width)];
  const float mean = block_sum<GROUP_THREADS>(ctx, sum, s) / (float)count;
  for (unsigned e = THREAD; e < count; e += GROUP_THREADS) {
    const float d = x[group_element(GROUP_X, e, p.rows, p.channels, p.width)] - mean;
    squares = fused(d, d, squares);
  }
  const float spread = block_sum<GROUP_THREADS>(ctx, squares, s);
  if (THREAD != 0u) return;
  moments[GROUP_X * 2u] = mean;
  moments[GROUP_X * 2u + 1u] = 1.0f / root(spread / (float)count + p.epsilon);
}
// sums [groups][2]: the means of d * weight, and of its product with what is normalized. grid: groups.
FN void group_sums(CTX, Global<const float> d, Global<const float> x, Global<const float> moments,
                   Global<const float> weight, Global<float> sums, ARGS(Groups) p, Shared<float> s) {
  const unsigned count = p.rows * p.width;
  const float mean = moments[GROUP_X * 2u], inverse = moments[GROUP_X * 2u + 1u];
  float sum = 0.0f, along = 0.0f;
  for (unsigned e = THREAD; e < count; e += GROUP_THREADS) {
    const unsigned at = group_element(GROUP_X, e, p.rows, p.channels, p.width);
    const float g = d[at] * weight[at % p.channels];
    sum += g;
    along = fused(g, (x[at] - mean) * inverse, along);
  }
  sum = block_sum<GROUP_THREADS>(ctx, sum, s);
  along = block_sum<GROUP_THREADS>(ctx, along, s);
  if (THREAD != 0u) return;
  sums[GROUP_X * 2u] = sum / (float)count;
  sums[GROUP_X * 2u + 1u] = along / (float)count;
}
FN unsigned group_of(unsigned at, unsigned rows, unsigned channels, unsigned width) {
  const unsigned row = at / channels;
  return row / rows * (channels / width) + (at - row * channels) / width;
}
// y = weight * (x - mean) / deviation + bias; y may be the place of x. grid: elements / 1024.
FN void group_apply(CTX, Global<const float> x, Global<const float> moments, Global<const float> weight,
                    Global<const float> bias, Global<float> y, ARGS(Groups) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned group = group_of(i, p.rows, p.channels, p.width) * 2u, c = i % p.channels;
    y[i] = fused((x[i] - moments[group]) * moments[group + 1u], weight[c], bias[c]);
  }
}
// d, the gradient of the output, becomes that of the input; products = d * normalized, whose sums the weight's gradient is.
// grid: elements / 1024.
FN void group_backward(CTX, Global<float> d, Global<const float> x, Global<const float> moments, Global<const float> sums,
                       Global<const float> weight, Global<float> products, ARGS(Groups) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned group = group_of(i, p.rows, p.channels, p.width) * 2u;
    const float inverse = moments[group + 1u], normalized = (x[i] - moments[group]) * inverse;
    products[i] = d[i] * normalized;
    d[i] = (d[i] * weight[i % p.channels] - sums[group] - normalized * sums[group + 1u]) * inverse;
  }
}

// The mean over channels of the norms of a sample, whose squares are the sums of [N, C]; all threads get it.
FN float mean_norm(CTX, Global<const float> squares, unsigned channels, float epsilon, Shared<float> s) {
  float sum = 0.0f;
  for (unsigned c = THREAD; c < channels; c += GROUP_THREADS) sum += root(squares[GROUP_X * channels + c]);
  return block_sum<GROUP_THREADS>(ctx, sum, s) / (float)channels + epsilon;
}
// factors [N, C] = 1 + weight * norm / mean norm. grid: samples.
FN void response_factors(CTX, Global<const float> squares, Global<const float> weight, Global<float> factors,
                         ARGS(Groups) p, Shared<float> s) {
  const float mean = mean_norm(ctx, squares, p.channels, p.epsilon, s);
  for (unsigned c = THREAD; c < p.channels; c += GROUP_THREADS) {
    const unsigned at = GROUP_X * p.channels + c;
    factors[at] = fused(weight[c], root(squares[at]) / mean, 1.0f);
  }
}
// From products [N, C], the sums of d * x: what x is multiplied by in the gradient beside d * factors, and the samples' parts of the
// weight's gradient. A channel of zeros has a norm of no slope. grid: samples.
FN void response_backward(CTX, Global<const float> squares, Global<const float> products, Global<const float> weight,
                          Global<float> of_x, Global<float> d_weight, ARGS(Groups) p, Shared<float> s) {
  const float mean = mean_norm(ctx, squares, p.channels, p.epsilon, s);
  float sum = 0.0f;
  for (unsigned c = THREAD; c < p.channels; c += GROUP_THREADS) {
    const unsigned at = GROUP_X * p.channels + c;
    sum = fused(products[at] * weight[c], root(squares[at]), sum);
  }
  const float d_mean = block_sum<GROUP_THREADS>(ctx, sum, s) / (float)p.channels / (mean * mean);
  for (unsigned c = THREAD; c < p.channels; c += GROUP_THREADS) {
    const unsigned at = GROUP_X * p.channels + c;
    const float norm = root(squares[at]), d_norm = products[at] * weight[c] / mean - d_mean;
    of_x[at] = norm > 0.0f ? d_norm / norm : 0.0f;
    d_weight[at] = products[at] * norm / mean;
  }
}
