/* Glue for g-modeling: checks types, unpacks, allocates, calls, packs. */
#include "entries.h"
#include "posterior.h"
#include "r_util.h"
#include "saem.h"
#include "saem_stop.h"

#include <math.h>
#include <string.h>

static mechanisms mechanisms_from(const latent_sample *s, SEXP parents, SEXP control) {
  causal_graph graph = graph_from(parents, s->d, list_int(control, "perfect"));
  mechanism_settings set = {.knots = list_count(control, "knots", 2),
                            .lambda = list_number(control, "lambda"),
                            .learn_lambda = list_int(control, "learn_lambda"),
                            .pieces = list_count(control, "pieces", 1),
                            .variance_floor = list_number(control, "variance_floor"),
                            .components = list_count(control, "components", 1)};
  return mechanisms_new(s, &graph, set, r_allocator);
}

/* The fitted prior as R keeps it: `theta` and `lambda` are lists over cells, `noise` is NULL where
 * it is Gaussian, else a list of three matrices (components x cells). */
static SEXP noise_list(const mechanisms *m) {
  const char *fields[] = {"weight", "mean", "variance", ""};
  const double *part[] = {m->noise.weight, m->noise.mean, m->noise.variance};
  size_t components = (size_t)m->noise.n, cells = (size_t)graph_cells(&m->graph);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  for (int k = 0; k < 3; k++) {
    double *to = put_matrix(out, fields[k], components, cells);
    for (size_t g = 0; g < components * cells; g++)
      to[g] = m->cell[g / components].weight > 0 ? part[k][g] : NA_REAL;
  }
  UNPROTECT(1);
  return out;
}

static void load_noise(mechanisms *m, SEXP noise) {
  const char *fields[] = {"weight", "mean", "variance"};
  double *part[] = {m->noise.weight, m->noise.mean, m->noise.variance};
  size_t cells = (size_t)graph_cells(&m->graph), size = (size_t)m->noise.n * cells;
  for (int k = 0; k < 3; k++) {
    memcpy(part[k], list_doubles(noise, fields[k], size), size * sizeof(double));
  }
  for (int c = 0; c < (int)cells; c++)
    noise_heights(&m->noise, c);
}

