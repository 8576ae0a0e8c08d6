#include "gaussian_em.h"

#include "rng.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

const char *const gaussian_em_columns[GAUSSIAN_VARIANCES] = {"sigma2", "loglik", "change"};

/* ---- moments ------------------------------------------------------------------------------- */

/* Gathers up to X_ROWS rows of a group from row *at on; returns how many. */
static int gather(const double *y, int q, const latent_sample *rows, const int *group, int g,
                  size_t *at, double *block) {
  int many = 0;
  for (; *at < rows->n && many < X_ROWS; ++*at) {
    if (group[rows->env[*at] - 1] != g + 1)
      continue;
    double root = sqrt(row_weight(rows, *at));
    for (int k = 0; k < q; k++)
      block[many + (size_t)k * X_ROWS] = root * y[*at + (size_t)k * rows->n];
    block[many + (size_t)q * X_ROWS] = root;
    many++;
  }
  return many;
}

void gaussian_em_moments(const double *y, int q, const latent_sample *rows, const int *group,
                         int n_groups, double *weight, double *mean, double *second,
                         allocator alloc, void (*poll)(void)) {
  const double one = 1;
  const int ld = X_ROWS, step = 1;
  double *block = workspace_doubles((size_t)(q + 1) * X_ROWS, alloc);
  memset(weight, 0, (size_t)n_groups * sizeof(double));
  memset(mean, 0, (size_t)n_groups * (size_t)q * sizeof(double));
  memset(second, 0, (size_t)n_groups * (size_t)q * (size_t)q * sizeof(double));
  for (int g = 0; g < n_groups; g++) {
    double *m = mean + (size_t)g * (size_t)q, *s = second + (size_t)g * (size_t)q * (size_t)q;
    int many;
    for (size_t at = 0; (many = gather(y, q, rows, group, g, &at, block)) > 0; poll()) {
      const double *root = block + (size_t)q * X_ROWS;
      weight[g] += F77_CALL(ddot)(&many, root, &step, root, &step);
      F77_CALL(dgemv)("T", &many, &q, &one, block, &ld, root, &step, &one, m, &step FCONE);
      F77_CALL(dsyrk)("L", "T", &q, &many, &one, block, &ld, &one, s, &q FCONE FCONE);
    }
    for (int k = 0; k < q; k++) {
      m[k] /= weight[g];
      for (int l = 0; l <= k; l++)
        s[l + (size_t)k * (size_t)q] = s[k + (size_t)l * (size_t)q] /= weight[g];
    }
  }
}

/* ---- set-up -------------------------------------------------------------------------------- */

static size_t n_cells(const gaussian_em *s) {
  return (size_t)graph_cells(&s->prior->graph);
}

static size_t n_parameters(const gaussian_em *s) {
  size_t d = (size_t)s->prior->graph.d;
  return (size_t)s->data->q * d + n_cells(s) * (d + 2) + 1;
}

double gaussian_em_bytes(double q, double d, double n_groups) {
  return sizeof(double) *
         (n_groups * (q + 1 + d) * (q + d) + 12 * q * d + 6 * d * (d + 2) + (q + 1) * X_ROWS);
}

static expected_moments moments_new(const gaussian_em *s, allocator alloc) {
  const set_moments *m = s->data;
  size_t d = (size_t)s->prior->graph.d, q = (size_t)m->q, groups = (size_t)m->n_groups;
  expected_moments z = {.cross = alloc(q * d, sizeof(double)),
                        .second = alloc(d * d, sizeof(double)),
                        .group_mean = alloc(groups * d, sizeof(double)),
                        .group_second = alloc(groups * d * d, sizeof(double))};
  return z;
}

