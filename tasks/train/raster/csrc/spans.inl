// Exact intersection of an ellipse with rows of tiles (as in Speedy-Splat, Hanson et al. 2025, here down to pixel centres).

SF_INLINE float clamp(float x, float lo, float hi) { return x < lo ? lo : (x > hi ? hi : x); }

SF_INLINE float half_width(const Splat& s, float y) {
  const float squared = (s.reach - y * y * s.inv_cov_d) * s.width_scale;
  return squared > 0 ? __builtin_sqrtf(squared) : 0.0f;
}

static void tile_spans(const CameraView& cam, const Splat* splats, const uint32_t* order, int64_t begin, int64_t end,
                       const uint32_t* first_span, TileSpan* spans, uint32_t* tile_counts, int32_t* edges) {
  const float last_column = float(cam.width - 1);
  for (int64_t rank = begin; rank < end; rank++) {
    if (rank + 8 < end) __builtin_prefetch(&splats[order[rank + 8]]);
    const Splat& s = splats[order[rank]];
    TileSpan* out = spans + first_span[rank];
    uint32_t count = 0;
    for (int ty = s.row0 / kTile; ty <= s.row1 / kTile; ty++) {
      const int top = ty * kTile, bottom = top + kTile - 1;
      const float lo = float(top > s.row0 ? top : s.row0) + 0.5f - s.my, hi = float(bottom < s.row1 ? bottom : s.row1) + 0.5f - s.my;
      const float y_right = clamp(s.y_at_xmax, lo, hi), y_left = clamp(-s.y_at_xmax, lo, hi);
      // a thousandth of a pixel more than needed, so that rounding never loses a pixel
      const float right = s.mx + s.slope * y_right + half_width(s, y_right) - 0.499f;
      const float left = s.mx + s.slope * y_left - half_width(s, y_left) - 0.501f;
      TileSpan span = {0, 0};
      if (right >= 0 && left <= last_column) {
        const int below = left > 0 ? int(left) : 0;
        const int c0 = left > float(below) ? below + 1 : below;  // ceiling
        const int c1 = right < last_column ? int(right) : cam.width - 1;
        if (c0 <= c1) {
          span.x0 = uint16_t(c0 / kTile);
          span.x1 = uint16_t(c1 / kTile + 1);
          edges[ty * (cam.tiles_x + 1) + span.x0]++;
          edges[ty * (cam.tiles_x + 1) + span.x1]--;
          count += uint32_t(span.x1 - span.x0);
        }
      }
      *out++ = span;
    }
    tile_counts[rank] = count;
  }
}