static SEXP prior_list(const mechanisms *m) {
  size_t d = (size_t)m->graph.d, states = (size_t)m->graph.n_states, cells = d * states;
  const char *fields[] = {"theta", "lambda", "df", "constant", "variance", "range", "noise", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  SEXP theta = PROTECT(Rf_allocVector(VECSXP, (R_xlen_t)cells));
  SEXP lambda = PROTECT(Rf_allocVector(VECSXP, (R_xlen_t)cells));
  put(out, "theta", theta);
  put(out, "lambda", lambda);
  double *df = put_matrix(out, "df", states, d), *constant = put_matrix(out, "constant", states, d);
  double *variance = put_matrix(out, "variance", states, d);
  if (m->noise.n > 1)
    put(out, "noise", noise_list(m));
  memcpy(put_matrix(out, "range", 2, d), m->curve_range, 2 * d * sizeof(double));
  for (size_t c = 0; c < cells; c++) {
    const mechanism_cell *cell = &m->cell[c];
    int seen = cell->weight > 0;
    df[c] = !seen ? NA_REAL : cell->parents > 0 ? cell->df : 1;
    constant[c] = seen ? m->constant[c] : NA_REAL;
    variance[c] = seen ? m->variance[c] : NA_REAL;
    if (!seen || cell->parents == 0)
      continue;
    SET_VECTOR_ELT(theta, (R_xlen_t)c, Rf_allocVector(REALSXP, cell->n_coef));
    memcpy(REAL(VECTOR_ELT(theta, (R_xlen_t)c)), cell->theta,
           (size_t)cell->n_coef * sizeof(double));
    SET_VECTOR_ELT(lambda, (R_xlen_t)c, Rf_allocVector(REALSXP, cell->parents * m->pieces));
    memcpy(REAL(VECTOR_ELT(lambda, (R_xlen_t)c)), cell->lambda,
           (size_t)(cell->parents * m->pieces) * sizeof(double));
  }
  UNPROTECT(3);
  return out;
}

static void load_prior(mechanisms *m, SEXP prior) {
  size_t d = (size_t)m->graph.d, cells = (size_t)graph_cells(&m->graph);
  SEXP theta = list_element(prior, "theta"), lambda = list_element(prior, "lambda");
  if (!Rf_isNewList(theta) || !Rf_isNewList(lambda) || (size_t)XLENGTH(theta) != cells ||
      (size_t)XLENGTH(lambda) != cells)
    Rf_error("internal error: the prior has the wrong number of cells");
  memcpy(m->constant, list_doubles(prior, "constant", cells), cells * sizeof(double));
  memcpy(m->variance, list_doubles(prior, "variance", cells), cells * sizeof(double));
  memcpy(m->range, list_doubles(prior, "range", 2 * d), 2 * d * sizeof(double));
  if (m->noise.n > 1)
    load_noise(m, list_element(prior, "noise"));
  for (size_t c = 0; c < cells; c++) {
    SEXP value = VECTOR_ELT(theta, (R_xlen_t)c), weight = VECTOR_ELT(lambda, (R_xlen_t)c);
    if (m->cell[c].parents == 0 || Rf_isNull(value))
      continue;
    if (!Rf_isReal(value) || XLENGTH(value) != m->cell[c].n_coef || !Rf_isReal(weight) ||
        XLENGTH(weight) != m->cell[c].parents * m->pieces)
      Rf_error("internal error: node %d has the wrong number of coefficients",
               graph_node(&m->graph, (int)c) + 1);
    memcpy(m->cell[c].theta, REAL(value), (size_t)m->cell[c].n_coef * sizeof(double));
    memcpy(m->cell[c].lambda, REAL(weight),
           (size_t)(m->cell[c].parents * m->pieces) * sizeof(double));
  }
  mechanism_curves(m);
}

static saem_settings saem_settings_from(SEXP control, SEXP progress) {
  saem_settings set = {.burn_in = list_count(control, "burn_in", 0),
                       .iterations = list_count(control, "iterations", 0),
                       .tol = list_number(control, "mc_tol"),
                       .threads = list_threads(control),
                       .tick = progress_tick,
                       .ctx = progress};
  return set;
}

/* Where the counters stand: of iterations, burn-in, its end, and batches. */
static SEXP place_of(const saem_state *s) {
  const char *names[] = {"iteration", "burn_in", "settled", "count", "size", ""};
  const batch_means *fitted = &s->record.fitted;
  const int place[] = {s->at.iteration, s->at.burnt_in, s->at.settled, fitted->count, fitted->size};
  SEXP out = Rf_mkNamed(INTSXP, names);
  memcpy(INTEGER(out), place, sizeof(place));
  return out;
}

static void save_numbers(SEXP state, const char *name, const double *v, size_t rows, size_t cols) {
  memcpy(put_matrix(state, name, rows, cols), v, rows * cols * sizeof(double));
}

/* What a run goes on from: the last iteration's parameters, draws and statistics, and the sums over
 * the averaging iterations. The caller has copied the draws and the scales of the walks. */
static void save_state(const saem_state *s, SEXP state) {
  const batch_means *fitted = &s->record.fitted;
  size_t p = (size_t)s->model->p, d = (size_t)s->model->d;
  save_numbers(state, "mixing", s->model->mixing, p, d);
  save_numbers(state, "statistics", s->stats.value, s->stats.size, 1);
  save_numbers(state, "average", s->stats.average, s->stats.size, 1);
  save_numbers(state, "sum", fitted->sum, fitted->length, MAX_BATCHES);
  save_numbers(state, "square", fitted->square, fitted->length, MAX_BATCHES);
  save_numbers(state, "length", s->model->scale, d, 1);
  save_numbers(state, "stiffest", s->turn.stiffest, d, d);
  put_number(state, "sigma2", s->model->noise.value);
  save_numbers(state, "missing", s->mech->missing, s->mech->n_missing, 1);
  put_number(state, "estimates", s->mech->estimates);
  put(state, "prior", prior_list(s->mech));
  put(state, "place", place_of(s));
}

static void restore_numbers(double *to, size_t length, SEXP state, const char *name) {
  memcpy(to, list_doubles(state, name, length), length * sizeof(double));
}

static void restore_state(saem_state *s, SEXP state) {
  SEXP place = list_element(state, "place");
  if (Rf_isNull(place))
    return;
  batch_means *fitted = &s->record.fitted;
  size_t batches = fitted->length * MAX_BATCHES, d = (size_t)s->model->d;
  restore_numbers(s->stats.value, s->stats.size, state, "statistics");
  restore_numbers(s->stats.average, s->stats.size, state, "average");
  restore_numbers(fitted->sum, batches, state, "sum");
  restore_numbers(fitted->square, batches, state, "square");
  restore_numbers(s->model->scale, d, state, "length");
  restore_numbers(s->turn.stiffest, d * d, state, "stiffest");
  restore_numbers(s->mech->missing, s->mech->n_missing, state, "missing");
  s->mech->estimates = (int)list_number(state, "estimates");
  const int *at = list_integers(state, "place", 5);
  int steps = s->set.burn_in + s->set.iterations;
  int batched = at[4] >= 1 && at[3] >= 0 && at[3] <= (double)MAX_BATCHES * at[4];
  if (at[1] < 0 || at[0] < at[1] || at[0] > steps || !batched)
    Rf_error("internal error: no place of a run");
  s->at.iteration = at[0];
  s->at.burnt_in = at[1];
  s->at.settled = at[2];
  fitted->count = at[3];
  fitted->size = at[4];
}

/* error: standard errors of A (p x d), sigma2, objective and log variances, one after another.
 * ratio: of those of A, and of log variances, to their sampling errors. */
static void write_errors(const saem_state *s, SEXP out) {
  size_t length = s->record.fitted.length;
  double *error = put_matrix(out, "error", length, 1);
  saem_stop_precision(s, put_matrix(out, "ratio", 2, 1));
  saem_stop_errors(s, error);
  for (size_t g = 0; g < length; g++)
    error[g] = sqrt(error[g]);
}

/* The state of SAEM whose A, draws, scales of walks and trace are elements of out and state. */
static saem_state saem_from(SEXP x, const latent_sample *rows, mechanisms *mech, SEXP init,
                            SEXP control, SEXP progress, SEXP out, SEXP state) {
  size_t d = (size_t)rows->d, domains = (size_t)rows->n_domains;
  list_doubles(init, "mixing", (size_t)Rf_ncols(x) * d);
  list_doubles(init, "latents", rows->n * d);
  list_doubles(init, "walk_scale", d * domains);
  double *mixing = put_copy(out, "mixing", list_element(init, "mixing"));
  saem_state s = {.seen.x = REAL(x),
                  .seen.features = list_number(control, "features"),
                  .seen.outside = list_number(control, "outside"),
                  .rows = rows,
                  .set = saem_settings_from(control, progress),
                  .model = plain_measurement_from(mixing, list_number(init, "sigma2"), control,
                                                  Rf_ncols(x), rows->d),
                  .mech = mech,
                  .tied = list_integers(control, "tied", d * d),
                  .sampler = {.seed = (uint64_t)list_number(control, "seed")}};
  s.chain.z = put_copy(state, "latents", list_element(init, "latents"));
  s.chain.walk_scale = put_copy(state, "walk_scale", list_element(init, "walk_scale"));
  s.chain.acceptance = put_matrix(out, "acceptance", d, domains);
  s.chain.projected = (double *)r_allocator(rows->n * d, sizeof(double));
  s.trace = put_matrix(out, "trace", (size_t)(s.set.burn_in + s.set.iterations),
                       SAEM_VARIANCES + (size_t)graph_cells(&mech->graph));
  name_columns(list_element(out, "trace"), saem_columns, SAEM_VARIANCES, "variance");
  return s;
}

/* By cell: NULL, or list of `gram`, `penalty` and `missing` (m x m). */
static SEXP curve_information(const saem_state *s) {
  const char *fields[] = {"gram", "penalty", "missing", ""};
  mechanisms *m = s->mech;
  SEXP out = PROTECT(Rf_allocVector(VECSXP, graph_cells(&m->graph)));
  for (int c = 0; c < graph_cells(&m->graph); c++) {
    size_t size = (size_t)m->cell[c].n_coef;
    if (m->cell[c].parents == 0 || !(m->cell[c].weight > 0))
      continue;
    SEXP cell = PROTECT(Rf_mkNamed(VECSXP, fields));
    double *part[3];
    for (int k = 0; k < 3; k++)
      part[k] = put_matrix(cell, fields[k], size, size);
    if (mechanism_information(m, c, s->stats.value, part[0], part[1], part[2]))
      SET_VECTOR_ELT(out, c, cell);
    UNPROTECT(1);
  }
  UNPROTECT(1);
  return out;
}

/* init: mixing (p x d), sigma2, latents (n x d), walk_scale (d x M), prior (NULL or a list); place
 * is NULL, or init is the `state` of an earlier run, to go on from. `state` has what a run goes on
 * from, the rest is at the mean of the averaging iterations. */
SEXP saem_fit(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP init, SEXP control,
              SEXP progress) {
  const char *fields[] = {"mixing", "sigma2", "prior",   "state",       "acceptance",
                          "trace",  "counts", "burn_in", "settled",     "precise",
                          "error",  "ratio",  "status",  "information", ""};
  const char *kept[] = {"mixing",  "latents",   "walk_scale", "statistics", "average",
                        "sum",     "square",    "length",     "stiffest",   "sigma2",
                        "missing", "estimates", "prior",      "place",      ""};
  assert_double_matrix(x, "x");
  latent_sample rows = sample_from(env, targets, omega);
  if ((size_t)Rf_nrows(x) != rows.n)
    Rf_error("internal error: x and env have different numbers of rows");
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields)), prior = list_element(init, "prior");
  SEXP state = PROTECT(Rf_mkNamed(VECSXP, kept));
  put(out, "state", state);
  mechanisms mech = mechanisms_from(&rows, parents, control);
  if (!Rf_isNull(prior))
    load_prior(&mech, prior);
  saem_state s = saem_from(x, &rows, &mech, init, control, progress, out, state);
  s.set.prior_given = !Rf_isNull(prior);
  saem_prepare(&s, r_allocator);
  restore_state(&s, init);

  int status = saem_run(&s);
  save_state(&s, state);
  write_errors(&s, out);
  if (status == STATUS_OK)
    status = saem_finish(&s);

  put_status(out, status);
  put_number(out, "sigma2", s.model->noise.value);
  put_int(out, "burn_in", s.at.burnt_in);
  put(out, "settled", Rf_ScalarLogical(s.at.settled));
  put(out, "precise", Rf_ScalarLogical(s.at.precise));
  put(out, "prior", prior_list(&mech));
  put(out, "counts", floor_counts(mech.floored, s.model));
  if (status == STATUS_OK)
    put(out, "information", curve_information(&s));
  UNPROTECT(2);
  return out;
}

