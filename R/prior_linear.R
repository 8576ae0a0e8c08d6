# The prior of linear mechanisms.

#' A prior of linear mechanisms
#'
#' What [crl_control()] takes as `prior`: each latent is a linear function of its parents plus
#' Gaussian noise, with intercept, slopes and variance of its own for each target state (perfect
#' interventions: intercept and variance).
#'
#' Posterior means, standard deviations and quantiles have closed forms, the log-likelihood is exact
#' (`loglik` of the fit, [logLik()][logLik.crl_fit]), and results do not depend on `seed` but for the
#' random starts. [saem_control()] is not read, but that several `chains` are an error.
#'
#' It is fitted by EM on the moments of x under each combination of targets; an iteration takes as
#' long for any number of rows, and never lowers the log-likelihood. It stops at `max_iter`
#' iterations, or when one changes no parameter by more than `tol`, relatively. The start is
#' interventional with linear mechanisms, whatever [start_search()] says. `mixing` means what it
#' means elsewhere: `"orthonormal"`; `"diagonal"`, orthogonal columns that keep the lengths of the
#' start; `"psd"`, any columns, of length 1; `"fixed"`. Where the moments would be large
#' (combinations of targets times the square of the columns of x above 5 million), A is sought within
#' the 4 d leading principal components of x, not in all directions, and the fit says so. What is
#' lost is the part of A that the domains' differences would have added in the directions of small
#' variance; with A held nothing is.
#'
#' @param ... Nothing: it has no settings, and what is given is an error.
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for an argument.
#' @examples
#' crl_control(prior = prior_linear())
#' @export
prior_linear <- function(...) {
  check_setting_dots(...)
  new_prior("linear", family = "gaussian")
}

# Engine ------------------------------------------------------------------------------------------

#' @noRd
run_engine.prior_linear <- function(prior, data, init, control, call, error_call) {
  structure <- resolved_structure(data, init %||% default_init(control), control, error_call)
  plan <- plan_linear(structure$settings, data, init)
  fit <- fit_gaussian(data, init, plan, fit_linear, call, error_call)
  with_chosen(fit, structure$chosen)
}

#' @return list: `mixing` (p x d), `sigma2`, `prior` (see new_linear()), `parents`, `loglik`, `trace`, `iterations`,
#'   `converged`, `change`, `counts`, `subspace`, `start`
#' @noRd
fit_linear <- function(data, init, plan, error_call) {
  init <- init %||% default_init(plan)
  group <- target_groups(data$targets)
  wide <- max(group) * data$p^2 > EXACT_MOMENTS && plan$mixing != "fixed"
  check_gaussian_memory(data, plan, max(group), wide, error_call)
  start <- starting_values(init, data, plan, error_call)
  mixing <- unname(compose_mixing(start))
  basis <- if (plan$mixing == "fixed") {
    polar_factor(mixing)
  } else if (wide) {
    leading_eigen(data$x, min(SUBSPACE_FACTOR * data$d, data$n, data$p))$vectors
  }
  begin <- list(mixing = if (is.null(basis)) mixing else crossprod(basis, mixing),
                sigma2 = start$sigma2, prior = empty_prior(data$d),
                given = continues_linear(init, data, plan))
  if (begin$given) {
    begin$prior <- lapply(init$prior[names(begin$prior)], function(part) {
      replace(part, is.na(part), 1)
    })
  }
  result <- linear_em(data, basis, group, begin, plan, learns_sigma2(plan, start, data),
                      NOISE_FLOOR * start$sigma2)
  check_status(result$status, error_call)
  result$mixing <- if (plan$mixing == "fixed") {
    mixing
  } else if (is.null(basis)) {
    result$mixing
  } else {
    basis %*% result$mixing
  }
  parents <- unname(parent_list(data$dag))
  result$prior <- new_linear(without_unseen(result$prior, data$targets),
                             cell_parents(parents, plan))
  c(result, list(parents = parents, start = start, subspace = if (wide) ncol(basis)))
}

#' The plan of a fit with linear mechanisms
#' @noRd
plan_linear <- function(control, data, init) {
  mixing <- resolved_g_mixing(control$mixing, init %||% default_init(control))
  whitened <- !is.null(data$space) && mixing != "psd" # there columns are not orthogonal
  new_plan(control, mixing = if (whitened) "fixed" else mixing, update_mixing = "auto",
           seed = control$seed %||% 1L, stages = character())
}

