# What a g fit says beyond the latents: mechanisms, posterior draws, draws of other domains.

#' Fitted mechanisms
#'
#' The curves \eqn{f_{jkc}} of a fit by `method = "g"` (6.2), by node, target state and parent, with
#' the parent on the x axis.
#'
#' @param object A `crl_fit`, from [fit_crl()] with `method = "g"`.
#' @param points Points of a curve (default 101), equally spaced over the range of the parent's
#'   posterior means among the rows of the state.
#' @param ... Not used.
#' @return A tibble with one row a point: `node`, `state` (0 or 1), `parent`, `z` (value of the
#'   parent), `mean` (of the node): the parent's effect there plus the average effect of the node's
#'   other parents over the rows of the state, so that the curve goes through the middle of the
#'   data. A node without parents, or cut off from them by a perfect intervention, has one row a
#'   state, with `parent` and `z` NA and its mean.
#' @section Errors:
#' `ebcrl_error_method` for an f fit.
#' @seealso [autoplot()][autoplot.crl_fit] with `type = "mechanisms"`.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' quick <- crl_control(saem = saem_control(burn_in = 30, iterations = 30, draws = 50))
#' fit <- fit_crl(sim, method = "g", control = quick)
#' mechanisms(fit, points = 5)
#' plot(fit, type = "mechanisms")
#' @export
mechanisms <- function(object, points = 101, ...) {
  object <- check_fit(object)
  check_method(object, "g", "mechanisms()")
  points <- check_number(points, "points", min = 2, integer = TRUE)
  check_dots_empty(...)
  cells <- cells_of(seq_len(object$data$d))
  do.call(rbind, Map(function(node, state) cell_curves(object, node, state, points),
                     cells$node, cells$state))
}

#' The curves of a cell, or its mean; NULL for a state without rows
#' @noRd
cell_curves <- function(fit, node, state, points) {
  if (!has_state(fit, node, state)) {
    return(NULL)
  }
  names <- fit$data$latent_names
  curve <- function(parent, z, mean) {
    tibble::tibble(node = names[node], state = state, parent = parent, z = z, mean = mean)
  }
  cell <- cell_of(node, state)
  constant <- cell_constant(fit$prior, cell)
  if (!acts_on(fit$prior, cell)) {
    return(curve(NA_character_, NA_real_, constant))
  }
  parents <- parent_list(fit$data$dag)[[node]]
  rows <- fit$data$targets[fit$data$env, node] == state
  average <- vapply(seq_along(parents), function(k) {
    mean(effect_of(fit, node, state, k, fit$latents[rows, parents[k]]))
  }, 0)
  do.call(rbind, lapply(seq_along(parents), function(k) {
    ends <- range(fit$latents[rows, parents[k]])
    z <- seq(ends[1L], ends[2L], length.out = points)
    curve(names[parents[k]], z, effect_of(fit, node, state, k, z) + sum(average[-k]) + constant)
  }))
}

#' Effect of the k-th parent of a node at values z of the parent
#' @noRd
effect_of <- function(fit, node, state, k, z) {
  parent_effect(fit$prior, cell_of(node, state), parents_of(fit$data$dag, node), k, as.double(z))
}

#' Mean of a node in a state given latents (rows x d)
#' @noRd
mean_of_node <- function(fit, node, state, latents) {
  cell <- cell_of(node, state)
  constant <- rep(cell_constant(fit$prior, cell), nrow(latents))
  if (!acts_on(fit$prior, cell)) {
    return(constant)
  }
  parents <- parents_of(fit$data$dag, node)
  Reduce(`+`, lapply(seq_along(parents), function(k) {
    effect_of(fit, node, state, k, latents[, parents[k]])
  }), constant)
}

#' Of curves, the line closest to each effect over the rows of the state
#' @noRd
mechanism_slopes.crl_fit_g <- function(fit, call = rlang::caller_env()) {
  cells <- cells_of(seq_len(fit$data$d))
  do.call(rbind, Map(function(node, state) cell_slopes(fit, node, state), cells$node, cells$state))
}

