/* What the glue files share. The only headers that know R are this one and entries.h. */
#ifndef EBCRL_R_UTIL_H
#define EBCRL_R_UTIL_H

#include <R.h>
#include <Rinternals.h>

#include "measurement.h"
#include "score.h"
#include "smoothing.h"

/* Element of a named list, or an R error that names it. */
SEXP list_element(SEXP list, const char *name);
SEXP optional_element(SEXP list, const char *name); /* NULL where there is none */
double list_number(SEXP list, const char *name);
int list_int(SEXP list, const char *name);

/* The same where kernels rely on it: one of `n` choices (from 0), an integer of at least `min`, and
 * `length` doubles or integers; an R error else. */
int list_choice(SEXP list, const char *name, int n);
int list_count(SEXP list, const char *name, int min);
double *list_doubles(SEXP list, const char *name, size_t length);
int *list_integers(SEXP list, const char *name, size_t length);
const char *list_string(SEXP list, const char *name);
/* Is the string `value`? */
int list_is(SEXP list, const char *name, const char *value);

/* Position of a string among choices, which end with NULL: the value of an enum. */
int list_named(SEXP list, const char *name, const char *const *choices);

/* Element `threads`, as many of them as may be used. */
int list_threads(SEXP list);

/* The same by name: a value, a number, an integer, a matrix of zeros, a copy of a numeric value.
 * The last two return their numbers. */
void put(SEXP list, const char *name, SEXP value);
void put_number(SEXP list, const char *name, double value);
void put_int(SEXP list, const char *name, int value);
void put_status(SEXP list, int status); /* "status" */
double *put_matrix(SEXP list, const char *name, size_t rows, size_t cols);
double *put_copy(SEXP list, const char *name, SEXP value);

/* R_alloc as an allocator: released when .Call ends, however it ends. */
void *r_allocator(size_t count, size_t size);

/* What kernels call between long steps, outside parallel regions: checks for Ctrl-C, and now and
 * then shows that work goes on, see set_heartbeat(). */
void poll_user(void);

/* To be called when one of the equal steps of a stage is done; shows it. */
void step_done(void);

/* Checks for Ctrl-C and moves the progress bar: ctx is a function of (iteration, change), or NULL.
 */
void progress_tick(int iteration, double change, void *ctx);

void assert_double_matrix(SEXP x, const char *name);

/* Integers from 1 to n_domains. */
void assert_codes(SEXP env, int n_domains);

/* So many ones, for rows that all count alike. */
SEXP unit_weights(int n_domains);

/* Names of a matrix's first n columns; all others have the same. */
void name_columns(SEXP matrix, const char *const *names, int n, const char *others);

/* Domains, targets and weights of n rows; y is set by the caller. */
latent_sample sample_from(SEXP env, SEXP targets, SEXP omega);

/* States of a node, and what R calls them. */
enum { N_STATES = 2 };
extern const char *const state_names[N_STATES];

/* The graph of d latents, from a list of parents (from 1, ascending). perfect: interventions cut a
 * node off its parents. */
causal_graph graph_from(SEXP parents, int d, int perfect);

/* Score model for a graph (graph_from(), perfect in control), or what it will take. */
score_model *score_plan_from(const latent_sample *s, SEXP parents, SEXP control);
score_model *score_model_from(const latent_sample *s, SEXP parents, SEXP control);

score_settings score_settings_from(SEXP control);

/* The measurement model of `model` (orthonormal, scale, sigma2); mixing: the name of its kind,
 * where the scale, a vector or a matrix, tells orthogonal from any columns that are held. */
measurement *measurement_from(SEXP model, const char *mixing, int p, int d);

/* The same for g-modeling, of the kind that control's mixing names; A (p x d) is the caller's. */
measurement *plain_measurement_from(double *mixing, double sigma2, SEXP control, int p, int d);

/* What chooses lambda and eta; NULL if both are given. */
smoothing *smoothing_from(const latent_sample *s, SEXP control);

/* The coefficients, as a list over nodes of list(state0, state1), NULL where there are no rows. */
SEXP theta_list(const score_model *m);

/* Variances at their floors and updates of A without full rank, as numbers with names. */
SEXP floor_counts(double noise_floored, const measurement *m);

#endif
