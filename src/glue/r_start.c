/* Glue for the interventional start. */
#include "entries.h"
#include "r_util.h"
#include "refine.h"
#include "rotation.h"
#include "second_moments.h"
#include "unmixing.h"

#include <string.h>

/* Per domain: rows, mean (d) and second-moment matrix (d x d) of y (n x d). */
SEXP domain_moments(SEXP y, SEXP env, SEXP n_domains) {
  assert_double_matrix(y, "y");
  size_t n = (size_t)Rf_nrows(y), d = (size_t)Rf_ncols(y);
  int m = Rf_asInteger(n_domains);
  assert_codes(env, m);
  if ((size_t)XLENGTH(env) != n)
    Rf_error("internal error: y and env have different numbers of rows");
  const char *fields[] = {"n", "mean", "second", ""};
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "n", Rf_allocVector(REALSXP, m));
  put(out, "mean", Rf_allocMatrix(REALSXP, (int)d, m));
  put(out, "second", Rf_alloc3DArray(REALSXP, (int)d, (int)d, m));
  second_moments_by_domain(REAL(y), n, (int)d, INTEGER(env), m, REAL(list_element(out, "n")),
                           REAL(list_element(out, "mean")), REAL(list_element(out, "second")));
  UNPROTECT(1);
  return out;
}

/* cov: d x d x cells; coord: list over cells of coordinates from 1, the node first. */
static rotation_cell *cells_from(SEXP cov, SEXP weight, SEXP coord, int d) {
  int n_cells = Rf_length(coord);
  rotation_cell *cell = (rotation_cell *)R_alloc((size_t)n_cells, sizeof(rotation_cell));
  for (int k = 0; k < n_cells; k++) {
    SEXP from = VECTOR_ELT(coord, k);
    int *family = (int *)R_alloc((size_t)Rf_length(from), sizeof(int));
    for (int q = 0; q < Rf_length(from); q++) {
      family[q] = INTEGER(from)[q] - 1;
      if (family[q] < 0 || family[q] >= d)
        Rf_error("internal error: a coordinate is no latent");
    }
    rotation_cell c = {Rf_length(from), family, REAL(weight)[k],
                       REAL(cov) + (size_t)k * (size_t)d * (size_t)d};
    cell[k] = c;
  }
  return cell;
}

static rotation_problem rotation_from(SEXP cov, SEXP weight, SEXP coord, SEXP variance_floor) {
  int d = INTEGER(Rf_getAttrib(cov, R_DimSymbol))[0];
  rotation_problem p = {.d = d,
                        .n_cells = Rf_length(coord),
                        .cell = cells_from(cov, weight, coord, d),
                        .variance_floor = Rf_asReal(variance_floor)};
  return p;
}

/* Descends from the identity and from starts - 1 random rotations. `rise` (d x d x starts): of F
 * over turns by `turn` radians in the plane of two latents, see rotation_rises(). */
SEXP rotation_starts(SEXP cov, SEXP weight, SEXP coord, SEXP variance_floor, SEXP starts, SEXP seed,
                     SEXP turn) {
  const char *fields[] = {"rotation", "objective", "rise", ""};
  rotation_problem p = rotation_from(cov, weight, coord, variance_floor);
  int d = p.d, n_starts = Rf_asInteger(starts);
  size_t square = (size_t)d * (size_t)d;
  rotation_work w = rotation_work_new(&p, r_allocator);
  double *normals = (double *)R_alloc(square, sizeof(double));
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "rotation", Rf_alloc3DArray(REALSXP, d, d, n_starts));
  put(out, "objective", Rf_allocVector(REALSXP, n_starts));
  put(out, "rise", Rf_alloc3DArray(REALSXP, d, d, n_starts));
  for (int s = 0; s < n_starts; s++) {
    double *r = REAL(list_element(out, "rotation")) + (size_t)s * square;
    memset(r, 0, square * sizeof(double));
    for (int j = 0; s == 0 && j < d; j++)
      r[j + j * d] = 1;
    if (s > 0)
      rotation_random(r, d, (uint64_t)Rf_asReal(seed), (uint32_t)s, normals);
    REAL(list_element(out, "objective"))[s] = rotation_descend(&p, &w, r, 1e-10, 200, poll_user);
    rotation_rises(&p, &w, r, Rf_asReal(turn),
                   REAL(list_element(out, "rise")) + (size_t)s * square);
    step_done();
  }
  UNPROTECT(1);
  return out;
}

