/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405) and normals from it.
 *
 *   word of the counter   holds
 *   0                     position in the stream, in blocks of four words (two normals)
 *   1                     stream
 *   2, 3                  row, low and high half
 *   key 0, 1              seed, low and high half
 */
#include "rng.h"

#include <math.h>

static inline void philox_round(uint32_t x[4], uint32_t k0, uint32_t k1) {
  const uint64_t p0 = (uint64_t)0xD2511F53u * x[0];
  const uint64_t p1 = (uint64_t)0xCD9E8D57u * x[2];
  const uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0;
  const uint32_t y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
  x[0] = y0;
  x[1] = (uint32_t)p1;
  x[2] = y2;
  x[3] = (uint32_t)p0;
}

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
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
    philox4x32(counter, key, word);
    const double radius = sqrt(-2.0 * log(rng_unit(word[0], word[1]))); /* Box-Muller */
    const double angle = two_pi * rng_unit(word[2], word[3]);
    out[i] = radius * cos(angle);
    if (i + 1 < n)
      out[i + 1] = radius * sin(angle);
  }
}
