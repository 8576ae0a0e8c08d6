/* Glue: the measurement model of x, from its second moments. */
#include "entries.h"
#include "factor.h"
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
                        .threads = usable_threads(threads)};
  return rows;
}

/* Weighted means and mean squares about 0 of the columns of x. */
SEXP feature_moments(SEXP x, SEXP env, SEXP omega, SEXP threads) {
  weighted_rows rows = rows_from(x, env, omega, R_NilValue, Rf_asInteger(threads));
  const char *fields[] = {"mean", "square", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *mean = new_numbers(out, 0, (size_t)rows.p, 1),
         *square = new_numbers(out, 1, (size_t)rows.p, 1);
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

/* The operator: S in memory if `second` is a matrix, else passes over x. */
static top_eigen eigen_from(SEXP second, const weighted_rows *rows, int q) {
  if (Rf_isNull(second))
    return top_eigen_new(rows->p, q, NULL, rows, r_allocator);
  assert_double_matrix(second, "second");
  if (Rf_nrows(second) != rows->p || Rf_ncols(second) != rows->p)
    Rf_error("internal error: second must be p x p");
  return top_eigen_new(rows->p, q, REAL(second), NULL, r_allocator);
}

static SEXP factor_results(const factor_model *f) {
  const char *fields[] = {"psi",    "loadings",    "values",    "objective", "iterations",
                          "passes", "unconverged", "converged", "floored",   "status",
                          ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t p = (size_t)f->p, q = (size_t)f->q;
  memcpy(new_numbers(out, 0, p, 1), f->psi, p * sizeof(double));
  memcpy(new_numbers(out, 1, p, q), f->loadings, p * q * sizeof(double));
  memcpy(new_numbers(out, 2, q, 1), f->eigen->value, q * sizeof(double));
  SET_VECTOR_ELT(out, 3, Rf_ScalarReal(f->objective));
  SET_VECTOR_ELT(out, 4, Rf_ScalarInteger(f->iterations));
  SET_VECTOR_ELT(out, 5, Rf_ScalarInteger(f->eigen->passes));
  SET_VECTOR_ELT(out, 6, Rf_ScalarInteger(f->eigen->unconverged));
  SET_VECTOR_ELT(out, 7, Rf_ScalarLogical(f->converged));
  SET_VECTOR_ELT(out, 8, Rf_ScalarInteger(f->floored));
  SET_VECTOR_ELT(out, 9, Rf_ScalarInteger(f->status));
  UNPROTECT(1);
  return out;
}

/* square: diagonal of S; psi: start, by feature. */
SEXP factor_fit_model(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP second, SEXP square, SEXP psi,
                      SEXP settings) {
  weighted_rows rows = rows_from(x, env, omega, mean, list_int(settings, "threads"));
  int q = list_int(settings, "q");
  if (q < 1 || q >= rows.p || XLENGTH(square) != rows.p || XLENGTH(psi) != rows.p)
    Rf_error("internal error: factors, squares or psi do not fit the columns of x");
  top_eigen eigen = eigen_from(second, &rows, q);
  factor_model f = factor_new(rows.p, q, &eigen, r_allocator);
  f.square = REAL(square);
  f.equal = list_int(settings, "equal");
  f.tol = list_number(settings, "tol");
  f.poll = poll_user;
  memcpy(f.psi, REAL(psi), (size_t)rows.p * sizeof(double));
  factor_fit(&f, r_allocator);
  return factor_results(&f);
}

/* Sum of the q leading eigenvalues of D S D and the eigenvectors. */
SEXP leading_moments(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP second, SEXP scale,
                     SEXP settings) {
  weighted_rows rows = rows_from(x, env, omega, mean, list_int(settings, "threads"));
  int q = list_int(settings, "q");
  if (q < 1 || q > rows.p || XLENGTH(scale) != rows.p)
    Rf_error("internal error: eigenvectors or scales do not fit the columns of x");
  top_eigen eigen = eigen_from(second, &rows, q);
  const char *fields[] = {"values", "vectors", "status", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  int status = top_eigen_find(&eigen, REAL(scale));
  memcpy(new_numbers(out, 0, (size_t)q, 1), eigen.value, (size_t)q * sizeof(double));
  memcpy(new_numbers(out, 1, (size_t)rows.p, (size_t)q), eigen.vector,
         (size_t)rows.p * (size_t)q * sizeof(double));
  SET_VECTOR_ELT(out, 2, Rf_ScalarInteger(status));
  UNPROTECT(1);
  return out;
}
