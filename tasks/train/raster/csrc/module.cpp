// Python bindings. Arrays are C-contiguous float32 on the CPU; the Python side makes them so.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "frame.h"
#include "loss.h"
#include "noise.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace splatflow {
namespace {

using Array = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using ConstArray = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using ConstMask = nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<uint8_t, nb::c_contig, nb::device::cpu>;

std::vector<const KernelTable*> available_kernels() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    tables.push_back(kernels_avx512());
  if (avx2) {
    tables.push_back(kernels_avx2());
    tables.push_back(kernels_avx2_wide());  // the AVX-512 code's lane layout on AVX2: lets any machine test it
  }
#endif
  tables.push_back(kernels_portable());
  return tables;
}

const KernelTable*& current() {
  static const KernelTable* table = available_kernels().front();
  return table;
}

// Frames are kept and used again, since their memory is worth more than they are.
class FramePool {
 public:
  std::unique_ptr<Frame> take() {
    const std::lock_guard<std::mutex> lock(guard_);
    if (free_.empty()) return std::make_unique<Frame>();
    auto frame = std::move(free_.back());
    free_.pop_back();
    return frame;
  }
  void give(std::unique_ptr<Frame> frame) {
    const std::lock_guard<std::mutex> lock(guard_);
    if (free_.size() < 2) free_.push_back(std::move(frame));
  }
  void clear() {
    const std::lock_guard<std::mutex> lock(guard_);
    free_.clear();
  }

 private:
  std::mutex guard_;
  std::vector<std::unique_ptr<Frame>> free_;
};

FramePool& pool() {
  static FramePool frames;
  return frames;
}

// Handle that the autograd context holds; returns its frame to the pool when it dies.
struct PooledFrame {
  std::unique_ptr<Frame> frame = pool().take();
  PooledFrame() = default;
  PooledFrame(PooledFrame&&) = default;
  ~PooledFrame() {
    if (frame) pool().give(std::move(frame));
  }
};

void expect(bool ok, const char* what) {
  if (!ok) throw std::invalid_argument(what);
}

Scene make_scene(const ConstArray& means, const ConstArray& quats, const ConstArray& scales, const ConstArray& opacities,
                 const ConstArray& colors, int degree) {
  Scene s;
  expect(means.ndim() == 2 && means.shape(1) == 3, "means must be (N, 3)");
  s.count = int64_t(means.shape(0));
  const size_t n = size_t(s.count);
  expect(quats.ndim() == 2 && quats.shape(0) == n && quats.shape(1) == 4, "quats must be (N, 4)");
  expect(scales.ndim() == 2 && scales.shape(0) == n && scales.shape(1) == 3, "scales must be (N, 3)");
  expect(opacities.ndim() == 1 && opacities.shape(0) == n, "opacities must be (N,)");
  expect(n < 0xffffffffu, "too many Gaussians");
  if (degree < 0) {
    expect(colors.ndim() == 2 && colors.shape(0) == n && colors.shape(1) == 3, "colors must be (N, 3) without sh_degree");
    s.coeffs = 0;
  } else {
    expect(colors.ndim() == 3 && colors.shape(0) == n && colors.shape(2) == 3, "colors must be (N, K, 3) with sh_degree");
    s.coeffs = int(colors.shape(1));
    expect(degree <= 3 && s.coeffs >= (degree + 1) * (degree + 1), "sh_degree must be 0 to 3 and K at least (sh_degree + 1)^2");
  }
  s.degree = degree;
  s.means = means.data();
  s.quats = quats.data();
  s.scales = scales.data();
  s.opacities = opacities.data();
  s.colors = colors.data();
  return s;
}

