/* Counter-based random numbers: a draw is a function of (seed, stream, row, position), never of
 * what was drawn before, so results do not depend on how rows are shared among threads. */
#ifndef EBCRL_RNG_H
#define EBCRL_RNG_H

#include <stddef.h>
#include <stdint.h>

/* out[4] = Philox4x32-10 of counter[4] under key[2]. */
void rng_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* 52 random bits as a number in the open interval (0, 1): neither end can be returned, so
 * logarithms are safe. */
static inline double rng_unit(uint32_t high, uint32_t low) {
  const uint64_t bits = (((uint64_t)high << 32) | low) >> 12;
  return ((double)bits + 0.5) * 0x1p-52;
}

/* out[n] = the first n standard normals of stream `stream` of row `row`. */
void rng_normals(uint64_t seed, uint32_t stream, uint64_t row, double *out, size_t n);

/* Random numbers of two Metropolis moves of up to RNG_ROWS consecutive rows: standard normals for
 * the proposals, standard exponentials for the decisions. */
enum { RNG_ROWS = 128 };

struct rng_move {
  double normal[2][RNG_ROWS], exponential[2][RNG_ROWS];
};

/* One block of the generator a row, at `position` of `stream`: words 0 and 1 make the normals, 2
 * and 3 the exponentials. */
void rng_moves(uint64_t seed, uint32_t stream, uint32_t position, uint64_t row, int rows,
               struct rng_move *out);

/* out[rows] = a number in (0, 1) a row, from word 0 of its block at `position` of `stream`. */
void rng_units(uint64_t seed, uint32_t stream, uint32_t position, uint64_t row, int rows,
               double *out);

#endif
