#include "noise.h"

#include <cmath>

namespace splatflow {
namespace {

// SplitMix64 (Steele, Lea and Flood 2014): a good generator from a plain counter, so that order and threads don't matter.
uint64_t mixed(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

// Two independent standard normals (Box and Muller 1958).
void normals(uint64_t bits, float* out) {
  const float u = (float(bits >> 40) + 0.5f) * 0x1p-24f, angle = float(bits & 0xffffffu) * (0x1p-24f * 6.283185307179586f);
  const float radius = std::sqrt(-2.0f * std::log(u));
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

}  // namespace

void add_noise(float* means, const float* quats, const float* scales, const float* opacities, int64_t count, float rate, uint64_t seed,
               int threads) {
  constexpr float kLoose = -2.1972246f;  // logit of 0.1; above it the factor is below 1e-4
  const uint64_t stream = mixed(seed);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < count; i++) {
    if (!(opacities[i] < kLoose)) continue;
    const float opacity = 1.0f / (1.0f + std::exp(-opacities[i]));
    const float size = rate / (1.0f + std::exp(100.0f * (opacity - 0.005f)));
    float n[4];
    normals(mixed(stream ^ (2 * uint64_t(i))), n);
    normals(mixed(stream ^ (2 * uint64_t(i) + 1)), n + 2);
    float w = quats[4 * i], x = quats[4 * i + 1], y = quats[4 * i + 2], z = quats[4 * i + 3];
    const float inv = 1.0f / std::sqrt(std::fmax(w * w + x * x + y * y + z * z, 1e-30f));
    w *= inv, x *= inv, y *= inv, z *= inv;
    const float r[3][3] = {{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
                           {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
                           {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
    float along[3];
    for (int k = 0; k < 3; k++) along[k] = (r[0][k] * n[0] + r[1][k] * n[1] + r[2][k] * n[2]) * std::exp(2.0f * scales[3 * i + k]) * size;
    for (int k = 0; k < 3; k++) means[3 * i + k] += r[k][0] * along[0] + r[k][1] * along[1] + r[k][2] * along[2];
  }
}

}  // namespace splatflow
