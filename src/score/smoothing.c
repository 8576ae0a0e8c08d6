#include "smoothing.h"

#include "folds.h"
#include "held_out.h"

#include <math.h>
#include <string.h>

/* Standard errors by which a cell's own weight has to be better than that of the others. */
static const double DEPARTURE = 3;

smoothing *smoothing_new(const latent_sample *s, int choose_lambda, int choose_eta, uint64_t seed,
                         allocator alloc) {
  size_t d = (size_t)s->d, domains = (size_t)s->n_domains, cells = d * (size_t)s->n_states,
         grid = cells * N_WEIGHTS;
  smoothing *c = alloc(1, sizeof *c);
  c->choose_lambda = choose_lambda;
  c->choose_eta = choose_eta;
  c->env = alloc(s->n, sizeof(int));
  size_t *order = alloc(s->n, sizeof(size_t)), *first = alloc(domains + 1, sizeof(size_t));
  folds_deal(s->env, s->n, s->n_domains, N_FOLDS, seed, order, first, c->env);
  for (size_t i = 0; i < s->n; i++)
    c->env[i] = (c->env[i] - 1) * s->n_domains + s->env[i];
  c->targets = alloc(N_FOLDS * domains * d, sizeof(int));
  for (size_t j = 0; j < d; j++)
    for (size_t v = 0; v < N_FOLDS; v++)
      memcpy(c->targets + (j * N_FOLDS + v) * domains, s->targets + j * domains,
             domains * sizeof(int));
  c->train = alloc(N_FOLDS * domains, sizeof(double));
  c->test = alloc(N_FOLDS * domains, sizeof(double));
  c->lambda = alloc(grid, sizeof(double));
  c->departed = alloc(cells, sizeof(int));
  c->known = alloc(2 * d, sizeof(double));
  c->sum = alloc(N_FOLDS, sizeof(held_out_sums));
  for (int v = 0; v < N_FOLDS; v++) {
    c->sum[v].square = alloc(grid, sizeof(double));
    c->sum[v].slope = alloc(grid, sizeof(double));
  }
  return c;
}

double smoothing_bytes(double n, double d, double n_cells, double n_domains) {
  return (n + N_FOLDS * n_domains * d + n_cells) * sizeof(int) +
         (2 * N_FOLDS * n_domains + (2 * N_FOLDS + 1) * n_cells * N_WEIGHTS + 2 * d) *
             sizeof(double) +
         (n + n_domains + 1) * sizeof(size_t);
}

/* Fills c->sum, under the first n_weights columns of c->lambda. tested: the reference that counts
 * in the held-out rows, or NULL. */
static int cross_validate(smoothing *c, score_model *m, const latent_sample *s,
                          const double *tested, int n_weights) {
  latent_sample train = *s, test;
  train.env = c->env;
  train.n_domains = N_FOLDS * s->n_domains;
  train.targets = c->targets;
  train.omega = c->train;
  test = train;
  test.omega = c->test;
  test.reference = tested;
  for (int v = 0; v < N_FOLDS; v++) {
    for (int e = 0; e < train.n_domains; e++) {
      double omega = s->omega[e % s->n_domains];
      int left_out = e / s->n_domains == v;
      c->train[e] = left_out ? 0 : omega;
      c->test[e] = left_out ? omega : 0;
    }
    held_out(m, &train, &test, c->lambda, n_weights, &c->sum[v]);
  }
  return STATUS_OK;
}

/* Loss of a fold in a cell under weight k; infinite where it could not be computed. */
static double fold_loss(const smoothing *c, int n_cells, int v, int cell, int k) {
  size_t at = (size_t)k * (size_t)n_cells + (size_t)cell;
  double loss = c->sum[v].square[at] / 2 + c->sum[v].slope[at];
  return isfinite(loss) ? loss : INFINITY;
}

/* The grid position with the smallest loss; of equal ones the largest weight. */
static int best_weight(const double *loss) {
  int best = N_WEIGHTS - 1;
  for (int k = N_WEIGHTS - 2; k >= 0; k--)
    if (loss[k] < loss[best])
      best = k;
  return best;
}

/* The weight at the vertex of the parabola in log lambda through the best position and its
 * neighbours; at an end of the grid, the end. */
static double refined_weight(const double *loss, int best) {
  double step = 0;
  if (best > 0 && best < N_WEIGHTS - 1) {
    double below = loss[best - 1] - loss[best], above = loss[best + 1] - loss[best];
    if (isfinite(below + above) && below + above > 0)
      step = (below - above) / (2 * (below + above));
  }
  return pow(10, FIRST_DECADE + best + step);
}

/* Losses of one cell over all folds. */
static void cell_losses(const smoothing *c, int n_cells, int cell, double *loss) {
  for (int k = 0; k < N_WEIGHTS; k++) {
    loss[k] = 0;
    for (int v = 0; v < N_FOLDS; v++)
      loss[k] += fold_loss(c, n_cells, v, cell, k);
  }
}

