#include "saem.h"

#include "saem_stop.h"
#include "vectorize.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

static const double VARIANCE_START = 0.05; /* of the noise: least variance at the start */
/* Step while averaging: the smaller, the less the noise of single draws bends the curves, and the
 * longer the memory. */
static const double AVERAGING_STEP = 0.3;
static const double VARIANCE_STEP = 0.1; /* of noise variances in burn-in, with few rows */
static const double NO_SHIFT = 1;        /* see saem_stop_shift() */
enum { FINAL_STEPS = 10, LEAST_BURN_IN = 64, LEAST_AVERAGED = 256 };
enum { HELD_ITERATIONS = 20, WHOLE_STEPS = 5 };
enum { LAG = 8 }; /* sweeps between two draws that count as independent */

struct saem_shard {
  latent_block block;
  mechanism_basis basis;
  mechanism_pair pair; /* with draws of LAG sweeps ago */
  double *missing;     /* of mechanism.h; NULL if nothing acts on a latent */
  double *statistics;
  double *turns;    /* sums of their derivatives */
  double *weighted; /* d x X_ROWS: omega z */
  double *gradient; /* d x BLOCK_ROWS: of the prior's log density */
  double *shears;   /* the same of shears */
  double *wide;     /* BLOCK_ROWS x derivatives */
};

const char *const saem_columns[SAEM_VARIANCES] = {"sigma2", "change_mixing", "acceptance",
                                                  "objective", "shift"};

static size_t walks(const saem_state *s) {
  return (size_t)s->rows->d * (size_t)s->rows->n_domains;
}

double saem_work_bytes(double n, double p, double d, double n_domains, double n_edges,
                       double n_statistics, double n_derivatives) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS));
  double own = n_statistics + d * (3 * d + X_ROWS + BLOCK_ROWS * (ORDER + 2) + n_domains) +
               n_derivatives * (n_derivatives + 1 + BLOCK_ROWS);
  double lagged = n * d + shards * (n_statistics + d * BLOCK_ROWS * (ORDER + 4));
  double followed = p * d + d * d + 4 * d + 6 * n_edges + 3;
  return sizeof(double) * ((shards + 2) * own + lagged + 7 * p * d) + batch_means_bytes(followed) +
         (shards + 1) * latent_block_bytes(d, d, n_domains);
}

/* ---- set-up -------------------------------------------------------------------------------- */

static saem_shard shard_new(const saem_state *s, allocator alloc) {
  size_t d = (size_t)s->rows->d;
  saem_shard k = {.block = latent_block_new(&s->sampler.prior, s->rows->n_domains, alloc),
                  .basis = mechanism_basis_new(s->rows->d, alloc),
                  .statistics = alloc(s->stats.size, sizeof(double)),
                  .turns = alloc(turn_sums(&s->turn), sizeof(double)),
                  .weighted = workspace_doubles(d * X_ROWS, alloc),
                  .gradient = workspace_doubles(d * BLOCK_ROWS, alloc),
                  .shears = s->shears ? alloc(shear_sums(&s->shear), sizeof(double)) : NULL,
                  .wide = s->shears ? workspace_doubles((size_t)s->shear.count * BLOCK_ROWS, alloc)
                                    : NULL};
  if (s->chain.lagged) {
    k.pair = mechanism_pair_new(s->rows->d, alloc);
    k.missing = alloc(s->mech->n_missing, sizeof(double));
  }
  return k;
}

static saem_statistics statistics_new(const saem_state *s, allocator alloc) {
  size_t d = (size_t)s->rows->d, cross_at = s->mech->n_stats;
  size_t second_at = cross_at + (size_t)s->model->p * d, size = second_at + d * d;
  saem_statistics stats = {.size = size,
                           .cross_at = cross_at,
                           .second_at = second_at,
                           .value = alloc(size, sizeof(double)),
                           .average = alloc(size, sizeof(double))};
  memset(stats.average, 0, size * sizeof(double));
  return stats;
}

