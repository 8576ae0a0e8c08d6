#include "marginal.h"

#include <math.h>
#include <string.h>

static marginal_cell *cells_new(size_t d, allocator alloc) {
  marginal_cell *cell = alloc(2 * d, sizeof(marginal_cell));
  for (size_t k = 0; k < 2 * d; k++) {
    cell[k].slope = alloc(d, sizeof(double));
    cell[k].centre = alloc(d, sizeof(double));
    cell[k].parent = alloc(d, sizeof(int));
  }
  return cell;
}

marginal_work marginal_work_new(const domain_summary *s, double least, allocator alloc) {
  size_t d = (size_t)s->d, square = d * d;
  int most = hypothesis_steps(s->d, s->general) + 2 * s->d * (s->d + 1);
  marginal_work w = {.summary = s, .least = least};
  double **squares[] = {&w.now,       &w.trial,     &w.at.slopes, &w.at.total,
                        &w.at.spread, &w.at.matrix, &w.at.cov,    &w.at.precision,
                        &w.at.excess, &w.at.turn,   &w.at.gram};
  double **vectors[] = {&w.at.intercept, &w.at.var,  &w.at.mean,
                        &w.at.miss,      &w.at.pull, &w.at.latent};
  for (size_t k = 0; k < sizeof(squares) / sizeof(squares[0]); k++)
    *squares[k] = alloc(square, sizeof(double));
  for (size_t k = 0; k < sizeof(vectors) / sizeof(vectors[0]); k++)
    *vectors[k] = alloc(d, sizeof(double));
  w.cell = cells_new(d, alloc);
  w.moved = cells_new(d, alloc);
  w.scale = alloc((size_t)most, sizeof(double));
  w.gradient = alloc((size_t)most, sizeof(double));
  w.order = alloc(d, sizeof(int));
  w.descent = group_descent_work_new(most, alloc);
  return w;
}

/* Latents in an order in which parents come first. */
static void order_latents(marginal_work *w) {
  int d = w->summary->d, placed = 0;
  for (int j = 0; j < d; j++)
    w->order[j] = -1;
  while (placed < d) {
    int before = placed;
    for (int j = 0; j < d; j++) {
      int ready = 1;
      for (int k = 0; k < placed; k++)
        ready = ready && w->order[k] != j;
      for (int i = 0; i < d && ready; i++)
        if (w->hypothesis->dag[i + j * d]) {
          int found = 0;
          for (int k = 0; k < placed; k++)
            found = found || w->order[k] == i;
          ready = found;
        }
      if (ready)
        w->order[placed++] = j;
    }
    if (placed == before) /* a cycle: refused by the caller */
      return;
  }
}

/* out = B' m B. */
static void in_columns(const double *m, const double *b, int d, double *work, double *out) {
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++) {
      double sum = 0;
      for (int l = 0; l < d; l++)
        sum += m[i + l * d] * b[l + k * d];
      work[i + k * d] = sum;
    }
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++) {
      double sum = 0;
      for (int l = 0; l < d; l++)
        sum += b[l + i * d] * work[l + k * d];
      out[i + k * d] = sum;
    }
}

/* m becomes its inverse (d x d), by elimination with pivoting; returns log|det m|. */
static double invert(double *m, int d, double *out) {
  double log_det = 0;
  for (int g = 0; g < d * d; g++)
    out[g] = g % (d + 1) == 0;
  for (int k = 0; k < d; k++) {
    int at = k;
    for (int i = k + 1; i < d; i++)
      at = fabs(m[i + k * d]) > fabs(m[at + k * d]) ? i : at;
    for (int j = 0; j < d && at != k; j++) {
      double a = m[k + j * d], b = out[k + j * d];
      m[k + j * d] = m[at + j * d];
      out[k + j * d] = out[at + j * d];
      m[at + j * d] = a;
      out[at + j * d] = b;
    }
    double pivot = m[k + k * d];
    log_det += log(fabs(pivot));
    for (int j = 0; j < d; j++) {
      m[k + j * d] /= pivot;
      out[k + j * d] /= pivot;
    }
    for (int i = 0; i < d; i++) {
      double by = m[i + k * d];
      if (i == k || by == 0)
        continue;
      for (int j = 0; j < d; j++) {
        m[i + j * d] -= by * m[k + j * d];
        out[i + j * d] -= by * out[k + j * d];
      }
    }
  }
  return log_det;
}

