/* The graph over the latents as arrays of edges, parents first. */
#ifndef EBCRL_CAUSAL_GRAPH_H
#define EBCRL_CAUSAL_GRAPH_H

#include "workspace.h"

typedef struct {
  int d, n_edges, max_children;
  const int *order;    /* d: a topological order */
  const int *first_in; /* d + 1: the edges into node j are first_in[j] .. first_in[j + 1] - 1 */
  const int *parent, *child; /* n_edges */
  const int *first_out;      /* d + 1 */
  const int *out;            /* n_edges: edges out of node k at first_out[k] .. */
} causal_graph;

/* coord: d pointers to n_coord[j] nodes from 0, the node and then its parents. */
causal_graph causal_graph_new(const int *const *coord, const int *n_coord, int d, allocator alloc);

#endif
