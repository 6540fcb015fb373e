// Adam (Kingma and Ba 2015) over rows [begin, end), only the seen ones: what no view shows keeps its moments, and costs no memory traffic.
static void adam(const AdamJob& job, int64_t begin, int64_t end) {
  const int columns = job.columns;
  const float beta1 = job.beta1, beta2 = job.beta2, eps = job.eps;
  const float inv_bias1 = 1.0f / job.bias1, inv_root_bias2 = 1.0f / __builtin_sqrtf(job.bias2);
  for (int64_t row = begin; row < end; row++) {
    if (job.visible && !job.visible[row]) continue;
    float* __restrict p = job.param + row * columns;
    const float* __restrict g = job.grad + row * columns;
    float* __restrict m = job.exp_avg + row * columns;
    float* __restrict v = job.exp_avg_sq + row * columns;
    const float* __restrict lr = job.lr;
    for (int c = 0; c < columns; c++) {
      m[c] = beta1 * m[c] + (1.0f - beta1) * g[c];
      v[c] = beta2 * v[c] + (1.0f - beta2) * g[c] * g[c];
      p[c] -= lr[c] * m[c] * inv_bias1 / (__builtin_sqrtf(v[c]) * inv_root_bias2 + eps);
    }
  }
}
