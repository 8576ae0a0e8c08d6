#include "latent_block.h"

#include "rng.h"

#include <string.h>

latent_block latent_block_new(const causal_prior *prior, int n_domains, allocator alloc) {
  const causal_graph *g = &prior->graph;
  size_t wide = (size_t)g->d * BLOCK_ROWS, edges = (size_t)(g->max_children + 1) * BLOCK_ROWS;
  latent_block b = {.domain = alloc(BLOCK_ROWS, sizeof(int)),
                    .state = alloc(wide, sizeof(int)),
                    .z = aligned_doubles(wide, alloc),
                    .projected = aligned_doubles(wide, alloc),
                    .label = alloc(wide, sizeof(int)),
                    .shift = prior->noise ? aligned_doubles(wide, alloc) : NULL,
                    .mean = aligned_doubles(wide, alloc),
                    .precision = aligned_doubles(wide, alloc),
                    .centre = aligned_doubles(wide, alloc),
                    .spread = aligned_doubles(wide, alloc),
                    .effect = aligned_doubles(edges, alloc),
                    .change = aligned_doubles(edges, alloc),
                    .trial = aligned_doubles(BLOCK_ROWS, alloc),
                    .ratio = aligned_doubles(BLOCK_ROWS, alloc),
                    .taken = aligned_doubles(BLOCK_ROWS, alloc),
                    .accepted = alloc((size_t)g->d * (size_t)n_domains, sizeof(double)),
                    .move = alloc(1, sizeof(struct rng_move))};
  memset(b.label, 0, wide * sizeof(int));
  return b;
}

double latent_block_bytes(double d, double max_children, double n_domains) {
  return sizeof(double) * (BLOCK_ROWS * (8 * d + 2 * max_children + 8) + d * n_domains);
}
