#include "loss.h"

#include <cstring>
#include <mutex>

#include "binning.h"

namespace splatflow {
namespace {

struct Planes {
  Buffer<float> x, y, d_mu, d_xx, d_xy, grad, scratch;
  Buffer<double> ssim_sums, l1_sums;
};

constexpr int kRows = 16;  // rows a thread takes at a time

}  // namespace

double l1_ssim(const KernelTable& kernels, const float* image, const float* truth, int width, int height, float ssim_lambda, float* grad,
               int threads) {
  static Planes planes;
  static std::mutex guard;
  const std::lock_guard<std::mutex> lock(guard);
  const int stride = (width + 15) / 16 * 16;  // a multiple of every kernel's vector width
  const size_t plane = size_t(stride) * height;
  const int bands = (height + kRows - 1) / kRows;
  for (Buffer<float>* b : {&planes.x, &planes.y, &planes.d_mu, &planes.d_xx, &planes.d_xy, &planes.grad}) b->resize(3 * plane);
  const size_t scratch = size_t(stride + 32) * 5;
  planes.scratch.resize(scratch * 3 * bands);
  planes.ssim_sums.resize(size_t(3) * bands);
  planes.l1_sums.resize(size_t(3) * bands);
  const double count = 3.0 * width * height;
  const float l1_weight = float((1.0 - ssim_lambda) / count), ssim_weight = float(-ssim_lambda / count);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int r = 0; r < height; r++) {
      for (int k = 0; k < 3; k++) {
        float* x = planes.x.data() + k * plane + size_t(r) * stride;
        float* y = planes.y.data() + k * plane + size_t(r) * stride;
        for (int c = 0; c < width; c++) {
          x[c] = image[(int64_t(r) * width + c) * 3 + k];
          y[c] = truth[(int64_t(r) * width + c) * 3 + k];
        }
        std::memset(x + width, 0, sizeof(float) * (stride - width));
        std::memset(y + width, 0, sizeof(float) * (stride - width));
      }
    }
    if (ssim_lambda != 0) {
#pragma omp for schedule(dynamic)
      for (int job = 0; job < 3 * bands; job++) {
        const size_t at = (job / bands) * plane;
        const int begin = job % bands * kRows, end = begin + kRows < height ? begin + kRows : height;
        planes.ssim_sums[job] =
            kernels.ssim_maps(planes.x.data() + at, planes.y.data() + at, width, stride, height, begin, end, planes.d_mu.data() + at,
                              planes.d_xx.data() + at, planes.d_xy.data() + at, planes.scratch.data() + job * scratch);
      }
    }
#pragma omp for schedule(dynamic)
    for (int job = 0; job < 3 * bands; job++) {
      const size_t at = (job / bands) * plane;
      const int begin = job % bands * kRows, end = begin + kRows < height ? begin + kRows : height;
      kernels.ssim_grad(planes.x.data() + at, planes.y.data() + at, stride, height, begin, end, planes.d_mu.data() + at,
                        planes.d_xx.data() + at, planes.d_xy.data() + at, l1_weight, ssim_weight, planes.grad.data() + at,
                        planes.scratch.data() + job * scratch, &planes.l1_sums[job]);
    }
#pragma omp for schedule(static)
    for (int r = 0; r < height; r++)
      for (int c = 0; c < width; c++)
        for (int k = 0; k < 3; k++) grad[(int64_t(r) * width + c) * 3 + k] = planes.grad[k * plane + size_t(r) * stride + c];
  }
  double l1 = 0, ssim = 0;
  for (int job = 0; job < 3 * bands; job++) {
    l1 += planes.l1_sums[job];
    if (ssim_lambda != 0) ssim += planes.ssim_sums[job];
  }
  return (1.0 - ssim_lambda) * l1 / count + ssim_lambda * (1.0 - ssim / count);
}

}  // namespace splatflow