CameraView make_camera(const ConstArray& viewmat, const ConstArray& K, int width, int height, float near_plane, float far_plane,
                       float eps2d, bool antialiased) {
  expect(viewmat.ndim() == 2 && viewmat.shape(0) == 4 && viewmat.shape(1) == 4, "viewmat must be (4, 4)");
  expect(K.ndim() == 2 && K.shape(0) == 3 && K.shape(1) == 3, "K must be (3, 3)");
  expect(width > 0 && height > 0, "width and height must be positive");
  CameraView c{};
  const float* m = viewmat.data();
  for (int r = 0; r < 3; r++) {
    for (int k = 0; k < 3; k++) c.R[3 * r + k] = m[4 * r + k];
    c.t[r] = m[4 * r + 3];
  }
  for (int k = 0; k < 3; k++) c.eye[k] = -(c.R[k] * c.t[0] + c.R[3 + k] * c.t[1] + c.R[6 + k] * c.t[2]);
  const float* k = K.data();
  c.fx = k[0];
  c.cx = k[2];
  c.fy = k[4];
  c.cy = k[5];
  const float margin_x = 0.15f * float(width) / c.fx, margin_y = 0.15f * float(height) / c.fy;
  c.lim_x_pos = (float(width) - c.cx) / c.fx + margin_x;
  c.lim_x_neg = c.cx / c.fx + margin_x;
  c.lim_y_pos = (float(height) - c.cy) / c.fy + margin_y;
  c.lim_y_neg = c.cy / c.fy + margin_y;
  c.near_plane = near_plane;
  c.far_plane = far_plane;
  c.eps2d = eps2d;
  c.width = width;
  c.height = height;
  c.tiles_x = (width + kTile - 1) / kTile;
  c.tiles_y = (height + kTile - 1) / kTile;
  c.antialiased = antialiased;
  return c;
}

PooledFrame forward(ConstArray means, ConstArray quats, ConstArray scales, ConstArray opacities, ConstArray colors, int degree,
                    ConstArray viewmat, ConstArray K, int width, int height, float near_plane, float far_plane, float eps2d,
                    bool antialiased, ConstArray background, Array image, Array alpha, int threads) {
  const Scene scene = make_scene(means, quats, scales, opacities, colors, degree);
  const CameraView camera = make_camera(viewmat, K, width, height, near_plane, far_plane, eps2d, antialiased);
  expect(image.size() == size_t(width) * height * 3 && alpha.size() == size_t(width) * height,
         "image and alpha must be (H, W, 3) and (H, W, 1)");
  expect(background.size() == 3, "background must be (3,)");
  PooledFrame handle;
  nb::gil_scoped_release release;
  handle.frame->forward(*current(), scene, camera, background.data(), image.data(), alpha.data(), threads);
  return handle;
}

void backward(PooledFrame& handle, ConstArray means, ConstArray quats, ConstArray scales, ConstArray opacities, ConstArray colors,
              int degree, ConstArray v_image, ConstArray v_alpha, Array g_means, Array g_quats, Array g_scales, Array g_opacities,
              Array g_colors, Array g_means2d, int threads) {
  const Scene scene = make_scene(means, quats, scales, opacities, colors, degree);
  const size_t n = size_t(scene.count);
  expect(g_means.size() == 3 * n && g_quats.size() == 4 * n && g_scales.size() == 3 * n && g_opacities.size() == n &&
             g_colors.size() == colors.size() && g_means2d.size() == 2 * n,
         "gradients must have the shapes of what they belong to");
  SceneGrads grads{g_means.data(), g_quats.data(), g_scales.data(), g_opacities.data(), g_colors.data(), g_means2d.data()};
  nb::gil_scoped_release release;
  handle.frame->backward(*current(), scene, v_image.data(), v_alpha.size() ? v_alpha.data() : nullptr, grads, threads);
}

double loss(ConstArray image, ConstArray truth, float ssim_lambda, Array grad, int threads) {
  expect(image.ndim() == 3 && image.shape(2) == 3 && truth.size() == image.size() && grad.size() == image.size(),
         "images must be (H, W, 3)");
  expect(image.size() > 0, "images must not be empty");
  const int height = int(image.shape(0)), width = int(image.shape(1));
  nb::gil_scoped_release release;
  return l1_ssim(*current(), image.data(), truth.data(), width, height, ssim_lambda, grad.data(), threads);
}