/* Objective and rise, as of rotation_starts(), at rotations (d x d x k). */
SEXP rotation_at(SEXP cov, SEXP weight, SEXP coord, SEXP variance_floor, SEXP rotations,
                 SEXP turn) {
  const char *fields[] = {"objective", "rise", ""};
  rotation_problem p = rotation_from(cov, weight, coord, variance_floor);
  int k = INTEGER(Rf_getAttrib(rotations, R_DimSymbol))[2];
  size_t square = (size_t)p.d * (size_t)p.d;
  rotation_work w = rotation_work_new(&p, r_allocator);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "objective", Rf_allocVector(REALSXP, k));
  put(out, "rise", Rf_alloc3DArray(REALSXP, p.d, p.d, k));
  for (int s = 0; s < k; s++) {
    const double *r = REAL(rotations) + (size_t)s * square;
    REAL(list_element(out, "objective"))[s] = rotation_objective(&p, &w, r);
    rotation_rises(&p, &w, r, Rf_asReal(turn),
                   REAL(list_element(out, "rise")) + (size_t)s * square);
  }
  UNPROTECT(1);
  return out;
}

static unmixing_problem unmixing_from(SEXP cov, SEXP weight, SEXP coord, SEXP noise,
                                      SEXP variance_floor) {
  int d = INTEGER(Rf_getAttrib(cov, R_DimSymbol))[0];
  unmixing_problem p = {.d = d,
                        .n_cells = Rf_length(coord),
                        .cell = cells_from(cov, weight, coord, d),
                        .noise = REAL(noise),
                        .variance_floor = Rf_asReal(variance_floor),
                        .poll = poll_user};
  for (int k = 0; k < p.n_cells; k++)
    p.n += p.cell[k].weight / d;
  return p;
}

/* Descends from `first` (d x d, a column a latent) and from starts - 1 random rotations. */
SEXP unmixing_starts(SEXP cov, SEXP weight, SEXP coord, SEXP noise, SEXP variance_floor, SEXP first,
                     SEXP starts, SEXP seed) {
  const char *fields[] = {"directions", "objective", "converged", ""};
  assert_double_matrix(first, "first");
  unmixing_problem p = unmixing_from(cov, weight, coord, noise, variance_floor);
  unmixing_work w = unmixing_work_new(&p, r_allocator);
  size_t square = (size_t)p.d * (size_t)p.d;
  int n_starts = Rf_asInteger(starts);
  double *normals = (double *)R_alloc(square, sizeof(double));
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "directions", Rf_alloc3DArray(REALSXP, p.d, p.d, n_starts));
  put(out, "objective", Rf_allocVector(REALSXP, n_starts));
  put(out, "converged", Rf_allocVector(LGLSXP, n_starts));
  for (int s = 0; s < n_starts; s++) {
    double *directions = REAL(list_element(out, "directions")) + (size_t)s * square;
    if (s == 0)
      memcpy(directions, REAL(first), square * sizeof(double));
    else
      rotation_random(directions, p.d, (uint64_t)Rf_asReal(seed), (uint32_t)s, normals);
    const void *before = vmaxget(); /* BFGS takes its work space from R_alloc */
    REAL(list_element(out, "objective"))
    [s] =
        unmixing_descend(&w, directions, 1000, 1e-12, LOGICAL(list_element(out, "converged")) + s);
    vmaxset(before);
    step_done();
  }
  UNPROTECT(1);
  return out;
}

