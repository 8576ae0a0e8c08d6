/* Glue for the fit: checks types, unpacks, allocates, calls, packs. */
#include "em.h"
#include "entries.h"
#include "r_util.h"

#include <string.h>

/* Per cell (2 d: states 0 and 1 of each node in turn): rows, coefficients, solver; and the bytes a
 * fit needs beside x. */
SEXP fit_plan(SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP n_features, SEXP control) {
  latent_sample s = sample_from(env, targets, omega);
  const char *fields[] = {"rows", "coefficients", "solver", "bytes", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  SEXP rows = Rf_allocVector(REALSXP, 2 * s.d);
  SET_VECTOR_ELT(out, 0, rows);
  SEXP coefficients = Rf_allocVector(REALSXP, 2 * s.d);
  SET_VECTOR_ELT(out, 1, coefficients);
  SEXP solver = Rf_allocVector(INTSXP, 2 * s.d);
  SET_VECTOR_ELT(out, 2, solver);
  const score_model *m = score_plan_from(&s, parents, control);
  for (int c = 0; c < 2 * s.d; c++) {
    REAL(rows)[c] = (double)m->cell[c].n_rows;
    REAL(coefficients)[c] = (double)cell_coefficients(&m->cell[c]);
    INTEGER(solver)[c] = (int)m->cell[c].solver;
  }
  /* not mixing_from(): a plan may be asked for before "auto" is resolved */
  int correlated = list_is(control, "mixing", "psd") || list_is(control, "mixing", "fixed");
  double n = (double)s.n, d = s.d;
  double bytes = m->bytes + em_work_bytes(n, Rf_asReal(n_features), d, correlated) +
                 (3 * n * d + list_number(control, "max_iter") * TRACE_COLUMNS) * sizeof(double);
  if (list_int(control, "gaussian"))
    bytes += reference_doubles(n, d, s.n_domains) * sizeof(double);
  if (m->set.cross_validate)
    bytes += smoothing_bytes(n, d, s.n_domains);
  SET_VECTOR_ELT(out, 3, Rf_ScalarReal(bytes));
  UNPROTECT(1);
  return out;
}

/* NULL: none are turned. */
static const int *signs_from(SEXP control) {
  SEXP signs = list_element(control, "signs");
  return Rf_isNull(signs) ? NULL : INTEGER(signs);
}

static em_settings em_settings_from(SEXP control, SEXP progress) {
  em_settings set = {.mixing = mixing_from(control),
                     .learn_sigma2 = list_int(control, "learn_sigma2"),
                     .eta = list_number(control, "eta"),
                     .tol = list_number(control, "tol"),
                     .max_iter = list_count(control, "max_iter", 0),
                     .accelerate = list_int(control, "acceleration"),
                     .signs = signs_from(control),
                     .tick = progress_tick,
                     .ctx = progress};
  return set;
}

static em_fit_state em_state_from(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega,
                                  SEXP model, SEXP control, SEXP progress) {
  assert_double_matrix(x, "x");
  em_fit_state em = {.x = REAL(x),
                     .p = Rf_ncols(x),
                     .sample = sample_from(env, targets, omega),
                     .set = em_settings_from(control, progress),
                     .sigma2 = list_number(model, "sigma2")};
  if ((size_t)Rf_nrows(x) != em.sample.n)
    Rf_error("internal error: x and env have different numbers of rows");
  if (em.set.signs && Rf_length(list_element(control, "signs")) != em.sample.d)
    Rf_error("internal error: signs must hold one integer a latent");
  em.score = score_model_from(&em.sample, parents, control);
  size_t d = (size_t)em.sample.d;
  int general = Rf_isMatrix(list_element(model, "scale"));
  list_doubles(model, "orthonormal", (size_t)em.p * d);
  list_doubles(model, "scale", general ? d * d : d);
  if (general)
    em.psd = psd_model_new(em.p, em.sample.d, r_allocator);
  return em;
}

/* An empty reference for `least` target sets or more. group: that of each domain, from 0; NULL for
 * no reference. */
static gaussian_reference *reference_from(const em_fit_state *em, SEXP group, int least,
                                          SEXP parents) {
  if (Rf_isNull(group))
    return NULL;
  int n_groups = least, most = least + em->sample.n_domains;
  if (!Rf_isInteger(group) || Rf_length(group) != em->sample.n_domains)
    Rf_error("internal error: one group a domain is needed");
  for (int e = 0; e < Rf_length(group); e++)
    if (INTEGER(group)[e] < 0 || INTEGER(group)[e] >= most)
      Rf_error("internal error: a group is out of range");
  for (int e = 0; e < Rf_length(group); e++)
    n_groups = INTEGER(group)[e] >= n_groups ? INTEGER(group)[e] + 1 : n_groups;
  family_coords families = family_coords_from(parents, em->sample.d);
  return reference_new(&em->sample, INTEGER(group), n_groups, families.coord, families.n_coord,
                       em->score->set.perfect, em->score->shards.n_shards, r_allocator);
}

/* The parts of a reference that the fit keeps, in the order of reference_fields. */
enum { REFERENCE_PARTS = 5 };
static const char *reference_fields[] = {"mean",         "precision", "intercept", "variance",
                                         "coefficients", "kappa",     ""};

static void reference_parts(const gaussian_reference *r, double *parts[REFERENCE_PARTS]) {
  double *found[] = {r->mean, r->precision, r->scm.intercept, r->scm.variance, r->scm.coef};
  memcpy(parts, found, sizeof found);
}

static SEXP reference_list(const gaussian_reference *r) {
  if (!r)
    return R_NilValue;
  int d = r->d;
  double *part[REFERENCE_PARTS];
  reference_parts(r, part);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, reference_fields));
  SET_VECTOR_ELT(out, 0, Rf_allocMatrix(REALSXP, d, r->n_groups));
  SET_VECTOR_ELT(out, 1, Rf_alloc3DArray(REALSXP, d, d, r->n_groups));
  SET_VECTOR_ELT(out, 2, Rf_allocMatrix(REALSXP, 2, d));
  SET_VECTOR_ELT(out, 3, Rf_allocMatrix(REALSXP, 2, d));
  SET_VECTOR_ELT(out, 4, Rf_alloc3DArray(REALSXP, d, 2, d));
  for (int k = 0; k < REFERENCE_PARTS; k++) {
    SEXP value = VECTOR_ELT(out, k);
    memcpy(REAL(value), part[k], (size_t)XLENGTH(value) * sizeof(double));
  }
  SET_VECTOR_ELT(out, REFERENCE_PARTS, Rf_ScalarReal(r->kappa));
  UNPROTECT(1);
  return out;
}

