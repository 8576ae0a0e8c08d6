#include "r_util.h"

#include "entries.h"

#include <string.h>
#include <time.h>

SEXP list_element(SEXP list, const char *name) {
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  for (int i = 0; i < Rf_length(names); i++)
    if (strcmp(CHAR(STRING_ELT(names, i)), name) == 0)
      return VECTOR_ELT(list, i);
  Rf_error("internal error: the list passed to C has no element '%s'", name);
  return R_NilValue;
}

SEXP optional_element(SEXP list, const char *name) {
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  for (int i = 0; i < Rf_length(names); i++)
    if (strcmp(CHAR(STRING_ELT(names, i)), name) == 0)
      return VECTOR_ELT(list, i);
  return R_NilValue;
}

double list_number(SEXP list, const char *name) {
  return Rf_asReal(list_element(list, name));
}

int list_int(SEXP list, const char *name) {
  return Rf_asInteger(list_element(list, name));
}

int list_threads(SEXP list) {
  return threads_usable(list_count(list, "threads", 1));
}

int list_choice(SEXP list, const char *name, int n) {
  int value = list_int(list, name);
  if (value < 0 || value >= n)
    Rf_error("internal error: '%s' is none of its choices", name);
  return value;
}

int list_count(SEXP list, const char *name, int min) {
  int value = list_int(list, name); /* NA is the smallest integer */
  if (value < min)
    Rf_error("internal error: '%s' is below %d", name, min);
  return value;
}

double *list_doubles(SEXP list, const char *name, size_t length) {
  SEXP value = list_element(list, name);
  if (!Rf_isReal(value) || (size_t)XLENGTH(value) != length)
    Rf_error("internal error: '%s' is not as many doubles as it should be", name);
  return REAL(value);
}

int *list_integers(SEXP list, const char *name, size_t length) {
  SEXP value = list_element(list, name);
  if (!Rf_isInteger(value) || (size_t)XLENGTH(value) != length)
    Rf_error("internal error: '%s' is not as many integers as it should be", name);
  return INTEGER(value);
}

const char *list_string(SEXP list, const char *name) {
  SEXP value = list_element(list, name);
  if (!Rf_isString(value) || Rf_length(value) != 1)
    Rf_error("internal error: '%s' is not a string", name);
  return CHAR(STRING_ELT(value, 0));
}

int list_is(SEXP list, const char *name, const char *value) {
  return strcmp(list_string(list, name), value) == 0;
}

int list_named(SEXP list, const char *name, const char *const *choices) {
  const char *value = list_string(list, name);
  for (int k = 0; choices[k]; k++)
    if (strcmp(value, choices[k]) == 0)
      return k;
  Rf_error("internal error: '%s' cannot be '%s'", name, value);
  return -1;
}

void put(SEXP list, const char *name, SEXP value) {
  PROTECT(value);
  SEXP names = Rf_getAttrib(list, R_NamesSymbol);
  int at = 0;
  while (at < Rf_length(names) && strcmp(CHAR(STRING_ELT(names, at)), name) != 0)
    at++;
  if (at == Rf_length(names))
    Rf_error("internal error: results have no element '%s'", name);
  SET_VECTOR_ELT(list, at, value);
  UNPROTECT(1);
}

void put_number(SEXP list, const char *name, double value) {
  put(list, name, Rf_ScalarReal(value));
}

void put_int(SEXP list, const char *name, int value) {
  put(list, name, Rf_ScalarInteger(value));
}

void put_status(SEXP list, int status) {
  put(list, "status", Rf_mkString(workspace_status(status)));
}

double *put_matrix(SEXP list, const char *name, size_t rows, size_t cols) {
  SEXP value = PROTECT(Rf_allocMatrix(REALSXP, (int)rows, (int)cols));
  put(list, name, value);
  UNPROTECT(1);
  memset(REAL(value), 0, rows * cols * sizeof(double));
  return REAL(value);
}

