/* Glue: the passes over the rows. */
#include "entries.h"
#include "r_util.h"
#include "reduce.h"
#include "scan.h"
#include "sparse.h"

#include <string.h>

/* What the scan of the columns of x finds: the first entry that is not finite (0: none), else of
 * each feature its least, largest, mean, sums of squares about the mean and about 0, and how many
 * entries are there. */
enum {
  SCAN_ROW,
  SCAN_COLUMN,
  SCAN_KIND,
  SCAN_LO,
  SCAN_HI,
  SCAN_MEAN,
  SCAN_SPREAD,
  SCAN_SQUARE,
  SCAN_SEEN
};
static const char *scan_fields[] = {"bad_row", "bad_col", "bad_kind", "lo",   "hi",
                                    "mean",    "spread",  "square",   "seen", ""};

typedef struct {
  SEXP out;
  double *lo, *hi, *mean, *spread, *square, *seen;
} scan_result;

/* Unprotected. */
static scan_result scan_result_new(size_t p) {
  scan_result r = {.out = PROTECT(Rf_mkNamed(VECSXP, scan_fields))};
  SET_VECTOR_ELT(r.out, SCAN_ROW, Rf_ScalarReal(0));
  SET_VECTOR_ELT(r.out, SCAN_COLUMN, Rf_ScalarReal(0));
  SET_VECTOR_ELT(r.out, SCAN_KIND, Rf_mkString(""));
  double **part[] = {&r.lo, &r.hi, &r.mean, &r.spread, &r.square, &r.seen};
  for (int k = 0; k < 6; k++) {
    SET_VECTOR_ELT(r.out, SCAN_LO + k, Rf_allocVector(REALSXP, (R_xlen_t)p));
    *part[k] = REAL(VECTOR_ELT(r.out, SCAN_LO + k));
  }
  UNPROTECT(1);
  return r;
}

static void keep_scan(scan_result *r, size_t j, const feature_scan *found) {
  r->lo[j] = found->lo;
  r->hi[j] = found->hi;
  r->mean[j] = found->mean;
  r->spread[j] = found->spread;
  r->square[j] = found->square;
}

/* row, column: from 0. */
static void keep_bad(scan_result *r, size_t row, size_t column, double value) {
  const char *kind = R_IsNA(value) ? "NA" : ISNAN(value) ? "NaN" : value > 0 ? "Inf" : "-Inf";
  SET_VECTOR_ELT(r->out, SCAN_ROW, Rf_ScalarReal((double)row + 1));
  SET_VECTOR_ELT(r->out, SCAN_COLUMN, Rf_ScalarReal((double)column + 1));
  SET_VECTOR_ELT(r->out, SCAN_KIND, Rf_mkString(kind));
}

/* missing: may entries be NaN? */
SEXP scan_matrix(SEXP x, SEXP missing) {
  assert_double_matrix(x, "x");
  size_t n = (size_t)Rf_nrows(x), p = (size_t)Rf_ncols(x), bad = n;
  scan_result r = scan_result_new(p);
  PROTECT(r.out);
  for (size_t j = 0; j < p && bad == n; j++) {
    const double *column = REAL(x) + j * n;
    feature_scan found = {0};
    r.seen[j] = (double)n;
    bad = scan_column(column, n, &found);
    if (bad < n && Rf_asLogical(missing))
      bad = scan_incomplete_column(column, n, &found, &r.seen[j]);
    if (bad < n)
      keep_bad(&r, bad, j, column[bad]);
    else
      keep_scan(&r, j, &found);
    poll_user();
  }
  UNPROTECT(1);
  return r.out;
}