/* Bytes that a fit takes beside x, the results and one copy of the latents included. */
SEXP saem_bytes(SEXP n_rows, SEXP n_features, SEXP n_domains, SEXP parents, SEXP control) {
  double n = Rf_asReal(n_rows), p = Rf_asReal(n_features), d = Rf_length(parents);
  double domains = Rf_asReal(n_domains);
  causal_graph graph = graph_from(parents, Rf_length(parents), list_int(control, "perfect"));
  double draws = list_number(control, "draws"), threads = list_threads(control);
  double stats =
      mechanism_stats_count(&graph, list_int(control, "knots"), list_int(control, "components"));
  int shears = list_int(control, "shears") && d <= MAX_SHEARED; /* as many as there can be */
  double derivatives = shears ? d * (d - 1) + 4 * d + 2 * graph.n_edges : 0;
  double rows = 8 * n * d * sizeof(double); /* latents, chains, projections, sds, quantiles */
  double steps = list_number(control, "burn_in") + list_number(control, "iterations");
  double kept =
      sizeof(double) * (n * d + 6 * stats + 2 * (p * d + d * d) + d * d + steps * (2 * d + 5)) +
      batch_means_bytes(p * d + 2 * d + 2); /* what a chain goes on from, its trace */
  return Rf_ScalarReal(saem_work_bytes(n, p, d, domains, graph.n_edges, stats, derivatives) + rows +
                       list_number(control, "chains") * kept +
                       posterior_bytes(n, d, domains, draws, threads));
}

