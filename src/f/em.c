#include "em.h"

#include "convergence.h"
#include "tweedie.h"

#include <R_ext/BLAS.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* Bounds of sigma2, in units of the mean square of x, which it would be with A = 0; the upper one
 * is also that of the latents' E|A z|^2 in units of |x|^2, of which y explains at most one. */
static const double SIGMA2_LEAST = 1e-10, SIGMA2_MOST = 10;

/* Numbers in posterior_sums.second. */
static size_t second_size(const em_fit_state *em) {
  return (size_t)em->sample.d * (em->psd ? (size_t)em->sample.d : 1);
}

static posterior_sums sums_new(int p, int d, size_t second, allocator alloc) {
  posterior_sums s = {.cross = alloc((size_t)p * (size_t)d, sizeof(double)),
                      .second = alloc(second, sizeof(double)),
                      .loss = alloc(2 * (size_t)d, sizeof(double))};
  return s;
}

static void sums_clear(posterior_sums *s, int p, int d, size_t second) {
  memset(s->cross, 0, (size_t)p * (size_t)d * sizeof(double));
  memset(s->second, 0, second * sizeof(double));
  memset(s->loss, 0, 2 * (size_t)d * sizeof(double));
  s->moved = s->norm = 0;
  s->floored = s->outside = 0;
}

static void sums_add(posterior_sums *total, const posterior_sums *s, int p, int d, size_t second) {
  for (size_t g = 0; g < (size_t)p * (size_t)d; g++)
    total->cross[g] += s->cross[g];
  for (size_t g = 0; g < second; g++)
    total->second[g] += s->second[g];
  for (int c = 0; c < 2 * d; c++)
    total->loss[c] += s->loss[c];
  total->moved += s->moved;
  total->norm += s->norm;
  total->floored += s->floored;
  total->outside += s->outside;
}

/* Entries of a point of the EM map: O, log D, log sigma2; or A, d zeros, log sigma2. */
static double point_size(double p, double d) {
  return p * d + d + 1;
}

double em_work_bytes(double n, double p, double d, int correlated) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS)), point = point_size(p, d);
  double count = (shards + 1) * (p * d + 3 * d) + shards * d * (X_ROWS + 3 * BLOCK_ROWS) +
                 6 * p * d + accelerator_doubles(point) + 3 * point;
  if (correlated)
    count += psd_model_doubles(p, d) + shards * psd_scratch_doubles(d) + (shards + 1) * d * d;
  return sizeof(double) * count;
}

/* A, the projection and the noise of the present O and Lambda. */
static int refresh(em_fit_state *em) {
  int floored;
  int status = psd_refresh(em->psd, em->orthonormal, em->scale, &floored);
  em->scale_floored += floored;
  return status;
}

int em_prepare(em_fit_state *em, allocator alloc) {
  int d = em->sample.d, n_shards = em->score->shards.n_shards;
  size_t block = (size_t)d * BLOCK_ROWS * (size_t)n_shards, second = second_size(em);
  em->sums = sums_new(em->p, d, second, alloc);
  em->shard = alloc((size_t)n_shards, sizeof(posterior_sums));
  for (int k = 0; k < n_shards; k++)
    em->shard[k] = sums_new(em->p, d, second, alloc);
  em->z_block = aligned_doubles((size_t)d * X_ROWS * (size_t)n_shards, alloc);
  em->v_block = alloc(block, sizeof(double));
  em->s_block = alloc(block, sizeof(double));
  em->ds_block = alloc(block, sizeof(double));
  em->scratch = alloc(2 * (size_t)em->p * (size_t)d, sizeof(double));
  em->polar = polar_work_new(em->p, d, alloc);
  size_t point = (size_t)point_size(em->p, d);
  em->ahead = accelerator_new(point, sqrt(d), alloc);
  em->point = alloc(point, sizeof(double));
  em->image = alloc(point, sizeof(double));
  em->goal = alloc(point, sizeof(double));
  em->sign = alloc((size_t)d, sizeof(int));
  em->sign_work = alloc(3 * (size_t)em->sample.n_domains, sizeof(double));
  em->sum_sq = rows_square_sum(em->x, em->p, &em->sample, em->score->set.threads);
  em->mean_square = em->sum_sq / ((double)em->sample.n * em->p);
  em->sigma2_floor = SIGMA2_LEAST * em->mean_square;
  if (!em->psd)
    return STATUS_OK;
  em->psd_shard = alloc((size_t)n_shards, sizeof(psd_scratch));
  for (int k = 0; k < n_shards; k++)
    em->psd_shard[k] = psd_scratch_new(em->psd, alloc);
  em->psd_floored = alloc((size_t)n_shards * (size_t)em->sample.n_domains, sizeof(int));
  return refresh(em);
}