void gaussian_em_prepare(gaussian_em *s, allocator alloc) {
  const set_moments *m = s->data;
  size_t d = (size_t)s->prior->graph.d, q = (size_t)m->q;
  noise_level *noise = &s->model->noise;
  *noise = measurement_noise_level(noise->value, noise->learned, m->sum_sq, m->rows * m->p);
  s->moments = moments_new(s, alloc);
  s->posterior = gaussian_posterior_new((int)d, alloc);
  s->work.projected = alloc(q * d, sizeof(double));
  s->work.wide = alloc(q * d, sizeof(double));
  s->work.left = alloc(d * d, sizeof(double));
  s->work.middle = alloc(d * d, sizeof(double));
  s->before = alloc(n_parameters(s), sizeof(double));
  s->after = alloc(n_parameters(s), sizeof(double));
}

/* ---- E-step -------------------------------------------------------------------------------- */

/* projected = E[yy'] A (q x d) and middle = E hh', h = Lambda m + A'y / sigma2 (d x d); E h goes to
 * the mean of z. */
static void group_projection(gaussian_em *s, int g) {
  const set_moments *m = s->data;
  const double one = 1, zero = 0;
  const int step = 1;
  int d = s->prior->graph.d, q = m->q;
  double *h = s->moments.group_mean + (size_t)g * (size_t)d, *shift = s->posterior.shift;
  F77_CALL(dsymm)
  ("L", "L", &q, &d, &one, m->second + (size_t)g * (size_t)q * (size_t)q, &q, s->model->mixing, &q,
   &zero, s->work.projected, &q FCONE FCONE);
  F77_CALL(dgemm)
  ("T", "N", &d, &d, &q, &one, s->model->mixing, &q, s->work.projected, &q, &zero, s->work.middle,
   &d FCONE FCONE);
  F77_CALL(dgemv)
  ("T", &q, &d, &one, s->model->mixing, &q, m->mean + (size_t)g * (size_t)q, &step, &zero, h,
   &step FCONE);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++)
      s->work.middle[j + k * d] =
          s->work.middle[j + k * d] / (s->model->noise.value * s->model->noise.value) +
          (shift[j] * h[k] + h[j] * shift[k]) / s->model->noise.value + shift[j] * shift[k];
  for (int j = 0; j < d; j++)
    h[j] = shift[j] + h[j] / s->model->noise.value;
}

/* out (d x d) = a b. */
static void small_product(const double *a, const double *b, int d, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &d, &d, &d, &one, a, &d, b, &d, &zero, out, &d FCONE FCONE);
}

/* Adds a group to the sums, and its part of the log-likelihood. */
static void add_group(gaussian_em *s, int g) {
  const set_moments *m = s->data;
  const double one = 1, weight = m->weight[g];
  int d = s->prior->graph.d, q = m->q;
  const double *k = s->posterior.covariance;
  double *mean = s->moments.group_mean + (size_t)g * (size_t)d, trace = 0;
  double *second = s->moments.group_second + (size_t)g * (size_t)d * (size_t)d;
  group_projection(s, g);
  for (int j = 0; j < d; j++) {
    s->work.left[j] = 0;
    for (int l = 0; l < d; l++) {
      s->work.left[j] += k[j + l * d] * mean[l];
      trace += k[j + l * d] * s->work.middle[j + l * d];
    }
  }
  memcpy(mean, s->work.left, (size_t)d * sizeof(double));
  s->loglik += weight / 2 * (s->posterior.log_det - s->posterior.square + trace);
  small_product(k, s->work.middle, d, s->work.left);
  small_product(s->work.left, k, d, second);
  for (int j = 0; j < d * d; j++) {
    second[j] += k[j];
    s->moments.second[j] += weight * second[j];
  }
  for (int j = 0; j < d; j++)
    for (int i = 0; i < q; i++)
      s->work.wide[i + (size_t)j * (size_t)q] =
          m->mean[i + (size_t)g * (size_t)q] * s->posterior.shift[j] +
          s->work.projected[i + (size_t)j * (size_t)q] / s->model->noise.value;
  F77_CALL(dgemm)
  ("N", "N", &q, &d, &d, &weight, s->work.wide, &q, k, &d, &one, s->moments.cross, &q FCONE FCONE);
}

