#include "saem.h"

#include "saem_stop.h"
#include "vectorize.h"

#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

static const double VARIANCE_START = 0.05; /* of the noise: least variance at the start */
static const double SAME_DIRECTION = 1e-13;
static const double MAX_TURN = 0.1;
static const double MAX_STIFFNESS = 1.5; /* turns are stable below 2 */
/* Step while averaging: the smaller, the less the noise of single draws bends the curves, and the
 * longer the memory. */
static const double AVERAGING_STEP = 0.3;
static const double VARIANCE_STEP = 0.1; /* of noise variances in burn-in, with few rows */
static const double SAME_LENGTH = 1e-8;
static const double NO_SHIFT = 1; /* see saem_shift() */
enum { MAX_COLUMN_STEPS = 100, FINAL_STEPS = 10, LEAST_BURN_IN = 64, LEAST_AVERAGED = 256 };
enum { HELD_ITERATIONS = 20, WHOLE_STEPS = 5 };

struct saem_shard {
  latent_block block;
  mechanism_basis basis;
  double *statistics;
  double *weighted; /* d x X_ROWS: omega z */
  double *gradient; /* d x BLOCK_ROWS: of the prior's log density */
  double *shears;   /* sums of their derivatives */
  double *wide;     /* BLOCK_ROWS x derivatives */
};

static size_t cross_at(const saem_state *s) {
  return s->mech->n_stats;
}

static size_t second_at(const saem_state *s) {
  return s->mech->n_stats + (size_t)s->p * (size_t)s->rows->d;
}

static size_t turning_at(const saem_state *s) {
  return s->n_statistics;
}

static size_t walks(const saem_state *s) {
  return (size_t)s->rows->d * (size_t)s->rows->n_domains;
}

double saem_work_bytes(double n, double p, double d, double n_domains, double n_edges,
                       double n_statistics, double n_derivatives) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS));
  double own = n_statistics + d * (3 * d + X_ROWS + BLOCK_ROWS * (ORDER + 2) + n_domains) +
               n_derivatives * (n_derivatives + 1 + BLOCK_ROWS);
  double followed = p * d + d * d + 4 * d + 6 * n_edges + 3;
  return sizeof(double) * ((shards + 2) * own + 7 * p * d) + batch_means_bytes(followed) +
         (shards + 1) * latent_block_bytes(d, d, n_domains);
}

/* ---- set-up -------------------------------------------------------------------------------- */

static saem_shard shard_new(const saem_state *s, allocator alloc) {
  size_t d = (size_t)s->rows->d;
  saem_shard k = {.block = latent_block_new(&s->sampler.prior, s->rows->n_domains, alloc),
                  .basis = mechanism_basis_new(s->rows->d, alloc),
                  .statistics = alloc(s->n_statistics + 3 * d * d, sizeof(double)),
                  .weighted = aligned_doubles(d * X_ROWS, alloc),
                  .gradient = aligned_doubles(d * BLOCK_ROWS, alloc),
                  .shears = s->shears ? alloc(shear_sums(&s->shear), sizeof(double)) : NULL,
                  .wide = s->shears ? aligned_doubles((size_t)s->shear.count * BLOCK_ROWS, alloc)
                                    : NULL};
  return k;
}

/* gram = A'A; what is 0 but for rounding is made 0, which the sampler skips. */
static void update_gram(saem_state *s) {
  int d = s->rows->d;
  size_t p = (size_t)s->p;
  for (int j = 0; j < d; j++)
    for (int k = 0; k <= j; k++) {
      double sum = 0;
      for (size_t i = 0; i < p; i++)
        sum += s->mixing[(size_t)j * p + i] * s->mixing[(size_t)k * p + i];
      s->gram[j + k * d] = s->gram[k + j * d] = sum;
    }
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++)
      if (j != k &&
          fabs(s->gram[j + k * d]) < SAME_DIRECTION * sqrt(s->gram[j + j * d] * s->gram[k + k * d]))
        s->gram[j + k * d] = 0;
}

