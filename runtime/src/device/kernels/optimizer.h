// Updates of all parameters in one launch. A parameter is eight words of a table; a thread finds its own by bisection.
// grid: the sum of ceil(len / 1024).
enum { VALUE, STATE, GRADIENT, AVERAGE, LEN, SPLITS, DECAY, FIRST_BLOCK, PARAMETER_WORDS };  // offsets in floats, but for the last four
struct Update {
  unsigned parameters, flags;
  float rate, momentum, keep;                                        // keep: of the moving average
  float decay_keep, beta1, beta2, new1, new2, root_correction, epsilon;  // of AdamW, as kernels/optimizer.rs has them
};
enum { NESTEROV = 1, WITH_MOMENTUM = 2, WITH_AVERAGE = 4, WITH_FACTOR = 8, ADDS = 16 };

struct Slot { unsigned at, end, parameter; };
FN Slot slot_of(CTX, Global<const unsigned> table, unsigned parameters) {
  unsigned low = 0, high = parameters;
  while (high - low > 1u) {
    const unsigned middle = (low + high) / 2u;
    if (table[middle * PARAMETER_WORDS + FIRST_BLOCK] <= GROUP_X) low = middle;
    else high = middle;
  }
  Slot slot;
  slot.parameter = low * PARAMETER_WORDS;
  slot.at = (GROUP_X - table[slot.parameter + FIRST_BLOCK]) * 1024u + THREAD;
  const unsigned len = table[slot.parameter + LEN];
  slot.end = slot.at - THREAD + 1024u < len ? slot.at - THREAD + 1024u : len;
  return slot;
}
// The splits of a gradient, which lie one after the other, in their order.
FN float whole_gradient(Global<const float> gradients, Global<const unsigned> table, Slot slot, unsigned i) {
  const unsigned first = table[slot.parameter + GRADIENT], len = table[slot.parameter + LEN];
  const unsigned splits = table[slot.parameter + SPLITS];
  float sum = 0.0f;
  for (unsigned split = 0; split < splits; split++) sum += gradients[first + split * len + i];
  return sum;
}
FN void average_of(Global<float> averages, unsigned at, float value, float keep) {
  averages[at] = fused(keep, averages[at] - value, value);
}
// SGD with momentum, decay and the moving average of what comes of it. factor[0], if asked for, multiplies each gradient (clipping).
FN void sgd(CTX, Global<float> values, Global<float> states, Global<const float> gradients, Global<float> averages,
            Global<const unsigned> table, Global<const float> factor, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  const unsigned value_at = table[slot.parameter + VALUE], state_at = table[slot.parameter + STATE];
  const float decay = float_of(table[slot.parameter + DECAY]);
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    float g = whole_gradient(gradients, table, slot, i);
    if ((p.flags & WITH_FACTOR) != 0) g *= factor[0];
    const float value = values[value_at + i], direction = fused(decay, value, g);
    float step = direction;
    if ((p.flags & WITH_MOMENTUM) != 0) {
      const float kept = fused(p.momentum, states[state_at + i], direction);
      states[state_at + i] = kept;
      step = (p.flags & NESTEROV) != 0 ? fused(p.momentum, kept, direction) : kept;
    }
    const float next = fused(-p.rate, step, value);
    values[value_at + i] = next;
    if ((p.flags & WITH_AVERAGE) != 0) average_of(averages, table[slot.parameter + AVERAGE] + i, next, p.keep);
  }
}
// AdamW; the state is the mean, and at the same place the mean square. A parameter whose DECAY is 0 does not decay.
FN void adamw(CTX, Global<float> values, Global<float> means, Global<float> squares, Global<const float> gradients,
              Global<float> averages, Global<const unsigned> table, Global<const float> factor, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  const unsigned value_at = table[slot.parameter + VALUE], state_at = table[slot.parameter + STATE];
  const float keep = table[slot.parameter + DECAY] != 0u ? p.decay_keep : 1.0f;
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    float g = whole_gradient(gradients, table, slot, i);
    if ((p.flags & WITH_FACTOR) != 0) g *= factor[0];
    const float mean = fused(p.beta1, means[state_at + i], p.new1 * g);
    const float square = fused(p.beta2, squares[state_at + i], p.new2 * g * g);
    means[state_at + i] = mean;
    squares[state_at + i] = square;
    const float next = values[value_at + i] * keep - p.rate * mean / (root(square) / p.root_correction + p.epsilon);
    values[value_at + i] = next;
    if ((p.flags & WITH_AVERAGE) != 0) average_of(averages, table[slot.parameter + AVERAGE] + i, next, p.keep);
  }
}
// sums (at STATE) = the whole gradients, or with ADDS += : micro-batches, and what clipping looks at.
FN void gather_gradients(CTX, Global<const float> gradients, Global<float> sums, Global<const unsigned> table,
                         ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  const unsigned sum_at = table[slot.parameter + STATE];
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    const float g = whole_gradient(gradients, table, slot, i);
    sums[sum_at + i] = (p.flags & ADDS) != 0 ? sums[sum_at + i] + g : g;
  }
}
// averages = keep * averages + (1 - keep) * values, apart from an update.
FN void average(CTX, Global<const float> values, Global<float> averages, Global<const unsigned> table, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  for (unsigned i = slot.at; i < slot.end; i += 256u)
    average_of(averages, table[slot.parameter + AVERAGE] + i, values[table[slot.parameter + VALUE] + i], p.keep);
}
// parts: each block's sum of squares of the whole gradients.
FN void square_parts(CTX, Global<const float> gradients, Global<float> parts, Global<const unsigned> table,
                     ARGS(Update) p, Shared<float> s) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  float sum = 0.0f;
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    const float g = whole_gradient(gradients, table, slot, i);
    sum = fused(g, g, sum);
  }
  sum = block_sum<256>(ctx, sum, s);
  if (THREAD == 0u) parts[GROUP_X] = sum;
}
// found [factor, norm]: the norm of all gradients, and what they are multiplied by so that it is at most `limit`, which p.factor is.
FN void clip_factor(CTX, Global<const float> parts, Global<float> found, ARGS(Elements) p, Shared<float> s) {
  float sum = 0.0f;
  for (unsigned i = THREAD; i < p.elements; i += 256u) sum += parts[i];
  const float norm = root(block_sum<256>(ctx, sum, s));
  if (THREAD != 0u) return;
  found[0] = norm > p.factor ? p.factor / norm : 1.0f;
  found[1] = norm;
}