#' @noRd
cell_slopes <- function(fit, node, state) {
  if (!has_state(fit, node, state)) {
    return(NULL)
  }
  names <- fit$data$latent_names
  cell <- cell_of(node, state)
  constant <- cell_constant(fit$prior, cell)
  if (!acts_on(fit$prior, cell)) {
    return(tibble::tibble(node = names[node], state = state, term = "(Intercept)",
                          estimate = constant))
  }
  parents <- parent_list(fit$data$dag)[[node]]
  rows <- fit$data$targets[fit$data$env, node] == state
  lines <- vapply(seq_along(parents), function(k) {
    z <- fit$latents[rows, parents[k]]
    effect <- effect_of(fit, node, state, k, z)
    slope <- stats::cov(z, effect) / stats::var(z)
    c(mean(effect) - slope * mean(z), slope)
  }, c(0, 0))
  tibble::tibble(node = names[node], state = state, term = c("(Intercept)", names[parents]),
                 estimate = c(sum(lines[1L, ]) + constant, lines[2L, ]))
}

#' @noRd
plot_mechanisms <- function(fit) {
  curves <- within_rows(mechanisms(fit), fit)
  if (nrow(curves) == 0L) {
    abort_input(c("There are no mechanisms to draw.", "x" = "No latent has a parent."), "range",
                call = rlang::caller_env())
  }
  titles <- panel_titles(curves)
  panel <- function(node, parent) {
    factor(paste(node, parent, sep = "\r"), names(titles), titles)
  }
  rows <- spaced_rows(fit$data, 2000L)
  drawn <- unique(curves[c("node", "parent")])
  points <- do.call(rbind, Map(function(node, parent) {
    state <- fit$data$targets[fit$data$env[rows], node]
    tibble::tibble(z = fit$latents[rows, parent], mean = partial_residual(fit, node, parent, rows),
                   state = state_factor(state), node = node, parent = parent)
  }, drawn$node, drawn$parent))
  points$panel <- panel(points$node, points$parent)
  curves$panel <- panel(curves$node, curves$parent)
  curves$state <- state_factor(curves$state)
  states <- levels(points$state)[levels(points$state) %in% points$state]
  ggplot2::ggplot(curves, ggplot2::aes(.data$z, .data$mean, colour = .data$state)) +
    ggplot2::geom_point(data = points, size = 0.4, alpha = 0.25) +
    # white beside the curves, which have the colour of the points
    ggplot2::geom_line(ggplot2::aes(group = .data$state), linewidth = 1.8, colour = "white",
                       show.legend = FALSE) +
    ggplot2::geom_line(linewidth = 0.9) +
    panels_of_curves(length(titles)) +
    # states without a curve have a point alone in the legend
    ggplot2::scale_colour_manual(
      values = state_colours(), breaks = states,
      guide = ggplot2::guide_legend(override.aes = list(
        linetype = ifelse(states %in% curves$state, "solid", "blank"), size = 1.5, alpha = 1
      ))
    ) +
    ggplot2::labs(title = "Fitted mechanisms",
                  subtitle = in_lines(paste("Points: posterior means, less effects of other",
                                            "parents. Curves: where 96 % of the rows are")),
                  x = "Parent", y = "Latent", colour = "The latent is")
}

# Curves are drawn between these quantiles of the parent.
CURVE_ENDS <- c(0.02, 0.98)

#' Curves where most rows of their state are: beyond, few rows say where they go
#' @noRd
within_rows <- function(curves, fit) {
  curves <- curves[!is.na(curves$parent), ]
  latents <- fit$data$latent_names
  kept <- Map(function(node, parent, state, z) {
    rows <- fit$data$targets[fit$data$env, match(node, latents)] == state
    ends <- stats::quantile(fit$latents[rows, match(parent, latents)], CURVE_ENDS, names = FALSE)
    z >= ends[1L] & z <= ends[2L]
  }, curves$node, curves$parent, curves$state, curves$z)
  curves[unlist(kept), ]
}