void saem_prepare(saem_state *s, allocator alloc) {
  int d = s->rows->d;
  size_t tall = (size_t)s->p * (size_t)d;
  s->shards = shard_rows(s->rows->n);
  s->n_statistics = second_at(s) + (size_t)d * (size_t)d;
  s->statistics = alloc(s->n_statistics, sizeof(double));
  s->turning = alloc(3 * (size_t)d * (size_t)d, sizeof(double));
  s->stiffest = alloc((size_t)d * (size_t)d, sizeof(double));
  for (int g = 0; g < d * d; g++)
    s->stiffest[g] = 1;
  s->rotation = alloc((size_t)d * (size_t)d, sizeof(double));
  s->sampler.prior = mechanism_prior(s->mech);
  s->shear = shear_plan_new(s->mech, s->tied, s->rows->n);
  s->shears = s->set.mixing == SAEM_UNIT_COLUMNS && d <= MAX_SHEARED && s->shear.n_shears > 0;
  s->shear_sum = s->shears ? alloc(shear_sums(&s->shear), sizeof(double)) : NULL;
  s->inverse = alloc((size_t)d * (size_t)d, sizeof(double));
  s->pivot = alloc((size_t)d, sizeof(int));
  s->shard = alloc((size_t)s->shards.n_shards, sizeof(saem_shard));
  for (int k = 0; k < s->shards.n_shards; k++)
    s->shard[k] = shard_new(s, alloc);
  s->gram = alloc((size_t)d * (size_t)d, sizeof(double));
  s->length = alloc((size_t)d, sizeof(double));
  s->polar = polar_work_new(s->p, d, alloc);
  s->scratch = alloc(2 * tall, sizeof(double));
  s->average = alloc(s->n_statistics, sizeof(double));
  memset(s->average, 0, s->n_statistics * sizeof(double));
  size_t fitted = saem_fitted_length(s), watched = saem_watched_length(s);
  s->fitted = batch_means_new(fitted, alloc);
  s->watched = batch_means_new(watched, alloc);
  s->values = alloc(fitted > watched ? fitted : watched, sizeof(double));
  s->first = alloc(tall, sizeof(double));
  s->probe = alloc(3 * (size_t)d, sizeof(double));
  s->sum_sq = rows_square_sum(s->x, s->p, s->rows, s->set.threads);
  s->sigma2_floor = 1e-10 * s->sum_sq / ((double)s->rows->n * s->p);
  s->domain_rows = alloc((size_t)s->rows->n_domains, sizeof(double));
  memset(s->domain_rows, 0, (size_t)s->rows->n_domains * sizeof(double));
  for (size_t i = 0; i < s->rows->n; i++)
    s->domain_rows[s->rows->env[i] - 1] += 1;
  int *driver = alloc(walks(s), sizeof(int));
  s->sampler.rows = s->rows;
  s->sampler.gram = s->gram;
  s->sampler.walk_scale = s->walk_scale;
  causal_prior_drivers(&s->sampler.prior, s->rows->targets, s->rows->n_domains, driver);
  s->sampler.driver = driver;
  update_gram(s);
  for (int j = 0; j < d; j++)
    s->length[j] = s->set.mixing == SAEM_TURNED ? 1 : sqrt(s->gram[j + j * d]);
  s->turns = s->set.mixing == SAEM_ORTHOGONAL || s->set.mixing == SAEM_TURNED;
}

/* ---- simulation ---------------------------------------------------------------------------- */

