#include "binning.h"

#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>

namespace splatflow {
namespace {

// Calls visit(tile_y, first tile_x, last tile_x) for every row of tiles in which the ellipse reaches a pixel centre.
template <class Visit>
inline void for_tile_rows(const Splat& s, const CameraView& cam, Visit visit) {
  const int ty0 = s.row0 / kTile, ty1 = s.row1 / kTile;
  for (int ty = ty0; ty <= ty1; ty++) {
    const int top = ty * kTile, bottom = top + kTile - 1;
    const float lo = float(top > s.row0 ? top : s.row0) + 0.5f - s.my, hi = float(bottom < s.row1 ? bottom : s.row1) + 0.5f - s.my;
    const float y_right = std::fmin(std::fmax(s.y_at_xmax, lo), hi), y_left = std::fmin(std::fmax(-s.y_at_xmax, lo), hi);
    const float half_right = std::sqrt(std::fmax(0.0f, (s.reach - y_right * y_right / s.cov_d) * s.width_scale));
    const float half_left = std::sqrt(std::fmax(0.0f, (s.reach - y_left * y_left / s.cov_d) * s.width_scale));
    // a thousandth of a pixel more than needed, so that rounding never loses a pixel
    const float right = s.mx + s.slope * y_right + half_right - 0.499f, left = s.mx + s.slope * y_left - half_left - 0.501f;
    if (right < 0 || left > float(cam.width - 1)) continue;
    const int c0 = left <= 0 ? 0 : int(std::ceil(left));
    const int c1 = right >= float(cam.width - 1) ? cam.width - 1 : int(right);
    if (c0 > c1) continue;
    visit(ty, c0 / kTile, c1 / kTile);
  }
}

}  // namespace

void Bins::build(const Splat* splats, const float* depths, const uint8_t* visible, int64_t count, const CameraView& cam, int threads) {
  const int tiles = cam.tiles_x * cam.tiles_y;
  keys_.resize(size_t(count));
  keys_swap_.resize(size_t(count));
  size_t seen = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!visible[i]) continue;
    uint32_t depth_bits;  // depths are positive, so their bits sort as they do
    std::memcpy(&depth_bits, &depths[i], 4);
    keys_[seen++] = uint64_t(depth_bits) << 32 | uint32_t(i);
  }
  uint64_t *from = keys_.data(), *to = keys_swap_.data();
  constexpr int kBits = 11, kBuckets = 1 << kBits;
  for (int shift = 32; shift < 64; shift += kBits) {
    uint32_t counts[kBuckets] = {};
    for (size_t i = 0; i < seen; i++) counts[from[i] >> shift & (kBuckets - 1)]++;
    uint32_t at = 0;
    for (uint32_t& c : counts) {
      const uint32_t n = c;
      c = at;
      at += n;
    }
    for (size_t i = 0; i < seen; i++) to[counts[from[i] >> shift & (kBuckets - 1)]++] = from[i];
    std::swap(from, to);
  }
  order.resize(seen);
  first_slot.resize(seen + 1);
  for (size_t i = 0; i < seen; i++) order[i] = uint32_t(from[i]);

  chunk_counts_.resize(size_t(threads) * tiles);
  std::memset(chunk_counts_.data(), 0, sizeof(uint32_t) * size_t(threads) * tiles);
  const auto chunk_begin = [&](int chunk) { return size_t(seen) * chunk / threads; };
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int chunk = 0; chunk < threads; chunk++) {
    uint32_t* counts = chunk_counts_.data() + size_t(chunk) * tiles;
    for (size_t rank = chunk_begin(chunk); rank < chunk_begin(chunk + 1); rank++) {
      uint32_t n = 0;
      for_tile_rows(splats[order[rank]], cam, [&](int ty, int tx0, int tx1) {
        for (int tx = tx0; tx <= tx1; tx++) counts[ty * cam.tiles_x + tx]++;
        n += uint32_t(tx1 - tx0 + 1);
      });
      first_slot[rank] = n;
    }
  }
  uint64_t total = 0;
  for (size_t rank = 0; rank < seen; rank++) {
    const uint32_t n = first_slot[rank];
    first_slot[rank] = uint32_t(total);
    total += n;
  }
  if (total > 0x7fffffffull) throw std::length_error("more than 2^31 Gaussian-tile pairs in one view");
  first_slot[seen] = pairs = uint32_t(total);
  tile_begin.resize(size_t(tiles) + 1);
  uint32_t at = 0;
  for (int tile = 0; tile < tiles; tile++) {
    tile_begin[tile] = at;
    for (int chunk = 0; chunk < threads; chunk++) {
      uint32_t& c = chunk_counts_[size_t(chunk) * tiles + tile];
      const uint32_t n = c;
      c = at;
      at += n;
    }
  }
  tile_begin[tiles] = at;
  entries.resize(total);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int chunk = 0; chunk < threads; chunk++) {
    uint32_t* next = chunk_counts_.data() + size_t(chunk) * tiles;
    for (size_t rank = chunk_begin(chunk); rank < chunk_begin(chunk + 1); rank++) {
      uint32_t slot = first_slot[rank];
      const uint32_t gaussian = order[rank];
      for_tile_rows(splats[gaussian], cam, [&](int ty, int tx0, int tx1) {
        for (int tx = tx0; tx <= tx1; tx++) entries[next[ty * cam.tiles_x + tx]++] = {gaussian, slot++};
      });
    }
  }
}

}  // namespace splatflow
