/* Glue: the structural causal model, its Bayes optimum, random numbers. */
#include "entries.h"
#include "posterior.h"
#include "r_util.h"
#include "rng.h"
#include "scm.h"

#include <math.h>
#include <string.h>

/* Points drawn between two looks for a user interrupt. */
#define POINTS_BETWEEN_INTERRUPTS ((size_t)1 << 22)

/* Element `name` of the model list, of the given type and length. */
static SEXP typed_element(SEXP list, const char *name, SEXPTYPE type, R_xlen_t length) {
  SEXP value = list_element(list, name);
  if ((SEXPTYPE)TYPEOF(value) != type || XLENGTH(value) != length)
    Rf_error("internal error: element '%s' of the model has the wrong type or length", name);
  return value;
}

static enum scm_kind kind_of(SEXP nonlinearity) {
  static const char *const label[] = {"linear", "tanh", "bounded", "strong", "printed"};
  if (Rf_isFunction(nonlinearity))
    return SCM_USER;
  if (!Rf_isString(nonlinearity) || XLENGTH(nonlinearity) != 1)
    Rf_error("internal error: nonlinearity must be a label or a function");
  for (int k = 0; k < SCM_USER; k++)
    if (strcmp(CHAR(STRING_ELT(nonlinearity, 0)), label[k]) == 0)
      return (enum scm_kind)k;
  Rf_error("internal error: unknown nonlinearity '%s'", CHAR(STRING_ELT(nonlinearity, 0)));
}

/* g(z) by the user's R function: context is the function. */
static void call_r_function(void *context, const double *z, size_t n, double *g) {
  SEXP argument = PROTECT(Rf_allocVector(REALSXP, (R_xlen_t)n));
  memcpy(REAL(argument), z, n * sizeof(double));
  SEXP call = PROTECT(Rf_lang2((SEXP)context, argument));
  SEXP value = PROTECT(Rf_coerceVector(Rf_eval(call, R_GlobalEnv), REALSXP));
  if (XLENGTH(value) != (R_xlen_t)n)
    Rf_error("the nonlinearity returned %g values for %g points", (double)XLENGTH(value),
             (double)n);
  memcpy(g, REAL(value), n * sizeof(double));
  UNPROTECT(3);
}

static struct scm_spec unpack_scm(SEXP scm, int d) {
  const SEXP nonlinearity = list_element(scm, "nonlinearity");
  const int *offset = INTEGER(typed_element(scm, "offset", INTSXP, (R_xlen_t)d + 1));
  struct scm_spec spec = {
      .d = d,
      .offset = offset,
      .parent = INTEGER(typed_element(scm, "parent", INTSXP, offset[d])),
      .weight = REAL(typed_element(scm, "weight", REALSXP, offset[d])),
      .order = INTEGER(typed_element(scm, "order", INTSXP, d)),
      .kind = kind_of(nonlinearity),
      .kappa = list_number(scm, "kappa"),
      .user = call_r_function,
      .user_context = nonlinearity,
      .noise_var = REAL(typed_element(scm, "noise_var", REALSXP, d)),
      .int_mean = REAL(typed_element(scm, "intervention_mean", REALSXP, d)),
      .int_sd = REAL(typed_element(scm, "intervention_sd", REALSXP, d)),
      .parent_effect = list_number(scm, "parent_effect"),
  };
  for (int q = 0; q < offset[d]; q++)
    if (spec.parent[q] < 0 || spec.parent[q] >= d)
      Rf_error("internal error: parent %d outside 0..%d", spec.parent[q], d - 1);
  for (int j = 0; j < d; j++)
    if (spec.order[j] < 0 || spec.order[j] >= d)
      Rf_error("internal error: order holds %d, outside 0..%d", spec.order[j], d - 1);
  return spec;
}

