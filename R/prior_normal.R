# The prior of independent standard normal latents.

#' A prior of independent normal latents
#'
#' What [crl_control()] takes as `prior`: latents are independent N(0, 1) in every domain, which is
#' probabilistic principal component analysis (Tipping and Bishop 1999); graph and targets are not
#' used, but for signs.
#'
#' The maximum of the likelihood has \eqn{\sigma^2} the mean of the p - d small eigenvalues of
#' X'X/n, and \eqn{A = U (L - \sigma^2 I)^{1/2} R}, U the leading eigenvectors, L their eigenvalues,
#' R any rotation, of which the fit takes the identity: columns of A are orthogonal, the longest
#' first. `mixing = "diagonal"` (what `"auto"` stands for) is this. `"orthonormal"` is the same model
#' in other units: columns of length 1, latents with the variances \eqn{L - \sigma^2}. `"fixed"`
#' holds the A of `init`, and \eqn{\sigma^2} alone is estimated. `"psd"` is refused: A is known up to
#' a rotation only, under which columns may as well be orthogonal. No start is needed; an `init` in
#' numbers matters if it is held.
#'
#' Posterior moments have closed forms, and the log-likelihood is exact ([logLik()][logLik.crl_fit]).
#' [saem_control()] is not read, but that several `chains` are an error.
#'
#' @param ... Nothing: it has no settings, and what is given is an error.
#' @return An object of class `crl_prior`.
#' @section Errors:
#' `ebcrl_error_control` for an argument.
#' @references Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
#'   *Journal of the Royal Statistical Society B*, 61, 611-622. \doi{10.1111/1467-9868.00196}
#' @examples
#' crl_control(prior = prior_normal())
#' @export
prior_normal <- function(...) {
  check_setting_dots(...)
  new_prior("normal", family = "gaussian")
}

# Engine ------------------------------------------------------------------------------------------

#' @noRd
run_engine.prior_normal <- function(prior, data, init, control, call, error_call) {
  fit_gaussian(data, init, plan_normal(control, init), fit_normal, call, error_call)
}

#' A normal prior has no states
#' @noRd
least_rows.prior_normal <- function(prior) NULL

#' Noise that differs by feature is not told from latents that are any rotation
#' @noRd
has_measurement.prior_normal <- function(prior) FALSE

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
    parents = rep(list(integer()), data$d), trace = empty_gaussian_trace(data$d),
    iterations = 0L, converged = TRUE, change = 0, subspace = NULL,
    counts = c(noise_floored = 0, sigma2_floored = 0, rank_deficient = 0)
  ))
}

#' The plan of a fit with normal latents
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
       prior = without_parents(data$d, variance / lengths^2),
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
  list(mixing = mixing, sigma2 = sigma2, prior = without_parents(data$d), loglik = loglik(sigma2),
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

#' Latents without causes, as linear mechanisms are
#' @noRd
without_parents <- function(d, variance = 1) {
  new_linear(empty_prior(d, variance), rep(list(integer()), n_cells(d)))
}

#' A closed form is as good as it gets
#' @noRd
continue_fit.crl_fit_g_normal <- function(fit, further, control, call) {
  fit$control <- control
  fit$converged <- TRUE
  fit
}

#' A closed form takes sigma2 from `init` only where it is fixed there
#' @noRd
learned_noise.crl_fit_g_normal <- function(fit) {
  if (fit$control$mixing == "fixed") {
    return(learned_noise.crl_fit_g_linear(fit))
  }
  !(fit$control$sigma2 == "fixed" && given_noise(fit))
}

#' @noRd
prior_df.crl_fit_g_normal <- function(fit) {
  if (fit$control$mixing == "fixed") 0 else fit$data$d
}

# In words ----------------------------------------------------------------------------------------

#' @noRd
describe_engine.crl_fit_g_normal <- function(fit) {
  "Prior: independent standard normal latents (probabilistic principal components)"
}

#' @noRd
describe_convergence.crl_fit_g_normal <- function(fit) {
  c("Solved in closed form.", loglik_line(fit))
}

#' @noRd
fit_notes.crl_fit_g_normal <- function(fit) {
  c(paste("Graph and targets are not used: the latents span the right space, but are known",
          "up to a rotation only, of which the fit takes the principal axes."),
    span_note(fit), count_notes(fit))
}

#' @noRd
plot_convergence.crl_fit_g_normal <- function(fit) {
  abort_input(c("There are no iterations to draw.", "x" = "The fit has a closed form."), "range",
              call = rlang::caller_env())
}

#' The trace of a fit without iterations, with the columns that src/g/gaussian_em.c names
#' @noRd
empty_gaussian_trace <- function(d) {
  columns <- c("sigma2", "loglik", "change", rep("variance", n_cells(d)))
  matrix(0, 0L, length(columns), dimnames = list(NULL, columns))
}
