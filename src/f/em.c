#include "em.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Most sigma2, in units of the mean square of x, which it would be with A = 0; also that of the
 * latents' E|A z|^2 in units of |x|^2, of which y explains at most one. */
static const double SIGMA2_MOST = 10;

/* ---- the algorithm ------------------------------------------------------------------------- */

static int project(em_state *em);
static int match_score(em_state *em, int iteration);
static int update_latents(em_state *em, int iteration, int first);
static int update_model(em_state *em, double *change_mixing, double *change_sigma2);
static double record(em_state *em, step_kind step, double change_mixing, double change_sigma2,
                     double sigma2);
static void turn_signs(em_state *em);

/* iteration: 0 for the E-step after the last. first: there are no latents to compare with. */
static int e_step(em_state *em, int iteration, int first) {
  int status = project(em); /* y = O'x (4.2), and its Gaussian reference */
  if (status == STATUS_OK)
    status = match_score(em, iteration); /* causal score matching (5.4), (5.5) */
  if (status == STATUS_OK)
    status = update_latents(em, iteration, first); /* Tweedie's formulas (4.4), (4.5) */
  return status;
}

/* One iteration of Algorithm 1, or more than one where it is accelerated. */
static int iterate(em_state *em, int first) {
  double change_mixing, change_sigma2, sigma2 = 0;
  measurement *model = em->e.model;
  step_kind step = STEP_PLAIN;
  measurement_pack(model, em->point.from);
  int status = e_step(em, em->trace.iterations + 1, first);
  if (status == STATUS_OK)
    status = update_model(em, &change_mixing, &change_sigma2); /* A (4.8), sigma2 (4.9) */
  if (status == STATUS_OK) {
    sigma2 = model->noise.value;
    status = em_point_step(&em->point, model, em->map_changed, &step);
  }
  if (status == STATUS_OK) {
    double change = record(em, step, change_mixing, change_sigma2, sigma2);
    em->set.tick(em->trace.iterations, change, em->set.ctx);
  }
  return status;
}

int em_run(em_state *em) {
  int status = STATUS_OK, first = 1;
  measurement_pack(em->e.model, em->point.from);
  measurement_pack(em->e.model, em->point.image);
  em_trace_resume(&em->trace);
  while (status == STATUS_OK && em->trace.iterations < em->trace.max_iter &&
         !em_trace_at_limit(&em->trace)) {
    status = iterate(em, first);
    first = 0;
  }
  em->converged = em_trace_at_limit(&em->trace);
  if (status == STATUS_OK && !em->converged)
    status = em_point_give_up(&em->point, em->e.model);
  if (status != STATUS_OK)
    return status;
  if (em->set.signs)
    turn_signs(em);
  return e_step(em, 0, first);
}

/* ---- E-step -------------------------------------------------------------------------------- */

static int project(em_state *em) {
  estep_state *e = &em->e;
  projection_noise noise = measurement_noise(e->model);
  estep_project(e);
  return e->reference ? reference_fit(e->reference, &e->rows, &e->score->shards,
                                      e->score->set.threads, &noise)
                      : STATUS_OK;
}

static int match_score(em_state *em, int iteration) {
  estep_state *e = &em->e;
  int status = STATUS_OK;
  em->map_changed = em_trace_choice_due(&em->trace, iteration);
  if (em->map_changed)
    status =
        smoothing_choose(em->smoothing, e->score, &e->rows, e->reference, e->model->scale, &e->eta);
  return status == STATUS_OK ? e->score->set.kind->fit(e->score, &e->rows) : status;
}

/* Size of a change, in any units; 0 where nothing moves. */
static double relative_size(double change, double size) {
  return change > 0 ? change / fmax(size, DBL_MIN) : 0;
}

/* Do the latents far exceed the data, a score that the rows hardly tell having run away with them?
 * Where sigma2 is learned it shows that, from the second iteration on, see update_model(). */
static int latents_exceed(em_state *em, int iteration) {
  const noise_level *noise = &em->e.model->noise;
  int may_come_down = iteration == 1 && noise->value > SIGMA2_MOST * noise->mean_square;
  if (noise->learned && (iteration > 1 || may_come_down))
    return 0;
  em->explained = measurement_explained(em->e.model, em->e.sums.second) / noise->sum_sq;
  return !(em->explained <= SIGMA2_MOST);
}