/* Moments of the latents, and the log-likelihood, at the present parameters. */
static int find_moments(gaussian_em *s) {
  const set_moments *m = s->data;
  size_t d = (size_t)s->prior->graph.d;
  memset(s->moments.cross, 0, (size_t)m->q * d * sizeof(double));
  memset(s->moments.second, 0, d * d * sizeof(double));
  s->loglik = -m->rows * m->p / 2 * log(2 * M_PI * s->model->noise.value) -
              m->sum_sq / (2 * s->model->noise.value);
  s->model->kind->refresh(s->model);
  for (int g = 0; g < m->n_groups; g++) {
    int status = gaussian_posterior_of(s->prior, m->targets + g, m->n_groups, s->model->gram,
                                       s->model->noise.value, &s->posterior);
    if (status != STATUS_OK)
      return status;
    add_group(s, g);
  }
  return STATUS_OK;
}

static int e_step(gaussian_em *s) {
  int status = find_moments(s);
  return status == STATUS_OK && !isfinite(s->loglik) ? STATUS_NOT_FINITE : status;
}

/* ---- M-step -------------------------------------------------------------------------------- */

/* In each cell the regression of the node on its parents, over the groups in its state: what
 * maximises the expected log-likelihood. */
static int fit_prior(gaussian_em *s) {
  const set_moments *m = s->data;
  const group_moments z = {s->prior->graph.d, m->n_groups,           m->targets,
                           m->weight,         s->moments.group_mean, s->moments.group_second};
  s->prior->left_out = 0;
  linear_scm_fit(s->prior, &z, NULL, 0);
  return s->prior->left_out ? STATUS_DEPENDENT : STATUS_OK;
}

/* Moments of the latents after latent j is multiplied by length[j]. */
static void scale_latents(gaussian_em *s, const double *length) {
  expected_moments *z = &s->moments;
  size_t d = (size_t)s->prior->graph.d, q = (size_t)s->data->q, groups = (size_t)s->data->n_groups;
  for (size_t j = 0; j < d; j++) {
    for (size_t g = 0; g < groups; g++) {
      z->group_mean[j + g * d] *= length[j];
      for (size_t k = 0; k < d; k++)
        z->group_second[j + (k + g * d) * d] *= length[j] * length[k];
    }
    for (size_t k = 0; k < d; k++)
      z->second[j + k * d] *= length[j] * length[k];
    for (size_t i = 0; i < q; i++)
      z->cross[i + j * q] *= length[j];
  }
}

/* A (4.7), the prior, and sigma2 (4.9). */
static int m_step(gaussian_em *s) {
  measurement *m = s->model;
  const measurement_kind *kind = m->kind;
  int status = kind->update ? kind->update(m, s->moments.cross, s->moments.second) : STATUS_OK;
  if (status == STATUS_OK && kind->rescales)
    scale_latents(s, m->scale);
  if (status == STATUS_OK)
    status = fit_prior(s);
  if (status == STATUS_OK)
    measurement_update_noise(m, s->moments.cross, s->moments.second);
  return status;
}

/* ---- the algorithm ------------------------------------------------------------------------- */

/* All parameters in one vector: A, slopes, intercepts, variances. */
static void pack(const gaussian_em *s, double *to) {
  size_t d = (size_t)s->prior->graph.d, tall = (size_t)s->data->q * d, cells = n_cells(s);
  memcpy(to, s->model->mixing, tall * sizeof(double));
  memcpy(to + tall, s->prior->slope, cells * d * sizeof(double));
  memcpy(to + tall + cells * d, s->prior->intercept, cells * sizeof(double));
  to += tall + cells * (d + 1);
  for (size_t c = 0; c < cells; c++)
    to[c] = s->prior->variance[c];
  to[cells] = s->model->noise.value;
}

/* |after - before| / |after|; 0 where both are 0. */
static double relative_change(const double *before, const double *after, size_t length) {
  double moved = 0, size = 0;
  for (size_t i = 0; i < length; i++) {
    moved += (after[i] - before[i]) * (after[i] - before[i]);
    size += after[i] * after[i];
  }
  return moved > 0 ? sqrt(moved / size) : 0;
}

