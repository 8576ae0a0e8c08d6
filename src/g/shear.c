#include "shear.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

static const double MAX_SHEAR = 0.1;

/* Derivatives that depend on one another share the step. */
static const double RIDGE = 1e-6;

/* Products take about as long as the rest of an iteration with this many derivatives, and should
 * have this many rows for each. */
enum { CHEAP = 64, ROWS_EACH = 20 };

static int slopes(const mechanisms *m, int cell) {
  return m->listens[cell] ? graph_parents(&m->graph, graph_node(&m->graph, cell)) : 0;
}

shear_plan shear_plan_new(const mechanisms *m, const int *tied, size_t n) {
  int d = m->graph.d;
  shear_plan s = {.mech = m, .tied = tied, .thinning = 1};
  for (int g = 0; g < d * d; g++)
    s.n_shears += g % (d + 1) && !tied[g];
  s.count = s.n_shears;
  for (int cell = 0; cell < graph_cells(&m->graph); cell++)
    s.count += slopes(m, cell) + 2;
  size_t wanted = (size_t)s.count / CHEAP, most = n / (ROWS_EACH * (size_t)s.count);
  if (wanted > 1 && most > 1)
    s.thinning = (int)(wanted < most ? wanted : most);
  return s;
}

size_t shear_sums(const shear_plan *s) {
  return (size_t)s->count * ((size_t)s->count + 1) + 2;
}

static void shear_columns(const shear_plan *s, const double *gram, const latent_block *b,
                          const double *u, double *wide) {
  int d = s->mech->graph.d;
  for (int g = 0; g < d * d; g++) {
    const double *gaining = u + g % d * BLOCK_ROWS, *own = u + g / d * BLOCK_ROWS;
    const double *z = b->z + g / d * BLOCK_ROWS;
    if (g % (d + 1) == 0 || s->tied[g])
      continue;
    for (int i = 0; i < b->rows; i++)
      wide[i] = gaining[i] * z[i] - gram[g] * (own[i] * z[i] + 1);
    wide += BLOCK_ROWS;
  }
}

/* of_parent: the parent's latents, or NULL for the level. */
static void mean_column(const latent_block *b, int j, int state, const double *of_parent,
                        double *out) {
  const double *z = b->z + j * BLOCK_ROWS, *mean = b->mean + j * BLOCK_ROWS;
  for (int i = 0; i < b->rows; i++) {
    double e = b->precision[j * BLOCK_ROWS + i] * (z[i] - mean[i]);
    out[i] = b->state[j * BLOCK_ROWS + i] != state ? 0 : of_parent ? e * of_parent[i] : e;
  }
}

static void variance_column(const latent_block *b, int j, int state, double *out) {
  const double *z = b->z + j * BLOCK_ROWS, *mean = b->mean + j * BLOCK_ROWS;
  for (int i = 0; i < b->rows; i++) {
    double e = z[i] - mean[i];
    out[i] = b->state[j * BLOCK_ROWS + i] != state
                 ? 0
                 : (b->precision[j * BLOCK_ROWS + i] * e * e - 1) / 2;
  }
}

static void mechanism_columns(const mechanisms *m, const latent_block *b, double *wide) {
  for (int cell = 0; cell < graph_cells(&m->graph); cell++) {
    int j = graph_node(&m->graph, cell), state = graph_state(&m->graph, cell);
    int n_slopes = slopes(m, cell);
    for (int k = 0; k < n_slopes; k++, wide += BLOCK_ROWS)
      mean_column(b, j, state, b->z + m->graph.parent[m->graph.first_in[j] + k] * BLOCK_ROWS, wide);
    mean_column(b, j, state, NULL, wide);
    variance_column(b, j, state, wide + BLOCK_ROWS);
    wide += 2 * BLOCK_ROWS;
  }
}

void shear_add(const shear_plan *s, const double *gram, const double *omega, const latent_block *b,
               double *gradient, double *wide, double *sums) {
  const double one = 1;
  const int ld = BLOCK_ROWS, count = s->count;
  int products = b->start / BLOCK_ROWS % (size_t)s->thinning == 0;
  double *weight = sums + shear_sums(s) - 2;
  mechanism_gradient(s->mech, b, gradient);
  shear_columns(s, gram, b, gradient, wide);
  mechanism_columns(s->mech, b, wide + s->n_shears * BLOCK_ROWS);
  for (int i = 0; i < b->rows; i++) {
    weight[0] += omega[b->domain[i]];
    weight[1] += products ? omega[b->domain[i]] : 0;
  }
  for (int g = 0; g < count; g++)
    for (int i = 0; i < b->rows; i++) {
      double *at = wide + g * BLOCK_ROWS + i;
      sums[g] += omega[b->domain[i]] * *at;
      *at *= sqrt(omega[b->domain[i]]);
    }
  if (products)
    F77_CALL(dsyrk)
  ("L", "T", &count, &b->rows, &one, wide, &ld, &one, sums + count, &count FCONE FCONE);
}

/* The joint scoring step, its shears within a bound. Overwrites the sums. */
static void scoring_step(const shear_plan *s, double *sums, double step, double *t) {
  const int one = 1, count = s->count;
  int info, d = s->mech->graph.d;
  double *weight = sums + shear_sums(s) - 2, *product = sums + count, largest = 0;
  double scale = weight[0] / weight[1];
  for (size_t g = 0; g < (size_t)count * (size_t)count; g++)
    product[g] *= scale;
  for (int g = 0; g < count; g++) { /* 0: a state without rows */
    double *diagonal = product + (size_t)g * ((size_t)count + 1);
    *diagonal = *diagonal > 0 ? *diagonal * (1 + RIDGE) : 1;
  }
  F77_CALL(dposv)("L", &count, &one, product, &count, sums, &count, &info FCONE);
  for (int g = 0; g < s->n_shears; g++)
    largest = fmax(largest, fabs(step * sums[g]));
  double by = info != 0 ? 0 : largest > MAX_SHEAR ? step * MAX_SHEAR / largest : step;
  for (int g = 0; g < d * d; g++)
    t[g] = g % (d + 1) == 0 ? 1 : s->tied[g] ? 0 : by * *sums++;
}

int shear_step(const shear_plan *s, double *sums, double step, double *t, double *inverse,
               double *work) {
  int d = s->mech->graph.d, info;
  size_t square = (size_t)d * (size_t)d;
  int pivot[MAX_SHEARED];
  scoring_step(s, sums, step, t);
  memset(inverse, 0, square * sizeof(double));
  for (int j = 0; j < d; j++)
    inverse[j + j * d] = 1;
  memcpy(work, t, square * sizeof(double));
  F77_CALL(dgesv)(&d, &d, work, &d, pivot, inverse, &d, &info);
  return info == 0 ? STATUS_OK : STATUS_DEPENDENT;
}
