// A block's part of a product of matrices, C[BM, BN] += A[BM, k] B[k, BN]. A and B are staged through shared memory, BK of k at a time.
// A lies [m][k] or, with K_FIRST, [k][m] (where k counts pixels, m channels); B lies [k][n].
// The paddings make each access free of bank conflicts and each row a multiple of 16 bytes.
template <int BM_, int BN_, int BK_, bool K_FIRST_, int THREADS_> struct Shape {
  enum {
    BM = BM_, BN = BN_, BK = BK_, K_FIRST = K_FIRST_, THREADS = THREADS_,
    A_ROW = K_FIRST_ ? BM_ + 8 : BK_ + 4,
    B_ROW = BN_ + 8,
    C_ROW = BN_ + 4,
    A_LEN = K_FIRST_ ? BK_ * (BM_ + 8) : BM_ * (BK_ + 4),
    STAGE_LEN = A_LEN + BK_ * (BN_ + 8),
    C_LEN = BM_ * (BN_ + 4),
    // Two stages in turn; then the result, and four floats a thread for sums over its columns.
    SHARED = 2 * STAGE_LEN > C_LEN + THREADS_ * 4 ? 2 * STAGE_LEN : C_LEN + THREADS_ * 4,
    // Quads that a thread loads of A and of B.
    A_QUADS = (BM_ * BK_ / 4 + THREADS_ - 1) / THREADS_,
    B_QUADS = (BN_ * BK_ / 4 + THREADS_ - 1) / THREADS_
  };
};
// Each tile has begin, step (a stage's product) and spill: the result goes to shared memory, [BM][C_ROW]. What follows reads it there,
// four columns a thread, whatever the tile: one epilogue, with whole sectors of memory.

// By fused multiplications, TM x TN a thread.
template <int BM_, int BN_, int BK_, int TM, int TN, bool K_FIRST_>
struct Scalar : Shape<BM_, BN_, BK_, K_FIRST_, BM_ / TM * (BN_ / TN)> {
  typedef Shape<BM_, BN_, BK_, K_FIRST_, BM_ / TM * (BN_ / TN)> Base;
  enum { TX = BN_ / TN, TY = BM_ / TM };
  float c[TM][TN];
  unsigned ty, tx;

  METHOD void begin(CTX) {
    ty = THREAD / TX;
    tx = THREAD % TX;
    UNROLL for (int i = 0; i < TM; i++) {
      UNROLL for (int j = 0; j < TN; j++) c[i][j] = 0.0f;
    }
  }
  // Rows that follow each other are read at once: four, or where a thread has two these.
  enum { NEXT = TM < 4 ? TM : 4 };
  METHOD unsigned row(int i) { return K_FIRST_ ? ty * NEXT + i / NEXT * (TY * NEXT) + i % NEXT : ty + i * TY; }
  METHOD unsigned column(int j) { return tx * 4 + j / 4 * (TX * 4) + j % 4; }
  METHOD void spill(CTX, Shared<float> s) {
    UNROLL for (int i = 0; i < TM; i++) {
      UNROLL for (int j = 0; j < TN; j += 4) {
        Quad q;
        UNROLL for (int e = 0; e < 4; e++) q.v[e] = c[i][j + e];
        store_quad(s + (row(i) * Base::C_ROW + column(j)), q);
      }
    }
  }
  METHOD void step(CTX, Shared<const float> a, Shared<const float> b) {
    UNROLL for (int k = 0; k < BK_; k += 4) {
      if (K_FIRST_) step_k_first(a, b, k);
      else step_m_first(a, b, k);
    }
  }
  // B of four k is held and A streams by: fewer registers than the other way round.
  METHOD void step_m_first(Shared<const float> a, Shared<const float> b, int k0) {
    Quad y[4][TN / 4];
    UNROLL for (int k = 0; k < 4; k++) {
      UNROLL for (int j = 0; j < TN; j += 4) y[k][j / 4] = load_quad(b + ((k0 + k) * Base::B_ROW + column(j)));
    }
    UNROLL for (int i = 0; i < TM; i++) {
      const Quad x = load_quad(a + (row(i) * Base::A_ROW + k0));
      UNROLL for (int k = 0; k < 4; k++) {
        UNROLL for (int j = 0; j < TN; j++) c[i][j] = fused(x.v[k], y[k][j / 4].v[j % 4], c[i][j]);
      }
    }
  }
  METHOD void step_k_first(Shared<const float> a, Shared<const float> b, int k0) {
    UNROLL for (int k = 0; k < 4; k++) {
      Quad x[(TM + 3) / 4], y[TN / 4];
      UNROLL for (int j = 0; j < TN; j += 4) y[j / 4] = load_quad(b + ((k0 + k) * Base::B_ROW + column(j)));
      UNROLL for (int i = 0; i < TM; i += 4) {
        if (NEXT == 4) x[i / 4] = load_quad(a + ((k0 + k) * Base::A_ROW + row(i)));
        else for (int e = 0; e < NEXT; e++) x[i / 4].v[e] = a[(k0 + k) * Base::A_ROW + row(i + e)];
      }
      UNROLL for (int i = 0; i < TM; i++) {
        UNROLL for (int j = 0; j < TN; j++) c[i][j] = fused(x[i / 4].v[i % 4], y[j / 4].v[j % 4], c[i][j]);
      }
    }
  }
};
