#include "reference.h"

#include "shrinkage.h"
#include "vectorize.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

/* Targets, weight and effective rows of every target set. */
static void describe_groups(gaussian_reference *r, const latent_sample *s) {
  size_t groups = (size_t)r->n_groups, domains = (size_t)s->n_domains;
  memset(r->targets, 0, groups * (size_t)r->d * sizeof(int));
  memset(r->own.weight, 0, groups * sizeof(double));
  memset(r->own.rows, 0, groups * sizeof(double));
  for (size_t e = 0; e < domains; e++)
    for (size_t j = 0; j < (size_t)r->d; j++)
      r->targets[(size_t)r->group[e] + j * groups] = s->targets[e + j * domains];
  for (size_t i = 0; i < s->n; i++) {
    double w = row_weight(s, i);
    r->own.weight[r->group[s->env[i] - 1]] += w;
    r->own.rows[r->group[s->env[i] - 1]] += w * w;
  }
  for (size_t g = 0; g < groups; g++)
    r->own.rows[g] = r->own.rows[g] > 0 ? r->own.weight[g] * r->own.weight[g] / r->own.rows[g] : 0;
}

gaussian_reference *reference_new(const latent_sample *s, const int *group, int n_groups,
                                  const causal_graph *graph, int n_shards, allocator alloc) {
  size_t d = (size_t)s->d, groups = (size_t)n_groups, shards = (size_t)n_shards;
  gaussian_reference *r = alloc(1, sizeof *r);
  memset(r, 0, sizeof *r);
  r->d = s->d;
  r->n_groups = n_groups;
  r->n_shards = n_shards;
  r->group = group;
  r->targets = alloc(groups * d, sizeof(int));
  r->scm = linear_scm_new(graph, alloc);
  r->mean = alloc(groups * d, sizeof(double));
  r->precision = alloc(groups * d * d, sizeof(double));
  r->score = alloc(s->n * d, sizeof(double));
  r->own.weight = alloc(groups, sizeof(double));
  r->own.rows = alloc(groups, sizeof(double));
  r->own.mean = alloc(groups * d, sizeof(double));
  r->own.second = alloc(groups * d * d, sizeof(double));
  r->own.spectrum = alloc(groups * d, sizeof(double));
  r->own.gap = alloc(groups * d, sizeof(double));
  r->own.sums = alloc(shards * groups * d * (d + 1), sizeof(double));
  r->own.row = alloc(shards * 2 * d, sizeof(double));
  r->cov = alloc(d * d, sizeof(double));
  r->spectral = spectral_work_new(s->d, alloc);
  describe_groups(r, s);
  return r;
}

double reference_doubles(double n, double d, double n_states, double n_groups) {
  double shards = fmin(MAX_SHARDS, ceil(n / SHARD_ROWS));
  return n * d + n_groups * ((2 + shards) * d * (d + 1) + 3 * d + 2) + 2 * shards * d + d * d +
         spectral_work_doubles(d) + linear_scm_doubles(d, n_states);
}

static size_t row_group(const gaussian_reference *r, const latent_sample *s, size_t row) {
  return (size_t)r->group[s->env[row] - 1];
}

/* Weighted sums of y and yy' (lower triangle) by target set, over rows [from, to). */
WIDE_VECTORS static void add_moments(const gaussian_reference *r, const latent_sample *s,
                                     size_t from, size_t to, double *restrict sums,
                                     double *restrict y) {
  size_t d = (size_t)r->d, size = d * (d + 1);
  memset(sums, 0, size * (size_t)r->n_groups * sizeof(double));
  for (size_t i = from; i < to; i++) {
    double *mean = sums + row_group(r, s, i) * size, *second = mean + d, w = row_weight(s, i);
    for (size_t j = 0; j < d; j++)
      y[j] = s->y[i + j * s->n];
    for (size_t j = 0; j < d; j++, second += d) {
      double wy = w * y[j];
      mean[j] += wy;
      SIMD for (size_t k = j; k < d; k++) second[k] += wy * y[k];
    }
  }
}

