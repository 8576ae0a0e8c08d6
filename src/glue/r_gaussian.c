/* Glue for g-modeling with Gaussian priors: checks types, unpacks, allocates, calls, packs. */
#include "entries.h"
#include "gaussian_em.h"
#include "r_util.h"

#include <string.h>

/* prior: intercept (2 x d), slope (d x 2 x d: parent, state, node), variance (2 x d). The vectors
 * are the list's own. */
static linear_scm prior_from(SEXP prior, SEXP parents, int d, SEXP control) {
  causal_graph graph = graph_from(parents, d, list_int(control, "perfect"));
  size_t cells = (size_t)graph_cells(&graph);
  linear_scm m = {.graph = graph,
                  .intercept = list_doubles(prior, "intercept", cells),
                  .slope = list_doubles(prior, "slope", cells * (size_t)d),
                  .variance = list_doubles(prior, "variance", cells),
                  .variance_floor = list_number(control, "variance_floor"),
                  .work = (double *)r_allocator(linear_scm_work(d), sizeof(double))};
  return m;
}

/* Weighted moments of y (n x q) by group of domains, and of x the weighted sum of squares. */
SEXP target_moments(SEXP x, SEXP y, SEXP env, SEXP targets, SEXP omega, SEXP group, SEXP threads) {
  const char *fields[] = {"weight", "mean", "second", "sum_sq", ""};
  assert_double_matrix(x, "x");
  assert_double_matrix(y, "y");
  latent_sample rows = sample_from(env, targets, omega);
  int q = Rf_ncols(y), groups = 0;
  if ((size_t)Rf_nrows(x) != rows.n || (size_t)Rf_nrows(y) != rows.n || !Rf_isInteger(group) ||
      Rf_length(group) != rows.n_domains)
    Rf_error("internal error: x, y or group does not fit env");
  for (int e = 0; e < rows.n_domains; e++)
    if (INTEGER(group)[e] < 1 || INTEGER(group)[e] > rows.n_domains)
      Rf_error("internal error: a group is out of range");
  for (int e = 0; e < rows.n_domains; e++)
    groups = INTEGER(group)[e] > groups ? INTEGER(group)[e] : groups;
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "weight", Rf_allocVector(REALSXP, groups));
  put(out, "mean", Rf_allocMatrix(REALSXP, q, groups));
  put(out, "second", Rf_alloc3DArray(REALSXP, q, q, groups));
  gaussian_em_moments(REAL(y), q, &rows, INTEGER(group), groups, REAL(list_element(out, "weight")),
                      REAL(list_element(out, "mean")), REAL(list_element(out, "second")),
                      r_allocator, poll_user);
  int n_threads = threads_usable(Rf_asInteger(threads));
  double sum_sq = rows_square_sum(REAL(x), Rf_ncols(x), &rows, n_threads);
  put_number(out, "sum_sq", sum_sq);
  UNPROTECT(1);
  return out;
}

static set_moments moments_from(SEXP moments, SEXP targets, double p) {
  SEXP weight = list_element(moments, "weight");
  set_moments m = {.q = Rf_nrows(list_element(moments, "mean")),
                   .n_groups = Rf_length(weight),
                   .p = p,
                   .targets = INTEGER(targets),
                   .weight = REAL(weight),
                   .mean = REAL(list_element(moments, "mean")),
                   .second = REAL(list_element(moments, "second")),
                   .sum_sq = list_number(moments, "sum_sq")};
  for (int g = 0; g < m.n_groups; g++)
    m.rows += m.weight[g];
  return m;
}

/* An own copy of the prior of the start. */
static SEXP prior_copy(SEXP prior) {
  const char *fields[] = {"intercept", "slope", "variance", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int i = 0; fields[i][0]; i++)
    put_copy(out, fields[i], list_element(prior, fields[i]));
  UNPROTECT(1);
  return out;
}