void adam_step(Array param, ConstArray grad, Array exp_avg, Array exp_avg_sq, ConstMask visible, ConstArray lr, float beta1, float beta2,
               float eps, double step, int threads) {
  AdamJob job;
  job.rows = int64_t(param.shape(0));
  expect(job.rows >= 0 && lr.ndim() == 1 && param.size() == size_t(job.rows) * lr.size(),
         "lr must have one value per column of the parameter");
  expect(grad.size() == param.size() && exp_avg.size() == param.size() && exp_avg_sq.size() == param.size(),
         "moments and gradient must have the parameter's shape");
  expect(visible.size() == 0 || visible.size() == size_t(job.rows), "visible must have one value per row");
  job.param = param.data();
  job.grad = grad.data();
  job.exp_avg = exp_avg.data();
  job.exp_avg_sq = exp_avg_sq.data();
  job.visible = visible.size() ? visible.data() : nullptr;
  job.lr = lr.data();
  job.columns = int(lr.size());
  job.beta1 = beta1;
  job.beta2 = beta2;
  job.eps = eps;
  job.bias1 = float(1.0 - std::pow(double(beta1), step));
  job.bias2 = float(1.0 - std::pow(double(beta2), step));
  nb::gil_scoped_release release;
  const KernelTable& kernels = *current();
  constexpr int64_t kRowsAtATime = 2048;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t begin = 0; begin < job.rows; begin += kRowsAtATime)
    kernels.adam(job, begin, begin + kRowsAtATime < job.rows ? begin + kRowsAtATime : job.rows);
}

void noise(Array means, ConstArray quats, ConstArray scales, ConstArray opacities, float rate, uint64_t seed, int threads) {
  const size_t n = means.shape(0);
  expect(means.size() == 3 * n && quats.size() == 4 * n && scales.size() == 3 * n && opacities.size() == n,
         "means, quats, scales and opacities must belong to the same Gaussians");
  nb::gil_scoped_release release;
  add_noise(means.data(), quats.data(), scales.data(), opacities.data(), int64_t(n), rate, seed, threads);
}

}  // namespace
}  // namespace splatflow

NB_MODULE(_native, m) {
  using namespace splatflow;
  nb::set_leak_warnings(false);  // a frame still held by an autograd graph when Python exits is no fault
  m.doc() = "splatflow's CPU rasteriser: see native.py for the documented interface";
  nb::class_<PooledFrame>(m, "Frame")
      .def_prop_ro("pairs", [](const PooledFrame& f) { return f.frame->pairs(); })
      .def_prop_ro("contributing", [](const PooledFrame& f) { return f.frame->contributing(); })
      .def_prop_ro("seen", [](const PooledFrame& f) { return f.frame->seen(); })
      .def_prop_ro("seconds", [](const PooledFrame& f) { return std::vector<double>(f.frame->seconds(), f.frame->seconds() + 5); })
      .def("copy_visible", [](const PooledFrame& f, Mask out) { std::copy_n(f.frame->visible(), out.size(), out.data()); })
      .def("copy_projection", [](const PooledFrame& f, Array means2d, Array depths) {
        for (size_t i = 0; i < depths.size(); i++) {
          const bool seen = f.frame->visible()[i];
          means2d.data()[2 * i] = seen ? f.frame->splats()[i].mx : 0.0f;
          means2d.data()[2 * i + 1] = seen ? f.frame->splats()[i].my : 0.0f;
          depths.data()[i] = seen ? f.frame->depths()[i] : 0.0f;
        }
      });
  m.def("forward", &forward);
  m.def("backward", &backward);
  m.def("loss", &loss);
  m.def("adam_step", &adam_step);
  m.def("add_noise", &noise);
  m.def("release_memory", [] { pool().clear(); });
  m.def("simd_level", [] { return std::string(current()->name); }, "Instruction set in use");
  m.def(
      "simd_levels",
      [] {
        std::vector<std::string> names;
        for (const KernelTable* t : available_kernels()) names.emplace_back(t->name);
        return names;
      },
      "Instruction sets that this machine can run, fastest first");
  m.def("set_simd_level", [](const std::string& name) {
    for (const KernelTable* t : available_kernels())
      if (name == t->name) {
        current() = t;
        return;
      }
    throw std::invalid_argument("this machine cannot run SIMD level " + name);
  });
}