/* r->own.mean and r->own.second (both triangles) from the sums of all shards. */
static void collect_moments(gaussian_reference *r) {
  size_t d = (size_t)r->d, size = d * (d + 1), groups = (size_t)r->n_groups;
  for (size_t g = 0; g < groups; g++) {
    double *mean = r->own.mean + g * d, *second = r->own.second + g * d * d;
    double share = r->own.weight[g] > 0 ? 1 / r->own.weight[g] : 0;
    memset(mean, 0, d * sizeof(double));
    memset(second, 0, d * d * sizeof(double));
    for (size_t k = 0; k < (size_t)r->n_shards; k++) {
      const double *sum = r->own.sums + (k * groups + g) * size;
      for (size_t j = 0; j < d; j++)
        mean[j] += share * sum[j];
      for (size_t e = 0; e < d * d; e++)
        second[e] += share * sum[d + e];
    }
    for (size_t j = 0; j < d; j++)
      for (size_t k = j; k < d; k++)
        second[j + k * d] = second[k + j * d];
  }
}

/* out = a b, d x d. */
static void square_product(const double *a, const double *b, int d, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &d, &d, &d, &one, a, &d, b, &d, &zero, out, &d FCONE FCONE);
}

/* Entry of the covariance of the noise. */
static double noise_entry(const projection_noise *noise, size_t d, size_t j, size_t k) {
  return noise->sigma2 * (noise->shape ? noise->shape[j + k * d] : j == k);
}

/* The structured moments of the pseudo-latents: those of the latents, and the noise. */
static void structured_moments(const gaussian_reference *r, size_t g, const projection_noise *noise,
                               double *mean, double *cov) {
  size_t d = (size_t)r->d;
  linear_scm_moments(&r->scm, r->targets + g, r->n_groups, mean, cov);
  for (size_t j = 0; j < d; j++)
    for (size_t k = 0; k < d; k++)
      cov[j + k * d] += noise_entry(noise, d, j, k);
}

/* Spectrum and gap (shrinkage.h) of a target set, whose structured moments are in mean and
 * precision. */
static int compare_moments(gaussian_reference *r, size_t g) {
  const int one = 1;
  size_t d = (size_t)r->d;
  const double *own = r->own.mean + g * d, *second = r->own.second + g * d * d;
  double *gap = r->own.gap + g * d, *turned = r->spectral.square;
  int info;
  memcpy(r->cov, r->precision + g * d * d, d * d * sizeof(double));
  F77_CALL(dpotrf)("L", &r->d, r->cov, &r->d, &info FCONE);
  if (info != 0)
    return STATUS_NOT_FINITE;
  for (size_t j = 0; j < d; j++) {
    gap[j] = r->own.rows[g] > 0 ? own[j] - r->mean[g * d + j] : 0;
    for (size_t k = 0; k < d; k++)
      r->spectral.vectors[k + j * d] = r->own.rows[g] * (second[k + j * d] - own[k] * own[j]);
  }
  F77_CALL(dsygst)(&one, "L", &r->d, r->spectral.vectors, &r->d, r->cov, &r->d, &info FCONE);
  F77_CALL(dtrsv)("L", "N", "N", &r->d, r->cov, &r->d, gap, &one FCONE FCONE FCONE);
  int status = spectral_decompose(&r->spectral);
  for (size_t k = 0; k < d; k++) {
    turned[k] = 0;
    for (size_t j = 0; j < d; j++)
      turned[k] += r->spectral.vectors[j + k * d] * gap[j];
  }
  for (size_t k = 0; k < d; k++) {
    r->own.spectrum[g * d + k] = fmax(r->spectral.values[k], 0);
    gap[k] = turned[k] * turned[k];
  }
  return status;
}