/* sum omega z z', and omega z of the block's rows from `at` on, for the cross products. */
static void add_moments(const saem_state *s, saem_shard *k, int at) {
  int d = s->rows->d, rows = k->block.rows;
  double *second = k->statistics + second_at(s);
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

/* Length of a column of A over that of another. */
static double length_ratio(const saem_state *s, int of, int by) {
  double ratio = s->length[of] / s->length[by];
  return fabs(ratio - 1) < SAME_LENGTH ? 1 : ratio;
}

/* Derivatives of the prior's log density, row by row, in a turn of latents a and c, each times the
 * length of its column. */
static void torque(const saem_state *s, const saem_shard *k, int a, int c, double *restrict out) {
  const latent_block *b = &k->block;
  const double *u = k->gradient + a * BLOCK_ROWS, *v = k->gradient + c * BLOCK_ROWS;
  const double *y = b->z + a * BLOCK_ROWS, *z = b->z + c * BLOCK_ROWS;
  double longer = length_ratio(s, c, a), shorter = length_ratio(s, a, c);
  SIMD for (int i = 0; i < b->rows; i++) out[i] = u[i] * z[i] * longer - v[i] * y[i] * shorter;
}

/* What the prior says on turns of the block's latents. */
WIDE_VECTORS static void add_turning(const saem_state *s, saem_shard *k) {
  int d = s->rows->d;
  const latent_block *b = &k->block;
  double *first = k->statistics + turning_at(s), *square = first + d * d, *along = square + d * d;
  double plane[BLOCK_ROWS], weight[BLOCK_ROWS], together[BLOCK_ROWS] = {0};
  mechanism_gradient(s->mech, b, k->gradient);
  for (int i = 0; i < b->rows; i++)
    weight[i] = s->rows->omega[b->domain[i]];
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      double by = s->stiffest[a + c * d];
      torque(s, k, a, c, plane);
      SIMD for (int i = 0; i < b->rows; i++) together[i] += by * plane[i];
    }
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      int at = a + c * d;
      torque(s, k, a, c, plane);
      for (int i = 0; i < b->rows; i++) {
        double weighted = weight[i] * plane[i];
        first[at] += weighted;
        square[at] += weighted * plane[i];
        along[at] += weighted * together[i];
      }
    }
}

/* One sweep of a shard's rows (none if sweep is 0) and their statistics. */
static void simulate_shard(saem_state *s, int shard, uint32_t sweep) {
  saem_shard *k = &s->shard[shard];
  size_t n = s->rows->n, end = shard_start(&s->shards, shard + 1);
  int d = s->rows->d;
  memset(k->statistics, 0, (s->n_statistics + 3 * (size_t)(d * d)) * sizeof(double));
  memset(k->block.accepted, 0, walks(s) * sizeof(double));
  if (s->shears)
    memset(k->shears, 0, shear_sums(&s->shear) * sizeof(double));
  for (size_t start = shard_start(&s->shards, shard); start < end; start += X_ROWS) {
    int many = end - start < X_ROWS ? (int)(end - start) : X_ROWS;
    rows_times(s->x, n, s->p, start, many, s->mixing, d, s->projected + start, n);
    for (int at = 0; at < many; at += BLOCK_ROWS) {
      int rows = many - at < BLOCK_ROWS ? many - at : BLOCK_ROWS;
      sampler_load(&s->sampler, &k->block, start + (size_t)at, rows, s->z, s->projected);
      if (sweep > 0) {
        sampler_refresh(&s->sampler, &k->block);
        sampler_sweep(&s->sampler, &k->block, sweep);
        sampler_store(&k->block, n, d, s->z);
        if (s->turns)
          add_turning(s, k);
        if (s->shears)
          shear_add(&s->shear, s->gram, s->rows->omega, &k->block, k->gradient, k->wide, k->shears);
      }
      mechanism_add(s->mech, &k->basis, s->rows, &k->block, k->statistics);
      add_moments(s, k, at);
    }
    rows_cross(s->x, n, s->p, start, many, k->weighted, d, k->statistics + cross_at(s));
  }
}

static void simulate(saem_state *s, uint32_t sweep) {
  s->sampler.sigma2 = s->sigma2;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(s->set.threads)
#endif
  for (int k = 0; k < s->shards.n_shards; k++)
    simulate_shard(s, k, sweep);
}