/* x v - offset (n x k), and the sum of squares of the rows of each domain. */
SEXP reduce_matrix(SEXP x, SEXP env, SEXP n_domains, SEXP v, SEXP offset, SEXP threads) {
  assert_double_matrix(x, "x");
  assert_double_matrix(v, "v");
  int m = Rf_asInteger(n_domains), k = Rf_ncols(v);
  assert_codes(env, m);
  if (XLENGTH(env) != Rf_nrows(x) || Rf_nrows(v) != Rf_ncols(x) || !Rf_isReal(offset) ||
      XLENGTH(offset) != k)
    Rf_error("internal error: x, env, v and offset do not fit one another");
  weighted_rows rows = {.x = REAL(x),
                        .n = (size_t)Rf_nrows(x),
                        .p = Rf_ncols(x),
                        .env = INTEGER(env),
                        .threads = threads_usable(Rf_asInteger(threads))};
  const char *fields[] = {"coordinates", "square", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *coordinates = put_matrix(out, "coordinates", rows.n, (size_t)k);
  put(out, "square", Rf_allocVector(REALSXP, m));
  reduce_rows(&rows, m, REAL(v), k, REAL(offset), coordinates, REAL(list_element(out, "square")),
              (double *)r_allocator(reduce_scratch(&rows, m), sizeof(double)));
  UNPROTECT(1);
  return out;
}

/* A sparse block: list of `n`, `p`, `by_row`, `start`, `index`, `value`. */
static sparse_rows sparse_from(SEXP x) {
  sparse_rows r = {
      .n = (size_t)list_int(x, "n"), .p = list_int(x, "p"), .by_row = list_int(x, "by_row")};
  size_t lines = r.by_row ? r.n : (size_t)r.p, others = r.by_row ? (size_t)r.p : r.n;
  r.start = list_integers(x, "start", lines + 1);
  size_t stored = (size_t)r.start[lines];
  r.index = list_integers(x, "index", stored);
  r.value = list_doubles(x, "value", stored);
  for (size_t line = 0; line < lines; line++)
    if (r.start[line] > r.start[line + 1])
      Rf_error("internal error: a sparse matrix whose pointers fall");
  for (size_t t = 0; t < stored; t++)
    if (r.index[t] < 0 || (size_t)r.index[t] >= others)
      Rf_error("internal error: a sparse matrix with an index out of range");
  return r;
}

/* Entries by row, without a copy by column. */
static void scan_by_row(const sparse_rows *rows, scan_result *r) {
  size_t p = (size_t)rows->p, stored = (size_t)rows->start[rows->n], row = 0;
  feature_scan *found = r_allocator(p, sizeof(feature_scan));
  size_t bad = scan_sparse_rows(rows->value, rows->index, stored, rows->n, p, found, r->seen);
  if (bad < stored) {
    while ((size_t)rows->start[row + 1] <= bad)
      row++;
    keep_bad(r, row, (size_t)rows->index[bad], rows->value[bad]);
  }
  for (size_t j = 0; bad == stored && j < p; j++) {
    keep_scan(r, j, &found[j]);
    r->seen[j] = (double)rows->n;
  }
}

SEXP scan_sparse(SEXP x) {
  sparse_rows rows = sparse_from(x);
  scan_result r = scan_result_new((size_t)rows.p);
  PROTECT(r.out);
  if (rows.by_row)
    scan_by_row(&rows, &r);
  for (size_t j = 0; !rows.by_row && j < (size_t)rows.p; j++) {
    size_t from = (size_t)rows.start[j], stored = (size_t)rows.start[j + 1] - from;
    feature_scan found = {0};
    size_t bad = scan_sparse_column(rows.value + from, stored, rows.n, &found);
    if (bad < stored) {
      keep_bad(&r, (size_t)rows.index[from + bad], j, rows.value[from + bad]);
      break;
    }
    keep_scan(&r, j, &found);
    r.seen[j] = (double)rows.n;
    poll_user();
  }
  UNPROTECT(1);
  return r.out;
}

/* As reduce_matrix(). */
SEXP reduce_sparse(SEXP x, SEXP env, SEXP n_domains, SEXP v, SEXP offset, SEXP counted) {
  sparse_rows r = sparse_from(x);
  assert_double_matrix(v, "v");
  int m = Rf_asInteger(n_domains), k = Rf_ncols(v);
  assert_codes(env, m);
  if ((size_t)XLENGTH(env) != r.n || Rf_nrows(v) != r.p || !Rf_isReal(offset) ||
      XLENGTH(offset) != k)
    Rf_error("internal error: x, env, v and offset do not fit one another");
  if (!Rf_isNull(counted) && (!Rf_isLogical(counted) || XLENGTH(counted) != r.p))
    Rf_error("internal error: counted must hold one logical for each column of x");
  const int *columns = Rf_isNull(counted) ? NULL : LOGICAL(counted);
  const char *fields[] = {"coordinates", "square", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  size_t wide = (size_t)k, p = (size_t)r.p;
  double *coordinates = put_matrix(out, "coordinates", r.n, wide);
  SET_VECTOR_ELT(out, 1, Rf_allocVector(REALSXP, m));
  double *turned = r_allocator(p * wide, sizeof(double));
  double *product = r_allocator(r.n * (wide > 0 ? wide : 1), sizeof(double));
  sparse_squares(&r, INTEGER(env), m, columns, REAL(VECTOR_ELT(out, 1)), product);
  sparse_turned(REAL(v), p, wide, turned);
  sparse_times(&r, turned, k, product);
  sparse_shift(product, r.n, k, REAL(offset), coordinates);
  UNPROTECT(1);
  return out;
}

/* sum omega x (x - mean)'v over the rows of a sparse block. */
SEXP sparse_times_moments(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP v) {
  assert_double_matrix(v, "v");
  assert_codes(env, Rf_length(omega));
  int p = Rf_nrows(v), k = Rf_ncols(v);
  if (!Rf_isNull(mean) && (!Rf_isReal(mean) || XLENGTH(mean) != p))
    Rf_error("internal error: mean must hold one number for each column of x");
  const double *about = Rf_isNull(mean) ? NULL : REAL(mean);
  SEXP out = PROTECT(Rf_allocMatrix(REALSXP, p, k));
  sparse_rows r = sparse_from(x);
  if (r.p != p || (size_t)XLENGTH(env) != r.n)
    Rf_error("internal error: x, env and v do not fit one another");
  double *scratch = r_allocator((size_t)k * (r.n + 2 * (size_t)p), sizeof(double));
  sparse_moments_times(&r, INTEGER(env), REAL(omega), about, REAL(v), k, REAL(out), scratch);
  UNPROTECT(1);
  return out;
}

/* sum omega x (p) over the rows of a sparse block, or sum omega x^2. */
SEXP sparse_sums(SEXP x, SEXP env, SEXP omega, SEXP squared) {
  sparse_rows r = sparse_from(x);
  assert_codes(env, Rf_length(omega));
  if ((size_t)XLENGTH(env) != r.n)
    Rf_error("internal error: x and env do not fit one another");
  double *weight = r_allocator(r.n, sizeof(double));
  for (size_t i = 0; i < r.n; i++)
    weight[i] = REAL(omega)[INTEGER(env)[i] - 1];
  SEXP out = PROTECT(Rf_allocVector(REALSXP, r.p));
  sparse_feature_sums(&r, weight, Rf_asLogical(squared), REAL(out));
  UNPROTECT(1);
  return out;
}
