#include "factor_domains.h"

#include "linalg.h"

#include <R_ext/Applic.h>
#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <math.h>
#include <string.h>

enum { MEMORY = 20 };

/* Bounds of log v and of log psi_j / unit_j^2. */
static const double MOST_LOG = 15;

/* Of the gradient: at the end of a search that lbfgsb() gives up where rounding hides the descent. */
static const double FLAT = 1e-5;

/* ---- parameters in one vector -------------------------------------------------------------- */

/* What becomes of a parameter: its value, in natural units, times d natural / d packed. */
typedef struct {
  double *packed, *gradient; /* either may be NULL */
  int reading;               /* from packed to the fields, else from the fields */
  size_t at;
} parameter_walk;

static void linear_parameter(parameter_walk *w, double *value, double slope, double unit) {
  if (w->gradient)
    w->gradient[w->at] = slope * unit;
  if (w->packed && w->reading)
    *value = w->packed[w->at] * unit;
  else if (w->packed)
    w->packed[w->at] = *value / unit;
  w->at++;
}

static void log_parameter(parameter_walk *w, double *value, double slope, double unit) {
  if (w->gradient)
    w->gradient[w->at] = slope * *value;
  if (w->packed && w->reading)
    *value = unit * exp(w->packed[w->at]);
  else if (w->packed)
    w->packed[w->at] = log(*value / unit);
  w->at++;
}

/* Gradients in the natural parameters. */
typedef struct {
  double *mixing, *psi, *center;      /* p x q, p, p */
  double *intercept, *variance, *coef; /* as in linear_scm */
} natural_gradient;

static int seen(const factor_domains *f, int node, int state) {
  for (int e = 0; e < f->n_domains; e++)
    if (f->targets[e + node * f->n_domains] == state)
      return 1;
  return 0;
}

static void walk_cell(factor_domains *f, parameter_walk *w, const natural_gradient *g, int node,
                      int state) {
  linear_scm *m = &f->scm;
  size_t cell = (size_t)state + 2 * (size_t)node, q = (size_t)f->q;
  int first = state == 0 || !seen(f, node, 0);
  int parents = graph_acting(&m->graph, node, state);
  if (!(first && (f->set.centered || node >= f->latents)))
    linear_parameter(w, m->intercept + cell, g ? g->intercept[cell] : 0, 1);
  if (!first)
    log_parameter(w, m->variance + cell, g ? g->variance[cell] : 0, 1);
  for (int k = 1; k <= parents; k++) {
    size_t at = (size_t)m->graph.family[node][k] + q * cell;
    linear_parameter(w, m->slope + at, g ? g->coef[at] : 0, 1);
  }
}

/* All parameters, in order; returns how many. */
static size_t walk(factor_domains *f, parameter_walk *w, const natural_gradient *g) {
  size_t p = (size_t)f->p, q = (size_t)f->q;
  w->at = 0;
  for (size_t i = 0; i < p * q; i++)
    linear_parameter(w, f->mixing + i, g ? g->mixing[i] : 0, f->unit[i % p]);
  for (size_t j = 0; j < (f->set.equal ? 1 : p); j++) {
    double slope = 0, unit = f->set.equal ? 1 : f->unit[j] * f->unit[j];
    for (size_t k = j; g && k < (f->set.equal ? p : j + 1); k++)
      slope += g->psi[k];
    log_parameter(w, f->psi + j, slope, unit);
  }
  for (size_t j = 1; f->set.equal && j < p; j++)
    f->psi[j] = f->psi[0];
  for (size_t j = 0; f->set.centered && j < p; j++)
    linear_parameter(w, f->center + j, g ? g->center[j] : 0, f->unit[j]);
  for (int j = 0; j < f->q; j++)
    for (int c = 0; c < 2; c++)
      if (seen(f, j, c))
        walk_cell(f, w, g, j, c);
  return w->at;
}

/* ---- the objective ------------------------------------------------------------------------- */

