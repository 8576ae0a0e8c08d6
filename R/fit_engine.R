# What an engine has to know how to do, by class: what reads a fit asks these, never which method or
# prior it is of. A prior is one file, R/prior_<name>.R, with its constructor, these methods, and one
# entry in PRIORS.
#
#   of a prior (before there is a fit)
#     run_engine()          the fit of checked data                          -> a crl_fit
#     least_rows()          rows that each (node, state) needs               -> number, or NULL
#     start_prior()         spline mechanisms of starts that take draws      -> a prior_spline
#     has_measurement()     means, noise by feature, nuisance beside it?     -> flag
#   of a fit
#     posterior_of()        latents of other rows                            -> list, see estep()
#     posterior_sample()    draws of the latents of its rows                 -> list of `draws`
#     continue_fit()        further iterations                               -> a crl_fit
#     carried_chains()      what SAEM goes on from                           -> list, or NULL
#     mechanism_fit()       the g fit of the coordinates that has the mechanisms
#     describe_engine()     model, in lines
#     describe_verdict(), describe_convergence()   how it went, short and whole
#     fit_notes()           what a reader has to know
#     engine_glance()       columns of glance() of its own                   -> tibble of one row
#     plot_convergence()
#     mechanism_slopes()    intercepts and slopes                            -> tibble
#     has_state()           were there rows with this node in this state?
#     check_engine()        its parts, where a user may have edited them
#   of fitted mechanisms (`prior` of a g fit)
#     parent_effect()       what a parent adds to the mean of a node
#     cell_constant()       what does not depend on parents
#     acts_on()             do parents act on this (node, state)?
#     turned()              the same for latents with other signs
#     rescaled()            the same for latents in other units
#
# Cells, a node in a state, are numbered by cell_of() (R/data_states.R).

#' The class of a fit
#' @noRd
fit_class <- function(method, prior) {
  if (method == "f") {
    return(c("crl_fit_f", "crl_fit"))
  }
  c(paste0("crl_fit_g_", sub("^prior_", "", setdiff(class(prior), "crl_prior"))), "crl_fit_g",
    "crl_fit")
}

#' "f", "spline", "linear" or "normal"
#' @noRd
fit_kind <- function(fit) {
  sub("^crl_fit_(g_)?", "", class(fit)[1L])
}

#' @noRd
run_engine <- function(prior, data, init, control, call, error_call) UseMethod("run_engine")

#' @noRd
least_rows <- function(prior) UseMethod("least_rows")

#' @noRd
least_rows.crl_prior <- function(prior) 2L # a mean and a variance

#' @noRd
start_prior <- function(prior) UseMethod("start_prior")

#' @noRd
start_prior.crl_prior <- function(prior) prior_spline()

#' @noRd
has_measurement <- function(prior) UseMethod("has_measurement")

#' @noRd
has_measurement.crl_prior <- function(prior) TRUE

#' @param rows See engine_rows().
#' @param design See row_design().
#' @noRd
posterior_of <- function(fit, rows, design, call) UseMethod("posterior_of")

#' @noRd
posterior_sample <- function(fit, nsim, thin, seed) UseMethod("posterior_sample")

#' @noRd
continue_fit <- function(fit, further, control, call) UseMethod("continue_fit")

#' @noRd
carried_chains <- function(fit, data, control) UseMethod("carried_chains")

#' @noRd
carried_chains.default <- function(fit, data, control) NULL

#' @noRd
mechanism_fit <- function(fit, call) UseMethod("mechanism_fit")

#' @noRd
describe_engine <- function(fit) UseMethod("describe_engine")

#' @noRd
describe_verdict <- function(fit) UseMethod("describe_verdict")

#' @noRd
describe_convergence <- function(fit) UseMethod("describe_convergence")

#' @noRd
fit_notes <- function(fit) UseMethod("fit_notes")

#' @noRd
engine_glance <- function(fit) UseMethod("engine_glance")

#' @noRd
plot_convergence <- function(fit) UseMethod("plot_convergence")

#' @noRd
mechanism_slopes <- function(fit, call = rlang::caller_env()) UseMethod("mechanism_slopes")

#' @noRd
mechanism_slopes.crl_fit <- function(fit, call = rlang::caller_env()) {
  check_method(fit, "g", "mechanisms", call)
}

#' @noRd
has_state <- function(fit, node, state) UseMethod("has_state")

#' @noRd
check_engine <- function(fit, size, arg, call) UseMethod("check_engine")

#' @param parents All parents of the node in the graph.
#' @param k Which of them.
#' @param z Values of that parent.
#' @noRd
parent_effect <- function(prior, cell, parents, k, z) UseMethod("parent_effect")

#' @noRd
cell_constant <- function(prior, cell) UseMethod("cell_constant")

#' @noRd
acts_on <- function(prior, cell) UseMethod("acts_on")

#' @param parents List of the parents of each node.
#' @param sign 1 or -1 for each latent.
#' @noRd
turned <- function(prior, parents, sign) UseMethod("turned")

#' @param by What each latent is multiplied by.
#' @noRd
rescaled <- function(prior, by) UseMethod("rescaled")