static struct scm_data unpack_data(SEXP y, SEXP env, SEXP targets, SEXP y_var, SEXP coef,
                                   const struct scm_spec *scm) {
  struct scm_data data = {.n = (size_t)Rf_nrows(y), .y = REAL(y), .n_domains = Rf_nrows(targets)};
  if (!Rf_isInteger(targets) || Rf_ncols(targets) != scm->d)
    Rf_error("internal error: targets must be an integer matrix with one column per latent");
  if ((size_t)XLENGTH(env) != data.n)
    Rf_error("internal error: env must hold one integer per row");
  assert_codes(env, data.n_domains);
  if (!Rf_isReal(y_var) || XLENGTH(y_var) != scm->d)
    Rf_error("internal error: sigma2 must hold one number per latent");
  data.env = INTEGER(env);
  data.targets = INTEGER(targets);
  data.y_var = REAL(y_var);
  int *drawn = (int *)R_alloc((size_t)data.n_domains * scm->d, sizeof(int));
  scm_drawn(scm, data.targets, data.n_domains, drawn);
  if (!Rf_isNull(coef)) {
    assert_double_matrix(coef, "coef");
    data.coef = REAL(coef);
    for (int o = 0; o < scm->d - 1; o++)
      for (int e = 0; e < data.n_domains; e++)
        drawn[e + (size_t)data.n_domains * scm->order[o]] = 1;
  }
  data.drawn = drawn;
  return data;
}

/* y: n x d pseudo-latents; env: domains 1..M; targets: M x d; scm: list of unpack_scm();
 * sigma2, coef: noise variances (d) and regressions (d x d or NULL) of y, see struct scm_data;
 * draws: even; seed: two 32-bit words as doubles. */
SEXP bayes_latents(SEXP y, SEXP env, SEXP targets, SEXP scm, SEXP sigma2, SEXP coef, SEXP draws,
                   SEXP seed, SEXP threads) {
  assert_double_matrix(y, "y");
  if (!Rf_isReal(seed) || XLENGTH(seed) != 2)
    Rf_error("internal error: seed must hold two doubles");
  const int d = Rf_ncols(y), n_threads = threads_usable(Rf_asInteger(threads));
  const double n_draws = Rf_asReal(draws);
  if (n_threads < 1 || !(n_draws >= 2) || fmod(n_draws, 2.0) != 0.0)
    Rf_error("internal error: threads must be positive, draws even and positive");
  const struct scm_spec spec = unpack_scm(scm, d);
  const struct scm_data data = unpack_data(y, env, targets, sigma2, coef, &spec);
  const size_t n = data.n, s = (size_t)n_draws;
  const uint64_t key = (uint64_t)REAL(seed)[0] | (uint64_t)REAL(seed)[1] << 32;

  const char *fields[] = {"latents", "latents_sd", "ess", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "latents", Rf_allocMatrix(REALSXP, (int)n, d));
  put(out, "latents_sd", Rf_allocMatrix(REALSXP, (int)n, d));
  put(out, "ess", Rf_allocVector(REALSXP, (R_xlen_t)n));
  const struct scm_posterior posterior = {.mean = REAL(list_element(out, "latents")),
                                          .sd = REAL(list_element(out, "latents_sd")),
                                          .ess = REAL(list_element(out, "ess"))};
  double *work = (double *)R_alloc((size_t)n_threads * scm_work_size(&spec, s), sizeof(double));
  const size_t tile = scm_tile_rows(&spec, s) * (size_t)n_threads;
  size_t block = POINTS_BETWEEN_INTERRUPTS / (s * (size_t)d);
  block = block > tile ? block - block % tile : tile;
  for (size_t from = 0; from < n; from += block) {
    const size_t to = n - from > block ? from + block : n;
    scm_importance(&spec, &data, s, key, from, to, n_threads, work, &posterior);
    poll_user();
  }
  UNPROTECT(1);
  return out;
}

/* ---- chains at the truth ------------------------------------------------------------------- */

static void scm_effect(const void *context, int edge, const int *state, const double *z, int rows,
                       double *out) {
  const struct scm_spec *scm = context;
  scm_nonlinearity(scm, z, (size_t)rows, out);
  for (int i = 0; i < rows; i++) {
    double share = state[i] ? scm->parent_effect : 1;
    out[i] = share == 0 ? 0 : share * scm->weight[edge] * out[i];
  }
}