/* A cell's parameters by regression on moments without noise (w->at.cov: in coordinates of the
 * latents, w->at.mean), and the inverse curvatures of F in them. */
static void start_cell(marginal_work *w, marginal_cell *cell, int j, double noise) {
  int d = w->summary->d, k = cell->n_parents + 1;
  for (int i = 0; i < k; i++)
    for (int l = 0; l <= i; l++) {
      int a = i < k - 1 ? cell->parent[i] : j, b = l < k - 1 ? cell->parent[l] : j;
      w->at.gram[i * k + l] = w->at.cov[a + b * d];
    }
  double v = regression_last(w->at.gram, k, hypothesis_collinear, cell->slope, NULL);
  v = v > 0.1 * noise ? v : 0.1 * noise;
  cell->intercept = w->at.mean[j];
  cell->log_var = log(v);
  double *scale = w->scale + cell->at;
  scale[0] = (v + noise) / cell->weight;
  scale[1] = 2 / cell->weight * fmin((v + noise) * (v + noise) / (v * v), 100);
  for (int i = 0; i < k - 1; i++) {
    int a = cell->parent[i];
    double spread = w->at.cov[a + a * d];
    cell->centre[i] = w->at.mean[a];
    scale[2 + i] = (v + noise) / (cell->weight * (spread > noise ? spread : noise));
  }
}

void marginal_set(marginal_work *w, const hypothesis *h, const double *columns) {
  const domain_summary *s = w->summary;
  int d = s->d, steps = hypothesis_steps(d, s->general);
  double n = 0;
  w->hypothesis = h;
  order_latents(w);
  memcpy(w->now, columns, (size_t)(d * d) * sizeof(double));
  memcpy(w->at.turn, columns, (size_t)(d * d) * sizeof(double));
  invert(w->at.turn, d, w->at.matrix); /* rows of B^-1 are the directions of z = B^-1 y */
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++)
      w->at.turn[i + k * d] = w->at.matrix[k + i * d];
  in_columns(s->noise, w->at.turn, d, w->at.total, w->at.spread);
  for (int e = 0; e < s->n_domains; e++)
    n += s->n[e];
  for (int g = 0; g < steps; g++)
    w->scale[g] = 0.1 / n;
  w->size = steps;
  for (int j = 0; j < d; j++)
    for (int c = 0; c < 2; c++) {
      marginal_cell *cell = &w->cell[2 * j + c];
      cell->weight = hypothesis_pooled(s, h, j, c, w->at.miss, w->at.excess);
      if (cell->weight == 0)
        continue;
      cell->n_parents = hypothesis_parents(s, h, j, c, cell->parent);
      cell->at = w->size;
      w->size += 2 + cell->n_parents;
      in_columns(w->at.excess, w->at.turn, d, w->at.total, w->at.cov);
      for (int i = 0; i < d; i++) {
        w->at.mean[i] = 0;
        for (int l = 0; l < d; l++)
          w->at.mean[i] += w->at.turn[l + i * d] * w->at.miss[l];
      }
      start_cell(w, cell, j, w->at.spread[j + j * d]);
    }
}

/* The cells moved by a step. */
static void move_cells(marginal_work *w, const double *step) {
  for (int k = 0; k < 2 * w->summary->d; k++) {
    const marginal_cell *from = &w->cell[k];
    marginal_cell *to = &w->moved[k];
    to->weight = from->weight;
    if (from->weight == 0)
      continue;
    to->n_parents = from->n_parents;
    to->at = from->at;
    to->intercept = from->intercept + step[from->at];
    to->log_var = from->log_var + step[from->at + 1];
    for (int i = 0; i < from->n_parents; i++) {
      to->parent[i] = from->parent[i];
      to->centre[i] = from->centre[i];
      to->slope[i] = from->slope[i] + step[from->at + 2 + i];
    }
  }
}