/* ---- stochastic approximation -------------------------------------------------------------- */

/* S += step (S(z) - S), shard by shard: sums in the same order for any number of threads. */
static void approximate(saem_state *s, double step) {
  for (size_t g = 0; g < s->n_statistics; g++) {
    double sum = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      sum += s->shard[k].statistics[g];
    s->statistics[g] = step == 1 ? sum : s->statistics[g] + step * (sum - s->statistics[g]);
  }
  for (size_t g = 0; g < 3 * (size_t)(s->rows->d * s->rows->d); g++) {
    s->turning[g] = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      s->turning[g] += s->shard[k].statistics[turning_at(s) + g];
  }
  for (size_t g = 0; s->shears && g < shear_sums(&s->shear); g++) {
    s->shear_sum[g] = 0;
    for (int k = 0; k < s->shards.n_shards; k++)
      s->shear_sum[g] += s->shard[k].shears[g];
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
    s->acceptance[w] = s->sampler.driver[w] ? accepted / s->domain_rows[w / (size_t)d] : NAN;
    if (!s->sampler.driver[w])
      continue;
    overall += s->acceptance[w];
    counted++;
    if (!s->burnt_in)
      s->walk_scale[w] = sampler_tuned(s->walk_scale[w], s->acceptance[w], s->iteration);
  }
  return counted ? overall / counted : NAN;
}

/* Knots cover the latest draws. */
static void update_range(saem_state *s) {
  size_t n = s->rows->n;
  for (int j = 0; j < s->rows->d; j++) {
    const double *z = s->z + (size_t)j * n;
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
  return sqrt(sum / dot(before, before, length));
}

/* A = O D for given lengths D: O is the polar factor of cross D (Procrustes, 4.8). */
static int orthogonal_columns(saem_state *s) {
  size_t p = (size_t)s->p, tall = p * (size_t)s->rows->d;
  const double *cross = s->statistics + cross_at(s);
  double *target = s->scratch + tall;
  int deficient;
  for (size_t g = 0; g < tall; g++)
    target[g] = cross[g] * s->length[g / p];
  int status = polar_factor_of(target, &s->polar, s->mixing, &deficient);
  s->rank_deficient += deficient;
  for (size_t g = 0; g < tall; g++)
    s->mixing[g] *= s->length[g / p];
  return status;
}

/* m (rows x d) = m R. */
static void turn_columns(double *m, size_t rows, const double *r, int d, double *row) {
  for (size_t i = 0; i < rows; i++) {
    for (int j = 0; j < d; j++) {
      row[j] = 0;
      for (int k = 0; k < d; k++)
        row[j] += m[i + (size_t)k * rows] * r[k + j * d];
    }
    for (int j = 0; j < d; j++)
      m[i + (size_t)j * rows] = row[j];
  }
}

static void transpose(double *m, int d) {
  for (int j = 0; j < d; j++)
    for (int k = 0; k < j; k++) {
      double swap = m[j + k * d];
      m[j + k * d] = m[k + j * d];
      m[k + j * d] = swap;
    }
}

/* All planes turn at once, each by its own information: they overshoot together where it adds up.
 * Its largest sum beside each one's own is the largest eigenvalue of the information matrix scaled
 * to a diagonal of 1, by power iterations, one an iteration: from `stiffest` and what the
 * information makes of it. Returns the share of the turns that is safe. */
static double safe_share(saem_state *s) {
  int d = s->rows->d;
  const double *square = s->turning + d * d, *along = square + d * d;
  double joint = 0, own = 0, largest = 0;
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      int at = a + c * d;
      double *w = s->stiffest + at;
      joint += *w * along[at];
      own += *w * *w * square[at];
      *w = square[at] > 0 ? along[at] / square[at] : 0;
      largest = fmax(largest, fabs(*w));
    }
  for (int g = 0; g < d * d; g++)
    s->stiffest[g] = largest > 0 ? s->stiffest[g] / largest : 1;
  return joint > MAX_STIFFNESS * own ? MAX_STIFFNESS * own / joint : 1;
}

