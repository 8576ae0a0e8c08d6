/* When SAEM may stop: whether parameters still move, and how large their Monte-Carlo error is. */
#include "saem_stop.h"

#include <math.h>

enum { PROBES = 3 };

static size_t tall(const saem_state *s) {
  return (size_t)s->model->p * (size_t)s->rows->d;
}

size_t saem_stop_fitted_length(const saem_state *s) {
  return tall(s) + 2 + (size_t)graph_cells(&s->mech->graph);
}

/* Groups of what is watched: log sigma2; log variances of the cells; A'A of start and present;
 * effects of edges by state at PROBES values of the parent, less their mean: constants of several
 * parents are exchangeable. */
enum { GROUP_SIGMA2, GROUP_VARIANCES, GROUP_MIXING, GROUP_EFFECTS, N_GROUPS };

static size_t group_size(const saem_state *s, int group) {
  size_t d = (size_t)s->rows->d;
  switch (group) {
  case GROUP_SIGMA2:
    return 1;
  case GROUP_VARIANCES:
    return (size_t)graph_cells(&s->mech->graph);
  case GROUP_MIXING:
    return d * d;
  default:
    return PROBES * (size_t)(s->mech->graph.n_states * s->mech->graph.n_edges);
  }
}

size_t saem_stop_watched_length(const saem_state *s) {
  size_t length = 0;
  for (int group = 0; group < N_GROUPS; group++)
    length += group_size(s, group);
  return length;
}

double saem_stop_objective(const saem_state *s) {
  double n = (double)s->rows->n, sum = s->seen.features * log(s->model->noise.value);
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    if (s->mech->cell[c].weight > 0)
      sum += s->mech->cell[c].weight / n * log(s->mech->variance[c]);
  return -0.5 * sum;
}

static double log_variance(const saem_state *s, int c) {
  return s->mech->cell[c].weight > 0 ? log(s->mech->variance[c]) : 0;
}

void saem_stop_watch(saem_state *s) {
  int d = s->rows->d;
  size_t p = (size_t)s->model->p;
  double *v = s->record.values;
  *v++ = log(s->model->noise.value);
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    *v++ = log_variance(s, c);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++) {
      double sum = 0;
      for (size_t i = 0; i < p; i++)
        sum += s->record.first[(size_t)j * p + i] * s->model->mixing[(size_t)k * p + i];
      *v++ = sum;
    }
  const causal_prior *prior = &s->sampler.prior;
  for (int edge = 0; edge < prior->graph.n_edges; edge++)
    for (int state = 0; state < prior->graph.n_states; state++, v += PROBES) {
      const int states[PROBES] = {state, state, state};
      const double *at = s->record.probe + PROBES * prior->graph.parent[edge];
      prior->effect(prior->context, edge, states, at, PROBES, v);
      double mean = (v[0] + v[1] + v[2]) / PROBES;
      for (int k = 0; k < PROBES; k++)
        v[k] -= mean;
    }
  batch_means_add(&s->record.burn_in, s->record.values);
}

void saem_stop_keep(saem_state *s) {
  double *v = s->record.values;
  for (size_t g = 0; g < tall(s); g++)
    *v++ = s->model->mixing[g];
  *v++ = s->model->noise.value;
  *v++ = saem_stop_objective(s);
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    *v++ = log_variance(s, c);
  batch_means_add(&s->record.fitted, s->record.values);
}

/* In a stochastic EM parameters vary about their mean: where most information is missing, with half
 * the variance of the sampling error (Nielsen 2000). */
double saem_stop_shift(const saem_state *s) {
  const batch_means *b = &s->record.burn_in;
  int many = batch_means_complete(b) / 3;
  double largest = 0;
  if (many < 2 || b->count % b->size != 0)
    return NAN;
  size_t g = 0;
  for (int group = 0; group < N_GROUPS; group++) {
    double shift = 0, noise = 0;
    for (size_t end = g + group_size(s, group); g < end; g++) {
      double squared, error;
      batch_means_shift(b, g, many, &squared, &error);
      shift += squared;
      noise += error + batch_means_spread(b, g, many);
    }
    if (shift > 0)
      largest = fmax(largest, shift / noise);
  }
  return sqrt(largest);
}

void saem_stop_errors(const saem_state *s, double *squared) {
  size_t m = tall(s);
  batch_means_errors(&s->record.fitted, 0, m, squared);
  batch_means_errors(&s->record.fitted, m, m + 1, squared + m);
  batch_means_errors(&s->record.fitted, m + 1, m + 2, squared + m + 1);
  batch_means_errors(&s->record.fitted, m + 2, s->record.fitted.length, squared + m + 2);
}

/* With the latents known, a row of A has covariance sigma2 (sum omega z z')^-1, here without the
 * correlation of latents; turns, which the prior tells, come on top, see saem_stop_shift(). */
static double mixing_sampling(const saem_state *s) {
  int d = s->rows->d, many = batch_means_complete(&s->record.fitted);
  const double *second = s->stats.value + s->stats.second_at;
  double sum = 0;
  for (int j = 0; j < d; j++)
    sum += s->seen.features * s->model->noise.value / second[j * (d + 1)];
  for (size_t g = 0; g < tall(s); g++)
    sum += 2 * batch_means_spread(&s->record.fitted, g, many);
  return sum;
}

/* z_j less its mean is seen with noise of variance sigma2 / |a_j|^2 added, so that the sampling
 * error of log v_jc is about sqrt(2 / w) (v + sigma2 / |a_j|^2) / v. */
static double variance_sampling(const saem_state *s) {
  int d = s->rows->d;
  double sum = 0;
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    if (s->mech->cell[c].weight > 0) {
      double ratio =
          1 + s->model->noise.value /
                  (s->model->gram[graph_node(&s->mech->graph, c) * (d + 1)] * s->mech->variance[c]);
      sum += 2 / s->mech->cell[c].weight * ratio * ratio;
    }
  return sum;
}

void saem_stop_precision(const saem_state *s, double ratio[2]) {
  double *squared = s->record.values, sum = 0;
  saem_stop_errors(s, squared);
  for (size_t g = 0; g < tall(s); g++)
    sum += *squared++;
  ratio[0] = sqrt(sum / mixing_sampling(s));
  squared += 2;
  sum = 0;
  for (int c = 0; c < graph_cells(&s->mech->graph); c++)
    sum += squared[c];
  ratio[1] = sqrt(sum / variance_sampling(s));
}
