#include "refine.h"

#include "additive.h"
#include "line_search.h"

#include <R_ext/BLAS.h>
#include <math.h>
#include <string.h>

enum { STEPS = 10 };

static const double JITTER =
    1e-6; /* of the weight: constants of several parents are exchangeable */

static int coefficients(int n_parents, int n_basis) {
  return n_parents * n_basis;
}

/* Normal equations of a state: matrix, right-hand side, and the node's own sums. */
typedef struct {
  double *gram, *rhs, weight, sum, square;
} state_sums;

/* Doubles of scratch a node needs. */
static size_t node_size_of(const causal_graph *g, int n_basis) {
  size_t most = 0;
  for (int j = 0; j < g->d; j++)
    most = (size_t)graph_parents(g, j) > most ? (size_t)graph_parents(g, j) : most;
  size_t m = most * (size_t)n_basis;
  return (size_t)g->n_states * (m * m + m) + m + 4 * most * ORDER + most * most;
}

/* The basis of a row's parents, four values each: functions of the noisy parents, and what stands
 * for the same functions of the parents themselves. */
typedef struct {
  int first[MAX_FAMILY];
  double *value, *slope, *curve, *clean;
} parent_basis;

/* A column of z, or its trial version. */
static const double *column(const refinement *f, int j, int a, int b) {
  size_t n = f->rows->n;
  return j == a ? f->turned : (j == b ? f->turned + n : f->z + (size_t)j * n);
}

static void least_and_most(const double *v, size_t n, double *lo, double *hi) {
  *lo = *hi = v[0];
  for (size_t i = 1; i < n; i++) {
    *lo = v[i] < *lo ? v[i] : *lo;
    *hi = v[i] > *hi ? v[i] : *hi;
  }
}

/* Noise of a node and its parents: variances of the parents, covariances with the node and among
 * the parents (n_parents^2; NULL: all are 0). */
typedef struct {
  double own, parent[MAX_FAMILY], with[MAX_FAMILY];
  const double *among;
} family_noise;

static family_noise noise_of_family(const refinement *f, int node, double *among) {
  size_t d = (size_t)f->graph.d, many = (size_t)graph_parents(&f->graph, node);
  const int *coord = f->graph.family[node] + 1;
  const double *own = f->trial + (size_t)node * d;
  family_noise e = {.own = own[node], .among = f->isotropic ? NULL : among};
  for (size_t k = 0; k < many; k++) {
    e.parent[k] = f->trial[(size_t)coord[k] * (d + 1)];
    e.with[k] = f->isotropic ? 0 : own[coord[k]];
    for (size_t l = 0; l < many; l++)
      among[k + l * many] = f->trial[(size_t)coord[k] + (size_t)coord[l] * d];
  }
  return e;
}

/* The values of all parents of a row. With noise e of variance N_kk, E h(y) = E h(z + e) =
 * E h(z) + N_kk / 2 E h''(z) + ..., so h - N_kk / 2 h'' at y stands for h at z: exactly for
 * cubics, hence for linear and quadratic mechanisms in all sums below. */
INLINE void fill_parents(const refinement *f, int n_parents, const double *const *parent,
                         size_t row, const double *lo, const double *scale,
                         const family_noise *noise, parent_basis *b) {
  for (int k = 0; k < n_parents; k++)
    b->first[k] =
        bspline_curved_at(&f->table, lo[k], scale[k], parent[k][row], b->value + k * ORDER,
                          b->slope + k * ORDER, b->curve + k * ORDER);
  for (int g = 0; g < n_parents * ORDER; g++)
    b->clean[g] = b->value[g] - noise->parent[g / ORDER] / 2 * b->curve[g];
}

/* Products of one function of a parent with all four, corrected in the same way, added to a column
 * of the matrix. */
INLINE void add_clean_products(const parent_basis *b, int k, int t, double noise, double w,
                               double *column) {
  const double *value = b->value + k * ORDER, *slope = b->slope + k * ORDER,
               *curve = b->curve + k * ORDER;
  double v = value[t], s = slope[t], c = curve[t];
  SIMD for (int u = 0; u < ORDER; u++) {
    double bend = c * value[u] + 2 * s * slope[u] + v * curve[u];
    column[u] += w * (v * value[u] - noise / 2 * bend);
  }
}