/* F and its gradient at `directions`. */
SEXP unmixing_value(SEXP cov, SEXP weight, SEXP coord, SEXP noise, SEXP variance_floor,
                    SEXP directions) {
  const char *fields[] = {"objective", "gradient", ""};
  assert_double_matrix(directions, "directions");
  unmixing_problem p = unmixing_from(cov, weight, coord, noise, variance_floor);
  unmixing_work w = unmixing_work_new(&p, r_allocator);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  put(out, "gradient", Rf_allocMatrix(REALSXP, p.d, p.d));
  double value = unmixing_objective(&w, REAL(directions), REAL(list_element(out, "gradient")));
  put_number(out, "objective", value);
  UNPROTECT(1);
  return out;
}

/* The noise of principal coordinates: a number sigma2, or a d x d covariance. */
static projection_noise noise_from(SEXP noise, int d) {
  if (XLENGTH(noise) == 1) {
    projection_noise isotropic = {Rf_asReal(noise), NULL, NULL};
    return isotropic;
  }
  if (!Rf_isReal(noise) || XLENGTH(noise) != (R_xlen_t)d * d)
    Rf_error("internal error: noise must be a number or a d x d matrix");
  projection_noise full = {1, NULL, REAL(noise)};
  return full;
}

/* Of the settings, `lambda` is a number or a d x d matrix (parent, node), `focus` (d integers of 0
 * and 1) may be missing. */
static refine_settings refine_settings_from(SEXP settings, int d) {
  SEXP lambda = list_element(settings, "lambda"), focus = optional_element(settings, "focus");
  if (!Rf_isReal(lambda) || (XLENGTH(lambda) != 1 && XLENGTH(lambda) != (R_xlen_t)d * d) ||
      (focus != R_NilValue && (!Rf_isInteger(focus) || XLENGTH(focus) != d)))
    Rf_error("internal error: lambda or focus does not fit the graph");
  refine_settings set = {.knots = list_count(settings, "knots", 2),
                         .lambda = REAL(lambda)[0],
                         .edge_lambda = XLENGTH(lambda) > 1 ? REAL(lambda) : NULL,
                         .focus = focus == R_NilValue ? NULL : INTEGER(focus),
                         .variance_floor = list_number(settings, "variance_floor"),
                         .width = list_number(settings, "width"),
                         .tol = 1e-7,
                         .first_sweep = list_int(settings, "first_sweep"),
                         .max_sweeps = list_int(settings, "max_sweeps"),
                         .threads = list_threads(settings),
                         .poll = poll_user};
  return set;
}

/* Refines a rotation (d x d) of y (n x d, principal coordinates) with spline mechanisms. */
SEXP rotation_refine(SEXP y, SEXP rotation, SEXP env, SEXP targets, SEXP omega, SEXP parents,
                     SEXP settings) {
  assert_double_matrix(y, "y");
  assert_double_matrix(rotation, "rotation");
  const char *fields[] = {"rotation", "objective", "indefinite", "fitted", "floored", ""};
  latent_sample s = sample_from(env, targets, omega);
  size_t d = (size_t)s.d;
  if ((size_t)XLENGTH(y) != s.n * d || (size_t)XLENGTH(rotation) != d * d)
    Rf_error("internal error: y or the rotation does not fit env");
  causal_graph graph = graph_from(parents, s.d, list_int(settings, "perfect"));
  projection_noise noise = noise_from(list_element(settings, "noise"), s.d);
  refine_settings set = refine_settings_from(settings, s.d);
  refinement f = refine_new(&s, &graph, &set, r_allocator);
  SEXP out = PROTECT(Rf_mkNamed(VECSXP, fields));
  double *r = put_copy(out, "rotation", rotation);
  refine_start(&f, REAL(y), r, &noise);
  put_number(out, "objective", refine_rotation(&f, r));
  put_int(out, "indefinite", refine_counts(&f).indefinite);
  put_int(out, "fitted", refine_counts(&f).fitted);
  put_int(out, "floored", refine_counts(&f).floored);
  UNPROTECT(1);
  return out;
}