static void product(const double *a, const double *b, int m, int k, int n, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("N", "N", &m, &n, &k, &one, a, &m, b, &k, &zero, out, &m FCONE FCONE);
}

/* out (n x m) = b' a, a k x m, b k x n. */
static void cross_product(const double *b, const double *a, int k, int n, int m, double *out) {
  const double one = 1, zero = 0;
  F77_CALL(dgemm)("T", "N", &n, &m, &k, &one, b, &k, a, &k, &zero, out, &n FCONE FCONE);
}

/* Moments of the latents of a domain: m (q), Sigma (q x q) and K (q x q). */
static void domain_latents(factor_domains *f, int e, double *mean, double *cov, double *total) {
  linear_scm *scm = &f->scm;
  size_t q = (size_t)f->q;
  linear_scm_moments(scm, f->targets + e, f->n_domains, mean, cov);
  memset(total, 0, q * q * sizeof(double));
  for (size_t at = 0; at < q; at++) {
    size_t j = (size_t)scm->graph.order[at];
    size_t cell = (size_t)f->targets[(size_t)e + j * (size_t)f->n_domains] + 2 * j;
    total[j + j * q] = 1;
    for (size_t k = 0; k < q; k++)
      for (size_t l = 0; scm->slope[k + q * cell] != 0 && l < q; l++)
        total[j + l * q] += scm->slope[k + q * cell] * total[k + l * q];
  }
}

/* V^-1, C and G of a domain into the three parts of f->work.wide, h into f->work.slope; log|V| + tr V^-1 C. */
static double domain_value(factor_domains *f, int e, const double *mean, const double *cov) {
  int p = f->p, q = f->q, info;
  size_t square = (size_t)p * (size_t)p;
  double *v = f->work.wide, *c = v + square, *g = c + square, *r = f->work.slope + p, sum = 0;
  const double one = 1, zero = 0;
  product(f->mixing, cov, p, q, q, f->work.tall);
  F77_CALL(dgemm)
  ("N", "T", &p, &p, &q, &one, f->work.tall, &p, f->mixing, &p, &zero, v, &p FCONE FCONE);
  for (int j = 0; j < p; j++) {
    v[j + j * p] += f->psi[j];
    r[j] = f->mean[j + e * p] - (f->set.centered ? f->center[j] : 0);
    for (int k = 0; k < q; k++)
      r[j] -= f->mixing[j + k * p] * mean[k];
  }
  F77_CALL(dpotrf)("L", &p, v, &p, &info FCONE);
  if (info != 0)
    return INFINITY;
  for (int j = 0; j < p; j++)
    sum += 2 * log(v[j + j * p]);
  F77_CALL(dpotri)("L", &p, v, &p, &info FCONE);
  for (int j = 0; j < p; j++)
    for (int i = 0; i < j; i++)
      v[i + j * p] = v[j + i * p];
  for (int j = 0; j < p; j++)
    for (int i = 0; i < p; i++)
      c[i + j * p] = f->cov[(size_t)(i + j * p) + (size_t)e * square] + r[i] * r[j];
  product(v, c, p, p, p, g);
  for (int j = 0; j < p; j++)
    sum += g[j + j * p];
  product(g, v, p, p, p, c); /* V^-1 C V^-1 */
  for (size_t i = 0; i < square; i++)
    g[i] = v[i] - c[i];
  product(v, r, p, p, 1, f->work.slope);
  return sum;
}

/* Adds a domain to the gradients of the structural causal model: D (q x q) and the first q of
 * `along` = g are given. */
