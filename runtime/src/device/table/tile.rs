//! Tiles of a product of matrices: what one block computes, and by which units. The numbers of threads and bytes are those
//! of `kernels/tile.h`, which asserts them.

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Fused multiplications of f32, on every device.
    Scalar {
        /// Rows and columns of a thread.
        each: [u32; 2],
    },
    /// Tensor cores of sm_80 and later.
    Tf32 {
        /// Rows and columns of warps.
        warps: [u32; 2],
        /// 1: TF32. 3: each number as two of TF32, which is about f32.
        passes: u32,
    },
    /// The same, of f16. For no gradient of a weight.
    F16 {
        /// Rows and columns of warps.
        warps: [u32; 2],
    },
    /// The 8 x 8 matrices of Apple7 and later.
    Simdgroup {
        /// Rows and columns of simdgroups.
        groups: [u32; 2],
    },
}

/// C\[rows, columns\] += A\[rows, k\] B\[k, columns\], `depth` of k at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of C.
    pub rows: u32,
    /// Columns of C.
    pub columns: u32,
    /// Of k, staged at a time.
    pub depth: u32,
    /// Whether A lies `[k][row]`, as for the gradient of a weight.
    pub is_k_first: bool,
    /// By what.
    pub unit: Unit,
}

impl Tile {
    /// That of the weight's gradient by as many threads, whose results have the same bits as those of its own kernel.
    #[must_use]
    pub fn of_weight(&self) -> Self {
        let unit = match self.unit {
            Unit::Scalar { .. } => Unit::Scalar {
                each: match self.columns {
                    16 => [2, 4],
                    32 => [4, 4],
                    _ => [8, 4],
                },
            },
            Unit::Tf32 { passes, .. } => {
                Unit::Tf32 { warps: if self.columns == 16 { [4, 1] } else { [2, 2] }, passes }
            }
            unit @ (Unit::F16 { .. } | Unit::Simdgroup { .. }) => unit,
        };
        Self { rows: 64, depth: 16, is_k_first: true, unit, ..*self }
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        match self.unit {
            Unit::Scalar { each } => self.rows / each[0] * (self.columns / each[1]),
            Unit::Tf32 { warps: [rows, columns], .. }
            | Unit::F16 { warps: [rows, columns] }
            | Unit::Simdgroup { groups: [rows, columns] } => rows * columns * 32,
        }
    }

    /// Floats of shared memory of a block: two stages, or the result and four floats a thread.
    pub fn shared(&self) -> u32 {
        let a_len = if self.is_k_first { self.depth * (self.rows + 8) } else { self.rows * (self.depth + 4) };
        let stage_len = a_len + self.depth * (self.columns + 8);
        (2 * stage_len).max(self.rows * (self.columns + 4) + 4 * self.threads())
    }

    /// As it stands in a kernel's name.
    pub fn name(&self) -> String {
        let unit = match self.unit {
            Unit::Scalar { .. } => 's',
            Unit::Tf32 { passes: 3, .. } => 'x',
            Unit::Tf32 { .. } => 't',
            Unit::F16 { .. } => 'h',
            Unit::Simdgroup { .. } => 'm',
        };
        format!("{unit}{}x{}", self.rows, self.columns)
    }

    /// The type in the kernels' language.
    pub fn text(&self) -> String {
        let Self { rows, columns, depth, is_k_first, unit } = self;
        match unit {
            Unit::Scalar { each: [m, n] } => {
                format!("Scalar<{rows}, {columns}, {depth}, {m}, {n}, {is_k_first}>")
            }
            Unit::Tf32 { warps: [m, n], passes } => {
                format!("Tf32<{rows}, {columns}, {depth}, {m}, {n}, {passes}, {is_k_first}>")
            }
            Unit::F16 { warps: [m, n] } => format!("F16<{rows}, {columns}, {depth}, {m}, {n}>"),
            Unit::Simdgroup { groups: [m, n] } => {
                format!("Simd<{rows}, {columns}, {depth}, {m}, {n}, {is_k_first}>")
            }
        }
    }
}
