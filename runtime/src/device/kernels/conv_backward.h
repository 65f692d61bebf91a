// Both gradients of a convolution that is in one group, in one launch: a block makes a tile of either. For each split of the pixels the
// tiles of the weight's gradient come first, then as many of the input's as are its share, so that those that read the same pixels
// follow each other, and memory is read once. Each tile is the same as of a launch of its own, to the bit.
// low and high clamp the gradient, norm_low and norm_high the norm that x is read through, if it is. grid: splits * blocks of one, 1, 1.
template <class TILE, class WEIGHT_TILE, int MAP, int GRAD, int V>
FN void conv_backward(CTX, Global<const float> x, Global<const float> x_norm, Global<const float> d, Global<const float> z,
                      Global<const float> z_norm, Global<const float> weight, Global<const float> beside,
                      Global<const u8> mask, Global<float> d_x, Global<float> parts, Global<float> made, Global<float> first,
                      Global<float> second, Global<unsigned> arrivals, Global<float> weight_parts, ARGS(Conv) p,
                      Shared<float> s) {
  static_assert((int)TILE::THREADS == (int)WEIGHT_TILE::THREADS, "a block makes a tile of either");
  const unsigned rows = (p.kernel_height * p.kernel_width * p.in_channels + WEIGHT_TILE::BM - 1) / WEIGHT_TILE::BM;
  const unsigned columns = (p.out_channels + WEIGHT_TILE::BN - 1) / WEIGHT_TILE::BN, weight_tiles = rows * columns;
  const unsigned pixels = p.images * p.out_height * p.out_width;
  const unsigned splits = (pixels + p.pixels_a_split - 1) / p.pixels_a_split;
  const unsigned tiles = p.tiles * p.column_tiles * p.stride_y * p.stride_x, share = (tiles + splits - 1) / splits;
  const unsigned split = GROUP_X / (weight_tiles + share), at = GROUP_X % (weight_tiles + share);
  Global<const float> in = GRAD == THROUGH ? z : d;
  if (at < weight_tiles) {
    weight_tile<WEIGHT_TILE, MAP, GRAD, V>(ctx, at % rows, at / rows, columns, split,
                                           source<MAP>(x, x, x_norm, p.in_channels, p.norm_low, p.norm_high),
                                           source<GRAD>(in, d, z_norm, p.out_channels, p.low, p.high), weight_parts, p, s);
    return;
  }
  const unsigned block = split * share + at - weight_tiles;
  if (block >= tiles) return;
  gather_tile<TILE, GRAD, true, V>(ctx, block, 0u, in, d, z_norm, weight, weight, beside, mask, x, x_norm, d_x, parts, weight,
                                   weight, made, first, second, arrivals, p, s);
}