/* Posterior at held parameters. projected: n x d, X A; latents: n x d, where the chains begin;
 * model: gram (d x d), sigma2, walk_scale (d x M), prior; control: warm_up, draws, probs, keep,
 * seed, stream, threads, and what the mechanisms need. */
SEXP latent_draws(SEXP projected, SEXP latents, SEXP env, SEXP targets, SEXP parents, SEXP model,
                  SEXP control) {
  const char *fields[] = {"latents", "latents_sd", "quantiles", "draws", "error", "chains", ""};
  assert_double_matrix(projected, "projected");
  SEXP omega = PROTECT(unit_weights(Rf_nrows(targets)));
  latent_sample rows = sample_from(env, targets, omega);
  size_t n = rows.n, d = (size_t)rows.d, walks = d * (size_t)rows.n_domains;
  if (!Rf_isReal(latents) || (size_t)XLENGTH(latents) != n * d ||
      (size_t)XLENGTH(projected) != n * d)
    Rf_error("internal error: projections or latents do not fit env");
  mechanisms mech = mechanisms_from(&rows, parents, control);
  load_prior(&mech, list_element(model, "prior"));
  int *driver = (int *)R_alloc(walks, sizeof(int));
  latent_sampler sampler = {.prior = mechanism_prior(&mech),
                            .rows = &rows,
                            .gram = list_doubles(model, "gram", d * d),
                            .sigma2 = list_number(model, "sigma2"),
                            .walk_scale = list_doubles(model, "walk_scale", walks),
                            .driver = driver,
                            .seed = (uint64_t)list_number(control, "seed")};
  causal_prior_drivers(&sampler.prior, rows.targets, rows.n_domains, driver);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields)), probs = list_element(control, "probs");
  latent_posterior post = {.warm_up = list_count(control, "warm_up", 0),
                           .draws = list_count(control, "draws", 1),
                           .stream = (uint32_t)list_number(control, "stream"),
                           .n_probs = Rf_length(probs),
                           .keep = list_int(control, "keep"),
                           .threads = list_threads(control),
                           .probs = REAL(probs),
                           .poll = poll_user,
                           .projected = REAL(projected)};
  post.mean = put_matrix(out, "latents", n, d);
  post.sd = put_matrix(out, "latents_sd", n, d);
  post.quantile = put_matrix(out, "quantiles", n, d * (size_t)post.n_probs);
  post.kept = put_matrix(out, "draws", n, d * (size_t)post.keep);
  post.error = put_matrix(out, "error", d, 1);
  post.z = put_copy(out, "chains", latents);
  posterior_draws(&sampler, &post, r_allocator);
  UNPROTECT(2);
  return out;
}
