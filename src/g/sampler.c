#include "sampler.h"

#include "rng.h"
#include "vectorize.h"

#include <math.h>
#include <string.h>

void sampler_load(const latent_sampler *s, latent_block *b, size_t start, int rows, const double *z,
                  const double *projected) {
  size_t n = s->rows->n, bytes = (size_t)rows * sizeof(double);
  b->start = start;
  b->rows = rows;
  for (int i = 0; i < rows; i++)
    b->domain[i] = s->rows->env[start + (size_t)i] - 1;
  for (int j = 0; j < s->prior.graph.d; j++) {
    const double *variance = s->prior.variance + graph_cell(&s->prior.graph, j, 0);
    int at = j * BLOCK_ROWS;
    memcpy(b->z + at, z + (size_t)j * n + start, bytes);
    memcpy(b->projected + at, projected + (size_t)j * n + start, bytes);
    for (int i = 0; i < rows; i++) {
      b->state[at + i] = row_state(s->rows, start + (size_t)i, j);
      b->precision[at + i] = 1 / variance[b->state[at + i]];
    }
    if (s->prior.noise) {
      memset(b->label + at, 0, (size_t)rows * sizeof(int));
      memset(b->shift + at, 0, bytes);
    }
  }
}

void sampler_refresh(const latent_sampler *s, latent_block *b) {
  const causal_graph *g = &s->prior.graph;
  for (int j = 0; j < g->d; j++) {
    double *mean = b->mean + j * BLOCK_ROWS;
    const int *state = b->state + j * BLOCK_ROWS;
    const double *constant = s->prior.constant + graph_cell(g, j, 0);
    for (int i = 0; i < b->rows; i++)
      mean[i] = constant[state[i]];
    for (int e = g->first_in[j]; e < g->first_in[j + 1]; e++) {
      s->prior.effect(s->prior.context, e, state, b->z + g->parent[e] * BLOCK_ROWS, b->rows,
                      b->change);
      for (int i = 0; i < b->rows; i++)
        mean[i] += b->change[i];
    }
  }
}

void sampler_store(const latent_block *b, size_t n, int d, double *z) {
  for (int j = 0; j < d; j++)
    memcpy(z + (size_t)j * n + b->start, b->z + j * BLOCK_ROWS, (size_t)b->rows * sizeof(double));
}

/* Mean and standard deviation of node j given its parents, x, and the other latents that share
 * features with it. */
WIDE_VECTORS static void conditional_moments(const latent_sampler *s, latent_block *b, int j) {
  const double *restrict mean = b->mean + j * BLOCK_ROWS;
  const double *restrict precision = b->precision + j * BLOCK_ROWS;
  const double *restrict projected = b->projected + j * BLOCK_ROWS;
  double *restrict centre = b->centre + j * BLOCK_ROWS;
  double *restrict spread = b->spread + j * BLOCK_ROWS;
  int d = s->prior.graph.d, rows = b->rows;
  const double *gram = s->gram + (size_t)j * (size_t)d;
  double scale = 1 / s->sigma2;
  SIMD for (int i = 0; i < rows; i++) centre[i] = projected[i];
  for (int k = 0; k < d; k++) {
    if (k == j || gram[k] == 0)
      continue;
    const double *restrict other = b->z + k * BLOCK_ROWS;
    SIMD for (int i = 0; i < rows; i++) centre[i] -= gram[k] * other[i];
  }
  SIMD for (int i = 0; i < rows; i++) {
    double total = 1 / (precision[i] + gram[j] * scale);
    centre[i] = total * (precision[i] * mean[i] + scale * centre[i]);
    spread[i] = total;
  }
  for (int i = 0; i < rows; i++)
    spread[i] = sqrt(spread[i]);
}

/* ratio += log density of a child at the trial less that at the present, given change of mean. */
WIDE_VECTORS static void add_child(const double *restrict z, const double *restrict mean,
                                   const double *restrict precision, const double *restrict effect,
                                   int rows, double *restrict change, double *restrict ratio) {
  SIMD for (int i = 0; i < rows; i++) {
    double step = change[i] - effect[i];
    change[i] = step;
    ratio[i] += precision[i] * step * (z[i] - mean[i] - 0.5 * step);
  }
}

WIDE_VECTORS static void decide(const double *restrict ratio, const double *restrict exponential,
                                const double *restrict trial, int rows, double *restrict taken,
                                double *restrict z) {
  SIMD for (int i = 0; i < rows; i++) {
    double yes = ratio[i] > -exponential[i] ? 1 : 0;
    taken[i] = yes;
    z[i] = yes > 0 ? trial[i] : z[i];
  }
}

WIDE_VECTORS static void follow(const double *restrict taken, const double *restrict change,
                                int rows, double *restrict effect, double *restrict mean) {
  SIMD for (int i = 0; i < rows; i++) {
    double step = taken[i] > 0 ? change[i] : 0;
    effect[i] += step;
    mean[i] += step;
  }
}

/* Moves node j to b->trial where children's densities (added to b->ratio) and chance agree. */
static void try_move(const latent_sampler *s, latent_block *b, int j, const double *exponential) {
  const causal_graph *g = &s->prior.graph;
  int first = g->first_out[j], last = g->first_out[j + 1];
  for (int o = first; o < last; o++) {
    int edge = g->out[o], at = g->child[edge] * BLOCK_ROWS, slot = (o - first) * BLOCK_ROWS;
    s->prior.effect(s->prior.context, edge, b->state + at, b->trial, b->rows, b->change + slot);
    add_child(b->z + at, b->mean + at, b->precision + at, b->effect + slot, b->rows,
              b->change + slot, b->ratio);
  }
  decide(b->ratio, exponential, b->trial, b->rows, b->taken, b->z + j * BLOCK_ROWS);
  for (int o = first; o < last; o++) {
    int slot = (o - first) * BLOCK_ROWS;
    follow(b->taken, b->change + slot, b->rows, b->effect + slot,
           b->mean + g->child[g->out[o]] * BLOCK_ROWS);
  }
}

