# g-modeling with Gaussian priors, in closed form: linear mechanisms, by exact EM on the moments of
# each combination of targets (src/g/gaussian_em.c), and standard normal latents, by eigenvalues.

# Moments are kept in all directions of x up to this many doubles, else within the leading
# SUBSPACE_FACTOR d principal components.
EXACT_MOMENTS <- 5e6
SUBSPACE_FACTOR <- 4L

#' @noRd
is_gaussian <- function(fit) {
  identical(fit$method, "g") && !inherits(fit$control$prior, "prior_spline")
}

#' The engine of Gaussian priors on checked data
#' @noRd
fit_gaussian <- function(data, init, control, call, error_call) {
  started <- proc.time()[["elapsed"]]
  check_gaussian_settings(control, error_call)
  check_sign_names(control, data, error_call)
  normal <- is_normal(control)
  plan <- if (normal) plan_normal(control, init) else plan_linear(control, data, init)
  model <- (if (normal) fit_normal else fit_linear)(data, init, plan, error_call)
  if (turns_signs(plan, model$start$label)) {
    model <- turn_gaussian(model, latent_signs(model$mixing, data, plan))
  }
  posterior <- gaussian_posterior(model, data$x, data$env, data$targets, plan,
                                  stats::qnorm(FIT_PROBS))
  check_status(posterior$status, error_call)
  structure(c(named_gaussian_results(model, posterior, data, plan), list(
    control = control_of(plan), init = model$start$label, start = reusable_start(init),
    optima = model$start$optima, seed = plan$seed, call = call,
    elapsed = proc.time()[["elapsed"]] - started
  )), class = "crl_fit")
}

#' @noRd
is_normal <- function(control) {
  inherits(control$prior, "prior_normal")
}

#' Refuse several chains, which an exact EM does not have
#' @noRd
check_gaussian_settings <- function(control, call) {
  if (control$saem$chains > 1L) {
    abort_input(c("{.arg chains} must be 1 with {.code {setting_words(control$prior)}}.",
                  "x" = "It is {control$saem$chains}.",
                  "i" = "Its EM is exact: nothing is drawn."), "control", call = call)
  }
}

# Linear mechanisms -------------------------------------------------------------------------------

#' @return list: `mixing` (p x d), `sigma2`, `gaussian` (the prior: `intercept` and `variance`, 2 x
#'   d; `slope`, d x 2 x d over parent, state and node), `parents`, `loglik`, `trace`, `iterations`,
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
    begin$prior <- lapply(init$gaussian, function(part) replace(part, is.na(part), 1))
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
  result$gaussian <- without_unseen(result$prior, data$targets)
  c(result, list(parents = unname(parent_list(data$dag)), start = start,
                 subspace = if (wide) ncol(basis)))
}

#' @noRd
plan_linear <- function(control, data, init) {
  mixing <- resolved_g_mixing(control$mixing, init %||% default_init(control))
  whitened <- !is.null(data$space) && mixing != "psd" # there columns are not orthogonal
  new_plan(control, mixing = if (whitened) "fixed" else mixing, update_mixing = "auto",
           seed = control$seed %||% 1L, stages = character())
}

#' Go on with the EM of a linear prior; a closed form is as good as it gets
#' @noRd
update_gaussian <- function(object, max_iter, control, error_call) {
  done <- object$iterations
  if (is_normal(control) || (done > 0L && object$drift < control$tol)) {
    object$control <- control
    object$converged <- TRUE
    return(object)
  }
  further <- update.crl_control(
    control, max_iter = max_iter,
    sigma2 = if (gaussian_learns_sigma2(object)) "learned" else "fixed"
  )
  fit <- fit_gaussian(object$data, object, further, object$call, error_call)
  fit$control <- update.crl_control(control, max_iter = done + max_iter)
  fit[c("init", "start", "optima")] <- object[c("init", "start", "optima")]
  fit$trace$iteration <- done + fit$trace$iteration
  fit$trace <- rbind(object$trace, fit$trace)
  fit$iterations <- done + fit$iterations
  fit$counts <- fit$counts + object$counts
  fit$elapsed <- fit$elapsed + object$elapsed
  fit
}

