/* Glue for the fit: checks types, unpacks, allocates, calls, packs. */
#include "em.h"
#include "entries.h"
#include "r_util.h"

#include <string.h>

/* Per cell (2 d: states 0 and 1 of each node in turn): rows, coefficients, solver; and the bytes a
 * fit needs beside x. */
SEXP fit_cost(SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP n_features, SEXP control) {
  latent_sample s = sample_from(env, targets, omega);
  const char *fields[] = {"rows", "coefficients", "solver", "bytes", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  int cells = s.d * s.n_states;
  SEXP rows = Rf_allocVector(REALSXP, cells);
  put(out, "rows", rows);
  SEXP coefficients = Rf_allocVector(REALSXP, cells);
  put(out, "coefficients", coefficients);
  SEXP solver = Rf_allocVector(STRSXP, cells);
  put(out, "solver", solver);
  const score_model *m = score_plan_from(&s, parents, control);
  for (int c = 0; c < cells; c++) {
    REAL(rows)[c] = (double)m->cell[c].n_rows;
    REAL(coefficients)[c] = (double)cell_coefficients(&m->cell[c]);
    SET_STRING_ELT(solver, c, Rf_mkChar(cells_solver_names[m->cell[c].solver]));
  }
  int general = list_is(control, "mixing", "psd") || list_is(control, "mixing", "fixed");
  double n = (double)s.n, d = s.d, p = Rf_asReal(n_features);
  double bytes = m->bytes + (em_doubles(n, p, d, s.n_domains, general) + 3 * n * d +
                             list_number(control, "max_iter") * TRACE_COLUMNS) *
                                sizeof(double);
  if (list_int(control, "gaussian"))
    bytes += reference_doubles(n, d, s.n_states, s.n_domains) * sizeof(double);
  if (m->set.cross_validate)
    bytes += smoothing_bytes(n, d, cells, s.n_domains);
  put_number(out, "bytes", bytes);
  UNPROTECT(1);
  return out;
}

/* Is a score that of one log-density, so that its components share coefficients? */
SEXP score_is_joint(SEXP name) {
  const score_class *kind = score_class_named(CHAR(STRING_ELT(name, 0)));
  return Rf_ScalarLogical(kind != NULL && kind->joint);
}

/* NULL: none are turned. */
static const int *signs_from(SEXP control) {
  SEXP signs = list_element(control, "signs");
  return Rf_isNull(signs) ? NULL : INTEGER(signs);
}

static em_settings em_settings_from(SEXP control, SEXP progress) {
  em_settings set = {.accelerate = list_int(control, "acceleration"),
                     .signs = signs_from(control),
                     .tick = progress_tick,
                     .ctx = progress};
  return set;
}

static estep_state estep_from(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP model,
                              SEXP control, const char *mixing) {
  assert_double_matrix(x, "x");
  estep_state e = {.x = REAL(x),
                   .p = Rf_ncols(x),
                   .features = list_number(model, "features"),
                   .outside = list_number(model, "outside"),
                   .rows = sample_from(env, targets, omega),
                   .eta = list_number(control, "eta")};
  if ((size_t)Rf_nrows(x) != e.rows.n)
    Rf_error("internal error: x and env have different numbers of rows");
  e.score = score_model_from(&e.rows, parents, control);
  e.model = measurement_from(model, mixing, e.p, e.rows.d);
  return e;
}

/* An empty reference for `least` target sets or more. group: that of each domain, from 0; NULL for
 * no reference. */
static gaussian_reference *reference_from(const estep_state *e, SEXP group, int least) {
  if (Rf_isNull(group))
    return NULL;
  int n_groups = least, most = least + e->rows.n_domains;
  if (!Rf_isInteger(group) || Rf_length(group) != e->rows.n_domains)
    Rf_error("internal error: one group a domain is needed");
  for (int k = 0; k < Rf_length(group); k++)
    if (INTEGER(group)[k] < 0 || INTEGER(group)[k] >= most)
      Rf_error("internal error: a group is out of range");
  for (int k = 0; k < Rf_length(group); k++)
    n_groups = INTEGER(group)[k] >= n_groups ? INTEGER(group)[k] + 1 : n_groups;
  return reference_new(&e->rows, INTEGER(group), n_groups, &e->score->graph,
                       e->score->shards.n_shards, r_allocator);
}

/* The parts of a reference that the fit keeps, in the order of reference_fields. */
enum { REFERENCE_PARTS = 5 };
static const char *reference_fields[] = {"mean",         "precision", "intercept", "variance",
                                         "coefficients", "kappa",     ""};

static void reference_parts(const gaussian_reference *r, double *parts[REFERENCE_PARTS]) {
  double *found[] = {r->mean, r->precision, r->scm.intercept, r->scm.variance, r->scm.slope};
  memcpy(parts, found, sizeof found);
}

static SEXP reference_list(const gaussian_reference *r) {
  if (!r)
    return R_NilValue;
  int d = r->d, states = r->scm.graph.n_states;
  double *part[REFERENCE_PARTS];
  reference_parts(r, part);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, reference_fields));
  put(out, "mean", Rf_allocMatrix(REALSXP, d, r->n_groups));
  put(out, "precision", Rf_alloc3DArray(REALSXP, d, d, r->n_groups));
  put(out, "intercept", Rf_allocMatrix(REALSXP, states, d));
  put(out, "variance", Rf_allocMatrix(REALSXP, states, d));
  put(out, "coefficients", Rf_alloc3DArray(REALSXP, d, states, d));
  for (int k = 0; k < REFERENCE_PARTS; k++) {
    SEXP value = list_element(out, reference_fields[k]);
    memcpy(REAL(value), part[k], (size_t)XLENGTH(value) * sizeof(double));
  }
  put_number(out, "kappa", r->kappa);
  UNPROTECT(1);
  return out;
}

