# The prior of additive spline mechanisms.

# Places along a parent's range that have weights of their own in the penalty.
PIECES <- 8L

#' A prior of spline mechanisms
#'
#' What [crl_control()] takes as `prior`, its default: each latent is a sum of smooth functions of
#' its parents plus noise, with functions and noise of its own in each target state (6.2). It is
#' fitted by SAEM, see [saem_control()]; posterior means, standard deviations and quantiles are those
#' of draws. Starts that take draws, also of `method = "f"`, have these mechanisms (see
#' [start_search()]).
#'
#' @param ... Nothing: settings go by their full names, and what is none is an error.
#' @param knots Knots of a mechanism in each parent (default 20: more than those of the score, since
#'   smoothing is chosen by the data and additive splines are cheap), equally spaced over the range
#'   of the parent's draws; mechanisms continue linearly beyond.
#' @param lambda Weight of the second-difference penalty of the mechanisms, on the scale of `lambda`
#'   in [crl_control()]; or `"auto"` (the default): for each (node, state) and parent, by the
#'   marginal likelihood (generalised Fellner-Schall steps, Wood and Fasiolo 2017).
#' @param local Whether the penalty has weights of its own at `r PIECES` equally spaced places along
#'   each parent's range, linear in between, where `lambda = "auto"` (default `TRUE`): curves may be
#'   steep at one place and flat at others, where one weight would flatten the step or bend the rest.
#'   The weights then maximise the marginal likelihood of x, by the observed information (Louis 1982):
#'   of the coefficients x tells less than draws of the latents hold. `FALSE`: one weight, as if the
#'   draws were data, which smooths more, as in starts and in [crl_discover()].
#' @param noise Distribution of the noise u of each latent in each target state: `"gaussian"` (the
#'   default), or the number (2 to 10) of components of a mixture of Gaussians, with mean zero as a
#'   whole, for noise with heavy tails or skewness. Each component counts five pseudo-rows that are
#'   like the noise as a whole, so that none runs empty. (The noise of x is `noise` of [fit_crl()].)
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for what is not a setting, and for values out of range.
#' @references Louis, T. A. (1982). Finding the observed information matrix when using the EM
#'   algorithm. *Journal of the Royal Statistical Society B*, 44, 226-233.
#'
#'   Wood, S. N. and Fasiolo, M. (2017). A generalized Fellner-Schall method for smoothing
#'   parameter optimization. *Biometrics*, 73, 1071-1081. \doi{10.1111/biom.12666}
#' @seealso [prior_linear()] and [prior_normal()], which need no draws.
#' @examples
#' crl_control(prior = prior_spline(noise = 2))
#' @export
prior_spline <- function(..., knots = 20, lambda = "auto", local = TRUE, noise = "gaussian") {
  check_setting_dots(...)
  call <- rlang::current_env()
  new_prior("spline",
    knots = whole_of(2, 1000)(knots, "knots", call),
    lambda = auto_or(number_of(min = 0, open = "min"))(lambda, "lambda", call),
    local = check_flag(local, "local", "control", call),
    noise = check_noise(noise, "noise", call)
  )
}

#' "gaussian", or the number of components
#' @noRd
check_noise <- function(noise, arg, call) {
  if (identical(noise, "gaussian")) {
    return(noise)
  }
  if (is.character(noise)) {
    abort_input(c('{.arg noise} must be "gaussian" or a number of components.',
                  "x" = "It is {describe(noise)}."), "control", call = call)
  }
  check_number(noise, "noise", min = 2, max = 10, integer = TRUE, class = "control", call = call)
}

# Engine ------------------------------------------------------------------------------------------

#' @noRd
run_engine.prior_spline <- function(prior, data, init, control, call, error_call) {
  fit_g_rows(data, init, control, call, error_call)
}

#' @noRd
start_prior.prior_spline <- function(prior) prior

#' Posterior of rows that have no chains: these begin at the least-squares latents
#' @noRd
posterior_of.crl_fit_g_spline <- function(fit, rows, design, call) {
  projected <- rows$x %*% fit$mixing
  scale <- exp(rowMeans(log(fit$walk_scale)))
  model <- fit[c("gram", "sigma2", "prior")]
  model$walk_scale <- matrix(scale, length(scale), nrow(design$targets))
  posterior <- posterior_g(model, projected, projected %*% inverse_gram(fit$gram), design$codes,
                           target_matrix(design$targets), parent_list(fit$data$dag), fit$control,
                           fit$seed, stream = NEW_ROWS_STREAM, warm_up = WARM_UP,
                           probs = numeric())
  warn_extrapolation(posterior$latents, apply(fit$latents, 2L, range),
                     ", where mechanisms are continued linearly")
  c(posterior[c("latents", "latents_sd")], list(floored = 0))
}

#' @noRd
posterior_sample.crl_fit_g_spline <- function(fit, nsim, thin, seed) {
  data <- fit$data
  posterior_g(fit, data$x %*% fit$mixing, fit$chains, data$env, data$targets,
              parent_list(data$dag), fit$control, seed, stream = 0,
              draws = max(2L, nsim * thin), warm_up = thin, probs = numeric(), keep = nsim)
}

