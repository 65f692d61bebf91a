// Losses with their gradients in one launch each. What they find stays on the device until a step ends.
struct Loss {
  unsigned rows, classes, weighted;
  float smoothing, total, weight_sum;  // the weights of all labels together; those of all classes
};
enum { LOSS_THREADS = 256, LOSS_SHARED = 2 * LOSS_THREADS / 32 };

// A row of logits, as the lanes of a warp see it together.
struct Logits {
  float most, sum, log_sum, first;  // sum: of exp(z - most); first: where the first maximum is; none, -1, where a number is none
};
// Where the first maximum of a row is; none where it holds a NaN. `most` becomes the maximum.
FN float first_maximum(CTX, Global<const float> row, unsigned classes, REF(float) most) {
  float bad = 0.0f, first = (float)classes, found = -INF;
  for (unsigned k = LANE; k < classes; k += 32u) {
    const float z = row[k];
    found = z > found ? z : found;
    bad = z == z ? bad : 1.0f;
  }
  most = warp_max(ctx, found);
  for (unsigned k = LANE; k < classes; k += 32u)
    if (row[k] == most && (float)k < first) first = (float)k;
  first = -warp_max(ctx, -first);
  return warp_sum(ctx, bad) == 0.0f ? first : -1.0f;
}
FN Logits logits_of(CTX, Global<const float> row, unsigned classes) {
  Logits l;
  l.first = first_maximum(ctx, row, classes, l.most);
  l.sum = 0.0f;
  for (unsigned k = LANE; k < classes; k += 32u) l.sum += exponential(row[k] - l.most);
  l.sum = warp_sum(ctx, l.sum);
  l.log_sum = logarithm(l.sum) + l.most;
  return l;
}
// found [loss, count] of what each warp found, by one block, in the order of warps.
FN void write_found(CTX, Global<float> found, float loss, float count, float total, Shared<float> s) {
  if (LANE == 0u) {
    s[THREAD / 32u * 2u] = loss;
    s[THREAD / 32u * 2u + 1u] = count;
  }
  BARRIER();
  if (THREAD != 0u) return;
  loss = count = 0.0f;
  for (unsigned warp = 0; warp < LOSS_THREADS / 32u; warp++) {
    loss += s[warp * 2u];
    count += s[warp * 2u + 1u];
  }
  found[0] = loss / total;
  found[1] = count;
}

// Softmax cross-entropy, divided by `total`, its gradient, and how many rows have their first maximum at the label (a row with a NaN has
// none). One block, a warp a row in turn.
FN void cross_entropy(CTX, Global<const float> logits, Global<const unsigned> labels, Global<const float> class_weights,
                      Global<float> d_logits, Global<float> found, ARGS(Loss) p, Shared<float> s) {
  const unsigned classes = p.classes;
  const float spread = p.smoothing / (float)classes;
  float loss = 0.0f, count = 0.0f;
  for (unsigned r = THREAD / 32u; r < p.rows; r += LOSS_THREADS / 32u) {
    Global<const float> row = logits + (int)(r * classes);
    const Logits l = logits_of(ctx, row, classes);
    const unsigned label = labels[r];
    const float own = (1.0f - p.smoothing) * (p.weighted != 0u ? class_weights[label] : 1.0f);
    const float share = (own + spread * p.weight_sum) / (l.sum * p.total);
    float all = 0.0f;
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float z = row[k], weight = p.weighted != 0u ? class_weights[k] : 1.0f;
      const float wanted = (spread * weight + (k == label ? own : 0.0f)) / p.total;
      d_logits[r * classes + k] = fused(exponential(z - l.most), share, -wanted);
      // Only then: a class that is masked with -INF would make 0 * INF of it.
      if (p.smoothing > 0.0f) all = fused(weight, l.log_sum - z, all);
    }
    loss += own * (l.log_sum - row[label]) + spread * warp_sum(ctx, all);
    count += l.first == (float)label ? 1.0f : 0.0f;
  }
  write_found(ctx, found, loss, count, p.total, s);
}
// The same where the target of a row is a share of each class; its hit is where the first maximum is that of the shares.
FN void soft_cross_entropy(CTX, Global<const float> logits, Global<const float> shares, Global<const float> class_weights,
                           Global<float> d_logits, Global<float> found, ARGS(Loss) p, Shared<float> s) {
  const unsigned classes = p.classes;
  const float spread = p.smoothing / (float)classes;
  float loss = 0.0f, count = 0.0f;
  for (unsigned r = THREAD / 32u; r < p.rows; r += LOSS_THREADS / 32u) {
    Global<const float> row = logits + (int)(r * classes), share = shares + (int)(r * classes);
    const Logits l = logits_of(ctx, row, classes);
    float most = 0.0f, all = 0.0f, missed = 0.0f;
    const float wanted_first = first_maximum(ctx, share, classes, most);
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float weight = p.weighted != 0u ? class_weights[k] : 1.0f;
      const float wanted = weight * fused(1.0f - p.smoothing, share[k], spread);
      all += wanted;
      // Only then: a class that is masked with -INF would make 0 * INF of it.
      if (wanted > 0.0f) missed = fused(wanted, l.log_sum - row[k], missed);
    }
    all = warp_sum(ctx, all);
    missed = warp_sum(ctx, missed);
    for (unsigned k = LANE; k < classes; k += 32u) {
      const float weight = p.weighted != 0u ? class_weights[k] : 1.0f;
      const float wanted = weight * fused(1.0f - p.smoothing, share[k], spread);
      d_logits[r * classes + k] = fused(exponential(row[k] - l.most), all / (l.sum * p.total), -wanted / p.total);
    }
    // A NaN shows wherever it is.
    loss += l.log_sum == l.log_sum ? missed : l.log_sum;
    count += l.first >= 0.0f && l.first == wanted_first ? 1.0f : 0.0f;
  }
  write_found(ctx, found, loss, count, p.total, s);
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
// Squares of errors, outputs minus targets, and their gradient, divided by `elements` as above.
FN void squared_error(CTX, Global<const float> outputs, Global<const float> targets, Global<float> d_outputs,
                      Global<float> parts, ARGS(Elements) p, Shared<float> s) {
  float sum = 0.0f;
  EACH_ELEMENT(i, p.elements) {
    const float error = outputs[i] - targets[i];
    sum = fused(error, error, sum);
    d_outputs[i] = 2.0f * error * p.factor;
  }
  sum = block_sum<256>(ctx, sum, s);
  if (THREAD == 0u) parts[GROUP_X] = sum;
}
// Huber's loss of errors: half their squares up to `delta`, linear beyond.
FN void huber(CTX, Global<const float> outputs, Global<const float> targets, Global<float> d_outputs, Global<float> parts,
              ARGS(Elements) p, Shared<float> s) {
  float sum = 0.0f;
  EACH_ELEMENT(i, p.elements) {
    const float error = outputs[i] - targets[i], slope = clamped(error, -p.delta, p.delta);
    sum += slope * (error - 0.5f * slope);
    d_outputs[i] = slope * p.factor;
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
