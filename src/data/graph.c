#include "graph.h"

#include <string.h>

/* Nodes whose parents have all been placed come next. */
static void topological_order(const causal_graph *g, int *order, int *placed) {
  memset(placed, 0, (size_t)g->d * sizeof(int));
  for (int done = 0; done < g->d;)
    for (int j = 0; j < g->d; j++) {
      int ready = !placed[j];
      for (int e = g->first_in[j]; e < g->first_in[j + 1]; e++)
        ready = ready && placed[g->parent[e]];
      if (ready) {
        order[done++] = j;
        placed[j] = 1;
      }
    }
}

causal_graph graph_new(const int *const *family, const int *n_family, int d, const int *cut,
                       int n_states, allocator alloc) {
  causal_graph g = {.d = d, .n_states = n_states, .family = family};
  memcpy(g.cut, cut, (size_t)n_states * sizeof(int));
  int *first_in = alloc((size_t)d + 1, sizeof(int)), *first_out = alloc((size_t)d + 1, sizeof(int));
  first_in[0] = 0;
  for (int j = 0; j < d; j++)
    first_in[j + 1] = first_in[j] + n_family[j] - 1;
  g.n_edges = first_in[d];
  size_t edges = (size_t)g.n_edges;
  int *parent = alloc(edges, sizeof(int)), *child = alloc(edges, sizeof(int));
  int *out = alloc(edges, sizeof(int)), *order = alloc((size_t)d, sizeof(int));
  int *placed = alloc((size_t)d, sizeof(int)), n_out = 0;
  for (int j = 0; j < d; j++)
    for (int k = 1; k < n_family[j]; k++) {
      parent[first_in[j] + k - 1] = family[j][k];
      child[first_in[j] + k - 1] = j;
    }
  for (int k = 0; k < d; k++) {
    first_out[k] = n_out;
    for (int e = 0; e < g.n_edges; e++)
      if (parent[e] == k)
        out[n_out++] = e;
    if (n_out - first_out[k] > g.max_children)
      g.max_children = n_out - first_out[k];
  }
  first_out[d] = n_out;
  g.first_in = first_in;
  g.first_out = first_out;
  g.parent = parent;
  g.child = child;
  g.out = out;
  topological_order(&g, order, placed);
  g.order = order;
  return g;
}