static saem_record record_new(const saem_state *s, allocator alloc) {
  size_t d = (size_t)s->rows->d;
  size_t fitted = saem_stop_fitted_length(s), watched = saem_stop_watched_length(s);
  saem_record r = {.fitted = batch_means_new(fitted, alloc),
                   .burn_in = batch_means_new(watched, alloc),
                   .values = alloc(fitted > watched ? fitted : watched, sizeof(double)),
                   .first = alloc((size_t)s->model->p * d, sizeof(double)),
                   .probe = alloc(3 * d, sizeof(double))};
  return r;
}

/* A'A, the lengths of columns, sigma2's bound. Turns alone keep what lengths there are. */
static void prepare_model(saem_state *s) {
  measurement *m = s->model;
  double sum_sq = rows_square_sum(s->seen.x, m->p, s->rows, s->set.threads) + s->seen.outside;
  m->noise = measurement_noise_level(m->noise.value, m->noise.learned, sum_sq,
                                     (double)s->rows->n * s->seen.features);
  m->kind->refresh(m);
  for (int j = 0; j < m->d; j++)
    m->scale[j] = m->kind->turns && !m->kind->update ? 1 : sqrt(m->gram[j + j * m->d]);
}

static void prepare_sampler(saem_state *s, allocator alloc) {
  const latent_sample *rows = s->rows;
  int *driver = alloc(walks(s), sizeof(int));
  causal_prior_drivers(&s->sampler.prior, rows->targets, rows->n_domains, driver);
  s->sampler.rows = rows;
  s->sampler.gram = s->model->gram;
  s->sampler.walk_scale = s->chain.walk_scale;
  s->sampler.driver = driver;
  s->chain.domain_rows = alloc((size_t)rows->n_domains, sizeof(double));
  memset(s->chain.domain_rows, 0, (size_t)rows->n_domains * sizeof(double));
  for (size_t i = 0; i < rows->n; i++)
    s->chain.domain_rows[rows->env[i] - 1] += 1;
}

void saem_prepare(saem_state *s, allocator alloc) {
  const measurement_kind *kind = s->model->kind;
  s->shards = shard_rows(s->rows->n);
  s->sampler.prior = mechanism_prior(s->mech);
  s->stats = statistics_new(s, alloc);
  s->turn = turn_plan_new(s->mech, s->model->scale, alloc);
  s->turns = kind->turns;
  s->shear = shear_plan_new(s->mech, s->tied, s->rows->n);
  s->shears = kind->shears && s->rows->d <= MAX_SHEARED && s->shear.n_shears > 0;
  s->stats.turns = alloc(turn_sums(&s->turn), sizeof(double));
  s->stats.shears = s->shears ? alloc(shear_sums(&s->shear), sizeof(double)) : NULL;
  if (s->mech->n_missing > 0) {
    s->chain.lagged = alloc(s->rows->n * (size_t)s->rows->d, sizeof(double));
    memcpy(s->chain.lagged, s->chain.z, s->rows->n * (size_t)s->rows->d * sizeof(double));
  }
  s->shard = alloc((size_t)s->shards.n_shards, sizeof(saem_shard));
  for (int k = 0; k < s->shards.n_shards; k++)
    s->shard[k] = shard_new(s, alloc);
  s->record = record_new(s, alloc);
  s->scratch = alloc((2 * (size_t)s->model->p + BLOCK_ROWS) * (size_t)s->rows->d, sizeof(double));
  prepare_sampler(s, alloc);
  prepare_model(s);
}

/* ---- simulation ---------------------------------------------------------------------------- */

/* sum omega z z', and omega z of the block's rows from `at` on, for the cross products. */
static void add_moments(const saem_state *s, saem_shard *k, int at) {
  int d = s->rows->d, rows = k->block.rows;
  double *second = k->statistics + s->stats.second_at;
  for (int j = 0; j < d; j++) {
    const double *z = k->block.z + j * BLOCK_ROWS;
    double *weighted = k->weighted + (size_t)j * X_ROWS + at;
    for (int i = 0; i < rows; i++)
      weighted[i] = s->rows->omega[k->block.domain[i]] * z[i];
    for (int l = 0; l <= j; l++) {
      const double *other = k->block.z + l * BLOCK_ROWS;
      double sum = 0;
      for (int i = 0; i < rows; i++)
        sum += weighted[i] * other[i];
      second[j + l * d] += sum;
      if (l < j)
        second[l + j * d] += sum;
    }
  }
}

