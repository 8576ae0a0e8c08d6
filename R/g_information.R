# Standard errors in closed form for linear mechanisms: the observed information of the moments of
# the coordinates, in the mechanisms and, where A was learned, its place within its space.

# Step of central differences, in units in which the information is near n.
INFORMATION_STEP <- 1e-3

#' Covariance matrix and intervals of the parameters of a fit
#'
#' For fits by `method = "g"` with `prior = "linear"`: from the observed information of the
#' likelihood of x, at which the EM has its maximum. Parameters are intercepts, slopes and log noise
#' variances of the mechanisms, and the place of A within the space of the factors (a rotation, or
#' with `mixing = "psd"` any columns of length 1), which is taken account of but not listed. The
#' space itself, and the noise variances of features, tell nothing of the mechanisms to first order.
#' The intervals suppose the model: linear mechanisms, normal noise. [crl_boot()] does not, and goes
#' for fits of all kinds.
#'
#' @param object A `crl_fit`, from [fit_crl()].
#' @param parm Names or positions of parameters; all, if missing.
#' @param level Probability of the intervals, each by itself.
#' @param ... Not used.
#' @return `vcov()`: matrix with names such as `"z2 ~ z1 [0]"` (slope of z2 on z1 where z2 is not
#'   targeted), `"z2 ~ (Intercept) [1]"` and `"log var z2 [0]"`. `confint()`: matrix of ends.
#' @section Errors:
#' `ebcrl_error_method` for fits without such a likelihood: use [crl_boot()];
#' `ebcrl_error_numerical` where the information is singular: rows do not tell the parameters, or the
#' fit is not at a maximum.
#' @examples
#' sim <- sim_crl(dag = chain_dag(3), n = 200, p = 20, nonlinearity = "linear")
#' fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear"))
#' confint(fit)
#' @name confint.crl_fit
NULL

#' @rdname confint.crl_fit
#' @importFrom stats vcov
#' @export
vcov.crl_fit <- function(object, ...) {
  check_dots_empty(...)
  object <- check_fit(object, rows = TRUE)
  linear_covariance(object)$covariance
}

#' @rdname confint.crl_fit
#' @importFrom stats confint
#' @export
confint.crl_fit <- function(object, parm, level = 0.95, ...) {
  check_dots_empty(...)
  object <- check_fit(object, rows = TRUE)
  level <- check_level(level)
  found <- linear_covariance(object)
  half <- stats::qnorm((1 + level) / 2) * sqrt(diag(found$covariance))
  table <- tibble::tibble(conf.low = found$estimate - half, conf.high = found$estimate + half)
  ends <- ends_matrix(table, level)
  rownames(ends) <- rownames(found$covariance)
  if (missing(parm)) ends else ends[parm, , drop = FALSE]
}

#' @noRd
check_information <- function(fit, call) {
  if (!inherits(fit, "crl_fit_g_linear")) {
    kind <- if (inherits(fit, "crl_fit_f")) "an f fit" else
      paste("a g fit with", setting_words(fit$control$prior))
    abort_input(c("Standard errors in closed form need {.code prior = \"linear\"}.",
                  "x" = "This is {kind}.",
                  "i" = "{.code crl_boot(fit)} has standard errors and intervals for it."), "method",
                call = call)
  }
}

#' @return list: `estimate`, `covariance` of mechanism parameters
#' @noRd
linear_covariance <- function(fit, call = rlang::caller_env()) {
  check_information(fit, call)
  check_complete(fit, "vcov", call)
  fit <- without_constant(fit)
  problem <- information_problem(fit)
  at <- problem$start
  information <- information_matrix(at, problem)
  covariance <- tryCatch(solve(information), error = function(e) NULL)
  named <- seq_along(problem$names)
  if (is.null(covariance) || any(diag(covariance)[named] <= 0)) {
    abort_input(c("The information of the rows on the parameters is singular.",
                  "i" = paste("Go on with the EM ({.code update(fit, max_iter = 1000)}), or use",
                              "{.code crl_boot(fit)}.")), "numerical", call = call)
  }
  list(estimate = stats::setNames(at[named], problem$names),
       covariance = `dimnames<-`(covariance[named, named, drop = FALSE],
                                 list(problem$names, problem$names)))
}