/* The reference of a fit (or NULL) for other rows: `fitted` has its parts and the group of each
 * domain, numbers from the fit's number of target sets on standing for sets that it has not seen.
 */
static int use_reference(estep_state *e, SEXP fitted) {
  if (Rf_isNull(fitted))
    return STATUS_OK;
  int n_known = Rf_ncols(list_element(fitted, "mean"));
  e->reference = reference_from(e, list_element(fitted, "group"), n_known);
  double *part[REFERENCE_PARTS];
  reference_parts(e->reference, part);
  size_t d = (size_t)e->rows.d, known = (size_t)n_known, cells = (size_t)e->score->n_cells;
  const size_t length[REFERENCE_PARTS] = {d * known, d * d * known, cells, cells, cells * d};
  for (int k = 0; k < REFERENCE_PARTS; k++)
    memcpy(part[k], list_doubles(fitted, reference_fields[k], length[k]),
           length[k] * sizeof(double));
  return estep_complete_reference(e, n_known);
}

/* Values of cells, in the order of cell_values(). */
enum { CELL_VALUES = 5 };
static const char *const cell_fields[CELL_VALUES] = {"lambda", "loss", "cg_iterations", "jittered",
                                                     "unconverged"};

static SEXP cell_values(const score_model *m, int what) {
  SEXP out = PROTECT(Rf_allocVector(REALSXP, m->n_cells));
  for (int c = 0; c < m->n_cells; c++) {
    const score_cell *cell = &m->cell[c];
    const double value[] = {cell->lambda, cell->loss, cell->cg_iterations, cell->jittered,
                            cell->unconverged};
    REAL(out)[c] = value[what];
  }
  UNPROTECT(1);
  return out;
}

/* Negative eigenvalues of the posterior covariances of the rows of each domain. */
static SEXP floored_by_domain(const estep_state *e) {
  if (!e->model->kind->full)
    return R_NilValue;
  int domains = e->rows.n_domains;
  SEXP out = Rf_allocVector(INTSXP, domains);
  memset(INTEGER(out), 0, (size_t)domains * sizeof(int));
  for (int k = 0; k < e->score->shards.n_shards; k++)
    for (int at = 0; at < domains; at++)
      INTEGER(out)[at] += e->task[k].floored[at];
  return out;
}

