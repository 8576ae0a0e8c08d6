/* The graph over the latents, and what interventions do to it.
 *
 * In each domain a node has a state, a small integer: 0 where it is untouched, others where an
 * intervention changed its mechanism. `cut` says in which of them its parents no longer act
 * (perfect interventions). A cell is a node in a state; all that belongs to cells is numbered by
 * graph_cell().
 */
#ifndef EBCRL_GRAPH_H
#define EBCRL_GRAPH_H

#include "workspace.h"

enum { MAX_STATES = 8 };

typedef struct {
  int d, n_states;
  int cut[MAX_STATES];      /* are the parents of a node in this state cut off? */
  const int *const *family; /* d: the node and then its parents, from 0, ascending */
  int n_edges, max_children;
  const int *order;    /* d: a topological order */
  const int *first_in; /* d + 1: the edges into node j are first_in[j] .. first_in[j + 1] - 1 */
  const int *parent, *child; /* n_edges */
  const int *first_out;      /* d + 1 */
  const int *out;            /* n_edges: edges out of node k at first_out[k] .. */
} causal_graph;

/* family: d pointers to n_family[j] nodes from 0, the node and then its parents, which the graph
 * keeps; cut: n_states. */
causal_graph graph_new(const int *const *family, const int *n_family, int d, const int *cut,
                       int n_states, allocator alloc);

/* Parents of a node in the graph, and those that act in a state. */
static inline int graph_parents(const causal_graph *g, int node) {
  return g->first_in[node + 1] - g->first_in[node];
}

static inline int graph_acting(const causal_graph *g, int node, int state) {
  return g->cut[state] ? 0 : graph_parents(g, node);
}

static inline int graph_cells(const causal_graph *g) {
  return g->d * g->n_states;
}

static inline int graph_cell(const causal_graph *g, int node, int state) {
  return node * g->n_states + state;
}

static inline int graph_node(const causal_graph *g, int cell) {
  return cell / g->n_states;
}

static inline int graph_state(const causal_graph *g, int cell) {
  return cell % g->n_states;
}

#endif