/* Posterior mean of the moments of a target set (shrinkage.h), in place of the structured ones. */
static void shrink_moments(gaussian_reference *r, size_t g) {
  size_t d = (size_t)r->d;
  const double *own = r->own.mean + g * d, *second = r->own.second + g * d * d;
  double *mean = r->mean + g * d, *cov = r->precision + g * d * d;
  double w = r->kappa / (r->kappa + r->own.rows[g]);
  for (size_t j = 0; j < d; j++)
    for (size_t k = 0; k < d; k++) {
      double gaps = (own[j] - mean[j]) * (own[k] - mean[k]);
      double scatter = second[k + j * d] - own[j] * own[k];
      cov[k + j * d] = w * cov[k + j * d] + (1 - w) * (scatter + w * gaps);
    }
  for (size_t j = 0; j < d; j++)
    mean[j] = w * mean[j] + (1 - w) * own[j];
}

/* The inverse of a covariance whose excess over the noise is positive definite, in place; returns
 * whether it was. */
static int plain_precision(gaussian_reference *r, const projection_noise *noise, double *cov) {
  size_t d = (size_t)r->d;
  int info;
  for (size_t j = 0; j < d; j++)
    for (size_t k = 0; k < d; k++)
      r->spectral.square[k + j * d] = cov[k + j * d] - noise_entry(noise, d, k, j);
  F77_CALL(dpotrf)("L", &r->d, r->spectral.square, &r->d, &info FCONE);
  if (info != 0)
    return 0;
  F77_CALL(dpotrf)("L", &r->d, cov, &r->d, &info FCONE);
  F77_CALL(dpotri)("L", &r->d, cov, &r->d, &info FCONE);
  for (size_t j = 0; j < d; j++)
    for (size_t k = j; k < d; k++)
      cov[j + k * d] = cov[k + j * d];
  return 1;
}

/* P = Lambda max(Lambda C Lambda, sigma2)^-1 Lambda, max of eigenvalues; in place of C. */
static int floored_precision(gaussian_reference *r, const projection_noise *noise, double *cov) {
  size_t d = (size_t)r->d;
  const double *turned = r->spectral.vectors;
  if (plain_precision(r, noise, cov))
    return STATUS_OK;
  if (noise->lambda) {
    square_product(noise->lambda, cov, r->d, r->spectral.square);
    square_product(r->spectral.square, noise->lambda, r->d, r->spectral.vectors);
  } else
    memcpy(r->spectral.vectors, cov, d * d * sizeof(double));
  int status = spectral_decompose(&r->spectral);
  if (status != STATUS_OK)
    return status;
  for (size_t k = 0; k < d; k++)
    if (!(r->spectral.values[k] >= noise->sigma2)) {
      r->spectral.values[k] = noise->sigma2;
      r->floored++;
    }
  if (noise->lambda) { /* P = (Lambda V) diag(1 / values) (Lambda V)' */
    square_product(noise->lambda, r->spectral.vectors, r->d, r->spectral.square);
    turned = r->spectral.square;
  }
  memset(cov, 0, d * d * sizeof(double));
  for (size_t k = 0; k < d; k++)
    for (size_t j = 0; j < d; j++) {
      double share = turned[j + k * d] / r->spectral.values[k];
      for (size_t i = 0; i < d; i++)
        cov[i + j * d] += share * turned[i + k * d];
    }
  return STATUS_OK;
}

int reference_implied(gaussian_reference *r, int g, const projection_noise *noise) {
  size_t at = (size_t)g, d = (size_t)r->d;
  double *cov = r->precision + at * d * d;
  structured_moments(r, at, noise, r->mean + at * d, cov);
  return floored_precision(r, noise, cov);
}