/* Covariances of the noise of two coordinates, N_kl, move products of functions of the two by N_kl
 * times the product of slopes, to first order: what is taken off. */
INLINE void take_covariances(state_sums *s, int m, int n_parents, int n_basis,
                             const parent_basis *b, const family_noise *noise, double w) {
  for (int k = 0; k < n_parents; k++)
    for (int t = 0; t < ORDER; t++) {
      int col = k * n_basis + b->first[k] + t;
      double slope = w * b->slope[k * ORDER + t], *column = s->gram + (size_t)col * (size_t)m;
      s->rhs[col] -= slope * noise->with[k];
      for (int l = k + 1; l < n_parents; l++) {
        const double *other = b->slope + l * ORDER;
        double by = slope * noise->among[k + l * n_parents];
        double *out = column + l * n_basis + b->first[l];
        SIMD for (int u = 0; u < ORDER; u++) out[u] -= by * other[u];
      }
    }
}

INLINE void add_row(state_sums *s, int m, int n_parents, int n_basis, const parent_basis *b,
                    const family_noise *noise, double z, double w) {
  s->weight += w;
  s->sum += w * z;
  s->square += w * z * z;
  for (int k = 0; k < n_parents; k++)
    for (int t = 0; t < ORDER; t++) {
      int col = k * n_basis + b->first[k] + t;
      double clean = w * b->clean[k * ORDER + t], *column = s->gram + (size_t)col * (size_t)m;
      s->rhs[col] += clean * z;
      add_clean_products(b, k, t, noise->parent[k], w, column + k * n_basis + b->first[k]);
      for (int l = k + 1; l < n_parents; l++)
        additive_add_products(clean, b->clean + l * ORDER, column + l * n_basis + b->first[l]);
    }
  if (noise->among)
    take_covariances(s, m, n_parents, n_basis, b, noise, w);
}

static double smoothing(const refinement *f, int node, int parent) {
  const double *own = f->set.edge_lambda;
  return own ? own[parent + (size_t)node * (size_t)f->graph.d] : f->set.lambda;
}

/* Residual variance of the penalised additive regression; plain variance without parents, and where
 * the correction for noise leaves the normal equations indefinite, which is counted. */
static double residual_variance(const refinement *f, state_sums *s, int node, int m,
                                double *theta) {
  refine_count *count = &f->count[node];
  double lambda[MAX_FAMILY], rss = s->square - s->sum * s->sum / s->weight;
  if (m == 0)
    return rss / s->weight;
  int n_parents = m / f->table.n_basis;
  for (int k = 0; k < n_parents; k++)
    lambda[k] = smoothing(f, node, f->graph.family[node][k + 1]);
  additive_penalise(&f->penalty, n_parents, lambda, JITTER * s->weight, s->gram);
  count->fitted++;
  if (additive_solve(m, s->gram, s->rhs, theta, 0) != STATUS_OK) {
    count->indefinite++;
    return rss / s->weight;
  }
  double explained = 0;
  for (int g = 0; g < m; g++)
    explained += theta[g] * s->rhs[g];
  return (s->square - explained) / s->weight;
}

/* Sums of a node's states over the rows, those of parents where they act. */
WIDE_VECTORS static void sum_states(const refinement *f, int node, int a, int b, double *work,
                                    state_sums *s) {
  int n_parents = graph_parents(&f->graph, node), n_basis = f->table.n_basis;
  int m = n_parents * n_basis, stride = n_parents * ORDER;
  parent_basis basis = {.value = work,
                        .slope = work + stride,
                        .curve = work + 2 * stride,
                        .clean = work + 3 * stride};
  double lo[MAX_FAMILY], scale[MAX_FAMILY];
  const family_noise noise = noise_of_family(f, node, work + 4 * stride);
  const double *own = column(f, node, a, b), *parent[MAX_FAMILY];
  for (int k = 0; k < n_parents; k++) {
    double hi;
    parent[k] = column(f, f->graph.family[node][k + 1], a, b);
    least_and_most(parent[k], f->rows->n, &lo[k], &hi);
    scale[k] = (f->table.knots - 1) / (hi - lo[k]);
  }
  for (size_t i = 0; i < f->rows->n; i++) {
    int c = row_state(f->rows, i, node), parents = graph_acting(&f->graph, node, c);
    fill_parents(f, parents, parent, i, lo, scale, &noise, &basis);
    add_row(&s[c], m, parents, n_basis, &basis, &noise, own[i], row_weight(f->rows, i));
  }
}

