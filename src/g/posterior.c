#include "posterior.h"

#include "vectorize.h"

#include <math.h>
#include <string.h>

/* Moves of a row's latent that a thread makes between polls, in at most so many blocks of rows:
 * about half a second. */
enum { MOVES_BETWEEN_POLLS = 1 << 23, BLOCKS_BETWEEN_POLLS = 64 };

/* Scratch of a thread. */
typedef struct {
  latent_block block;
  double *sum[2]; /* halves of the chain; d x BLOCK_ROWS */
  double *square; /* d x BLOCK_ROWS: E z^2, summed */
  double *draw;   /* draws x d x BLOCK_ROWS */
  double *sorted; /* draws */
} posterior_work;

static posterior_work work_new(const latent_sampler *s, int draws, allocator alloc) {
  size_t wide = (size_t)s->prior.graph.d * BLOCK_ROWS;
  posterior_work w = {.block = latent_block_new(&s->prior, s->rows->n_domains, alloc),
                      .sum = {alloc(wide, sizeof(double)), alloc(wide, sizeof(double))},
                      .square = alloc(wide, sizeof(double)),
                      .draw = alloc(wide * (size_t)draws, sizeof(double)),
                      .sorted = alloc((size_t)draws, sizeof(double))};
  return w;
}

double posterior_bytes(double n, double d, double n_domains, double draws, double threads) {
  return threads * (latent_block_bytes(d, d, n_domains) +
                    sizeof(double) * (d * BLOCK_ROWS * (draws + 3) + draws)) +
         sizeof(double) * d * (n / BLOCK_ROWS + 1);
}

/* A node that drives no other is known given these: its conditional moments take the draw's place.
 * driver: by domain, d apart. */
WIDE_VECTORS static void add_moments(const int *restrict driver, int d, const int *restrict domain,
                                     const double *restrict z, const double *restrict centre,
                                     const double *restrict spread, int rows,
                                     double *restrict sum, double *restrict square) {
  SIMD for (int i = 0; i < rows; i++) {
    int drawn = driver[d * domain[i]];
    double value = drawn ? z[i] : centre[i], variance = drawn ? 0 : spread[i] * spread[i];
    sum[i] += value;
    square[i] += value * value + variance;
  }
}

/* Adds the moments of the latest sweep to a half. */
static void add_sweep(const latent_sampler *s, posterior_work *w, int half) {
  const latent_block *b = &w->block;
  int d = s->prior.graph.d;
  for (int j = 0; j < d; j++) {
    int at = j * BLOCK_ROWS;
    add_moments(s->driver + j, d, b->domain, b->z + at, b->centre + at, b->spread + at, b->rows,
                w->sum[half] + at, w->square + at);
  }
}

/* x[k] as if x were sorted, with none greater before and none less after it (Hoare 1961). */
static void select_at(double *x, int n, int k) {
  int from = 0, to = n - 1;
  while (from < to) {
    double pivot = x[k];
    int i = from, j = to;
    while (i <= j) {
      while (x[i] < pivot)
        i++;
      while (pivot < x[j])
        j--;
      if (i <= j) {
        double swap = x[i];
        x[i++] = x[j];
        x[j--] = swap;
      }
    }
    if (j < k)
      from = i;
    if (k < i)
      to = j;
  }
}

/* Quantile of draws, linear between order statistics (type 7 of R). Draws before `*sorted` are
 * below all others, so that quantiles in ascending order look at ever fewer. */
static double quantile_of(double *draw, int n, double prob, int *sorted) {
  double at = (n - 1) * prob;
  int low = (int)at, from = low < *sorted ? 0 : *sorted;
  select_at(draw + from, n - from, low - from);
  *sorted = low;
  double value = draw[low];
  if (at > low) {
    double next = draw[low + 1]; /* the least of those above */
    for (int t = low + 2; t < n; t++)
      next = draw[t] < next ? draw[t] : next;
    value += (at - low) * (next - value);
  }
  return value;
}

static void write_quantiles(const latent_sampler *s, posterior_work *w,
                            const latent_posterior *out) {
  size_t n = s->rows->n, d = (size_t)s->prior.graph.d, wide = d * BLOCK_ROWS;
  for (size_t j = 0; j < d; j++)
    for (int i = 0; i < w->block.rows; i++) {
      int sorted = 0;
      for (int t = 0; t < out->draws; t++)
        w->sorted[t] = w->draw[(size_t)t * wide + j * BLOCK_ROWS + (size_t)i];
      for (int q = 0; q < out->n_probs; q++)
        out->quantile[((size_t)q * d + j) * n + w->block.start + (size_t)i] =
            quantile_of(w->sorted, out->draws, out->probs[q], &sorted);
    }
}

static void write_moments(const latent_sampler *s, const posterior_work *w,
                          const latent_posterior *out, double *error) {
  size_t n = s->rows->n;
  int d = s->prior.graph.d, halves[2] = {out->draws / 2, out->draws - out->draws / 2};
  for (int j = 0; j < d; j++) {
    error[j] = 0;
    for (int i = 0; i < w->block.rows; i++) {
      int at = j * BLOCK_ROWS + i;
      size_t to = (size_t)j * n + w->block.start + (size_t)i;
      double mean = (w->sum[0][at] + w->sum[1][at]) / out->draws;
      double gap = w->sum[0][at] / halves[0] - w->sum[1][at] / halves[1];
      out->mean[to] = mean;
      out->sd[to] = sqrt(fmax(w->square[at] / out->draws - mean * mean, 0));
      error[j] += 0.25 * gap * gap;
    }
  }
}