/* One sweep of a shard's rows (none if sweep is 0) and their statistics. */
static void simulate_shard(saem_state *s, int shard, uint32_t sweep) {
  saem_shard *k = &s->shard[shard];
  size_t n = s->rows->n, end = shard_start(&s->shards, shard + 1);
  int d = s->rows->d;
  memset(k->statistics, 0, s->stats.size * sizeof(double));
  memset(k->turns, 0, turn_sums(&s->turn) * sizeof(double));
  memset(k->block.accepted, 0, walks(s) * sizeof(double));
  if (s->shears)
    memset(k->shears, 0, shear_sums(&s->shear) * sizeof(double));
  for (size_t start = shard_start(&s->shards, shard); start < end; start += X_ROWS) {
    int many = end - start < X_ROWS ? (int)(end - start) : X_ROWS;
    linalg_rows_times(s->seen.x, n, s->model->p, start, many, s->model->mixing, d,
                      s->chain.projected + start, n);
    for (int at = 0; at < many; at += BLOCK_ROWS) {
      int rows = many - at < BLOCK_ROWS ? many - at : BLOCK_ROWS;
      sampler_load(&s->sampler, &k->block, start + (size_t)at, rows, s->chain.z,
                   s->chain.projected);
      if (sweep > 0) {
        sampler_refresh(&s->sampler, &k->block);
        sampler_sweep(&s->sampler, &k->block, sweep);
        sampler_store(&k->block, n, d, s->chain.z);
        if (s->turns)
          turn_add(&s->turn, s->rows->omega, &k->block, k->gradient, k->turns);
        if (s->shears)
          shear_add(&s->shear, s->model->gram, s->rows->omega, &k->block, k->gradient, k->wide,
                    k->shears);
      }
      mechanism_add(s->mech, &k->basis, s->rows, &k->block, k->statistics);
      add_moments(s, k, at);
    }
    linalg_rows_cross(s->seen.x, n, s->model->p, start, many, k->weighted, d,
                      k->statistics + s->stats.cross_at);
  }
}

static void missing_of_shard(saem_state *s, int shard) {
  saem_shard *k = &s->shard[shard];
  size_t n = s->rows->n, end = shard_start(&s->shards, shard + 1);
  memset(k->missing, 0, s->mech->n_missing * sizeof(double));
  for (size_t at = shard_start(&s->shards, shard); at < end; at += BLOCK_ROWS) {
    int rows = end - at < BLOCK_ROWS ? (int)(end - at) : BLOCK_ROWS;
    sampler_load(&s->sampler, &k->block, at, rows, s->chain.z, s->chain.projected);
    for (int j = 0; j < s->rows->d; j++)
      memcpy(k->pair.z + (size_t)j * BLOCK_ROWS, s->chain.lagged + at + (size_t)j * n,
             (size_t)rows * sizeof(double));
    mechanism_add_missing(s->mech, &k->basis, &k->pair, s->rows, &k->block, k->missing);
  }
}

/* Information on the mechanisms that is missing, from the draws of two iterations; see mechanism.h.
 * It is looked for in burn-in, and held after that. */
static void estimate_missing(saem_state *s) {
  size_t n = s->rows->n, d = (size_t)s->rows->d, many = s->mech->n_missing;
  if (!s->chain.lagged || s->at.burnt_in || s->at.iteration % LAG != 0)
    return;
  if (s->at.iteration > LAG) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(s->set.threads)
#endif
    for (int k = 0; k < s->shards.n_shards; k++)
      missing_of_shard(s, k);
    for (int k = 1; k < s->shards.n_shards; k++)
      for (size_t g = 0; g < many; g++)
        s->shard[0].missing[g] += s->shard[k].missing[g];
    mechanism_take_missing(s->mech, s->shard[0].missing);
  }
  memcpy(s->chain.lagged, s->chain.z, n * d * sizeof(double));
}

