/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405) and normals from it.
 *
 *   word of the counter   holds
 *   0                     position in the stream, in blocks of four words (two normals)
 *   1                     stream
 *   2, 3                  row, low and high half
 *   key 0, 1              seed, low and high half
 */
#include "rng.h"

#include "elementary.h"

#include <math.h>

INLINE void philox_round(uint32_t x[4], uint32_t k0, uint32_t k1) {
  const uint64_t p0 = (uint64_t)0xD2511F53u * x[0];
  const uint64_t p1 = (uint64_t)0xCD9E8D57u * x[2];
  const uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0;
  const uint32_t y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
  x[0] = y0;
  x[1] = (uint32_t)p1;
  x[2] = y2;
  x[3] = (uint32_t)p0;
}

void rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]};
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    philox_round(x, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; i++)
    out[i] = x[i];
}

void rng_normals(uint64_t seed, uint32_t stream, uint64_t row, double *out, size_t n) {
  const double two_pi = 6.283185307179586476925287;
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  uint32_t counter[4] = {0, stream, (uint32_t)row, (uint32_t)(row >> 32)};
  for (size_t i = 0; i < n; i += 2, counter[0]++) {
    uint32_t word[4];
    rng_philox4x32(counter, key, word);
    const double radius = sqrt(-2.0 * log(rng_unit(word[0], word[1]))); /* Box-Muller */
    const double angle = two_pi * rng_unit(word[2], word[3]);
    out[i] = radius * cos(angle);
    if (i + 1 < n)
      out[i + 1] = radius * sin(angle);
  }
}

/* words[4 x RNG_ROWS]: the generator's block of each row, all rows a round together. */
WIDE_VECTORS static void philox_rows(uint64_t seed, uint32_t stream, uint32_t position,
                                     uint64_t row, int rows, uint32_t *restrict words) {
  uint32_t *restrict x0 = words, *restrict x1 = words + RNG_ROWS;
  uint32_t *restrict x2 = words + 2 * RNG_ROWS, *restrict x3 = words + 3 * RNG_ROWS;
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < rows; i++) {
    uint64_t at = row + (uint64_t)i;
    x0[i] = position;
    x1[i] = stream;
    x2[i] = (uint32_t)at;
    x3[i] = (uint32_t)(at >> 32);
  }
  for (int round = 0; round < 10; round++) {
    SIMD for (int i = 0; i < rows; i++) {
      const uint64_t p0 = (uint64_t)0xD2511F53u * x0[i];
      const uint64_t p1 = (uint64_t)0xCD9E8D57u * x2[i];
      x0[i] = (uint32_t)(p1 >> 32) ^ x1[i] ^ k0;
      x2[i] = (uint32_t)(p0 >> 32) ^ x3[i] ^ k1;
      x1[i] = (uint32_t)p1;
      x3[i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* Word `k` of every row as a number in (0, 1). */
INLINE double unit_of(const uint32_t *words, int k, int i) {
  return (to_double(words[k * RNG_ROWS + i]) + 0.5) * 0x1p-32;
}

WIDE_VECTORS static void minus_logs(const uint32_t *restrict words, int k, int rows,
                                    double *restrict out) {
  SIMD for (int i = 0; i < rows; i++) out[i] = -log_of(unit_of(words, k, i));
}

WIDE_VECTORS static void sines_cosines(const uint32_t *restrict words, int k, int rows,
                                       double *restrict cosines, double *restrict sines) {
  SIMD for (int i = 0; i < rows; i++) {
    double sine, cosine;
    sine_cosine(2 * unit_of(words, k, i) - 1, &sine, &cosine);
    cosines[i] = cosine;
    sines[i] = sine;
  }
}

/* Box-Muller. */
WIDE_VECTORS static void scale_normals(const double *restrict half_square, int rows,
                                       double *restrict first, double *restrict second) {
  SIMD for (int i = 0; i < rows; i++) {
    double radius = sqrt(2 * half_square[i]);
    first[i] *= radius;
    second[i] *= radius;
  }
}

void rng_moves(uint64_t seed, uint32_t stream, uint32_t position, uint64_t row, int rows,
               struct rng_move *out) {
  uint32_t words[4 * RNG_ROWS];
  double half_square[RNG_ROWS];
  philox_rows(seed, stream, position, row, rows, words);
  minus_logs(words, 0, rows, half_square);
  sines_cosines(words, 1, rows, out->normal[0], out->normal[1]);
  minus_logs(words, 2, rows, out->exponential[0]);
  minus_logs(words, 3, rows, out->exponential[1]);
  scale_normals(half_square, rows, out->normal[0], out->normal[1]);
}

void rng_units(uint64_t seed, uint32_t stream, uint32_t position, uint64_t row, int rows,
               double *out) {
  uint32_t words[4 * RNG_ROWS];
  philox_rows(seed, stream, position, row, rows, words);
  for (int i = 0; i < rows; i++)
    out[i] = unit_of(words, 0, i);
}
