/* Fits of term systems (term_design.h): which solver, its memory, and the solution. */
#ifndef EBCRL_TERM_SYSTEM_H
#define EBCRL_TERM_SYSTEM_H

#include "term_design.h"

/* The system of n_cell cells (those without rows are left out), its solver and cost; no memory for
 * its matrix. */
term_system *term_system_plan(const score_model *m, const latent_sample *s, design_kind design,
                              const int *cell, int n_cell, allocator alloc);

void term_system_allocate(term_system *t, const score_model *m, allocator alloc);

/* Solves the equations of the rows: theta. */
int term_system_solve(score_model *m, const latent_sample *s, term_system *t);

/* Fits all term systems of a model. */
int term_system_fit_all(score_model *m, const latent_sample *s);

#endif
