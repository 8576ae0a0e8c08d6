/* Glue: the linear-Gaussian model of x by domains. */
#include "entries.h"
#include "factor_domains.h"
#include "r_util.h"

#include <string.h>

static double *copied(SEXP list, const char *name, size_t length) {
  double *to = (double *)R_alloc(length, sizeof(double));
  memcpy(to, list_doubles(list, name, length), length * sizeof(double));
  return to;
}

static factor_domains model_from(SEXP moments, SEXP targets, SEXP parents, SEXP start,
                                 SEXP settings) {
  SEXP mixing = list_element(start, "mixing");
  assert_double_matrix(mixing, "mixing");
  if (!Rf_isInteger(targets) || !Rf_isMatrix(targets) || Rf_ncols(targets) != Rf_ncols(mixing))
    Rf_error("internal error: targets must be integers, a column a factor");
  size_t p = (size_t)Rf_nrows(mixing), q = (size_t)Rf_ncols(mixing);
  size_t m = (size_t)Rf_nrows(targets);
  causal_graph graph = graph_from(parents, (int)q, list_int(settings, "perfect"));
  factor_domains f = {.p = (int)p,
                      .q = (int)q,
                      .n_domains = (int)m,
                      .latents = list_count(settings, "latents", 1),
                      .share = list_doubles(moments, "share", m),
                      .mean = list_doubles(moments, "mean", p * m),
                      .cov = list_doubles(moments, "cov", p * p * m),
                      .targets = INTEGER(targets),
                      .unit = list_doubles(moments, "unit", p),
                      .set.equal = list_int(settings, "equal"),
                      .set.centered = list_int(settings, "centered"),
                      .set.least = list_number(settings, "least"),
                      .set.orthogonal = list_count(settings, "orthogonal", 0),
                      .set.weight = list_number(settings, "weight"),
                      .set.max_iter = list_count(settings, "max_iter", 0),
                      .set.poll = poll_user,
                      .scm = linear_scm_new(&graph, r_allocator),
                      .mixing = copied(start, "mixing", p * q),
                      .psi = copied(start, "psi", p),
                      .center = copied(start, "center", p)};
  if (f.set.orthogonal > f.q)
    Rf_error("internal error: more orthogonal columns than columns");
  f.scm.intercept = copied(start, "intercept", 2 * q);
  f.scm.variance = copied(start, "variance", 2 * q);
  f.scm.slope = copied(start, "coef", 2 * q * q);
  return f;
}

/* moments: `share` (M), `mean` (p x M), `cov` (p x p x M), `unit` (p); start: `mixing` (p x q),
 * `psi`, `center` (p), `intercept`, `variance` (2 x q), `coef` (q x 2 x q); settings: `latents`,
 * `equal`, `centered`, `perfect`, `least`, `orthogonal`, `weight`, `max_iter`: 0 for the objective
 * and its gradient alone. */
SEXP factor_domains_model(SEXP moments, SEXP targets, SEXP parents, SEXP start, SEXP settings) {
  factor_domains f = model_from(moments, targets, parents, start, settings);
  factor_domains_prepare(&f, r_allocator);
  if (f.set.max_iter > 0)
    factor_domains_fit(&f, r_allocator);
  else
    factor_domains_objective(&f);
  const char *fields[] = {"mixing",  "psi",      "center",    "intercept",  "variance",
                          "coef",    "gradient", "objective", "iterations", "converged",
                          "floored", "status",   ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t p = (size_t)f.p, q = (size_t)f.q;
  const struct {
    const double *from;
    size_t rows, cols;
  } part[] = {{f.mixing, p, q},
              {f.psi, p, 1},
              {f.center, p, 1},
              {f.scm.intercept, 2, q},
              {f.scm.variance, 2, q},
              {f.scm.slope, q, 2 * q},
              {f.work.gradient, (size_t)f.work.n_parameters, 1}};
  for (size_t k = 0; k < sizeof part / sizeof *part; k++)
    memcpy(put_matrix(out, fields[k], part[k].rows, part[k].cols), part[k].from,
           part[k].rows * part[k].cols * sizeof(double));
  put_number(out, "objective", f.objective);
  put_int(out, "iterations", f.iterations);
  put(out, "converged", Rf_ScalarLogical(f.converged));
  put_int(out, "floored", f.floored);
  put_status(out, f.status);
  UNPROTECT(1);
  return out;
}