static void draw_block(const latent_sampler *s, posterior_work *w, const latent_posterior *out,
                       size_t start, double *error) {
  size_t n = s->rows->n, d = (size_t)s->prior.graph.d, wide = d * BLOCK_ROWS;
  int rows = n - start < BLOCK_ROWS ? (int)(n - start) : BLOCK_ROWS;
  int spacing = out->keep > 0 ? out->draws / out->keep : 0;
  sampler_load(s, &w->block, start, rows, out->z, out->projected);
  sampler_refresh(s, &w->block);
  memset(w->sum[0], 0, wide * sizeof(double));
  memset(w->sum[1], 0, wide * sizeof(double));
  memset(w->square, 0, wide * sizeof(double));
  for (int t = 1; t <= out->warm_up + out->draws; t++) {
    int number = t - out->warm_up; /* from 1 */
    sampler_sweep(s, &w->block, out->stream + (uint32_t)t);
    if (number < 1)
      continue;
    add_sweep(s, w, number > out->draws / 2);
    if (out->n_probs > 0)
      memcpy(w->draw + (size_t)(number - 1) * wide, w->block.z, wide * sizeof(double));
    if (spacing > 0 && number % spacing == 0 && number / spacing <= out->keep)
      sampler_store(&w->block, n, (int)d, out->kept + (size_t)(number / spacing - 1) * n * d);
  }
  sampler_store(&w->block, n, (int)d, out->z);
  write_moments(s, w, out, error);
  if (out->n_probs > 0)
    write_quantiles(s, w, out);
}

static void tuning_sweep(const latent_sampler *s, latent_block *b, const latent_posterior *out,
                         size_t start, int round) {
  size_t n = s->rows->n;
  int rows = n - start < BLOCK_ROWS ? (int)(n - start) : BLOCK_ROWS;
  sampler_load(s, b, start, rows, out->z, out->projected);
  sampler_refresh(s, b);
  sampler_sweep(s, b, (uint32_t)round);
  sampler_store(b, n, s->prior.graph.d, out->z);
}

/* Counts are whole numbers: their sums are the same in any order. */
void posterior_tune(const latent_sampler *s, const latent_posterior *out, int rounds,
                    double *walk_scale, allocator alloc) {
  size_t n = s->rows->n, n_blocks = (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
  int threads = out->threads, d = s->prior.graph.d, walks = d * s->rows->n_domains;
  latent_block *block = alloc((size_t)threads, sizeof(latent_block));
  double *rows = alloc((size_t)s->rows->n_domains, sizeof(double));
  memset(rows, 0, (size_t)s->rows->n_domains * sizeof(double));
  for (size_t i = 0; i < n; i++)
    rows[s->rows->env[i] - 1] += 1;
  for (int k = 0; k < threads; k++)
    block[k] = latent_block_new(&s->prior, s->rows->n_domains, alloc);
  for (int t = 1; t <= rounds; t++) {
    for (int k = 0; k < threads; k++)
      memset(block[k].accepted, 0, (size_t)walks * sizeof(double));
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
      for (size_t k = 0; k < n_blocks; k++)
        tuning_sweep(s, &block[threads_index()], out, k * BLOCK_ROWS, t);
    } else /* an effect that R computes may jump out, which must not happen inside a region */
#endif
      for (size_t k = 0; k < n_blocks; k++)
        tuning_sweep(s, block, out, k * BLOCK_ROWS, t);
    for (int w = 0; w < walks; w++) {
      double accepted = 0;
      for (int k = 0; k < threads; k++)
        accepted += block[k].accepted[w];
      if (s->driver[w] && rows[w / d] > 0)
        walk_scale[w] = sampler_tuned(walk_scale[w], accepted / rows[w / d], t);
    }
    out->poll();
  }
}

/* Blocks of rows between polls: one a thread at least. */
static size_t blocks_between_polls(const latent_sampler *s, const latent_posterior *out) {
  double moves = (double)s->prior.graph.d * (out->warm_up + (double)out->draws) * BLOCK_ROWS;
  double blocks = fmin(BLOCKS_BETWEEN_POLLS, fmax(1, floor(MOVES_BETWEEN_POLLS / moves)));
  return (size_t)blocks * (size_t)out->threads;
}

void posterior_draws(const latent_sampler *s, const latent_posterior *out, allocator alloc) {
  size_t n = s->rows->n, n_blocks = (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
  size_t between = blocks_between_polls(s, out);
  int d = s->prior.graph.d, threads = out->threads;
  posterior_work *work = alloc((size_t)threads, sizeof(posterior_work));
  double *error = alloc(n_blocks * (size_t)d, sizeof(double));
  for (int k = 0; k < threads; k++)
    work[k] = work_new(s, out->n_probs > 0 ? out->draws : 1, alloc);
  for (size_t from = 0; from < n_blocks; from += between) {
    size_t to = from + between < n_blocks ? from + between : n_blocks;
#ifdef _OPENMP
    if (threads > 1) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
      for (size_t k = from; k < to; k++)
        draw_block(s, &work[threads_index()], out, k * BLOCK_ROWS, error + k * (size_t)d);
    } else
#endif
      for (size_t k = from; k < to; k++)
        draw_block(s, work, out, k * BLOCK_ROWS, error + k * (size_t)d);
    out->poll();
  }
  for (int j = 0; j < d; j++) {
    out->error[j] = 0;
    for (size_t k = 0; k < n_blocks; k++)
      out->error[j] += error[k * (size_t)d + (size_t)j];
    out->error[j] = sqrt(out->error[j] / (double)n);
  }
}