#' Was sigma2 estimated? A closed form takes it from `init` only where it is fixed there
#' @noRd
gaussian_learns_sigma2 <- function(fit) {
  control <- fit$control
  given <- is.list(fit$start) && !is.null(fit$start[["sigma2"]])
  if (is_normal(control) && control$mixing != "fixed") {
    return(!(control$sigma2 == "fixed" && given))
  }
  learns_sigma2(control, list(sigma2_given = given), fit$data)
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

#' @noRd
empty_prior <- function(d, variance = 1) {
  list(intercept = matrix(0, 2L, d), slope = array(0, c(d, 2L, d)),
       variance = matrix(variance, 2L, d, byrow = TRUE))
}

#' Can the prior of a fit go on in this one?
#' @noRd
continues_linear <- function(init, data, control) {
  inherits(init, "crl_fit") && is_gaussian(init) && !is_normal(init$control) &&
    same_parameters(init$data, data) &&
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
  unname(rbind(colSums(targets == 0L), colSums(targets == 1L)) == 0)
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

#' Signs of the latents are ties: the model with others
#' @noRd
turn_gaussian <- function(model, sign) {
  model$mixing <- model$mixing * rep(sign, each = nrow(model$mixing))
  model$gaussian$intercept <- model$gaussian$intercept * rep(sign, each = 2L)
  model$gaussian$slope <- model$gaussian$slope * as.vector(outer(c(sign, sign), sign))
  model
}

# Standard normal latents -------------------------------------------------------------------------

#' Probabilistic principal components; returns what fit_linear() does
#' @noRd
fit_normal <- function(data, init, plan, error_call) {
  check_normal(init, plan, error_call)
  solution <- if (plan$mixing == "fixed") {
    normal_fixed(data, init, plan, error_call)
  } else {
    normal_maximum(data, init, plan, error_call)
  }
  c(solution, list(
    parents = rep(list(integer()), data$d), trace = matrix(0, 0L, 3L + 2L * data$d),
    iterations = 0L, converged = TRUE, change = 0, subspace = NULL,
    counts = c(noise_floored = 0, sigma2_floored = 0, rank_deficient = 0)
  ))
}

#' @noRd
plan_normal <- function(control, init) {
  given <- is.list(init) && !inherits(init, "crl_fit")
  new_plan(control, update_mixing = "auto", seed = control$seed %||% 1L, stages = character(),
           mixing = if (control$mixing != "auto") control$mixing else
             if (given) "fixed" else "diagonal")
}

#' @noRd
check_normal <- function(init, control, call) {
  if (control$mixing == "psd") {
    abort_input(c("With {.code prior = \"normal\"}, {.arg mixing} must not be {.val psd}.",
                  "i" = paste("A is known up to a rotation only: {.val diagonal} gives it",
                              "orthogonal columns.")), "control", call = call)
  }
  if (identical(init, "interventional") || (control$mixing == "fixed" && !is.list(init))) {
    given <- if (is.null(init)) "NULL" else describe(init)
    needs <- if (control$mixing == "fixed") "a fit or a list with {.field mixing}" else
      '"pca", a fit or a list'
    abort_input(c(paste0("With this {.arg control}, {.arg init} must be ", needs, "."),
                  "x" = "It is {given}.",
                  "i" = "{.code prior = \"normal\"} makes no use of graph and interventions."),
                "init", call = call)
  }
}

#' x with rows multiplied by the root of their weights, where these differ
#' @noRd
weighted_data <- function(data) {
  weight <- row_weights(data)
  if (max(abs(weight - 1)) < 1e-12) {
    return(data)
  }
  data$x <- data$x * sqrt(weight)[data$env]
  data$mean_square <- scan_rows(matrix_rows(data$x))$mean_square
  data
}

#' The maximum of the likelihood (Tipping and Bishop 1999, equations 7 and 8), sigma2 given or not
#' @noRd
normal_maximum <- function(data, init, plan, call) {
  start <- if (is.list(init)) starting_values(init, data, derived_plan(plan, mixing = "fixed"), call)
  held <- plan$sigma2 == "fixed" && isTRUE(start$sigma2_given)
  weighted <- weighted_data(data)
  top <- pca_start(weighted, call, sigma2 = if (held) start$sigma2)
  variance <- top$values - top$sigma2
  if (any(variance <= 0)) {
    abort_input(c("The noise variance must be below the {data$d} largest eigenvalues of X'X/n.",
                  "x" = paste("It is {format(top$sigma2, digits = 3)}, eigenvalue {data$d} is",
                              "{format(top$values[data$d], digits = 3)}."),
                  "i" = "Use fewer latents, or {.code sigma2 = \"learned\"}."), "init",
                call = call)
  }
  lengths <- if (plan$mixing == "diagonal") sqrt(variance) else rep(1, data$d)
  rest <- weighted$mean_square - sum(top$values)
  list(mixing = top$orthonormal * rep(lengths, each = data$p), sigma2 = top$sigma2,
       gaussian = empty_prior(data$d, variance / lengths^2),
       loglik = normal_loglik(top$sigma2, variance, top$values, rest, data),
       start = list(label = start$label %||% "pca", optima = NULL))
}

#' A held: the likelihood in sigma2 alone
#' @noRd
normal_fixed <- function(data, init, plan, call) {
  start <- starting_values(init, data, plan, call)
  mixing <- unname(compose_mixing(start))
  basis <- polar_factor(mixing)
  moments <- .Call(C_target_moments, data$x, data$x %*% basis, data$env, data$targets,
                   row_weights(data), rep(1L, data$n_domains), plan$threads)
  spectrum <- eigen(tcrossprod(crossprod(basis, mixing)), symmetric = TRUE)
  axes <- spectrum$vectors
  along <- colSums(axes * (matrix(moments$second, data$d) %*% axes))
  mean_square <- moments$sum_sq / data$n
  loglik <- function(sigma2) {
    normal_loglik(sigma2, spectrum$values, along, mean_square - sum(along), data)
  }
  sigma2 <- start$sigma2
  if (learns_sigma2(plan, start, data)) {
    unit <- mean_square / data$p # so that the search is the same in any units of x
    best <- stats::optimize(function(at) {
      normal_loglik(exp(at), spectrum$values / unit, along / unit,
                    (mean_square - sum(along)) / unit, data)
    }, log(c(1e-10, 2)), maximum = TRUE, tol = 1e-10)
    sigma2 <- unit * exp(best$maximum)
  }
  list(mixing = mixing, sigma2 = sigma2, gaussian = empty_prior(data$d), loglik = loglik(sigma2),
       start = list(label = start$label, optima = NULL))
}

#' Log-likelihood of N(0, AA' + sigma2 I)
#'
#' @param variance Eigenvalues of AA' that are not 0.
#' @param along Mean squares of x along their eigenvectors.
#' @param rest Mean square of x in all other directions together.
#' @noRd
normal_loglik <- function(sigma2, variance, along, rest, data) {
  total <- variance + sigma2
  -data$n / 2 * (data$p * log(2 * pi) + sum(log(total) + along / total) +
                   (data$p - data$d) * log(sigma2) + rest / sigma2)
}

# Results -----------------------------------------------------------------------------------------

#' Posterior of rows in closed form
#'
#' @param model A fit, or what fit_linear() returns.
#' @param targets 0/1 integer matrix of the combinations that `codes` refers to.
#' @return list: `latents`, `latents_sd` (rows x d), `quantiles` (rows x d length(deviate)), `draws`
#'   (rows x d keep), `status`
#' @noRd
gaussian_posterior <- function(model, x, codes, targets, control, deviate = double(), keep = 0L,
                               seed = 0) {
  .Call(C_gaussian_rows, x, codes, targets, model$parents,
        list(mixing = unname(model$mixing), sigma2 = model$sigma2, prior = model$gaussian),
        list(perfect = control$intervention == "perfect", variance_floor = 0, deviate = deviate,
             keep = keep, seed = seed, threads = control$threads))
}

#' @noRd
named_gaussian_results <- function(model, posterior, data, control) {
  latents <- data$latent_names
  states <- c("state0", "state1")
  trace <- model$trace[seq_len(model$iterations), , drop = FALSE]
  variances <- `colnames<-`(trace[, -(1:3), drop = FALSE],
                            paste0("noise_var_", rep(latents, each = 2L), "_", states))
  seen <- !is.na(as.vector(model$gaussian$variance))
  family <- cell_parents(model$parents, control)
  prior <- spline_form(model, family, posterior$latents, control)
  c(posterior_fields(posterior, data), list(
    mixing = `dimnames<-`(model$mixing, list(data$feature_names, latents)),
    sigma2 = model$sigma2,
    latent_noise_var = `dimnames<-`(t(model$gaussian$variance), list(latents, states)), noise = NULL,
    loglik = model$loglik, iterations = model$iterations, converged = model$converged,
    trace = tibble::as_tibble(cbind(data.frame(
      iteration = seq_len(model$iterations), sigma2 = trace[, 1L], loglik = trace[, 2L],
      change = trace[, 3L]
    ), variances[, seen, drop = FALSE])),
    mechanism_coef = coefficient_table(model$gaussian, family, data),
    gaussian = model$gaussian, parents = model$parents, prior = prior,
    gram = gram_of(model$mixing), mc_error = stats::setNames(rep(0, data$d), latents),
    drift = model$change, walk_scale = matrix(1, data$d, data$n_domains),
    chains = posterior$latents, subspace = model$subspace,
    counts = c(model$counts, start_indefinite = 0L),
    cells = gaussian_cell_table(prior, data), data = data
  ))
}

#' Parents that a (node, state) depends on: a list over cells, state 0 of a node before state 1
#' @noRd
cell_parents <- function(parents, control) {
  perfect <- control$intervention == "perfect"
  unlist(lapply(parents, function(of) list(of, if (perfect) integer() else of)), recursive = FALSE)
}

#' Intercepts and slopes in long form
#' @noRd
coefficient_table <- function(gaussian, family, data) {
  d <- data$d
  slope <- matrix(gaussian$slope, d)
  do.call(rbind, lapply(which(!is.na(gaussian$variance)), function(cell) {
    tibble::tibble(
      node = data$latent_names[(cell + 1L) %/% 2L], state = (cell + 1L) %% 2L,
      term = c("(Intercept)", data$latent_names[family[[cell]]]),
      estimate = c(gaussian$intercept[cell], slope[family[[cell]], cell])
    )
  }))
}

#' The prior in the form of spline mechanisms, which linear ones are a case of: what reads those, or
#' goes on from them, reads this. The coefficients of a linear spline are its values at the means of
#' three consecutive knots.
#' @noRd
spline_form <- function(model, family, latents, control) {
  settings <- prior_control(control)
  gaussian <- model$gaussian
  d <- ncol(latents)
  range <- matrix(apply(latents, 2L, range), 2L)
  slope <- matrix(gaussian$slope, d)
  at <- function(k) {
    ends <- range[, k]
    knots <- c(rep(ends[1L], 2L), seq(ends[1L], ends[2L], length.out = settings$knots),
               rep(ends[2L], 2L))
    rowMeans(stats::embed(knots, 3L))
  }
  theta <- lapply(seq_len(2L * d), function(cell) {
    parents <- family[[cell]]
    if (length(parents) == 0L || is.na(gaussian$variance[cell])) {
      return(NULL)
    }
    unlist(lapply(parents, function(k) {
      gaussian$intercept[cell] / length(parents) + slope[k, cell] * at(k)
    }))
  })
  lambda <- Map(function(parents, theta) {
    if (!is.null(theta)) rep(settings$lambda, length(parents))
  }, family, theta)
  df <- matrix(1 + lengths(family), 2L)
  df[is.na(gaussian$variance)] <- NA
  constant <- gaussian$intercept
  constant[lengths(theta) > 0L] <- 0
  list(theta = theta, lambda = unname(lambda), df = df, constant = constant,
       variance = gaussian$variance, range = range)
}

#' @noRd
gaussian_cell_table <- function(prior, data) {
  table <- g_cell_table(list(prior = prior), data)
  table$coefficients <- as.integer(table$df)
  table
}

#' @noRd
describe_gaussian_prior <- function(fit) {
  if (is_normal(fit$control)) {
    return("Prior: independent standard normal latents (probabilistic principal components)")
  }
  perfect <- if (fit$control$intervention == "perfect") ", perfect interventions"
  paste0("Prior: linear mechanisms, Gaussian noise", perfect)
}

#' How the fit was found, and the log-likelihood reached
#' @noRd
describe_gaussian_em <- function(fit) {
  loglik <- paste0("Log-likelihood: ", format(fit$loglik, digits = 10L), ".")
  if (is_normal(fit$control)) {
    return(c("Solved in closed form.", loglik))
  }
  if (fit$iterations == 0L) {
    return(c("No EM iteration was run (max_iter = 0): A is that of the start.", loglik))
  }
  figures <- paste0(count_of(fit$iterations, "iteration"), " of EM: last relative change ",
                    format(fit$drift, digits = 2L), ", tolerance ", format(fit$control$tol), ".")
  if (fit$converged) {
    return(c(paste("Converged after", figures), loglik))
  }
  c(paste("Not converged in", figures), loglik, "update(fit, max_iter = 1000) goes on from here.")
}

#' What the model, the start and the moments leave out
#' @noRd
gaussian_notes <- function(fit) {
  if (is_normal(fit$control)) {
    return(paste("Graph and targets are not used: the latents span the right space, but are known",
                 "up to a rotation only, of which the fit takes the principal axes."))
  }
  c(start_notes(fit), if (!is.null(fit$subspace)) {
    paste("A was sought within the", fit$subspace, "leading principal components of x only.")
  })
}

#' Log-likelihood of a fit with a Gaussian prior
#'
#' The log-likelihood of x of fits by `method = "g"` with `prior = "linear"` or `"normal"` (see
#' [crl_control()]): other fits have no closed form for it. Rows count by their `weights`.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param ... Not used.
#' @return An object of class `logLik`, with the degrees of freedom: intercepts, slopes, variances,
#'   A (p d, less the constraints on its columns and the rotations that leave the model as it is)
#'   and \eqn{\sigma^2}. [AIC()][stats::AIC] and [BIC()][stats::BIC] read it.
#' @section Errors:
#' `ebcrl_error_method` for other fits.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' linear <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' normal <- fit_crl(sim, method = "g", control = crl_control(prior = "normal"))
#' AIC(linear, normal)
#' @importFrom stats logLik
#' @export
logLik.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object)
  if (!is_gaussian(object)) {
    prior <- if (object$method == "g") ", {.code prior = \"spline\"}"
    abort_input(c(paste("{.fn logLik} needs a fit by {.code method = \"g\"} with",
                        "{.code prior = \"linear\"} or {.code \"normal\"}."),
                  "x" = paste0("This one is by {.code method = \"{object$method}\"}", prior, ".")),
                "method")
  }
  structure(object$loglik, df = gaussian_df(object), nobs = object$data$n, class = "logLik")
}

