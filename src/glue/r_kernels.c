/* Glue for single kernels: what the tests hold against the reference in R. */
#include "entries.h"
#include "linalg.h"
#include "measurement.h"
#include "polar.h"
#include "r_util.h"
#include "shrinkage.h"
#include "smoothing.h"

#include <string.h>

/* curved: continue quadratically beyond the range, not linearly. */
SEXP bspline_basis(SEXP y, SEXP range, SEXP knots, SEXP deriv, SEXP curved) {
  int n = Rf_length(y), order = Rf_asInteger(deriv), n_knots = Rf_asInteger(knots);
  bspline_table t = bspline_table_fill(
      n_knots, (double *)R_alloc((size_t)bspline_table_size(n_knots), sizeof(double)));
  double lo = REAL(range)[0], hi = REAL(range)[1], scale = (n_knots - 1) / (hi - lo);
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, n, t.n_basis));
  memset(REAL(out), 0, (size_t)n * (size_t)t.n_basis * sizeof(double));
  for (int i = 0; i < n; i++) {
    double v[3][ORDER];
    int first = Rf_asLogical(curved)
                    ? bspline_curved_at(&t, lo, scale, REAL(y)[i], v[0], v[1], v[2])
                    : bspline_at(&t, lo, scale, REAL(y)[i], v[0], v[1]);
    for (int f = 0; f < ORDER; f++)
      REAL(out)[i + (size_t)(first + f) * (size_t)n] = v[order][f];
  }
  UNPROTECT(1);
  return out;
}

/* Fits a score to given pseudo-latents and evaluates it at the same rows; reference: NULL,
 * or the score (n x d) that it corrects. */
SEXP score_fit(SEXP y, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP control,
               SEXP reference) {
  assert_double_matrix(y, "y");
  const char *fields[] = {"theta", "score", "dscore", "range", "loss", "status", "jacobian", ""};
  latent_sample s = sample_from(env, targets, omega);
  s.y = REAL(y);
  s.reference = Rf_isNull(reference) ? NULL : REAL(reference);
  size_t n = s.n, d = (size_t)s.d;
  score_model *m = score_model_from(&s, parents, control);
  double *score = (double *)R_alloc(d * BLOCK_ROWS, sizeof(double));
  double *dscore = (double *)R_alloc(d * BLOCK_ROWS, sizeof(double));
  double *jacobian = (double *)R_alloc(d * d * BLOCK_ROWS, sizeof(double));
  double *loss = (double *)r_allocator((size_t)m->n_cells, sizeof(double)), total = 0;
  memset(loss, 0, (size_t)m->n_cells * sizeof(double));
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "score", Rf_allocMatrix(REALSXP, (int)n, s.d));
  put(out, "dscore", Rf_allocMatrix(REALSXP, (int)n, s.d));
  put(out, "range", Rf_allocMatrix(REALSXP, 2, s.d));
  put(out, "jacobian", Rf_alloc3DArray(REALSXP, (int)n, s.d, s.d));

  const score_class *class = m->set.kind;
  int status = class->fit(m, &s);
  for (size_t start = 0; start < n; start += BLOCK_ROWS) {
    int rows = n - start < BLOCK_ROWS ? (int)(n - start) : BLOCK_ROWS;
    for (int j = 0; j < s.d; j++)
      basis_block_fill(&m->task[0].block, &m->table, m->range + 2 * j, s.y, n, j, start, rows);
    class->evaluate(m, &s, &m->task[0], start, rows, score, dscore, jacobian, loss);
    size_t bytes = (size_t)rows * sizeof(double);
    for (size_t e = 0; e < d * d; e++)
      memcpy(REAL(list_element(out, "jacobian")) + e * n + start, jacobian + e * BLOCK_ROWS, bytes);
    for (size_t j = 0; j < d; j++) {
      memcpy(REAL(list_element(out, "score")) + j * n + start, score + j * BLOCK_ROWS, bytes);
      memcpy(REAL(list_element(out, "dscore")) + j * n + start, dscore + j * BLOCK_ROWS, bytes);
    }
  }
  for (int c = 0; c < m->n_cells; c++)
    total += loss[c];
  put(out, "theta", theta_list(m));
  memcpy(REAL(list_element(out, "range")), m->range, 2 * d * sizeof(double));
  put_number(out, "loss", total / (double)n);
  put_status(out, status);
  UNPROTECT(1);
  return out;
}

