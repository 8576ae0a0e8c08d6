/* Glue: folds, held-out losses and their means. */
#include "compare.h"
#include "entries.h"
#include "folds.h"
#include "r_util.h"

SEXP fold_rows(SEXP env, SEXP n_domains, SEXP n_folds, SEXP seed) {
  size_t n = (size_t)XLENGTH(env);
  int m = Rf_asInteger(n_domains);
  assert_codes(env, m);
  SEXP fold = PROTECT(Rf_allocVector(INTSXP, (R_xlen_t)n));
  size_t *order = (size_t *)R_alloc(n, sizeof(size_t));
  size_t *first = (size_t *)R_alloc((size_t)m + 1, sizeof(size_t));
  folds_deal(INTEGER(env), n, m, Rf_asInteger(n_folds), (uint64_t)Rf_asReal(seed), order, first,
             INTEGER(fold));
  UNPROTECT(1);
  return fold;
}

/* A d x d matrix, or NULL. */
static const double *square_of(SEXP value, int d) {
  if (Rf_isNull(value))
    return NULL;
  assert_double_matrix(value, "form");
  if (Rf_nrows(value) != d || Rf_ncols(value) != d)
    Rf_error("internal error: a form does not fit the latents");
  return REAL(value);
}

/* step: as from estep; length, noise: Lambda^2 and Lambda^-2, or NULL. */
SEXP held_out_losses(SEXP x, SEXP step, SEXP length, SEXP noise, SEXP sigma2, SEXP eta) {
  SEXP y = list_element(step, "y"), score = list_element(step, "score");
  SEXP divergence = list_element(step, "divergence");
  assert_double_matrix(x, "x");
  assert_double_matrix(y, "y");
  assert_double_matrix(score, "score");
  int d = Rf_ncols(y);
  if (Rf_nrows(y) != Rf_nrows(x) || XLENGTH(score) != XLENGTH(y) || !Rf_isReal(divergence) ||
      XLENGTH(divergence) != Rf_nrows(x))
    Rf_error("internal error: x and its score have different numbers of rows");
  scored_rows rows = {.x = REAL(x),
                      .y = REAL(y),
                      .score = REAL(score),
                      .divergence = REAL(divergence),
                      .length = square_of(length, d),
                      .noise = square_of(noise, d),
                      .n = (size_t)Rf_nrows(x),
                      .p = Rf_ncols(x),
                      .d = d,
                      .sigma2 = Rf_asReal(sigma2),
                      .eta = Rf_asReal(eta)};
  const char *fields[] = {"loss", "latent", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int k = 0; k < 2; k++)
    put(out, fields[k], Rf_allocVector(REALSXP, Rf_nrows(x)));
  compare_row_losses(&rows, REAL(list_element(out, "loss")), REAL(list_element(out, "latent")));
  UNPROTECT(1);
  return out;
}

/* reference: 0, or the column (from 1) that is subtracted from all. */
SEXP loss_means(SEXP losses, SEXP env, SEXP weights, SEXP reference) {
  assert_double_matrix(losses, "losses");
  int columns = Rf_ncols(losses), m = Rf_length(weights), at = Rf_asInteger(reference);
  size_t n = (size_t)Rf_nrows(losses);
  assert_codes(env, m);
  if ((size_t)XLENGTH(env) != n || !Rf_isReal(weights) || at < 0 || at > columns)
    Rf_error("internal error: env, weights or reference does not fit the losses");
  const char *fields[] = {"mean", "se", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int k = 0; k < 2; k++)
    put(out, fields[k], Rf_allocVector(REALSXP, columns));
  double *work = (double *)R_alloc(3 * (size_t)m, sizeof(double));
  const double *subtracted = at > 0 ? REAL(losses) + (size_t)(at - 1) * n : NULL;
  compare_domain_means(REAL(losses), n, columns, subtracted, INTEGER(env), REAL(weights), m, work,
                       REAL(list_element(out, "mean")), REAL(list_element(out, "se")));
  UNPROTECT(1);
  return out;
}