#' EM in the coordinates of `basis`, or in all of x
#' @noRd
linear_em <- function(data, basis, group, begin, control, learn_sigma2, variance_floor) {
  y <- if (is.null(basis)) data$x else data$x %*% basis
  moments <- .Call(C_target_moments, data$x, y, data$env, data$targets, row_weights(data), group,
                   control$threads)
  targets <- data$targets[!duplicated(group), , drop = FALSE]
  engine <- list(perfect = control$intervention == "perfect", p = data$p,
                 variance_floor = variance_floor, learn_sigma2 = learn_sigma2,
                 mixing = switch(control$mixing, orthonormal = , diagonal = "lengths",
                                 psd = "least_squares", fixed = "held"),
                 max_iter = control$max_iter, tol = control$tol)
  with_progress(control$progress, "EM", steps = control$max_iter, function(tick) {
    .Call(C_gaussian_fit, moments, targets, unname(parent_list(data$dag)), begin, engine, tick)
  })
}

#' @noRd
check_gaussian_memory <- function(data, control, n_groups, wide, call) {
  check_family_size(lengths(parent_list(data$dag)), data, call, hint = "Use a sparser graph.")
  size <- if (control$mixing == "fixed") data$d else if (wide) SUBSPACE_FACTOR * data$d else data$p
  copy <- if (size < data$p) 8 * data$n * size else 0
  rows <- 8 * data$n * data$d * (2 + length(FIT_PROBS))
  bytes <- .Call(C_gaussian_bytes, size, data$d, n_groups) + copy + rows
  check_bytes(bytes, control, call = call,
              hint = c("i" = "Raise {.code crl_control(max_memory = )}."))
}

#' Can the prior of a fit go on in this one?
#' @noRd
continues_linear <- function(init, data, control) {
  inherits(init, "crl_fit_g_linear") && same_parameters(init$data, data) &&
    identical(init$control[c("intervention", "mixing")], control[c("intervention", "mixing")])
}

#' Do the priors of two data sets have the same parameters?
#' @noRd
same_parameters <- function(data, other) {
  identical(data$dag, other$dag) &&
    identical(unseen_states(data$targets), unseen_states(other$targets))
}

#' Which (state, node) have no rows (2 x d)
#' @noRd
unseen_states <- function(targets) {
  unname(state_counts(targets) == 0)
}

#' @noRd
without_unseen <- function(prior, targets) {
  unseen <- unseen_states(targets)
  prior$intercept[unseen] <- NA
  prior$variance[unseen] <- NA
  slope <- prior$slope
  slope[rep(unseen, each = nrow(slope))] <- NA
  prior$slope <- slope
  prior
}

#' Go on with the EM
#' @noRd
continue_fit.crl_fit_g_linear <- function(fit, further, control, call) {
  done <- fit$iterations
  if (done > 0L && isTRUE(fit$drift < control$tol)) {
    fit$control <- control
    fit$converged <- TRUE
    return(fit)
  }
  settings <- update.crl_control(control, max_iter = further,
                                 sigma2 = if (learned_noise(fit)) "learned" else "fixed")
  more <- run_engine(settings$prior, fit$data, fit, settings, fit$call, call)
  more$control <- update.crl_control(control, max_iter = done + further)
  more[c("init", "start", "optima")] <- fit[c("init", "start", "optima")]
  more$trace$iteration <- done + more$trace$iteration
  more$trace <- rbind(fit$trace, more$trace)
  more$iterations <- done + more$iterations
  more$counts <- more$counts + fit$counts
  more$elapsed <- more$elapsed + fit$elapsed
  more
}

#' @noRd
learned_noise.crl_fit_g_linear <- function(fit) {
  learns_sigma2(fit$control, list(sigma2_given = given_noise(fit)), fit$data)
}

#' @noRd
prior_df.crl_fit_g_linear <- function(fit) {
  nrow(fit$mechanism_coef) + nrow(fit$cells)
}

#' @noRd
check_engine.crl_fit_g_linear <- function(fit, size, arg, call) {
  NextMethod()
  check_families_of(fit$parents, fit, arg, "parents", call)
}

# Mechanisms --------------------------------------------------------------------------------------

#' Fitted linear mechanisms
#'
#' @param part list: `intercept` and `variance`, 2 x d; `slope`, d x 2 x d over parent, state and
#'   node.
#' @param family Parents that each (node, state) depends on: a list over cells.
#' @noRd
new_linear <- function(part, family) {
  structure(c(part[c("intercept", "slope", "variance")], list(family = family)),
            class = "mechanisms_linear")
}

#' @noRd
empty_prior <- function(d, variance = 1) {
  list(intercept = matrix(0, 2L, d), slope = array(0, c(d, 2L, d)),
       variance = matrix(variance, 2L, d, byrow = TRUE))
}

#' @noRd
parent_effect.mechanisms_linear <- function(prior, cell, parents, k, z) {
  matrix(prior$slope, nrow(prior$slope))[parents[k], cell] * z
}

#' @noRd
cell_constant.mechanisms_linear <- function(prior, cell) {
  prior$intercept[cell]
}

