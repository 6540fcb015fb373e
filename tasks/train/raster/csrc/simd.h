// A vector of SPLATFLOW_LANES floats in GCC/Clang vector extensions; included once per instruction set, inside its namespace.
// Lane i of a vector is pixel (i % 8, i / 8) of a tile's row group, or Gaussian i of a block.

constexpr int W = SPLATFLOW_LANES;
constexpr int kRowsPerVec = W / kTile;
constexpr int kVecsPerTile = kTilePixels / W;

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));

#define SF_INLINE static inline __attribute__((always_inline))

SF_INLINE vf splat(float x) { return vf{} + x; }
SF_INLINE vi splat_i(int32_t x) { return vi{} + x; }
SF_INLINE vi bits(vf x) { return (vi)x; }
SF_INLINE vf from_bits(vi x) { return (vf)x; }
SF_INLINE vf masked(vi mask, vf a) { return from_bits(mask & bits(a)); }

SF_INLINE vf load(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
SF_INLINE void store(float* p, vf v) { __builtin_memcpy(p, &v, sizeof v); }

#if defined(__AVX512F__) && SPLATFLOW_LANES == 16
SF_INLINE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
SF_INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
SF_INLINE vf vsqrt(vf a) { return (vf)_mm512_sqrt_ps((__m512)a); }
SF_INLINE bool any(vi m) { return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0; }
SF_INLINE vf select(vi m, vf a, vf b) { return (vf)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), (__m512)b, (__m512)a); }
#elif defined(__AVX2__) && SPLATFLOW_LANES == 8
SF_INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
SF_INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
SF_INLINE vf vsqrt(vf a) { return (vf)_mm256_sqrt_ps((__m256)a); }
SF_INLINE bool any(vi m) { return _mm256_movemask_ps((__m256)m) != 0; }
SF_INLINE vf select(vi m, vf a, vf b) { return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
#else
SF_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
SF_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
SF_INLINE vf vsqrt(vf a) {
  vf r;
  for (int i = 0; i < W; i++) r[i] = __builtin_sqrtf(a[i]);
  return r;
}
SF_INLINE vf select(vi m, vf a, vf b) { return from_bits((m & bits(a)) | (~m & bits(b))); }
SF_INLINE bool any(vi m) {
  int32_t r = 0;
  for (int i = 0; i < W; i++) r |= m[i];
  return r != 0;
}
#endif

// Sums over lanes of nine vectors at once, written to out[0..12); the last three are zero.
// Straight to memory: a copy on the stack would be read before its narrow stores have drained.
#if defined(__AVX2__)
SF_INLINE __m256 fold(vf v) {
#if SPLATFLOW_LANES == 16
  typedef float half __attribute__((vector_size(32)));
  half lo, hi;
  __builtin_memcpy(&lo, &v, 32);
  __builtin_memcpy(&hi, reinterpret_cast<const char*>(&v) + 32, 32);
  return (__m256)(lo + hi);
#else
  return (__m256)v;
#endif
}
SF_INLINE void horizontal_sums(const vf* a, float* out) {
  const __m256 s01 = _mm256_hadd_ps(fold(a[0]), fold(a[1])), s23 = _mm256_hadd_ps(fold(a[2]), fold(a[3]));
  const __m256 s45 = _mm256_hadd_ps(fold(a[4]), fold(a[5])), s67 = _mm256_hadd_ps(fold(a[6]), fold(a[7]));
  const __m256 s0123 = _mm256_hadd_ps(s01, s23), s4567 = _mm256_hadd_ps(s45, s67);
  const __m256 swapped = _mm256_permute2f128_ps(s0123, s4567, 0x21);
  const __m256 blended = _mm256_blend_ps(s0123, s4567, 0xf0);
  _mm256_storeu_ps(out, _mm256_add_ps(swapped, blended));
  const __m256 last = fold(a[8]);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(last), _mm256_extractf128_ps(last, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  q = _mm_add_ss(q, _mm_shuffle_ps(q, q, 1));
  _mm_storeu_ps(out + 8, _mm_insert_ps(q, q, 0x0e));
}
#else
SF_INLINE void horizontal_sums(const vf* a, float* out) {
  for (int k = 0; k < 9; k++) {
    float s = 0;
    for (int i = 0; i < W; i++) s += a[k][i];
    out[k] = s;
  }
  out[9] = out[10] = out[11] = 0;
}
#endif

// 2^x for x in [-126, 126]; relative error 3e-6 (degree-4 minimax polynomial on [-0.5, 0.5]).
SF_INLINE vf exp2_fast(vf x) {
  const vf magic = splat(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const vf shifted = x + magic;
  const vf f = x - (shifted - magic);
  vf p = splat(9.570101877e-03f);
  p = p * f + 5.591786178e-02f;
  p = p * f + 2.402474484e-01f;
  p = p * f + 6.931218146e-01f;
  p = p * f + 9.999992614e-01f;
  return from_bits((bits(shifted) << 23) + bits(p));
}

// log2 of a positive normal number; absolute error 2e-7 near 1. Used once per Gaussian.
SF_INLINE vf log2_accurate(vf x) {
  vf r;
  for (int i = 0; i < W; i++) r[i] = __builtin_log2f(x[i]);
  return r;
}
