/* Glue: the measurement model of x, from its second moments. */
#include "entries.h"
#include "factor.h"
#include "factor_missing.h"
#include "packed.h"
#include "r_util.h"

#include <R_ext/Utils.h>
#include <string.h>

static weighted_rows rows_from(SEXP x, SEXP env, SEXP omega, SEXP mean, int threads) {
  assert_double_matrix(x, "x");
  assert_codes(env, Rf_length(omega));
  if (XLENGTH(env) != Rf_nrows(x))
    Rf_error("internal error: env must hold one integer for each row of x");
  if (!Rf_isNull(mean) && (!Rf_isReal(mean) || XLENGTH(mean) != Rf_ncols(x)))
    Rf_error("internal error: mean must hold one number for each column of x");
  weighted_rows rows = {.x = REAL(x),
                        .n = (size_t)Rf_nrows(x),
                        .p = Rf_ncols(x),
                        .env = INTEGER(env),
                        .omega = REAL(omega),
                        .mean = Rf_isNull(mean) ? NULL : REAL(mean),
                        .threads = threads_usable(threads)};
  return rows;
}

/* Weighted means and mean squares about 0 of the columns of x. */
SEXP feature_moments(SEXP x, SEXP env, SEXP omega, SEXP threads) {
  weighted_rows rows = rows_from(x, env, omega, R_NilValue, Rf_asInteger(threads));
  const char *fields[] = {"mean", "square", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *mean = put_matrix(out, "mean", (size_t)rows.p, 1),
         *square = put_matrix(out, "square", (size_t)rows.p, 1);
  second_moments_features(&rows, mean, square,
                          (double *)r_allocator(second_moments_scratch(&rows, 1), sizeof(double)));
  UNPROTECT(1);
  return out;
}

/* S (p x p) about mean, or about 0 where mean is NULL. */
SEXP moment_matrix(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP threads) {
  weighted_rows rows = rows_from(x, env, omega, mean, Rf_asInteger(threads));
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, rows.p, rows.p));
  second_moments_matrix(
      &rows, REAL(out),
      (double *)r_allocator(second_moments_scratch(&rows, MOMENT_COLUMNS), sizeof(double)));
  UNPROTECT(1);
  return out;
}

typedef struct {
  SEXP function;
  int p;
} passes_of_r;

/* S v by a function of R, which passes over the rows wherever they are. */
static void call_times(const double *v, int k, double *out, void *context) {
  const passes_of_r *passes = context;
  size_t size = (size_t)passes->p * (size_t)k;
  SEXP argument = PROTECT(Rf_allocMatrix(REALSXP, passes->p, k));
  memcpy(REAL(argument), v, size * sizeof(double));
  SEXP call = PROTECT(Rf_lang2(passes->function, argument));
  SEXP value = PROTECT(Rf_eval(call, R_GlobalEnv));
  if (!Rf_isReal(value) || (size_t)XLENGTH(value) != size)
    Rf_error("internal error: a pass must give one number for each of v");
  memcpy(out, REAL(value), size * sizeof(double));
  UNPROTECT(3);
}

/* S v (p x k) over the rows of a dense block. */
SEXP matrix_times_moments(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP v, SEXP threads) {
  weighted_rows rows = rows_from(x, env, omega, mean, Rf_asInteger(threads));
  assert_double_matrix(v, "v");
  int k = Rf_ncols(v);
  if (Rf_nrows(v) != rows.p)
    Rf_error("internal error: v must have a row for each column of x");
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, rows.p, k));
  second_moments_times(&rows, REAL(v), k, REAL(out),
                       r_allocator(second_moments_scratch(&rows, k), sizeof(double)));
  UNPROTECT(1);
  return out;
}

/* The operator: S in memory if `second` is there, a function of R if `times` is, else passes over
 * x. */
static weighted_rows operator_from(SEXP moments) {
  int p = list_int(moments, "p"), threads = list_threads(moments);
  SEXP second = optional_element(moments, "second"), times = optional_element(moments, "times");
  if (!Rf_isNull(times)) {
    passes_of_r *passes = r_allocator(1, sizeof(passes_of_r));
    *passes = (passes_of_r){.function = times, .p = p};
    weighted_rows of_r = {.p = p, .apply = call_times, .context = passes};
    return of_r;
  }
  if (Rf_isNull(second))
    return rows_from(list_element(moments, "x"), list_element(moments, "env"),
                     list_element(moments, "omega"), optional_element(moments, "mean"), threads);
  weighted_rows rows = {.p = p, .second = list_doubles(moments, "second", (size_t)p * (size_t)p)};
  return rows;
}

static top_eigen eigen_from(const weighted_rows *rows, int q) {
  const double *dense = rows->p <= DENSE_FEATURES ? rows->second : NULL;
  return top_eigen_new(rows->p, q, dense, rows, r_allocator);
}

/* Where S is not in memory: eigenvectors of the last matrix that was looked at, in `block`. */
static void start_from(top_eigen *t, const double *scale, SEXP settings) {
  SEXP block = optional_element(settings, "block");
  if (Rf_isNull(block))
    return;
  assert_double_matrix(block, "block");
  if (Rf_nrows(block) != t->p)
    Rf_error("internal error: block must have a row for each column of x");
  top_eigen_start(t, scale, REAL(block), Rf_ncols(block));
}

