#include "block_cholesky.h"

#include <R_ext/BLAS.h>
#include <R_ext/Lapack.h>
#include <string.h>

#define ABSENT ((size_t)-1)

static size_t block_size(const block_matrix *m, int block) {
  return m->start[block + 1] - m->start[block];
}

/* Rows of the blocks that are linked to this one and not yet eliminated. */
static size_t degree(const block_matrix *m, const unsigned char *linked, int block) {
  size_t rows = 0;
  for (int i = 0; i < m->n; i++)
    if (i != block && m->position[i] < 0 && linked[i + (size_t)block * (size_t)m->n])
      rows += block_size(m, i);
  return rows;
}

static int least_degree(const block_matrix *m, const unsigned char *linked) {
  int best = -1;
  size_t least = 0;
  for (int i = 0; i < m->n; i++)
    if (m->position[i] < 0) {
      size_t rows = degree(m, linked, i);
      if (best < 0 || rows < least) {
        best = i;
        least = rows;
      }
    }
  return best;
}

/* Eliminates a block: lays out its panel and links what lies below it. */
static void eliminate(block_matrix *m, unsigned char *linked, int k, int block) {
  size_t n = (size_t)m->n, own = block_size(m, block), rows = own;
  m->column[k] = block;
  m->position[block] = k;
  for (size_t i = 0; i < n; i++)
    m->offset[i + (size_t)k * n] = ABSENT;
  m->offset[(size_t)block + (size_t)k * n] = 0;
  for (int i = 0; i < m->n; i++) {
    if (m->position[i] >= 0 || !linked[(size_t)i + (size_t)block * n])
      continue;
    m->offset[(size_t)i + (size_t)k * n] = rows;
    rows += block_size(m, i);
    for (int j = 0; j < m->n; j++)
      if (m->position[j] < 0 && linked[(size_t)j + (size_t)block * n])
        linked[(size_t)i + (size_t)j * n] = 1;
  }
  double a = (double)own, below = (double)(rows - own);
  m->bytes += (a + below) * a * sizeof(double);
  m->flops += a * a * a / 3 + a * a * below + a * below * below;
  m->rows[k] = rows;
  m->panel[k + 1] = m->panel[k] + rows * own;
}

block_matrix block_cholesky_plan(int n, const size_t *start, const unsigned char *linked,
                                 allocator alloc) {
  size_t count = (size_t)n;
  block_matrix m = {.n = n,
                    .start = start,
                    .column = alloc(count, sizeof(int)),
                    .position = alloc(count, sizeof(int)),
                    .panel = alloc(count + 1, sizeof(size_t)),
                    .rows = alloc(count, sizeof(size_t)),
                    .offset = alloc(count * count, sizeof(size_t))};
  unsigned char *filled = alloc(count * count, 1);
  memcpy(filled, linked, count * count);
  for (int i = 0; i < n; i++)
    m.position[i] = -1;
  m.panel[0] = 0;
  for (int k = 0; k < n; k++)
    eliminate(&m, filled, k, least_degree(&m, filled));
  m.size = m.panel[n];
  return m;
}

void block_cholesky_allocate(block_matrix *m, allocator alloc) {
  m->value = workspace_doubles(m->size, alloc);
  m->work = alloc(m->start[m->n], sizeof(double));
}

int block_cholesky_below(const block_matrix *m, int a, int b) {
  return m->position[a] >= m->position[b];
}

double *block_cholesky_at(const block_matrix *m, int a, int b, size_t *ld) {
  size_t k = (size_t)m->position[b];
  *ld = m->rows[k];
  return m->value + m->panel[k] + m->offset[(size_t)a + k * (size_t)m->n];
}

/* Takes L_a L_b' off block (a, b), for a below or equal to b, both in the panel of position k. */
static void update_block(block_matrix *m, int k, int a, int b) {
  size_t n = (size_t)m->n, ld;
  double *to = block_cholesky_at(m, a, b, &ld), *panel = m->value + m->panel[k];
  const double minus = -1, one = 1, *la = panel + m->offset[(size_t)a + (size_t)k * n];
  const double *lb = panel + m->offset[(size_t)b + (size_t)k * n];
  int ra = (int)block_size(m, a), rb = (int)block_size(m, b);
  int inner = (int)block_size(m, m->column[k]), from = (int)m->rows[k], into = (int)ld;
  if (a == b)
    F77_CALL(dsyrk)
  ("L", "N", &ra, &inner, &minus, la, &from, &one, to, &into FCONE FCONE);
  else F77_CALL(dgemm)("N", "T", &ra, &rb, &inner, &minus, la, &from, lb, &from, &one, to,
                       &into FCONE FCONE);
}

int block_cholesky_factor(block_matrix *m) {
  const double one = 1;
  for (int k = 0; k < m->n; k++) {
    double *panel = m->value + m->panel[k];
    int own = (int)block_size(m, m->column[k]), ld = (int)m->rows[k], below = ld - own, info;
    F77_CALL(dpotrf)("L", &own, panel, &ld, &info FCONE);
    if (info != 0)
      return STATUS_SINGULAR;
    if (below > 0)
      F77_CALL(dtrsm)
    ("R", "L", "T", "N", &below, &own, &one, panel, &ld, panel + own, &ld FCONE FCONE FCONE FCONE);
    const size_t *offset = m->offset + (size_t)k * (size_t)m->n;
    for (int b = 0; b < m->n; b++)
      for (int a = 0; a < m->n; a++)
        if (offset[a] != ABSENT && offset[b] != ABSENT && m->position[b] > k &&
            block_cholesky_below(m, a, b))
          update_block(m, k, a, b);
  }
  return STATUS_OK;
}

/* Rows of v that the panel of position k is about, below its diagonal block: gathered into work, or
 * back. */
static void move_below(const block_matrix *m, int k, double *v, int gather) {
  const size_t *offset = m->offset + (size_t)k * (size_t)m->n;
  for (int i = 0; i < m->n; i++)
    if (m->position[i] > k && offset[i] != ABSENT) {
      double *part = v + m->start[i], *gathered = m->work + offset[i];
      size_t bytes = block_size(m, i) * sizeof(double);
      memcpy(gather ? gathered : part, gather ? part : gathered, bytes);
    }
}

void block_cholesky_solve(const block_matrix *m, double *v) {
  const double minus = -1, one = 1;
  const int step = 1;
  for (int k = 0; k < m->n; k++) { /* L w = v */
    const double *panel = m->value + m->panel[k];
    int own = (int)block_size(m, m->column[k]), ld = (int)m->rows[k], below = ld - own;
    double *part = v + m->start[m->column[k]];
    F77_CALL(dtrsv)("L", "N", "N", &own, panel, &ld, part, &step FCONE FCONE FCONE);
    if (below == 0)
      continue;
    move_below(m, k, v, 1);
    F77_CALL(dgemv)
    ("N", &below, &own, &minus, panel + own, &ld, part, &step, &one, m->work + own, &step FCONE);
    move_below(m, k, v, 0);
  }
  for (int k = m->n - 1; k >= 0; k--) { /* L' v = w */
    const double *panel = m->value + m->panel[k];
    int own = (int)block_size(m, m->column[k]), ld = (int)m->rows[k], below = ld - own;
    double *part = v + m->start[m->column[k]];
    if (below > 0) {
      move_below(m, k, v, 1);
      F77_CALL(dgemv)
      ("T", &below, &own, &minus, panel + own, &ld, m->work + own, &step, &one, part, &step FCONE);
    }
    F77_CALL(dtrsv)("L", "T", "N", &own, panel, &ld, part, &step FCONE FCONE FCONE);
  }
}