/* Slopes and intercepts as those of latents of mean square 1. */
static void standardise_prior(const gaussian_em *s, double *packed) {
  size_t d = (size_t)s->prior->graph.d, states = (size_t)s->prior->graph.n_states;
  double *slope = packed + (size_t)s->data->q * d, *intercept = slope + n_cells(s) * d;
  for (size_t j = 0; j < d; j++) {
    double size = sqrt(s->moments.second[j + j * d] / s->data->rows);
    for (size_t c = j * states; c < (j + 1) * states; c++) {
      intercept[c] /= size;
      for (size_t k = 0; k < d; k++)
        slope[k + c * d] *= sqrt(s->moments.second[k + k * d] / s->data->rows) / size;
    }
  }
}

/* The largest change among A, slopes and intercepts, and the variances, each relative. In no units:
 * slopes and intercepts are standardised in place. */
static double change_of(const gaussian_em *s, double *before, double *after) {
  size_t d = (size_t)s->prior->graph.d, tall = (size_t)s->data->q * d, prior = n_cells(s) * (d + 1);
  standardise_prior(s, before);
  standardise_prior(s, after);
  double change = fmax(relative_change(before, after, tall),
                       relative_change(before + tall, after + tall, prior));
  for (size_t c = tall + prior; c < n_parameters(s); c++)
    change = fmax(change, fabs(log(after[c] / before[c])));
  return change;
}

/* The prior of the start: regressions among the latents under a flat one. */
static int start_prior(gaussian_em *s) {
  linear_scm *prior = s->prior;
  for (size_t c = 0; c < n_cells(s); c++)
    prior->variance[c] = INFINITY;
  int status = find_moments(s);
  for (size_t c = 0; c < n_cells(s); c++)
    prior->variance[c] = 1; /* where there are no rows */
  if (status == STATUS_OK)
    status = fit_prior(s);
  prior->floored = 0;
  return status;
}

static void record(gaussian_em *s) {
  size_t rows = (size_t)s->set.max_iter, row = (size_t)s->iterations++;
  s->trace[GAUSSIAN_SIGMA2 * rows + row] = s->model->noise.value;
  s->trace[GAUSSIAN_LOGLIK * rows + row] = s->loglik;
  s->trace[GAUSSIAN_CHANGE * rows + row] = s->change;
  for (size_t c = 0; c < n_cells(s); c++)
    s->trace[(GAUSSIAN_VARIANCES + c) * rows + row] = s->prior->variance[c];
}

int gaussian_em_run(gaussian_em *s) {
  int d = s->prior->graph.d, status;
  s->model->kind->refresh(s->model);
  for (int j = 0; j < d; j++)
    s->model->scale[j] = sqrt(s->model->gram[j + j * d]);
  status = s->prior_given ? STATUS_OK : start_prior(s);
  if (status == STATUS_OK)
    status = e_step(s);
  while (status == STATUS_OK && s->iterations < s->set.max_iter && !s->converged) {
    pack(s, s->before);
    status = m_step(s);
    if (status == STATUS_OK)
      status = e_step(s);
    pack(s, s->after);
    s->change = change_of(s, s->before, s->after);
    s->converged = s->change < s->set.tol;
    record(s);
    s->set.tick(s->iterations, s->change, s->set.ctx);
  }
  return status;
}

/* ---- posterior of rows --------------------------------------------------------------------- */

/* The affine map from x to the posterior of a combination of targets. */
typedef struct {
  gaussian_posterior posterior;
  double *weights; /* d x d: K / sigma2, to multiply A'x */
  double *offset;  /* d: K Lambda m */
  double *sd;      /* d */
} affine_posterior;