/* The reference of a fit (or NULL) for other rows: `fitted` has its parts and the group of each
 * domain, numbers from the fit's number of target sets on standing for sets that it has not seen.
 */
static int use_reference(em_fit_state *em, SEXP fitted, SEXP parents) {
  if (Rf_isNull(fitted))
    return STATUS_OK;
  int n_known = Rf_ncols(list_element(fitted, "mean"));
  em->reference = reference_from(em, list_element(fitted, "group"), n_known, parents);
  double *part[REFERENCE_PARTS];
  reference_parts(em->reference, part);
  size_t d = (size_t)em->sample.d, known = (size_t)n_known;
  const size_t length[REFERENCE_PARTS] = {d * known, d * d * known, 2 * d, 2 * d, 2 * d * d};
  for (int k = 0; k < REFERENCE_PARTS; k++)
    memcpy(part[k], list_doubles(fitted, reference_fields[k], length[k]),
           length[k] * sizeof(double));
  return complete_reference(em, n_known);
}

/* One value a cell. */
static SEXP cell_values(const score_model *m, int what) {
  SEXP out = PROTECT(Rf_allocVector(REALSXP, 2 * m->d));
  for (int c = 0; c < 2 * m->d; c++) {
    const score_cell *cell = &m->cell[c];
    const double value[] = {cell->lambda, cell->loss, cell->cg_iterations, cell->jittered,
                            cell->unconverged};
    REAL(out)[c] = value[what];
  }
  UNPROTECT(1);
  return out;
}

/* Negative eigenvalues of the posterior covariances of the rows of each domain. */
static SEXP floored_by_domain(const em_fit_state *em) {
  if (!em->psd)
    return R_NilValue;
  int domains = em->sample.n_domains;
  SEXP out = Rf_allocVector(INTSXP, domains);
  memset(INTEGER(out), 0, (size_t)domains * sizeof(int));
  for (int k = 0; k < em->score->shards.n_shards; k++)
    for (int e = 0; e < domains; e++)
      INTEGER(out)[e] += em->psd_floored[k * domains + e];
  return out;
}

