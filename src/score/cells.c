#include "cells.h"

#include <math.h>

const char *const cells_solver_names[N_SOLVERS] = {"auto", "cholesky", "cg", "none"};

int cell_band_copies(const score_model *m, int cell) {
  size_t total = band_of(m->cell[cell].term, m->table.n_basis).total;
  return total <= SHARED_BAND ? m->shards.n_shards : 1;
}

/* Range and intervals of the paper's knots (Appendix D): where knots are so far apart the penalty
 * of a log-density has weight 1. */
static const double PAPER_RANGE = 30, PAPER_INTERVALS = 7;

/* Smallest and largest value of a column; not finite if any value is not. */
static void column_range(const double *v, size_t n, double *lo, double *hi) {
  double least = v[0], most = v[0], check = 0;
  for (size_t i = 0; i < n; i++) {
    least = v[i] < least ? v[i] : least;
    most = v[i] > most ? v[i] : most;
    check += v[i] * 0; /* 0, or NaN */
  }
  *lo = least + check;
  *hi = most + check;
}

/* Weights of the penalty of a log-density (penalty.h), by the spacing of the knots. */
static void weigh_coordinates(score_model *m) {
  for (int j = 0; m->penalty_weight && j < m->d; j++) {
    double width = m->range[2 * j + 1] - m->range[2 * j];
    double closer = PAPER_RANGE / width * ((m->table.knots - 1) / PAPER_INTERVALS);
    m->penalty_weight[j] = closer * closer;
  }
}

int cells_update_range(score_model *m, const latent_sample *s) {
  int status = STATUS_OK;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(m->set.threads)
#endif
  for (int j = 0; j < s->d; j++) {
    double lo, hi;
    column_range(s->y + (size_t)j * s->n, s->n, &lo, &hi);
    int found = !isfinite(lo + hi) ? STATUS_NOT_FINITE
                                   : (m->data_range && lo == hi ? STATUS_EMPTY_RANGE : STATUS_OK);
    if (found != STATUS_OK) {
#ifdef _OPENMP
#pragma omp critical
#endif
      status = found;
    }
    if (m->data_range) {
      m->range[2 * j] = lo;
      m->range[2 * j + 1] = hi;
    }
  }
  weigh_coordinates(m);
  return status;
}