double *put_copy(SEXP list, const char *name, SEXP value) {
  SEXP copy = PROTECT(Rf_duplicate(value));
  put(list, name, copy);
  UNPROTECT(1);
  return REAL(copy);
}

static double allocated = 0;

void *r_allocator(size_t count, size_t size) {
  size_t bytes = (count > 0 ? count : 1) * size; /* NULL is nothing to hand to memset */
  allocated += (double)bytes;
  return R_alloc(bytes, 1);
}

/* Bytes that r_allocator() has handed out since this was called last: the tests hold what kernels
 * say that they take against it. */
SEXP allocated_bytes(void) {
  SEXP out = Rf_ScalarReal(allocated);
  allocated = 0;
  return out;
}

/* Processor seconds between two calls of the heartbeat. */
#define BEAT_SECONDS 0.1

static SEXP heartbeat = NULL; /* the function that shows progress at present, or NULL */
static clock_t last_beat = 0;

/* f: a function of the number of steps done since it was called last, or NULL. Returns the one
 * before, to be put back. */
SEXP set_heartbeat(SEXP f) {
  SEXP before = PROTECT(heartbeat ? heartbeat : R_NilValue);
  heartbeat = Rf_isFunction(f) ? f : NULL;
  if (heartbeat)
    R_PreserveObject(heartbeat);
  if (Rf_isFunction(before))
    R_ReleaseObject(before);
  UNPROTECT(1);
  return before;
}

static void beat(int steps) {
  SEXP done = PROTECT(Rf_ScalarInteger(steps)), call = PROTECT(Rf_lang2(heartbeat, done));
  Rf_eval(call, R_GlobalEnv);
  UNPROTECT(2);
}

void poll_user(void) {
  R_CheckUserInterrupt();
  if (heartbeat && clock() - last_beat > BEAT_SECONDS * CLOCKS_PER_SEC) {
    last_beat = clock();
    beat(0);
  }
}

void step_done(void) {
  R_CheckUserInterrupt();
  if (heartbeat)
    beat(1);
}

void progress_tick(int iteration, double change, void *ctx) {
  SEXP progress = (SEXP)ctx;
  R_CheckUserInterrupt();
  if (Rf_isFunction(progress)) {
    SEXP at = PROTECT(Rf_ScalarInteger(iteration)), moved = PROTECT(Rf_ScalarReal(change));
    SEXP call = PROTECT(Rf_lang3(progress, at, moved));
    Rf_eval(call, R_GlobalEnv);
    UNPROTECT(3);
  }
}

void assert_double_matrix(SEXP x, const char *name) {
  if (!Rf_isReal(x) || !Rf_isMatrix(x))
    Rf_error("internal error: '%s' is not a double matrix", name);
}

void assert_codes(SEXP env, int n_domains) {
  if (!Rf_isInteger(env))
    Rf_error("internal error: domain codes are not integers");
  const int *code = INTEGER(env);
  for (R_xlen_t i = 0; i < XLENGTH(env); i++)
    if (code[i] < 1 || code[i] > n_domains)
      Rf_error("internal error: domain code out of range in row %g", (double)i + 1);
}

SEXP unit_weights(int n_domains) {
  SEXP omega = Rf_allocVector(REALSXP, n_domains);
  for (int e = 0; e < n_domains; e++)
    REAL(omega)[e] = 1;
  return omega;
}

void name_columns(SEXP matrix, const char *const *names, int n, const char *others) {
  SEXP both = PROTECT(Rf_allocVector(VECSXP, 2));
  SEXP columns = Rf_allocVector(STRSXP, Rf_ncols(matrix));
  SET_VECTOR_ELT(both, 1, columns);
  for (int k = 0; k < Rf_ncols(matrix); k++)
    SET_STRING_ELT(columns, k, Rf_mkChar(k < n ? names[k] : others));
  Rf_setAttrib(matrix, R_DimNamesSymbol, both);
  UNPROTECT(1);
}