enum {
  FIT_LATENTS,
  FIT_SD,
  FIT_ORTHONORMAL,
  FIT_SCALE,
  FIT_SIGMA2,
  FIT_RANGE,
  FIT_THETA,
  FIT_TRACE,
  FIT_ITERATIONS,
  FIT_CONVERGED,
  FIT_CHANGE_LATENTS,
  FIT_TURN,
  FIT_GROWTH,
  FIT_COUNTS,
  FIT_ETA,
  FIT_LAMBDA,
  FIT_LOSS,
  FIT_CG_ITERATIONS,
  FIT_JITTERED,
  FIT_UNCONVERGED,
  FIT_STATUS,
  FIT_REFERENCE,
  FIT_FLOORED,
  FIT_EXPLAINED
};
static const char *fit_fields[] = {
    "latents",        "latents_sd", "orthonormal",   "scale",      "sigma2",
    "range",          "theta",      "trace",         "iterations", "converged",
    "change_latents", "turn",       "growth",        "counts",     "eta",
    "lambda",         "loss",       "cg_iterations", "jittered",   "unconverged",
    "status",         "reference",  "floored",       "explained",  ""};

/* Copies fitted coefficients into a score model and marks the cells that have them. */
static void load_theta(score_model *m, SEXP theta) {
  if (!Rf_isNewList(theta) || Rf_length(theta) != m->d)
    Rf_error("internal error: one list of coefficients a node is needed");
  for (int c = 0; c < 2 * m->d; c++) {
    SEXP node = VECTOR_ELT(theta, c / 2);
    if (!Rf_isNewList(node) || Rf_length(node) != 2)
      Rf_error("internal error: node %d has no two states", c / 2 + 1);
    SEXP value = VECTOR_ELT(node, c % 2);
    if (m->cell[c].n_rows == 0)
      continue;
    size_t n_coef = cell_coefficients(&m->cell[c]);
    if (!Rf_isReal(value) || (size_t)XLENGTH(value) != n_coef)
      Rf_error("internal error: node %d has no coefficients for state %d", c / 2 + 1, c % 2);
    memcpy(m->cell[c].theta, REAL(value), n_coef * sizeof(double));
  }
}

/* Goes on from an earlier fit: its trace, the move of its last E-step, and coefficients, which
 * conjugate gradients start from, and smoothing. */
static void resume(em_fit_state *em, SEXP earlier) {
  em->change_latents = NA_REAL;
  if (Rf_isNull(earlier))
    return;
  SEXP trace = list_element(earlier, "trace");
  size_t done = (size_t)Rf_nrows(trace);
  if (!Rf_isReal(trace) || Rf_ncols(trace) != TRACE_COLUMNS || done > (size_t)em->set.max_iter)
    Rf_error("internal error: not the trace of an earlier fit");
  for (int k = 0; k < TRACE_COLUMNS; k++)
    memcpy(em->trace + (size_t)k * (size_t)em->set.max_iter, REAL(trace) + (size_t)k * done,
           done * sizeof(double));
  em->iterations = (int)done;
  em->change_latents = list_number(earlier, "change_latents");
  em->set.eta = list_number(earlier, "eta");
  const double *lambda = list_doubles(earlier, "lambda", 2 * (size_t)em->sample.d);
  for (int c = 0; c < 2 * em->sample.d; c++)
    em->score->cell[c].lambda = lambda[c];
  load_theta(em->score, list_element(earlier, "theta"));
}