/* R = the product of turns by torque / information in each plane, or a share of it. The derivative
 * of the prior's log density in the angle t at which w_a gains t w_c and w_c loses t w_a, w = D z,
 * is the torque. */
static void scoring_rotation(saem_state *s, double *r) {
  int d = s->rows->d;
  double *information = s->turning + d * d, share = safe_share(s);
  memset(r, 0, (size_t)(d * d) * sizeof(double));
  for (int j = 0; j < d; j++)
    r[j + j * d] = 1;
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      if (!(information[a + c * d] > 0))
        continue;
      double angle = share * s->turning[a + c * d] / information[a + c * d];
      angle = fmax(-MAX_TURN, fmin(MAX_TURN, angle));
      double cosine = cos(angle), sine = sin(angle);
      for (int i = 0; i < d; i++) {
        double u = r[i + a * d], v = r[i + c * d];
        r[i + a * d] = cosine * u + sine * v;
        r[i + c * d] = -sine * u + cosine * v;
      }
    }
}

/* A = O D turned to O R D, z to D^-1 R'D z, and the averages to match. */
static void turn_all(saem_state *s) {
  int d = s->rows->d;
  double *row = s->scratch + (size_t)s->p * (size_t)d, *second = s->statistics + second_at(s);
  double *columns = s->inverse;
  scoring_rotation(s, columns);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++) {
      s->rotation[k + j * d] = columns[k + j * d] * length_ratio(s, k, j);
      columns[k + j * d] *= length_ratio(s, j, k);
    }
  turn_columns(s->mixing, (size_t)s->p, columns, d, row);
  turn_columns(s->z, s->rows->n, s->rotation, d, row);
  turn_columns(s->statistics + cross_at(s), (size_t)s->p, s->rotation, d, row);
  turn_columns(second, (size_t)d, s->rotation, d, row);
  transpose(second, d);
  turn_columns(second, (size_t)d, s->rotation, d, row);
}

/* A T^-1 with columns of length 1, z, and the averages to match. */
static int shear_all(saem_state *s, double step) {
  int d = s->rows->d, info;
  size_t p = (size_t)s->p, tall = p * (size_t)d;
  double *t = s->rotation, *row = s->scratch + tall, *second = s->statistics + second_at(s);
  shear_step(&s->shear, s->shear_sum, step, t);
  memset(s->inverse, 0, (size_t)(d * d) * sizeof(double));
  for (int j = 0; j < d; j++)
    s->inverse[j + j * d] = 1;
  memcpy(row, t, (size_t)(d * d) * sizeof(double)); /* p >= d */
  F77_CALL(dgesv)(&d, &d, row, &d, s->pivot, s->inverse, &d, &info);
  if (info != 0)
    return STATUS_DEPENDENT;
  turn_columns(s->mixing, p, s->inverse, d, row);
  for (int j = 0; j < d; j++) {
    double *column = s->mixing + (size_t)j * p, length = sqrt(dot(column, column, p));
    for (size_t i = 0; i < p; i++)
      column[i] /= length;
    for (int k = 0; k < d; k++)
      t[j + k * d] *= length;
  }
  transpose(t, d); /* rows times T' */
  turn_columns(s->z, s->rows->n, t, d, row);
  turn_columns(s->statistics + cross_at(s), p, t, d, row);
  turn_columns(second, (size_t)d, t, d, row);
  transpose(second, d);
  turn_columns(second, (size_t)d, t, d, row);
  return STATUS_OK;
}

/* Least squares under unit columns, column by column: given the others, the best is the direction
 * of cross_j - sum_k second_kj a_k. */