static void present_effects(const latent_sampler *s, latent_block *b, int j) {
  const causal_graph *g = &s->prior.graph;
  for (int o = g->first_out[j]; o < g->first_out[j + 1]; o++)
    s->prior.effect(s->prior.context, g->out[o], b->state + g->child[g->out[o]] * BLOCK_ROWS,
                    b->z + j * BLOCK_ROWS, b->rows, b->effect + (o - g->first_out[j]) * BLOCK_ROWS);
}

/* Move 1: the conditional given parents and x proposes, so that only the children decide. */
WIDE_VECTORS static void propose_conditional(const double *restrict centre,
                                             const double *restrict spread,
                                             const double *restrict normal, int rows,
                                             double *restrict trial, double *restrict ratio) {
  SIMD for (int i = 0; i < rows; i++) {
    trial[i] = centre[i] + spread[i] * normal[i];
    ratio[i] = 0;
  }
}

static void move_by_conditional(const latent_sampler *s, latent_block *b, int j) {
  propose_conditional(b->centre + j * BLOCK_ROWS, b->spread + j * BLOCK_ROWS, b->move->normal[0],
                      b->rows, b->trial, b->ratio);
  try_move(s, b, j, b->move->exponential[0]);
}

/* Move 2: a random walk; the conditional's density and the children's decide. scale: by domain, d
 * apart. */
WIDE_VECTORS static void propose_walk(const double *restrict z, const double *restrict centre,
                                      const double *restrict spread, const double *restrict normal,
                                      const double *restrict scale, int d,
                                      const int *restrict domain, int rows, double *restrict trial,
                                      double *restrict ratio) {
  SIMD for (int i = 0; i < rows; i++) {
    double step = scale[d * domain[i]] * normal[i];
    double from = (z[i] - centre[i]) / spread[i];
    trial[i] = z[i] + step * spread[i];
    ratio[i] = -step * (from + 0.5 * step);
  }
}

static void move_by_walk(const latent_sampler *s, latent_block *b, int j) {
  int d = s->prior.graph.d;
  propose_walk(b->z + j * BLOCK_ROWS, b->centre + j * BLOCK_ROWS, b->spread + j * BLOCK_ROWS,
               b->move->normal[1], s->walk_scale + j, d, b->domain, b->rows, b->trial, b->ratio);
  try_move(s, b, j, b->move->exponential[1]);
  for (int i = 0; i < b->rows; i++)
    b->accepted[j + d * b->domain[i]] += b->taken[i];
}

static const double TARGET_ACCEPTANCE = 0.4;

double sampler_tuned(double walk_scale, double acceptance, int t) {
  return walk_scale * exp(2 * (acceptance - TARGET_ACCEPTANCE) / sqrt(t));
}

/* Mean, shift and precision of a node as its labels have them. centre: means without labels. */
WIDE_VECTORS static void take_labels(const noise_mixture *noise, const int *restrict cell,
                                     const int *restrict label, const double *restrict centre,
                                     int rows, double *restrict shift, double *restrict mean,
                                     double *restrict precision) {
  int n = noise->n;
  const double *restrict means = noise->mean, *restrict variances = noise->variance;
  SIMD for (int i = 0; i < rows; i++) {
    int g = n * cell[i] + label[i];
    shift[i] = means[g];
    mean[i] = centre[i] + means[g];
    precision[i] = 1 / variances[g];
  }
}

/* Labels of all nodes given z: mean and precision become those of the components. */
static void draw_labels(const latent_sampler *s, latent_block *b, uint32_t sweep) {
  double residual[BLOCK_ROWS], centre[BLOCK_ROWS];
  int d = s->prior.graph.d, cell[BLOCK_ROWS];
  for (int j = 0; j < d; j++) {
    int at = j * BLOCK_ROWS;
    rng_units(s->seed, sweep, (uint32_t)(d + j), b->start, b->rows, b->trial);
    for (int i = 0; i < b->rows; i++) {
      cell[i] = graph_cell(&s->prior.graph, j, b->state[at + i]);
      centre[i] = b->mean[at + i] - b->shift[at + i];
      residual[i] = b->z[at + i] - centre[i];
    }
    noise_labels(s->prior.noise, cell, residual, b->trial, b->rows, b->label + at);
    take_labels(s->prior.noise, cell, b->label + at, centre, b->rows, b->shift + at, b->mean + at,
                b->precision + at);
  }
}

void sampler_sweep(const latent_sampler *s, latent_block *b, uint32_t sweep) {
  const causal_graph *g = &s->prior.graph;
  if (s->prior.noise)
    draw_labels(s, b, sweep);
  for (int o = 0; o < g->d; o++) {
    int j = g->order[o];
    rng_moves(s->seed, sweep, (uint32_t)j, b->start, b->rows, b->move);
    conditional_moments(s, b, j);
    present_effects(s, b, j);
    move_by_conditional(s, b, j);
    if (g->first_out[j + 1] > g->first_out[j])
      move_by_walk(s, b, j);
  }
}
