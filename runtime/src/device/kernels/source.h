// What a map [N, H, W, C] is read through on its way into a kernel, so that what is made of it need not be in memory.
enum { PLAIN, NORMALIZED, SUM, THROUGH, UPSAMPLED };
// A norm is rows of C floats. The gradient of its input is read through the last but one two, which its sums give.
enum { MEAN, SCALE, BIAS, CENTRE, SLOPE, INVERSE, NORM_ROWS };

struct Loaded {
  Quad x, other;
};
// The norm's numbers for four channels.
struct NormQuads { Quad row[5]; };

// Loading is apart from what is made of it, so that a tile's loads are under way while the product before is computed.
template <int KIND> struct Source {
  Global<const float> x;      // THROUGH: what the norm read
  Global<const float> other;  // SUM: the other summand. THROUGH: the gradient of the norm's output
  Global<const float> norm;   // UPSAMPLED: for each row, then each column, of the large map two of the small one and their weights
  unsigned channels, height, width, small_width;
  float low, high;

  METHOD void load4(REF(Loaded) to, unsigned image, int y, int x_, unsigned c) {
    if (KIND == UPSAMPLED) {
      to.x = mixed4(image, y, x_, c);
      return;
    }
    const unsigned at = (image + (unsigned)y * width + (unsigned)x_) * channels + c;
    to.x = load_quad(x + at);
    if (KIND == SUM || KIND == THROUGH) to.other = load_quad(other + at);
  }
  METHOD void load1(REF(Loaded) to, int e, unsigned image, int y, int x_, unsigned c) {
    if (KIND == UPSAMPLED) {
      to.x.v[e] = mixed1(image, y, x_, c);
      return;
    }
    const unsigned at = (image + (unsigned)y * width + (unsigned)x_) * channels + c;
    to.x.v[e] = x[at];
    if (KIND == SUM || KIND == THROUGH) to.other.v[e] = other[at];
  }
  METHOD void norm4(REF(NormQuads) n, unsigned c) {
    if (KIND == PLAIN || KIND == UPSAMPLED) return;
    UNROLL for (int i = 0; i < (KIND == THROUGH ? 5 : 3); i++) n.row[i] = load_quad(norm + (i * channels + c));
  }
  METHOD void norm1(REF(NormQuads) n, int e, unsigned c) {
    if (KIND == PLAIN || KIND == UPSAMPLED) return;
    UNROLL for (int i = 0; i < (KIND == THROUGH ? 5 : 3); i++) n.row[i].v[e] = norm[i * channels + c];
  }
  METHOD float value(REF(Loaded) from, REF(NormQuads) n, int e) {
    if (KIND == PLAIN || KIND == UPSAMPLED) return from.x.v[e];
    const float centred = from.x.v[e] - n.row[MEAN].v[e];
    const float y = fused(centred, n.row[SCALE].v[e], n.row[BIAS].v[e]);
    if (KIND == NORMALIZED) return clamped(y, low, high);
    if (KIND == SUM) return clamped(y + from.other.v[e], low, high);
    const float d = passed(from.other.v[e], y, low, high);
    return (d - n.row[CENTRE].v[e] - centred * n.row[SLOPE].v[e]) * n.row[SCALE].v[e];
  }

  // Rows and columns of pixels of the small map, weighted.
  METHOD Quad mixed4(unsigned image, int y, int x_, unsigned c) {
    const Quad rows = load_quad(norm + y * 4), columns = load_quad(norm + ((int)height + x_) * 4);
    Quad sum = zero_quad();
    UNROLL for (int i = 0; i < 2; i++) {
      UNROLL for (int j = 0; j < 2; j++) {
        const float weight = rows.v[2 + i] * columns.v[2 + j];
        const unsigned pixel = image + (unsigned)rows.v[i] * small_width + (unsigned)columns.v[j];
        const Quad v = load_quad(x + (pixel * channels + c));
        UNROLL for (int e = 0; e < 4; e++) sum.v[e] = fused(weight, v.v[e], sum.v[e]);
      }
    }
    return sum;
  }
  METHOD float mixed1(unsigned image, int y, int x_, unsigned c) {
    const Quad rows = load_quad(norm + y * 4), columns = load_quad(norm + ((int)height + x_) * 4);
    float sum = 0.0f;
    UNROLL for (int i = 0; i < 2; i++) {
      UNROLL for (int j = 0; j < 2; j++) {
        const float weight = rows.v[2 + i] * columns.v[2 + j];
        const unsigned pixel = image + (unsigned)rows.v[i] * small_width + (unsigned)columns.v[j];
        sum = fused(weight, x[pixel * channels + c], sum);
      }
    }
    return sum;
  }
  // Four channels at once, those that exist and zeros.
  template <int V> METHOD Quad read4(unsigned image, int y, int x_, unsigned c) {
    Loaded from;
    NormQuads n;
    Quad q = zero_quad();
    if (V == 4) {
      load4(from, image, y, x_, c);
      norm4(n, c);
      UNROLL for (int e = 0; e < 4; e++) q.v[e] = value(from, n, e);
    } else {
      UNROLL for (int e = 0; e < 4; e++) {
        if (c + e >= channels) continue;
        load1(from, e, image, y, x_, c + e);
        norm1(n, e, c + e);
        q.v[e] = value(from, n, e);
      }
    }
    return q;
  }
};
template <int KIND>
FN Source<KIND> source(Global<const float> x, Global<const float> other, Global<const float> norm, unsigned channels,
                       float low, float high) {
  Source<KIND> s;
  s.x = x;
  s.other = other;
  s.norm = norm;
  s.channels = channels;
  s.height = s.width = s.small_width = 0;
  s.low = low;
  s.high = high;
  return s;
}
