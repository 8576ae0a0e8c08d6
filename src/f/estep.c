#include "estep.h"

#include <math.h>
#include <string.h>

/* ---- sums over rows ------------------------------------------------------------------------ */

static size_t tall(const estep_state *e) {
  return (size_t)e->p * (size_t)e->rows.d;
}

static posterior_sums sums_new(const estep_state *e, allocator alloc) {
  posterior_sums s = {.cross = alloc(tall(e), sizeof(double)),
                      .second = alloc(measurement_second_size(e->model), sizeof(double)),
                      .loss = alloc((size_t)e->score->n_cells, sizeof(double))};
  return s;
}

static void sums_clear(const estep_state *e, posterior_sums *s) {
  memset(s->cross, 0, tall(e) * sizeof(double));
  memset(s->second, 0, measurement_second_size(e->model) * sizeof(double));
  memset(s->loss, 0, (size_t)e->score->n_cells * sizeof(double));
  s->moved = s->norm = 0;
  s->floored = s->outside = 0;
}

static void sums_add(const estep_state *e, posterior_sums *total, const posterior_sums *s) {
  for (size_t g = 0; g < tall(e); g++)
    total->cross[g] += s->cross[g];
  for (size_t g = 0; g < measurement_second_size(e->model); g++)
    total->second[g] += s->second[g];
  for (int c = 0; c < e->score->n_cells; c++)
    total->loss[c] += s->loss[c];
  total->moved += s->moved;
  total->norm += s->norm;
  total->floored += s->floored;
  total->outside += s->outside;
}

double estep_doubles(double n, double p, double d, double n_domains, int general) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS)), sums = p * d + 2 * d;
  sums += general ? d * d : d;
  return (shards + 1) * sums +
         shards * (d * X_ROWS + n_domains / 2 + measurement_task_doubles(d, general));
}

void estep_prepare(estep_state *e, allocator alloc) {
  size_t n_shards = (size_t)e->score->shards.n_shards;
  e->rows.y = e->y;
  e->rows.reference = e->reference ? e->reference->score : NULL;
  e->sums = sums_new(e, alloc);
  e->task = alloc(n_shards, sizeof(estep_task));
  for (size_t k = 0; k < n_shards; k++) {
    estep_task task = {.moments = measurement_task_new(e->model, alloc),
                       .sums = sums_new(e, alloc),
                       .z = workspace_doubles((size_t)e->rows.d * X_ROWS, alloc),
                       .floored = alloc((size_t)e->rows.n_domains, sizeof(int))};
    e->task[k] = task;
  }
}

/* ---- pseudo-latents ------------------------------------------------------------------------ */

/* Rows of a block that starts at `start`, at most `most`, within a shard that ends at `end`. */
static int block_rows(size_t start, size_t end, int most) {
  return end - start < (size_t)most ? (int)(end - start) : most;
}

void estep_project(estep_state *e) {
  size_t n = e->rows.n;
  row_shards shards = e->score->shards;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(e->score->set.threads)
#endif
  for (int k = 0; k < shards.n_shards; k++) {
    size_t end = shard_start(&shards, k + 1);
    for (size_t start = shard_start(&shards, k); start < end; start += X_ROWS)
      linalg_rows_times(e->x, n, e->p, start, block_rows(start, end, X_ROWS), e->model->projection,
                        e->rows.d, e->y + start, n);
  }
}

/* ---- posterior moments --------------------------------------------------------------------- */

static void copy_block(double *out, const double *block, size_t n, int d, size_t start, int rows) {
  if (out)
    for (int j = 0; j < d; j++)
      memcpy(out + (size_t)j * n + start, block + (size_t)j * BLOCK_ROWS,
             (size_t)rows * sizeof(double));
}

/* Negative variances of a block, in all and by domain. */
static void count_floored(const estep_state *e, estep_task *t, size_t start, int rows) {
  for (int i = 0; i < rows; i++) {
    t->floored[e->rows.env[start + (size_t)i] - 1] += t->moments.floored[i];
    t->sums.floored += (size_t)t->moments.floored[i];
  }
}

/* Latent j of a block: how far it has moved, and its new mean and standard deviation. */
static void store_latent(estep_state *e, posterior_sums *sum, int j, size_t start, int rows,
                         int first, const double *mean, const double *variance) {
  double *latent = e->out.latents + (size_t)j * e->rows.n + start;
  for (int i = 0; i < rows; i++) {
    double before = first ? 0 : latent[i];
    sum->moved += (mean[i] - before) * (mean[i] - before);
    sum->norm += before * before;
    latent[i] = mean[i];
  }
  if (e->out.sd)
    for (int i = 0; i < rows; i++)
      e->out.sd[(size_t)j * e->rows.n + start + (size_t)i] = sqrt(variance[i]);
}

