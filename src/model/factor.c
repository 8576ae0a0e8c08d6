#include "factor.h"

#include <R_ext/Applic.h>
#include <math.h>
#include <string.h>

static const double LEAST_SHARE = 1e-6, LEAST_EQUAL = 1e-10, TOLERANCE = 1e-6, ROUGH = 1e-3;

enum { MOST_ITERATIONS = 1000, MEMORY = 8, WARM_UP = 3 };

factor_model factor_new(int p, int q, top_eigen *eigen, allocator alloc) {
  factor_model f = {.p = p,
                    .q = q,
                    .least = LEAST_SHARE,
                    .tol = TOLERANCE,
                    .max_iter = MOST_ITERATIONS,
                    .eigen = eigen};
  f.psi = alloc((size_t)p, sizeof(double));
  f.loadings = alloc((size_t)p * (size_t)q, sizeof(double));
  f.scale = alloc((size_t)p, sizeof(double));
  f.gradient = alloc((size_t)p, sizeof(double));
  f.log_psi = alloc((size_t)p, sizeof(double));
  return f;
}

/* F at psi, its gradient in log psi, and L, by the eigenpairs for its scale. */
static double evaluate_known(factor_model *f) {
  size_t p = (size_t)f->p;
  double sum = 0;
  for (size_t j = 0; j < p; j++) {
    f->gradient[j] = 1 - f->square[j] / f->psi[j];
    sum += log(f->psi[j]) + f->square[j] / f->psi[j];
  }
  for (size_t k = 0; k < (size_t)f->q; k++) {
    double theta = fmax(f->eigen->value[k], 1), length = sqrt(theta - 1);
    sum += log(theta) - theta + 1;
    for (size_t j = 0; j < p; j++) {
      double v = length * f->eigen->vector[j + k * p];
      f->gradient[j] += v * v;
      f->loadings[j + k * p] = v / f->scale[j];
    }
  }
  f->objective = sum;
  f->iterations++;
  f->poll();
  return sum;
}

static void find_scaled(factor_model *f) {
  for (size_t j = 0; j < (size_t)f->p; j++)
    f->scale[j] = 1 / sqrt(f->psi[j]);
  f->status = top_eigen_find(f->eigen, f->scale);
}

static double evaluate(factor_model *f) {
  find_scaled(f);
  return f->status == STATUS_OK ? evaluate_known(f) : f->objective;
}

static double least(const factor_model *f, size_t j) {
  return f->least * f->square[j];
}

/* Largest entry of the gradient, of those that may move. */
static double steepest(const factor_model *f) {
  double most = 0;
  for (size_t j = 0; j < (size_t)f->p; j++)
    if (!(f->psi[j] <= least(f, j) * (1 + 1e-9) && f->gradient[j] > 0))
      most = fmax(most, fabs(f->gradient[j]));
  return most;
}

/* psi_j = s_jj - (L L')_jj, that is psi_j (1 - gradient_j). */
static void ecme_step(factor_model *f) {
  for (size_t j = 0; j < (size_t)f->p; j++)
    f->psi[j] = fmax(f->psi[j] * (1 - f->gradient[j]), least(f, j));
}

/* Eigenvectors are found as exactly as a step deserves: passes over the rows are what it costs. */
static void ecme(factor_model *f, int most) {
  const double exact = f->eigen->tol;
  f->eigen->tol = ROUGH;
  for (int t = 0; t < most && f->status == STATUS_OK; t++) {
    evaluate(f);
    f->eigen->tol = fmin(fmax(ROUGH * steepest(f), exact), f->eigen->tol);
    if (f->status != STATUS_OK || (f->converged = steepest(f) < f->tol))
      break;
    ecme_step(f);
  }
  f->eigen->tol = exact;
}

static void take(factor_model *f, const double *log_psi) {
  for (size_t j = 0; j < (size_t)f->p; j++)
    f->psi[j] = exp(log_psi[j]);
}

static double value_at(int p, double *log_psi, void *context) {
  factor_model *f = context;
  (void)p;
  take(f, log_psi);
  return evaluate(f);
}

static void gradient_at(int p, double *log_psi, double *gradient, void *context) {
  factor_model *f = context; /* lbfgsb() asks at the point of the last value */
  (void)log_psi;
  memcpy(gradient, f->gradient, (size_t)p * sizeof(double));
}

static void quasi_newton(factor_model *f, allocator alloc) {
  size_t p = (size_t)f->p;
  double *lower = alloc(2 * p, sizeof(double)), *upper = lower + p, value;
  int *bounded = alloc(p, sizeof(int)), fail, values, gradients;
  char message[60];
  for (size_t j = 0; j < p; j++) {
    lower[j] = log(least(f, j));
    upper[j] = log(f->square[j]);
    bounded[j] = 2;
    f->log_psi[j] = fmin(fmax(log(f->psi[j]), lower[j]), upper[j]);
  }
  lbfgsb(f->p, MEMORY, f->log_psi, lower, upper, bounded, &value, value_at, gradient_at, &fail, f,
         10, 0, &values, &gradients, f->max_iter, message, 0, 10);
  take(f, f->log_psi);
  evaluate(f);
  /* a line search that rounding stops at the optimum is no failure */
  f->converged = fail == 0 || steepest(f) < 10 * f->tol;
}

/* sigma2 I: the eigenvectors do not depend on sigma2, the mean of the other eigenvalues. */
static void equal_noise(factor_model *f) {
  double sum = 0, explained = 0;
  for (int j = 0; j < f->p; j++) {
    f->psi[j] = 1;
    sum += f->square[j];
  }
  find_scaled(f);
  if (f->status != STATUS_OK)
    return;
  for (int k = 0; k < f->q; k++)
    explained += f->eigen->value[k];
  double bound = LEAST_EQUAL * sum / f->p, sigma2 = (sum - explained) / (f->p - f->q);
  f->floored = !(sigma2 > bound) ? f->p : 0;
  sigma2 = fmax(sigma2, bound);
  for (int j = 0; j < f->p; j++) {
    f->psi[j] = sigma2;
    f->scale[j] = 1 / sqrt(sigma2);
  }
  for (int k = 0; k < f->q; k++)
    f->eigen->value[k] /= sigma2;
  evaluate_known(f);
  f->converged = 1;
}

int factor_fit(factor_model *f, allocator alloc) {
  f->iterations = f->floored = f->converged = 0;
  f->status = STATUS_OK;
  if (f->equal) {
    equal_noise(f);
    return f->status;
  }
  int dense = f->eigen->second != NULL;
  ecme(f, dense ? WARM_UP : f->max_iter);
  if (dense && f->status == STATUS_OK)
    quasi_newton(f, alloc);
  for (size_t j = 0; j < (size_t)f->p; j++)
    f->floored += f->psi[j] <= least(f, j) * (1 + 1e-6);
  return f->status;
}