/* The structural causal model as the sampler's prior: edges are numbered alike. */
static causal_prior prior_of_scm(const struct scm_spec *scm) {
  const int cut[N_STATES] = {0, scm->parent_effect == 0};
  size_t d = (size_t)scm->d, cells = N_STATES * d;
  const int **families = (const int **)R_alloc(d, sizeof(int *));
  int *size = (int *)R_alloc(d, sizeof(int)), *listens = (int *)R_alloc(cells, sizeof(int));
  double *constant = (double *)R_alloc(cells, sizeof(double));
  double *variance = (double *)R_alloc(cells, sizeof(double));
  for (int j = 0; j < scm->d; j++) {
    size[j] = scm->offset[j + 1] - scm->offset[j] + 1;
    int *own = (int *)R_alloc((size_t)size[j], sizeof(int));
    own[0] = j;
    for (int k = 1; k < size[j]; k++)
      own[k] = scm->parent[scm->offset[j] + k - 1];
    families[j] = own;
  }
  causal_graph graph = graph_new(families, size, scm->d, cut, N_STATES, r_allocator);
  for (int c = 0; c < graph_cells(&graph); c++) {
    int j = graph_node(&graph, c), state = graph_state(&graph, c);
    constant[c] = state ? scm->int_mean[j] : 0;
    variance[c] = state ? scm->int_sd[j] * scm->int_sd[j] : scm->noise_var[j];
    listens[c] = graph_acting(&graph, j, state) > 0;
  }
  causal_prior prior = {.graph = graph,
                        .effect = scm_effect,
                        .context = scm,
                        .constant = constant,
                        .variance = variance,
                        .listens = listens};
  return prior;
}

/* Posterior under the true model by Metropolis-within-Gibbs chains, for any number of latents.
 * projected: n x d, x A; start: n x d, where the chains begin; gram: A'A; settings: rounds (of
 * tuning), warm_up, draws, seed, threads. */
SEXP bayes_chains(SEXP projected, SEXP start, SEXP env, SEXP targets, SEXP scm, SEXP gram,
                  SEXP sigma2, SEXP settings) {
  const char *fields[] = {"latents", "latents_sd", "error", ""};
  assert_double_matrix(projected, "projected");
  assert_double_matrix(gram, "gram");
  SEXP omega = PROTECT(Rf_allocVector(REALSXP, Rf_nrows(targets)));
  memset(REAL(omega), 0, (size_t)Rf_nrows(targets) * sizeof(double));
  latent_sample rows = sample_from(env, targets, omega);
  size_t n = rows.n, d = (size_t)rows.d, walks = d * (size_t)rows.n_domains;
  const struct scm_spec spec = unpack_scm(scm, rows.d);
  double *walk_scale = (double *)R_alloc(walks, sizeof(double));
  for (size_t w = 0; w < walks; w++)
    walk_scale[w] = 1;
  int *driver = (int *)R_alloc(walks, sizeof(int)), rounds = list_int(settings, "rounds");
  latent_sampler sampler = {.prior = prior_of_scm(&spec),
                            .rows = &rows,
                            .gram = REAL(gram),
                            .sigma2 = Rf_asReal(sigma2),
                            .walk_scale = walk_scale,
                            .driver = driver,
                            .seed = (uint64_t)list_number(settings, "seed")};
  causal_prior_drivers(&sampler.prior, rows.targets, rows.n_domains, driver);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "latents", Rf_allocMatrix(REALSXP, (int)n, (int)d));
  put(out, "latents_sd", Rf_allocMatrix(REALSXP, (int)n, (int)d));
  put(out, "error", Rf_allocVector(REALSXP, (R_xlen_t)d));
  latent_posterior post = {.warm_up = list_int(settings, "warm_up"),
                           .draws = list_int(settings, "draws"),
                           .stream = (uint32_t)rounds,
                           .threads = list_threads(settings),
                           .poll = poll_user,
                           .projected = REAL(projected),
                           .z = (double *)R_alloc(n * d, sizeof(double)),
                           .mean = REAL(list_element(out, "latents")),
                           .sd = REAL(list_element(out, "latents_sd")),
                           .error = REAL(list_element(out, "error"))};
  memcpy(post.z, REAL(start), n * d * sizeof(double));
  posterior_tune(&sampler, &post, rounds, walk_scale, r_allocator);
  posterior_draws(&sampler, &post, r_allocator);
  UNPROTECT(2);
  return out;
}

/* Four words of Philox4x32-10 for a counter of four words and a key of two, all as doubles. */
SEXP philox_words(SEXP counter, SEXP key) {
  if (!Rf_isReal(counter) || XLENGTH(counter) != 4 || !Rf_isReal(key) || XLENGTH(key) != 2)
    Rf_error("internal error: counter must hold four doubles, key two");
  uint32_t c[4], k[2], word[4];
  for (int i = 0; i < 4; i++)
    c[i] = (uint32_t)REAL(counter)[i];
  for (int i = 0; i < 2; i++)
    k[i] = (uint32_t)REAL(key)[i];
  rng_philox4x32(c, k, word);
  SEXP out = PROTECT(Rf_allocVector(REALSXP, 4));
  for (int i = 0; i < 4; i++)
    REAL(out)[i] = (double)word[i];
  UNPROTECT(1);
  return out;
}