/* What the hypothesis says on a domain: slopes C, T, intercepts, variances, mean and covariance of
 * the latents (w->at.latent, w->at.spread). */
static void domain_latents(marginal_work *w, int e) {
  const domain_summary *s = w->summary;
  int d = s->d;
  memset(w->at.slopes, 0, (size_t)(d * d) * sizeof(double));
  memset(w->at.total, 0, (size_t)(d * d) * sizeof(double));
  for (int o = 0; o < d; o++) {
    int j = w->order[o];
    const marginal_cell *cell = &w->moved[2 * j + w->hypothesis->targets[e + j * s->n_domains]];
    w->at.intercept[j] = cell->intercept;
    w->at.var[j] = exp(cell->log_var) + w->least;
    w->at.total[j + j * d] = 1;
    for (int i = 0; i < cell->n_parents; i++) {
      int k = cell->parent[i];
      w->at.slopes[j + k * d] = cell->slope[i];
      w->at.intercept[j] -= cell->slope[i] * cell->centre[i];
      for (int l = 0; l < d; l++) /* row j of T: e_j + sum_k C_jk row k */
        w->at.total[j + l * d] += cell->slope[i] * w->at.total[k + l * d];
    }
  }
  for (int j = 0; j < d; j++) {
    w->at.latent[j] = 0;
    for (int l = 0; l < d; l++)
      w->at.latent[j] += w->at.total[j + l * d] * w->at.intercept[l];
    for (int i = 0; i <= j; i++) {
      double sum = 0;
      for (int l = 0; l < d; l++)
        sum += w->at.total[i + l * d] * w->at.var[l] * w->at.total[j + l * d];
      w->at.spread[i + j * d] = w->at.spread[j + i * d] = sum;
    }
  }
}

/* F of a domain; w->at.excess becomes K = S^-1 - S^-1 (cov + miss miss') S^-1 and w->at.pull S^-1
 * miss, both in the coordinates of the latents (B'K B, B'S^-1 miss). */
static double domain_value(marginal_work *w, int e) {
  const domain_summary *s = w->summary;
  int d = s->d;
  const double *b = w->trial, *cov = s->cov + e * d * d, *mean = s->mean + e * d;
  for (int i = 0; i < d; i++) { /* miss, and B spread */
    w->at.miss[i] = mean[i];
    for (int k = 0; k < d; k++) {
      double sum = 0;
      for (int l = 0; l < d; l++)
        sum += b[i + l * d] * w->at.spread[l + k * d];
      w->at.matrix[i + k * d] = sum;
      w->at.miss[i] -= b[i + k * d] * w->at.latent[k];
    }
  }
  for (int i = 0; i < d; i++)
    for (int k = 0; k <= i; k++) {
      double sum = s->noise[i + k * d];
      for (int l = 0; l < d; l++)
        sum += w->at.matrix[i + l * d] * b[k + l * d];
      w->at.cov[i + k * d] = w->at.cov[k + i * d] = sum;
    }
  double value = invert(w->at.cov, d, w->at.precision);
  for (int k = 0; k < d; k++) { /* matrix = S^-1 (cov + miss miss') */
    w->at.pull[k] = 0;
    for (int l = 0; l < d; l++)
      w->at.pull[k] += w->at.precision[k + l * d] * w->at.miss[l];
  }
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++) {
      double sum = w->at.pull[i] * w->at.miss[k];
      for (int l = 0; l < d; l++)
        sum += w->at.precision[i + l * d] * cov[l + k * d];
      w->at.matrix[i + k * d] = sum;
    }
  for (int i = 0; i < d; i++)
    value += w->at.matrix[i + i * d];
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++) {
      double sum = w->at.precision[i + k * d];
      for (int l = 0; l < d; l++)
        sum -= w->at.matrix[i + l * d] * w->at.precision[l + k * d];
      w->at.cov[i + k * d] = sum;
    }
  in_columns(w->at.cov, b, d, w->at.matrix, w->at.excess);
  for (int i = 0; i < d; i++) {
    w->at.mean[i] = 0;
    for (int l = 0; l < d; l++)
      w->at.mean[i] += b[l + i * d] * w->at.pull[l];
  }
  memcpy(w->at.pull, w->at.mean, (size_t)d * sizeof(double));
  return s->n[e] / 2 * value;
}

