/* The Markov score (5.1): the gradient of a spline log-density
 *   U_a(y) = sum_j phi_j(y_j, y_pa(j))'theta_{j, a_j},   s = grad U,
 * so that a component s_k has a part from each child of k, and the field is conservative.
 *
 * The score-matching loss sum omega (|grad U|^2 / 2 + Laplacian of U) is quadratic in theta, one
 * linear system over all families (term_system.h). Outside the range the splines continue
 * quadratically, the score linearly.
 */
#include "score_class.h"
#include "term_system.h"

#include <string.h>

static int markov_fit(score_model *m, const latent_sample *s) {
  int ranged = cells_update_range(m, s);
  return ranged == STATUS_OK ? term_system_fit_all(m, s) : ranged;
}

/* Adds a cell's part of grad U, its own second derivatives and the Hessian for one row. */
static void add_cell(const score_cell *cell, size_t d, task_work *t, int row, int hessian,
                     double *score, double *dscore, double *jacobian) {
  for (int a = 0; a < cell->n_term; a++) {
    const family *f = &cell->term[a];
    jet u;
    term_jet(f, &t->block, row, term_theta(cell, a), hessian ? JET_HESSIAN : JET_LAPLACIAN,
             t->terms.jet, &u);
    for (int k = 0; k < f->n_coord; k++) {
      size_t at = (size_t)f->coord[k];
      score[at * BLOCK_ROWS] += u.gradient[k];
      dscore[at * BLOCK_ROWS] += u.second[k][k];
      for (int l = 0; hessian && l <= k; l++) {
        size_t to = (size_t)f->coord[l];
        jacobian[(to * d + at) * BLOCK_ROWS] += u.second[k][l];
        if (l < k)
          jacobian[(at * d + to) * BLOCK_ROWS] += u.second[k][l];
      }
    }
  }
}

static void clear_rows(double *v, size_t columns, int rows) {
  for (size_t j = 0; j < columns; j++)
    memset(v + j * BLOCK_ROWS, 0, (size_t)rows * sizeof(double));
}

static void markov_evaluate(const score_model *m, const latent_sample *s, task_work *t,
                            size_t start, int rows, double *score, double *dscore, double *jacobian,
                            double *loss) {
  size_t d = (size_t)m->d;
  clear_rows(score, d, rows);
  clear_rows(dscore, d, rows);
  if (jacobian)
    clear_rows(jacobian, d * d, rows);
  for (int i = 0; i < rows; i++) {
    size_t row = start + (size_t)i;
    for (int j = 0; j < m->d; j++)
      add_cell(&m->cell[row_cell(s, row, j)], d, t, i, jacobian != NULL, score + i, dscore + i,
               jacobian ? jacobian + i : NULL);
    for (size_t k = 0; k < d; k++) {
      double sk = score[k * BLOCK_ROWS + (size_t)i], dk = dscore[k * BLOCK_ROWS + (size_t)i];
      loss[row_cell(s, row, (int)k)] += row_weight(s, row) * (0.5 * sk * sk + dk);
    }
  }
}

const score_class score_markov = {
    .name = "markov", .joint = 1, .curved = 1, .fit = markov_fit, .evaluate = markov_evaluate};