#' Moments, and where each parameter goes
#' @param engine Linear mechanisms in the coordinates of the fit: `gaussian` and `parents`.
#' @noRd
information_problem <- function(fit, engine = inner_fit(fit)) {
  coordinates <- fit_coordinates(fit)
  inner <- coordinates$data
  mixing <- coordinates$init$mixing
  moments <- .Call(C_domain_moments, inner$x, inner$env, inner$n_domains)
  cells <- cells_of(seq_len(inner$d))
  cells <- cells[!is.na(engine$prior$variance[cbind(cells$state + 1L, cells$node)]), ]
  parents <- cell_parents(engine$parents, fit$control)
  names <- inner$latent_names
  map <- do.call(rbind, Map(function(node, state) {
    pa <- parents[[cell_of(node, state)]]
    tag <- paste0(" [", state, "]")
    data.frame(
      kind = c("intercept", rep("slope", length(pa)), "variance"), node = node, state = state + 1L,
      parent = c(NA, pa, NA),
      name = c(paste0(names[node], " ~ ", c("(Intercept)", names[pa]), tag),
               paste0("log var ", names[node], tag))
    )
  }, cells$node, cells$state))
  gaussian <- engine$prior
  value <- mapply(function(kind, node, state, parent) {
    switch(kind, intercept = gaussian$intercept[state, node],
           slope = gaussian$slope[parent, state, node], variance = log(gaussian$variance[state, node]))
  }, map$kind, map$node, map$state, map$parent)
  turns <- information_turns(fit, inner$d)
  list(start = c(unname(value), rep(0, nrow(turns))), names = map$name, latents = names,
       map = map, turns = turns,
       mixing = mixing, lift = inner$space$lift, psd = fit$control$mixing == "psd",
       noise = inner$space$sigma2, moments = moments, weight = inner$n * inner$weights,
       domains = apply(unclass(inner$targets) + 1L, 1L, domain_cells, map = map, simplify = FALSE),
       d = inner$d)
}

#' Planes in which A may turn, or entries by which columns may be added to one another; none where A
#' was given
#' @noRd
information_turns <- function(fit, d) {
  given <- fit$init %in% c("given", "fit") && fit$control$mixing == "fixed"
  all <- which(if (fit$control$mixing == "psd") row(diag(d)) != col(diag(d)) else upper.tri(diag(d)),
               arr.ind = TRUE)
  if (given) all[0L, , drop = FALSE] else all
}

#' Log-likelihood of the coordinates up to a constant, and its gradient
#'
#' Domain e: y ~ N(m, V), m = T c, V = T diag(v) T' + noise I, T = B (I - L)^-1, with slopes L,
#' intercepts c and variances v of its states.
#' @noRd
information_loglik <- function(theta, problem, gradient = FALSE) {
  k <- length(problem$names)
  mixing <- turned_by(problem$mixing, theta[-seq_len(k)], problem)
  total <- list(value = 0, gradient = numeric(k), mixing = 0 * mixing)
  for (e in seq_along(problem$weight)) {
    part <- domain_loglik(theta, mixing, e, problem, gradient)
    total$value <- total$value + part$value
    if (gradient) {
      total$gradient[part$at] <- total$gradient[part$at] + part$gradient
      total$mixing <- total$mixing + part$mixing
    }
  }
  if (!gradient) {
    return(total$value)
  }
  c(total$gradient, turns_gradient(theta[-seq_len(k)], total$mixing, problem))
}

#' @noRd
domain_loglik <- function(theta, mixing, e, problem, gradient) {
  cells <- problem$domains[[e]]
  d <- problem$d
  slope <- matrix(0, d, d)
  slope[cells$entries] <- theta[cells$slope]
  centre <- variance <- numeric(d)
  centre[cells$intercept_node] <- theta[cells$intercept]
  variance[cells$variance_node] <- exp(theta[cells$variance])
  inverse <- solve(diag(d) - slope)
  through <- mixing %*% inverse
  root <- chol(through %*% (variance * t(through)) + diag(problem$noise, d))
  precision <- chol2inv(root)
  mean <- problem$moments$mean[, e]
  off <- mean - drop(through %*% centre)
  spread <- problem$moments$second[, , e] - tcrossprod(mean) + tcrossprod(off)
  w <- problem$weight[e]
  out <- list(value = -w / 2 * (2 * sum(log(diag(root))) + sum(precision * spread)))
  if (!gradient) {
    return(out)
  }
  of_cov <- -w / 2 * (precision - precision %*% spread %*% precision)
  of_mean <- w * drop(precision %*% off)
  level <- drop(inverse %*% centre)
  along <- crossprod(through, of_cov %*% through)
  by_slope <- outer(drop(crossprod(through, of_mean)), level) + 2 * along %*% (variance * t(inverse))
  out$at <- c(cells$intercept, cells$slope, cells$variance)
  out$gradient <- c(drop(crossprod(through, of_mean))[cells$intercept_node],
                    by_slope[cells$entries], (variance * diag(along))[cells$variance_node])
  out$mixing <- outer(of_mean, level) + 2 * of_cov %*% through %*% (variance * t(inverse))
  out
}

