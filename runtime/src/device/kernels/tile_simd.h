// A tile by the 8 x 8 matrices of Apple's simdgroups, WR x WC of them (see tile.h).
#ifdef HAS_SIMDGROUP
template <int BM_, int BN_, int BK_, int WR, int WC, bool K_FIRST_>
struct Simd : Shape<BM_, BN_, BK_, K_FIRST_, WR * WC * 32> {
  typedef Shape<BM_, BN_, BK_, K_FIRST_, WR * WC * 32> Base;
  enum { FI = BM_ / WR / 8, FJ = BN_ / WC / 8 };
  simdgroup_float8x8 c[FI][FJ];
  unsigned m0, n0;

  METHOD void begin(CTX) {
    m0 = THREAD / 32 / WC * (BM_ / WR);
    n0 = THREAD / 32 % WC * (BN_ / WC);
    UNROLL for (int i = 0; i < FI; i++) {
      UNROLL for (int j = 0; j < FJ; j++) clear_fragment(c[i][j]);
    }
  }
  METHOD void spill(CTX, Shared<float> s) {
    UNROLL for (int i = 0; i < FI; i++) {
      UNROLL for (int j = 0; j < FJ; j++)
        store_fragment(c[i][j], s + ((m0 + i * 8) * Base::C_ROW + n0 + j * 8), Base::C_ROW);
    }
  }
  METHOD void step(CTX, Shared<const float> a, Shared<const float> b) {
    UNROLL for (int k = 0; k < BK_; k += 8) {
      simdgroup_float8x8 x[FI], y;
      UNROLL for (int i = 0; i < FI; i++) {
        const unsigned m = m0 + i * 8;
        load_fragment(x[i], a + (K_FIRST_ ? k * Base::A_ROW + m : m * Base::A_ROW + k), Base::A_ROW, K_FIRST_);
      }
      UNROLL for (int j = 0; j < FJ; j++) {
        load_fragment(y, b + (k * Base::B_ROW + n0 + j * 8), Base::B_ROW, false);
        UNROLL for (int i = 0; i < FI; i++) multiply_fragments(c[i][j], x[i], y);
      }
    }
  }
};
#endif
