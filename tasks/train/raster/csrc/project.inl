// Projection of 3D Gaussians to image ellipses (EWA splatting, Zwicker et al. 2001; the conventions of gsplat 1.5), spherical
// harmonics to degree 3 (Kerbl et al. 2023), and the vector-Jacobian products of both. W Gaussians at a time, one per lane.

struct Lanes {
  int64_t id[W];  // Gaussian in each lane; lanes past the end repeat the last one
  int valid;
};

SF_INLINE vf gather(const float* base, const Lanes& lanes, int stride, int offset) {
  alignas(64) float r[W];
  for (int l = 0; l < W; l++) r[l] = base[lanes.id[l] * stride + offset];
  return load(r);
}

typedef float Four __attribute__((vector_size(16)));
static_assert(kPairGrad == 12, "pair gradients are summed as three vectors of four");

struct Projection {
  vf p[3];            // mean in the camera frame
  vf inv_z, ax, ay;   // 1/z and the clamped x/z, y/z of the Jacobian
  vi in_x, in_y;      // whether they were left unclamped
  vf rot[3][3];       // rotation of the Gaussian
  vf q[4], inv_norm;  // unit quaternion wxyz
  vf scale[3];
  vf m[3][3];                   // cam_from_world rotation * rot * diag(scale)
  vf a0[3], a1[3];              // rows of J * m
  vf cov_a, cov_b, cov_d, det;  // dilated image covariance
  vf cross[3];                  // a0 x a1, whose squared length is the determinant before dilation
  vf comp;                      // antialiasing factor on the opacity (1 in classic mode)
  vf conic_a, conic_b, conic_c;
  vf u, v;
  vf opacity;  // after antialiasing
};