static int update_latents(em_state *em, int iteration, int first) {
  estep_moments(&em->e, first);
  if (!first)
    em->change_latents = relative_size(sqrt(em->e.sums.moved), sqrt(em->e.sums.norm));
  return latents_exceed(em, iteration) ? STATUS_EXCEEDS : STATUS_OK;
}

/* ---- M-step -------------------------------------------------------------------------------- */

/* A and sigma2 given the posterior moments; the relative changes of the two. */
static int update_model(em_state *em, double *change_mixing, double *change_sigma2) {
  measurement *m = em->e.model;
  size_t tall = (size_t)m->p * (size_t)m->d;
  double moved = 0, norm = 0, sigma2 = m->noise.value;
  memcpy(em->before, m->mixing, tall * sizeof(double));
  int status = measurement_update(m, em->e.sums.cross, em->e.sums.second, em->before);
  for (size_t g = 0; g < tall; g++) {
    double diff = m->mixing[g] - em->before[g];
    moved += diff * diff;
    norm += em->before[g] * em->before[g];
  }
  *change_mixing = relative_size(sqrt(moved), sqrt(norm));
  *change_sigma2 = relative_size(fabs(m->noise.value - sigma2), sigma2);
  double most = fmax(SIGMA2_MOST * m->noise.mean_square, sigma2); /* a start above may come down */
  if (status == STATUS_OK && m->noise.learned && !(m->noise.value <= most))
    return STATUS_DIVERGED;
  return status;
}

/* ---- the trace and the end ----------------------------------------------------------------- */

/* Writes a line of the trace; returns the largest relative change of the iteration. */
static double record(em_state *em, step_kind step, double change_mixing, double change_sigma2,
                     double sigma2) {
  double loss = 0;
  for (int c = 0; c < em->e.score->n_cells; c++)
    loss += em->e.sums.loss[c];
  const double line[TRACE_COLUMNS] = {[TRACE_SIGMA2] = sigma2,
                                      [TRACE_LOSS] = loss / (double)em->e.rows.n,
                                      [TRACE_CHANGE_MIXING] = change_mixing,
                                      [TRACE_CHANGE_SIGMA2] = change_sigma2,
                                      [TRACE_CHANGE_LATENTS] = em->change_latents,
                                      [TRACE_STEP] = step,
                                      [TRACE_FLOORED] = (double)em->e.sums.floored};
  return em_trace_record(&em->trace, line,
                         step == STEP_EXTRAPOLATED ? em_point_distance(&em->point) : 0);
}

/* Signs of the latents are ties (Appendix A.2): signs.h chooses. */
static void turn_signs(em_state *em) {
  measurement *m = em->e.model;
  const latent_sample *s = &em->e.rows;
  sign_design rows = {s->n, s->d, s->n_domains, s->env, s->targets};
  estep_project(&em->e); /* least-squares latents, times the lengths of columns */
  signs_choose(em->e.y, &rows, measurement_loadings(m), (size_t)m->p, em->set.signs, em->sign_work,
               em->sign);
  for (int j = 0; j < s->d; j++)
    if (em->sign[j] < 0) {
      double *latent = em->e.out.latents + (size_t)j * s->n;
      m->kind->turn(m, j);
      for (size_t i = 0; i < s->n; i++)
        latent[i] = -latent[i];
    }
}

/* ---- set-up -------------------------------------------------------------------------------- */

double em_doubles(double n, double p, double d, double n_domains, int general) {
  return estep_doubles(n, p, d, n_domains, general) + measurement_doubles(p, d, general) +
         em_point_doubles(p, d) + p * d + d + 3 * n_domains;
}

int em_prepare(em_state *em, allocator alloc) {
  estep_state *e = &em->e;
  measurement *m = e->model;
  estep_prepare(e, alloc);
  em->point = em_point_new(m->p, m->d, em->set.accelerate, alloc);
  em->before = alloc((size_t)m->p * (size_t)m->d, sizeof(double));
  em->sign = alloc((size_t)m->d, sizeof(int));
  em->sign_work = alloc(3 * (size_t)e->rows.n_domains, sizeof(double));
  double square = rows_square_sum(e->x, e->p, &e->rows, e->score->set.threads) + e->outside;
  m->noise = measurement_noise_level(m->noise.value, m->noise.learned, square,
                                     (double)e->rows.n * e->features);
  em->trace.chooses = em->smoothing != NULL;
  em->trace.moves = !m->kind->held;
  return m->kind->refresh(m);
}
