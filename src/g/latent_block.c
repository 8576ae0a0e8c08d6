#include "latent_block.h"

#include "rng.h"

#include <string.h>

latent_block latent_block_new(const causal_prior *prior, int n_domains, allocator alloc) {
  const causal_graph *g = &prior->graph;
  size_t wide = (size_t)g->d * BLOCK_ROWS, edges = (size_t)(g->max_children + 1) * BLOCK_ROWS;
  latent_block b = {.domain = alloc(BLOCK_ROWS, sizeof(int)),
                    .state = alloc(wide, sizeof(int)),
                    .z = workspace_doubles(wide, alloc),
                    .projected = workspace_doubles(wide, alloc),
                    .label = alloc(wide, sizeof(int)),
                    .shift = prior->noise ? workspace_doubles(wide, alloc) : NULL,
                    .mean = workspace_doubles(wide, alloc),
                    .precision = workspace_doubles(wide, alloc),
                    .centre = workspace_doubles(wide, alloc),
                    .spread = workspace_doubles(wide, alloc),
                    .effect = workspace_doubles(edges, alloc),
                    .change = workspace_doubles(edges, alloc),
                    .trial = workspace_doubles(BLOCK_ROWS, alloc),
                    .ratio = workspace_doubles(BLOCK_ROWS, alloc),
                    .taken = workspace_doubles(BLOCK_ROWS, alloc),
                    .accepted = alloc((size_t)g->d * (size_t)n_domains, sizeof(double)),
                    .move = alloc(1, sizeof(struct rng_move))};
  memset(b.label, 0, wide * sizeof(int));
  return b;
}

double latent_block_bytes(double d, double max_children, double n_domains) {
  return sizeof(double) * (BLOCK_ROWS * (8 * d + 2 * max_children + 8) + d * n_domains);
}