/* moments: of target_moments; targets: groups x d; init: mixing (q x d), sigma2, prior, given. */
SEXP gaussian_fit(SEXP moments, SEXP targets, SEXP parents, SEXP init, SEXP control,
                  SEXP progress) {
  const char *fields[] = {"mixing",    "sigma2", "prior",  "loglik", "trace", "iterations",
                          "converged", "change", "counts", "status", ""};
  int d = Rf_ncols(targets), max_iter = list_int(control, "max_iter");
  set_moments data = moments_from(moments, targets, list_number(control, "p"));
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *mixing = put_copy(out, "mixing", list_element(init, "mixing"));
  SEXP own = PROTECT(prior_copy(list_element(init, "prior")));
  put(out, "prior", own);
  linear_scm prior = prior_from(own, parents, d, control);
  gaussian_em s = {
      .data = &data,
      .set = {.max_iter = max_iter,
              .tol = list_number(control, "tol"),
              .tick = progress_tick,
              .ctx = progress},
      .model = plain_measurement_from(mixing, list_number(init, "sigma2"), control, data.q, d),
      .prior = &prior,
      .prior_given = list_int(init, "given"),
      .trace = put_matrix(out, "trace", (size_t)max_iter,
                          GAUSSIAN_VARIANCES + (size_t)graph_cells(&prior.graph))};
  name_columns(list_element(out, "trace"), gaussian_em_columns, GAUSSIAN_VARIANCES, "variance");
  gaussian_em_prepare(&s, r_allocator);

  int status = gaussian_em_run(&s);

  put_number(out, "sigma2", s.model->noise.value);
  put_number(out, "loglik", s.loglik);
  put_int(out, "iterations", s.iterations);
  put(out, "converged", Rf_ScalarLogical(s.converged));
  put_number(out, "change", s.change);
  put(out, "counts", floor_counts(s.prior->floored, s.model));
  put_status(out, status);
  UNPROTECT(2);
  return out;
}

/* Bytes of the moments and the EM. */
SEXP gaussian_bytes(SEXP q, SEXP d, SEXP n_groups) {
  return Rf_ScalarReal(gaussian_em_bytes(Rf_asReal(q), Rf_asReal(d), Rf_asReal(n_groups)));
}

/* Posterior of rows in closed form. model: mixing (p x d), sigma2, prior; control: perfect, probs
 * as standard normal quantiles (deviate), keep, seed, threads. */
SEXP gaussian_rows(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP model, SEXP control) {
  const char *fields[] = {"latents", "latents_sd", "quantiles", "draws", "status", ""};
  assert_double_matrix(x, "x");
  SEXP omega = PROTECT(unit_weights(Rf_nrows(targets)));
  latent_sample rows = sample_from(env, targets, omega);
  if ((size_t)Rf_nrows(x) != rows.n)
    Rf_error("internal error: x and env have different numbers of rows");
  const double *mixing = list_doubles(model, "mixing", (size_t)Rf_ncols(x) * (size_t)rows.d);
  linear_scm prior = prior_from(list_element(model, "prior"), parents, rows.d, control);
  SEXP deviate = list_element(control, "deviate");
  gaussian_latents post = {.n_probs = Rf_length(deviate),
                           .deviate = REAL(deviate),
                           .keep = list_int(control, "keep"),
                           .threads = list_threads(control),
                           .seed = (uint64_t)list_number(control, "seed")};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t n = rows.n, d = (size_t)rows.d;
  post.mean = put_matrix(out, "latents", n, d);
  post.sd = put_matrix(out, "latents_sd", n, d);
  post.quantile = put_matrix(out, "quantiles", n, d * (size_t)post.n_probs);
  post.draws = put_matrix(out, "draws", n, d * (size_t)post.keep);
  int status = gaussian_em_latents(&prior, REAL(x), Rf_ncols(x), &rows, mixing,
                                   list_number(model, "sigma2"), &post, r_allocator);
  put_status(out, status);
  UNPROTECT(2);
  return out;
}
