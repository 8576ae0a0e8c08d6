/* Every routine R can call, in one place: init.c registers exactly these. */
#ifndef EBCRL_ENTRIES_H
#define EBCRL_ENTRIES_H

#include <R.h>
#include <Rinternals.h>

/* r_rows.c: the passes over the rows */
SEXP scan_matrix(SEXP x, SEXP missing);
SEXP reduce_matrix(SEXP x, SEXP env, SEXP n_domains, SEXP v, SEXP offset, SEXP threads);
SEXP scan_sparse(SEXP x);
SEXP sparse_sums(SEXP x, SEXP env, SEXP omega, SEXP squared);
SEXP reduce_sparse(SEXP x, SEXP env, SEXP n_domains, SEXP v, SEXP offset, SEXP counted);
SEXP sparse_times_moments(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP v);
SEXP matrix_times_moments(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP v, SEXP threads);

/* r_fit.c: the fit and what is read off it */
SEXP score_is_joint(SEXP name);
SEXP fit_cost(SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP n_features, SEXP control);
SEXP em_fit(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP init, SEXP control,
            SEXP progress);
SEXP estep(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP model, SEXP control);

/* r_util.c: the function of R that shows progress */
SEXP set_heartbeat(SEXP f);

/* r_start.c: the interventional start */
SEXP domain_moments(SEXP y, SEXP env, SEXP n_domains);
SEXP rotation_starts(SEXP cov, SEXP weight, SEXP coord, SEXP variance_floor, SEXP starts, SEXP seed,
                     SEXP turn);
SEXP rotation_at(SEXP cov, SEXP weight, SEXP coord, SEXP variance_floor, SEXP rotations, SEXP turn);
SEXP unmixing_starts(SEXP cov, SEXP weight, SEXP coord, SEXP noise, SEXP variance_floor, SEXP first,
                     SEXP starts, SEXP seed);
SEXP unmixing_value(SEXP cov, SEXP weight, SEXP coord, SEXP noise, SEXP variance_floor,
                    SEXP directions);
SEXP rotation_refine(SEXP y, SEXP rotation, SEXP env, SEXP targets, SEXP omega, SEXP parents,
                     SEXP settings);

/* r_saem.c: g-modeling */
SEXP saem_fit(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP init, SEXP control,
              SEXP progress);
SEXP saem_bytes(SEXP n_rows, SEXP n_features, SEXP n_domains, SEXP parents, SEXP control);
SEXP latent_draws(SEXP projected, SEXP latents, SEXP env, SEXP targets, SEXP parents, SEXP model,
                  SEXP control);

/* r_gaussian.c: g-modeling with Gaussian priors */
SEXP target_moments(SEXP x, SEXP y, SEXP env, SEXP targets, SEXP omega, SEXP group, SEXP threads);
SEXP gaussian_fit(SEXP moments, SEXP targets, SEXP parents, SEXP init, SEXP control, SEXP progress);
SEXP gaussian_bytes(SEXP q, SEXP d, SEXP n_groups);
SEXP gaussian_rows(SEXP x, SEXP env, SEXP targets, SEXP parents, SEXP model, SEXP control);

/* r_kernels.c: kernels by themselves, for the tests */
SEXP bspline_basis(SEXP y, SEXP range, SEXP knots, SEXP deriv, SEXP curved);
SEXP score_fit(SEXP y, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP control,
               SEXP reference);
SEXP smoothing_fit(SEXP y, SEXP env, SEXP targets, SEXP parents, SEXP omega, SEXP scale,
                   SEXP control);
SEXP polar_factor(SEXP m);
SEXP mixing_update(SEXP m, SEXP second, SEXP scale, SEXP mixing);
SEXP shrinkage(SEXP rows, SEXP spectrum, SEXP gap, SEXP kappa);

/* r_scm.c: the structural causal model, its Bayes optimum, random numbers */
SEXP bayes_latents(SEXP y, SEXP env, SEXP targets, SEXP scm, SEXP sigma2, SEXP coef, SEXP draws,
                   SEXP seed, SEXP threads);
SEXP bayes_chains(SEXP projected, SEXP start, SEXP env, SEXP targets, SEXP scm, SEXP gram,
                  SEXP sigma2, SEXP settings);
SEXP philox_words(SEXP counter, SEXP key);

/* r_metrics.c: errors against a known truth */
SEXP row_errors(SEXP estimate, SEXP truth, SEXP env, SEXP n_domains);
SEXP latent_signs_of(SEXP latents, SEXP mixing, SEXP env, SEXP targets, SEXP wanted);
SEXP row_risks(SEXP mean, SEXP sd, SEXP y, SEXP correction);

/* r_compare.c: held-out losses */
SEXP fold_rows(SEXP env, SEXP n_domains, SEXP n_folds, SEXP seed);
SEXP held_out_losses(SEXP x, SEXP step, SEXP length, SEXP noise, SEXP sigma2, SEXP eta);
SEXP loss_means(SEXP losses, SEXP env, SEXP weights, SEXP reference);

/* r_measure.c: the measurement model */
SEXP feature_moments(SEXP x, SEXP env, SEXP omega, SEXP threads);
SEXP moment_matrix(SEXP x, SEXP env, SEXP omega, SEXP mean, SEXP threads);
SEXP factor_domains_model(SEXP moments, SEXP targets, SEXP parents, SEXP start, SEXP settings);
SEXP factor_fit_model(SEXP moments, SEXP psi, SEXP settings);
SEXP leading_moments(SEXP moments, SEXP scale, SEXP settings);
SEXP factor_missing_model(SEXP x, SEXP env, SEXP omega, SEXP start, SEXP settings);
SEXP row_noise_coordinates(SEXP x, SEXP mean, SEXP psi, SEXP span);
SEXP row_noise_turned(SEXP noise, SEXP turn);
SEXP row_noise_step(SEXP y, SEXP noise, SEXP common, SEXP score, SEXP dscore, SEXP at);
SEXP row_noise_posterior(SEXP y, SEXP noise, SEXP common, SEXP score, SEXP dscore, SEXP eta);

/* r_discover.c: graphs and targets that are not known */
SEXP discover_profile(SEXP summary, SEXP dags, SEXP targets, SEXP columns, SEXP settings);
SEXP discover_marginal(SEXP summary, SEXP dags, SEXP targets, SEXP columns, SEXP settings);
SEXP discover_value(SEXP summary, SEXP dag, SEXP targets, SEXP columns, SEXP settings, SEXP step);
SEXP random_rotation(SEXP d, SEXP seed, SEXP draw);
SEXP edge_losses(SEXP draws, SEXP env, SEXP targets, SEXP range, SEXP mechanism, SEXP settings);
SEXP draw_ratios(SEXP draws, SEXP env, SEXP from, SEXP to, SEXP turn, SEXP knots);
SEXP core_limits(void);
SEXP allocated_bytes(void);

#endif