/* Losses of the cells that have one weight in common, all but one of them (-1: all). */
static void common_losses(const smoothing *c, int n_cells, int except, double *total) {
  double loss[N_WEIGHTS];
  for (int k = 0; k < N_WEIGHTS; k++)
    total[k] = 0;
  for (int cell = 0; cell < n_cells; cell++)
    if (!c->departed[cell] && cell != except) {
      cell_losses(c, n_cells, cell, loss);
      for (int k = 0; k < N_WEIGHTS; k++)
        total[k] += loss[k];
    }
}

/* By how many standard errors over the folds the cell's loss is smaller under its own best weight
 * than under that of the others. */
static double advantage(const smoothing *c, int n_cells, int cell) {
  double loss[N_WEIGHTS], sum = 0, square = 0;
  cell_losses(c, n_cells, cell, loss);
  int own = best_weight(loss);
  common_losses(c, n_cells, cell, loss);
  int common = best_weight(loss);
  for (int v = 0; own != common && v < N_FOLDS; v++) {
    double gain = fold_loss(c, n_cells, v, cell, common) - fold_loss(c, n_cells, v, cell, own);
    sum += gain;
    square += gain * gain;
  }
  double variance = (square - sum * sum / N_FOLDS) / (N_FOLDS - 1);
  return sum > 0 ? sum / sqrt(N_FOLDS * fmax(variance, 0)) : 0;
}

/* Cells leave the common weight one at a time, the most certain first: a cell with a steep loss
 * would else force its weight on the others. */
static void let_cells_depart(smoothing *c, int n_cells) {
  int leaver;
  do {
    double most = DEPARTURE;
    leaver = -1;
    for (int cell = 0; cell < n_cells; cell++) {
      double gain = c->departed[cell] ? 0 : advantage(c, n_cells, cell);
      if (gain > most) {
        most = gain;
        leaver = cell;
      }
    }
    if (leaver >= 0)
      c->departed[leaver] = 1;
  } while (leaver >= 0);
}

/* Weights stay together where cells are fitted jointly, and the loss of one
 * says nothing of its own weight while the others have theirs. */
static void choose_weights(smoothing *c, score_model *m) {
  int n_cells = m->n_cells;
  double loss[N_WEIGHTS];
  memset(c->departed, 0, (size_t)n_cells * sizeof(int));
  if (!m->set.kind->joint)
    let_cells_depart(c, n_cells);
  for (int cell = 0; cell < n_cells; cell++) {
    if (c->departed[cell])
      cell_losses(c, n_cells, cell, loss);
    else
      common_losses(c, n_cells, -1, loss);
    m->cell[cell].lambda = refined_weight(loss, best_weight(loss));
  }
}

/* Sums over folds and cells of c->sum under a single weight, in the units of the latents. */
static void total_sums(const smoothing *c, const causal_graph *g, const double *scale,
                       double *square, double *slope) {
  *square = *slope = 0;
  for (int v = 0; v < N_FOLDS; v++)
    for (int cell = 0; cell < graph_cells(g); cell++) {
      double own = scale[graph_node(g, cell)], share = 1 / (own * own);
      *square += share * c->sum[v].square[cell];
      *slope += share * c->sum[v].slope[cell];
    }
}

/* eta, from the held-out sums of s^2 and ds. With a reference g the sums of the splines alone are
 * those of (phi'theta)^2, and of d phi'theta + g phi'theta where the held-out rows have the
 * reference, of d phi'theta where they do not. */
static int choose_damping(smoothing *c, score_model *m, const latent_sample *s,
                          const gaussian_reference *r, const double *scale, double *eta) {
  double square, slope, ignored;
  int status = cross_validate(c, m, s, s->reference, 1), d = m->d;
  total_sums(c, &m->graph, scale, &square, &slope);
  if (r && status == STATUS_OK) {
    double with = slope;
    status = cross_validate(c, m, s, NULL, 1);
    total_sums(c, &m->graph, scale, &ignored, &slope);
    square += 2 * (with - slope);
    reference_sums(r, s, c->known, c->known + d);
    for (int j = 0; j < d; j++) {
      square += c->known[j] / (scale[j] * scale[j]);
      slope += c->known[d + j] / (scale[j] * scale[j]);
    }
  }
  *eta = -slope / square;
  *eta = *eta > 0 ? fmin(*eta, 1) : 0; /* 0 also where there is no score */
  return status;
}

int smoothing_choose(smoothing *c, score_model *m, const latent_sample *s,
                     const gaussian_reference *r, const double *scale, double *eta) {
  int n_cells = m->n_cells, status = cells_update_range(m, s);
  if (status == STATUS_OK && c->choose_lambda) {
    for (int k = 0; k < N_WEIGHTS; k++)
      for (int cell = 0; cell < n_cells; cell++)
        c->lambda[k * n_cells + cell] = pow(10, FIRST_DECADE + k);
    status = cross_validate(c, m, s, s->reference, N_WEIGHTS);
    if (status == STATUS_OK)
      choose_weights(c, m);
  }
  if (status == STATUS_OK && c->choose_eta) {
    for (int cell = 0; cell < n_cells; cell++)
      c->lambda[cell] = m->cell[cell].lambda;
    status = choose_damping(c, m, s, r, scale, eta);
  }
  return status;
}