#' @noRd
acts_on.mechanisms_linear <- function(prior, cell) {
  length(prior$family[[cell]]) > 0L && !is.na(prior$variance[cell])
}

#' @noRd
turned.mechanisms_linear <- function(prior, parents, sign) {
  prior$intercept <- prior$intercept * by_cell(sign)
  prior$slope <- prior$slope * as.vector(outer(rep(sign, length(STATES)), sign))
  for (j in if (!is.null(prior$range)) which(sign < 0)) {
    prior$range[, j] <- -rev(prior$range[, j])
  }
  prior
}

#' Linear mechanisms as spline ones, of which they are a case, from which SAEM may go on. The
#' coefficients of a linear spline are its values at the means of three consecutive knots.
#' @param settings See prior_control().
#' @noRd
as_splines <- function(prior, settings) {
  d <- ncol(prior$range)
  range <- prior$range
  slope <- matrix(prior$slope, d)
  at <- function(k) {
    ends <- range[, k]
    knots <- c(rep(ends[1L], 2L), seq(ends[1L], ends[2L], length.out = settings$knots),
               rep(ends[2L], 2L))
    rowMeans(stats::embed(knots, 3L))
  }
  theta <- lapply(seq_len(n_cells(d)), function(cell) {
    parents <- prior$family[[cell]]
    if (length(parents) == 0L || is.na(prior$variance[cell])) {
      return(NULL)
    }
    unlist(lapply(parents, function(k) {
      prior$intercept[cell] / length(parents) + slope[k, cell] * at(k)
    }))
  })
  lambda <- Map(function(parents, theta) {
    if (!is.null(theta)) rep(settings$lambda, length(parents) * settings$pieces)
  }, prior$family, theta)
  df <- matrix(1 + lengths(prior$family), length(STATES))
  df[is.na(prior$variance)] <- NA
  constant <- prior$intercept
  constant[lengths(theta) > 0L] <- 0
  structure(list(theta = theta, lambda = unname(lambda), df = df, constant = constant,
                 variance = prior$variance, range = range), class = "mechanisms_spline")
}

#' @noRd
carried_chains.crl_fit_g_gaussian <- function(fit, data, control) {
  settings <- prior_control(control)
  same <- same_rows(fit$data, data) && settings$components == 1L &&
    (fit$control$intervention == "perfect") == settings$perfect
  if (same) {
    list(latents = unname(fit$latents), walk_scale = matrix(1, data$d, data$n_domains),
         prior = as_splines(fit$prior, settings))
  }
}

# In words ----------------------------------------------------------------------------------------

#' @noRd
describe_engine.crl_fit_g_linear <- function(fit) {
  perfect <- if (fit$control$intervention == "perfect") ", perfect interventions"
  paste0("Prior: linear mechanisms, Gaussian noise", perfect)
}

#' @noRd
describe_convergence.crl_fit_g_linear <- function(fit) {
  if (fit$iterations == 0L) {
    return(c("No EM iteration was run (max_iter = 0): A is that of the start.", loglik_line(fit)))
  }
  figures <- paste0(count_of(fit$iterations, "iteration"), " of EM: last relative change ",
                    format(fit$drift, digits = 2L), ", tolerance ", format(fit$control$tol), ".")
  if (fit$converged) {
    return(c(paste("Converged after", figures), loglik_line(fit)))
  }
  c(paste("Not converged in", figures), loglik_line(fit),
    "update(fit, max_iter = 1000) goes on from here.")
}

#' What the start and the moments leave out
#' @noRd
fit_notes.crl_fit_g_linear <- function(fit) {
  c(start_notes(fit), if (!is.null(fit$subspace)) {
    paste("A was sought within the", fit$subspace, "leading principal components of x only.")
  }, span_note(fit), count_notes(fit))
}

#' @noRd
plot_convergence.crl_fit_g_linear <- function(fit) {
  if (fit$iterations == 0L) {
    abort_input(c("There are no iterations to draw.", "x" = "The fit has {.code max_iter = 0}."),
                "range", call = rlang::caller_env())
  }
  trace <- fit$trace
  panels <- c("Log-likelihood", "Noise variance", "Relative change, log10")
  values <- list(trace$loglik, trace$sigma2, log10(ifelse(trace$change > 0, trace$change, NA)))
  lines <- tibble::tibble(iteration = rep(trace$iteration, 3L), value = unlist(values),
                          panel = factor(rep(panels, each = nrow(trace)), panels))
  ggplot2::ggplot(lines[!is.na(lines$value), ], ggplot2::aes(.data$iteration, .data$value)) +
    ggplot2::geom_line(colour = "grey20") +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), ncol = 1L, scales = "free_y") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) + scale_y_trace() +
    ggplot2::labs(title = "Convergence", subtitle = in_lines(describe_convergence(fit)[1L]),
                  x = "Iteration", y = NULL) +
    theme_trace()
}
