#include "causal_prior.h"

#include <string.h>

void causal_prior_drivers(const causal_prior *prior, const int *targets, int n_domains,
                          int *driver) {
  const causal_graph *g = &prior->graph;
  memset(driver, 0, (size_t)g->d * (size_t)n_domains * sizeof(int));
  for (int edge = 0; edge < g->n_edges; edge++)
    for (int e = 0; e < n_domains; e++) {
      int j = g->child[edge], state = targets[e + (size_t)n_domains * (size_t)j];
      if (prior->listens[graph_cell(g, j, state)])
        driver[g->parent[edge] + (size_t)g->d * (size_t)e] = 1;
    }
}
