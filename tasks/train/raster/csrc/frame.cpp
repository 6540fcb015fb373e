#include "frame.h"

#include <omp.h>

#include <cstring>
#include <ctime>

namespace splatflow {
namespace {
#ifdef SPLATFLOW_CPU_CLOCK  // for measuring kernels on a busy machine: processor time instead of elapsed time
double now() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}
#else
double now() { return omp_get_wtime(); }
#endif

constexpr int64_t kBlock = 1024;  // Gaussians a thread takes at a time

void zero_rows(float* p, int64_t begin, int64_t end, int columns) {
  std::memset(p + begin * columns, 0, sizeof(float) * size_t(end - begin) * columns);
}
}  // namespace

void Frame::forward(const KernelTable& kernels, const Scene& scene, const CameraView& camera, const float background[3], float* image,
                    float* alpha, int threads) {
  camera_ = camera;
  rows_per_tile_ = kTilePixels / kernels.lanes;
  std::memcpy(background_, background, sizeof background_);
  const double t0 = now();
  splats_.resize(size_t(scene.count));
  depths_.resize(size_t(scene.count));
  visible_.resize(size_t(scene.count));
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t begin = 0; begin < scene.count; begin += kBlock) {
    const int64_t end = begin + kBlock < scene.count ? begin + kBlock : scene.count;
    kernels.project(scene, camera_, begin, end, splats_.data(), depths_.data(), visible_.data());
  }
  const double t1 = now();
  bins_.build(kernels, splats_.data(), depths_.data(), visible_.data(), scene.count, camera_, threads);
  const double t2 = now();
  const int tiles = camera_.tiles_x * camera_.tiles_y;
  hit_.resize(bins_.pairs);
  processed_.resize(size_t(tiles));
  state_.resize(size_t(tiles) * 4 * kTilePixels);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
  for (int tile = 0; tile < tiles; tile++) {
    TileJob job;
    job.splats = splats_.data();
    job.entries = bins_.entries.data();
    job.begin = int32_t(bins_.tile_begin[tile]);
    job.end = int32_t(bins_.tile_begin[tile + 1]);
    job.tile_x = tile % camera_.tiles_x;
    job.tile_y = tile / camera_.tiles_x;
    job.width = camera_.width;
    job.height = camera_.height;
    job.hit = hit_.data();
    job.processed = processed_.data() + tile;
    job.state = state_.data() + size_t(tile) * 4 * kTilePixels;
    std::memcpy(job.background, background_, sizeof background_);
    job.image = image;
    job.alpha = alpha;
    kernels.tile_forward(job);
  }
  const double t3 = now();
  seconds_[0] = t1 - t0;
  seconds_[1] = t2 - t1;
  seconds_[2] = t3 - t2;
}

int64_t Frame::contributing() const {
  int64_t rows = 0;
  for (size_t slot = 0; slot < hit_.size(); slot++) rows += __builtin_popcount(hit_[slot]);
  return rows * (kTilePixels / rows_per_tile_);
}

void Frame::backward(const KernelTable& kernels, const Scene& scene, const float* v_image, const float* v_alpha, const SceneGrads& grads,
                     int threads) {
  const double t0 = now();
  const int tiles = camera_.tiles_x * camera_.tiles_y;
  pair_grads_.resize(size_t(bins_.pairs) * kPairGrad);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 8)
  for (int tile = 0; tile < tiles; tile++) {
    TileGradJob job;
    job.splats = splats_.data();
    job.entries = bins_.entries.data();
    job.begin = int32_t(bins_.tile_begin[tile]);
    job.processed = processed_[tile];
    job.tile_x = tile % camera_.tiles_x;
    job.tile_y = tile / camera_.tiles_x;
    job.width = camera_.width;
    job.height = camera_.height;
    job.hit = hit_.data();
    job.state = state_.data() + size_t(tile) * 4 * kTilePixels;
    std::memcpy(job.background, background_, sizeof background_);
    job.v_image = v_image;
    job.v_alpha = v_alpha;
    job.pair_grads = pair_grads_.data();
    kernels.tile_backward(job);
  }
  const double t1 = now();
  const int columns = scene.degree < 0 ? 3 : scene.coeffs * 3;
  const int64_t seen_count = int64_t(bins_.order.size());
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t begin = 0; begin < scene.count; begin += kBlock) {
      const int64_t end = begin + kBlock < scene.count ? begin + kBlock : scene.count;
      zero_rows(grads.means, begin, end, 3);
      zero_rows(grads.quats, begin, end, 4);
      zero_rows(grads.scales, begin, end, 3);
      zero_rows(grads.opacities, begin, end, 1);
      zero_rows(grads.colors, begin, end, columns);
      zero_rows(grads.means2d, begin, end, 2);
    }
#pragma omp for schedule(dynamic)
    for (int64_t begin = 0; begin < seen_count; begin += kBlock) {
      const int64_t end = begin + kBlock < seen_count ? begin + kBlock : seen_count;
      kernels.project_backward(scene, camera_, bins_.order.data(), begin, end, splats_.data(), bins_.first_slot.data(), hit_.data(),
                               pair_grads_.data(), grads);
    }
  }
  const double t2 = now();
  seconds_[3] = t1 - t0;
  seconds_[4] = t2 - t1;
}

}  // namespace splatflow