static void unit_columns(saem_state *s) {
  int d = s->rows->d;
  size_t p = (size_t)s->p;
  const double *cross = s->statistics + cross_at(s), *second = s->statistics + second_at(s);
  double change = 1;
  for (int step = 0; step < MAX_COLUMN_STEPS && change > 1e-20; step++) {
    change = 0;
    for (int j = 0; j < d; j++) {
      double *column = s->mixing + (size_t)j * p, *next = s->scratch + (size_t)d * p;
      memcpy(next, cross + (size_t)j * p, p * sizeof(double));
      for (int k = 0; k < d; k++)
        for (size_t i = 0; k != j && i < p; i++)
          next[i] -= second[k + j * d] * s->mixing[(size_t)k * p + i];
      double norm = sqrt(dot(next, next, p));
      for (size_t i = 0; i < p && norm > 0; i++) {
        double to = next[i] / norm;
        change += (to - column[i]) * (to - column[i]);
        column[i] = to;
      }
    }
  }
}

static void update_sigma2(saem_state *s) {
  int d = s->rows->d;
  const double *cross = s->statistics + cross_at(s), *second = s->statistics + second_at(s);
  double sum = s->sum_sq - 2 * dot(s->mixing, cross, (size_t)s->p * (size_t)d) +
               dot(s->gram, second, (size_t)d * (size_t)d);
  s->sigma2 = sum / ((double)s->rows->n * s->p);
  if (s->sigma2 <= s->sigma2_floor) {
    s->sigma2 = s->sigma2_floor;
    s->sigma2_floored++;
  }
}

/* Are general columns held, while the chains forget the start's latents? */
static int is_held(const saem_state *s) {
  int warm_up = HELD_ITERATIONS < s->set.burn_in / 2 ? HELD_ITERATIONS : s->set.burn_in / 2;
  return !s->set.prior_given && s->iteration <= warm_up;
}

/* Mechanisms, A and sigma2 that maximise the expected complete-data likelihood; *change is the
 * relative change of A. Draws that are not finite show in their moments. */
static int maximise(saem_state *s, double step, double *change) {
  size_t tall = (size_t)s->p * (size_t)s->rows->d;
  double *before = s->scratch;
  *change = NAN;
  if (!all_finite(s->statistics, s->n_statistics))
    return STATUS_NOT_FINITE;
  int status = mechanism_fit(s->mech, s->statistics);
  memcpy(before, s->mixing, tall * sizeof(double));
  if (status == STATUS_OK && s->set.mixing == SAEM_ORTHOGONAL)
    status = orthogonal_columns(s);
  if (status == STATUS_OK && s->turns)
    turn_all(s);
  if (status == STATUS_OK && s->set.mixing == SAEM_UNIT_COLUMNS && !is_held(s)) {
    unit_columns(s);
    status = s->shears ? shear_all(s, step) : STATUS_OK;
  }
  update_gram(s);
  if (s->set.learn_sigma2)
    update_sigma2(s);
  *change = relative_change(before, s->mixing, tall);
  return status == STATUS_OK && !isfinite(*change + s->sigma2) ? STATUS_NOT_FINITE : status;
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
  if (!all_finite(s->statistics, s->n_statistics))
    return STATUS_NOT_FINITE;
  for (int j = 0; j < d; j++)
    error[j] = s->sigma2 / s->gram[j + j * d];
  s->mech->variance_floor = VARIANCE_START * s->sigma2;
  int status = mechanism_start(s->mech, s->statistics, error);
  s->mech->variance_floor = floor;
  s->mech->floored = 0;
  return status;
}

static void record(saem_state *s, double change, double acceptance, double shift) {
  size_t rows = (size_t)(s->set.burn_in + s->set.iterations), row = (size_t)s->iteration - 1;
  s->trace[SAEM_SIGMA2 * rows + row] = s->sigma2;
  s->trace[SAEM_CHANGE * rows + row] = change;
  s->trace[SAEM_ACCEPTANCE * rows + row] = acceptance;
  s->trace[SAEM_OBJECTIVE * rows + row] = saem_objective(s);
  s->trace[SAEM_SHIFT * rows + row] = shift;
  for (int c = 0; c < 2 * s->rows->d; c++)
    s->trace[(size_t)(SAEM_VARIANCES + c) * rows + row] = s->mech->variance[c];
}