SF_INLINE void cross_product(const vf a[3], const vf b[3], vf out[3]) {
  for (int k = 0; k < 3; k++) out[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

SF_INLINE void project_lanes(const Scene& s, const CameraView& cam, const Lanes& lanes, Projection& o) {
  vf mean[3];
  for (int k = 0; k < 3; k++) mean[k] = gather(s.means, lanes, 3, k);
  for (int r = 0; r < 3; r++) o.p[r] = cam.R[3 * r] * mean[0] + cam.R[3 * r + 1] * mean[1] + cam.R[3 * r + 2] * mean[2] + cam.t[r];
  o.inv_z = 1.0f / o.p[2];
  const vf rx = o.p[0] * o.inv_z, ry = o.p[1] * o.inv_z;
  o.in_x = (rx >= -cam.lim_x_neg) & (rx <= cam.lim_x_pos);
  o.in_y = (ry >= -cam.lim_y_neg) & (ry <= cam.lim_y_pos);
  o.ax = vmax(vmin(rx, splat(cam.lim_x_pos)), splat(-cam.lim_x_neg));
  o.ay = vmax(vmin(ry, splat(cam.lim_y_pos)), splat(-cam.lim_y_neg));
  for (int k = 0; k < 4; k++) o.q[k] = gather(s.quats, lanes, 4, k);
  o.inv_norm = 1.0f / vsqrt(vmax(o.q[0] * o.q[0] + o.q[1] * o.q[1] + o.q[2] * o.q[2] + o.q[3] * o.q[3], splat(1e-30f)));
  for (int k = 0; k < 4; k++) o.q[k] *= o.inv_norm;
  const vf w = o.q[0], x = o.q[1], y = o.q[2], z = o.q[3];
  o.rot[0][0] = 1.0f - 2.0f * (y * y + z * z);
  o.rot[0][1] = 2.0f * (x * y - w * z);
  o.rot[0][2] = 2.0f * (x * z + w * y);
  o.rot[1][0] = 2.0f * (x * y + w * z);
  o.rot[1][1] = 1.0f - 2.0f * (x * x + z * z);
  o.rot[1][2] = 2.0f * (y * z - w * x);
  o.rot[2][0] = 2.0f * (x * z - w * y);
  o.rot[2][1] = 2.0f * (y * z + w * x);
  o.rot[2][2] = 1.0f - 2.0f * (x * x + y * y);
  for (int k = 0; k < 3; k++) o.scale[k] = gather(s.scales, lanes, 3, k);
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      o.m[r][c] = (cam.R[3 * r] * o.rot[0][c] + cam.R[3 * r + 1] * o.rot[1][c] + cam.R[3 * r + 2] * o.rot[2][c]) * o.scale[c];
  const vf jx = cam.fx * o.inv_z, jy = cam.fy * o.inv_z;
  for (int c = 0; c < 3; c++) {
    o.a0[c] = jx * (o.m[0][c] - o.ax * o.m[2][c]);
    o.a1[c] = jy * (o.m[1][c] - o.ay * o.m[2][c]);
  }
  const vf raw_a = o.a0[0] * o.a0[0] + o.a0[1] * o.a0[1] + o.a0[2] * o.a0[2];
  const vf raw_d = o.a1[0] * o.a1[0] + o.a1[1] * o.a1[1] + o.a1[2] * o.a1[2];
  o.cov_b = o.a0[0] * o.a1[0] + o.a0[1] * o.a1[1] + o.a0[2] * o.a1[2];
  o.cov_a = raw_a + cam.eps2d;
  o.cov_d = raw_d + cam.eps2d;
  // det = det_raw + eps (raw_a + raw_d) + eps^2 with det_raw = |a0 x a1|^2: no cancellation for needle-like Gaussians
  cross_product(o.a0, o.a1, o.cross);
  const vf det_raw = o.cross[0] * o.cross[0] + o.cross[1] * o.cross[1] + o.cross[2] * o.cross[2];
  o.det = det_raw + cam.eps2d * (raw_a + raw_d + cam.eps2d);
  const vf inv_det = 1.0f / vmax(o.det, splat(1e-30f));
  o.conic_a = o.cov_d * inv_det;
  o.conic_b = -o.cov_b * inv_det;
  o.conic_c = o.cov_a * inv_det;
  o.comp = cam.antialiased ? vsqrt(det_raw * inv_det) : splat(1.0f);
  o.u = cam.fx * rx + cam.cx;
  o.v = cam.fy * ry + cam.cy;
  o.opacity = gather(s.opacities, lanes, 1, 0) * o.comp;
}

SF_INLINE void view_direction(const Scene& s, const CameraView& cam, const Lanes& lanes, vf dir[3], vf& inv_length) {
  for (int k = 0; k < 3; k++) dir[k] = gather(s.means, lanes, 3, k) - cam.eye[k];
  inv_length = 1.0f / vsqrt(vmax(dir[0] * dir[0] + dir[1] * dir[1] + dir[2] * dir[2], splat(1e-30f)));
  for (int k = 0; k < 3; k++) dir[k] *= inv_length;
}

constexpr float kC0 = 0.28209479177387814f, kC1 = 0.4886025119029199f;
constexpr float kC2[5] = {1.0925484305920792f, -1.0925484305920792f, 0.31539156525252005f, -1.0925484305920792f, 0.5462742152960396f};
constexpr float kC3[7] = {-0.5900435899266435f, 2.890611442640554f, -0.4570457994644658f, 0.3731763325901154f,
                          -0.4570457994644658f, 1.445305721320277f, -0.5900435899266435f};

SF_INLINE void sh_basis(int degree, const vf d[3], vf* b) {
  const vf x = d[0], y = d[1], z = d[2];
  b[0] = splat(kC0);
  if (degree < 1) return;
  b[1] = -kC1 * y;
  b[2] = kC1 * z;
  b[3] = -kC1 * x;
  if (degree < 2) return;
  const vf xx = x * x, yy = y * y, zz = z * z;
  b[4] = kC2[0] * x * y;
  b[5] = kC2[1] * y * z;
  b[6] = kC2[2] * (2.0f * zz - xx - yy);
  b[7] = kC2[3] * x * z;
  b[8] = kC2[4] * (xx - yy);
  if (degree < 3) return;
  b[9] = kC3[0] * y * (3.0f * xx - yy);
  b[10] = kC3[1] * x * y * z;
  b[11] = kC3[2] * y * (4.0f * zz - xx - yy);
  b[12] = kC3[3] * z * (2.0f * zz - 3.0f * xx - 3.0f * yy);
  b[13] = kC3[4] * x * (4.0f * zz - xx - yy);
  b[14] = kC3[5] * z * (xx - yy);
  b[15] = kC3[6] * x * (xx - 3.0f * yy);
}

// Gradient of sum_k g[k] * basis_k(d) with respect to d.
SF_INLINE void sh_basis_vjp(int degree, const vf d[3], const vf* g, vf out[3]) {
  const vf x = d[0], y = d[1], z = d[2];
  out[0] = out[1] = out[2] = splat(0.0f);
  if (degree < 1) return;
  out[0] -= kC1 * g[3];
  out[1] -= kC1 * g[1];
  out[2] += kC1 * g[2];
  if (degree < 2) return;
  out[0] += kC2[0] * y * g[4] - 2.0f * kC2[2] * x * g[6] + kC2[3] * z * g[7] + 2.0f * kC2[4] * x * g[8];
  out[1] += kC2[0] * x * g[4] + kC2[1] * z * g[5] - 2.0f * kC2[2] * y * g[6] - 2.0f * kC2[4] * y * g[8];
  out[2] += kC2[1] * y * g[5] + 4.0f * kC2[2] * z * g[6] + kC2[3] * x * g[7];
  if (degree < 3) return;
  const vf xx = x * x, yy = y * y, zz = z * z;
  out[0] += kC3[0] * 6.0f * x * y * g[9] + kC3[1] * y * z * g[10] - kC3[2] * 2.0f * x * y * g[11] - kC3[3] * 6.0f * x * z * g[12] +
            kC3[4] * (4.0f * zz - 3.0f * xx - yy) * g[13] + kC3[5] * 2.0f * x * z * g[14] + kC3[6] * 3.0f * (xx - yy) * g[15];
  out[1] += kC3[0] * 3.0f * (xx - yy) * g[9] + kC3[1] * x * z * g[10] + kC3[2] * (4.0f * zz - xx - 3.0f * yy) * g[11] -
            kC3[3] * 6.0f * y * z * g[12] - kC3[4] * 2.0f * x * y * g[13] - kC3[5] * 2.0f * y * z * g[14] - kC3[6] * 6.0f * x * y * g[15];
  out[2] += kC3[1] * x * y * g[10] + kC3[2] * 8.0f * y * z * g[11] + kC3[3] * 3.0f * (2.0f * zz - xx - yy) * g[12] +
            kC3[4] * 8.0f * x * z * g[13] + kC3[5] * (xx - yy) * g[14];
}

// Colour of each lane before clamping at zero.
SF_INLINE void lane_colors(const Scene& s, const CameraView& cam, const Lanes& lanes, vf rgb[3]) {
  if (s.degree < 0) {
    for (int c = 0; c < 3; c++) rgb[c] = gather(s.colors, lanes, 3, c);
    return;
  }
  vf dir[3], inv_length;
  view_direction(s, cam, lanes, dir, inv_length);
  vf basis[16];
  sh_basis(s.degree, dir, basis);
  const int used = (s.degree + 1) * (s.degree + 1);
  alignas(64) float sums[3][W];
  for (int l = 0; l < lanes.valid; l++) {
    const float* sh = s.colors + lanes.id[l] * s.coeffs * 3;
    float r = 0.5f, g = 0.5f, b = 0.5f;
    for (int k = 0; k < used; k++) {
      const float y = basis[k][l];
      r += y * sh[3 * k];
      g += y * sh[3 * k + 1];
      b += y * sh[3 * k + 2];
    }
    sums[0][l] = r;
    sums[1][l] = g;
    sums[2][l] = b;
  }
  for (int l = lanes.valid; l < W; l++) sums[0][l] = sums[1][l] = sums[2][l] = 0;
  for (int c = 0; c < 3; c++) rgb[c] = load(sums[c]);
}

static void project(const Scene& s, const CameraView& cam, int64_t begin, int64_t end, Splat* splats, float* depths, uint8_t* visible) {
  for (int64_t block = begin; block < end; block += W) {
    Lanes lanes;
    lanes.valid = int(end - block < W ? end - block : W);
    for (int l = 0; l < W; l++) lanes.id[l] = block + (l < lanes.valid ? l : lanes.valid - 1);
    Projection o;
    project_lanes(s, cam, lanes, o);
    const vf l2op = log2_accurate(vmax(o.opacity, splat(1e-30f)));
    const vf reach = (l2op + kLog2Of255) * 1.3862943611198906f;  // 2 ln 2
    const vf safe = vmax(reach, splat(0.0f));
    const vf ex = vsqrt(safe * o.cov_a), ey = vsqrt(safe * o.cov_d);
    const vi seen = (o.p[2] > cam.near_plane) & (o.p[2] < cam.far_plane) & (reach > 0.0f) & (o.det > 0.0f) & (o.u + ex > 0.0f) &
                    (o.u - ex < float(cam.width)) & (o.v + ey > 0.0f) & (o.v - ey < float(cam.height));
    if (!any(seen)) {
      for (int l = 0; l < lanes.valid; l++) visible[block + l] = 0;
      continue;
    }
    vf rgb[3];
    lane_colors(s, cam, lanes, rgb);
    const vf qa = -0.72134752044448170f * o.conic_a, qb = -1.4426950408889634f * o.conic_b, qc = -0.72134752044448170f * o.conic_c;
    const vf inv_cov_d = 1.0f / o.cov_d;
    const vf slope = o.cov_b * inv_cov_d, width_scale = o.det * inv_cov_d, y_at_xmax = o.cov_b * vsqrt(safe / o.cov_a);
    for (int l = 0; l < lanes.valid; l++) {
      const int64_t i = block + l;
      visible[i] = 0;
      if (!seen[l]) continue;
      const float lo = o.v[l] - ey[l] - 0.501f, hi = o.v[l] + ey[l] - 0.499f;
      const int row0 = lo <= 0 ? 0 : int(__builtin_ceilf(lo));
      const int row1 = hi >= float(cam.height - 1) ? cam.height - 1 : int(__builtin_floorf(hi));
      if (hi < 0 || lo > float(cam.height - 1) || row0 > row1) continue;
      visible[i] = 1;
      depths[i] = o.p[2][l];
      Splat& out = splats[i];
      out.mx = o.u[l];
      out.my = o.v[l];
      out.qa = qa[l];
      out.qb = qb[l];
      out.qc = qc[l];
      out.l2op = l2op[l];
      for (int c = 0; c < 3; c++) out.rgb[c] = s.degree < 0 ? rgb[c][l] : (rgb[c][l] > 0 ? rgb[c][l] : 0.0f);
      out.row0 = row0;
      out.row1 = row1;
      out.slope = slope[l];
      out.reach = reach[l];
      out.inv_cov_d = inv_cov_d[l];
      out.width_scale = width_scale[l];
      out.y_at_xmax = y_at_xmax[l];
    }
  }
}

static void project_backward(const Scene& s, const CameraView& cam, const uint32_t* order, int64_t begin, int64_t end, const Splat* splats,
                             const uint32_t* first_slot, const uint8_t* hit, const float* pair_grads, const SceneGrads& grads) {
  for (int64_t block = begin; block < end; block += W) {
    // front to back is no order in memory: what the next block needs is asked for while this one computes
    for (int64_t rank = block + W; rank < block + 2 * W && rank < end; rank++) {
      const int64_t id = order[rank];
      __builtin_prefetch(&splats[id]);
      __builtin_prefetch(s.means + id * 3);
      __builtin_prefetch(s.scales + id * 3);
      __builtin_prefetch(s.quats + id * 4);
      for (int k = 0; k < s.coeffs * 3; k += 16) {
        __builtin_prefetch(s.colors + id * s.coeffs * 3 + k);
        __builtin_prefetch(grads.colors + id * s.coeffs * 3 + k, 1);
      }
    }
    Lanes lanes;
    lanes.valid = int(end - block < W ? end - block : W);
    alignas(64) float sums[kPairGrad][W];
    bool touched = false;
    for (int l = 0; l < W; l++) {
      const int64_t rank = block + (l < lanes.valid ? l : lanes.valid - 1);
      lanes.id[l] = order[rank];
      Four total[3] = {};
      if (l < lanes.valid) {
        for (uint32_t slot = first_slot[rank]; slot < first_slot[rank + 1]; slot++) {
          if (!hit[slot]) continue;
          Four g[3];
          __builtin_memcpy(g, pair_grads + int64_t(slot) * kPairGrad, sizeof g);
          for (int k = 0; k < 3; k++) total[k] += g[k];
          touched = true;
        }
      }
      for (int k = 0; k < kPairGrad; k++) sums[k][l] = total[k / 4][k % 4];
    }
    if (!touched) {  // hidden behind others, every one of them: the gradients stay zero
      continue;
    }
    Projection o;
    project_lanes(s, cam, lanes, o);
    // s... are sums over pixels of dL/d(-power) times 1, dx, dy, dx^2, dx dy, dy^2
    const vf s0 = load(sums[0]), sx = load(sums[1]), sy = load(sums[2]), sxx = load(sums[3]), sxy = load(sums[4]), syy = load(sums[5]);
    const vf v_u = -(o.conic_a * sx + o.conic_b * sy), v_v = -(o.conic_b * sx + o.conic_c * sy);
    const vf v_opacity_eff = s0 / vmax(o.opacity, splat(1e-30f));
    // conic = (cov_d, -cov_b, cov_a) / det, and det from a0 x a1: through the inverse's own derivative, -K G K, the gradient
    // of a needle would be the small difference of large numbers
    const vf v_conic_a = -0.5f * sxx, v_conic_b = -sxy, v_conic_c = -0.5f * syy;
    const vf inv_det = 1.0f / vmax(o.det, splat(1e-30f));
    vf v_det = -inv_det * (v_conic_a * o.conic_a + v_conic_b * o.conic_b + v_conic_c * o.conic_c);
    vf v_det_raw = v_det;
    if (cam.antialiased) {
      // log(comp) = (log(det_raw) - log(det)) / 2, whose gradient is that of log(opacity), s0; comp >= 1/255 for what is seen
      const vf half = 0.5f * s0 * inv_det;
      v_det -= half;
      v_det_raw = v_det + half / vmax(o.comp * o.comp, splat(1e-6f));
    }
    const vf v_a = v_conic_c * inv_det + cam.eps2d * v_det, v_d = v_conic_a * inv_det + cam.eps2d * v_det, v_b = -v_conic_b * inv_det;
    const vf v_opacity = v_opacity_eff * o.comp;
    vf v_a0[3], v_a1[3], v_m[3][3];
    vf dot0 = splat(0.0f), dot1 = splat(0.0f), v_ax = splat(0.0f), v_ay = splat(0.0f);
    const vf jx = cam.fx * o.inv_z, jy = cam.fy * o.inv_z;
    vf by_a0[3], by_a1[3];  // half the gradient of det_raw
    cross_product(o.a1, o.cross, by_a0);
    cross_product(o.cross, o.a0, by_a1);
    for (int c = 0; c < 3; c++) {
      v_a0[c] = 2.0f * (v_a * o.a0[c] + v_det_raw * by_a0[c]) + v_b * o.a1[c];
      v_a1[c] = 2.0f * (v_d * o.a1[c] + v_det_raw * by_a1[c]) + v_b * o.a0[c];
      v_m[0][c] = jx * v_a0[c];
      v_m[1][c] = jy * v_a1[c];
      v_m[2][c] = -(o.ax * v_m[0][c] + o.ay * v_m[1][c]);
      dot0 += v_a0[c] * o.a0[c];
      dot1 += v_a1[c] * o.a1[c];
      v_ax -= v_m[0][c] * o.m[2][c];
      v_ay -= v_m[1][c] * o.m[2][c];
    }
    v_ax = masked(o.in_x, v_ax) + cam.fx * v_u;
    v_ay = masked(o.in_y, v_ay) + cam.fy * v_v;
    // The clamped ratio enters the Jacobian, the plain one the centre; where they differ only the centre's path is left,
    // and it must use the plain ratio.
    const vf rx = o.p[0] * o.inv_z, ry = o.p[1] * o.inv_z;
    vf v_p[3];
    v_p[0] = o.inv_z * v_ax;
    v_p[1] = o.inv_z * v_ay;
    v_p[2] = -o.inv_z * (rx * v_ax + ry * v_ay + dot0 + dot1);
    vf v_mean[3];
    for (int k = 0; k < 3; k++) v_mean[k] = cam.R[k] * v_p[0] + cam.R[3 + k] * v_p[1] + cam.R[6 + k] * v_p[2];
    // m = R rot diag(scale)
    vf n[3][3], v_scale[3];
    for (int r = 0; r < 3; r++)
      for (int c = 0; c < 3; c++) n[r][c] = cam.R[r] * v_m[0][c] + cam.R[3 + r] * v_m[1][c] + cam.R[6 + r] * v_m[2][c];
    for (int c = 0; c < 3; c++) {
      v_scale[c] = o.rot[0][c] * n[0][c] + o.rot[1][c] * n[1][c] + o.rot[2][c] * n[2][c];
      for (int r = 0; r < 3; r++) n[r][c] *= o.scale[c];
    }
    const vf w = o.q[0], x = o.q[1], y = o.q[2], z = o.q[3];
    vf v_q[4];
    v_q[0] = 2.0f * (x * (n[2][1] - n[1][2]) + y * (n[0][2] - n[2][0]) + z * (n[1][0] - n[0][1]));
    v_q[1] = 2.0f * (-2.0f * x * (n[1][1] + n[2][2]) + y * (n[0][1] + n[1][0]) + z * (n[0][2] + n[2][0]) + w * (n[2][1] - n[1][2]));
    v_q[2] = 2.0f * (x * (n[0][1] + n[1][0]) - 2.0f * y * (n[0][0] + n[2][2]) + z * (n[1][2] + n[2][1]) + w * (n[0][2] - n[2][0]));
    v_q[3] = 2.0f * (x * (n[0][2] + n[2][0]) + y * (n[1][2] + n[2][1]) - 2.0f * z * (n[0][0] + n[1][1]) + w * (n[1][0] - n[0][1]));
    const vf along = w * v_q[0] + x * v_q[1] + y * v_q[2] + z * v_q[3];
    for (int k = 0; k < 4; k++) v_q[k] = (v_q[k] - o.q[k] * along) * o.inv_norm;

    if (s.degree >= 0) {
      vf dir[3], inv_length, basis[16], dots[16];
      view_direction(s, cam, lanes, dir, inv_length);
      sh_basis(s.degree, dir, basis);
      const int used = (s.degree + 1) * (s.degree + 1);
      for (int k = 0; k < used; k++) dots[k] = splat(0.0f);
      for (int l = 0; l < lanes.valid; l++) {
        const Splat& sp = splats[lanes.id[l]];
        const float* sh = s.colors + lanes.id[l] * s.coeffs * 3;
        float* out = grads.colors + lanes.id[l] * s.coeffs * 3;
        float v[3];
        for (int c = 0; c < 3; c++) v[c] = sp.rgb[c] > 0 ? sums[6 + c][l] : 0.0f;
        for (int k = 0; k < used; k++) {
          const float b = basis[k][l];
          out[3 * k] = b * v[0];
          out[3 * k + 1] = b * v[1];
          out[3 * k + 2] = b * v[2];
          dots[k][l] = sh[3 * k] * v[0] + sh[3 * k + 1] * v[1] + sh[3 * k + 2] * v[2];
        }
      }
      vf v_dir[3];
      sh_basis_vjp(s.degree, dir, dots, v_dir);
      const vf radial = dir[0] * v_dir[0] + dir[1] * v_dir[1] + dir[2] * v_dir[2];
      for (int k = 0; k < 3; k++) v_mean[k] += (v_dir[k] - dir[k] * radial) * inv_length;
    } else {
      for (int l = 0; l < lanes.valid; l++)
        for (int c = 0; c < 3; c++) grads.colors[lanes.id[l] * 3 + c] = sums[6 + c][l];
    }
    for (int l = 0; l < lanes.valid; l++) {
      const int64_t i = lanes.id[l];
      for (int k = 0; k < 3; k++) grads.means[i * 3 + k] = v_mean[k][l];
      for (int k = 0; k < 4; k++) grads.quats[i * 4 + k] = v_q[k][l];
      for (int k = 0; k < 3; k++) grads.scales[i * 3 + k] = v_scale[k][l];
      grads.opacities[i] = v_opacity[l];
      grads.means2d[i * 2] = v_u[l];
      grads.means2d[i * 2 + 1] = v_v[l];
    }
  }
}