#' Titles of panels of curves, "z2 given z1", named by node and parent
#' @noRd
panel_titles <- function(curves) {
  pairs <- unique(curves[c("node", "parent")])
  stats::setNames(paste(pairs$node, "given", pairs$parent),
                  paste(pairs$node, pairs$parent, sep = "\r"))
}

#' Panels of curves, with axes of their own
#' @noRd
panels_of_curves <- function(panels) {
  columns <- panel_columns(panels)
  list(ggplot2::facet_wrap(ggplot2::vars(.data$panel), scales = "free", ncol = columns,
                           labeller = given_names(columns)),
       scale_x_few(), scale_y_few(), theme_crl(), theme_panels(columns))
}

#' "z2 given z1", in two lines where the names are long
#' @noRd
given_names <- function(columns) {
  at_80 <- c(44L, 22L, 15L, 10L)[columns]
  function(labels) {
    width <- letters_for(at_80)
    lapply(labels, function(titles) {
      vapply(strsplit(as.character(titles), " given ", fixed = TRUE), function(names) {
        if (sum(nchar(names)) + 7L <= width) {
          return(paste(names, collapse = " given "))
        }
        paste(short_names(names, width - c(0L, 4L)), collapse = "\ngiven ")
      }, "")
    })
  }
}

#' Posterior means of a latent less the effects of its other parents, which are replaced by their
#' averages as in the curves
#' @noRd
partial_residual <- function(fit, node, parent, rows) {
  data <- fit$data
  j <- match(node, data$latent_names)
  parents <- parents_of(data$dag, j)
  value <- fit$latents[rows, j]
  state <- data$targets[data$env, j]
  for (s in unique(state[rows])) {
    if (!acts_on(fit$prior, cell_of(j, s))) next
    at <- state[rows] == s
    for (k in which(data$latent_names[parents] != parent)) {
      effect <- function(of) effect_of(fit, j, s, k, fit$latents[of, parents[k]])
      value[at] <- value[at] - effect(rows[at]) + mean(effect(which(state == s)))
    }
  }
  value
}

#' Colours of chains that readers with any colour vision can tell apart, as far as there are so many
#' @noRd
scale_colour_chain <- function(chains) {
  named <- c("blue", "vermillion", "green", "purple", "orange", "sky")
  if (chains > length(named)) {
    return(ggplot2::scale_colour_viridis_d(end = 0.9))
  }
  ggplot2::scale_colour_manual(values = okabe_ito(named[seq_len(chains)]))
}