/* In burn-in knots follow the draws, until parameters move no more than their noise. */
static double burn_in(saem_state *s) {
  saem_watch(s);
  double shift = s->iteration < LEAST_BURN_IN ? NAN : saem_shift(s);
  s->settled = shift < NO_SHIFT;
  if (s->settled || s->iteration >= s->set.burn_in)
    s->burnt_in = s->iteration;
  else
    update_range(s);
  return shift;
}

/* Looked at when a batch is complete. */
static void check_precision(saem_state *s) {
  double ratio[2];
  if (s->fitted.count < LEAST_AVERAGED || s->fitted.count % s->fitted.size != 0)
    return;
  saem_precision(s, ratio);
  s->precise = fmax(ratio[0], ratio[1]) < s->set.tol;
}

static void average(saem_state *s) {
  for (size_t g = 0; g < s->n_statistics; g++)
    s->average[g] += s->statistics[g];
  saem_keep(s);
  check_precision(s);
}

static int iterate(saem_state *s) {
  int averaging = s->burnt_in > 0;
  double change, shift = NAN, step = averaging ? AVERAGING_STEP : 1;
  s->iteration++;
  s->mech->variance_step = averaging || s->iteration <= WHOLE_STEPS ? 1 : VARIANCE_STEP;
  simulate(s, (uint32_t)s->iteration);     /* z given x */
  approximate(s, step);                    /* sufficient statistics */
  int status = maximise(s, step, &change); /* f, v, A, sigma2 */
  double acceptance = tune(s);
  if (averaging)
    average(s);
  else
    shift = burn_in(s);
  record(s, change, acceptance, shift);
  s->set.tick(s->iteration, change, s->set.ctx);
  return status;
}

static int start(saem_state *s) {
  int d = s->rows->d, status = start_mechanisms(s);
  memcpy(s->first, s->mixing, (size_t)s->p * (size_t)d * sizeof(double));
  for (int j = 0; j < d; j++)
    for (int k = 0; k < 3; k++) {
      const double *range = s->mech->range + 2 * j;
      s->probe[3 * j + k] = range[0] + 0.25 * (k + 1) * (range[1] - range[0]);
    }
  return status;
}

int saem_run(saem_state *s) {
  int status = STATUS_OK;
  if (s->iteration == 0)
    status = start(s);
  else
    check_precision(s);
  while (status == STATUS_OK && !s->precise &&
         (!s->burnt_in || s->fitted.count < s->set.iterations))
    status = iterate(s);
  return status;
}

/* Mean over the averaging iterations. */
static double mean_sigma2(const saem_state *s) {
  size_t at = (size_t)s->p * (size_t)s->rows->d; /* see saem_keep() */
  double sum = 0;
  for (int k = 0; k < MAX_BATCHES; k++)
    sum += s->fitted.sum[(size_t)k * s->fitted.length + at];
  return sum / s->fitted.count;
}

/* Smoothing, components and columns of unit length follow from one another: a few rounds. The
 * statistics belong to an A that moved from iteration to iteration; no single A fits their mean as
 * well, which sigma2 would count as noise. */
int saem_finish(saem_state *s) {
  int status = STATUS_OK, floored = s->mech->floored, deficient = s->rank_deficient;
  double change;
  if (s->fitted.count == 0)
    return status;
  for (size_t g = 0; g < s->n_statistics; g++)
    s->statistics[g] = s->average[g] / s->fitted.count;
  s->turns = s->shears = 0;
  s->mech->variance_step = 1;
  for (int k = 0; k < FINAL_STEPS && status == STATUS_OK; k++) {
    s->mech->floored = floored;
    s->rank_deficient = deficient;
    status = maximise(s, 1, &change);
  }
  if (s->set.learn_sigma2)
    s->sigma2 = mean_sigma2(s);
  return status;
}