static void add_causal(factor_domains *f, int e, const double *mean, const double *cov,
                       const double *total, const natural_gradient *to) {
  size_t q = (size_t)f->q;
  int n = f->q;
  double *d = f->work.square, *kd = d + q * q, *kds = kd + q * q, *kg = kds + q * q, *g = kg + q;
  cross_product(total, d, n, n, n, kd); /* K'D */
  product(kd, cov, n, n, n, kds);
  cross_product(total, g, n, n, 1, kg);
  for (size_t j = 0; j < q; j++) {
    size_t cell = (size_t)f->targets[(size_t)e + j * (size_t)f->n_domains] + 2 * j;
    for (size_t l = 0; l < q; l++)
      to->variance[cell] += kd[j + l * q] * total[l + j * q];
    to->intercept[cell] += kg[j];
    for (int a = 1; a <= graph_parents(&f->scm.graph, (int)j); a++) {
      size_t k = (size_t)f->scm.graph.family[j][a];
      to->coef[k + q * cell] += 2 * kds[j + k * q] + kg[j] * mean[k];
    }
  }
}

/* Adds w_e times the gradients of a domain, whose G and h domain_value() has left. */
static void add_domain(factor_domains *f, int e, const double *mean, const double *cov,
                       const double *total, const natural_gradient *to) {
  int p = f->p, q = f->q;
  const double *g = f->work.wide + 2 * (size_t)p * (size_t)p, *h = f->work.slope;
  double share = f->share[e], *along = f->work.square + 3 * (size_t)q * (size_t)q + q;
  double *turned = f->work.tall + (size_t)p * (size_t)q;
  product(g, f->mixing, p, p, q, f->work.tall);
  product(f->work.tall, cov, p, q, q, turned);
  for (int k = 0; k < q; k++)
    for (int j = 0; j < p; j++)
      to->mixing[j + k * p] += 2 * share * (turned[j + k * p] - h[j] * mean[k]);
  for (int j = 0; j < p; j++) {
    to->psi[j] += share * g[j + j * p];
    to->center[j] -= 2 * share * h[j];
  }
  cross_product(f->mixing, f->work.tall, p, q, q, f->work.square); /* A' G A */
  for (int k = 0; k < q * q; k++)
    f->work.square[k] *= share;
  cross_product(f->mixing, h, p, q, 1, along);
  for (int k = 0; k < q; k++)
    along[k] *= -2 * share;
  add_causal(f, e, mean, cov, total, to);
}

/* Adds weight c^2, c the cosine of two columns, to the gradient of both; returns it. */
static double add_cosine(const factor_domains *f, int j, int k, double *gradient) {
  size_t p = (size_t)f->p;
  const double *a = f->mixing + (size_t)j * p, *b = f->mixing + (size_t)k * p;
  double aa = linalg_dot(a, a, p), bb = linalg_dot(b, b, p), length = sqrt(aa * bb), c = linalg_dot(a, b, p) / length;
  for (size_t i = 0; i < p; i++) {
    gradient[i + (size_t)j * p] += 2 * f->set.weight * c * (b[i] / length - c * a[i] / aa);
    gradient[i + (size_t)k * p] += 2 * f->set.weight * c * (a[i] / length - c * b[i] / bb);
  }
  return f->set.weight * c * c;
}

double factor_domains_objective(factor_domains *f) {
  size_t p = (size_t)f->p, q = (size_t)f->q;
  double *work = f->work.gradient + f->work.n_parameters; /* natural gradients, then m, Sigma and K */
  natural_gradient to = {work,
                         work + p * q,
                         work + p * (q + 1),
                         work + p * (q + 2),
                         work + p * (q + 2) + 2 * q,
                         work + p * (q + 2) + 4 * q};
  size_t count = p * (q + 2) + 4 * q + 2 * q * q;
  double *mean = work + count, *cov = mean + q, *total = cov + q * q, sum = 0;
  memset(work, 0, count * sizeof(double));
  for (int e = 0; e < f->n_domains && isfinite(sum); e++) {
    domain_latents(f, e, mean, cov, total);
    sum += f->share[e] * domain_value(f, e, mean, cov);
    if (isfinite(sum))
      add_domain(f, e, mean, cov, total, &to);
  }
  f->objective = sum;
  for (int j = 0; j < f->set.orthogonal; j++)
    for (int k = 0; k < j; k++)
      sum += add_cosine(f, j, k, to.mixing);
  parameter_walk w = {.gradient = f->work.gradient};
  walk(f, &w, &to);
  f->iterations++;
  f->set.poll();
  return sum;
}

