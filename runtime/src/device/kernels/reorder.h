// Axes and channels put elsewhere, and products with a number of each channel. Four elements a thread; grid: elements / 1024.
struct Axes {
  unsigned elements;
  unsigned outer, middle, inner;  // of y
};
// The inner three axes of groups the other way round: y [G, outer, middle, inner] of x [G, inner, middle, outer]. Filters between the
// order of files and that of kernels, channels and pixels of a map, channels dealt out anew.
FN void reversed(CTX, Global<const float> x, Global<float> y, ARGS(Axes) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned line = i / p.inner, plane = line / p.middle, group = plane / p.outer;
    const unsigned k = i - line * p.inner, j = line - plane * p.middle, h = plane - group * p.outer;
    y[i] = x[((group * p.inner + k) * p.middle + j) * p.outer + h];
  }
}
// y = x * factors [G, inner], each group's for `middle` rows of it; y may be the place of x.
FN void multiply_channels(CTX, Global<const float> x, Global<const float> factors, Global<float> y, ARGS(Axes) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned row = i / p.inner;
    y[i] = x[i] * factors[row / p.middle * p.inner + (i - row * p.inner)];
  }
}
// y = x above 0, elsewhere x times a slope, as the factors of multiply_channels; y may be the place of x.
FN void prelu(CTX, Global<const float> x, Global<const float> slopes, Global<float> y, ARGS(Axes) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned row = i / p.inner;
    const float slope = slopes[row / p.middle * p.inner + (i - row * p.inner)];
    y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
  }
}
// d, the gradient of its output, becomes that of x; products: what the sums are of that the slopes' gradients are.
FN void prelu_backward(CTX, Global<float> d, Global<const float> x, Global<const float> slopes, Global<float> products,
                       ARGS(Axes) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned row = i / p.inner;
    const bool above = x[i] > 0.0f;
    products[i] = above ? 0.0f : d[i] * x[i];
    if (!above) d[i] = d[i] * slopes[row / p.middle * p.inner + (i - row * p.inner)];
  }
}
struct Channels {
  unsigned elements;  // that are copied
  unsigned count, from_channels, from, to_channels, to;
};
// `count` channels of each row of x, from number `from` on, to those of y from number `to` on.
FN void copy_channels(CTX, Global<const float> x, Global<float> y, ARGS(Channels) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned row = i / p.count, c = i - row * p.count;
    y[row * p.to_channels + p.to + c] = x[row * p.from_channels + p.from + c];
  }
}
