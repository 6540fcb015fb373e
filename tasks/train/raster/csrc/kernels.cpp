// Compiled once per instruction set; SPLATFLOW_ISA names the namespace, SPLATFLOW_LANES the vector width.
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "types.h"

#define SF_JOIN_(a, b) a##b
#define SF_JOIN(a, b) SF_JOIN_(a, b)
#define SF_STRING_(a) #a
#define SF_STRING(a) SF_STRING_(a)

namespace splatflow {
namespace SPLATFLOW_ISA {
namespace {
#include "simd.h"
// the order matters: each uses the one before
#include "adam.inl"
#include "project.inl"
#include "spans.inl"
#include "ssim.inl"
#include "tiles.inl"
}  // namespace

static const KernelTable table = {
    SF_STRING(SPLATFLOW_ISA), W, project, tile_spans, project_backward, tile_forward, tile_backward, ssim_maps, ssim_grad, adam};
}  // namespace SPLATFLOW_ISA

const KernelTable* SF_JOIN(kernels_, SPLATFLOW_ISA)() { return &SPLATFLOW_ISA::table; }
}  // namespace splatflow
