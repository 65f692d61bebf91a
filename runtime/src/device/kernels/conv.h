// What the kernels of convolutions are told, and how an axis is gathered.
//
// Weights, their gradients and their optimizer's state lie [G, KH, KW, I, O] on the device, I and O of a group: the forward pass reads
// them as they are, the gradient of the weight is made so, and the gradient of the input reads them transposed. Nothing is packed.
enum { WITH_BIAS = 1, WITH_MOMENTS = 2, WITH_BESIDE = 4, WITH_MASK = 8, WITH_SUMS = 16, WITH_FINISH = 32 };
struct Conv {
  unsigned images, in_height, in_width, out_height, out_width;
  unsigned in_channels, out_channels;  // of a group
  unsigned groups;
  unsigned kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x;
  unsigned flags;
  unsigned small_height, small_width;  // of the map that is up-sampled
  unsigned pixels_a_split;
  unsigned tiles, column_tiles;        // of rows, of a phase; of columns, of a group
  float low, high;                     // of the clamp of what is read
  float norm_low, norm_high;           // of the clamp of the norm whose sums are taken, or of what the output came through
  float epsilon;                       // of the norm whose moments are finished
  Divisor by_channels;                 // channels of a group of what is gathered
  Divisor by_image, by_row;            // out_height * out_width, out_width
};
// One axis of a gather: at output i and tap j it reads i * step + start + j * tap.
struct Axis {
  int step, start, tap;
  unsigned size;                // outputs
  unsigned first, every, taps;  // those taps of the kernel that are seen: first, first + every, ...
};
FN Axis forward_axis(unsigned output, unsigned taps, unsigned stride, unsigned padding, unsigned dilation) {
  Axis a;
  a.step = (int)stride;
  a.start = -(int)padding;
  a.tap = (int)dilation;
  a.size = output;
  a.first = 0;
  a.every = 1;
  a.taps = taps;
  return a;
}
// The gradient of the input is a gather, too, of the pixels with remainder `phase` by the stride: those see some of the taps alone, and
// backwards. So nothing is scattered, and no zeros are put between the pixels.
FN Axis backward_axis(int input, int taps, int stride, int padding, int dilation, int phase) {
  int every = 1, first = 0;
  while (every * dilation % stride != 0) every++;
  while (first < taps && (phase + padding - first * dilation) % stride != 0) first++;
  Axis a;
  a.step = 1;
  a.start = (phase + padding - first * dilation) / stride;
  a.tap = -(every * dilation / stride);
  a.size = input > phase ? (unsigned)((input - phase + stride - 1) / stride) : 0u;
  a.first = (unsigned)first;
  a.every = (unsigned)every;
  a.taps = first < taps ? (unsigned)((taps - 1 - first) / every + 1) : 0u;
  return a;
}