/* A node's part of F, with columns a and b on trial (-1: none). */
static double node_value(const refinement *f, int node, int a, int b, double *work) {
  const causal_graph *g = &f->graph;
  int n_basis = f->table.n_basis, m = coefficients(graph_parents(g, node), n_basis);
  size_t square = (size_t)m * (size_t)m, size = square + (size_t)m;
  state_sums s[MAX_STATES];
  double *theta = work + (size_t)g->n_states * size, total = 0;
  for (int c = 0; c < g->n_states; c++) {
    state_sums empty = {work + (size_t)c * size, work + (size_t)c * size + square, 0, 0, 0};
    s[c] = empty;
  }
  memset(work, 0, (size_t)g->n_states * size * sizeof(double));
  sum_states(f, node, a, b, theta + m, s);
  for (int c = 0; c < g->n_states; c++)
    if (s[c].weight > 0) {
      int acting = coefficients(graph_acting(g, node, c), n_basis);
      double v = residual_variance(f, &s[c], node, acting, theta);
      v -= f->trial[(size_t)node * ((size_t)f->graph.d + 1)];
      f->count[node].floored += !(v > f->set.variance_floor);
      total += s[c].weight / 2 * log(v > f->set.variance_floor ? v : f->set.variance_floor);
    }
  return total;
}

static int in_family(const refinement *f, int node, int a, int b) {
  for (int k = 0; k <= graph_parents(&f->graph, node); k++)
    if (f->graph.family[node][k] == a || f->graph.family[node][k] == b)
      return 1;
  return 0;
}

/* Sum of the nodes' parts that a turn of (a, b) changes; node by node, so in a fixed order. */
static double affected_value(refinement *f, int a, int b) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(f->set.threads)
#endif
  for (int j = 0; j < f->graph.d; j++)
    f->value[j] =
        in_family(f, j, a, b) ? node_value(f, j, a, b, f->work + (size_t)j * f->node_size) : 0;
  double sum = 0;
  for (int j = 0; j < f->graph.d; j++)
    sum += f->value[j];
  return sum;
}

/* A plane of a refinement: what the line search turns in. */
typedef struct {
  refinement *f;
  int a, b;
} plane;

static void turn_pair(double *m, size_t rows, int a, int b, double angle) {
  double c = cos(angle), s = sin(angle), *u = m + (size_t)a * rows, *v = m + (size_t)b * rows;
  for (size_t i = 0; i < rows; i++) {
    double x = u[i], y = v[i];
    u[i] = c * x + s * y;
    v[i] = -s * x + c * y;
  }
}

/* Covariance of the noise, R'N R, under a turn of coordinates a and b. */
static void turn_noise(const refinement *f, int a, int b, double angle, double *out) {
  size_t d = (size_t)f->graph.d;
  memcpy(out, f->noise, d * d * sizeof(double));
  if (f->isotropic)
    return;
  turn_pair(out, d, a, b, angle);
  double c = cos(angle), s = sin(angle);
  for (size_t j = 0; j < d; j++) {
    double *column = out + j * d, x = column[a], y = column[b];
    column[a] = c * x + s * y;
    column[b] = -s * x + c * y;
  }
}

static double turned_value(double angle, void *context) {
  const plane *at = context;
  refinement *f = at->f;
  size_t n = f->rows->n;
  const double *u = f->z + (size_t)at->a * n, *v = f->z + (size_t)at->b * n;
  double c = cos(angle), s = sin(angle);
  for (size_t i = 0; i < n; i++) {
    f->turned[i] = c * u[i] + s * v[i];
    f->turned[n + i] = -s * u[i] + c * v[i];
  }
  turn_noise(f, at->a, at->b, angle, f->trial);
  return affected_value(f, at->a, at->b);
}

/* The best angle within width of 0; 0 if nothing is better. */
static double search_plane(refinement *f, int a, int b, double width, double *gain) {
  plane at = {f, a, b};
  double best, start = turned_value(0, &at);
  double angle = line_search_golden(turned_value, &at, -width, width, STEPS, &best);
  *gain = start > best ? start - best : 0;
  return *gain > 0 ? angle : 0;
}

/* The same near an optimum: the vertex of the parabola through three angles, or the best of them.
 */