/* Rows of a block that starts at `start`, at most `most`, within a shard that ends at `end`. */
static int block_rows(size_t start, size_t end, int most) {
  return end - start < (size_t)most ? (int)(end - start) : most;
}

void pseudo_latents(em_fit_state *em) {
  size_t n = em->sample.n;
  row_shards shards = em->score->shards;
  const double *projection = em->psd ? em->psd->projection : em->orthonormal;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(em->score->set.threads)
#endif
  for (int k = 0; k < shards.n_shards; k++) {
    size_t end = shard_start(&shards, k + 1);
    for (size_t start = shard_start(&shards, k); start < end; start += X_ROWS)
      rows_times(em->x, n, em->p, start, block_rows(start, end, X_ROWS), projection, em->sample.d,
                 em->y + start, n);
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

/* The same with correlated columns: the covariance of a row is a full matrix. */
static void psd_posterior_block(em_fit_state *em, int shard, size_t start, int rows, int first,
                                const double *s, double *z) {
  posterior_sums *sum = &em->shard[shard];
  psd_scratch *t = &em->psd_shard[shard];
  size_t n = em->sample.n, d = (size_t)em->sample.d;
  int *floored = em->psd_floored + (size_t)shard * (size_t)em->sample.n_domains;
  psd_moments(em->psd, t, em->y + start, n, s, rows, em->sigma2, em->set.eta, z);
  for (size_t i = 0; i < (size_t)rows; i++) {
    floored[em->sample.env[start + i] - 1] += t->floored[i];
    sum->floored += (size_t)t->floored[i];
    double weight = row_weight(&em->sample, start + i);
    for (size_t j = 0; j < d; j++) {
      double *latent = em->out.latents + j * n + start + i, mean = z[j * X_ROWS + i];
      double before = first ? 0 : *latent;
      sum->moved += (mean - before) * (mean - before);
      sum->norm += before * before;
      *latent = mean;
      for (size_t k = 0; k < d; k++)
        sum->second[j + k * d] +=
            weight * (mean * z[k * X_ROWS + i] + t->cov[(k * d + j) * BLOCK_ROWS + i]);
      if (em->out.sd)
        em->out.sd[j * n + start + i] = sqrt(t->cov[(j * d + j) * BLOCK_ROWS + i]);
    }
    for (size_t j = 0; j < d; j++)
      z[j * X_ROWS + i] *= weight;
  }
}

/* Trace of the derivative of the score of O'x: of J, or of Lambda^-1 J Lambda^-1. */
static void divergence_block(const em_fit_state *em, const double *jacobian, const double *ds,
                             int rows, double *out) {
  int d = em->sample.d;
  for (int i = 0; i < rows; i++)
    out[i] = 0;
  for (int g = 0; g < (em->psd ? d * d : d); g++) {
    double weight = em->psd ? em->psd->noise[g] : 1;
    const double *value = (em->psd ? jacobian : ds) + (size_t)g * BLOCK_ROWS;
    for (int i = 0; i < rows; i++)
      out[i] += weight * value[i];
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
  double *jacobian = em->psd ? em->psd_shard[k].jacobian : NULL;
  task_work *t = &m->task[k];
  sums_clear(sum, em->p, d, second_size(em));
  if (em->psd)
    memset(em->psd_floored + (size_t)k * (size_t)em->sample.n_domains, 0,
           (size_t)em->sample.n_domains * sizeof(int));
  for (size_t start = shard_start(&m->shards, k); start < end; start += X_ROWS) {
    int many = block_rows(start, end, X_ROWS);
    for (size_t at = start; at < start + (size_t)many; at += BLOCK_ROWS) {
      int rows = block_rows(at, end, BLOCK_ROWS);
      for (int j = 0; j < d; j++)
        sum->outside +=
            basis_block_fill(&t->block, &m->table, m->range + 2 * j, em->y, n, j, at, rows);
      em->score->set.kind->evaluate(m, &em->sample, t, at, rows, s, ds, jacobian, sum->loss);
      if (em->reference)
        reference_add(em->reference, &em->sample, at, rows, s, ds, jacobian, sum->loss);
      if (em->out.divergence)
        divergence_block(em, jacobian, ds, rows, em->out.divergence + at);
      if (em->psd)
        psd_posterior_block(em, k, at, rows, first, s, z + (at - start));
      else
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
  sums_clear(&em->sums, em->p, d, second_size(em));
  for (int k = 0; k < m->shards.n_shards; k++)
    sums_add(&em->sums, &em->shard[k], em->p, d, second_size(em));
  for (int c = 0; c < 2 * d; c++)
    m->cell[c].loss = em->sums.loss[c];
}

static pseudo_noise noise_of(const em_fit_state *em) {
  pseudo_noise noise = {em->sigma2, em->psd ? em->scale : NULL, em->psd ? em->psd->noise : NULL};
  return noise;
}

int complete_reference(em_fit_state *em, int n_known) {
  pseudo_noise noise = noise_of(em);
  int status = STATUS_OK;
  for (int g = n_known; g < em->reference->n_groups && status == STATUS_OK; g++)
    status = reference_implied(em->reference, g, &noise);
  if (status == STATUS_OK)
    reference_score(em->reference, &em->sample, &em->score->shards, em->score->set.threads);
  return status;
}

/* Size of a change, in any units; 0 where nothing moves. */
static double relative_size(double change, double size) {
  return change > 0 ? change / fmax(size, DBL_MIN) : 0;
}

/* Sum of omega E|A z|^2 against that of |x|^2. */
static double explained_size(const em_fit_state *em) {
  const double *lambda = em->scale, *second = em->sums.second;
  size_t d = (size_t)em->sample.d;
  double sum = 0;
  for (size_t j = 0; !em->psd && j < d; j++)
    sum += lambda[j] * lambda[j] * second[j];
  for (size_t j = 0; em->psd && j < d; j++) /* trace of Lambda E zz' Lambda */
    for (size_t k = 0; k < d; k++)
      for (size_t l = 0; l < d; l++)
        sum += lambda[l + j * d] * second[j + k * d] * lambda[k + l * d];
  return sum / em->sum_sq;
}

/* Do the latents far exceed the data, a score that the rows hardly tell having run away with them?
 * Where sigma2 is learned it shows that, from the second iteration on, see m_step(). */
static int latents_exceed(em_fit_state *em, int t) {
  int may_come_down = t == 1 && em->sigma2 > SIGMA2_MOST * em->mean_square;
  if (em->set.learn_sigma2 && (t > 1 || may_come_down))
    return 0;
  em->explained = explained_size(em);
  return !(em->explained <= SIGMA2_MOST);
}

/* Is smoothing to be chosen in the E-step of iteration t? With A held the pseudo-latents stay as
 * they are: once. Else at iterations 1, 2, 4, 8, ...: the EM is another map after each choice, and
 * needs ever longer to settle between them. The E-step after the last iteration (t = 0) chooses
 * only if there was none before it. */
static int choice_due(const em_fit_state *em, int t) {
  if (!em->smoothing)
    return 0;
  if (t == 0)
    return em->iterations == 0;
  return t == 1 || (em->set.mixing != MIXING_FIXED && (t & (t - 1)) == 0);
}

/* y, the score and the posterior moments under the current A and sigma2. t: the iteration, or 0. */
static int e_step(em_fit_state *em, int t, int first) {
  int status = STATUS_OK;
  pseudo_noise noise = noise_of(em);
  pseudo_latents(em); /* y = O'x (4.2) */
  if (em->reference)
    status = reference_fit(em->reference, &em->sample, &em->score->shards, em->score->set.threads,
                           &noise);
  em->map_changed = status == STATUS_OK && choice_due(em, t);
  if (em->map_changed)
    status = smoothing_choose(em->smoothing, em->score, &em->sample, em->reference, em->scale,
                              &em->set.eta);
  if (status == STATUS_OK)
    status = em->score->set.kind->fit(em->score, &em->sample); /* causal score matching (5.4) */
  if (status == STATUS_OK)
    posterior_pass(em, first); /* Tweedie (4.4), (4.5) */
  if (!first)
    em->change_latents = relative_size(sqrt(em->sums.moved), sqrt(em->sums.norm));
  if (status == STATUS_OK && latents_exceed(em, t))
    status = STATUS_EXCEEDS;
  return status;
}

/* out (p x d) = A. */
static void mixing_matrix(const em_fit_state *em, double *out) {
  size_t p = (size_t)em->p, tall = p * (size_t)em->sample.d;
  for (size_t g = 0; g < tall; g++)
    out[g] = em->psd ? em->psd->mixing[g] : em->orthonormal[g] * em->scale[g / p];
}

/* A = OD and sigma2 given the posterior moments; before: the previous A. */
static int update_od(em_fit_state *em, const double *before, double *scratch) {
  int p = em->p, d = em->sample.d, deficient, floored = 0;
  int status =
      mixing_update_step(em->sums.cross, em->sums.second, em->set.mixing, &em->polar, scratch,
                         em->orthonormal, em->scale, &deficient); /* Procrustes (4.7), (4.8) */
  if (em->set.learn_sigma2)                                       /* noise variance (4.9) */
    em->sigma2 = sigma2_update(em->sum_sq, em->sums.cross, em->sums.second, em->orthonormal,
                               em->scale, em->sample.n, p, d, em->sigma2_floor, &floored);
  match_signs(before, em->orthonormal, p, d);
  em->rank_deficient += deficient;
  em->sigma2_floored += floored;
  return status;
}

/* A = O Lambda and sigma2 given the posterior moments (Section 4.6). */
static int update_psd(em_fit_state *em) {
  int status = STATUS_OK, learn = em->set.mixing != MIXING_FIXED, floored = 0;
  if (learn)
    status = psd_least_squares(em->psd, em->sums.cross, em->sums.second); /* (4.7) */
  if (em->set.learn_sigma2)                                               /* (4.9) */
    em->sigma2 = psd_sigma2(em->psd, em->sum_sq, em->sums.cross, em->sums.second, em->sample.n,
                            em->sigma2_floor, &floored);
  em->sigma2_floored += floored;
  if (learn && status == STATUS_OK) {
    status = psd_split(em->psd, &em->polar, em->orthonormal, em->scale, &floored);
    em->scale_floored += floored;
  }
  return status;
}

/* A and sigma2 given the posterior moments; the relative changes of the two. */
static int m_step(em_fit_state *em, double *change_mixing, double *change_sigma2) {
  size_t tall = (size_t)em->p * (size_t)em->sample.d;
  double *before = em->scratch, *after = em->scratch + tall;
  double moved = 0, norm = 0, sigma2 = em->sigma2;
  mixing_matrix(em, before);
  int status = em->psd ? update_psd(em) : update_od(em, before, after);
  mixing_matrix(em, after);
  for (size_t g = 0; g < tall; g++) {
    double diff = after[g] - before[g];
    moved += diff * diff;
    norm += before[g] * before[g];
  }
  *change_mixing = relative_size(sqrt(moved), sqrt(norm));
  *change_sigma2 = relative_size(fabs(em->sigma2 - sigma2), sigma2);
  double most = fmax(SIGMA2_MOST * em->mean_square, sigma2); /* a start above may come down */
  if (status == STATUS_OK && em->set.learn_sigma2 && !(em->sigma2 <= most))
    return STATUS_DIVERGED;
  return status;
}

/* What the EM map moves, as a vector. */
static void pack_point(const em_fit_state *em, double *point) {
  size_t d = (size_t)em->sample.d, tall = (size_t)em->p * d;
  memcpy(point, em->psd ? em->psd->mixing : em->orthonormal, tall * sizeof(double));
  for (size_t j = 0; j < d; j++)
    point[tall + j] = em->psd ? 0 : log(fmax(em->scale[j], DBL_MIN));
  point[tall + d] = log(em->sigma2 / em->mean_square);
}

/* The way back, for D that does not move: an extrapolated O has to be made orthonormal, and signs
 * are ties. */
static int unpack_point(em_fit_state *em, const double *point) {
  int d = em->sample.d, deficient, status = STATUS_OK;
  if (em->set.mixing != MIXING_FIXED) {
    status = polar_factor_of(point, &em->polar, em->orthonormal, &deficient);
    match_signs(point, em->orthonormal, em->p, d);
  }
  if (em->set.learn_sigma2)
    em->sigma2 = em->mean_square * exp(point[em->ahead.size - 1]);
  return status;
}

/* Where to go on from, given the point before the EM's step and the one after. */
static int accelerate(em_fit_state *em, step_kind *step) {
  pack_point(em, em->image);
  if (!em->set.accelerate)
    return STATUS_OK;
  if (em->map_changed)
    accelerator_restart(&em->ahead);
  *step = accelerator_step(&em->ahead, em->point, em->image, em->goal);
  em->rejected += *step == STEP_REJECTED;
  return *step == STEP_PLAIN ? STATUS_OK : unpack_point(em, em->goal);
}

/* Relative length of an extrapolation, in A or in sigma2. */
static double extrapolated_distance(const em_fit_state *em) {
  size_t last = em->ahead.size - 1;
  double square = 0;
  for (size_t g = 0; g < last; g++)
    square += (em->goal[g] - em->point[g]) * (em->goal[g] - em->point[g]);
  return fmax(sqrt(square) / em->ahead.unit, fabs(expm1(em->goal[last] - em->point[last])));
}

/* Rates of the three changes as they are known at a row of the trace. */
static void update_rates(em_fit_state *em, int row) {
  size_t rows = (size_t)em->set.max_iter;
  const double *step = em->trace + TRACE_STEP * rows;
  if (row == 0 || choice_due(em, row + 1))
    em->same_map = row;
  for (int k = 0; k < N_CHANGES; k++)
    em->rate[k] = plain_rate(em->trace + (size_t)(TRACE_CHANGE_MIXING + k) * rows, step,
                             em->same_map, row, k == CHANGE_LATENTS, row > 0 ? em->rate[k] : NAN);
}

/* Largest of the relative distances that A, sigma2 and the latents have to go at a row of the
 * trace. An extrapolation itself estimates what was left. */
static double distance_to_go(em_fit_state *em, int row) {
  size_t rows = (size_t)em->set.max_iter;
  const double *step = em->trace + TRACE_STEP * rows;
  double change[N_CHANGES], left = 0;
  for (int k = 0; k < N_CHANGES; k++)
    change[k] = em->trace[(size_t)(TRACE_CHANGE_MIXING + k) * rows + (size_t)row];
  update_rates(em, row);
  if (change[CHANGE_MIXING] == 0 && change[CHANGE_SIGMA2] == 0)
    return 0;
  if (step[row] == STEP_REJECTED)
    return INFINITY;
  if (step[row] == STEP_EXTRAPOLATED)
    left = extrapolated_distance(em);
  for (int k = 0; k < CHANGE_LATENTS; k++)
    left = fmax(left, distance_left(change[k], em->rate[k]));
  if (row == 0)
    return left;
  return fmax(left, step[row - 1] == STEP_EXTRAPOLATED
                        ? change[CHANGE_LATENTS]
                        : distance_left(change[CHANGE_LATENTS], em->rate[CHANGE_LATENTS]));
}

/* Does the trace say that the limit is reached? Twice in a row, lest a fast change that has just
 * ended hides a slow one; or nothing moves at all. */
static int limit_reached(const em_fit_state *em) {
  const double *left = em->trace + TRACE_REMAINING * (size_t)em->set.max_iter;
  int row = em->iterations - 1;
  return row >= 0 && left[row] < em->set.tol &&
         (left[row] == 0 || (row > 0 && left[row - 1] < em->set.tol));
}

/* Writes a line of the trace; returns the largest relative change of the iteration. */
static double record(em_fit_state *em, step_kind step, double change_mixing, double change_sigma2,
                     double sigma2) {
  size_t rows = (size_t)em->set.max_iter, row = (size_t)em->iterations++;
  double loss = 0;
  for (int c = 0; c < 2 * em->sample.d; c++)
    loss += em->sums.loss[c];
  const double line[TRACE_COLUMNS] = {[TRACE_SIGMA2] = sigma2,
                                      [TRACE_LOSS] = loss / (double)em->sample.n,
                                      [TRACE_CHANGE_MIXING] = change_mixing,
                                      [TRACE_CHANGE_SIGMA2] = change_sigma2,
                                      [TRACE_CHANGE_LATENTS] = em->change_latents,
                                      [TRACE_STEP] = step,
                                      [TRACE_FLOORED] = (double)em->sums.floored};
  for (int k = 0; k < TRACE_COLUMNS; k++)
    em->trace[(size_t)k * rows + row] = line[k];
  em->trace[TRACE_REMAINING * rows + row] = distance_to_go(em, (int)row);
  return fmax(fmax(change_mixing, change_sigma2), em->change_latents);
}

static void negate(double *v, size_t count) {
  for (size_t k = 0; k < count; k++)
    v[k] = -v[k];
}

/* Signs of the latents are ties (Appendix A.2): signs.h chooses. */
static void turn_signs(em_fit_state *em) {
  size_t p = (size_t)em->p, n = em->sample.n;
  sign_design rows = {n, em->sample.d, em->sample.n_domains, em->sample.env, em->sample.targets};
  double *column = em->psd ? em->psd->mixing : em->orthonormal;
  pseudo_latents(em); /* least-squares latents, times the lengths of columns */
  latent_signs(em->y, &rows, column, p, em->set.signs, em->sign_work, em->sign);
  for (int j = 0; j < em->sample.d; j++) {
    if (em->sign[j] < 0) {
      if (em->psd)
        psd_turn(em->psd, j, em->orthonormal, em->scale);
      else
        negate(column + (size_t)j * p, p);
      negate(em->out.latents + (size_t)j * n, n);
    }
  }
}

/* One iteration of Algorithm 1, or more than one where it is accelerated. */
static int em_iteration(em_fit_state *em, int first) {
  double change_mixing, change_sigma2, sigma2 = 0;
  step_kind step = STEP_PLAIN;
  pack_point(em, em->point);
  int status = e_step(em, em->iterations + 1, first);
  if (status == STATUS_OK)
    status = m_step(em, &change_mixing, &change_sigma2);
  if (status == STATUS_OK) {
    sigma2 = em->sigma2;
    status = accelerate(em, &step);
  }
  if (status == STATUS_OK) {
    double change = record(em, step, change_mixing, change_sigma2, sigma2);
    em->set.tick(em->iterations, change, em->set.ctx);
  }
  return status;
}

int em_run(em_fit_state *em) {
  int status = STATUS_OK, first = 1;
  pack_point(em, em->point);
  pack_point(em, em->image);
  for (int row = 0; row < em->iterations; row++)
    update_rates(em, row);
  while (status == STATUS_OK && em->iterations < em->set.max_iter && !limit_reached(em)) {
    status = em_iteration(em, first);
    first = 0;
  }
  em->converged = limit_reached(em);
  /* an extrapolation that no iteration has checked is given up for the EM's step */
  if (status == STATUS_OK && !em->converged && em->ahead.last == STEP_EXTRAPOLATED)
    status = unpack_point(em, em->image);
  if (status != STATUS_OK)
    return status;
  if (em->set.signs)
    turn_signs(em);
  return e_step(em, 0, first);
}

void em_last_step(const em_fit_state *em, double *turn, double *growth) {
  int p = em->p, d = em->sample.d;
  const double one = 1, zero = 0;
  F77_CALL(dgemm)
  ("T", "N", &d, &d, &p, &one, em->point, &p, em->image, &p, &zero, turn, &d FCONE FCONE);
  for (size_t j = 0, at = (size_t)p * (size_t)d; j < (size_t)d; j++, at++)
    growth[j] = em->image[at] - em->point[at];
}
