// The two tile loops: alpha compositing of one 8x8 tile front to back, and its vector-Jacobian product, also front to back:
// dL/dalpha_i = T_i (c_i . g) - rest_i / (1 - alpha_i), where rest_i is what lies behind i, known from the finished pixel minus
// what has been passed so far. So nothing but the final colour and transmittance is kept between the two.

struct TileGrid {
  vf px;                // x of the pixel centres of a vector
  vf py[kVecsPerTile];  // y of the pixel centres of each vector
  vi inside[kVecsPerTile];
};

SF_INLINE void tile_grid(int tile_x, int tile_y, int width, int height, TileGrid& grid) {
  vi col, row;
  for (int l = 0; l < W; l++) {
    col[l] = tile_x * kTile + l % kTile;
    row[l] = tile_y * kTile + l / kTile;
  }
  grid.px = __builtin_convertvector(col, vf) + 0.5f;
  for (int v = 0; v < kVecsPerTile; v++) {
    const vi r = row + v * kRowsPerVec;
    grid.py[v] = __builtin_convertvector(r, vf) + 0.5f;
    grid.inside[v] = (col < splat_i(width)) & (r < splat_i(height));
  }
}

static void tile_forward(const TileJob& job) {
  TileGrid grid;
  tile_grid(job.tile_x, job.tile_y, job.width, job.height, grid);
  vf red[kVecsPerTile], green[kVecsPerTile], blue[kVecsPerTile], trans[kVecsPerTile];
  vi live[kVecsPerTile];
  for (int v = 0; v < kVecsPerTile; v++) {
    red[v] = green[v] = blue[v] = splat(0.0f);
    trans[v] = splat(1.0f);
    live[v] = grid.inside[v];
  }
  const int top = job.tile_y * kTile;
  int e = job.begin;
  for (; e < job.end; e++) {
    if (e + 4 < job.end) __builtin_prefetch(&job.splats[job.entries[e + 4].gaussian]);
    const TileEntry entry = job.entries[e];
    const Splat& s = job.splats[entry.gaussian];
    const int first = (s.row0 > top ? s.row0 - top : 0) / kRowsPerVec;
    const int last = (s.row1 < top + kTile - 1 ? s.row1 - top : kTile - 1) / kRowsPerVec;
    const vf dx = s.mx - grid.px;
    const vf along = splat(s.l2op) + s.qa * dx * dx, cross = s.qb * dx;
    unsigned hit = 0;
    bool closed = false;
    for (int v = first; v <= last; v++) {
      const vf dy = s.my - grid.py[v];
      const vf exponent = along + dy * (cross + s.qc * dy);
      vi on = (exponent >= -kLog2Of255) & live[v];
      if (!any(on)) continue;
      const vf alpha = vmin(exp2_fast(exponent), splat(kAlphaMax));
      const vf after = trans[v] * (1.0f - alpha);
      const vi full = on & (after <= kTransmittanceMin);
      on &= ~full;
      const vf weight = masked(on, alpha * trans[v]);
      trans[v] = select(on, after, trans[v]);
      red[v] += weight * s.rgb[0];
      green[v] += weight * s.rgb[1];
      blue[v] += weight * s.rgb[2];
      hit |= 1u << v;
      if (any(full)) {
        live[v] &= ~full;
        closed = true;
      }
    }
    job.hit[entry.slot] = uint8_t(hit);
    if (closed) {
      vi some = live[0];
      for (int v = 1; v < kVecsPerTile; v++) some |= live[v];
      if (!any(some)) {
        e++;
        break;
      }
    }
  }
  *job.processed = e - job.begin;
  for (; e < job.end; e++) job.hit[job.entries[e].slot] = 0;
  for (int v = 0; v < kVecsPerTile; v++) {
    store(job.state + 0 * kTilePixels + v * W, red[v]);
    store(job.state + 1 * kTilePixels + v * W, green[v]);
    store(job.state + 2 * kTilePixels + v * W, blue[v]);
    store(job.state + 3 * kTilePixels + v * W, trans[v]);
  }
  const int rows = job.height - top < kTile ? job.height - top : kTile;
  const int left = job.tile_x * kTile, cols = job.width - left < kTile ? job.width - left : kTile;
  for (int r = 0; r < rows; r++) {
    float* out = job.image + (int64_t(top + r) * job.width + left) * 3;
    float* alpha = job.alpha + int64_t(top + r) * job.width + left;
    for (int c = 0; c < cols; c++) {
      const float* p = job.state + r * kTile + c;
      const float t = p[3 * kTilePixels];
      out[3 * c] = p[0] + t * job.background[0];
      out[3 * c + 1] = p[kTilePixels] + t * job.background[1];
      out[3 * c + 2] = p[2 * kTilePixels] + t * job.background[2];
      alpha[c] = 1.0f - t;
    }
  }
}

