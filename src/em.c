#include "em.h"

#include "tweedie.h"

#include <math.h>
#include <string.h>

static const double CHANGE_FLOOR = 1e-8;

static posterior_sums sums_new(int p, int d, allocator alloc) {
  posterior_sums s = {.cross = alloc((size_t)p * (size_t)d, sizeof(double)),
                      .second = alloc((size_t)d, sizeof(double)),
                      .loss = alloc(2 * (size_t)d, sizeof(double))};
  return s;
}

static void sums_clear(posterior_sums *s, int p, int d) {
  memset(s->cross, 0, (size_t)p * (size_t)d * sizeof(double));
  memset(s->second, 0, (size_t)d * sizeof(double));
  memset(s->loss, 0, 2 * (size_t)d * sizeof(double));
  s->moved = s->norm = 0;
  s->floored = s->outside = 0;
}

static void sums_add(posterior_sums *total, const posterior_sums *s, int p, int d) {
  for (size_t g = 0; g < (size_t)p * (size_t)d; g++)
    total->cross[g] += s->cross[g];
  for (int j = 0; j < d; j++)
    total->second[j] += s->second[j];
  for (int c = 0; c < 2 * d; c++)
    total->loss[c] += s->loss[c];
  total->moved += s->moved;
  total->norm += s->norm;
  total->floored += s->floored;
  total->outside += s->outside;
}

double em_work_bytes(double n, double p, double d) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS));
  return sizeof(double) *
         ((shards + 1) * (p * d + 3 * d) + shards * d * (X_ROWS + 3 * BLOCK_ROWS) + 6 * p * d);
}

/* sum over rows of omega |x|^2, shard by shard. */
static double weighted_square(const em_fit_state *em) {
  const latent_sample *s = &em->sample;
  double total = 0, by_shard[MAX_SHARDS] = {0};
  row_shards shards = em->score->shards;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(em->score->set.threads)
#endif
  for (int k = 0; k < shards.n_shards; k++)
    for (size_t start = shard_start(&shards, k); start < shard_start(&shards, k + 1);
         start += BLOCK_ROWS) {
      size_t end = start + BLOCK_ROWS < s->n ? start + BLOCK_ROWS : s->n;
      double square[BLOCK_ROWS] = {0};
      for (int col = 0; col < em->p; col++)
        for (size_t i = start; i < end; i++)
          square[i - start] += em->x[(size_t)col * s->n + i] * em->x[(size_t)col * s->n + i];
      for (size_t i = start; i < end; i++)
        by_shard[k] += row_weight(s, i) * square[i - start];
    }
  for (int k = 0; k < shards.n_shards; k++)
    total += by_shard[k];
  return total;
}

void em_prepare(em_fit_state *em, allocator alloc) {
  int d = em->sample.d, n_shards = em->score->shards.n_shards;
  size_t block = (size_t)d * BLOCK_ROWS * (size_t)n_shards;
  em->sums = sums_new(em->p, d, alloc);
  em->shard = alloc((size_t)n_shards, sizeof(posterior_sums));
  for (int k = 0; k < n_shards; k++)
    em->shard[k] = sums_new(em->p, d, alloc);
  em->z_block = aligned_doubles((size_t)d * X_ROWS * (size_t)n_shards, alloc);
  em->v_block = alloc(block, sizeof(double));
  em->s_block = alloc(block, sizeof(double));
  em->ds_block = alloc(block, sizeof(double));
  em->scratch = alloc(2 * (size_t)em->p * (size_t)d, sizeof(double));
  em->polar = polar_work_new(em->p, d, alloc);
  em->sum_sq = weighted_square(em);
  em->sigma2_floor = 1e-10 * em->sum_sq / ((double)em->sample.n * em->p);
}

/* Rows of a block that starts at `start`, at most `most`, within a shard that ends at `end`. */
static int block_rows(size_t start, size_t end, int most) {
  return end - start < (size_t)most ? (int)(end - start) : most;
}