static void put_block(SEXP out, const top_eigen *t, const double *scale) {
  if (!t->second)
    top_eigen_block(t, scale, put_matrix(out, "block", (size_t)t->p, (size_t)t->k));
}

/* Errors of eigenvectors, as a share of those that the gradient may have. */
static const double VECTORS_PER_GRADIENT = 1e-3;

static SEXP factor_results(const factor_model *f) {
  const char *fields[] = {"psi",    "loadings",    "values",    "objective", "iterations", "block",
                          "passes", "unconverged", "converged", "floored",   "status",     ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t p = (size_t)f->p, q = (size_t)f->q;
  memcpy(put_matrix(out, "psi", p, 1), f->psi, p * sizeof(double));
  memcpy(put_matrix(out, "loadings", p, q), f->loadings, p * q * sizeof(double));
  memcpy(put_matrix(out, "values", q, 1), f->eigen->value, q * sizeof(double));
  put_number(out, "objective", f->objective);
  put_int(out, "iterations", f->iterations);
  put_int(out, "passes", f->eigen->passes);
  put_int(out, "unconverged", f->eigen->unconverged);
  put(out, "converged", Rf_ScalarLogical(f->converged));
  put_int(out, "floored", f->floored);
  put_block(out, f->eigen, f->scale);
  put_status(out, f->status);
  UNPROTECT(1);
  return out;
}

/* moments: S as in R's feature_moments(), with `square`, its diagonal; psi: start, by feature. */
SEXP factor_fit_model(SEXP moments, SEXP psi, SEXP settings) {
  weighted_rows rows = operator_from(moments);
  int q = list_int(settings, "q");
  if (q < 1 || q >= rows.p || XLENGTH(psi) != rows.p)
    Rf_error("internal error: factors or psi do not fit the columns of x");
  top_eigen eigen = eigen_from(&rows, q);
  factor_model f = factor_new(rows.p, q, &eigen, r_allocator);
  f.square = list_doubles(moments, "square", (size_t)rows.p);
  f.equal = list_int(settings, "equal");
  f.tol = list_number(settings, "tol");
  eigen.tol = VECTORS_PER_GRADIENT * f.tol;
  f.poll = poll_user;
  memcpy(f.psi, REAL(psi), (size_t)rows.p * sizeof(double));
  for (int j = 0; j < rows.p; j++)
    f.scale[j] = f.equal ? 1 : 1 / sqrt(f.psi[j]);
  start_from(&eigen, f.scale, settings);
  factor_fit(&f, r_allocator);
  return factor_results(&f);
}

/* The q leading eigenvalues of D S D and the eigenvectors. */
SEXP leading_moments(SEXP moments, SEXP scale, SEXP settings) {
  weighted_rows rows = operator_from(moments);
  int q = list_int(settings, "q");
  if (q < 1 || q > rows.p || XLENGTH(scale) != rows.p)
    Rf_error("internal error: eigenvectors or scales do not fit the columns of x");
  top_eigen eigen = eigen_from(&rows, q);
  const char *fields[] = {"values", "vectors", "block", "passes", "status", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  eigen.tol = list_number(settings, "tol");
  start_from(&eigen, REAL(scale), settings);
  int status = top_eigen_find(&eigen, REAL(scale));
  put_block(out, &eigen, REAL(scale));
  put_int(out, "passes", eigen.passes);
  memcpy(put_matrix(out, "values", (size_t)q, 1), eigen.value, (size_t)q * sizeof(double));
  memcpy(put_matrix(out, "vectors", (size_t)rows.p, (size_t)q), eigen.vector,
         (size_t)rows.p * (size_t)q * sizeof(double));
  put_status(out, status);
  UNPROTECT(1);
  return out;
}

/* Rows with missing entries ----------------------------------------------------------------------
 */

static SEXP missing_results(const factor_missing *f, int status) {
  const char *fields[] = {"loadings",  "psi",     "mean",   "loglik", "iterations",
                          "converged", "floored", "status", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t p = (size_t)f->rows->p, q = (size_t)f->q;
  memcpy(put_matrix(out, "loadings", p, q), f->loadings, p * q * sizeof(double));
  memcpy(put_matrix(out, "psi", p, 1), f->psi, p * sizeof(double));
  memcpy(put_matrix(out, "mean", p, 1), f->mean, p * sizeof(double));
  put_number(out, "loglik", f->loglik);
  put_int(out, "iterations", f->iterations);
  put(out, "converged", Rf_ScalarLogical(f->converged));
  put_int(out, "floored", f->floored);
  put_status(out, status);
  UNPROTECT(1);
  return out;
}

/* start: list of loadings (p x q), psi and mean (p). */
SEXP factor_missing_model(SEXP x, SEXP env, SEXP omega, SEXP start, SEXP settings) {
  weighted_rows rows = rows_from(x, env, omega, R_NilValue, list_int(settings, "threads"));
  int q = list_int(settings, "q");
  if (q < 1 || q > PACKED_MOST || q >= rows.p)
    Rf_error("internal error: factors do not fit the columns of x");
  factor_missing f = factor_missing_new(&rows, q, r_allocator);
  size_t p = (size_t)rows.p;
  memcpy(f.loadings, list_doubles(start, "loadings", p * (size_t)q),
         p * (size_t)q * sizeof(double));
  memcpy(f.psi, list_doubles(start, "psi", p), p * sizeof(double));
  memcpy(f.mean, list_doubles(start, "mean", p), p * sizeof(double));
  f.equal = list_int(settings, "equal");
  f.centered = list_int(settings, "centered");
  f.tol = list_number(settings, "tol");
  f.poll = poll_user;
  return missing_results(&f, factor_missing_fit(&f));
}

/* Coordinates of rows in the span (p x q), with the covariance of the noise of each. */
SEXP row_noise_coordinates(SEXP x, SEXP mean, SEXP psi, SEXP span) {
  assert_double_matrix(x, "x");
  assert_double_matrix(span, "span");
  int q = Rf_ncols(span);
  weighted_rows rows = {.x = REAL(x), .n = (size_t)Rf_nrows(x), .p = Rf_ncols(x)};
  if (q > PACKED_MOST || Rf_nrows(span) != rows.p || XLENGTH(mean) != rows.p ||
      XLENGTH(psi) != rows.p)
    Rf_error("internal error: mean, psi or span do not fit the columns of x");
  noise_model m = {.p = rows.p, .mean = REAL(mean), .psi = REAL(psi)};
  const char *fields[] = {"coord", "noise", "precision", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  row_coordinates to = {.row = (double *)R_alloc((size_t)rows.p, sizeof(double))};
  to.coord = put_matrix(out, "coord", rows.n, (size_t)q);
  to.noise = put_matrix(out, "noise", rows.n, packed_size(q));
  to.precision = put_matrix(out, "precision", (size_t)q, (size_t)q);
  row_noise_project(&m, &rows, REAL(span), q, &to);
  UNPROTECT(1);
  return out;
}

/* Covariances of rows (packed) in the coordinates turn y. */
SEXP row_noise_turned(SEXP noise, SEXP turn) {
  assert_double_matrix(noise, "noise");
  assert_double_matrix(turn, "turn");
  int d = Rf_nrows(turn), q = Rf_ncols(turn);
  size_t n = (size_t)Rf_nrows(noise);
  if (q > PACKED_MOST || d > PACKED_MOST || (size_t)Rf_ncols(noise) != packed_size(q))
    Rf_error("internal error: noise and turn do not fit");
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, (int)n, (int)packed_size(d)));
  row_noise_turn(REAL(noise), REAL(turn), n, q, d, REAL(out));
  UNPROTECT(1);
  return out;
}

static noisy_rows noisy_rows_from(SEXP y, SEXP noise, SEXP common, SEXP score, SEXP dscore) {
  noisy_rows r = {.y = REAL(y), .n = (size_t)Rf_nrows(y), .d = Rf_ncols(y)};
  SEXP like[] = {noise, score, dscore};
  assert_double_matrix(y, "y");
  for (int k = 0; k < 3; k++) {
    assert_double_matrix(like[k], "noise, score and dscore");
    size_t columns = k == 0 ? packed_size(r.d) : (size_t)r.d;
    if ((size_t)Rf_nrows(like[k]) != r.n || (size_t)Rf_ncols(like[k]) != columns)
      Rf_error("internal error: noise, score and dscore do not fit y");
  }
  assert_double_matrix(common, "common");
  if (Rf_nrows(common) != r.d || Rf_ncols(common) != r.d || r.d > PACKED_MOST)
    Rf_error("internal error: common must be d x d");
  r.noise = REAL(noise);
  r.common = REAL(common);
  r.score = REAL(score);
  r.dscore = REAL(dscore);
  return r;
}

/* `at` after a step towards the rows as they would be at the common noise. */
SEXP row_noise_step(SEXP y, SEXP noise, SEXP common, SEXP score, SEXP dscore, SEXP at) {
  noisy_rows r = noisy_rows_from(y, noise, common, score, dscore);
  assert_double_matrix(at, "at");
  if (XLENGTH(at) != XLENGTH(y))
    Rf_error("internal error: at must be n x d");
  SEXP out = PROTECT(Rf_duplicate(at));
  row_noise_newton(&r, REAL(out));
  UNPROTECT(1);
  return out;
}

SEXP row_noise_posterior(SEXP y, SEXP noise, SEXP common, SEXP score, SEXP dscore, SEXP eta) {
  noisy_rows r = noisy_rows_from(y, noise, common, score, dscore);
  const char *fields[] = {"latents", "variance", "floored", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *mean = put_matrix(out, "latents", r.n, (size_t)r.d),
         *variance = put_matrix(out, "variance", r.n, (size_t)r.d);
  size_t floored = row_noise_moments(&r, Rf_asReal(eta), mean, variance);
  put_number(out, "floored", (double)floored);
  UNPROTECT(1);
  return out;
}