/* kappa, m_a and P_a from the moments of the target sets. */
static int fit_gaussians(gaussian_reference *r, const projection_noise *noise) {
  size_t d = (size_t)r->d, groups = (size_t)r->n_groups;
  const group_moments own = {r->d,          r->n_groups, r->targets,
                             r->own.weight, r->own.mean, r->own.second};
  const shrinkage_problem problem = {r->d, r->n_groups, r->own.rows, r->own.spectrum, r->own.gap};
  int status = STATUS_OK;
  r->scm.floored = 0;
  linear_scm_fit(&r->scm, &own, noise->shape, noise->sigma2);
  r->floored = r->scm.floored;
  for (size_t g = 0; g < groups && status == STATUS_OK; g++) {
    structured_moments(r, g, noise, r->mean + g * d, r->precision + g * d * d);
    status = compare_moments(r, g);
  }
  if (status != STATUS_OK)
    return status;
  r->kappa = shrinkage_kappa(&problem);
  for (size_t g = 0; g < groups && status == STATUS_OK; g++) {
    shrink_moments(r, g);
    status = floored_precision(r, noise, r->precision + g * d * d);
  }
  return status;
}

/* g = -P (y - m) at rows [from, to). y: 2 d scratch. */
WIDE_VECTORS static void score_rows(const gaussian_reference *r, const latent_sample *s,
                                    size_t from, size_t to, double *restrict y) {
  size_t d = (size_t)r->d;
  double *restrict score = y + d;
  for (size_t i = from; i < to; i++) {
    size_t g = row_group(r, s, i);
    const double *mean = r->mean + g * d, *precision = r->precision + g * d * d;
    for (size_t j = 0; j < d; j++) {
      y[j] = mean[j] - s->y[i + j * s->n];
      score[j] = 0;
    }
    for (size_t k = 0; k < d; k++)
      SIMD for (size_t j = 0; j < d; j++) score[j] += precision[j + k * d] * y[k];
    for (size_t j = 0; j < d; j++)
      r->score[i + j * s->n] = score[j];
  }
}

void reference_score(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                     int threads) {
  (void)threads;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
  for (int k = 0; k < shards->n_shards; k++)
    score_rows(r, s, shard_start(shards, k), shard_start(shards, k + 1),
               r->own.row + (size_t)k * 2 * (size_t)r->d);
}

int reference_fit(gaussian_reference *r, const latent_sample *s, const row_shards *shards,
                  int threads, const projection_noise *noise) {
  size_t d = (size_t)r->d, size = d * (d + 1) * (size_t)r->n_groups;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
  for (int k = 0; k < shards->n_shards; k++)
    add_moments(r, s, shard_start(shards, k), shard_start(shards, k + 1),
                r->own.sums + (size_t)k * size, r->own.row + (size_t)k * 2 * d);
  collect_moments(r);
  int status = fit_gaussians(r, noise);
  if (status == STATUS_OK)
    reference_score(r, s, shards, threads);
  return status;
}

void reference_add(const gaussian_reference *r, const latent_sample *s, size_t start, int rows,
                   double *score, double *dscore, double *jacobian, double *loss) {
  size_t d = (size_t)r->d;
  for (size_t j = 0; j < d; j++) {
    const double *known = r->score + j * s->n + start;
    for (size_t i = 0; i < (size_t)rows; i++) {
      size_t row = start + i, at = j * BLOCK_ROWS + i;
      const double *precision = r->precision + row_group(r, s, row) * d * d + j * d;
      double before = score[at];
      score[at] += known[i];
      dscore[at] -= precision[j];
      loss[row_cell(s, row, (int)j)] +=
          row_weight(s, row) * (0.5 * (score[at] * score[at] - before * before) - precision[j]);
      if (jacobian)
        for (size_t k = 0; k < d; k++)
          jacobian[(k * d + j) * BLOCK_ROWS + i] -= precision[k];
    }
  }
}

void reference_sums(const gaussian_reference *r, const latent_sample *s, double *square,
                    double *slope) {
  size_t d = (size_t)r->d;
  for (size_t j = 0; j < d; j++) {
    square[j] = slope[j] = 0;
    for (size_t i = 0; i < s->n; i++)
      square[j] += row_weight(s, i) * r->score[i + j * s->n] * r->score[i + j * s->n];
    for (size_t g = 0; g < (size_t)r->n_groups; g++)
      slope[j] -= r->own.weight[g] * r->precision[j + j * d + g * d * d];
  }
}
