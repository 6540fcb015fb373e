// Plain data shared by the instruction-set-specific kernels and the code that drives them.
// Kernel translation units are compiled with wider instruction sets than the rest, so nothing here may be a template or an
// inline function with external linkage: the linker could pick the wide version for a machine that lacks it.
#pragma once
#include <cstdint>

namespace splatflow {

constexpr int kTile = 8;  // tiles are 8x8 pixels: small enough that ellipse culling pays, one AVX row or two rows per vector
constexpr int kTilePixels = kTile * kTile;
constexpr float kAlphaMax = 0.999f;
constexpr float kTransmittanceMin = 1e-4f;
constexpr float kLog2Of255 = 7.994353436858858f;
constexpr int kPairGrad = 12;  // floats per (Gaussian, tile) gradient record: 9 used, padded to 48 bytes

struct CameraView {
  float R[9], t[3];  // cam_from_world
  float eye[3];      // camera centre in the world
  float fx, fy, cx, cy;
  float lim_x_neg, lim_x_pos, lim_y_neg, lim_y_pos;  // x/z and y/z are clamped to these in the Jacobian, as in gsplat
  float near_plane, far_plane, eps2d;
  int width, height;
  int tiles_x, tiles_y;
  bool antialiased;
};

// One projected Gaussian, ready for the tile loops: exponent of 2 is
// l2op + qa dx^2 + dy (qb dx + qc dy), with dx = mx - px, dy = my - py.
struct alignas(64) Splat {
  float mx, my;
  float qa, qb, qc;
  float l2op;  // log2 of the opacity (after antialiasing)
  float rgb[3];
  int32_t row0, row1;  // first and last pixel row whose centres it reaches, clipped to the image
  float slope;         // x extent as a function of dy: slope * dy +- sqrt((reach - dy^2 inv_cov_d) * width_scale)
  float reach;         // 2 ln(255 opacity)
  float inv_cov_d, width_scale;
  float y_at_xmax;  // dy at which the ellipse reaches its largest x
};

struct Scene {
  const float* means;      // (N, 3)
  const float* quats;      // (N, 4)
  const float* scales;     // (N, 3)
  const float* opacities;  // (N,)
  const float* colors;     // (N, K, 3) or (N, 3)
  int64_t count;
  int coeffs;  // K of the stored coefficients; 0 when colors are plain RGB
  int degree;  // spherical-harmonics degree in use; -1 when colors are plain RGB
};

struct SceneGrads {
  float* means;
  float* quats;
  float* scales;
  float* opacities;
  float* colors;
  float* means2d;  // (N, 2), pixels
};

// Tiles [x0, x1) of one row of tiles.
struct TileSpan {
  uint16_t x0, x1;
};

struct TileEntry {
  uint32_t gaussian;
  uint32_t slot;  // index of this (Gaussian, tile) pair in Gaussian-major order: gradients are summed in that order, so
                  // that the result does not depend on which thread drew which tile
};

struct TileJob {
  const Splat* splats;
  const TileEntry* entries;
  int32_t begin, end;
  int32_t tile_x, tile_y;
  int32_t width, height;
  uint8_t* hit;        // per slot: which rows (or pairs of rows) of the tile it contributed to
  int32_t* processed;  // entries looked at before every pixel was opaque
  float* state;        // (4, 64): red, green, blue without background, transmittance
  float background[3];
  float* image;  // (H, W, 3)
  float* alpha;  // (H, W)
};

struct TileGradJob {
  const Splat* splats;
  const TileEntry* entries;
  int32_t begin, processed;
  int32_t tile_x, tile_y;
  int32_t width, height;
  const uint8_t* hit;
  const float* state;
  float background[3];
  const float* v_image;  // (H, W, 3)
  const float* v_alpha;  // (H, W) or null
  float* pair_grads;     // (slots, kPairGrad): s, sx, sy, sxx, sxy, syy, r, g, b
};

struct AdamJob {
  float* param;
  const float* grad;
  float* exp_avg;
  float* exp_avg_sq;
  const uint8_t* visible;  // per row, or null for all
  const float* lr;         // per column
  int64_t rows;
  int columns;
  float beta1, beta2, eps;
  float bias1, bias2;  // 1 - beta^t
};

struct KernelTable {
  const char* name;
  int lanes;
  // Projects Gaussians [begin, end); writes splats[i], depths[i] (infinite when it is not seen) and visible[i].
  void (*project)(const Scene&, const CameraView&, int64_t begin, int64_t end, Splat* splats, float* depths, uint8_t* visible);
  // For Gaussians order[begin..end): the tiles in which the ellipse reaches a pixel centre, a span per row of tiles from row0 / 8
  // to row1 / 8, written from spans[first_span[rank]] on; tile_counts[rank] is their number. Each span adds 1 to
  // edges[ty * (tiles_x + 1) + x0] and subtracts 1 at x1, so that running sums count the Gaussians of each tile.
  void (*tile_spans)(const CameraView&, const Splat*, const uint32_t* order, int64_t begin, int64_t end, const uint32_t* first_span,
                     TileSpan* spans, uint32_t* tile_counts, int32_t* edges);
  // Sums pair gradients of the seen Gaussians order[begin..end) and carries them to the parameters.
  void (*project_backward)(const Scene&, const CameraView&, const uint32_t* order, int64_t begin, int64_t end, const Splat*,
                           const uint32_t* first_slot, const uint8_t* hit, const float* pair_grads, const SceneGrads&);
  void (*tile_forward)(const TileJob&);
  void (*tile_backward)(const TileGradJob&);
  // Rows [begin, end) of the three derivative maps (3 maps, height, width) of one channel; returns the sum of SSIM over them.
  double (*ssim_maps)(const float* x, const float* y, int width, int stride, int height, int begin, int end, float* d_mu, float* d_xx,
                      float* d_xy, float* scratch);
  void (*ssim_grad)(const float* x, const float* y, int stride, int height, int begin, int end, const float* d_mu, const float* d_xx,
                    const float* d_xy, float l1_weight, float ssim_weight, float* grad, float* scratch, double* l1_sum);
  void (*adam)(const AdamJob&, int64_t begin, int64_t end);
};

const KernelTable* kernels_portable();
const KernelTable* kernels_avx2();
const KernelTable* kernels_avx2_wide();
const KernelTable* kernels_avx512();

}  // namespace splatflow