latent_sample sample_from(SEXP env, SEXP targets, SEXP omega) {
  if (!Rf_isInteger(targets) || !Rf_isMatrix(targets) || !Rf_isReal(omega) ||
      Rf_length(omega) != Rf_nrows(targets))
    Rf_error("internal error: targets or omega has the wrong type or length");
  int n_domains = Rf_nrows(targets);
  assert_codes(env, n_domains);
  for (R_xlen_t i = 0; i < XLENGTH(targets); i++)
    if (INTEGER(targets)[i] < 0 || INTEGER(targets)[i] >= N_STATES)
      Rf_error("internal error: targets are not below %d", (int)N_STATES);
  latent_sample s = {.n = (size_t)XLENGTH(env),
                     .d = Rf_ncols(targets),
                     .n_domains = n_domains,
                     .n_states = N_STATES,
                     .env = INTEGER(env),
                     .targets = INTEGER(targets),
                     .omega = REAL(omega)};
  return s;
}

/* Names of the enums' values, in their order. */
static const char *const interactions[] = {"tensor", "pairwise", "additive", NULL};
static const char *const penalties[] = {"ridge", "difference", NULL};
static const char *const solvers[] = {"auto", "cholesky", "cg", NULL};

measurement *measurement_from(SEXP model, const char *mixing, int p, int d) {
  int general = Rf_isMatrix(list_element(model, "scale")); /* A held may have any columns */
  size_t square = (size_t)d * (size_t)d;
  int held = strcmp(mixing, "fixed") == 0;
  const measurement_kind *kind = measurement_kind_named(held && general ? "fixed_general" : mixing);
  if (!kind || !kind->moments || kind->full != general)
    Rf_error("internal error: mixing '%s' does not go with this scale", mixing);
  measurement *m = (measurement *)r_allocator(1, sizeof *m);
  *m = measurement_new(kind, p, d, r_allocator);
  m->orthonormal = list_doubles(model, "orthonormal", (size_t)p * (size_t)d);
  m->scale = list_doubles(model, "scale", general ? square : (size_t)d);
  m->noise.value = list_number(model, "sigma2");
  return m;
}

measurement *plain_measurement_from(double *mixing, double sigma2, SEXP control, int p, int d) {
  const measurement_kind *kind = measurement_kind_named(list_string(control, "mixing"));
  if (!kind || kind->moments)
    Rf_error("internal error: mixing '%s' is none of g-modeling", list_string(control, "mixing"));
  measurement *m = (measurement *)r_allocator(1, sizeof *m);
  *m = measurement_new(kind, p, d, r_allocator);
  m->mixing = mixing;
  m->noise.value = sigma2;
  m->noise.learned = list_int(control, "learn_sigma2");
  return m;
}

score_settings score_settings_from(SEXP control) {
  score_settings set = {
      .kind = score_class_named(list_string(control, "score")),
      .interaction = (interaction_kind)list_named(control, "interaction", interactions),
      .knots = list_count(control, "knots", 2),
      .penalty_kind = (penalty_kind)list_named(control, "penalty", penalties),
      .lambda = list_number(control, "lambda"),
      .solver = (solver_kind)list_named(control, "solver", solvers),
      .cg_tol = list_number(control, "cg_tol"),
      .cg_max_iter = list_count(control, "cg_max_iter", 0),
      .cross_validate = list_int(control, "choose_lambda") || list_int(control, "choose_eta"),
      .threads = list_threads(control),
      .poll = poll_user};
  if (!set.kind)
    Rf_error("internal error: there is no such score");
  return set;
}

const char *const state_names[N_STATES] = {"state0", "state1"};