/* A domain's part of the gradient: of its cells, and X of the columns (added to w->at.turn). */
static void domain_gradient(marginal_work *w, int e, double *gradient) {
  const domain_summary *s = w->summary;
  int d = s->d;
  double n = s->n[e];
  in_columns(w->at.excess, w->at.total, d, w->at.matrix, w->at.cov); /* T'K T */
  for (int j = 0; j < d; j++) {
    const marginal_cell *cell = &w->moved[2 * j + w->hypothesis->targets[e + j * s->n_domains]];
    double push = 0; /* (T' pull)_j */
    for (int l = 0; l < d; l++)
      push += w->at.total[l + j * d] * w->at.pull[l];
    gradient[cell->at] -= n * push;
    gradient[cell->at + 1] += n / 2 * w->at.cov[j + j * d] * (w->at.var[j] - w->least);
    for (int i = 0; i < cell->n_parents; i++) {
      int k = cell->parent[i];
      double bend = 0; /* (T'K T V T')_jk */
      for (int l = 0; l < d; l++)
        bend += w->at.cov[j + l * d] * w->at.var[l] * w->at.total[k + l * d];
      gradient[cell->at + 2 + i] += n * (bend - push * (w->at.latent[k] - cell->centre[i]));
    }
  }
  for (int k = 0; k < d; k++)
    for (int i = 0; i < d; i++) {
      double left = 0, right = 0;
      for (int l = 0; l < d; l++) {
        left += w->at.excess[i + l * d] * w->at.spread[l + k * d];
        right += w->at.spread[i + l * d] * w->at.excess[l + k * d];
      }
      double both = s->general ? n * left : n / 2 * (left - right);
      w->at.turn[i + k * d] += both - n * w->at.pull[i] * w->at.latent[k];
    }
}

/* Columns of length 1: what a multiple of column j adds to column k along itself is taken off. */
static void keep_lengths(marginal_work *w) {
  int d = w->summary->d;
  const double *b = w->trial;
  for (int k = 0; k < d; k++) {
    double own = w->at.turn[k + k * d];
    for (int j = 0; j < d; j++) {
      double cosine = 0;
      for (int i = 0; i < d; i++)
        cosine += b[i + j * d] * b[i + k * d];
      w->at.turn[j + k * d] -= own * cosine;
    }
  }
}

double marginal_value(marginal_work *w, const double *step, double *gradient) {
  const domain_summary *s = w->summary;
  double value = 0;
  hypothesis_moved(w->now, s->d, s->general, step, w->trial);
  move_cells(w, step);
  memset(gradient, 0, (size_t)w->size * sizeof(double));
  memset(w->at.turn, 0, (size_t)(s->d * s->d) * sizeof(double));
  for (int e = 0; e < s->n_domains; e++) {
    domain_latents(w, e);
    value += domain_value(w, e);
    domain_gradient(w, e, gradient);
  }
  if (s->general)
    keep_lengths(w);
  hypothesis_gradient(w->at.turn, s->d, s->general, gradient);
  return value;
}

static double value_at_step(void *problem, const double *step, double *gradient) {
  return marginal_value(problem, step, gradient);
}

static void keep_step(void *problem) {
  marginal_work *w = problem;
  double *columns = w->now;
  marginal_cell *cell = w->cell;
  w->now = w->trial;
  w->trial = columns;
  w->cell = w->moved;
  w->moved = cell;
}

double marginal_descend(marginal_work *w, double tol, int max_iter, int *converged) {
  group_descent_problem p = {w->size, value_at_step, keep_step, w, tol, max_iter};
  return group_descent(&p, &w->descent, w->scale, converged);
}