#' Posterior draws of the latents
#'
#' Draws from the posterior of the latents of the training rows under the fitted parameters, which
#' are taken as known: chains of Metropolis-within-Gibbs sweeps that go on from the fit's, or
#' independent draws with a Gaussian prior ([prior_linear()] or [prior_normal()]).
#'
#' @param object A `crl_fit`, from [fit_crl()] with `method = "g"`.
#' @param nsim Number of draws of each row.
#' @param seed Seed of the draws (a whole number). NULL (the default): from R's random numbers.
#' @param thin Sweeps from one draw to the next (default 5): neighbouring sweeps are alike. Not used
#'   where draws are independent.
#' @param ... Not used.
#' @return n x d x nsim array.
#' @section Errors:
#' `ebcrl_error_method` for an f fit, whose prior is implicit; `ebcrl_error_range` for more than
#' 2^31 - 1 sweeps, `thin` before each draw; `ebcrl_error_memory` for draws that do not fit.
#' @seealso [simulate_domain()] for rows of another domain.
#' @examples
#' set.seed(1)
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20)
#' quick <- crl_control(saem = saem_control(burn_in = 30, iterations = 30, draws = 50))
#' fit <- fit_crl(sim, method = "g", control = quick)
#' draws <- simulate(fit, nsim = 20)
#' # posterior of the difference of two latents in the first row
#' quantile(draws[1, "z1", ] - draws[1, "z2", ])
#' @importFrom stats simulate
#' @export
simulate.crl_fit <- function(object, nsim = 1, seed = NULL, thin = 5, ...) {
  object <- check_fit(object, rows = TRUE)
  check_method(object, "g", "simulate()")
  nsim <- check_number(nsim, "nsim", min = 1, integer = TRUE)
  thin <- check_number(thin, "thin", min = 1, integer = TRUE)
  seed <- if (is.null(seed)) {
    sample.int(.Machine$integer.max, 1L)
  } else {
    check_number(seed, "seed", min = 0, max = 2^53, integer = TRUE)
  }
  check_dots_empty(...)
  data <- object$data
  sweeps <- thin * (nsim + 1)
  if (inherits(object, "crl_fit_g_spline") && sweeps > .Machine$integer.max) {
    abort_input(c("{.arg nsim} and {.arg thin} must ask for at most 2^31 - 1 sweeps.",
                  "x" = "They ask for {format(sweeps, digits = 3)}, {thin} before each draw.",
                  "i" = "A smaller {.arg thin} leaves draws more alike."), "range")
  }
  check_bytes(2 * 8 * data$n * data$d * nsim, object$control, c("i" = "Use a smaller {.arg nsim}."),
              rlang::current_env(), what = "The array of draws, with a copy,")
  posterior <- posterior_sample(training_fit(object), nsim, thin, seed)
  draws <- array(posterior$draws, c(data$n, inner_fit(object)$data$d, nsim))
  `dimnames<-`(draws[, seq_len(data$d), , drop = FALSE],
               list(data$row_names, data$latent_names, NULL))
}

#' Posterior draws for the posterior package
#'
#' The draws of [simulate()][simulate.crl_fit] as what the posterior package summarises and plots:
#' `posterior::summarise_draws()`, or \pkg{bayesplot}. Parameters of the fit are held, so that the
#' draws are of latents only; [crl_boot()] tells how sure the parameters are.
#'
#' @param x A `crl_fit`, from [fit_crl()] with `method = "g"`.
#' @param rows Numbers of the rows of which latents are kept (default: the first 100 at most; each has
#'   d variables).
#' @param nsim,seed,thin See [simulate()][simulate.crl_fit]. All rows are drawn.
#' @param ... Not used.
#' @return A `draws_array` of the posterior package (nsim iterations x 1 chain x variables), with
#'   variables such as `z1[12]`: latent, number of the row.
#' @section Errors:
#' Those of [simulate()][simulate.crl_fit]; `ebcrl_error_range` for `rows` that the fit does not have.
#' @examples
#' if (requireNamespace("posterior", quietly = TRUE)) {
#'   set.seed(1)
#'   sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#'   fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#'   draws <- posterior::as_draws(fit, rows = 1:2, nsim = 50)
#'   posterior::summarise_draws(draws)
#' }
#' @exportS3Method posterior::as_draws
as_draws.crl_fit <- function(x, rows = NULL, nsim = 100, seed = NULL, thin = 5, ...) {
  check_dots_empty(...)
  x <- check_fit(x, rows = TRUE)
  check_method(x, "g", "as_draws()")
  rows <- rows %||% seq_len(min(100L, x$data$n))
  if (!is.numeric(rows) || length(rows) == 0L || !all(rows %in% seq_len(x$data$n))) {
    abort_input(c("{.arg rows} must be numbers of rows of the fit, from 1 to {x$data$n}.",
                  "x" = "It is {describe(rows)}."), "range")
  }
  draws <- simulate.crl_fit(x, nsim, seed, thin)[rows, , , drop = FALSE]
  names <- paste0(rep(x$data$latent_names, each = length(rows)), "[", rows, "]")
  draws <- array(aperm(draws, c(3L, 1L, 2L)), c(dim(draws)[3L], 1L, length(names)),
                 dimnames = list(NULL, NULL, names))
  posterior::as_draws_array(draws)
}
