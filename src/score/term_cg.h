/* Conjugate gradients for a term system.
 *
 * A product with the Gram matrix is a pass over the rows: outputs from coefficients, and back. The
 * preconditioner is the factor of the whole matrix (SOLVER_CHOLESKY); or the block of each term
 * with itself, factored as a band: terms of a cell overlap, but what makes the equations stiff,
 * many rows here and none there, a term does to itself. Where a band is too large (terms of four
 * coordinates), the term is treated as if its coordinates were independent and uniform: the Gram
 * matrix is then a sum of matrices on one coordinate each, as the penalty is (kronecker.h).
 */
#ifndef EBCRL_TERM_CG_H
#define EBCRL_TERM_CG_H

#include "term_design.h"

/* The solver's memory, and t->stiffness. */
term_cg *term_cg_new(term_system *t, const score_model *m, allocator alloc);
double term_cg_bytes(const term_system *t, const score_model *m);

/* Multiplications of the factorisation of a term's band, and of a step of the preconditioner. */
double term_cg_flops(const family *f, int n_basis, double *step);

/* Solves, given t->rhs, t->trace, t->ridge and with SOLVER_CHOLESKY t->matrix, factored: from its
 * solution on, else from t->theta. */
int term_cg_solve(score_model *m, const latent_sample *s, term_system *t);

/* Whether a term is taken as uniform. */
int term_cg_is_uniform(const family *f, int n_basis);

#endif
