/* Glue: errors against a known truth, signs of latents. */
#include "entries.h"
#include "metrics.h"
#include "r_util.h"
#include "signs.h"

static SEXP zeros(R_xlen_t n) {
  SEXP x = Rf_allocVector(REALSXP, n);
  for (R_xlen_t i = 0; i < n; i++)
    REAL(x)[i] = 0.0;
  return x;
}

SEXP row_errors(SEXP estimate, SEXP truth, SEXP env, SEXP n_domains) {
  assert_double_matrix(estimate, "estimate");
  assert_double_matrix(truth, "truth");
  if (Rf_nrows(estimate) != Rf_nrows(truth) || Rf_ncols(estimate) != Rf_ncols(truth))
    Rf_error("internal error: estimate and truth differ in shape");
  const R_xlen_t n = Rf_nrows(estimate);
  const int m = Rf_asInteger(n_domains);
  if (XLENGTH(env) != n || m < 1)
    Rf_error("internal error: env must hold one integer per row, n_domains a positive count");
  assert_codes(env, m);

  const char *fields[] = {"ratio", "error", "norm", "count", "zero_row", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int k = 0; k < 4; k++)
    put(out, fields[k], zeros(m));
  const size_t zero_row =
      metrics_row_errors(REAL(estimate), REAL(truth), (size_t)n, Rf_ncols(estimate), INTEGER(env),
                         REAL(list_element(out, "ratio")), REAL(list_element(out, "error")),
                         REAL(list_element(out, "norm")), REAL(list_element(out, "count")));
  put_number(out, "zero_row", (double)zero_row);
  UNPROTECT(1);
  return out;
}

SEXP row_risks(SEXP mean, SEXP sd, SEXP y, SEXP correction) {
  assert_double_matrix(mean, "mean");
  assert_double_matrix(sd, "sd");
  assert_double_matrix(y, "y");
  if (XLENGTH(mean) != XLENGTH(y) || XLENGTH(sd) != XLENGTH(y) || Rf_nrows(mean) != Rf_nrows(y))
    Rf_error("internal error: mean, sd and y differ in shape");
  const int n = Rf_nrows(mean);
  SEXP risk = PROTECT(Rf_allocVector(REALSXP, n));
  metrics_stein_risks(REAL(mean), REAL(sd), REAL(y), (size_t)n, Rf_ncols(mean),
                      Rf_asReal(correction), REAL(risk));
  UNPROTECT(1);
  return risk;
}

/* Signs (d) of latents (n x d) by `wanted`; latents NULL: by loadings alone. */
SEXP latent_signs_of(SEXP latents, SEXP mixing, SEXP env, SEXP targets, SEXP wanted) {
  assert_double_matrix(mixing, "mixing");
  const size_t p = (size_t)Rf_nrows(mixing);
  const int d = Rf_ncols(mixing);
  SEXP sign = PROTECT(Rf_allocVector(INTSXP, d));
  if (Rf_isNull(latents)) {
    for (int j = 0; j < d; j++)
      INTEGER(sign)[j] = signs_of_loadings(REAL(mixing) + (size_t)j * p, p);
    UNPROTECT(1);
    return sign;
  }
  assert_double_matrix(latents, "latents");
  const int n = Rf_nrows(latents), m = Rf_nrows(targets);
  if (Rf_ncols(latents) != d || Rf_ncols(targets) != d || Rf_length(wanted) != d ||
      XLENGTH(env) != n || !Rf_isInteger(targets) || !Rf_isInteger(wanted))
    Rf_error("internal error: latents, mixing, env, targets and wanted signs do not fit together");
  assert_codes(env, m);
  const sign_design rows = {(size_t)n, d, m, INTEGER(env), INTEGER(targets)};
  signs_choose(REAL(latents), &rows, REAL(mixing), p, INTEGER(wanted),
               (double *)R_alloc(3 * (size_t)m, sizeof(double)), INTEGER(sign));
  UNPROTECT(1);
  return sign;
}