static void simulate(saem_state *s, uint32_t sweep) {
  s->sampler.sigma2 = s->model->noise.value;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(s->set.threads)
#endif
  for (int k = 0; k < s->shards.n_shards; k++)
    simulate_shard(s, k, sweep);
}

/* ---- stochastic approximation -------------------------------------------------------------- */

/* S += step (S(z) - S), shard by shard: sums in the same order for any number of threads. */
static void approximate(saem_state *s, double step) {
  double *value = s->stats.value;
  for (size_t g = 0; g < s->stats.size; g++) {
    double sum = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      sum += s->shard[k].statistics[g];
    value[g] = step == 1 ? sum : value[g] + step * (sum - value[g]);
  }
  for (size_t g = 0; g < turn_sums(&s->turn); g++) {
    s->stats.turns[g] = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      s->stats.turns[g] += s->shard[k].turns[g];
  }
  for (size_t g = 0; s->shears && g < shear_sums(&s->shear); g++) {
    s->stats.shears[g] = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      s->stats.shears[g] += s->shard[k].shears[g];
  }
}

/* Share of accepted random walks of each (node, domain); in burn-in the scales follow it. */
static double tune(saem_state *s) {
  int d = s->rows->d, counted = 0;
  double overall = 0;
  for (size_t w = 0; w < walks(s); w++) {
    double accepted = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      accepted += s->shard[k].block.accepted[w];
    s->chain.acceptance[w] =
        s->sampler.driver[w] ? accepted / s->chain.domain_rows[w / (size_t)d] : NAN;
    if (!s->sampler.driver[w])
      continue;
    overall += s->chain.acceptance[w];
    counted++;
    if (!s->at.burnt_in)
      s->chain.walk_scale[w] =
          sampler_tuned(s->chain.walk_scale[w], s->chain.acceptance[w], s->at.iteration);
  }
  return counted ? overall / counted : NAN;
}

/* Knots cover the latest draws. */
static void update_range(saem_state *s) {
  size_t n = s->rows->n;
  for (int j = 0; j < s->rows->d; j++) {
    const double *z = s->chain.z + (size_t)j * n;
    double *range = s->mech->range + 2 * j;
    range[0] = range[1] = z[0];
    for (size_t i = 1; i < n; i++) {
      range[0] = z[i] < range[0] ? z[i] : range[0];
      range[1] = z[i] > range[1] ? z[i] : range[1];
    }
  }
}

/* ---- maximisation -------------------------------------------------------------------------- */

/* |after - before| / |before|. */
static double relative_change(const double *before, const double *after, size_t length) {
  double sum = 0;
  for (size_t i = 0; i < length; i++)
    sum += (after[i] - before[i]) * (after[i] - before[i]);
  return sqrt(sum / linalg_dot(before, before, length));
}

/* z to z T, and the averages to match. */
static void move_latents(saem_state *s, const double *t) {
  int d = s->rows->d;
  double *row = s->scratch + (size_t)s->model->p * (size_t)d;
  double *second = s->stats.value + s->stats.second_at;
  turn_columns(s->chain.z, s->rows->n, t, d, row);
  if (s->chain.lagged && !s->at.burnt_in)
    turn_columns(s->chain.lagged, s->rows->n, t, d, row);
  turn_columns(s->stats.value + s->stats.cross_at, (size_t)s->model->p, t, d, row);
  turn_columns(second, (size_t)d, t, d, row);
  turn_over(second, d);
  turn_columns(second, (size_t)d, t, d, row);
}

/* A = O D turned to O R D, z to D^-1 R'D z. */
static void turn_all(saem_state *s) {
  measurement *m = s->model;
  turn_step(&s->turn, s->stats.turns);
  turn_columns(m->mixing, (size_t)m->p, s->turn.inverse, m->d,
               s->scratch + (size_t)m->p * (size_t)m->d);
  move_latents(s, s->turn.rotation);
}