SEXP em_fit(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP init, SEXP control,
            SEXP progress) {
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fit_fields));
  em_fit_state em = em_state_from(x, env, targets, parents, omega, init, control, progress);
  size_t n = em.sample.n, d = (size_t)em.sample.d;
  em.out.latents = new_numbers(out, FIT_LATENTS, n, d);
  em.out.sd = new_numbers(out, FIT_SD, n, d);
  em.orthonormal = own_copy(out, FIT_ORTHONORMAL, list_element(init, "orthonormal"));
  em.scale = own_copy(out, FIT_SCALE, list_element(init, "scale"));
  em.trace = new_numbers(out, FIT_TRACE, (size_t)em.set.max_iter, TRACE_COLUMNS);
  em.y = (double *)R_alloc(n * d, sizeof(double));
  em.sample.y = em.y;
  em.smoothing = smoothing_from(&em.sample, control);
  em.reference = reference_from(&em, list_element(control, "reference"), 0, parents);
  em.sample.reference = em.reference ? em.reference->score : NULL;
  resume(&em, list_element(init, "resume"));

  int status = em_prepare(&em, r_allocator);
  if (status == STATUS_OK)
    status = em_run(&em);

  SET_VECTOR_ELT(out, FIT_STATUS, Rf_ScalarInteger(status));
  SET_VECTOR_ELT(out, FIT_REFERENCE, reference_list(em.reference));
  SET_VECTOR_ELT(out, FIT_FLOORED, floored_by_domain(&em));
  SET_VECTOR_ELT(out, FIT_EXPLAINED, Rf_ScalarReal(em.explained));
  SET_VECTOR_ELT(out, FIT_SIGMA2, Rf_ScalarReal(em.sigma2));
  memcpy(new_numbers(out, FIT_RANGE, 2, d), em.score->range, 2 * d * sizeof(double));
  SET_VECTOR_ELT(out, FIT_THETA, theta_list(em.score));
  SET_VECTOR_ELT(out, FIT_ITERATIONS, Rf_ScalarInteger(em.iterations));
  SET_VECTOR_ELT(out, FIT_CONVERGED, Rf_ScalarLogical(em.converged));
  SET_VECTOR_ELT(out, FIT_CHANGE_LATENTS, Rf_ScalarReal(em.change_latents));
  em_last_step(&em, new_numbers(out, FIT_TURN, d, d), new_numbers(out, FIT_GROWTH, d, 1));
  SET_VECTOR_ELT(out, FIT_ETA, Rf_ScalarReal(em.set.eta));
  for (int what = 0; what < 5; what++)
    SET_VECTOR_ELT(out, FIT_LAMBDA + what, cell_values(em.score, what));
  const char *counts[] = {
      "variance_floored", "outside_range", "sigma2_floored",    "rank_deficient",
      "steps_rejected",   "scale_floored", "reference_floored", ""};
  const double count[] = {(double)em.sums.floored,
                          (double)em.sums.outside,
                          em.sigma2_floored,
                          em.rank_deficient,
                          em.rejected,
                          em.scale_floored,
                          em.reference ? em.reference->floored : 0};
  SEXP counted = Rf_mkNamed(REALSXP, counts);
  SET_VECTOR_ELT(out, FIT_COUNTS, counted);
  memcpy(REAL(counted), count, sizeof count);
  UNPROTECT(1);
  return out;
}

SEXP estep(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP model, SEXP control) {
  const char *fields[] = {"y",       "score",      "dscore", "latents", "latents_sd",
                          "floored", "divergence", "status", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  SEXP omega = PROTECT(Rf_allocVector(REALSXP, Rf_nrows(targets)));
  for (int e = 0; e < Rf_nrows(targets); e++)
    REAL(omega)[e] = 1;
  em_fit_state em = em_state_from(x, env, targets, parents, omega, model, control, R_NilValue);
  size_t n = em.sample.n, d = (size_t)em.sample.d;
  load_theta(em.score, list_element(model, "theta"));
  em.orthonormal = REAL(list_element(model, "orthonormal"));
  em.scale = REAL(list_element(model, "scale"));
  em.y = new_numbers(out, 0, n, d);
  em.out.score = new_numbers(out, 1, n, d);
  em.out.dscore = new_numbers(out, 2, n, d);
  em.out.latents = new_numbers(out, 3, n, d);
  em.out.sd = new_numbers(out, 4, n, d);
  SET_VECTOR_ELT(out, 6, Rf_allocVector(REALSXP, (R_xlen_t)n));
  em.out.divergence = REAL(VECTOR_ELT(out, 6));
  em.sample.y = em.y;
  if (em_prepare(&em, r_allocator) != STATUS_OK)
    Rf_error("internal error: the scale matrix has no eigenvalues");

  pseudo_latents(&em);
  int status = use_reference(&em, list_element(model, "reference"), parents);
  if (status == STATUS_OK)
    posterior_pass(&em, 1);

  SET_VECTOR_ELT(out, 7, Rf_ScalarInteger(status));
  SET_VECTOR_ELT(out, 5, Rf_ScalarReal((double)em.sums.floored));
  UNPROTECT(2);
  return out;
}
