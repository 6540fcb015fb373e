// Which Gaussians touch which tile, front to back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#include "types.h"

namespace splatflow {

// Memory that keeps its size between frames: fresh pages would cost more than the work done in them. Not initialised.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete[](data_, std::align_val_t(64)); }
  T* resize(size_t count) {
    if (count > capacity_) {
      ::operator delete[](data_, std::align_val_t(64));
      data_ = nullptr;
      capacity_ = 0;
      const size_t wanted = count + count / 4;
      data_ = static_cast<T*>(::operator new[](wanted * sizeof(T), std::align_val_t(64)));
      capacity_ = wanted;
    }
    size_ = count;
    return data_;
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return capacity_ * sizeof(T); }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

struct Bins {
  Buffer<uint32_t> order;       // seen Gaussians, nearest first
  Buffer<uint32_t> first_slot;  // per rank in `order`, plus one at the end
  Buffer<uint32_t> tile_begin;  // per tile, plus one at the end
  Buffer<TileEntry> entries;    // per tile, nearest first
  uint32_t pairs = 0;

  // Sorts the seen Gaussians by depth once, then deals them out in that order: no sort over pairs is needed.
  void build(const KernelTable& kernels, const Splat* splats, const float* depths, const uint8_t* visible, int64_t count,
             const CameraView& camera, int threads);

 private:
  Buffer<uint64_t> keys_, keys_swap_;
  Buffer<uint32_t> first_span_;  // per rank, plus one at the end
  Buffer<TileSpan> spans_;       // per Gaussian and row of tiles
  Buffer<int32_t> edges_;        // (threads, tiles_y, tiles_x + 1)
  Buffer<uint32_t> next_;        // (threads, tiles): where the next entry of a tile goes
};

}  // namespace splatflow
