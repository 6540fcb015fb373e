#include "binning.h"

#include <cstring>
#include <new>
#include <stdexcept>

namespace splatflow {
void Bins::build(const KernelTable& kernels, const Splat* splats, const float* depths, const uint8_t* visible, int64_t count,
                 const CameraView& cam, int threads) {
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

  first_span_.resize(seen + 1);
  uint32_t span_total = 0;
  for (size_t rank = 0; rank < seen; rank++) {
    if (rank + 8 < seen) __builtin_prefetch(&splats[order[rank + 8]].row0);
    const Splat& s = splats[order[rank]];
    first_span_[rank] = span_total;
    span_total += uint32_t(s.row1 / kTile - s.row0 / kTile + 1);
  }
  first_span_[seen] = span_total;
  spans_.resize(span_total);
  const size_t edges_per_chunk = size_t(cam.tiles_y) * (cam.tiles_x + 1);
  edges_.resize(edges_per_chunk * threads);
  std::memset(edges_.data(), 0, sizeof(int32_t) * edges_per_chunk * threads);
  const auto chunk_begin = [&](int chunk) { return int64_t(seen) * chunk / threads; };
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int chunk = 0; chunk < threads; chunk++)
    kernels.tile_spans(cam, splats, order.data(), chunk_begin(chunk), chunk_begin(chunk + 1), first_span_.data(), spans_.data(),
                       first_slot.data(), edges_.data() + edges_per_chunk * chunk);
  uint64_t total = 0;
  for (size_t rank = 0; rank < seen; rank++) {
    const uint32_t n = first_slot[rank];
    first_slot[rank] = uint32_t(total);
    total += n;
  }
  if (total > 0x7fffffffull) throw std::length_error("more than 2^31 Gaussian-tile pairs in one view");
  first_slot[seen] = pairs = uint32_t(total);
  tile_begin.resize(size_t(tiles) + 1);
  next_.resize(size_t(threads) * tiles);
  uint32_t at = 0;
  for (int ty = 0; ty < cam.tiles_y; ty++) {
    for (int tx = 0; tx < cam.tiles_x; tx++) {
      const int tile = ty * cam.tiles_x + tx;
      tile_begin[tile] = at;
      for (int chunk = 0; chunk < threads; chunk++) {
        int32_t* edge = edges_.data() + edges_per_chunk * chunk + size_t(ty) * (cam.tiles_x + 1) + tx;
        if (tx > 0) edge[0] += edge[-1];
        next_[size_t(chunk) * tiles + tile] = at;
        at += uint32_t(edge[0]);
      }
    }
  }
  tile_begin[tiles] = at;
  entries.resize(total);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int chunk = 0; chunk < threads; chunk++) {
    uint32_t* next = next_.data() + size_t(chunk) * tiles;
    for (int64_t rank = chunk_begin(chunk); rank < chunk_begin(chunk + 1); rank++) {
      if (rank + 8 < chunk_begin(chunk + 1)) __builtin_prefetch(&splats[order[rank + 8]].row0);
      uint32_t slot = first_slot[rank];
      const uint32_t gaussian = order[rank];
      uint32_t* row = next + size_t(splats[gaussian].row0 / kTile) * cam.tiles_x;
      for (uint32_t s = first_span_[rank]; s < first_span_[rank + 1]; s++, row += cam.tiles_x)
        for (int tx = spans_[s].x0; tx < spans_[s].x1; tx++) entries[row[tx]++] = {gaussian, slot++};
    }
  }
}

}  // namespace splatflow