void pseudo_latents(em_fit_state *em) {
  size_t n = em->sample.n;
  row_shards shards = em->score->shards;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(em->score->set.threads)
#endif
  for (int k = 0; k < shards.n_shards; k++) {
    size_t end = shard_start(&shards, k + 1);
    for (size_t start = shard_start(&shards, k); start < end; start += X_ROWS)
      rows_times(em->x, n, em->p, start, block_rows(start, end, X_ROWS), em->orthonormal,
                 em->sample.d, em->y + start, n);
  }
}

static void copy_block(double *out, const double *block, size_t n, int d, size_t start, int rows) {
  if (out)
    for (int j = 0; j < d; j++)
      memcpy(out + (size_t)j * n + start, block + (size_t)j * BLOCK_ROWS,
             (size_t)rows * sizeof(double));
}

/* Moments of a block's latents, stored and summed; the weighted means go to z (columns X_ROWS
 * apart), ready for cross. v: d x BLOCK_ROWS scratch. */
static void posterior_block(em_fit_state *em, posterior_sums *sum, size_t start, int rows,
                            int first, const double *s, const double *ds, double *v, double *z) {
  size_t n = em->sample.n;
  for (int j = 0; j < em->sample.d; j++) {
    size_t at = (size_t)j * BLOCK_ROWS, row = (size_t)j * n + start;
    double *mean = z + (size_t)j * X_ROWS, *latent = em->out.latents + row;
    sum->floored += tweedie_moments(em->y + row, s + at, ds + at, rows, em->scale[j], em->sigma2,
                                    em->set.eta, mean, v + at);
    for (int i = 0; i < rows; i++) {
      double before = first ? 0 : latent[i];
      double weight = row_weight(&em->sample, start + (size_t)i);
      sum->moved += (mean[i] - before) * (mean[i] - before);
      sum->norm += before * before;
      sum->second[j] += weight * (mean[i] * mean[i] + v[at + (size_t)i]);
      latent[i] = mean[i];
      if (em->out.sd)
        em->out.sd[row + (size_t)i] = sqrt(v[at + (size_t)i]);
      mean[i] *= weight;
    }
  }
}

static void posterior_shard(em_fit_state *em, int k, int first) {
  score_model *m = em->score;
  size_t n = em->sample.n, end = shard_start(&m->shards, k + 1);
  int d = em->sample.d;
  size_t block = (size_t)k * (size_t)d * BLOCK_ROWS;
  double *z = em->z_block + (size_t)k * (size_t)d * X_ROWS, *v = em->v_block + block;
  double *s = em->s_block + block, *ds = em->ds_block + block;
  posterior_sums *sum = &em->shard[k];
  task_work *t = &m->task[k];
  sums_clear(sum, em->p, d);
  for (size_t start = shard_start(&m->shards, k); start < end; start += X_ROWS) {
    int many = block_rows(start, end, X_ROWS);
    for (size_t at = start; at < start + (size_t)many; at += BLOCK_ROWS) {
      int rows = block_rows(at, end, BLOCK_ROWS);
      for (int j = 0; j < d; j++)
        sum->outside +=
            basis_block_fill(&t->block, &m->table, m->range + 2 * j, em->y, n, j, at, rows);
      em->score_class->evaluate(m, &em->sample, t, at, rows, s, ds, NULL, sum->loss);
      posterior_block(em, sum, at, rows, first, s, ds, v, z + (at - start));
      copy_block(em->out.score, s, n, d, at, rows);
      copy_block(em->out.dscore, ds, n, d, at, rows);
    }
    rows_cross(em->x, n, em->p, start, many, z, d, sum->cross);
  }
}

void posterior_pass(em_fit_state *em, int first) {
  score_model *m = em->score;
  int d = em->sample.d;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int k = 0; k < m->shards.n_shards; k++)
    posterior_shard(em, k, first);
  sums_clear(&em->sums, em->p, d);
  for (int k = 0; k < m->shards.n_shards; k++)
    sums_add(&em->sums, &em->shard[k], em->p, d);
  for (int c = 0; c < 2 * d; c++)
    m->cell[c].loss = em->sums.loss[c];
}