#' Where the parameters of a domain's states are
#' @noRd
domain_cells <- function(map, state) {
  of <- function(kind) which(map$kind == kind & map$state == state[map$node])
  slope <- of("slope")
  list(intercept = of("intercept"), intercept_node = map$node[of("intercept")], slope = slope,
       entries = cbind(map$node[slope], map$parent[slope]), variance = of("variance"),
       variance_node = map$node[of("variance")])
}

#' @param of_mixing Gradient in the entries of A.
#' @noRd
turns_gradient <- function(angles, of_mixing, problem) {
  vapply(seq_along(angles), function(t) {
    shifted <- function(by) turned_by(problem$mixing, replace(angles, t, angles[t] + by), problem)
    sum(of_mixing * (shifted(1e-5) - shifted(-1e-5))) / 2e-5
  }, 0)
}

#' A within its space: turned by small angles, or with columns added to one another
#' @noRd
turned_by <- function(mixing, angles, problem) {
  if (length(angles) == 0L) {
    return(mixing)
  }
  d <- problem$d
  generator <- matrix(0, d, d)
  generator[problem$turns] <- angles
  if (problem$psd) {
    turned <- mixing %*% (diag(d) + generator)
    return(turned / rep(sqrt(colSums((problem$lift %*% turned)^2)), each = nrow(turned)))
  }
  skew <- generator - t(generator)
  mixing %*% solve(diag(d) - skew / 2, diag(d) + skew / 2) # Cayley: a rotation for any angles
}

#' Minus the second derivatives of the log-likelihood, by central differences of its gradient
#' @noRd
information_matrix <- function(theta, problem) {
  columns <- vapply(seq_along(theta), function(i) {
    at <- function(by) information_loglik(replace(theta, i, theta[i] + by), problem, TRUE)
    (at(INFORMATION_STEP) - at(-INFORMATION_STEP)) / (2 * INFORMATION_STEP)
  }, theta)
  -(columns + t(columns)) / 2
}

#' The maximum of the log-likelihood over some parameters, the others held
#'
#' In coordinates in which the information at the start is the identity, where a few steps of BFGS do.
#' @return list: `theta`, `value`
#' @noRd
information_maximum <- function(theta, free, problem, information) {
  spectrum <- eigen(information[free, free, drop = FALSE], symmetric = TRUE)
  values <- pmax(spectrum$values, max(spectrum$values) * 1e-8)
  root <- spectrum$vectors %*% (1 / sqrt(values) * t(spectrum$vectors))
  at <- function(step) replace(theta, free, theta[free] + drop(root %*% step))
  found <- stats::optim(
    numeric(sum(free)), function(step) {
      value <- tryCatch(-information_loglik(at(step), problem), error = function(e) NA)
      if (is.finite(value)) value else 1e100
    },
    function(step) -drop(root %*% information_loglik(at(step), problem, TRUE)[free]),
    method = "BFGS", control = list(maxit = 200L, reltol = 1e-12)
  )
  list(theta = at(found$par), value = -found$value)
}

#' Standard errors and intervals beside the coefficients of linear mechanisms
#' @noRd
with_intervals <- function(table, fit, level, call = rlang::caller_env()) {
  found <- linear_covariance(fit, call)
  at <- match(paste0(table$node, " ~ ", table$term, " [", table$state, "]"),
              rownames(found$covariance))
  table$std.error <- sqrt(diag(found$covariance))[at]
  half <- stats::qnorm((1 + level) / 2) * table$std.error
  table$conf.low <- table$estimate - half
  table$conf.high <- table$estimate + half
  table
}