causal_graph graph_from(SEXP parents, int d, int perfect) {
  const int cut[N_STATES] = {0, perfect};
  if (!Rf_isNewList(parents) || Rf_length(parents) != d)
    Rf_error("internal error: one vector of parents a latent is needed");
  const int **families = (const int **)R_alloc((size_t)d, sizeof(int *));
  int *size = (int *)R_alloc((size_t)d, sizeof(int));
  for (int j = 0; j < d; j++) {
    SEXP pa = VECTOR_ELT(parents, j);
    if (!Rf_isInteger(pa))
      Rf_error("internal error: parents are not integers");
    size[j] = 1 + Rf_length(pa);
    if (size[j] > MAX_FAMILY)
      Rf_error("internal error: a family has more than %d coordinates", (int)MAX_FAMILY);
    int *own = (int *)R_alloc((size_t)size[j], sizeof(int));
    own[0] = j;
    for (int k = 1; k < size[j]; k++) {
      own[k] = INTEGER(pa)[k - 1] - 1;
      if (own[k] < 0 || own[k] >= d || own[k] == j)
        Rf_error("internal error: a parent is no other latent");
    }
    families[j] = own;
  }
  return graph_new(families, size, d, cut, N_STATES, r_allocator);
}

typedef score_model *(*model_maker)(const latent_sample *, const causal_graph *, const double *,
                                    const score_settings *, allocator);

static score_model *make_model(model_maker make, const latent_sample *s, SEXP parents,
                               SEXP control) {
  causal_graph graph = graph_from(parents, s->d, list_int(control, "perfect"));
  int given = !Rf_isNull(list_element(control, "range"));
  const double *range = given ? list_doubles(control, "range", 2 * (size_t)s->d) : NULL;
  score_settings set = score_settings_from(control);
  for (int j = 0; j < s->d; j++)
    if (term_size(set.interaction, 1 + graph_parents(&graph, j)) > MAX_COORD)
      Rf_error("internal error: a term has more than %d coordinates", (int)MAX_COORD);
  return make(s, &graph, range, &set, r_allocator);
}

score_model *score_plan_from(const latent_sample *s, SEXP parents, SEXP control) {
  return make_model(score_model_plan, s, parents, control);
}

score_model *score_model_from(const latent_sample *s, SEXP parents, SEXP control) {
  return make_model(score_model_new, s, parents, control);
}

smoothing *smoothing_from(const latent_sample *s, SEXP control) {
  int lambda = list_int(control, "choose_lambda"), eta = list_int(control, "choose_eta");
  uint64_t seed = (uint64_t)list_number(control, "seed");
  return lambda || eta ? smoothing_new(s, lambda, eta, seed, r_allocator) : NULL;
}

SEXP theta_list(const score_model *m) {
  const char *states[N_STATES + 1];
  for (int c = 0; c < N_STATES; c++)
    states[c] = state_names[c];
  states[N_STATES] = "";
  SEXP out = PROTECT(Rf_allocVector(VECSXP, m->d));
  for (int j = 0; j < m->d; j++) {
    SEXP node = Rf_mkNamed(VECSXP, states);
    SET_VECTOR_ELT(out, j, node);
    for (int c = 0; c < N_STATES; c++) {
      const score_cell *cell = &m->cell[graph_cell(&m->graph, j, c)];
      if (cell->solver == SOLVER_NONE)
        continue;
      size_t n_coef = cell_coefficients(cell);
      SEXP theta = Rf_allocVector(REALSXP, (R_xlen_t)n_coef);
      SET_VECTOR_ELT(node, c, theta);
      memcpy(REAL(theta), cell->theta, n_coef * sizeof(double));
    }
  }
  UNPROTECT(1);
  return out;
}

SEXP floor_counts(double noise_floored, const measurement *m) {
  const char *names[] = {"noise_floored", "sigma2_floored", "rank_deficient", ""};
  SEXP out = Rf_mkNamed(REALSXP, names);
  REAL(out)[0] = noise_floored;
  REAL(out)[1] = m->noise.floored;
  REAL(out)[2] = m->rank_deficient;
  return out;
}

/* What the kernels have room for: coordinates of a tensor-product spline, and of a family. */
SEXP core_limits(void) {
  const char *names[] = {"coordinates", "family", "states", ""};
  SEXP out = PROTECT(Rf_mkNamed(INTSXP, names));
  INTEGER(out)[0] = MAX_COORD;
  INTEGER(out)[1] = MAX_FAMILY;
  INTEGER(out)[2] = N_STATES;
  UNPROTECT(1);
  return out;
}