/* y, the score and the posterior moments under the current A and sigma2. */
static int e_step(em_fit_state *em, int first) {
  pseudo_latents(em);                                        /* y = O'x (4.2) */
  int status = em->score_class->fit(em->score, &em->sample); /* causal score matching (5.4) */
  if (status == STATUS_OK)
    posterior_pass(em, first); /* Tweedie (4.4), (4.5) */
  return status;
}

/* A and sigma2 given the posterior moments; *change is the larger relative change of the two. */
static int m_step(em_fit_state *em, double *change_mixing, double *change_sigma2) {
  int p = em->p, d = em->sample.d, deficient, floored = 0;
  size_t tall = (size_t)p * (size_t)d;
  double *before = em->scratch, moved = 0, norm = 0, sigma2 = em->sigma2;
  for (size_t g = 0; g < tall; g++)
    before[g] = em->orthonormal[g] * em->scale[g / (size_t)p];
  int status = mixing_update_step(em->sums.cross, em->sums.second, em->set.mixing, &em->polar,
                                  em->scratch + tall, em->orthonormal, em->scale,
                                  &deficient); /* Procrustes (4.7), (4.8) */
  if (em->set.learn_sigma2)                    /* noise variance (4.9) */
    em->sigma2 = sigma2_update(em->sum_sq, em->sums.cross, em->sums.second, em->orthonormal,
                               em->scale, em->sample.n, p, d, em->sigma2_floor, &floored);
  match_signs(before, em->orthonormal, p, d);
  em->rank_deficient += deficient;
  em->sigma2_floored += floored;
  for (size_t g = 0; g < tall; g++) {
    double diff = em->orthonormal[g] * em->scale[g / (size_t)p] - before[g];
    moved += diff * diff;
    norm += before[g] * before[g];
  }
  *change_mixing = sqrt(moved) / fmax(sqrt(norm), CHANGE_FLOOR);
  *change_sigma2 = fabs(em->sigma2 - sigma2) / fmax(sigma2, CHANGE_FLOOR);
  return status;
}

/* Writes a line of the trace; returns the largest relative change of the iteration. */
static double record(em_fit_state *em, int t, double change_mixing, double change_sigma2) {
  size_t rows = (size_t)em->set.max_iter, row = (size_t)t - 1;
  double loss = 0, change_latents = sqrt(em->sums.moved) / fmax(sqrt(em->sums.norm), CHANGE_FLOOR);
  for (int c = 0; c < 2 * em->sample.d; c++)
    loss += em->sums.loss[c];
  em->trace[TRACE_SIGMA2 * rows + row] = em->sigma2;
  em->trace[TRACE_LOSS * rows + row] = loss / (double)em->sample.n;
  em->trace[TRACE_MIXING * rows + row] = change_mixing;
  em->trace[TRACE_LATENTS * rows + row] = t == 1 ? NAN : change_latents;
  em->trace[TRACE_FLOORED * rows + row] = (double)em->sums.floored;
  em->iterations = t;
  double change = fmax(change_mixing, change_sigma2);
  return t == 1 ? change : fmax(change, change_latents);
}

/* Signs of the latents are ties (Appendix A.2): choose the one with the largest |loading| > 0. */
static void turn_signs(em_fit_state *em) {
  size_t p = (size_t)em->p;
  for (int j = 0; j < em->sample.d; j++) {
    double *o = em->orthonormal + (size_t)j * p, largest = 0;
    for (size_t k = 0; k < p; k++)
      largest = fabs(o[k]) > fabs(largest) ? o[k] : largest;
    if (largest < 0)
      for (size_t k = 0; k < p; k++)
        o[k] = -o[k];
  }
}

int em_run(em_fit_state *em) {
  double change_mixing, change_sigma2;
  for (int t = 1; t <= em->set.max_iter && !em->converged; t++) {
    int status = e_step(em, t == 1);
    if (status == STATUS_OK)
      status = m_step(em, &change_mixing, &change_sigma2);
    if (status != STATUS_OK)
      return status;
    double change = record(em, t, change_mixing, change_sigma2);
    em->converged = change < em->set.tol;
    em->set.tick(t, change, em->set.ctx);
  }
  if (em->set.turn_signs)
    turn_signs(em);
  return e_step(em, 1);
}
