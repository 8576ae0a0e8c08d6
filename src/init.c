/* Registration of the routines that R calls. */
#include "entries.h"
#include "workspace.h"

#include <R_ext/Rdynload.h>

#define CALLDEF(name, n)                                                                           \
  { #name, (DL_FUNC)&name, n }

/* clang-format off: a line each, for the sake of merges */
static const R_CallMethodDef call_entries[] = {
    CALLDEF(core_limits, 0),
    CALLDEF(allocated_bytes, 0),
    CALLDEF(scan_matrix, 2),
    CALLDEF(reduce_matrix, 6),
    CALLDEF(scan_sparse, 1),
    CALLDEF(sparse_sums, 4),
    CALLDEF(reduce_sparse, 6),
    CALLDEF(sparse_times_moments, 5),
    CALLDEF(matrix_times_moments, 6),
    CALLDEF(fit_cost, 6),
    CALLDEF(score_is_joint, 1),
    CALLDEF(em_fit, 8),
    CALLDEF(estep, 6),
    CALLDEF(domain_moments, 3),
    CALLDEF(rotation_starts, 7),
    CALLDEF(unmixing_starts, 8),
    CALLDEF(unmixing_value, 6),
    CALLDEF(rotation_refine, 7),
    CALLDEF(saem_fit, 8),
    CALLDEF(saem_bytes, 5),
    CALLDEF(latent_draws, 7),
    CALLDEF(target_moments, 7),
    CALLDEF(gaussian_fit, 6),
    CALLDEF(gaussian_bytes, 3),
    CALLDEF(gaussian_rows, 6),
    CALLDEF(bspline_basis, 5),
    CALLDEF(score_fit, 7),
    CALLDEF(smoothing_fit, 7),
    CALLDEF(polar_factor, 1),
    CALLDEF(mixing_update, 4),
    CALLDEF(shrinkage, 4),
    CALLDEF(bayes_latents, 9),
    CALLDEF(bayes_chains, 8),
    CALLDEF(philox_words, 2),
    CALLDEF(row_errors, 4),
    CALLDEF(latent_signs_of, 5),
    CALLDEF(row_risks, 4),
    CALLDEF(fold_rows, 4),
    CALLDEF(held_out_losses, 6),
    CALLDEF(loss_means, 4),
    CALLDEF(rotation_at, 6),
    CALLDEF(feature_moments, 4),
    CALLDEF(moment_matrix, 5),
    CALLDEF(factor_domains_model, 5),
    CALLDEF(factor_fit_model, 3),
    CALLDEF(leading_moments, 3),
    CALLDEF(discover_profile, 5),
    CALLDEF(discover_marginal, 5),
    CALLDEF(discover_value, 6),
    CALLDEF(random_rotation, 3),
    CALLDEF(factor_missing_model, 5),
    CALLDEF(row_noise_coordinates, 4),
    CALLDEF(row_noise_turned, 2),
    CALLDEF(row_noise_step, 6),
    CALLDEF(row_noise_posterior, 6),
    CALLDEF(edge_losses, 6),
    CALLDEF(draw_ratios, 6),
    CALLDEF(set_heartbeat, 1),
    {NULL, NULL, 0},
};
/* clang-format on */

void R_init_ebcrl(DllInfo *dll) {
  R_registerRoutines(dll, NULL, call_entries, NULL, NULL);
  R_useDynamicSymbols(dll, FALSE);
  R_forceSymbols(dll, TRUE);
  threads_watch_forks();
}
