/* Mechanisms of the structural causal model, and guided importance sampling of z given y.
 *
 * A row is proposed node by node in topological order from p(z_j | z_pa(j), y_j), which is
 * Gaussian, precision 1/v + 1/s,  mean (f/v + y_j/s) / (1/v + 1/s), with f, v the mechanism's mean
 * and variance and s the noise variance of y_j. The weight of a draw is then prod_j N(y_j; f_j, v_j
 * + s_j). A node on which no mechanism of the domain depends is not drawn: its conditional mean and
 * variance enter the moments directly (Rao-Blackwell). Draws come in antithetic pairs: draw t +
 * draws/2 uses the normals of draw t with the other sign.
 *
 *   name      shape                          content
 *   y, env, targets, drawn                   inputs, see struct scm_data
 *   mean, sd, ess                            outputs, see struct scm_posterior
 *   z         d x tile_rows x draws          work: draws, or conditional means of undrawn nodes
 *   g         d x tile_rows x draws          work: g(z)
 *   f         draws                          work: mechanism means of one node and row
 *   weight    tile_rows x draws              work: log weights, then weights
 *   extra     d x tile_rows                  work: conditional variances of undrawn nodes
 *   noise     draws                          work: what earlier draws say of the noise of one y_j
 * With correlated noise the noise y_k - z_k of the nodes before j is known in each draw, so that j
 * sees y_j less its regression on them; all nodes but the last are then drawn.
 * (first index slowest). A tile is one row, or as many as make a call of the user's function pay.
 */
#include "scm.h"

#include "rng.h"
#include "workspace.h"

#include <math.h>

#define USER_CALL_POINTS 65536

struct tile {
  size_t from, rows; /* rows from .. from + rows - 1 */
  size_t capacity;   /* rows the arrays have room for */
  double *z, *g, *f, *weight, *extra, *noise;
};

/* ---- mechanisms ---------------------------------------------------------------------------- */

static double clamp(double x, double limit) {
  return fmax(-limit, fmin(limit, x));
}

void scm_nonlinearity(const struct scm_spec *scm, const double *z, size_t n, double *g) {
  const double kappa = scm->kappa;
  switch (scm->kind) {
  case SCM_LINEAR:
    for (size_t s = 0; s < n; s++)
      g[s] = z[s];
    break;
  case SCM_TANH:
    for (size_t s = 0; s < n; s++)
      g[s] = tanh(kappa * z[s]);
    break;
  case SCM_BOUNDED:
    for (size_t s = 0; s < n; s++) {
      const double t = tanh(kappa * z[s]);
      g[s] = t + t * t * t;
    }
    break;
  case SCM_STRONG:
    for (size_t s = 0; s < n; s++) {
      const double x = clamp(kappa * z[s], 2.0);
      g[s] = tanh(x) + x * x * x;
    }
    break;
  case SCM_PRINTED:
    for (size_t s = 0; s < n; s++) {
      const double x = kappa * z[s];
      g[s] = tanh(x) + x * x * x;
    }
    break;
  case SCM_USER:
    scm->user(scm->user_context, z, n, g);
    break;
  }
}

static double effect_of_parents(const struct scm_spec *scm, int targeted) {
  return targeted ? scm->parent_effect : 1.0;
}

double scm_mechanism(const struct scm_spec *scm, int j, int targeted, const double *g,
                     size_t stride, size_t n, double *mean) {
  const double effect = effect_of_parents(scm, targeted);
  const double shift = targeted ? scm->int_mean[j] : 0.0;
  for (size_t s = 0; s < n; s++)
    mean[s] = shift;
  if (effect != 0.0) {
    for (int q = scm->offset[j]; q < scm->offset[j + 1]; q++) {
      const double w = effect * scm->weight[q];
      const double *gk = g + (size_t)scm->parent[q] * stride;
      for (size_t s = 0; s < n; s++)
        mean[s] += w * gk[s];
    }
  }
  return targeted ? scm->int_sd[j] * scm->int_sd[j] : scm->noise_var[j];
}

