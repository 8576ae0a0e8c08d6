#include "turn.h"

#include "vectorize.h"

#include <math.h>
#include <string.h>

static const double MAX_TURN = 0.1;
static const double MAX_STIFFNESS = 1.5; /* turns are stable below 2 */
static const double SAME_LENGTH = 1e-8;

turn_plan turn_plan_new(const mechanisms *m, const double *length, allocator alloc) {
  size_t square = (size_t)m->graph.d * (size_t)m->graph.d;
  turn_plan t = {.mech = m,
                 .length = length,
                 .stiffest = alloc(square, sizeof(double)),
                 .rotation = alloc(square, sizeof(double)),
                 .inverse = alloc(square, sizeof(double))};
  for (size_t g = 0; g < square; g++)
    t.stiffest[g] = 1;
  return t;
}

size_t turn_sums(const turn_plan *t) {
  return 3 * (size_t)t->mech->graph.d * (size_t)t->mech->graph.d;
}

/* ---- sums over rows ------------------------------------------------------------------------ */

/* Length of a column of A over that of another. */
static double length_ratio(const turn_plan *t, int of, int by) {
  double ratio = t->length[of] / t->length[by];
  return fabs(ratio - 1) < SAME_LENGTH ? 1 : ratio;
}

/* Derivatives of the prior's log density, row by row, in a turn of latents a and c, each times the
 * length of its column. */
INLINE void torque(const turn_plan *t, const latent_block *b, const double *gradient, int a, int c,
                   double *restrict out) {
  const double *u = gradient + a * BLOCK_ROWS, *v = gradient + c * BLOCK_ROWS;
  const double *y = b->z + a * BLOCK_ROWS, *z = b->z + c * BLOCK_ROWS;
  double longer = length_ratio(t, c, a), shorter = length_ratio(t, a, c);
  SIMD for (int i = 0; i < b->rows; i++) out[i] = u[i] * z[i] * longer - v[i] * y[i] * shorter;
}

WIDE_VECTORS void turn_add(const turn_plan *t, const double *omega, const latent_block *b,
                           double *gradient, double *sums) {
  int d = t->mech->graph.d;
  double *first = sums, *square = first + d * d, *along = square + d * d;
  double plane[BLOCK_ROWS], weight[BLOCK_ROWS], together[BLOCK_ROWS] = {0};
  mechanism_gradient(t->mech, b, gradient);
  for (int i = 0; i < b->rows; i++)
    weight[i] = omega[b->domain[i]];
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      double by = t->stiffest[a + c * d];
      torque(t, b, gradient, a, c, plane);
      SIMD for (int i = 0; i < b->rows; i++) together[i] += by * plane[i];
    }
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      int at = a + c * d;
      torque(t, b, gradient, a, c, plane);
      for (int i = 0; i < b->rows; i++) {
        double weighted = weight[i] * plane[i];
        first[at] += weighted;
        square[at] += weighted * plane[i];
        along[at] += weighted * together[i];
      }
    }
}

/* ---- the step ------------------------------------------------------------------------------ */

/* All planes turn at once, each by its own information: they overshoot together where it adds up.
 * Its largest sum beside each one's own is the largest eigenvalue of the information matrix scaled
 * to a diagonal of 1, by power iterations, one an iteration: from `stiffest` and what the
 * information makes of it. Returns the share of the turns that is safe. */
static double safe_share(turn_plan *t, const double *sums) {
  int d = t->mech->graph.d;
  const double *square = sums + d * d, *along = square + d * d;
  double joint = 0, own = 0, largest = 0;
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      int at = a + c * d;
      double *w = t->stiffest + at;
      joint += *w * along[at];
      own += *w * *w * square[at];
      *w = square[at] > 0 ? along[at] / square[at] : 0;
      largest = fmax(largest, fabs(*w));
    }
  for (int g = 0; g < d * d; g++)
    t->stiffest[g] = largest > 0 ? t->stiffest[g] / largest : 1;
  return joint > MAX_STIFFNESS * own ? MAX_STIFFNESS * own / joint : 1;
}

/* R = the product of turns by torque / information in each plane, or a share of it. */
static void scoring_rotation(turn_plan *t, const double *sums, double *r) {
  int d = t->mech->graph.d;
  const double *information = sums + d * d;
  double share = safe_share(t, sums);
  memset(r, 0, (size_t)(d * d) * sizeof(double));
  for (int j = 0; j < d; j++)
    r[j + j * d] = 1;
  for (int a = 0; a < d; a++)
    for (int c = 0; c < a; c++) {
      if (!(information[a + c * d] > 0))
        continue;
      double angle = share * sums[a + c * d] / information[a + c * d];
      angle = fmax(-MAX_TURN, fmin(MAX_TURN, angle));
      double cosine = cos(angle), sine = sin(angle);
      for (int i = 0; i < d; i++) {
        double u = r[i + a * d], v = r[i + c * d];
        r[i + a * d] = cosine * u + sine * v;
        r[i + c * d] = -sine * u + cosine * v;
      }
    }
}

void turn_step(turn_plan *t, const double *sums) {
  int d = t->mech->graph.d;
  scoring_rotation(t, sums, t->inverse);
  for (int j = 0; j < d; j++)
    for (int k = 0; k < d; k++) {
      t->rotation[k + j * d] = t->inverse[k + j * d] * length_ratio(t, k, j);
      t->inverse[k + j * d] *= length_ratio(t, j, k);
    }
}

/* Rows of a block: out (rows x d, BLOCK_ROWS apart) = m R. */
WIDE_VECTORS static void turn_block(const double *restrict m, size_t ld, int rows, const double *r,
                                    int d, double *restrict out) {
  for (int j = 0; j < d; j++) {
    double *restrict to = out + j * BLOCK_ROWS;
    for (int i = 0; i < rows; i++)
      to[i] = 0;
    for (int k = 0; k < d; k++) {
      const double *restrict from = m + (size_t)k * ld;
      double by = r[k + j * d];
      SIMD for (int i = 0; i < rows; i++) to[i] += from[i] * by;
    }
  }
}

void turn_columns(double *m, size_t rows, const double *r, int d, double *block) {
  for (size_t start = 0; start < rows; start += BLOCK_ROWS) {
    int many = rows - start < BLOCK_ROWS ? (int)(rows - start) : BLOCK_ROWS;
    turn_block(m + start, rows, many, r, d, block);
    for (int j = 0; j < d; j++)
      memcpy(m + start + (size_t)j * rows, block + j * BLOCK_ROWS, (size_t)many * sizeof(double));
  }
}

void turn_over(double *m, int d) {
  for (int j = 0; j < d; j++)
    for (int k = 0; k < j; k++) {
      double swap = m[j + k * d];
      m[j + k * d] = m[k + j * d];
      m[k + j * d] = swap;
    }
}