static int affine_of(const linear_scm *m, const latent_sample *rows, int e, const double *gram,
                     double sigma2, affine_posterior *to, allocator alloc) {
  int d = m->graph.d;
  to->posterior = gaussian_posterior_new(d, alloc);
  to->weights = alloc((size_t)(d * d), sizeof(double));
  to->offset = alloc((size_t)d, sizeof(double));
  to->sd = alloc((size_t)d, sizeof(double));
  int status =
      gaussian_posterior_of(m, rows->targets + e, rows->n_domains, gram, sigma2, &to->posterior);
  const double *k = to->posterior.covariance;
  for (int j = 0; j < d; j++) {
    to->sd[j] = sqrt(k[j + j * d]);
    to->offset[j] = 0;
    for (int l = 0; l < d; l++) {
      to->offset[j] += k[j + l * d] * to->posterior.shift[l];
      to->weights[j + l * d] = k[j + l * d] / sigma2;
    }
  }
  return status;
}

/* Draws of a row: mean + R'^-1 e, R the Cholesky factor of the posterior precision. */
static void draw_row(const affine_posterior *at, int d, size_t row, size_t n,
                     const gaussian_latents *out, double *normal) {
  const int step = 1;
  for (int t = 0; t < out->keep; t++) {
    rng_normals(out->seed, (uint32_t)t, row, normal, (size_t)d);
    F77_CALL(dtrsv)
    ("L", "T", "N", &d, at->posterior.root, &d, normal, &step FCONE FCONE FCONE);
    for (int j = 0; j < d; j++)
      out->draws[row + ((size_t)t * (size_t)d + (size_t)j) * n] =
          out->mean[row + (size_t)j * n] + normal[j];
  }
}

/* Moments of rows whose A'x is in projected (d x X_ROWS). */
static void write_block(const affine_posterior *domain, const latent_sample *rows, int d,
                        size_t start, int many, const double *projected,
                        const gaussian_latents *out, double *normal) {
  size_t n = rows->n;
  for (int i = 0; i < many; i++) {
    size_t row = start + (size_t)i;
    const affine_posterior *at = &domain[rows->env[row] - 1];
    for (int j = 0; j < d; j++) {
      double mean = at->offset[j];
      for (int l = 0; l < d; l++)
        mean += at->weights[j + l * d] * projected[i + (size_t)l * X_ROWS];
      out->mean[row + (size_t)j * n] = mean;
      out->sd[row + (size_t)j * n] = at->sd[j];
      for (int k = 0; k < out->n_probs; k++)
        out->quantile[row + ((size_t)k * (size_t)d + (size_t)j) * n] =
            mean + out->deviate[k] * at->sd[j];
    }
    draw_row(at, d, row, n, out, normal);
  }
}

int gaussian_em_latents(const linear_scm *m, const double *x, int p, const latent_sample *rows,
                        const double *mixing, double sigma2, const gaussian_latents *out,
                        allocator alloc) {
  int d = m->graph.d, status = STATUS_OK;
  const double one = 1, zero = 0;
  row_shards shards = shard_rows(rows->n);
  size_t scratch = (size_t)d * (X_ROWS + 1);
  double *gram = alloc((size_t)(d * d), sizeof(double));
  double *block = workspace_doubles((size_t)shards.n_shards * scratch, alloc);
  affine_posterior *domain = alloc((size_t)rows->n_domains, sizeof(affine_posterior));
  F77_CALL(dgemm)
  ("T", "N", &d, &d, &p, &one, mixing, &p, mixing, &p, &zero, gram, &d FCONE FCONE);
  for (int e = 0; e < rows->n_domains && status == STATUS_OK; e++)
    status = affine_of(m, rows, e, gram, sigma2, &domain[e], alloc);
  if (status != STATUS_OK)
    return status;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(out->threads)
#endif
  for (int k = 0; k < shards.n_shards; k++) {
    double *projected = block + (size_t)k * scratch, *normal = projected + (size_t)d * X_ROWS;
    size_t end = shard_start(&shards, k + 1);
    for (size_t start = shard_start(&shards, k); start < end; start += X_ROWS) {
      int many = end - start < X_ROWS ? (int)(end - start) : X_ROWS;
      linalg_rows_times(x, rows->n, p, start, many, mixing, d, projected, X_ROWS);
      write_block(domain, rows, d, start, many, projected, out, normal);
    }
  }
  return status;
}
