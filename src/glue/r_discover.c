/* Glue for the search over graphs and targets. */
#include "batch.h"
#include "draw_ratio.h"
#include "edge_loss.h"
#include "entries.h"
#include "r_util.h"
#include "rotation.h"

#include <string.h>

enum { POLL_EVERY = 32 };

/* summary: list of n (M), mean (d x M), cov (d x d x M), noise (d x d). */
static domain_summary summary_from(SEXP summary, SEXP settings) {
  SEXP n = list_element(summary, "n"), noise = list_element(summary, "noise");
  assert_double_matrix(noise, "noise");
  size_t d = (size_t)Rf_nrows(noise), m = (size_t)XLENGTH(n);
  domain_summary s = {.d = (int)d,
                      .n_domains = (int)m,
                      .n = list_doubles(summary, "n", m),
                      .mean = list_doubles(summary, "mean", d * m),
                      .cov = list_doubles(summary, "cov", d * d * m),
                      .noise = list_doubles(summary, "noise", d * d),
                      .perfect = list_int(settings, "perfect"),
                      .general = list_int(settings, "general")};
  return s;
}

/* Graphs (d x d x H), targets (M x d x H) and starts (d x d x H), all of the same H. */
static int assert_hypotheses(const domain_summary *s, SEXP dags, SEXP targets, SEXP columns) {
  R_xlen_t square = (R_xlen_t)s->d * s->d, table = (R_xlen_t)s->d * s->n_domains;
  R_xlen_t many = XLENGTH(dags) / square;
  if (!Rf_isInteger(dags) || !Rf_isInteger(targets) || !Rf_isReal(columns) || many < 1 ||
      XLENGTH(dags) != many * square || XLENGTH(targets) != many * table ||
      XLENGTH(columns) != many * square)
    Rf_error("internal error: graphs, targets and columns do not fit one another");
  for (R_xlen_t g = 0; g < XLENGTH(targets); g++)
    if (INTEGER(targets)[g] != 0 && INTEGER(targets)[g] != 1)
      Rf_error("internal error: targets must be 0 or 1");
  return (int)many;
}

static SEXP batch_result(const domain_summary *s, SEXP dags, SEXP targets, SEXP columns,
                         int marginal, hypothesis_batch *batch) {
  const char *fields[] = {"value",     "columns",  "converged", "floored",
                          "intercept", "variance", "slopes",    ""};
  int many = assert_hypotheses(s, dags, targets, columns), d = s->d;
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "value", Rf_allocVector(REALSXP, many));
  put(out, "columns", Rf_duplicate(columns));
  put(out, "converged", Rf_allocVector(LGLSXP, many));
  put(out, "floored", Rf_allocVector(INTSXP, many));
  batch->dags = INTEGER(dags);
  batch->targets = INTEGER(targets);
  batch->value = REAL(list_element(out, "value"));
  batch->columns = REAL(list_element(out, "columns"));
  batch->converged = LOGICAL(list_element(out, "converged"));
  batch->floored = INTEGER(list_element(out, "floored"));
  if (marginal) {
    put(out, "intercept", Rf_alloc3DArray(REALSXP, d, 2, many));
    put(out, "variance", Rf_alloc3DArray(REALSXP, d, 2, many));
    put(out, "slopes", Rf_alloc3DArray(REALSXP, d, 2 * d, many));
    batch->intercept = REAL(list_element(out, "intercept"));
    batch->variance = REAL(list_element(out, "variance"));
    batch->slopes = REAL(list_element(out, "slopes"));
    memset(batch->slopes, 0, (size_t)XLENGTH(list_element(out, "slopes")) * sizeof(double));
  }
  UNPROTECT(1);
  return out;
}

static void batch_settings(hypothesis_batch *batch, SEXP settings) {
  batch->tol = list_number(settings, "tol");
  batch->max_iter = list_int(settings, "max_iter");
  batch->threads = list_threads(settings);
}

/* Descends from each of `columns` under the hypothesis beside it. */
SEXP discover_profile(SEXP summary, SEXP dags, SEXP targets, SEXP columns, SEXP settings) {
  domain_summary s = summary_from(summary, settings);
  hypothesis_batch batch = {0};
  batch_settings(&batch, settings);
  SEXP out = PROTECT(batch_result(&s, dags, targets, columns, 0, &batch));
  profile_work *work = (profile_work *)R_alloc((size_t)batch.threads, sizeof(profile_work));
  for (int t = 0; t < batch.threads; t++)
    work[t] = profile_work_new(&s, list_number(settings, "floor"), r_allocator);
  int many = Rf_length(VECTOR_ELT(out, 0));
  for (int from = 0; from < many; from += POLL_EVERY, poll_user())
    batch_profile(work, &batch, from, from + POLL_EVERY < many ? from + POLL_EVERY : many);
  UNPROTECT(1);
  return out;
}

