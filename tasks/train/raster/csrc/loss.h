// (1 - lambda) L1 + lambda (1 - SSIM), its value and its gradient in one go.
#pragma once
#include "types.h"

namespace splatflow {

// `image` and `truth` are (H, W, 3); `grad` likewise. Deterministic at any number of threads.
double l1_ssim(const KernelTable& kernels, const float* image, const float* truth, int width, int height, float ssim_lambda, float* grad,
               int threads);

}  // namespace splatflow
