// A tile by the tensor cores of sm_80 and later, WR x WC warps (see tile.h). One pass rounds to TF32; three multiply each number as
// two of TF32, which is about f32.
#ifdef HAS_TF32
template <int BM_, int BN_, int BK_, int WR, int WC, int PASSES, bool K_FIRST_>
struct Tf32 : Shape<BM_, BN_, BK_, K_FIRST_, WR * WC * 32> {
  typedef Shape<BM_, BN_, BK_, K_FIRST_, WR * WC * 32> Base;
  enum { FI = BM_ / WR / 16, FJ = BN_ / WC / 8 };
  float c[FI * 2][FJ * 2];
  unsigned m0, n0, g, q;  // of the warp; of the lane: its group of four and its place there

  METHOD void begin(CTX) {
    g = LANE / 4;
    q = LANE % 4;
    m0 = THREAD / 32 / WC * (BM_ / WR);
    n0 = THREAD / 32 % WC * (BN_ / WC);
    UNROLL for (int i = 0; i < FI * 2; i++) {
      UNROLL for (int j = 0; j < FJ * 2; j++) c[i][j] = 0.0f;
    }
  }
  METHOD void spill(CTX, Shared<float> s) {
    UNROLL for (int i = 0; i < FI * 2; i++) {
      UNROLL for (int j = 0; j < FJ * 2; j += 2)
        store_pair(s + ((m0 + g + i * 8) * Base::C_ROW + n0 + q * 2 + j * 4), c[i][j], c[i][j + 1]);
    }
  }
  // The high half of a number, and what it lacks. Cutting takes one instruction, rounding three; what is cut is in the other half.
  METHOD unsigned high(float x) { return PASSES == 3 ? word_of(x) & 0xffffe000u : rounded_tf32(x); }
  METHOD unsigned low(float x, unsigned high) { return PASSES == 3 ? word_of(x - float_of(high)) : 0u; }
  METHOD void multiply(CTX, int i, int j, const unsigned* a, const unsigned* b) {
    multiply_tf32(c[i * 2][j * 2], c[i * 2][j * 2 + 1], c[i * 2 + 1][j * 2], c[i * 2 + 1][j * 2 + 1], a, b);
  }
  METHOD void step(CTX, Shared<const float> a, Shared<const float> b) {
    UNROLL for (int k = 0; k < BK_; k += 8) {
      unsigned x[FI][4], x_low[FI][4];
      UNROLL for (int i = 0; i < FI; i++) {
        UNROLL for (int e = 0; e < 4; e++) {
          const unsigned m = m0 + i * 16 + g + e % 2 * 8, at = k + q + e / 2 * 4;
          const float v = a[K_FIRST_ ? at * Base::A_ROW + m : m * Base::A_ROW + at];
          x[i][e] = high(v);
          x_low[i][e] = low(v, x[i][e]);
        }
      }
      UNROLL for (int j = 0; j < FJ; j++) {
        unsigned y[2], y_low[2];
        UNROLL for (int e = 0; e < 2; e++) {
          const float v = b[(k + q + e * 4) * Base::B_ROW + n0 + j * 8 + g];
          y[e] = high(v);
          y_low[e] = low(v, y[e]);
        }
        UNROLL for (int i = 0; i < FI; i++) {
          if (PASSES == 3) {
            multiply(ctx, i, j, x_low[i], y);
            multiply(ctx, i, j, x[i], y_low);
          }
          multiply(ctx, i, j, x[i], y);
        }
      }
    }
  }
};
#endif