/* The same with the likelihood of y; slopes are d x 2 x d x H: parent, state, latent. */
SEXP discover_marginal(SEXP summary, SEXP dags, SEXP targets, SEXP columns, SEXP settings) {
  domain_summary s = summary_from(summary, settings);
  hypothesis_batch batch = {0};
  batch_settings(&batch, settings);
  SEXP out = PROTECT(batch_result(&s, dags, targets, columns, 1, &batch));
  marginal_work *work = (marginal_work *)R_alloc((size_t)batch.threads, sizeof(marginal_work));
  for (int t = 0; t < batch.threads; t++)
    work[t] = marginal_work_new(&s, list_number(settings, "least"), r_allocator);
  int many = Rf_length(VECTOR_ELT(out, 0));
  for (int from = 0; from < many; from += POLL_EVERY, poll_user())
    batch_marginal(work, &batch, from, from + POLL_EVERY < many ? from + POLL_EVERY : many);
  UNPROTECT(1);
  return out;
}

/* Random rotation number `draw` of a seed. */
SEXP random_rotation(SEXP d, SEXP seed, SEXP draw) {
  int size = Rf_asInteger(d);
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, size, size));
  double *normals = (double *)R_alloc((size_t)size * (size_t)size, sizeof(double));
  rotation_random(REAL(out), size, (uint64_t)Rf_asReal(seed), (uint32_t)Rf_asInteger(draw),
                  normals);
  UNPROTECT(1);
  return out;
}

/* Value and gradient of one hypothesis at `step` from `columns`, for the tests. */
SEXP discover_value(SEXP summary, SEXP dag, SEXP targets, SEXP columns, SEXP settings, SEXP step) {
  const char *fields[] = {"value", "gradient", "size", ""};
  domain_summary s = summary_from(summary, settings);
  assert_hypotheses(&s, dag, targets, columns);
  hypothesis h = {INTEGER(dag), INTEGER(targets)};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  int marginal = list_int(settings, "marginal"), size = hypothesis_steps(s.d, s.general);
  profile_work profile = {0};
  marginal_work whole = {0};
  if (marginal) {
    whole = marginal_work_new(&s, list_number(settings, "least"), r_allocator);
    marginal_set(&whole, &h, REAL(columns));
    size = whole.size;
  } else {
    profile = profile_work_new(&s, list_number(settings, "floor"), r_allocator);
    profile_set(&profile, &h);
  }
  put(out, "gradient", Rf_allocVector(REALSXP, size));
  put_int(out, "size", size);
  double *gradient = REAL(list_element(out, "gradient")), value = NA_REAL;
  if (Rf_length(step) == size && marginal) {
    value = marginal_value(&whole, REAL(step), gradient);
  } else if (Rf_length(step) == size) {
    hypothesis_moved(REAL(columns), s.d, s.general, REAL(step), profile.trial);
    value = profile_value(&profile, profile.trial, gradient);
  }
  put_number(out, "value", value);
  UNPROTECT(1);
  return out;
}

/* A latent (from 1) in a state: list of node, state, parents (from 1), theta, lambda, variance. */
static drawn_mechanism drawn_from(SEXP mechanism, int n_basis, int d) {
  SEXP parents = list_element(mechanism, "parents");
  int many = Rf_length(parents);
  int *parent = (int *)R_alloc((size_t)many + 1, sizeof(int));
  for (int k = 0; k < many; k++)
    parent[k] = INTEGER(parents)[k] - 1;
  drawn_mechanism m = {.node = list_count(mechanism, "node", 1) - 1,
                       .state = list_choice(mechanism, "state", 2),
                       .n_parents = many,
                       .parent = parent,
                       .theta = list_doubles(mechanism, "theta", (size_t)(many * n_basis)),
                       .lambda = list_doubles(mechanism, "lambda", (size_t)many),
                       .variance = list_number(mechanism, "variance")};
  if (m.node >= d)
    Rf_error("internal error: a coordinate is no latent");
  return m;
}

/* draws: n x d x S from the posterior under a prior whose knots cover `range` (2 x d). Loss and
 * degrees of freedom without each parent of the mechanism. */
