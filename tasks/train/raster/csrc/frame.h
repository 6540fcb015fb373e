// One rendered view and what its backward pass needs.
#pragma once
#include "binning.h"
#include "types.h"

namespace splatflow {

class Frame {
 public:
  void forward(const KernelTable& kernels, const Scene&, const CameraView&, const float background[3], float* image, float* alpha,
               int threads);
  // Every gradient is written whole: rows of Gaussians that this view does not show become zero.
  void backward(const KernelTable& kernels, const Scene&, const float* v_image, const float* v_alpha, const SceneGrads&, int threads);

  const uint8_t* visible() const { return visible_.data(); }
  const Splat* splats() const { return splats_.data(); }
  const float* depths() const { return depths_.data(); }
  uint32_t pairs() const { return bins_.pairs; }
  int64_t seen() const { return int64_t(bins_.order.size()); }
  // Pairs of Gaussian and pixel that the backward pass evaluates.
  int64_t contributing() const;
  // Seconds of the last passes: projection, binning, tiles forward, tiles backward, projection backward.
  const double* seconds() const { return seconds_; }

 private:
  CameraView camera_{};
  int rows_per_tile_ = kTile;  // vectors that a tile is made of: bits of `hit_`
  float background_[3]{};
  Buffer<Splat> splats_;
  Buffer<float> depths_;
  Buffer<uint8_t> visible_;
  Bins bins_;
  Buffer<uint8_t> hit_;
  Buffer<int32_t> processed_;
  Buffer<float> state_;
  Buffer<float> pair_grads_;
  double seconds_[5]{};
};

}  // namespace splatflow
