// Losses with their gradients in one launch each. What they find stays on the device until a step ends.
struct Loss {
  unsigned rows, classes, weighted;
  float smoothing, total, weight_sum;  // the weights of all labels together; those of all classes
};
enum { LOSS_THREADS = 256, LOSS_SHARED = 2 * LOSS_THREADS / 32 };

// Softmax cross-entropy, divided by `total`, its gradient, and how many rows have their first maximum at the label (a row with a NaN has
// none): found [loss, count]. One block, a warp a row in turn; sums are added in the order of warps.
FN void cross_entropy(CTX, Global<const float> logits, Global<const unsigned> labels, Global<const float> class_weights,
                      Global<float> d_logits, Global<float> found, ARGS(Loss) p, Shared<float> s) {
  const unsigned warp = THREAD / 32u, warps = LOSS_THREADS / 32u, classes = p.classes;
  const float spread = p.smoothing / (float)classes;
  float loss = 0.0f, count = 0.0f;
  for (unsigned r = warp; r < p.rows; r += warps) {
    Global<const float> row = logits + (int)(r * classes);
    const unsigned label = labels[r];
    float most = -INF, bad = 0.0f, sum = 0.0f, all = 0.0f, first = (float)classes;
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float z = row[k];
      most = z > most ? z : most;
      bad = z == z ? bad : 1.0f;
    }
    most = warp_max(ctx, most);
    bad = warp_sum(ctx, bad);
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float z = row[k];
      sum += exponential(z - most);
      if (z == most && (float)k < first) first = (float)k;
    }
    sum = warp_sum(ctx, sum);
    first = -warp_max(ctx, -first);
    const float log_sum = logarithm(sum) + most, own = (1.0f - p.smoothing) * (p.weighted != 0u ? class_weights[label] : 1.0f);
    const float share = (own + spread * p.weight_sum) / (sum * p.total);
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float z = row[k], weight = p.weighted != 0u ? class_weights[k] : 1.0f;
      const float wanted = (spread * weight + (k == label ? own : 0.0f)) / p.total;
      d_logits[r * classes + k] = fused(exponential(z - most), share, -wanted);
      // Only then: a class that is masked with -INF would make 0 * INF of it.
      if (p.smoothing > 0.0f) all = fused(weight, log_sum - z, all);
    }
    loss += own * (log_sum - row[label]) + spread * warp_sum(ctx, all);
    count += bad == 0.0f && first == (float)label ? 1.0f : 0.0f;
  }
  if (LANE == 0u) {
    s[warp * 2u] = loss;
    s[warp * 2u + 1u] = count;
  }
  BARRIER();
  if (THREAD != 0u) return;
  loss = count = 0.0f;
  for (unsigned w = 0; w < warps; w++) {
    loss += s[w * 2u];
    count += s[w * 2u + 1u];
  }
  found[0] = loss / p.total;
  found[1] = count;
}
// Binary cross-entropy of logits and targets, and its gradient, both divided by `elements`; parts: a sum a block. grid: elements / 1024.
FN void binary_cross_entropy(CTX, Global<const float> logits, Global<const float> targets, Global<float> d_logits,
                             Global<float> parts, ARGS(Elements) p, Shared<float> s) {
  float sum = 0.0f;
  EACH_ELEMENT(i, p.elements) {
    const float z = logits[i], target = targets[i], e = exponential(z < 0.0f ? z : -z);
    sum += (z < 0.0f ? 0.0f : z) - z * target + logarithm(1.0f + e);
    d_logits[i] = ((z < 0.0f ? e : 1.0f) / (1.0f + e) - target) * p.factor;
  }
  sum = block_sum<256>(ctx, sum, s);
  if (THREAD == 0u) parts[GROUP_X] = sum;
}
// found[0] = factor * the sum of the parts, by one block, in a fixed order.
FN void sum_parts(CTX, Global<const float> parts, Global<float> found, ARGS(Elements) p, Shared<float> s) {
  float sum = 0.0f;
  for (unsigned i = THREAD; i < p.elements; i += 256u) sum += parts[i];
  sum = block_sum<256>(ctx, sum, s);
  if (THREAD == 0u) found[0] = p.factor * sum;
}