/* ---- the search ---------------------------------------------------------------------------- */

void factor_domains_prepare(factor_domains *f, allocator alloc) {
  size_t p = (size_t)f->p, q = (size_t)f->q;
  parameter_walk none = {.packed = NULL};
  f->work.n_parameters = (int)walk(f, &none, NULL);
  size_t natural = p * (q + 2) + 4 * q + 2 * q * q, latents = q + 2 * q * q;
  f->work.gradient = alloc((size_t)f->work.n_parameters + natural + latents, sizeof(double));
  f->work.wide = alloc(3 * p * p, sizeof(double));
  f->work.tall = alloc(2 * p * q, sizeof(double));
  f->work.square = alloc(3 * q * q + 2 * q, sizeof(double));
  f->work.slope = alloc(2 * p, sizeof(double));
}

static double value_at(int size, double *packed, void *context) {
  factor_domains *f = context;
  parameter_walk w = {.packed = packed, .reading = 1};
  (void)size;
  walk(f, &w, NULL);
  double value = factor_domains_objective(f);
  return isfinite(value) ? value : 1e100; /* lbfgsb() steps back */
}

static void gradient_at(int size, double *packed, double *gradient, void *context) {
  factor_domains *f = context; /* lbfgsb() asks at the point of the last value */
  (void)packed;
  memcpy(gradient, f->work.gradient, (size_t)size * sizeof(double));
}

/* Bounds of log psi, the only ones; that of equal noise is in units of the mean square. */
static void set_bounds(const factor_domains *f, double *lower, int *bounded) {
  size_t p = (size_t)f->p, first = p * (size_t)f->q, many = f->set.equal ? 1 : p;
  double mean = 0;
  for (size_t j = 0; j < p; j++)
    mean += f->unit[j] * f->unit[j] / f->p;
  for (size_t k = 0; k < (size_t)f->work.n_parameters; k++) {
    int noise = k >= first && k < first + many;
    double unit = f->set.equal ? log(mean) : 0;
    bounded[k] = noise ? 2 : 0;
    lower[k] = noise ? unit + log(f->set.least) : 0;
    lower[k + (size_t)f->work.n_parameters] = noise ? unit + MOST_LOG : 0;
  }
}

/* Largest entry of the gradient, of parameters without bounds. */
static double steepest(const factor_domains *f, const int *bounded) {
  double most = 0;
  for (size_t k = 0; k < (size_t)f->work.n_parameters; k++)
    most = bounded[k] ? most : fmax(most, fabs(f->work.gradient[k]));
  return most;
}

int factor_domains_fit(factor_domains *f, allocator alloc) {
  size_t size = (size_t)f->work.n_parameters;
  double *packed = alloc(size, sizeof(double)), *lower = alloc(2 * size, sizeof(double)), value;
  int *bounded = alloc(size, sizeof(int)), fail, values, gradients;
  char message[60];
  f->iterations = 0;
  parameter_walk out = {.packed = packed}, in = {.packed = packed, .reading = 1};
  walk(f, &out, NULL);
  set_bounds(f, lower, bounded);
  lbfgsb(f->work.n_parameters, MEMORY, packed, lower, lower + size, bounded, &value, value_at,
         gradient_at, &fail, f, 10, 0, &values, &gradients, f->set.max_iter, message, 0, 10);
  walk(f, &in, NULL);
  value = factor_domains_objective(f);
  f->converged = fail == 0 || steepest(f, bounded) < FLAT;
  f->status = isfinite(value) ? STATUS_OK : STATUS_NOT_FINITE;
  f->floored = 0;
  for (size_t k = 0; k < size; k++)
    f->floored += bounded[k] && packed[k] <= lower[k] + 1e-6;
  return f->status;
}
