/* Glue: the passes over the rows. */
#include "entries.h"
#include "r_util.h"
#include "reduce.h"
#include "scan.h"

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