#' @noRd
gaussian_df <- function(fit) {
  p <- as.double(fit$data$p - length(fit$data$constant))
  d <- fit$data$d
  mixing <- switch(fit$control$mixing, fixed = 0, psd = p * d - d, p * d - d * (d + 1) / 2)
  prior <- if (is_normal(fit$control)) {
    if (fit$control$mixing == "fixed") 0 else d
  } else {
    nrow(fit$mechanism_coef) + nrow(fit$cells)
  }
  mixing + prior + gaussian_learns_sigma2(fit)
}

#' @noRd
plot_gaussian_em <- function(fit) {
  if (fit$iterations == 0L) {
    abort_input(c("There are no iterations to draw.",
                  "x" = if (is_normal(fit$control)) "The fit has a closed form." else
                    "The fit has {.code max_iter = 0}."), "range", call = rlang::caller_env())
  }
  trace <- fit$trace
  panels <- c("Log-likelihood", "Noise variance", "Relative change, log10")
  values <- list(trace$loglik, trace$sigma2, log10(ifelse(trace$change > 0, trace$change, NA)))
  lines <- tibble::tibble(iteration = rep(trace$iteration, 3L), value = unlist(values),
                          panel = factor(rep(panels, each = nrow(trace)), panels))
  ggplot2::ggplot(lines[!is.na(lines$value), ], ggplot2::aes(.data$iteration, .data$value)) +
    ggplot2::geom_line(colour = "grey20") +
    ggplot2::facet_wrap(ggplot2::vars(.data$panel), ncol = 1L, scales = "free_y") +
    ggplot2::scale_x_continuous(breaks = whole_breaks) +
    ggplot2::labs(title = "Convergence", subtitle = in_lines(describe_gaussian_em(fit)[1L]),
                  x = "Iteration", y = NULL) +
    theme_crl()
}