static double step_in_plane(refinement *f, int a, int b, double width, double *gain) {
  plane at = {f, a, b};
  double here = turned_value(0, &at), left = turned_value(-width, &at);
  double right = turned_value(width, &at), bend = left - 2 * here + right;
  double angle = left < right ? -width : width, best = left < right ? left : right;
  if (bend > 0) {
    double vertex = width / 2 * (left - right) / bend;
    vertex = fmax(-2 * width, fmin(2 * width, vertex));
    double value = turned_value(vertex, &at);
    if (value < best) {
      best = value;
      angle = vertex;
    }
  }
  *gain = here > best ? here - best : 0;
  return *gain > 0 ? angle : 0;
}

static double total_value(refinement *f) {
  double value = 0;
  for (int j = 0; j < f->graph.d; j++)
    value += node_value(f, j, -1, -1, f->work);
  return value;
}

static int is_turned(const refinement *f, int a, int b) {
  return f->set.focus == NULL || (f->set.focus[a] && f->set.focus[b]);
}

double refine_rotation(refinement *f, double *r) {
  size_t d = (size_t)f->graph.d, square = d * d * sizeof(double);
  memcpy(f->trial, f->noise, square);
  double value = total_value(f);
  for (int sweep = f->set.first_sweep; sweep < f->set.max_sweeps; sweep++) {
    double gain = 0, reach = ldexp(f->set.width, -sweep);
    for (int a = 0; a < f->graph.d; a++)
      for (int b = a + 1; b < f->graph.d; b++) {
        if (!is_turned(f, a, b))
          continue;
        double here, angle = sweep == 0 ? search_plane(f, a, b, reach, &here)
                                        : step_in_plane(f, a, b, reach, &here);
        turn_noise(f, a, b, angle, f->trial);
        memcpy(f->noise, f->trial, square);
        turn_pair(f->z, f->rows->n, a, b, angle);
        turn_pair(r, d, a, b, angle);
        gain += here;
        f->set.poll();
      }
    value = total_value(f);
    if (gain < f->set.tol * fabs(value))
      break;
  }
  return value;
}

refinement refine_new(const latent_sample *rows, const causal_graph *g, const refine_settings *set,
                      allocator alloc) {
  size_t d = (size_t)g->d;
  refinement f = {.rows = rows,
                  .graph = *g,
                  .set = *set,
                  .penalty = penalty_new(PENALTY_DIFFERENCE, 2, set->knots, alloc),
                  .noise = alloc(d * d, sizeof(double)),
                  .trial = alloc(d * d, sizeof(double)),
                  .z = alloc(rows->n * d, sizeof(double)),
                  .turned = alloc(2 * rows->n, sizeof(double)),
                  .value = alloc(d, sizeof(double)),
                  .count = alloc(d, sizeof(refine_count)),
                  .node_size = node_size_of(g, set->knots + 2)};
  f.table =
      bspline_table_fill(set->knots, alloc((size_t)bspline_table_size(set->knots), sizeof(double)));
  f.work = alloc(d * f.node_size, sizeof(double));
  memset(f.count, 0, d * sizeof(refine_count));
  return f;
}

void refine_start(refinement *f, const double *y, const double *r, const projection_noise *noise) {
  const double one = 1, zero = 0;
  int d = f->graph.d, rows = (int)f->rows->n;
  F77_CALL(dgemm)
  ("N", "N", &rows, &d, &d, &one, y, &rows, r, &d, &zero, f->z, &rows FCONE FCONE);
  f->isotropic = noise->shape == NULL;
  for (int g = 0; g < d * d; g++)
    f->noise[g] = g % (d + 1) == 0 ? noise->sigma2 : 0;
  if (f->isotropic)
    return;
  F77_CALL(dgemm)
  ("N", "N", &d, &d, &d, &noise->sigma2, noise->shape, &d, r, &d, &zero, f->trial, &d FCONE FCONE);
  F77_CALL(dgemm)
  ("T", "N", &d, &d, &d, &one, r, &d, f->trial, &d, &zero, f->noise, &d FCONE FCONE);
}

refine_count refine_counts(const refinement *f) {
  refine_count all = {0, 0, 0};
  for (int j = 0; j < f->graph.d; j++) {
    all.fitted += f->count[j].fitted;
    all.indefinite += f->count[j].indefinite;
    all.floored += f->count[j].floored;
  }
  return all;
}