#' Go on with the chains of a g fit
#' @noRd
continue_fit.crl_fit_g_spline <- function(fit, further, control, call) {
  started <- proc.time()[["elapsed"]]
  done <- max(fit$runs$iterations - fit$runs$burn_in)
  plan <- new_plan(control, saem = list(iterations = done + further), stages = character())
  check_g_memory(fit$data, plan, call)
  model <- fit$saem$model
  most <- fit$saem$rows %||% Inf
  runs <- tryCatch(
    run_chains(fit$saem$state, model, chain_rows(fit$data, most), plan, call),
    simpleError = function(e) {
      if (!startsWith(conditionMessage(e), "internal error")) stop(e)
      abort_edited("saem$state", "must be that of its chains", fit$saem$state, "object",
                   call)
    }
  )
  more <- g_results(runs, model, fit$data, plan, most)
  more["start"] <- fit["start"]
  more$call <- fit$call
  more$elapsed <- fit$elapsed + proc.time()[["elapsed"]] - started
  more
}

#' @noRd
engine_glance.crl_fit_g_spline <- function(fit) {
  tibble::tibble(mixing_mc_error = sqrt(sum(fit$mixing_mc_error^2)), mc_error = max(fit$mc_error),
                 noise_floored = fit$counts[["noise_floored"]])
}

#' @noRd
check_engine.crl_fit_g_spline <- function(fit, size, arg, call) {
  check_parts(fit, c(g_parts(size), spline_parts(size)), arg, call)
  check_coefficients_g(fit, size, arg, call)
  check_chains(fit, size, arg, call)
}

# Mechanisms --------------------------------------------------------------------------------------

#' @noRd
parent_effect.mechanisms_spline <- function(prior, cell, parents, k, z) {
  theta <- matrix(prior$theta[[cell]], ncol = length(parents))
  range <- as.double(prior$range[, parents[k]])
  drop(.Call(C_bspline_basis, z, range, nrow(theta) - 2L, 0L, FALSE) %*% theta[, k])
}

#' @noRd
cell_constant.mechanisms_spline <- function(prior, cell) {
  if (acts_on(prior, cell)) 0 else prior$constant[cell]
}

#' @noRd
acts_on.mechanisms_spline <- function(prior, cell) {
  !is.null(prior$theta[[cell]])
}

# In words ----------------------------------------------------------------------------------------

#' @noRd
describe_engine.crl_fit_g_spline <- function(fit) {
  control <- fit$control
  perfect <- if (control$intervention == "perfect") ", perfect interventions"
  smoothing <- if (identical(control$prior$lambda, "auto")) {
    paste0("smoothed ", if (control$prior$local) "locally ", "by marginal likelihood")
  } else {
    paste("lambda =", format(control$prior$lambda))
  }
  paste0("Prior: additive spline mechanisms, ", control$prior$knots, " knots, ", smoothing,
         ", ", describe_noise(control$prior$noise), perfect)
}

#' @noRd
fit_notes.crl_fit_g_spline <- function(fit) {
  c(start_notes(fit), span_note(fit), held_note(fit), count_notes(fit))
}

#' Traces of SAEM
#' @noRd
plot_convergence.crl_fit_g_spline <- function(fit) {
  trace <- fit$trace
  chain <- factor(if (nrow(fit$runs) > 1L) trace$chain else rep(1L, nrow(trace)))
  panels <- c("Noise variance", "Noise variances of the latents", "Objective a row",
              "Relative change of the mixing matrix, log10")
  line <- function(panel, value, series = "") {
    tibble::tibble(iteration = trace$iteration, value = value, series = paste(series, chain),
                   chain = chain, panel = factor(panels[panel], panels))
  }
  change <- ifelse(trace$change_mixing > 0, trace$change_mixing, NA)
  variances <- grep("^noise_var_", names(trace), value = TRUE)
  lines <- do.call(rbind, c(
    list(line(1L, trace$sigma2), line(3L, trace$objective), line(4L, log10(change))),
    lapply(variances, function(name) line(2L, trace[[name]], name))
  ))
  plot <- ggplot2::ggplot(lines[!is.na(lines$value), ],
                          ggplot2::aes(.data$iteration, .data$value, group = .data$series)) +
    ggplot2::geom_vline(xintercept = fit$runs$burn_in, linetype = "dotted", colour = "grey20") +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), ncol = 1L, scales = "free_y") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) + scale_y_trace() +
    ggplot2::labs(title = "Convergence", x = "Iteration", y = NULL, colour = "Chain",
                  subtitle = in_lines(paste(describe_runs(fit), "Dotted: end of burn-in."))) +
    theme_trace()
  if (nrow(fit$runs) == 1L) {
    return(plot + ggplot2::geom_line(colour = "grey20"))
  }
  plot + ggplot2::geom_line(ggplot2::aes(colour = .data$chain)) + scale_colour_chain(nlevels(chain))
}
