// Updates of many parameters in one launch. A parameter is five addresses of one table and nine words of another; a block finds its own
// by bisection. grid: the sum of ceil(len / 1024).
enum { VALUE, STATE, SQUARE, GRADIENT, AVERAGE, PARAMETER_ADDRESSES };
// FACTOR: of the weight decay, or of what is averaged; FIRSTS: the floats between each address and what is meant there.
enum { LEN, SPLITS, FACTOR, FIRST_BLOCK, FIRSTS, PARAMETER_WORDS = FIRSTS + PARAMETER_ADDRESSES };
struct Update {
  unsigned parameters, flags;
  float rate, momentum, keep;                                        // keep: of the moving average
  float decay_keep, beta1, beta2, new1, new2, root_correction, epsilon;  // of AdamW, as kernels/optimizer.rs has them
};
enum { NESTEROV = 1, WITH_MOMENTUM = 2, WITH_AVERAGE = 4, WITH_FACTOR = 8 };

struct Slot {
  unsigned at, end, parameter, len, splits;
  float factor;
};
FN Slot slot_of(CTX, Global<const unsigned> table, unsigned parameters) {
  unsigned low = 0, high = parameters;
  while (high - low > 1u) {
    const unsigned middle = (low + high) / 2u;
    if (table[middle * PARAMETER_WORDS + FIRST_BLOCK] <= GROUP_X) low = middle;
    else high = middle;
  }
  Slot slot;
  slot.parameter = low;
  slot.len = table[low * PARAMETER_WORDS + LEN];
  slot.splits = table[low * PARAMETER_WORDS + SPLITS];
  slot.factor = float_of(table[low * PARAMETER_WORDS + FACTOR]);
  const unsigned first = (GROUP_X - table[low * PARAMETER_WORDS + FIRST_BLOCK]) * 1024u;
  slot.at = first + THREAD;
  slot.end = first + 1024u < slot.len ? first + 1024u : slot.len;
  return slot;
}
// One of a parameter's arrays.
FN Global<float> array_of(Global<const Address> addresses, Global<const unsigned> table, Slot slot, unsigned which) {
  const unsigned first = table[slot.parameter * PARAMETER_WORDS + FIRSTS + which];
  return floats_at(addresses[slot.parameter * PARAMETER_ADDRESSES + which], first,
                   which == GRADIENT ? slot.len * slot.splits : slot.len);
}
// The splits of a gradient, which lie one after the other, in their order.
FN float whole_gradient(Global<float> gradients, Slot slot, unsigned i) {
  float sum = 0.0f;
  for (unsigned split = 0; split < slot.splits; split++) sum += gradients[split * slot.len + i];
  return sum;
}
FN float averaged(float average, float value, float keep) { return fused(keep, average - value, value); }

// SGD with momentum, decay and the moving average of what comes of it. factor[0], if asked for, multiplies each gradient (clipping).
FN void sgd(CTX, Global<const Address> addresses, Global<const unsigned> table, Global<const float> factor, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  const bool has_state = (p.flags & WITH_MOMENTUM) != 0, has_average = (p.flags & WITH_AVERAGE) != 0;
  Global<float> values = array_of(addresses, table, slot, VALUE), gradients = array_of(addresses, table, slot, GRADIENT);
  Global<float> states = has_state ? array_of(addresses, table, slot, STATE) : values;
  Global<float> averages = has_average ? array_of(addresses, table, slot, AVERAGE) : values;
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    float g = whole_gradient(gradients, slot, i);
    if ((p.flags & WITH_FACTOR) != 0) g *= factor[0];
    const float value = values[i], direction = fused(slot.factor, value, g);
    float step = direction;
    if (has_state) {
      const float kept = fused(p.momentum, states[i], direction);
      states[i] = kept;
      step = (p.flags & NESTEROV) != 0 ? fused(p.momentum, kept, direction) : kept;
    }
    const float next = fused(-p.rate, step, value);
    values[i] = next;
    if (has_average) averages[i] = averaged(averages[i], next, p.keep);
  }
}
// AdamW; the states are the mean and the mean square. A parameter whose FACTOR is 0 does not decay.
FN void adamw(CTX, Global<const Address> addresses, Global<const unsigned> table, Global<const float> factor, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  const bool has_average = (p.flags & WITH_AVERAGE) != 0;
  Global<float> values = array_of(addresses, table, slot, VALUE), gradients = array_of(addresses, table, slot, GRADIENT);
  Global<float> means = array_of(addresses, table, slot, STATE), squares = array_of(addresses, table, slot, SQUARE);
  Global<float> averages = has_average ? array_of(addresses, table, slot, AVERAGE) : values;
  const float keep = slot.factor != 0.0f ? p.decay_keep : 1.0f;
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    float g = whole_gradient(gradients, slot, i);
    if ((p.flags & WITH_FACTOR) != 0) g *= factor[0];
    const float mean = fused(p.beta1, means[i], p.new1 * g);
    const float square = fused(p.beta2, squares[i], p.new2 * g * g);
    means[i] = mean;
    squares[i] = square;
    const float next = values[i] * keep - p.rate * mean / (root(square) / p.root_correction + p.epsilon);
    values[i] = next;
    if (has_average) averages[i] = averaged(averages[i], next, p.keep);
  }
}
// AVERAGE = keep * STATE + (1 - keep) * FACTOR * VALUE.
FN void average(CTX, Global<const Address> addresses, Global<const unsigned> table, ARGS(Update) p) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  Global<float> values = array_of(addresses, table, slot, VALUE), before = array_of(addresses, table, slot, STATE);
  Global<float> averages = array_of(addresses, table, slot, AVERAGE);
  for (unsigned i = slot.at; i < slot.end; i += 256u) averages[i] = averaged(before[i], slot.factor * values[i], p.keep);
}
// parts: each block's sum of squares of the whole gradients.
FN void square_parts(CTX, Global<const Address> addresses, Global<const unsigned> table, Global<float> parts, ARGS(Update) p,
                     Shared<float> s) {
  const Slot slot = slot_of(ctx, table, p.parameters);
  Global<float> gradients = array_of(addresses, table, slot, GRADIENT);
  float sum = 0.0f;
  for (unsigned i = slot.at; i < slot.end; i += 256u) {
    const float g = whole_gradient(gradients, slot, i);
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
// y = the sum of the `kind` splits of x, which lie one after the other, in their order.
FN void sum_splits(CTX, Global<const float> x, Global<float> y, ARGS(Elements) p) {
  EACH_ELEMENT(i, p.elements) {
    float sum = 0.0f;
    for (unsigned split = 0; split < p.kind; split++) sum += x[split * p.elements + i];
    y[i] = sum;
  }
}
