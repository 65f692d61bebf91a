// A tile by the tensor cores of sm_80 and later, which round to f16 and add in f32, WR x WC warps (see tile.h). The hardware's k may be
// any k, as long as A and B agree: lanes read the same words as for TF32, two for each that is multiplied.
#ifdef HAS_F16
template <int BM_, int BN_, int BK_, int WR, int WC> struct F16 : Tf32<BM_, BN_, BK_, WR, WC, 1, false> {
  typedef Tf32<BM_, BN_, BK_, WR, WC, 1, false> Base;

  METHOD void step(CTX, Shared<const float> a, Shared<const float> b) {
    UNROLL for (int k = 0; k < BK_; k += 16) {
      unsigned x[Base::FI][4];
      UNROLL for (int i = 0; i < Base::FI; i++) {
        UNROLL for (int e = 0; e < 4; e++) {
          const unsigned m = this->m0 + i * 16 + this->g + e % 2 * 8, at = m * Base::A_ROW + k + this->q + e / 2 * 8;
          x[i][e] = two_f16(a[at], a[at + 4u]);
        }
      }
      UNROLL for (int j = 0; j < Base::FJ; j++) {
        unsigned y[2];
        UNROLL for (int e = 0; e < 2; e++) {
          const unsigned at = (k + this->q + e * 8) * Base::B_ROW + this->n0 + j * 8 + this->g;
          y[e] = two_f16(b[at], b[at + 4u * Base::B_ROW]);
        }
        UNROLL for (int i = 0; i < Base::FI; i++) {
          multiply_f16(this->c[i * 2][j * 2], this->c[i * 2][j * 2 + 1], this->c[i * 2 + 1][j * 2],
                       this->c[i * 2 + 1][j * 2 + 1], x[i], y);
        }
      }
    }
  }
};
#endif
