// Structural similarity (Wang et al. 2004; 11x11 Gaussian window, sigma 1.5, zero padding) and its gradient, one channel at a
// time, separable, a row at a time so that the working set stays in the first-level cache.

constexpr int kHalf = 5;
constexpr float kWindow[2 * kHalf + 1] = {1.0283800e-03f, 7.5987581e-03f, 3.6000773e-02f, 1.0936070e-01f, 2.1300554e-01f, 2.6601171e-01f,
                                          2.1300554e-01f, 1.0936070e-01f, 3.6000773e-02f, 7.5987581e-03f, 1.0283800e-03f};
constexpr float kSsimC1 = 0.01f * 0.01f, kSsimC2 = 0.03f * 0.03f;

// `x`, `y` and the maps have rows of `stride` floats, a multiple of the vector width, zero beyond `width`.
// `scratch` holds 5 rows of stride + 32 floats.
static double ssim_maps(const float* x, const float* y, int width, int stride, int height, int begin, int end, float* d_mu, float* d_xx,
                        float* d_xy, float* scratch) {
  const int line = stride + 32;
  float* rows[5];
  for (int k = 0; k < 5; k++) {
    rows[k] = scratch + k * line;
    __builtin_memset(rows[k], 0, sizeof(float) * line);
  }
  double total = 0;
  for (int r = begin; r < end; r++) {
    const int lo = r - kHalf < 0 ? 0 : r - kHalf, hi = r + kHalf > height - 1 ? height - 1 : r + kHalf;
    for (int c = 0; c < stride; c += W) {
      vf mx = splat(0.0f), my = mx, xx = mx, yy = mx, xy = mx;
      for (int j = lo; j <= hi; j++) {
        const float w = kWindow[j - r + kHalf];
        const vf a = load(x + int64_t(j) * stride + c), b = load(y + int64_t(j) * stride + c);
        const vf wa = w * a, wb = w * b;
        mx += wa;
        my += wb;
        xx += wa * a;
        yy += wb * b;
        xy += wa * b;
      }
      store(rows[0] + 16 + c, mx);
      store(rows[1] + 16 + c, my);
      store(rows[2] + 16 + c, xx);
      store(rows[3] + 16 + c, yy);
      store(rows[4] + 16 + c, xy);
    }
    vf row_total = splat(0.0f);
    for (int c = 0; c < stride; c += W) {
      vf mx = splat(0.0f), my = mx, xx = mx, yy = mx, xy = mx;
      for (int j = 0; j <= 2 * kHalf; j++) {
        const float w = kWindow[j];
        const int at = 16 + c + j - kHalf;
        mx += w * load(rows[0] + at);
        my += w * load(rows[1] + at);
        xx += w * load(rows[2] + at);
        yy += w * load(rows[3] + at);
        xy += w * load(rows[4] + at);
      }
      const vf mxx = mx * mx, myy = my * my, mxy = mx * my;
      const vf a1 = 2.0f * mxy + kSsimC1, a2 = 2.0f * (xy - mxy) + kSsimC2;
      const vf b1 = mxx + myy + kSsimC1, b2 = (xx - mxx) + (yy - myy) + kSsimC2;
      const vf inv = 1.0f / (b1 * b2);
      const vf value = a1 * a2 * inv;
      // derivatives with respect to the window means of x, x^2 and x y
      const vf by_xy = 2.0f * a1 * inv, by_xx = -value / b2;
      const vf by_mx = 2.0f * my * (a2 - a1) * inv - 2.0f * mx * value * (1.0f / b1 - 1.0f / b2);
      vi col;
      for (int l = 0; l < W; l++) col[l] = c + l;
      const vi in = col < splat_i(width);
      row_total += masked(in, value);
      store(d_mu + int64_t(r) * stride + c, masked(in, by_mx));
      store(d_xx + int64_t(r) * stride + c, masked(in, by_xx));
      store(d_xy + int64_t(r) * stride + c, masked(in, by_xy));
    }
    float sum = 0;
    for (int l = 0; l < W; l++) sum += row_total[l];
    total += sum;
  }
  return total;
}

// grad = l1_weight * sign(x - y) + ssim_weight * dSSIM/dx for rows [begin, end).
static void ssim_grad(const float* x, const float* y, int stride, int height, int begin, int end, const float* d_mu, const float* d_xx,
                      const float* d_xy, float l1_weight, float ssim_weight, float* grad, float* scratch, double* l1_sum) {
  const int line = stride + 32;
  float* rows[3];
  for (int k = 0; k < 3; k++) {
    rows[k] = scratch + k * line;
    __builtin_memset(rows[k], 0, sizeof(float) * line);
  }
  double total = 0;
  for (int r = begin; r < end; r++) {
    const int lo = r - kHalf < 0 ? 0 : r - kHalf, hi = r + kHalf > height - 1 ? height - 1 : r + kHalf;
    if (ssim_weight != 0) {
      for (int c = 0; c < stride; c += W) {
        vf a = splat(0.0f), b = a, d = a;
        for (int j = lo; j <= hi; j++) {
          const float w = kWindow[j - r + kHalf];
          const int64_t at = int64_t(j) * stride + c;
          a += w * load(d_mu + at);
          b += w * load(d_xx + at);
          d += w * load(d_xy + at);
        }
        store(rows[0] + 16 + c, a);
        store(rows[1] + 16 + c, b);
        store(rows[2] + 16 + c, d);
      }
    }
    vf row_total = splat(0.0f);
    for (int c = 0; c < stride; c += W) {
      vf a = splat(0.0f), b = a, d = a;
      if (ssim_weight != 0) {
        for (int j = 0; j <= 2 * kHalf; j++) {
          const float w = kWindow[j];
          const int at = 16 + c + j - kHalf;
          a += w * load(rows[0] + at);
          b += w * load(rows[1] + at);
          d += w * load(rows[2] + at);
        }
      }
      const int64_t at = int64_t(r) * stride + c;
      const vf xv = load(x + at), yv = load(y + at), diff = xv - yv;
      const vf positive = masked(diff > 0.0f, splat(l1_weight)), negative = masked(diff < 0.0f, splat(l1_weight));
      row_total += vmax(diff, -diff);
      store(grad + at, positive - negative + ssim_weight * (a + 2.0f * xv * b + yv * d));
    }
    float sum = 0;
    for (int l = 0; l < W; l++) sum += row_total[l];
    total += sum;
  }
  *l1_sum = total;
}