/* Copies fitted coefficients into a score model and marks the cells that have them. */
static void load_theta(score_model *m, SEXP theta) {
  if (!Rf_isNewList(theta) || Rf_length(theta) != m->d)
    Rf_error("internal error: one list of coefficients a node is needed");
  for (int c = 0; c < m->n_cells; c++) {
    int state = graph_state(&m->graph, c), j = graph_node(&m->graph, c);
    SEXP node = VECTOR_ELT(theta, j);
    if (!Rf_isNewList(node) || Rf_length(node) != m->graph.n_states)
      Rf_error("internal error: node %d has another number of states", j + 1);
    SEXP value = VECTOR_ELT(node, state);
    if (m->cell[c].n_rows == 0)
      continue;
    size_t n_coef = cell_coefficients(&m->cell[c]);
    if (!Rf_isReal(value) || (size_t)XLENGTH(value) != n_coef)
      Rf_error("internal error: node %d has no coefficients for state %d", j + 1, state);
    memcpy(m->cell[c].theta, REAL(value), n_coef * sizeof(double));
  }
}

/* The trace, a matrix of max_iter rows with the names of its columns. */
static double *trace_into(SEXP out, int max_iter) {
  double *value = put_matrix(out, "trace", (size_t)max_iter, TRACE_COLUMNS);
  name_columns(list_element(out, "trace"), em_trace_columns, TRACE_COLUMNS, "");
  return value;
}

/* Goes on from an earlier fit: its trace, the move of its last E-step, and coefficients, which
 * conjugate gradients start from, and smoothing. */
static void resume(em_state *em, SEXP earlier) {
  em->change_latents = NA_REAL;
  if (Rf_isNull(earlier))
    return;
  SEXP trace = list_element(earlier, "trace");
  size_t done = (size_t)Rf_nrows(trace), most = (size_t)em->trace.max_iter;
  if (!Rf_isReal(trace) || Rf_ncols(trace) != TRACE_COLUMNS || done > most)
    Rf_error("internal error: not the trace of an earlier fit");
  for (size_t k = 0; k < TRACE_COLUMNS; k++)
    memcpy(em->trace.value + k * most, REAL(trace) + k * done, done * sizeof(double));
  em->trace.iterations = (int)done;
  em->change_latents = list_number(earlier, "change_latents");
  em->e.eta = list_number(earlier, "eta");
  const double *lambda = list_doubles(earlier, "lambda", (size_t)em->e.score->n_cells);
  for (int c = 0; c < em->e.score->n_cells; c++)
    em->e.score->cell[c].lambda = lambda[c];
  load_theta(em->e.score, list_element(earlier, "theta"));
}

static SEXP em_counts(const em_state *em) {
  const estep_state *e = &em->e;
  const char *names[] = {"variance_floored", "outside_range", "sigma2_floored",    "rank_deficient",
                         "steps_rejected",   "scale_floored", "reference_floored", ""};
  const double count[] = {(double)e->sums.floored,
                          (double)e->sums.outside,
                          e->model->noise.floored,
                          e->model->rank_deficient,
                          em->point.rejected,
                          e->model->scale_floored,
                          e->reference ? e->reference->floored : 0};
  SEXP out = Rf_mkNamed(REALSXP, names);
  memcpy(REAL(out), count, sizeof count);
  return out;
}

static void put_results(SEXP out, const em_state *em, int status) {
  const estep_state *e = &em->e;
  size_t d = (size_t)e->rows.d;
  put_status(out, status);
  put(out, "reference", reference_list(e->reference));
  put(out, "floored", floored_by_domain(e));
  put_number(out, "explained", em->explained);
  put_number(out, "sigma2", e->model->noise.value);
  memcpy(put_matrix(out, "range", 2, d), e->score->range, 2 * d * sizeof(double));
  put(out, "theta", theta_list(e->score));
  put_int(out, "iterations", em->trace.iterations);
  put(out, "converged", Rf_ScalarLogical(em->converged));
  put_number(out, "change_latents", em->change_latents);
  em_point_last_step(&em->point, e->p, e->rows.d, put_matrix(out, "turn", d, d),
                     put_matrix(out, "growth", d, 1));
  put_number(out, "eta", e->eta);
  for (int what = 0; what < CELL_VALUES; what++)
    put(out, cell_fields[what], cell_values(e->score, what));
  put(out, "counts", em_counts(em));
}