/* A T^-1 with columns of length 1, and z to match. */
static int shear_all(saem_state *s, double step) {
  measurement *m = s->model;
  size_t p = (size_t)m->p, d = (size_t)m->d;
  double *t = s->turn.rotation, *row = s->scratch + p * d;
  int status = shear_step(&s->shear, s->stats.shears, step, t, s->turn.inverse, row);
  if (status != STATUS_OK)
    return status;
  turn_columns(m->mixing, p, s->turn.inverse, m->d, row);
  for (size_t j = 0; j < d; j++) {
    double *column = m->mixing + j * p, length = sqrt(linalg_dot(column, column, p));
    for (size_t i = 0; i < p; i++)
      column[i] /= length;
    for (size_t k = 0; k < d; k++)
      t[j + k * d] *= length;
  }
  turn_over(t, m->d); /* rows times T' */
  move_latents(s, t);
  return STATUS_OK;
}

/* Are general columns held, while the chains forget the start's latents? */
static int is_held(const saem_state *s) {
  int warm_up = HELD_ITERATIONS < s->set.burn_in / 2 ? HELD_ITERATIONS : s->set.burn_in / 2;
  return !s->set.prior_given && s->at.iteration <= warm_up;
}

/* Mechanisms, A (4.7) and sigma2 (4.9) that maximise the expected complete-data likelihood; *change
 * is the relative change of A. Draws that are not finite show in their moments. */
static int maximise(saem_state *s, double step, double *change) {
  measurement *m = s->model;
  const double *cross = s->stats.value + s->stats.cross_at;
  const double *second = s->stats.value + s->stats.second_at;
  size_t tall = (size_t)m->p * (size_t)m->d;
  double *before = s->scratch;
  int held = m->kind->shears && is_held(s);
  *change = NAN;
  if (!linalg_finite(s->stats.value, s->stats.size))
    return STATUS_NOT_FINITE;
  int status = mechanism_fit(s->mech, s->stats.value);
  memcpy(before, m->mixing, tall * sizeof(double));
  if (status == STATUS_OK && m->kind->update && !held)
    status = m->kind->update(m, cross, second);
  if (status == STATUS_OK && s->turns)
    turn_all(s);
  if (status == STATUS_OK && s->shears && !held)
    status = shear_all(s, step);
  m->kind->refresh(m);
  measurement_update_noise(m, cross, second);
  *change = relative_change(before, m->mixing, tall);
  return status == STATUS_OK && !isfinite(*change + m->noise.value) ? STATUS_NOT_FINITE : status;
}

/* ---- the algorithm ------------------------------------------------------------------------- */

/* Mechanisms from the start's latents, whose errors have variance sigma2 / |a_j|^2 or more. */
static int start_mechanisms(saem_state *s) {
  int d = s->rows->d;
  double *error = s->scratch, floor = s->mech->variance_floor;
  if (s->set.prior_given)
    return STATUS_OK;
  update_range(s);
  simulate(s, 0);
  approximate(s, 1);
  if (!linalg_finite(s->stats.value, s->stats.size))
    return STATUS_NOT_FINITE;
  for (int j = 0; j < d; j++)
    error[j] = s->model->noise.value / s->model->gram[j + j * d];
  s->mech->variance_floor = VARIANCE_START * s->model->noise.value;
  int status = mechanism_start(s->mech, s->stats.value, error);
  s->mech->variance_floor = floor;
  s->mech->floored = 0;
  return status;
}

static void record(saem_state *s, double change, double acceptance, double shift) {
  size_t rows = (size_t)(s->set.burn_in + s->set.iterations), row = (size_t)s->at.iteration - 1;
  s->trace[SAEM_SIGMA2 * rows + row] = s->model->noise.value;
  s->trace[SAEM_CHANGE * rows + row] = change;
  s->trace[SAEM_ACCEPTANCE * rows + row] = acceptance;
  s->trace[SAEM_OBJECTIVE * rows + row] = saem_stop_objective(s);
  s->trace[SAEM_SHIFT * rows + row] = shift;
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    s->trace[(size_t)(SAEM_VARIANCES + c) * rows + row] = s->mech->variance[c];
}

