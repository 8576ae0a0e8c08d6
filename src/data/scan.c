#include "scan.h"

#include <math.h>

/* Sums go in so many lanes, since one would wait for the last addition at every entry. */
enum { LANES = 4 };

static size_t first_bad(const double *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i]))
      return i;
  return n;
}

static double lane_total(const double *lane) {
  return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

static void sums_of(const double *x, size_t n, double about, double *sum, double *square) {
  double first[LANES] = {0}, second[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) {
      double v = x[i + (size_t)l] - about;
      first[l] += v;
      second[l] += v * v;
    }
  for (int l = 0; i < n; i++, l++) {
    double v = x[i] - about;
    first[l] += v;
    second[l] += v * v;
  }
  *sum = lane_total(first);
  *square = lane_total(second);
}

static void ends_of(const double *x, size_t n, double *lo, double *hi) {
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    least = x[i] < least ? x[i] : least;
    most = x[i] > most ? x[i] : most;
  }
  *lo = least;
  *hi = most;
}

size_t scan_column(const double *x, size_t n, feature_scan *out) {
  double sum, rest;
  sums_of(x, n, 0, &sum, &out->square);
  if (!isfinite(out->square)) { /* an entry is not finite, or squares overflow */
    size_t bad = first_bad(x, n);
    if (bad < n)
      return bad;
  }
  ends_of(x, n, &out->lo, &out->hi);
  out->mean = sum / (double)n;
  sums_of(x, n, out->mean, &rest, &out->spread);
  return n;
}

size_t scan_sparse_column(const double *x, size_t n_stored, size_t n, feature_scan *out) {
  double sum, rest, zeros = (double)(n - n_stored);
  size_t bad = first_bad(x, n_stored);
  if (bad < n_stored)
    return bad;
  sums_of(x, n_stored, 0, &sum, &out->square);
  ends_of(x, n_stored, &out->lo, &out->hi);
  if (n_stored < n) {
    out->lo = fmin(out->lo, 0);
    out->hi = fmax(out->hi, 0);
  }
  out->mean = sum / (double)n;
  sums_of(x, n_stored, out->mean, &rest, &out->spread);
  out->spread += zeros * out->mean * out->mean;
  return n_stored;
}

size_t scan_sparse_rows(const double *x, const int *index, size_t n_stored, size_t n, size_t p,
                        feature_scan *out, double *stored) {
  size_t bad = first_bad(x, n_stored);
  if (bad < n_stored)
    return bad;
  for (size_t j = 0; j < p; j++) {
    out[j] = (feature_scan){.lo = INFINITY, .hi = -INFINITY};
    stored[j] = 0;
  }
  for (size_t t = 0; t < n_stored; t++) {
    feature_scan *f = out + index[t];
    f->lo = fmin(f->lo, x[t]);
    f->hi = fmax(f->hi, x[t]);
    f->mean += x[t];
    f->square += x[t] * x[t];
    stored[index[t]]++;
  }
  for (size_t j = 0; j < p; j++) {
    double zeros = (double)n - stored[j];
    if (zeros > 0) {
      out[j].lo = fmin(out[j].lo, 0);
      out[j].hi = fmax(out[j].hi, 0);
    }
    out[j].mean /= (double)n;
    out[j].spread = zeros * out[j].mean * out[j].mean;
  }
  for (size_t t = 0; t < n_stored; t++) {
    feature_scan *f = out + index[t];
    f->spread += (x[t] - f->mean) * (x[t] - f->mean);
  }
  return n_stored;
}

size_t scan_incomplete_column(const double *x, size_t n, feature_scan *out, double *seen) {
  double count = 0, sum = 0;
  *out = (feature_scan){.lo = INFINITY, .hi = -INFINITY};
  for (size_t i = 0; i < n; i++) {
    if (isnan(x[i]))
      continue;
    if (isinf(x[i]))
      return i;
    out->lo = fmin(out->lo, x[i]);
    out->hi = fmax(out->hi, x[i]);
    sum += x[i];
    out->square += x[i] * x[i];
    count++;
  }
  out->mean = count > 0 ? sum / count : 0;
  for (size_t i = 0; i < n; i++)
    if (!isnan(x[i]))
      out->spread += (x[i] - out->mean) * (x[i] - out->mean);
  *seen = count;
  return n;
}