static void tile_backward(const TileGradJob& job) {
  TileGrid grid;
  tile_grid(job.tile_x, job.tile_y, job.width, job.height, grid);
  alignas(64) float planar[4][kTilePixels];  // gradient of red, green, blue, alpha
  __builtin_memset(planar, 0, sizeof planar);
  const int top = job.tile_y * kTile, left = job.tile_x * kTile;
  const int rows = job.height - top < kTile ? job.height - top : kTile;
  const int cols = job.width - left < kTile ? job.width - left : kTile;
  for (int r = 0; r < rows; r++) {
    const float* g = job.v_image + (int64_t(top + r) * job.width + left) * 3;
    const float* ga = job.v_alpha ? job.v_alpha + int64_t(top + r) * job.width + left : nullptr;
    for (int c = 0; c < cols; c++) {
      for (int k = 0; k < 3; k++) planar[k][r * kTile + c] = g[3 * c + k];
      if (ga) planar[3][r * kTile + c] = ga[c];
    }
  }
  vf g_red[kVecsPerTile], g_green[kVecsPerTile], g_blue[kVecsPerTile], rest[kVecsPerTile];
  vf trans[kVecsPerTile];  // zero once a pixel is finished, or outside the image: then nothing passes the test on `after` any more
  for (int v = 0; v < kVecsPerTile; v++) {
    g_red[v] = load(planar[0] + v * W);
    g_green[v] = load(planar[1] + v * W);
    g_blue[v] = load(planar[2] + v * W);
    trans[v] = masked(grid.inside[v], splat(1.0f));
    const vf t = load(job.state + 3 * kTilePixels + v * W);
    rest[v] = load(job.state + v * W) * g_red[v] + load(job.state + kTilePixels + v * W) * g_green[v] +
              load(job.state + 2 * kTilePixels + v * W) * g_blue[v] +
              t * (job.background[0] * g_red[v] + job.background[1] * g_green[v] + job.background[2] * g_blue[v] - load(planar[3] + v * W));
  }
  const int stop = job.begin + job.processed;
  for (int e = job.begin; e < stop; e++) {
    if (e + 4 < stop) __builtin_prefetch(&job.splats[job.entries[e + 4].gaussian]);
    const TileEntry entry = job.entries[e];
    unsigned hit = job.hit[entry.slot];
    if (!hit) continue;
    const Splat& s = job.splats[entry.gaussian];
    const vf dx = s.mx - grid.px;
    const vf along = splat(s.l2op) + s.qa * dx * dx, cross = s.qb * dx;
    // dx is the same in every row, so its powers are multiplied in once at the end
    vf sum = splat(0.0f), sum_y = sum, sum_yy = sum, sum_red = sum, sum_green = sum, sum_blue = sum;
    do {
      const int v = __builtin_ctz(hit);
      hit &= hit - 1;
      const vf dy = s.my - grid.py[v];
      const vf exponent = along + dy * (cross + s.qc * dy);
      const vi reached = exponent >= -kLog2Of255;
      const vf raw = exp2_fast(exponent);
      const vf alpha = vmin(raw, splat(kAlphaMax));
      const vf before = trans[v];
      const vf keep = 1.0f - alpha;
      const vf after = before * keep;
      const vi open = after > kTransmittanceMin;
      const vi on = reached & open;
      trans[v] = select(reached, masked(open, after), before);
      const vf weight = masked(on, alpha * before);
      const vf cg = s.rgb[0] * g_red[v] + s.rgb[1] * g_green[v] + s.rgb[2] * g_blue[v];
      const vf behind = rest[v] - weight * cg;
      rest[v] = behind;
      sum_red += weight * g_red[v];
      sum_green += weight * g_green[v];
      sum_blue += weight * g_blue[v];
      const vf v_alpha = before * cg - behind / keep;
      const vf g = masked(on & (raw <= kAlphaMax), alpha * v_alpha);
      const vf gy = g * dy;
      sum += g;
      sum_y += gy;
      sum_yy += gy * dy;
    } while (hit);
    const vf sum_x = dx * sum;
    const vf sums[9] = {sum, sum_x, sum_y, dx * sum_x, dx * sum_y, sum_yy, sum_red, sum_green, sum_blue};
    horizontal_sums(sums, job.pair_grads + int64_t(entry.slot) * kPairGrad);
  }
}