SEXP edge_losses(SEXP draws, SEXP env, SEXP targets, SEXP range, SEXP mechanism, SEXP settings) {
  const char *fields[] = {"loss", "df", ""};
  int knots = list_count(settings, "knots", 2), d = Rf_ncols(targets), m = Rf_nrows(targets);
  size_t n = (size_t)XLENGTH(env), row = n * (size_t)d;
  assert_codes(env, m);
  if (!Rf_isReal(draws) || XLENGTH(draws) == 0 || (size_t)XLENGTH(draws) % row != 0 ||
      !Rf_isInteger(targets) || !Rf_isReal(range) || XLENGTH(range) != 2 * (R_xlen_t)d)
    Rf_error("internal error: draws, targets and knots do not fit env");
  drawn_latents l = {.n = n,
                     .d = d,
                     .n_domains = m,
                     .n_draws = (int)((size_t)XLENGTH(draws) / row),
                     .draws = REAL(draws),
                     .env = INTEGER(env),
                     .targets = INTEGER(targets),
                     .range = REAL(range)};
  edge_loss_work w = edge_loss_work_new(&l, knots, r_allocator);
  w.variance_floor = list_number(settings, "variance_floor");
  drawn_mechanism mech = drawn_from(mechanism, knots + 2, d);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *loss = put_matrix(out, "loss", (size_t)mech.n_parents, 1);
  double *df = put_matrix(out, "df", (size_t)mech.n_parents, 1);
  for (int k = 0; k < mech.n_parents; k++)
    loss[k] = edge_loss(&w, &mech, k, df + k, poll_user);
  UNPROTECT(1);
  return out;
}

/* list of parents (by latent, from 1), theta (by cell, or NULL), constant, variance, range and
 * targets */
static spline_prior prior_from(SEXP prior, int n_basis, int d, int n_domains) {
  SEXP parents = list_element(prior, "parents"), theta = list_element(prior, "theta"),
       targets = list_element(prior, "targets");
  size_t nodes = (size_t)d, cells = 2 * nodes;
  int *many = (int *)R_alloc(nodes, sizeof(int));
  int **parent = (int **)R_alloc(nodes, sizeof(int *));
  const double **curves = (const double **)R_alloc(cells, sizeof(double *));
  if (Rf_length(parents) != d || Rf_length(theta) != 2 * d || !Rf_isInteger(targets) ||
      XLENGTH(targets) != (R_xlen_t)n_domains * d)
    Rf_error("internal error: a prior does not fit the draws");
  for (int j = 0; j < d; j++) {
    SEXP own = VECTOR_ELT(parents, j);
    many[j] = Rf_length(own);
    parent[j] = (int *)R_alloc((size_t)many[j] + 1, sizeof(int));
    assert_codes(own, d);
    for (int k = 0; k < many[j]; k++)
      parent[j][k] = INTEGER(own)[k] - 1;
    for (int c = 2 * j; c < 2 * j + 2; c++) {
      SEXP t = VECTOR_ELT(theta, c);
      if (!Rf_isNull(t) && (!Rf_isReal(t) || Rf_length(t) != many[j] * n_basis))
        Rf_error("internal error: curves do not fit the parents");
      curves[c] = Rf_isNull(t) ? NULL : REAL(t);
    }
  }
  spline_prior p = {.targets = INTEGER(targets),
                    .n_parents = many,
                    .parent = parent,
                    .theta = curves,
                    .constant = list_doubles(prior, "constant", cells),
                    .variance = list_doubles(prior, "variance", cells),
                    .range = list_doubles(prior, "range", cells)};
  return p;
}

/* draws: n x d x S from the posterior under `from`; the log-likelihood that rows gain under `to`,
 * whose latents are `turn` (d x d) times those of `from`. */
SEXP draw_ratios(SEXP draws, SEXP env, SEXP from, SEXP to, SEXP turn, SEXP knots) {
  int d = Rf_nrows(turn), m = Rf_nrows(list_element(from, "targets")), many = Rf_asInteger(knots);
  size_t n = (size_t)XLENGTH(env), row = n * (size_t)d;
  assert_double_matrix(turn, "turn");
  assert_codes(env, m);
  if (!Rf_isReal(draws) || XLENGTH(draws) == 0 || (size_t)XLENGTH(draws) % row != 0 ||
      Rf_ncols(turn) != d || many < 2)
    Rf_error("internal error: draws and turn do not fit env");
  prior_draws l = {.n = n,
                   .d = d,
                   .n_domains = m,
                   .n_draws = (int)((size_t)XLENGTH(draws) / row),
                   .draws = REAL(draws),
                   .env = INTEGER(env)};
  double *storage = (double *)R_alloc((size_t)bspline_table_size(many), sizeof(double));
  bspline_table table = bspline_table_fill(many, storage);
  spline_prior before = prior_from(from, table.n_basis, d, m);
  spline_prior after = prior_from(to, table.n_basis, d, m);
  double *scratch = (double *)R_alloc((size_t)(2 * d + l.n_draws), sizeof(double));
  return Rf_ScalarReal(draw_ratio(&l, &table, &before, &after, REAL(turn), scratch, poll_user));
}
