// The inner three axes of groups the other way round: filters between the order of files and that of kernels, channels and pixels of a
// map, channels dealt out anew. Four elements a thread; grid: elements / 1024.
struct Axes {
  unsigned elements;
  unsigned outer, middle, inner;  // of y
};
// y [G, outer, middle, inner] of x [G, inner, middle, outer].
FN void reversed(CTX, Global<const float> x, Global<float> y, ARGS(Axes) p) {
  EACH_ELEMENT(i, p.elements) {
    const unsigned line = i / p.inner, plane = line / p.middle, group = plane / p.outer;
    const unsigned k = i - line * p.inner, j = line - plane * p.middle, h = plane - group * p.outer;
    y[i] = x[((group * p.inner + k) * p.middle + j) * p.outer + h];
  }
}