void scm_drawn(const struct scm_spec *scm, const int *targets, int n_domains, int *drawn) {
  for (size_t i = 0; i < (size_t)n_domains * scm->d; i++)
    drawn[i] = 0;
  for (int j = 0; j < scm->d; j++)
    for (int e = 0; e < n_domains; e++)
      if (effect_of_parents(scm, targets[e + (size_t)n_domains * j]) != 0.0)
        for (int q = scm->offset[j]; q < scm->offset[j + 1]; q++)
          drawn[e + (size_t)n_domains * scm->parent[q]] = 1;
}

/* ---- importance sampling ------------------------------------------------------------------- */

size_t scm_tile_rows(const struct scm_spec *scm, size_t draws) {
  if (scm->kind != SCM_USER || draws >= USER_CALL_POINTS)
    return 1;
  return USER_CALL_POINTS / draws;
}

size_t scm_work_size(const struct scm_spec *scm, size_t draws) {
  const size_t d = (size_t)scm->d, rows = scm_tile_rows(scm, draws);
  return (2 * d + 1) * rows * draws + 2 * draws + d * rows;
}

static struct tile tile_on(const struct scm_spec *scm, size_t draws, double *work) {
  const size_t d = (size_t)scm->d, rows = scm_tile_rows(scm, draws);
  struct tile tile = {.capacity = rows};
  tile.z = work;
  tile.g = tile.z + d * rows * draws;
  tile.weight = tile.g + d * rows * draws;
  tile.f = tile.weight + rows * draws;
  tile.noise = tile.f + draws;
  tile.extra = tile.noise + draws;
  return tile;
}

/* noise[draws] = the expected noise of y_j at row t of the tile, given that of the nodes before. */
static void expected_noise(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                           int j, size_t t, const struct tile *tile) {
  const size_t i = tile->from + t;
  for (size_t s = 0; s < draws; s++)
    tile->noise[s] = 0.0;
  for (int o = 0; data->coef && scm->order[o] != j; o++) {
    const int k = scm->order[o];
    const double coef = data->coef[k + scm->d * j], y = data->y[i + data->n * k];
    const double *z = tile->z + ((size_t)k * tile->capacity + t) * draws;
    for (size_t s = 0; s < draws; s++)
      tile->noise[s] += coef * (y - z[s]);
  }
}

/* Proposes node j of row t of the tile and multiplies its likelihood into the weights. */
static void propose(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                    uint64_t seed, int j, size_t t, const struct tile *tile) {
  const size_t i = tile->from + t, half = draws / 2;
  const size_t cell = (size_t)(data->env[i] - 1) + (size_t)data->n_domains * j;
  const double y = data->y[i + data->n * j], y_var = data->y_var[j];
  double *f = tile->f, *weight = tile->weight + t * draws;
  double *z = tile->z + ((size_t)j * tile->capacity + t) * draws;

  const double v = scm_mechanism(scm, j, data->targets[cell], tile->g + t * draws,
                                 tile->capacity * draws, draws, f);
  const double gain = v / (v + y_var), scale = 0.5 / (v + y_var);
  expected_noise(scm, data, draws, j, t, tile);
  for (size_t s = 0; s < draws; s++) {
    const double gap = y - tile->noise[s] - f[s];
    weight[s] -= scale * gap * gap;
    f[s] += gain * gap; /* conditional mean given parents and y_j */
  }
  const double variance = gain * y_var;
  tile->extra[(size_t)j * tile->capacity + t] = data->drawn[cell] ? 0.0 : variance;
  if (!data->drawn[cell]) {
    for (size_t s = 0; s < draws; s++)
      z[s] = f[s];
    return;
  }
  const double sd = sqrt(variance);
  rng_normals(seed, (uint32_t)j, i, z, half);
  for (size_t s = 0; s < half; s++) {
    const double step = sd * z[s];
    z[s] = f[s] + step;
    z[s + half] = f[s + half] - step;
  }
}