SEXP em_fit(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP init, SEXP control,
            SEXP progress) {
  const char *fields[] = {
      "latents",        "latents_sd", "orthonormal",   "scale",      "sigma2",
      "range",          "theta",      "trace",         "iterations", "converged",
      "change_latents", "turn",       "growth",        "counts",     "eta",
      "lambda",         "loss",       "cg_iterations", "jittered",   "unconverged",
      "status",         "reference",  "floored",       "explained",  ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  em_state em = {.e = estep_from(x, env, targets, parents, omega, init, control,
                                 list_string(control, "mixing")),
                 .set = em_settings_from(control, progress),
                 .trace = {.max_iter = list_count(control, "max_iter", 0),
                           .tol = list_number(control, "tol")}};
  estep_state *e = &em.e;
  size_t n = e->rows.n, d = (size_t)e->rows.d;
  e->model->noise.learned = list_int(control, "learn_sigma2");
  if (em.set.signs && Rf_length(list_element(control, "signs")) != e->rows.d)
    Rf_error("internal error: signs must hold one integer a latent");
  e->out.latents = put_matrix(out, "latents", n, d);
  e->out.sd = put_matrix(out, "latents_sd", n, d);
  e->model->orthonormal = put_copy(out, "orthonormal", list_element(init, "orthonormal"));
  e->model->scale = put_copy(out, "scale", list_element(init, "scale"));
  e->y = (double *)r_allocator(n * d, sizeof(double));
  e->rows.y = e->y;
  e->reference = reference_from(e, list_element(control, "reference"), 0);
  em.smoothing = smoothing_from(&e->rows, control);
  em.trace.value = trace_into(out, em.trace.max_iter);
  resume(&em, list_element(init, "resume"));

  int status = em_prepare(&em, r_allocator);
  if (status == STATUS_OK)
    status = em_run(&em);

  put_results(out, &em, status);
  UNPROTECT(1);
  return out;
}

static double *copy_of(const double *from, size_t length) {
  double *to = (double *)r_allocator(length, sizeof(double));
  memcpy(to, from, length * sizeof(double));
  return to;
}

/* The E-step of a fitted model for given rows. */
SEXP estep(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP model, SEXP control) {
  const char *fields[] = {"y",       "score",      "dscore", "latents", "latents_sd",
                          "floored", "divergence", "status", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  SEXP omega = PROTECT(unit_weights(Rf_nrows(targets)));
  estep_state e = estep_from(x, env, targets, parents, omega, model, control, "fixed");
  size_t n = e.rows.n, d = (size_t)e.rows.d;
  load_theta(e.score, list_element(model, "theta"));
  e.y = put_matrix(out, "y", n, d);
  e.out.score = put_matrix(out, "score", n, d);
  e.out.dscore = put_matrix(out, "dscore", n, d);
  e.out.latents = put_matrix(out, "latents", n, d);
  e.out.sd = put_matrix(out, "latents_sd", n, d);
  put(out, "divergence", Rf_allocVector(REALSXP, (R_xlen_t)n));
  e.out.divergence = REAL(list_element(out, "divergence"));
  e.model->scale = copy_of(e.model->scale, measurement_second_size(e.model));
  estep_prepare(&e, r_allocator);
  if (e.model->kind->refresh(e.model) != STATUS_OK)
    Rf_error("internal error: the scale matrix has no eigenvalues");

  estep_project(&e);
  int status = use_reference(&e, list_element(model, "reference"));
  if (status == STATUS_OK)
    estep_moments(&e, 1);

  put_status(out, status);
  put_number(out, "floored", (double)e.sums.floored);
  UNPROTECT(2);
  return out;
}