/* The choice of smoothing for given pseudo-latents: the fold of each row, from 1; the held-out
 * losses (2 d x N_WEIGHTS x N_FOLDS, under the chosen weights alone if only eta is chosen), and
 * what is chosen. */
SEXP smoothing_fit(SEXP y, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP scale,
                   SEXP control) {
  assert_double_matrix(y, "y");
  const char *fields[] = {"fold", "loss", "lambda", "eta", "status", ""};
  latent_sample s = sample_from(env, targets, omega);
  s.y = REAL(y);
  score_model *m = score_model_from(&s, parents, control);
  smoothing *c = smoothing_from(&s, control);
  double eta = list_number(control, "eta");
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "fold", Rf_allocVector(INTSXP, (R_xlen_t)s.n));
  put(out, "loss", Rf_alloc3DArray(REALSXP, m->n_cells, N_WEIGHTS, N_FOLDS));
  put(out, "lambda", Rf_allocVector(REALSXP, m->n_cells));
  int status = smoothing_choose(c, m, &s, NULL, REAL(scale), &eta);
  int *fold = INTEGER(list_element(out, "fold"));
  for (size_t i = 0; i < s.n; i++)
    fold[i] = (c->env[i] - 1) / s.n_domains + 1;
  double *loss = REAL(list_element(out, "loss")), *lambda = REAL(list_element(out, "lambda"));
  size_t size = (size_t)m->n_cells * N_WEIGHTS;
  for (size_t v = 0; v < N_FOLDS; v++)
    for (size_t g = 0; g < size; g++)
      loss[v * size + g] = c->sum[v].square[g] / 2 + c->sum[v].slope[g];
  for (int cell = 0; cell < m->n_cells; cell++)
    lambda[cell] = m->cell[cell].lambda;
  put_number(out, "eta", eta);
  put_status(out, status);
  UNPROTECT(1);
  return out;
}

SEXP polar_factor(SEXP m) {
  assert_double_matrix(m, "m");
  int p = Rf_nrows(m), d = Rf_ncols(m), deficient;
  polar_work w = polar_work_new(p, d, r_allocator);
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, p, d));
  if (polar_factor_of(REAL(m), &w, REAL(out), &deficient) != STATUS_OK)
    Rf_error("the singular value decomposition did not converge");
  UNPROTECT(1);
  return out;
}

/* A given m, sum omega x z', and second, sum omega E z_j^2; mixing: the kind, a string. */
SEXP mixing_update(SEXP m, SEXP second, SEXP scale, SEXP mixing) {
  assert_double_matrix(m, "m");
  const char *fields[] = {"orthonormal", "scale", ""};
  const measurement_kind *kind = measurement_kind_named(CHAR(Rf_asChar(mixing)));
  if (!kind || kind->full || kind->held)
    Rf_error("internal error: no update of orthogonal columns has this name");
  measurement model = measurement_new(kind, Rf_nrows(m), Rf_ncols(m), r_allocator);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  model.orthonormal = put_matrix(out, "orthonormal", (size_t)model.p, (size_t)model.d);
  model.scale = put_copy(out, "scale", scale);
  int status = kind->update(&model, REAL(m), REAL(second));
  if (status != STATUS_OK)
    Rf_error("internal error: no update of the mixing matrix: %s", workspace_status(status));
  UNPROTECT(1);
  return out;
}

/* Log marginal likelihood and its slope at kappa, and the best kappa; spectrum, gap: d x sets. */
SEXP shrinkage(SEXP rows, SEXP spectrum, SEXP gap, SEXP kappa) {
  assert_double_matrix(spectrum, "spectrum");
  assert_double_matrix(gap, "gap");
  const char *fields[] = {"evidence", "slope", "kappa", ""};
  const shrinkage_problem p = {Rf_nrows(spectrum), Rf_ncols(spectrum), REAL(rows), REAL(spectrum),
                               REAL(gap)};
  double at = Rf_asReal(kappa);
  const double value[] = {shrinkage_evidence(&p, at), shrinkage_slope(&p, at), shrinkage_kappa(&p)};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int k = 0; k < 3; k++)
    put_number(out, fields[k], value[k]);
  UNPROTECT(1);
  return out;
}
