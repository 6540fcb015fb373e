// The noise of MCMC densification on the CPU.
#pragma once
#include <cstdint>

namespace splatflow {

// Moves the mean of every Gaussian whose opacity is below 0.1 by covariance * normal * rate * sigmoid(-100 (opacity - 0.005)).
// `scales` are logarithms, `opacities` logits. Each Gaussian's normal depends on `seed` and its index alone.
void add_noise(float* means, const float* quats, const float* scales, const float* opacities, int64_t count, float rate, uint64_t seed,
               int threads);

}  // namespace splatflow