/* In burn-in knots follow the draws, until parameters move no more than their noise. */
static double burn_in(saem_state *s) {
  saem_stop_watch(s);
  double shift = s->at.iteration < LEAST_BURN_IN ? NAN : saem_stop_shift(s);
  s->at.settled = shift < NO_SHIFT;
  if (s->at.settled || s->at.iteration >= s->set.burn_in)
    s->at.burnt_in = s->at.iteration;
  else
    update_range(s);
  return shift;
}

/* Looked at when a batch is complete. */
static void check_precision(saem_state *s) {
  double ratio[2];
  if (s->record.fitted.count < LEAST_AVERAGED ||
      s->record.fitted.count % s->record.fitted.size != 0)
    return;
  saem_stop_precision(s, ratio);
  s->at.precise = fmax(ratio[0], ratio[1]) < s->set.tol;
}

static void average(saem_state *s) {
  for (size_t g = 0; g < s->stats.size; g++)
    s->stats.average[g] += s->stats.value[g];
  saem_stop_keep(s);
  check_precision(s);
}

static int iterate(saem_state *s) {
  int averaging = s->at.burnt_in > 0;
  double change, shift = NAN, step = averaging ? AVERAGING_STEP : 1;
  s->at.iteration++;
  s->mech->held_lambda = s->set.prior_given && !averaging && s->mech->estimates == 0;
  s->mech->variance_step = averaging || s->at.iteration <= WHOLE_STEPS ? 1 : VARIANCE_STEP;
  simulate(s, (uint32_t)s->at.iteration); /* z given x */
  approximate(s, step);                   /* sufficient statistics */
  estimate_missing(s);
  int status = maximise(s, step, &change); /* f, v, A, sigma2 */
  double acceptance = tune(s);
  if (averaging)
    average(s);
  else
    shift = burn_in(s);
  record(s, change, acceptance, shift);
  s->set.tick(s->at.iteration, change, s->set.ctx);
  return status;
}

static int start(saem_state *s) {
  int d = s->rows->d, status = start_mechanisms(s);
  memcpy(s->record.first, s->model->mixing, (size_t)s->model->p * (size_t)d * sizeof(double));
  for (int j = 0; j < d; j++)
    for (int k = 0; k < 3; k++) {
      const double *range = s->mech->range + 2 * j;
      s->record.probe[3 * j + k] = range[0] + 0.25 * (k + 1) * (range[1] - range[0]);
    }
  return status;
}

int saem_run(saem_state *s) {
  int status = STATUS_OK;
  if (s->at.iteration == 0)
    status = start(s);
  else
    check_precision(s);
  while (status == STATUS_OK && !s->at.precise &&
         (!s->at.burnt_in || s->record.fitted.count < s->set.iterations))
    status = iterate(s);
  return status;
}

/* Mean over the averaging iterations. */
static double mean_sigma2(const saem_state *s) {
  size_t at = (size_t)s->model->p * (size_t)s->rows->d; /* see saem_stop_keep() */
  double sum = 0;
  for (int k = 0; k < MAX_BATCHES; k++)
    sum += s->record.fitted.sum[(size_t)k * s->record.fitted.length + at];
  return sum / s->record.fitted.count;
}

/* Smoothing, components and columns of unit length follow from one another: a few rounds. The
 * statistics belong to an A that moved from iteration to iteration; no single A fits their mean as
 * well, which sigma2 would count as noise. */
int saem_finish(saem_state *s) {
  int status = STATUS_OK, floored = s->mech->floored, deficient = s->model->rank_deficient;
  double change;
  if (s->record.fitted.count == 0)
    return status;
  for (size_t g = 0; g < s->stats.size; g++)
    s->stats.value[g] = s->stats.average[g] / s->record.fitted.count;
  s->turns = s->shears = 0;
  s->mech->variance_step = 1;
  for (int k = 0; k < FINAL_STEPS && status == STATUS_OK; k++) {
    s->mech->floored = floored;
    s->model->rank_deficient = deficient;
    status = maximise(s, 1, &change);
  }
  if (s->model->noise.learned)
    s->model->noise.value = mean_sigma2(s);
  return status;
}
