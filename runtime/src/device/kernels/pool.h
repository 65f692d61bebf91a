// Max pools, and every stride-th pixel with channels of zeros on both sides; forward and backward, a thread four elements of what is
// written (see EACH_ELEMENT). A division by what the host knows is a product; the rest is memory traffic.
struct Pool {
  unsigned elements;  // of what is written
  unsigned in_height, in_width, out_height, out_width;
  unsigned channels, out_channels, before;  // of subsampling: zeros stand before the channels
  unsigned kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
};
struct Spot { unsigned image, y, x, c; };
FN Spot spot_of(unsigned at, unsigned height, unsigned width, unsigned channels) {
  const unsigned pixel = at / channels, line = pixel / width;
  Spot s;
  s.c = at - pixel * channels;
  s.x = pixel - line * width;
  s.image = line / height;
  s.y = line - s.image * height;
  return s;
}
// The maximum of each window, and the place in it: the first of equals; a NaN is larger than all, the last one largest.
FN void max_pool(CTX, Global<const float> x, Global<float> y, Global<u8> places, ARGS(Pool) p) {
  EACH_ELEMENT(i, p.elements) {
    const Spot out = spot_of(i, p.out_height, p.out_width, p.channels);
    float best = -INF;
    unsigned place = 0;
    bool any = false;
    for (unsigned ky = 0; ky < p.kernel_height; ky++) {
      const int py = forward_pixel(out.y, ky, p.stride_y, p.padding_y, 1u, p.in_height);
      for (unsigned kx = 0; py >= 0 && kx < p.kernel_width; kx++) {
        const int px = forward_pixel(out.x, kx, p.stride_x, p.padding_x, 1u, p.in_width);
        if (px < 0) continue;
        const float v = x[((out.image * p.in_height + (unsigned)py) * p.in_width + (unsigned)px) * p.channels + out.c];
        if (!any) place = ky * p.kernel_width + kx;
        any = true;
        if (v > best || v != v) {
          best = v;
          place = ky * p.kernel_width + kx;
        }
      }
    }
    y[i] = best;
    places[i] = (u8)place;
  }
}
// Each pixel gathers from the windows that it won.
FN void max_pool_backward(CTX, Global<const float> d_y, Global<const u8> places, Global<float> d_x, ARGS(Pool) p) {
  EACH_ELEMENT(i, p.elements) {
    const Spot in = spot_of(i, p.in_height, p.in_width, p.channels);
    const unsigned reach_y = in.y + p.padding_y, reach_x = in.x + p.padding_x;
    const unsigned first_y = reach_y < p.kernel_height ? 0u : (reach_y - p.kernel_height) / p.stride_y + 1u;
    const unsigned first_x = reach_x < p.kernel_width ? 0u : (reach_x - p.kernel_width) / p.stride_x + 1u;
    float sum = 0.0f;
    for (unsigned oy = first_y; oy < p.out_height && oy * p.stride_y <= reach_y; oy++) {
      for (unsigned ox = first_x; ox < p.out_width && ox * p.stride_x <= reach_x; ox++) {
        const unsigned place = (reach_y - oy * p.stride_y) * p.kernel_width + reach_x - ox * p.stride_x;
        const unsigned at = ((in.image * p.out_height + oy) * p.out_width + ox) * p.channels + in.c;
        if (places[at] == (u8)place) sum += d_y[at];
      }
    }
    d_x[i] = sum;
  }
}
FN void subsample(CTX, Global<const float> x, Global<float> y, ARGS(Pool) p) {
  EACH_ELEMENT(i, p.elements) {
    const Spot out = spot_of(i, p.out_height, p.out_width, p.out_channels);
    const unsigned row = out.image * p.in_height + out.y * p.stride_y, c = out.c - p.before;
    y[i] = c < p.channels ? x[(row * p.in_width + out.x * p.stride_x) * p.channels + c] : 0.0f;
  }
}
FN void subsample_backward(CTX, Global<const float> d_y, Global<float> d_x, ARGS(Pool) p) {
  EACH_ELEMENT(i, p.elements) {
    const Spot in = spot_of(i, p.in_height, p.in_width, p.channels);
    const unsigned oy = in.y / p.stride_y, ox = in.x / p.stride_x;
    const bool kept = oy * p.stride_y == in.y && ox * p.stride_x == in.x;
    const unsigned pixel = (in.image * p.out_height + oy) * p.out_width + ox;
    d_x[i] = kept ? d_y[pixel * p.out_channels + p.before + in.c] : 0.0f;
  }
}
