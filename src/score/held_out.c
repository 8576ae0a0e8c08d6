#include "held_out.h"

#include "term_system.h"

#include <math.h>
#include <string.h>

/* Adds the test sums of a block of rows, under weight k. */
static void sum_test_rows(const score_model *m, const latent_sample *s, const term_system *t,
                          size_t start, int rows, int k, held_out_sums *sums) {
  size_t d = (size_t)m->d, cells = (size_t)m->n_cells;
  task_work *task = &m->task[0];
  double *score = task->terms.rows, *dscore = score + d * BLOCK_ROWS;
  for (int j = 0; j < m->d; j++)
    basis_block_fill(&task->block, &m->table, m->range + 2 * j, s->y, s->n, j, start, rows);
  memset(task->terms.loss, 0, cells * sizeof(double));
  m->set.kind->evaluate(m, s, task, start, rows, score, dscore, NULL, task->terms.loss);
  for (size_t j = 0; j < d; j++)
    for (size_t i = 0; i < (size_t)rows; i++) {
      size_t row = start + i, cell = (size_t)row_cell(s, row, (int)j);
      if (t->first_term[cell] < 0)
        continue;
      double w = row_weight(s, row), at = score[j * BLOCK_ROWS + i];
      double known = s->reference ? s->reference[j * s->n + row] : 0;
      sums->square[(size_t)k * cells + cell] += w * at * at;
      sums->slope[(size_t)k * cells + cell] += w * (dscore[j * BLOCK_ROWS + i] + at * known);
    }
}

/* Sums over `test` of the score fitted to `train` under each of the weights, the largest first: of
 * each of the system's cells the node's component in the state's rows. theta is left as it was. */
static void held_out_system(score_model *m, const latent_sample *train, const latent_sample *test,
                            term_system *t, const double *lambda, int n_weights,
                            held_out_sums *sums) {
  int cells = m->n_cells;
  size_t bytes = t->start[t->n_term] * sizeof(double);
  const score_settings set = m->set;
  memcpy(t->kept, t->theta, bytes);
  m->set = rough_settings(set);
  for (int k = n_weights - 1; k >= 0; k--) {
    for (int c = 0; c < cells; c++)
      if (t->first_term[c] >= 0) {
        m->cell[c].lambda = lambda[k * cells + c];
        sums->square[k * cells + c] = sums->slope[k * cells + c] = 0;
      }
    int status = term_system_solve(m, train, t);
    for (size_t start = 0; start < test->n; start += BLOCK_ROWS)
      sum_test_rows(m, test, t, start,
                    test->n - start < BLOCK_ROWS ? (int)(test->n - start) : BLOCK_ROWS, k, sums);
    for (int c = 0; c < cells && status != STATUS_OK; c++)
      if (t->first_term[c] >= 0)
        sums->square[k * cells + c] = INFINITY;
    if (status != STATUS_OK)
      memcpy(t->theta, t->kept, bytes);
    if (m->set.poll)
      m->set.poll();
  }
  memcpy(t->theta, t->kept, bytes);
  m->set = set;
}

void held_out(score_model *m, const latent_sample *train, const latent_sample *test,
              const double *lambda, int n_weights, held_out_sums *sums) {
  if (m->set.kind->held_out)
    m->set.kind->held_out(m, train, test, lambda, n_weights, sums);
  for (int c = 0; c < m->n_cells; c++)
    for (int k = 0; m->cell[c].n_rows == 0 && k < n_weights; k++)
      sums->square[k * m->n_cells + c] = sums->slope[k * m->n_cells + c] = 0;
  for (int k = 0; k < m->n_system; k++)
    held_out_system(m, train, test, m->system[k], lambda, n_weights, sums);
}