/* Moments of a block's latents, stored and summed; the weighted means go to z (columns X_ROWS
 * apart), ready for cross. */
static void moments_block(estep_state *e, estep_task *t, size_t start, int rows, int first,
                          double *z) {
  int d = e->rows.d, full = e->model->kind->full;
  double weight[BLOCK_ROWS];
  e->model->kind->moments(e->model, &t->moments, e->y + start, e->rows.n, rows, e->eta, z);
  count_floored(e, t, start, rows);
  for (int i = 0; i < rows; i++)
    weight[i] = row_weight(&e->rows, start + (size_t)i);
  for (int j = 0; j < d; j++) {
    const double *mean = z + j * X_ROWS, *covariance = t->moments.covariance;
    store_latent(e, &t->sums, j, start, rows, first, mean,
                 covariance + (full ? j * (d + 1) : j) * BLOCK_ROWS);
    for (int k = full ? 0 : j; k < (full ? d : j + 1); k++) {
      double *second = &t->sums.second[full ? j + k * d : j], sum = *second;
      const double *other = z + k * X_ROWS;
      const double *joint = covariance + (full ? k * d + j : j) * BLOCK_ROWS;
      for (int i = 0; i < rows; i++)
        sum += weight[i] * (mean[i] * other[i] + joint[i]);
      *second = sum;
    }
  }
  for (int j = 0; j < d; j++)
    for (int i = 0; i < rows; i++)
      z[j * X_ROWS + i] *= weight[i];
}

/* Trace of the derivative of the score of O'x: of the Jacobian, or of N times it. */
static void divergence_block(const estep_state *e, const measurement_task *t, int rows,
                             double *out) {
  int d = e->rows.d;
  const double *shape = e->model->shape, *value = shape ? t->jacobian : t->slope;
  for (int i = 0; i < rows; i++)
    out[i] = 0;
  for (int g = 0; g < (shape ? d * d : d); g++) {
    double weight = shape ? shape[g] : 1;
    for (int i = 0; i < rows; i++)
      out[i] += weight * value[g * BLOCK_ROWS + i];
  }
}

/* The score (5.2) at a block of rows, and from it the moments. */
static void score_block(estep_state *e, estep_task *t, task_work *work, size_t at, int rows,
                        int first, double *z) {
  const score_model *m = e->score;
  measurement_task *s = &t->moments;
  size_t n = e->rows.n;
  int d = e->rows.d;
  for (int j = 0; j < d; j++)
    t->sums.outside +=
        basis_block_fill(&work->block, &m->table, m->range + 2 * j, e->y, n, j, at, rows);
  m->set.kind->evaluate(m, &e->rows, work, at, rows, s->score, s->slope, s->jacobian, t->sums.loss);
  if (e->reference)
    reference_add(e->reference, &e->rows, at, rows, s->score, s->slope, s->jacobian, t->sums.loss);
  if (e->out.divergence)
    divergence_block(e, s, rows, e->out.divergence + at);
  moments_block(e, t, at, rows, first, z);
  copy_block(e->out.score, s->score, n, d, at, rows);
  copy_block(e->out.dscore, s->slope, n, d, at, rows);
}

static void moments_shard(estep_state *e, int k, int first) {
  score_model *m = e->score;
  estep_task *t = &e->task[k];
  size_t end = shard_start(&m->shards, k + 1);
  sums_clear(e, &t->sums);
  memset(t->floored, 0, (size_t)e->rows.n_domains * sizeof(int));
  for (size_t start = shard_start(&m->shards, k); start < end; start += X_ROWS) {
    int many = block_rows(start, end, X_ROWS);
    for (size_t at = start; at < start + (size_t)many; at += BLOCK_ROWS)
      score_block(e, t, &m->task[k], at, block_rows(at, end, BLOCK_ROWS), first,
                  t->z + (at - start));
    linalg_rows_cross(e->x, e->rows.n, e->p, start, many, t->z, e->rows.d, t->sums.cross);
  }
}

void estep_moments(estep_state *e, int first) {
  score_model *m = e->score;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int k = 0; k < m->shards.n_shards; k++)
    moments_shard(e, k, first);
  sums_clear(e, &e->sums);
  for (int k = 0; k < m->shards.n_shards; k++)
    sums_add(e, &e->sums, &e->task[k].sums);
  for (int c = 0; c < e->score->n_cells; c++)
    m->cell[c].loss = e->sums.loss[c];
}

int estep_complete_reference(estep_state *e, int n_known) {
  projection_noise noise = measurement_noise(e->model);
  int status = STATUS_OK;
  for (int g = n_known; g < e->reference->n_groups && status == STATUS_OK; g++)
    status = reference_implied(e->reference, g, &noise);
  if (status == STATUS_OK)
    reference_score(e->reference, &e->rows, &e->score->shards, e->score->set.threads);
  return status;
}
