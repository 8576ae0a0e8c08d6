#include "batch.h"

#include <math.h>
#include <string.h>

static hypothesis hypothesis_at(const hypothesis_batch *batch, const domain_summary *s, int k) {
  size_t d = (size_t)s->d, m = (size_t)s->n_domains;
  hypothesis h = {batch->dags + (size_t)k * d * d, batch->targets + (size_t)k * m * d};
  return h;
}

void batch_profile(profile_work *work, const hypothesis_batch *batch, int from, int to) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(batch->threads)
#endif
  for (int k = from; k < to; k++) {
    profile_work *w = &work[threads_index()];
    size_t d = (size_t)w->summary->d;
    hypothesis h = hypothesis_at(batch, w->summary, k);
    profile_set(w, &h);
    batch->value[k] = profile_descend(w, batch->columns + (size_t)k * d * d, batch->tol,
                                      batch->max_iter, batch->converged + k);
    batch->floored[k] = w->floored;
  }
}

/* The parameters of a hypothesis that was fitted. Returns the variances at their floor. */
static int store_parameters(const marginal_work *w, const hypothesis_batch *batch, int k) {
  int d = w->summary->d, floored = 0;
  double *intercept = batch->intercept + (size_t)k * 2 * (size_t)d;
  double *variance = batch->variance + (size_t)k * 2 * (size_t)d;
  double *slopes = batch->slopes + (size_t)k * 2 * (size_t)(d * d);
  for (int j = 0; j < d; j++)
    for (int c = 0; c < 2; c++) {
      const marginal_cell *cell = &w->cell[2 * j + c];
      intercept[j + c * d] = variance[j + c * d] = NAN;
      if (cell->weight == 0)
        continue;
      variance[j + c * d] = exp(cell->log_var) + w->least;
      floored += exp(cell->log_var) < w->least;
      intercept[j + c * d] = cell->intercept;
      for (int i = 0; i < cell->n_parents; i++) {
        slopes[cell->parent[i] + c * d + 2 * j * d] = cell->slope[i];
        intercept[j + c * d] -= cell->slope[i] * cell->centre[i];
      }
    }
  return floored;
}

void batch_marginal(marginal_work *work, const hypothesis_batch *batch, int from, int to) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(batch->threads)
#endif
  for (int k = from; k < to; k++) {
    marginal_work *w = &work[threads_index()];
    size_t square = (size_t)w->summary->d * (size_t)w->summary->d;
    hypothesis h = hypothesis_at(batch, w->summary, k);
    marginal_set(w, &h, batch->columns + (size_t)k * square);
    batch->value[k] = marginal_descend(w, batch->tol, batch->max_iter, batch->converged + k);
    memcpy(batch->columns + (size_t)k * square, w->now, square * sizeof(double));
    batch->floored[k] = store_parameters(w, batch, k);
  }
}
