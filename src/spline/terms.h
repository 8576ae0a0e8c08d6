/* Terms: the tensor blocks whose sum is the spline of a family.
 *
 * phi'theta of a family is a sum over its terms, each a tensor product over some of the family's
 * coordinates (family.h), the node always among them:
 *   tensor     one term, all coordinates: K^q coefficients
 *   pairwise   a term for each pair of parents
 *   additive   a term for each parent
 * A family with no more parents than a term takes is one term. Terms overlap: a function of the
 * node alone is in each of them, so that only the sum is identified (term_system.h).
 */
#ifndef EBCRL_TERMS_H
#define EBCRL_TERMS_H

#include "family.h"

typedef enum {
  INTERACTION_TENSOR = 0,
  INTERACTION_PAIRWISE = 1,
  INTERACTION_ADDITIVE = 2
} interaction_kind;

/* Coordinates of a term of a family of n_coord, and how many terms there are. */
int term_size(interaction_kind kind, int n_coord);
int term_count(interaction_kind kind, int n_coord);

/* The terms (term_count of them) of the family coord: the node, then its parents. */
family *terms_new(interaction_kind kind, const int *coord, int n_coord, int n_basis,
                  allocator alloc);

/* What is computed of theta'phi at a row: each includes those before it. */
typedef enum { JET_VALUE, JET_GRADIENT, JET_LAPLACIAN, JET_HESSIAN } jet_order;

/* Derivatives in the term's own coordinates. */
typedef struct {
  double value, gradient[MAX_COORD];
  double second[MAX_COORD][MAX_COORD]; /* [k][l], l <= k; k = l alone for JET_LAPLACIAN */
} jet;

/* Doubles of work that term_jet() and term_add() need. */
size_t term_jet_size(int max_coord);

/* theta: the term's coefficients, from its first. */
void term_jet(const family *f, const basis_block *b, int row, const double *theta, jet_order order,
              double *work, jet *out);

/* to (the term's coefficients, from its first) += value phi + sum_k slope_k d_k phi of a row: what
 * takes weights of value and gradient back to coefficients. slope: NULL, or one a coordinate. */
void term_add(const family *f, const basis_block *b, int row, double value, const double *slope,
              double *work, double *to);

/* What takes the place of a coordinate's values in a product of them. */
typedef enum { BY_VALUE, BY_SLOPE, BY_CURVE } basis_part;

/* phi, 4^q local features of a row, with the given part of coordinate k (-1: of none). */
INLINE void term_features(const family *f, const basis_block *b, int row, int k, basis_part part,
                          double *phi) {
  size_t length = 1;
  phi[0] = 1;
  for (int l = 0; l < f->n_coord; l++, length *= ORDER) {
    basis_part of = l == k ? part : BY_VALUE;
    const double *v = of == BY_VALUE ? b->value : (of == BY_SLOPE ? b->slope : b->curve);
    outer_product(phi, length, v + family_basis_at(f, l, row));
  }
}

/* Scratch of a thread. */
typedef struct {
  double *features[2]; /* outputs x 4^q, of two terms */
  double *run;         /* 4^q */
  double *jet;         /* term_jet_size() */
  double *rows;        /* 2 x d x BLOCK_ROWS: gathered pseudo-latents, outputs, or scores */
  double *loss;        /* 2 d */
  int *row;            /* BLOCK_ROWS: the rows gathered */
} term_work;

term_work term_work_new(int d, int max_coord, allocator alloc);
double term_work_bytes(int d, int max_coord);

#endif