/* Log weights to normalised weights; returns the effective sample size (sum w)^2 / sum w^2. */
static double normalise(double *weight, size_t draws) {
  double top = weight[0], sum = 0.0, squares = 0.0;
  for (size_t s = 1; s < draws; s++)
    top = fmax(top, weight[s]);
  for (size_t s = 0; s < draws; s++) {
    weight[s] = exp(weight[s] - top);
    sum += weight[s];
    squares += weight[s] * weight[s];
  }
  for (size_t s = 0; s < draws; s++)
    weight[s] /= sum;
  return sum * sum / squares;
}

static void posterior_moments(const double *weight, const double *z, size_t draws, double extra,
                              double *mean, double *sd) {
  double m = 0.0, v = 0.0;
  for (size_t s = 0; s < draws; s++)
    m += weight[s] * z[s];
  for (size_t s = 0; s < draws; s++)
    v += weight[s] * (z[s] - m) * (z[s] - m);
  *mean = m;
  *sd = sqrt(v + extra);
}

static int tile_draws(const struct scm_data *data, const struct tile *tile, int j) {
  for (size_t t = 0; t < tile->rows; t++)
    if (data->drawn[(size_t)(data->env[tile->from + t] - 1) + (size_t)data->n_domains * j])
      return 1;
  return 0;
}

static void importance_tile(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                            uint64_t seed, const struct tile *tile,
                            const struct scm_posterior *out) {
  const size_t plane = tile->capacity * draws;
  for (size_t s = 0; s < tile->rows * draws; s++)
    tile->weight[s] = 0.0;
  for (int o = 0; o < scm->d; o++) {
    const int j = scm->order[o];
    for (size_t t = 0; t < tile->rows; t++)
      propose(scm, data, draws, seed, j, t, tile);
    if (tile_draws(data, tile, j))
      scm_nonlinearity(scm, tile->z + j * plane, tile->rows * draws, tile->g + j * plane);
  }
  for (size_t t = 0; t < tile->rows; t++) {
    const size_t i = tile->from + t;
    double *weight = tile->weight + t * draws;
    out->ess[i] = normalise(weight, draws);
    for (int j = 0; j < scm->d; j++)
      posterior_moments(weight, tile->z + j * plane + t * draws, draws,
                        tile->extra[(size_t)j * tile->capacity + t], out->mean + i + data->n * j,
                        out->sd + i + data->n * j);
  }
}

/* Tile number k of the rows from .. to - 1, in the work space of one thread. */
static void importance_step(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                            uint64_t seed, size_t from, size_t to, size_t k, double *work,
                            const struct scm_posterior *out) {
  struct tile tile = tile_on(scm, draws, work);
  tile.from = from + k * tile.capacity;
  tile.rows = to - tile.from < tile.capacity ? to - tile.from : tile.capacity;
  importance_tile(scm, data, draws, seed, &tile, out);
}

void scm_importance(const struct scm_spec *scm, const struct scm_data *data, size_t draws,
                    uint64_t seed, size_t from, size_t to, int threads, double *work,
                    const struct scm_posterior *out) {
  const size_t capacity = scm_tile_rows(scm, draws);
  const size_t tiles = (to - from + capacity - 1) / capacity;
#ifdef _OPENMP
  /* A user's function may jump out by an R error, which must not happen inside a region. */
  if (threads > 1 && scm->kind != SCM_USER) {
    const size_t size = scm_work_size(scm, draws);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t k = 0; k < tiles; k++)
      importance_step(scm, data, draws, seed, from, to, k, work + (size_t)threads_index() * size,
                      out);
    return;
  }
#endif
  (void)threads;
  for (size_t k = 0; k < tiles; k++)
    importance_step(scm, data, draws, seed, from, to, k, work, out);
}
