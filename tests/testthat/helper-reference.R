# The method written a second time, straight from the formulas: dense design
# matrices, solve() and svd(), no speed. The compiled core is tested against
# it, so nothing here calls the package. Equation numbers are the paper's.

# Cubic B-splines on `knots` equally spaced knots, the end ones repeated four
# times (Appendix A.1); beyond the range each function goes on linearly, or if
# `curved`, as those of a log-density do, quadratically.
ref_basis <- function(y, range, knots, deriv = 0L, curved = FALSE) {
  inner <- seq(range[1], range[2], length.out = knots)
  all_knots <- c(rep(range[1], 3), inner, rep(range[2], 3))
  design <- function(at, deriv) {
    splines::splineDesign(all_knots, at, ord = 4, derivs = rep(deriv, length(at)))
  }
  inside <- pmin(pmax(y, range[1]), range[2])
  beyond <- y - inside
  bend <- if (curved) design(inside, 2L) else 0
  switch(deriv + 1L,
    design(inside, 0L) + beyond * design(inside, 1L) + beyond^2 / 2 * bend,
    design(inside, 1L) + beyond * bend,
    (curved | beyond == 0) * design(inside, 2L)
  )
}

# Features of the coordinates `family` (the node, then its parents), the first
# coordinate's index slowest; `deriv` is the derivative in coordinate `wrt`,
# the first one unless told (several: each in its own).
ref_features <- function(y, family, range, knots, deriv = 0L, wrt = family[1], curved = FALSE) {
  basis <- function(k) ref_basis(y[, k], range[, k], knots, sum((k == wrt) * deriv), curved)
  features <- basis(family[1])
  for (k in family[-1]) {
    right <- basis(k)
    features <- do.call(cbind, lapply(seq_len(ncol(features)), function(a) features[, a] * right))
  }
  features
}

# The tensor blocks ("terms") whose sum is the spline of a family.
ref_terms <- function(family, control) {
  parents <- family[-1]
  size <- switch(c(control$interaction, "tensor")[1], additive = 1, pairwise = 2, tensor = Inf)
  if (length(parents) <= size) {
    return(list(family))
  }
  lapply(utils::combn(seq_along(parents), size, simplify = FALSE), function(k) {
    c(family[1], parents[k])
  })
}

# Features of all terms, side by side, and their penalties, a block each.
ref_sum_features <- function(y, terms, range, knots, ...) {
  do.call(cbind, lapply(terms, function(term) ref_features(y, term, range, knots, ...)))
}

ref_blocks <- function(blocks) {
  end <- cumsum(vapply(blocks, nrow, 0L))
  total <- matrix(0, max(end), max(end))
  for (b in seq_along(blocks)) {
    own <- end[b] - nrow(blocks[[b]]) + seq_len(nrow(blocks[[b]]))
    total[own, own] <- blocks[[b]]
  }
  total
}

ref_sum_penalty <- function(terms, control, order = 2, weight = NULL) {
  ref_blocks(lapply(terms, function(term) {
    own <- if (is.null(weight)) rep(1, length(term)) else weight[term]
    ref_penalty(length(term), control$knots, control$penalty, control$lambda, order, own)
  }))
}

# Overlapping terms leave the coefficients undetermined, though not the score: the
# shortest, by steps from 0 with a tiny ridge, whose effect they take away.
ref_shortest <- function(gram, penalty, rhs) {
  ridge <- 1e-10 * mean(diag(gram)) + 1e-12 * mean(diag(penalty))
  coefs <- 0 * rhs
  for (step in 1:40) { # heavy smoothing takes many
    residual <- rhs - gram %*% coefs - penalty %*% coefs
    if (step > 3 && sum(residual^2) <= 1e-20 * sum(rhs^2)) break
    coefs <- coefs + solve(gram + penalty + ridge * diag(length(rhs)), residual, tol = 0)
  }
  drop(coefs)
}

# Differences of the slopes between the abscissae at which the coefficients of
# a linear function lie on it: means of three consecutive knots, end ones
# repeated, here in units of the knot spacing. The third differences are those
# of second derivatives, slopes' differences by the distances of their own
# abscissae, means of two knots.
ref_difference <- function(knots, order = 2) {
  abscissae <- function(degree) {
    inner <- c(rep(0, degree - 1), seq_len(knots) - 1, rep(knots - 1, degree - 1))
    rowMeans(stats::embed(inner, degree))
  }
  second <- diff(diff(diag(knots + 2)) / diff(abscissae(3)))
  if (order == 2) second else diff(second / diff(abscissae(2)))
}

# weight: of each coordinate; a ridge takes their mean.
ref_penalty <- function(n_coordinates, knots, penalty, lambda, order = 2,
                        weight = rep(1, n_coordinates)) {
  n_basis <- knots + 2L
  if (penalty == "ridge") {
    return(lambda * mean(weight) * diag(n_basis^n_coordinates))
  }
  difference <- ref_difference(knots, order)
  total <- 0
  for (k in seq_len(n_coordinates)) {
    left <- diag(n_basis^(k - 1))
    right <- diag(n_basis^(n_coordinates - k))
    total <- total + weight[k] * (left %x% crossprod(difference) %x% right)
  }
  lambda * total
}

# The 2 x d matrix of coordinate ranges that `range` stands for.
ref_range <- function(y, range) {
  if (identical(range, "data")) {
    return(apply(y, 2, base::range))
  }
  matrix(range, 2, ncol(y))
}

# Coordinates of node j in a target state: the node, then its parents, none of
# them where interventions are perfect.
ref_family <- function(j, state, parents, control) {
  cut <- identical(control$intervention, "perfect") && state == 1
  if (cut) j else c(j, parents[[j]])
}

# Causal score matching (5.4), (5.5), Appendix A.1; `omega`: weight of a row
# in each domain (Appendix C). `reference`: a known score that the splines
# correct, the score of the model being their sum; the results are the splines'.
ref_score <- function(y, env, targets, parents, omega, control, reference = 0 * y) {
  n <- nrow(y)
  d <- ncol(y)
  range <- ref_range(y, control$range)
  weight <- omega[env]
  score <- dscore <- matrix(0, n, d)
  theta <- vector("list", d)
  for (j in seq_len(d)) {
    theta[[j]] <- list(state0 = NULL, state1 = NULL)
    for (state in 0:1) {
      rows <- which(targets[env, j] == state)
      if (length(rows) == 0) next
      terms <- ref_terms(ref_family(j, state, parents, control), control)
      phi <- ref_sum_features(y, terms, range, control$knots)
      dphi <- ref_sum_features(y, terms, range, control$knots, 1L)
      penalty <- ref_sum_penalty(terms, control)
      w <- weight[rows]
      gram <- crossprod(phi[rows, , drop = FALSE], w * phi[rows, , drop = FALSE])
      known <- colSums(w * reference[rows, j] * phi[rows, , drop = FALSE])
      rhs <- -colSums(w * dphi[rows, , drop = FALSE]) - known
      coefs <- if (length(terms) > 1) {
        ref_shortest(gram, penalty, rhs)
      } else {
        solve(gram + penalty, rhs)
      }
      theta[[j]][[paste0("state", state)]] <- coefs
      score[rows, j] <- phi[rows, , drop = FALSE] %*% coefs
      dscore[rows, j] <- dphi[rows, , drop = FALSE] %*% coefs
    }
  }
  list(
    theta = theta, score = score, dscore = dscore, range = range,
    loss = sum(weight * (score^2 / 2 + dscore)) / n
  )
}

# Score and own derivative at new rows, from fitted coefficients.
ref_eval_score <- function(y, row_targets, parents, theta, range, knots, control = list()) {
  score <- dscore <- matrix(0, nrow(y), ncol(y))
  for (j in seq_len(ncol(y))) {
    for (state in 0:1) {
      terms <- ref_terms(ref_family(j, state, parents, control), control)
      coefs <- theta[[j]][[paste0("state", state)]]
      for (i in which(row_targets[, j] == state)) {
        at <- y[i, , drop = FALSE]
        score[i, j] <- sum(ref_sum_features(at, terms, range, knots) * coefs)
        dscore[i, j] <- sum(ref_sum_features(at, terms, range, knots, 1L) * coefs)
      }
    }
  }
  list(score = score, dscore = dscore)
}

# The Jacobian (rows x component x coordinate) of the same score.
ref_eval_jacobian <- function(y, row_targets, parents, theta, range, knots, control = list()) {
  d <- ncol(y)
  jacobian <- array(0, c(nrow(y), d, d))
  for (j in seq_len(d)) {
    for (state in 0:1) {
      family <- ref_family(j, state, parents, control)
      rows <- which(row_targets[, j] == state)
      coefs <- theta[[j]][[paste0("state", state)]]
      for (k in if (length(rows) > 0) family) {
        at <- y[rows, , drop = FALSE]
        jacobian[rows, j, k] <- ref_features(at, family, range, knots, 1L, wrt = k) %*% coefs
      }
    }
  }
  jacobian
}

# Cross-validated score matching: fold by fold the score of the other rows under
# each weight, and on the fold's rows, cell by cell, the sums of omega s^2 / 2
# and omega ds. An array cells x weights x folds of each.
ref_held_out <- function(y, env, targets, parents, omega, control, fold, weights) {
  range <- ref_range(y, control$range)
  d <- ncol(y)
  half_square <- slope <- array(0, c(2 * d, length(weights), max(fold)))
  for (j in seq_len(d)) {
    family <- c(j, parents[[j]])
    phi <- ref_features(y, family, range, control$knots)
    dphi <- ref_features(y, family, range, control$knots, 1L)
    penalty <- ref_penalty(length(family), control$knots, control$penalty, 1)
    for (state in 0:1) {
      for (v in seq_len(max(fold))) {
        train <- targets[env, j] == state & fold != v
        test <- targets[env, j] == state & fold == v
        gram <- crossprod(phi[train, ], omega[env[train]] * phi[train, ])
        right <- -colSums(omega[env[train]] * dphi[train, ])
        for (k in seq_along(weights)) {
          theta <- solve(gram + weights[k] * penalty, right)
          cell <- 2 * j - 1 + state
          half_square[cell, k, v] <- sum(omega[env[test]] * (phi[test, ] %*% theta)^2) / 2
          slope[cell, k, v] <- sum(omega[env[test]] * (dphi[test, ] %*% theta))
        }
      }
    }
  }
  list(half_square = half_square, slope = slope, loss = half_square + slope)
}

# The same for any score, by fits to the other folds one by one.
ref_held_out_score <- function(y, env, targets, parents, omega, control, fold, weights) {
  range <- ref_range(y, control$range)
  cells <- 2 * ncol(y)
  half_square <- slope <- array(0, c(cells, length(weights), max(fold)))
  for (v in seq_len(max(fold))) {
    for (k in seq_along(weights)) {
      settings <- utils::modifyList(control, list(range = range, lambda = weights[k]))
      train <- fold != v
      theta <- ref_fit_score(y[train, ], env[train], targets, parents, omega, settings)$theta
      on_fold <- if (identical(control$score, "markov")) {
        ref_eval_markov(y[!train, ], targets[env[!train], ], parents, theta, range, control)
      } else {
        ref_eval_score(y[!train, ], targets[env[!train], ], parents, theta, range, control$knots,
                       control)
      }
      for (cell in seq_len(cells)) {
        node <- (cell + 1) %/% 2
        rows <- targets[env[!train], node] == (cell + 1) %% 2
        w <- omega[env[!train]][rows]
        half_square[cell, k, v] <- sum(w * on_fold$score[rows, node]^2) / 2
        slope[cell, k, v] <- sum(w * on_fold$dscore[rows, node])
      }
    }
  }
  list(half_square = half_square, slope = slope, loss = half_square + slope)
}

# The weights that the held-out losses speak for: cells that do better with their
# own than with the best of the others, by three standard errors over the folds,
# take it, the clearest case first; the rest have the best in common. Between
# grid points by a parabola in log lambda.
ref_choose_lambda <- function(loss, weights) {
  best <- function(curve) max(which(curve == min(curve)))
  refined <- function(curve) {
    k <- best(curve)
    if (k == 1 || k == length(weights)) {
      return(weights[k])
    }
    x <- log10(weights[k + -1:1])
    parabola <- stats::lm.fit(cbind(1, x - x[2], (x - x[2])^2), curve[k + -1:1] - curve[k])
    at <- parabola$coefficients
    unname(10^(x[2] - at[2] / (2 * at[3])))
  }
  curve_of <- function(cells) apply(loss[cells, , , drop = FALSE], 2, sum)
  together <- seq_len(dim(loss)[1])
  repeat {
    advantage <- vapply(together, function(cell) {
      gain <- loss[cell, best(curve_of(setdiff(together, cell))), ] -
        loss[cell, best(curve_of(cell)), ]
      if (any(gain != 0)) sum(gain) / (stats::sd(gain) * sqrt(length(gain))) else 0
    }, 0)
    if (length(together) == 0 || max(advantage) <= 3) break
    together <- together[-which.max(advantage)]
  }
  chosen <- vapply(seq_len(dim(loss)[1]), function(cell) refined(curve_of(cell)), 0)
  chosen[together] <- refined(curve_of(together))
  chosen
}

# Design of the Markov score (5.1) at given rows: all coefficients of the
# log-density U side by side, cell by cell, a matrix for each derivative of U
# asked for (`deriv` in the coordinates `wrt`). A row has entries for the cells
# that it is in; terms without a coordinate have derivative 0 in it.
ref_markov_design <- function(y, row_targets, parents, range, control, deriv, wrt) {
  cells <- expand.grid(state = 0:1, node = seq_len(ncol(y)))
  blocks <- Map(function(j, state) {
    terms <- ref_terms(ref_family(j, state, parents, control), control)
    features <- lapply(terms, function(term) {
      phi <- ref_features(y, term, range, control$knots, deriv, wrt, curved = TRUE)
      if (all(wrt %in% term)) phi else 0 * phi
    })
    (row_targets[, j] == state) * do.call(cbind, features)
  }, cells$node, cells$state)
  list(features = do.call(cbind, blocks), cell = rep(seq_along(blocks), vapply(blocks, ncol, 0L)))
}

# Score matching for the gradient of U, by dense normal equations over all
# families; coefficients of cells without rows are left out.
ref_markov <- function(y, env, targets, parents, omega, control, reference = 0 * y) {
  d <- ncol(y)
  weight <- omega[env]
  row_targets <- targets[env, , drop = FALSE]
  range <- ref_range(y, control$range)
  design <- function(deriv, wrt) {
    ref_markov_design(y, row_targets, parents, range, control, deriv, wrt)
  }
  cell <- design(1, 1)$cell
  seen <- rbind(colSums(row_targets == 0), colSums(row_targets == 1)) > 0
  kept <- seen[cell]
  gram <- rhs <- 0
  for (k in seq_len(d)) {
    slope <- design(1, k)$features[, kept]
    curve <- design(2, k)$features[, kept]
    gram <- gram + crossprod(slope, weight * slope)
    rhs <- rhs - colSums(weight * curve) - colSums(weight * reference[, k] * slope)
  }
  # squared, the paper's spacing of the knots, 30 / 7, over that of each coordinate
  spacing <- (30 / 7 * (control$knots - 1) / (range[2, ] - range[1, ]))^2
  penalty <- ref_blocks(lapply(seq_len(2 * d), function(c) {
    family <- ref_family((c + 1) %/% 2, (c + 1) %% 2, parents, control)
    ref_sum_penalty(ref_terms(family, control), control, order = 3, spacing)
  }))[kept, kept]
  coefs <- numeric(length(cell))
  coefs[kept] <- ref_shortest(gram, penalty, rhs)
  theta <- lapply(seq_len(d), function(j) {
    list(state0 = if (seen[1, j]) coefs[cell == 2 * j - 1],
         state1 = if (seen[2, j]) coefs[cell == 2 * j])
  })
  at <- ref_eval_markov(y, row_targets, parents, theta, range, control)
  c(list(theta = theta, range = range, loss = sum(weight * (at$score^2 / 2 + at$dscore)) / nrow(y)),
    at)
}

# The log-density U, its gradient (the score), and the Jacobian of the score.
ref_eval_markov <- function(y, row_targets, parents, theta, range, control) {
  d <- ncol(y)
  n_coef <- table(ref_markov_design(y, row_targets, parents, range, control, 0, 1)$cell)
  coefs <- unlist(Map(function(c, size) {
    theta[[(c + 1) %/% 2]][[2 - c %% 2]] %||% numeric(size)
  }, seq_len(2 * d), n_coef))
  value <- function(deriv, wrt) {
    drop(ref_markov_design(y, row_targets, parents, range, control, deriv, wrt)$features %*% coefs)
  }
  density <- value(0, integer())
  score <- vapply(seq_len(d), function(k) value(1, k), density)
  jacobian <- array(0, c(nrow(y), d, d))
  for (k in seq_len(d)) {
    for (l in seq_len(d)) {
      jacobian[, k, l] <- if (k == l) value(2, k) else value(c(1, 1), c(k, l))
    }
  }
  dim(score) <- dim(y)
  dscore <- matrix(vapply(seq_len(d), function(k) jacobian[, k, k], density), nrow(y))
  list(density = density, score = score, dscore = dscore, jacobian = jacobian)
}

`%||%` <- function(x, y) if (is.null(x)) y else x

# First- and second-order Tweedie, (4.4) and (4.5).
ref_tweedie <- function(y, score, dscore, scale, sigma2, eta) {
  per_column <- function(m, by) sweep(m, 2, by, "/")
  raw <- sigma2 + sigma2^2 * dscore
  latents <- per_column(y + eta * sigma2 * score, scale)
  variance <- per_column(pmax(raw, 0), scale^2)
  list(
    latents = latents, variance = variance, second = latents^2 + variance,
    floored = sum(raw < 0)
  )
}

ref_polar <- function(m) {
  s <- svd(m)
  s$u %*% t(s$v)
}

# (4.7) by alternating its two exact minimisers.
ref_mixing_update <- function(m, second_moment, scale, mode) {
  if (mode == "orthonormal") {
    return(list(orthonormal = ref_polar(m), scale = rep(1, ncol(m))))
  }
  for (step in 1:100) {
    orthonormal <- ref_polar(m %*% diag(scale, length(scale)))
    updated <- diag(crossprod(orthonormal, m)) / second_moment
    signs <- ifelse(updated < 0, -1, 1)
    orthonormal <- orthonormal %*% diag(signs, length(signs))
    updated <- abs(updated)
    done <- max(abs(updated - scale)) <= 1e-12 * max(updated)
    scale <- updated
    if (done) break
  }
  list(orthonormal = orthonormal, scale = scale)
}

ref_canonical_signs <- function(m, x, env, targets) {
  m %*% diag(ref_latent_signs(x %*% m, env, targets, m, rep(1, ncol(m))), ncol(m))
}

ref_start <- function(x, d, init, mixing, env, targets) {
  if (identical(init, "pca")) {
    eig <- eigen(crossprod(x) / nrow(x), symmetric = TRUE)
    return(list(
      orthonormal = ref_canonical_signs(eig$vectors[, seq_len(d), drop = FALSE], x, env, targets),
      scale = rep(1, d), sigma2 = mean(eig$values[-seq_len(d)])
    ))
  }
  scale <- sqrt(colSums(init$mixing^2))
  orthonormal <- init$mixing %*% diag(1 / scale, d)
  if (mixing == "orthonormal") {
    orthonormal <- ref_polar(init$mixing)
    scale <- rep(1, d)
  }
  list(orthonormal = orthonormal, scale = scale, sigma2 = init$sigma2)
}

# What the EM map moves, as a vector, and back: O has to be made orthonormal.
ref_point <- function(now) c(now$orthonormal, log(now$scale), log(now$sigma2))

ref_state <- function(point, now, mixing, hold_sigma2) {
  tall <- length(now$orthonormal)
  d <- length(now$scale)
  if (mixing != "fixed") {
    now$orthonormal <- ref_polar(matrix(point[seq_len(tall)], ncol = d))
  }
  if (!hold_sigma2) now$sigma2 <- exp(point[tall + d + 1])
  now
}

# Anderson acceleration with five differences. `ahead`: columns of `x` and `f` are the points and
# their images since the last restart; `near` once the residuals have fallen five times in a row
# and their rate puts the limit within 0.3.
ref_anderson <- function(ahead, x, f, unit) {
  size <- function(v) sqrt(sum(v^2))
  residual <- f - x
  last <- ncol(ahead$f)
  rounding <- 1e-12 * unit
  before <- if (!is.null(last)) size((ahead$f - ahead$x)[, last])
  if (ahead$last == "accelerated" && size(residual) > max(1.5 * before, rounding)) {
    return(list(last = "rejected", goal = ahead$f[, last]))
  }
  ahead$x <- cbind(ahead$x, x)
  ahead$f <- cbind(ahead$f, f)
  ahead$last <- "plain"
  ahead$goal <- f
  residuals <- ahead$f - ahead$x
  norms <- utils::tail(apply(residuals, 2, size), 6)
  rate <- (norms[6] / norms[1])^(1 / 5)
  falling <- length(norms) == 6 && all(diff(norms) < 0)
  ahead$near <- isTRUE(ahead$near) || (falling && norms[6] * rate / (1 - rate) < 0.3 * unit)
  if (!ahead$near || size(residual) <= rounding) {
    return(ahead)
  }
  differences <- function(m) {
    m <- m[, utils::tail(seq_len(ncol(m)), 6)]
    m[, -1, drop = FALSE] - m[, -ncol(m), drop = FALSE]
  }
  lengths <- apply(differences(residuals), 2, size)
  by_length <- diag(1 / lengths, length(lengths))
  d_residual <- differences(residuals) %*% by_length
  d_image <- differences(ahead$f) %*% by_length
  m <- ncol(d_residual)
  ridge <- qr(rbind(d_residual, 1e-3 * diag(m)))
  beyond <- -drop(d_image %*% qr.coef(ridge, c(residual, numeric(m))))
  if (sum(beyond * residual) < 0) {
    return(list(last = "plain", goal = f))
  }
  ahead$goal <- f + beyond * min(1, 0.1 * unit / size(beyond))
  ahead$last <- "accelerated"
  ahead
}

# Distance left if changes go on to shrink at the rate that plain steps have shown: over the last
# five of them, or fewer and then not below the rate known before. The change of a row is made by
# the step of the row before and, with `lag`, by the one before that.
ref_left <- function(change, step, lag) {
  plain <- vapply(seq_along(change), function(row) {
    made_by <- seq.int(row - 1 - lag, row - 1)
    all(made_by > 0) && all(step[made_by] == "plain")
  }, NA)
  rate <- NA
  for (row in seq_along(change)) {
    count <- min(5, row - max(0, which(!plain[seq_len(row)])))
    if (count == 0 || change[row - 1] == 0 || change[row - count] == 0) next
    told <- max(change[row] / change[row - 1], (change[row] / change[row - count])^(1 / count))
    rate <- min(0.9999, if (count < 5) max(told, rate, na.rm = TRUE) else told)
  }
  now <- change[length(change)]
  if (now == 0) 0 else if (is.na(rate)) Inf else now * rate / (1 - rate)
}

# Largest relative distance that A, sigma2 and the latents have to go at the last row of a trace.
# `jump`: the extrapolated step.
ref_remaining <- function(trace, jump, unit) {
  now <- nrow(trace)
  if (trace$change_mixing[now] == 0 && trace$change_sigma2[now] == 0) {
    return(0)
  }
  if (trace$step[now] == "rejected") {
    return(Inf)
  }
  left <- c(ref_left(trace$change_mixing, trace$step, 0),
            ref_left(trace$change_sigma2, trace$step, 0))
  last <- length(jump)
  if (trace$step[now] == "accelerated") {
    left <- c(left, sqrt(sum(jump[-last]^2)) / unit, abs(exp(jump[last]) - 1))
  }
  if (now > 1) {
    by_jump <- trace$step[now - 1] == "accelerated"
    latents <- trace$change_latents
    left <- c(left, if (by_jump) latents[now] else ref_left(latents, trace$step, 1))
  }
  max(left)
}

# The score model that `control$score` names.
ref_fit_score <- function(y, env, targets, parents, omega, control, ...) {
  fit <- if (identical(control$score, "markov")) ref_markov else ref_score
  fit(y, env, targets, parents, omega, control, ...)
}

# Settings of crl_control() without groups
ref_settings <- function(control) {
  groups <- c("spline", "start", "saem")
  c(control[setdiff(names(control), groups)], unlist(unname(control[groups]), recursive = FALSE))
}

# Algorithm 1. `env`: domain code of each row; `weights`: NULL or one per
# domain, summing to 1; `init`: "pca" or list(mixing, sigma2).
ref_fit <- function(x, env, targets, dag, weights = NULL, # nolint: cyclocomp_linter.
                    init = "pca", control = list()) {
  control <- utils::modifyList(list(
    penalty = "difference", lambda = 5, knots = 8L, range = "data", mixing = "orthonormal",
    sigma2 = "auto", eta = 1, max_iter = 20, tol = 0, intervention = "imperfect",
    acceleration = "anderson", reference = "none"
  ), ref_settings(control))
  n <- nrow(x)
  p <- ncol(x)
  d <- ncol(targets)
  parents <- lapply(seq_len(d), function(j) which(dag[, j] == 1))
  n_env <- tabulate(env, nrow(targets))
  if (is.null(weights)) weights <- n_env / n
  omega <- n * weights / n_env
  weight <- omega[env]
  total <- sum(weight * rowSums(x^2))

  now <- ref_start(x, d, init, control$mixing, env, targets)
  hold_sigma2 <- control$sigma2 == "fixed" ||
    (control$sigma2 == "auto" && control$mixing == "fixed" && !identical(init, "pca"))
  estep <- function(now) {
    y <- x %*% now$orthonormal
    known <- list(score = 0 * y, precision = array(0, c(dim(y), d)), floored = 0)
    if (control$reference == "gaussian") {
      known <- ref_reference(y, env, targets, parents, omega, diag(d), now$sigma2, control)
    }
    fit <- ref_fit_score(y, env, targets, parents, omega, control, known$score)
    fit$score <- fit$score + known$score
    for (j in seq_len(d)) fit$dscore[, j] <- fit$dscore[, j] - known$precision[, j, j]
    fit$loss <- sum(weight * (fit$score^2 / 2 + fit$dscore)) / n
    c(fit, ref_tweedie(y, fit$score, fit$dscore, now$scale, now$sigma2, control$eta),
      list(reference_floored = known$floored, kappa = known$kappa))
  }
  mixing_of <- function(now) now$orthonormal %*% diag(now$scale, d)
  frobenius <- function(m) sqrt(sum(m^2))
  change <- function(after, before) frobenius(after - before) / max(frobenius(before), 1e-8)

  trace <- data.frame(
    iteration = numeric(), sigma2 = numeric(), loss = numeric(), change_mixing = numeric(),
    change_sigma2 = numeric(), change_latents = numeric(), remaining = numeric(),
    step = character(), floored = numeric()
  )
  latents <- NULL
  ahead <- list(last = "plain")
  sigma2_floored <- 0
  converged <- FALSE
  iteration <- 0
  while (iteration < control$max_iter && !converged) {
    iteration <- iteration + 1
    e <- estep(now)
    m <- crossprod(x, weight * e$latents)
    second <- colSums(weight * e$second)
    old <- now
    if (control$mixing != "fixed") {
      update <- ref_mixing_update(m, second, old$scale, control$mixing)
      now$orthonormal <- update$orthonormal
      now$scale <- update$scale
    }
    if (!hold_sigma2) {
      residual <- total + sum(now$scale^2 * second) - 2 * sum(mixing_of(now) * m)
      sigma2_floored <- sigma2_floored + (residual / (n * p) < 1e-10 * total / (n * p))
      now$sigma2 <- max(residual, 1e-10 * total) / (n * p)
    }
    # signs are ties (A.2): those of the previous columns, for the latents to come
    against <- colSums(now$orthonormal * old$orthonormal) < 0
    now$orthonormal[, against] <- -now$orthonormal[, against]
    point <- ref_point(old)
    plain <- now
    if (control$acceleration == "anderson" && control$mixing %in% c("orthonormal", "fixed")) {
      ahead <- ref_anderson(ahead, point, ref_point(now), sqrt(d))
      if (ahead$last != "plain") now <- ref_state(ahead$goal, now, control$mixing, hold_sigma2)
    }
    trace <- rbind(trace, data.frame(
      iteration = iteration, sigma2 = plain$sigma2, loss = e$loss,
      change_mixing = change(mixing_of(plain), mixing_of(old)),
      change_sigma2 = abs(plain$sigma2 - old$sigma2) / max(old$sigma2, 1e-8),
      change_latents = if (is.null(latents)) NA_real_ else change(e$latents, latents),
      remaining = NA, step = ahead$last, floored = e$floored
    ))
    trace$remaining[iteration] <- ref_remaining(trace, ahead$goal - point, sqrt(d))
    latents <- e$latents
    left <- trace$remaining[c(iteration, max(1, iteration - 1))]
    converged <- left[1] < control$tol && (left[1] == 0 || (iteration > 1 && left[2] < control$tol))
  }
  if (!converged && ahead$last == "accelerated") now <- plain
  if (identical(init, "pca")) {
    now$orthonormal <- ref_canonical_signs(now$orthonormal, x, env, targets)
  }
  e <- estep(now)
  list(
    latents = e$latents, latents_sd = sqrt(e$variance), mixing = mixing_of(now),
    orthonormal = now$orthonormal, scale = now$scale, sigma2 = now$sigma2,
    iterations = iteration, converged = converged, trace = trace,
    theta = e$theta, range = e$range, parents = parents,
    kappa = e$kappa,
    counts = c(variance_floored = e$floored, sigma2_floored = sigma2_floored,
               reference_floored = e$reference_floored)
  )
}

# Data from the model the method is for (Section 7, bounded mechanism): a DAG
# over d latents in topological order, its nodes the targets of one domain each
# after an observational one.
ref_data <- function(n_env, p, dag, sigma2 = 0.5, shift = 4, scale = rep(1, ncol(dag))) {
  d <- ncol(dag)
  targets <- rbind(0L, diag(1L, d))
  n_env <- rep_len(n_env, d + 1)
  env <- rep(seq_len(d + 1), n_env)
  n <- length(env)
  z <- matrix(stats::rnorm(n * d), n, d)
  for (j in seq_len(d)) {
    from_parents <- 1.5 * tanh(z[, seq_len(d), drop = FALSE] %*% dag[, j])
    hit <- targets[env, j] == 1
    z[, j] <- ifelse(hit, shift + z[, j], from_parents + (1 + 0.3 * j) * z[, j])
  }
  mixing <- qr.Q(qr(matrix(stats::rnorm(p * d), p, d))) %*% diag(scale, d)
  x <- z %*% t(mixing) + sqrt(sigma2) * matrix(stats::rnorm(n * p), n, p)
  list(x = x, env = env, targets = targets, dag = dag, mixing = mixing, sigma2 = sigma2, z = z)
}

# The largest difference as a part of the largest reference value.
relative_error <- function(object, reference) {
  object <- as.vector(unlist(object, use.names = FALSE))
  reference <- as.vector(unlist(reference, use.names = FALSE))
  stopifnot(length(object) == length(reference), identical(is.na(object), is.na(reference)))
  largest <- max(abs(reference), .Machine$double.xmin, na.rm = TRUE)
  max(abs(object - reference), 0, na.rm = TRUE) / largest
}

expect_close <- function(object, reference, tolerance = 1e-8) {
  error <- relative_error(object, reference)
  label <- paste("relative error of", deparse1(substitute(object)))
  testthat::expect_lte(error, tolerance, label = label)
}

# Score-matching loss of each row of x under the density that a model implies: the score of x as a
# vector of p, explicit projections, and its divergence by numerical derivatives. `score_of`: the
# score of a vector of pseudo-latents.
ref_row_losses <- function(x, orthonormal, score_of, sigma2, eta = 1) {
  inside <- orthonormal %*% t(orthonormal)
  across <- diag(nrow(inside)) - inside
  score <- function(row) {
    drop(eta * orthonormal %*% score_of(drop(t(orthonormal) %*% row)) - across %*% row / sigma2)
  }
  apply(x, 1, function(row) {
    sum(score(row)^2) / 2 + sum(diag(numDeriv::jacobian(score, row)))
  })
}

# Mean over domains and its standard error, by the textbook's formula of a stratified sample.
ref_domain_mean <- function(value, env, weights) {
  by_domain <- split(value, env)
  variances <- vapply(by_domain, function(v) stats::var(v) / length(v), 0)
  c(mean = sum(weights * vapply(by_domain, mean, 0)), se = sqrt(sum(weights^2 * variances)))
}

# Held-out losses (5.3) in the space of x, row by row, from refits by ref_fit().
ref_cross_validate <- function(x, env, targets, dag, weights, init, control, fold) {
  loss <- numeric(nrow(x))
  sigma2 <- numeric(max(fold))
  for (f in seq_len(max(fold))) {
    held <- fold == f
    fit <- ref_fit(x[!held, ], env[!held], targets, dag, weights, init, control)
    y <- x[held, ] %*% fit$orthonormal
    s <- ref_eval_score(y, targets[env[held], ], fit$parents, fit$theta, fit$range, 8)
    across <- x[held, ] - y %*% t(fit$orthonormal)
    others <- ncol(x) - ncol(y)
    loss[held] <- rowSums(s$score^2 / 2 + s$dscore) + rowSums(across^2) / (2 * fit$sigma2^2) -
      others / fit$sigma2
    sigma2[f] <- fit$sigma2
  }
  list(loss = loss, sigma2 = mean(sigma2))
}

# The Gaussian reference score ---------------------------------------------------

# Linear structural causal model of the latents, one regression a (node,
# state): moments of the rows in that state, less the noise, by solve().
ref_linear_scm <- function(y, env, targets, parents, omega, noise, control) {
  cells <- list()
  for (j in seq_len(ncol(y))) {
    for (state in 0:1) {
      rows <- targets[env, j] == state
      if (!any(rows)) next
      moments <- stats::cov.wt(y[rows, , drop = FALSE], omega[env][rows], method = "ML")
      s <- moments$cov - noise
      pa <- ref_family(j, state, parents, control)[-1]
      coef <- if (length(pa) > 0) solve(s[pa, pa, drop = FALSE], s[pa, j]) else numeric()
      cells[[paste(j, state)]] <- list(
        parents = pa, coef = coef, intercept = moments$center[j] - sum(coef * moments$center[pa]),
        variance = s[j, j] - sum(coef * s[pa, j])
      )
    }
  }
  cells
}

# Mean and covariance under a combination of targets, by (I - B)^-1.
ref_scm_moments <- function(cells, targets) {
  d <- length(targets)
  b <- matrix(0, d, d)
  intercept <- variance <- numeric(d)
  for (j in seq_len(d)) {
    cell <- cells[[paste(j, targets[j])]]
    b[j, cell$parents] <- cell$coef
    intercept[j] <- cell$intercept
    variance[j] <- max(cell$variance, 0)
  }
  total <- solve(diag(d) - b)
  list(mean = drop(total %*% intercept), cov = total %*% diag(variance, d) %*% t(total))
}

# Log marginal likelihood of rows with mean m and scatter s under the
# normal-inverse-Wishart prior with mean m0, scale kappa c0, kappa + d + 1
# degrees of freedom and kappa prior rows.
ref_log_marginal <- function(kappa, n, m, s, m0, c0) {
  d <- length(m)
  log_gamma <- function(a) d * (d - 1) / 4 * log(pi) + sum(lgamma(a + (1 - seq_len(d)) / 2))
  log_det <- function(a) as.numeric(determinant(a)$modulus)
  freedom <- kappa + d + 1
  scale <- kappa * c0
  posterior <- scale + s + kappa * n / (kappa + n) * tcrossprod(m - m0)
  -n * d / 2 * log(pi) + log_gamma((freedom + n) / 2) - log_gamma(freedom / 2) +
    freedom / 2 * log_det(scale) - (freedom + n) / 2 * log_det(posterior) +
    d / 2 * log(kappa / (kappa + n))
}

# kappa by maximising the sum of `evidence` over sets: a grid, then optimize()
# and the zero of a numerical derivative.
ref_kappa <- function(evidence, most) {
  grid <- exp(seq(log(0.1), log(1e4 * most), length.out = 60))
  values <- vapply(grid, evidence, 0)
  best <- which.max(values)
  if (best == length(grid)) {
    return(grid[best])
  }
  around <- log(grid[c(max(best - 1, 1), best + 1)])
  slope <- function(at, h = 1e-2) { # five points
    f <- function(by) evidence(exp(at + by * h))
    (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h)
  }
  exp(stats::uniroot(slope, around, tol = 1e-12)$root)
}

# Score of the Gaussians of all combinations of targets, between the moments of
# their rows and those of the linear model; eigenvalues of the covariance of
# O'x = Lambda y at least sigma2.
ref_reference <- function(y, env, targets, parents, omega, lambda, sigma2, control) {
  noise <- sigma2 * solve(lambda %*% lambda)
  cells <- ref_linear_scm(y, env, targets, parents, omega, noise, control)
  pattern <- apply(targets, 1, paste, collapse = "")
  sets <- lapply(unique(pattern), function(set) {
    rows <- pattern[env] == set
    w <- omega[env][rows]
    moments <- stats::cov.wt(y[rows, , drop = FALSE], w, method = "ML")
    implied <- ref_scm_moments(cells, targets[match(set, pattern), ])
    list(rows = rows, n = sum(w)^2 / sum(w^2), m = moments$center, s = moments$cov,
         m0 = implied$mean, c0 = implied$cov + noise)
  })
  kappa <- ref_kappa(function(kappa) {
    sum(vapply(sets, function(g) ref_log_marginal(kappa, g$n, g$m, g$n * g$s, g$m0, g$c0), 0))
  }, max(vapply(sets, `[[`, 0, "n")))
  score <- 0 * y
  precision <- array(0, c(nrow(y), ncol(y), ncol(y)))
  floored <- sum(vapply(cells, function(cell) cell$variance < 0, NA))
  for (g in sets) {
    w <- kappa / (kappa + g$n)
    mean <- w * g$m0 + (1 - w) * g$m
    cov <- w * g$c0 + (1 - w) * g$s + w * (1 - w) * tcrossprod(g$m - g$m0)
    e <- eigen(lambda %*% cov %*% lambda, symmetric = TRUE)
    floored <- floored + sum(e$values < sigma2)
    p <- lambda %*% e$vectors %*% (1 / pmax(e$values, sigma2) * t(e$vectors)) %*% lambda
    score[g$rows, ] <- -sweep(y[g$rows, , drop = FALSE], 2, mean) %*% p
    for (i in which(g$rows)) precision[i, , ] <- p
  }
  list(score = score, precision = precision, floored = floored, kappa = kappa, cells = cells)
}

# Correlated columns, A = O Lambda (Section 4.6) --------------------------------

# Square root of a symmetric positive definite matrix, or another power of it.
ref_power <- function(m, by) {
  e <- eigen(m, symmetric = TRUE)
  e$vectors %*% diag(e$values^by, nrow(m)) %*% t(e$vectors)
}

# The minimiser of (4.7) over O and Lambda in turn, from a given A: the polar
# factor of M Lambda, then Lambda S + S Lambda = C + C', C = O'M, which is
# linear in Lambda (Kronecker products), made positive semi-definite.
ref_lyapunov <- function(s, c) {
  d <- nrow(s)
  matrix(solve(diag(d) %x% s + s %x% diag(d), as.vector(c + t(c))), d)
}

ref_psd_alternation <- function(m, s, mixing, steps) {
  lambda <- ref_power(crossprod(mixing), 1 / 2)
  for (step in seq_len(steps)) {
    orthonormal <- ref_polar(m %*% lambda)
    e <- eigen(ref_lyapunov(s, crossprod(orthonormal, m)), symmetric = TRUE)
    lambda <- e$vectors %*% (pmax(e$values, 0) * t(e$vectors))
  }
  orthonormal %*% lambda
}

# Tweedie's formulas with noise of covariance sigma2 (A'A)^-1, row by row.
ref_psd_posterior <- function(y, score, jacobian, mixing, sigma2, eta) {
  noise <- sigma2 * solve(crossprod(mixing))
  latents <- y + eta * score %*% noise
  cov <- array(0, c(nrow(y), ncol(y), ncol(y)))
  floored <- integer(nrow(y))
  for (i in seq_len(nrow(y))) {
    v <- noise + noise %*% jacobian[i, , ] %*% noise
    e <- eigen((v + t(v)) / 2, symmetric = TRUE)
    floored[i] <- sum(e$values < 0)
    cov[i, , ] <- e$vectors %*% (pmax(e$values, 0) * t(e$vectors))
  }
  list(latents = latents, cov = cov, floored = floored)
}

# Algorithm 1 with correlated columns: `mixing` "psd" (columns of length 1) or
# "fixed"; `init`: list(mixing, sigma2).
ref_fit_psd <- function(x, env, targets, dag, init, weights = NULL, control = list()) {
  control <- utils::modifyList(list(
    penalty = "difference", lambda = 5, knots = 8L, range = "data", mixing = "psd",
    reference = "gaussian", intervention = "imperfect", learn_sigma2 = TRUE, eta = 1, max_iter = 5
  ), ref_settings(control))
  d <- ncol(targets)
  parents <- lapply(seq_len(d), function(j) which(dag[, j] == 1))
  n_env <- tabulate(env, nrow(targets))
  omega <- nrow(x) * (if (is.null(weights)) n_env / nrow(x) else weights) / n_env
  weight <- omega[env]
  unit <- function(a) a %*% diag(1 / sqrt(colSums(a^2)), d)
  mixing <- if (control$mixing == "psd") unit(init$mixing) else init$mixing
  sigma2 <- init$sigma2
  estep <- function() {
    y <- x %*% mixing %*% solve(crossprod(mixing))
    reference <- list(score = 0 * y, precision = array(0, c(dim(y), d)), floored = 0)
    if (control$reference == "gaussian") {
      lambda <- ref_power(crossprod(mixing), 1 / 2)
      reference <- ref_reference(y, env, targets, parents, omega, lambda, sigma2, control)
    }
    fit <- ref_fit_score(y, env, targets, parents, omega, control, reference$score)
    splines <- ref_eval_jacobian(y, targets[env, ], parents, fit$theta, fit$range, control$knots,
                                 control)
    score <- fit$score + reference$score
    jacobian <- splines - reference$precision
    trace <- rowSums(vapply(seq_len(d), function(j) jacobian[, j, j], numeric(nrow(y))))
    c(ref_psd_posterior(y, score, jacobian, mixing, sigma2, control$eta),
      list(theta = fit$theta, range = fit$range, reference_floored = reference$floored,
           loss = sum(weight * (rowSums(score^2) / 2 + trace)) / nrow(x)))
  }
  loss <- numeric()
  for (iteration in seq_len(control$max_iter)) {
    e <- estep()
    loss[iteration] <- e$loss
    m <- crossprod(x, weight * e$latents)
    s <- crossprod(e$latents, weight * e$latents) + apply(weight * e$cov, 2:3, sum)
    best <- if (control$mixing == "psd") m %*% solve(s) else mixing
    if (control$learn_sigma2) {
      residual <- sum(weight * rowSums(x^2)) + sum(crossprod(best) * s) - 2 * sum(best * m)
      sigma2 <- residual / length(x)
    }
    mixing <- if (control$mixing == "psd") unit(best) else mixing
  }
  e <- estep()
  by_domain <- as.vector(tapply(e$floored, factor(env, seq_len(nrow(targets))), sum))
  e$floored <- sum(e$floored)
  c(e, list(mixing = mixing, sigma2 = sigma2, trace_loss = loss, floored_by_domain = by_domain,
            scale = ref_power(crossprod(mixing), 1 / 2),
            latents_sd = sqrt(vapply(seq_len(d), function(j) e$cov[, j, j], numeric(nrow(x))))))
}

# Minus the profile log-likelihood a row of the linear-Gaussian model, z = W y,
# from the covariances of the cells; `directions` is W'.
ref_unmixing_objective <- function(directions, cells, noise, floor) {
  n <- sum(cells$weight) / nrow(directions)
  total <- -log(abs(det(directions)))
  for (k in seq_along(cells$coord)) {
    family <- cells$coord[[k]]
    cov <- crossprod(directions, cells$cov[, , k] %*% directions)[family, family, drop = FALSE]
    v <- if (length(family) == 1) cov[1, 1] else
      drop(cov[1, 1] - cov[1, -1] %*% solve(cov[-1, -1], cov[-1, 1]))
    own <- directions[, family[1]]
    least <- floor * drop(own %*% noise %*% own)
    total <- total + unname(cells$weight[k]) / (2 * n) * log(max(v, least))
  }
  total
}

# G-modeling ---------------------------------------------------------------------------------------

# The generator's block for (seed, stream, position, row), row from 0: two normals (Box-Muller of
# words 0 and 1) and two exponentials (words 2 and 3). `words` is the generator itself, which has
# a known-answer test of its own.
ref_moves <- function(words, seed, stream, position, row) {
  key <- c(seed %% 2^32, seed %/% 2^32)
  unit <- (words(c(position, stream, row %% 2^32, row %/% 2^32), key) + 0.5) / 2^32
  angle <- pi * (2 * unit[2] - 1)
  list(normal = sqrt(-2 * log(unit[1])) * c(cos(angle), sin(angle)), exponential = -log(unit[3:4]))
}

# The uniform number of each node that chooses its label.
ref_uniforms <- function(words, seed, stream, d, row) {
  key <- c(seed %% 2^32, seed %/% 2^32)
  vapply(seq_len(d), function(j) {
    (words(c(d + j - 1, stream, row %% 2^32, row %/% 2^32), key)[1] + 0.5) / 2^32
  }, 0)
}

# A prior of additive splines: coefficients `theta[[cell]]`, K for each parent, cell 2 (j - 1) + 1
# in state 0, + 2 in state 1; NULL: the constant. Mean of node j of one row.
ref_prior_mean <- function(prior, j, state, z, parents, knots) {
  cell <- 2 * (j - 1) + state + 1
  theta <- prior$theta[[cell]]
  if (is.null(theta)) {
    return(prior$constant[cell])
  }
  blocks <- matrix(theta, ncol = length(parents[[j]]))
  sum(vapply(seq_along(parents[[j]]), function(k) {
    at <- parents[[j]][k]
    sum(ref_basis(z[at], prior$range[, at], knots) * blocks[, k])
  }, 0))
}

# Log density of a row's latents under the prior, up to a constant; given the labels of their noise
# where it is a mixture, prior$noise.
ref_log_prior <- function(prior, z, states, parents, knots, labels = NULL) {
  sum(vapply(seq_along(z), function(j) {
    cell <- 2 * (j - 1) + states[j] + 1
    variance <- prior$variance[cell]
    gap <- z[j] - ref_prior_mean(prior, j, states[j], z, parents, knots)
    if (!is.null(labels)) {
      variance <- prior$noise$variance[labels[j], cell]
      gap <- gap - prior$noise$mean[labels[j], cell]
    }
    -gap^2 / (2 * variance)
  }, 0))
}

# Labels of a row's noise, from a uniform number for each node.
ref_labels <- function(prior, z, states, parents, knots, uniforms) {
  if (is.null(prior$noise)) return(NULL)
  vapply(seq_along(z), function(j) {
    cell <- 2 * (j - 1) + states[j] + 1
    gap <- z[j] - ref_prior_mean(prior, j, states[j], z, parents, knots)
    share <- prior$noise$weight[, cell] *
      stats::dnorm(gap, prior$noise$mean[, cell], sqrt(prior$noise$variance[, cell]))
    which(uniforms[j] <= cumsum(share) / sum(share))[1]
  }, 0L)
}

# One sweep of a row's latents: labels of the noise; then for each node, parents first, a draw from
# its Gaussian conditional given parents and x, then a random walk, each accepted by the ratio of
# full densities.
ref_sweep <- function(z, projected, gram, sigma2, prior, states, scale, parents, order, knots,
                      moves, uniforms = NULL) {
  accepted <- rep(NA, length(z))
  labels <- ref_labels(prior, z, states, parents, knots, uniforms)
  full <- function(z) {
    ref_log_prior(prior, z, states, parents, knots, labels) -
      (sum(z * gram %*% z) - 2 * sum(projected * z)) / (2 * sigma2)
  }
  centre <- spread <- numeric(length(z))
  for (j in order) {
    chance <- moves(j)
    cell <- 2 * (j - 1) + states[j] + 1
    precision <- 1 / prior$variance[cell]
    mean <- ref_prior_mean(prior, j, states[j], z, parents, knots)
    if (!is.null(labels)) {
      precision <- 1 / prior$noise$variance[labels[j], cell]
      mean <- mean + prior$noise$mean[labels[j], cell]
    }
    total <- precision + gram[j, j] / sigma2
    from_x <- projected[j] - sum(gram[j, -j] * z[-j])
    centre[j] <- (precision * mean + from_x / sigma2) / total
    spread[j] <- 1 / sqrt(total)
    proposal <- function(at) stats::dnorm(at, centre[j], spread[j], log = TRUE)
    trial <- replace(z, j, centre[j] + spread[j] * chance$normal[1])
    ratio <- full(trial) - full(z) + proposal(z[j]) - proposal(trial[j])
    # where nobody listens to the node the ratio is 0 but for rounding
    if (ratio > -chance$exponential[1]) z <- trial
    if (any(vapply(parents, function(p) j %in% p, NA))) {
      trial <- replace(z, j, z[j] + scale[j] * spread[j] * chance$normal[2])
      accepted[j] <- full(trial) - full(z) > -chance$exponential[2]
      if (accepted[j]) z <- trial
    }
  }
  list(z = z, centre = centre, spread = spread, accepted = accepted, labels = labels)
}

# Penalised regression of every cell on its parents' splines, with the Fellner-Schall update of
# lambda where it is learned; `sums` holds gram, cross product and square of each cell. Variances go
# from those `before` by steps of length `step` or more, see ref_variance_step().
ref_mechanisms <- function(sums, lambda, parents, perfect, knots, learn, noise = 0, floor = 0,
                           before = rep(0, 2 * length(parents)), step = 1) {
  d <- length(parents)
  out <- list(theta = vector("list", 2 * d), constant = rep(0, 2 * d), variance = rep(NA, 2 * d),
              lambda = lambda)
  for (cell in seq_len(2 * d)) {
    s <- sums[[cell]]
    if (s$weight == 0) next
    j <- (cell + 1) %/% 2
    q <- if (perfect && cell %% 2 == 0) 0 else length(parents[[j]])
    noise_j <- rep_len(noise, d)[j]
    if (q == 0) {
      out$constant[cell] <- s$cross / s$weight
      variance <- s$square / s$weight - out$constant[cell]^2 - noise_j
      out$variance[cell] <- max(floor, ref_variance_step(before[cell], variance, s$weight, step))
      next
    }
    variance_of <- function(theta) {
      rss <- s$square - 2 * sum(theta * s$cross) + sum(theta * s$gram %*% theta)
      max(floor, ref_variance_step(before[cell], rss / s$weight - noise_j, s$weight, step))
    }
    coefficients <- ref_cell_coefficients(s, lambda[[cell]], knots, variance_of, learn)
    out$theta[[cell]] <- coefficients$theta
    out$variance[cell] <- variance_of(coefficients$theta)
    out$lambda[[cell]] <- coefficients$lambda
  }
  out
}

# A variance of a cell of `weight` rows on its way: the whole way with 1000 rows, else as many
# thousandths, at least `step`.
ref_variance_step <- function(before, after, weight, step) {
  before + min(1, max(step, weight / 1000)) * (after - before)
}

# Coefficients of a cell with parents, and the next lambda; `variance` a number or a function of the
# coefficients.
ref_cell_coefficients <- function(s, lambda, knots, variance, learn) {
  difference <- crossprod(ref_difference(knots))
  basis <- knots + 2
  q <- length(lambda)
  penalty <- matrix(0, q * basis, q * basis)
  block <- function(k) (k - 1) * basis + seq_len(basis)
  for (k in seq_len(q)) penalty[block(k), block(k)] <- lambda[k] * difference
  inverse <- solve(s$gram + penalty + diag(1e-7 * s$weight, q * basis))
  theta <- drop(inverse %*% s$cross)
  if (is.function(variance)) variance <- variance(theta)
  if (learn) {
    lambda <- vapply(seq_len(q), function(k) {
      used <- basis - 2 - lambda[k] * sum(inverse[block(k), block(k)] * difference)
      rough <- sum(theta[block(k)] * difference %*% theta[block(k)])
      min(max(variance * max(used, 1e-3) / rough, 1e-3), 1e3 * s$weight)
    }, 0)
  }
  list(theta = theta, lambda = lambda)
}

# The same with noise in components. sums[[s]]: of the rows of label s. Coefficients given the
# components by weighted least squares, then components given the coefficients, each with five
# pseudo-rows like the whole; their means add up to 0.
ref_mixture_mechanisms <- function(sums, fit, parents, perfect, knots, learn, floor, least = 1) {
  for (cell in which(vapply(seq_along(sums[[1]]), function(cell) {
    sum(vapply(sums, function(s) s[[cell]]$weight, 0))
  }, 0) > 0)) {
    labelled <- lapply(sums, `[[`, cell)
    overall <- fit$variance[cell]
    scale <- overall / fit$noise$variance[, cell]
    total <- function(field) Reduce(`+`, Map(function(s, f) f * s[[field]], labelled, scale))
    cross <- Reduce(`+`, Map(function(s, f, m) f * (s$cross - m * s$basis), labelled, scale,
                             fit$noise$mean[, cell]))
    pooled <- list(weight = sum(vapply(labelled, `[[`, 0, "weight")), gram = total("gram"),
                   cross = cross, square = 0)
    j <- (cell + 1) %/% 2
    constant <- length(parents[[j]]) == 0 || (perfect && cell %% 2 == 0)
    theta <- if (constant) {
      drop(pooled$cross / pooled$gram)
    } else {
      step <- ref_cell_coefficients(pooled, fit$lambda[[cell]], knots, overall, learn)
      fit$lambda[[cell]] <- step$lambda
      step$theta
    }
    weight <- vapply(labelled, `[[`, 0, "weight")
    sum <- vapply(labelled, function(s) s$sum - sum(theta * s$basis), 0)
    square <- vapply(labelled, function(s) {
      s$square - 2 * sum(theta * s$cross) + sum(theta * s$gram %*% theta)
    }, 0)
    like <- base::sum(square) / base::sum(weight) - (base::sum(sum) / base::sum(weight))^2
    share <- (weight + 5) / base::sum(weight + 5)
    mean <- sum / (weight + 5)
    own <- (square - 2 * mean * sum + mean^2 * weight + 5 * (like + mean^2)) / (weight + 5)
    own <- ref_variance_step(fit$noise$variance[, cell], own, pooled$weight, least)
    own <- pmax(own, floor)
    centre <- base::sum(share * mean)
    fit$noise$weight[, cell] <- share
    fit$noise$mean[, cell] <- mean - centre
    fit$noise$variance[, cell] <- own
    fit$variance[cell] <- base::sum(share * (own + (mean - centre)^2))
    if (constant) {
      fit$constant[cell] <- theta + centre
    } else {
      first <- seq_len(knots + 2)
      fit$theta[[cell]] <- replace(theta, first, theta[first] + centre)
    }
  }
  fit
}

# Components of the noise at the start: equal weights, means and variances spread out.
ref_split_noise <- function(variance, components) {
  place <- (2 * seq_len(components) - components - 1) / components
  list(weight = matrix(1 / components, components, length(variance)),
       mean = 0.5 * outer(place, sqrt(variance)), variance = outer(1 + 0.75 * place, variance))
}

# Sums of the cells from latents, with knots over `range`; of the rows of one label, if given.
ref_mechanism_sums <- function(z, states, weight, parents, perfect, range, knots, labels = NULL,
                               label = NULL) {
  lapply(seq_len(2 * ncol(z)), function(cell) {
    j <- (cell + 1) %/% 2
    rows <- which(states[, j] == (cell + 1) %% 2)
    if (!is.null(labels)) rows <- rows[labels[rows, j] == label]
    w <- weight[rows]
    pa <- if (perfect && cell %% 2 == 0) integer() else parents[[j]]
    design <- do.call(cbind, lapply(pa, function(k) ref_basis(z[rows, k], range[, k], knots)))
    if (length(pa) == 0) design <- matrix(1, length(rows), 1)
    list(weight = sum(w), gram = crossprod(design, w * design),
         cross = drop(crossprod(design, w * z[rows, j])), square = sum(w * z[rows, j]^2),
         basis = colSums(w * design), sum = sum(w * z[rows, j]))
  })
}

# Derivatives of a row's prior log density, of gradient u: in the shears that are not tied, then in
# slopes, level and log variance of the mechanisms.
ref_shear_derivatives <- function(z, u, gram, fit, states, parents, perfect, knots, tied) {
  d <- length(z)
  shears <- unlist(lapply(seq_len(d), function(c) {
    lapply(setdiff(seq_len(d), c), function(a) {
      if (tied[a, c] == 0) u[a] * z[c] - gram[a, c] * (u[c] * z[c] + 1)
    })
  }))
  cells <- lapply(seq_len(2 * d), function(cell) {
    j <- (cell + 1) %/% 2
    state <- (cell + 1) %% 2
    gap <- z[j] - ref_prior_mean(fit, j, state, z, parents, knots)
    variance <- fit$variance[cell]
    pa <- if (perfect && state == 1) integer() else parents[[j]]
    c(gap / variance * z[pa], gap / variance, (gap^2 / variance - 1) / 2) * (states[j] == state)
  })
  c(shears, unlist(cells))
}

# The general A with columns of length 1 and the smallest tr(A'A second) - 2 tr(A'cross): descent
# column by column.
ref_unit_columns <- function(mixing, cross, second) {
  for (sweep in 1:100) for (j in seq_len(ncol(mixing))) {
    best <- cross[, j] - mixing[, -j, drop = FALSE] %*% second[-j, j]
    mixing[, j] <- best / sqrt(sum(best^2))
  }
  mixing
}

# The scoring step of all shears, from the rows' derivatives: T, z going to T z.
ref_shear <- function(derivatives, weight, step, tied) {
  product <- crossprod(derivatives, weight * derivatives)
  diag(product) <- ifelse(diag(product) > 0, diag(product) * (1 + 1e-6), 1)
  free <- which(tied == 0 & row(tied) != col(tied))
  gain <- step * solve(product, colSums(weight * derivatives))[seq_along(free)]
  transform <- diag(nrow(tied))
  transform[free] <- gain * min(1, 0.1 / max(abs(gain)))
  transform
}

# SAEM from `start` = list(mixing, sigma2, latents): A with orthogonal columns that keep their
# lengths (control$mixing "lengths"), or with columns of length 1 ("unit").
ref_saem <- function(x, env, targets, parents, order, # nolint: cyclocomp_linter.
                     omega, start, control, words) {
  n <- nrow(x)
  p <- ncol(x)
  d <- ncol(targets)
  knots <- control$knots
  weight <- omega[env]
  states <- targets[env, , drop = FALSE]
  z <- start$latents
  mixing <- start$mixing
  sigma2 <- start$sigma2
  scale <- matrix(1, d, nrow(targets))
  range <- apply(z, 2, base::range)
  lambda <- lapply(seq_len(2 * d), function(cell) {
    rep(control$lambda, length(parents[[(cell + 1) %/% 2]]))
  })
  sums_of <- function(z, range, labels = NULL, label = NULL) {
    ref_mechanism_sums(z, states, weight, parents, control$perfect, range, knots, labels, label)
  }
  fit <- ref_mechanisms(sums_of(z, range), lambda, parents, control$perfect, knots,
                        control$learn_lambda, noise = sigma2 / colSums(mixing^2),
                        floor = 0.05 * sigma2)
  fit$range <- range
  mixture <- control$components > 1
  if (mixture) fit$noise <- ref_split_noise(fit$variance, control$components)
  labels <- if (mixture) matrix(0L, n, d)
  average <- whole <- NULL
  noises <- numeric()
  fit_to <- function(sums, fit, range, step = 1) {
    if (mixture) {
      return(utils::modifyList(
        ref_mixture_mechanisms(sums$cells, fit, parents, control$perfect, knots,
                               control$learn_lambda, control$variance_floor, step),
        list(range = range)
      ))
    }
    c(ref_mechanisms(sums$cells, fit$lambda, parents, control$perfect, knots,
                     control$learn_lambda, before = fit$variance, step = step),
      list(range = range))
  }
  noise_of <- function(sums, mixing) {
    (sum(weight * rowSums(x^2)) - 2 * sum(mixing * sums$cross) +
       sum(crossprod(mixing) * sums$second)) / (n * p)
  }
  general <- control$mixing == "unit"
  stiffest <- matrix(1, d, d) # a turn in all planes, followed by power iterations
  long <- diag(sqrt(colSums(start$mixing^2)))
  update_mixing <- function(mixing, sums) {
    if (general) return(ref_unit_columns(mixing, sums$cross, sums$second))
    ref_polar(sums$cross %*% long) %*% long
  }
  for (t in seq_len(control$burn_in + control$iterations)) {
    step <- if (t <= control$burn_in) 1 else 0.3
    projected <- x %*% mixing
    gram <- if (general) crossprod(mixing) else long^2
    derivatives <- vector("list", n)
    accepted <- matrix(NA, n, d)
    torque <- information <- shared <- matrix(0, d, d)
    for (i in seq_len(n)) {
      sweep <- ref_sweep(z[i, ], projected[i, ], gram, sigma2, fit, states[i, ], scale[, env[i]],
                         parents, order, knots,
                         function(j) ref_moves(words, control$seed, t, j - 1, i - 1),
                         ref_uniforms(words, control$seed, t, d, i - 1))
      z[i, ] <- sweep$z
      if (mixture) labels[i, ] <- sweep$labels
      accepted[i, ] <- sweep$accepted
      u <- vapply(seq_len(d), function(j) {
        h <- 1e-5
        log_prior <- function(at) {
          ref_log_prior(fit, replace(z[i, ], j, at), states[i, ], parents, knots, labels[i, ])
        }
        (log_prior(z[i, j] + h) - log_prior(z[i, j] - h)) / (2 * h)
      }, 0)
      derivatives[[i]] <- ref_shear_derivatives(z[i, ], u, gram, fit, states[i, ], parents,
                                                control$perfect, knots, control$tied)
      turn <- outer(u / diag(long), diag(long) * z[i, ])
      turn <- turn - t(turn)
      torque <- torque + weight[i] * turn
      information <- information + weight[i] * turn^2
      shared <- shared + weight[i] * turn * sum((stiffest * turn)[lower.tri(turn)])
    }
    cells <- if (mixture) {
      lapply(seq_len(control$components), function(s) sums_of(z, range, labels, s))
    } else {
      sums_of(z, range)
    }
    fresh <- list(cells = cells, cross = crossprod(x, weight * z),
                  second = crossprod(z, weight * z))
    average <- if (step == 1) fresh else ref_blend(average, fresh, step)
    fit <- fit_to(average, fit, range, if (t > 5 && t <= control$burn_in) 0.1 else 1)
    held <- general && t <= min(20, control$burn_in %/% 2)
    mixing <- if (held) mixing else update_mixing(mixing, average)
    planes <- lower.tri(information)
    stiffness <- sum((stiffest * shared)[planes]) / sum((stiffest^2 * information)[planes])
    stiffest <- shared / information / max(abs(shared / information)[planes])
    rotation <- diag(d)
    for (a in seq_len(d)) for (b in seq_len(a - 1)) {
      angle <- min(1, 1.5 / stiffness) * torque[a, b] / information[a, b]
      angle <- max(-0.1, min(0.1, angle))
      pair <- rotation[, c(a, b)]
      rotation[, a] <- cos(angle) * pair[, 1] + sin(angle) * pair[, 2]
      rotation[, b] <- cos(angle) * pair[, 2] - sin(angle) * pair[, 1]
    }
    if (general) {
      shear <- ref_shear(do.call(rbind, derivatives), weight, if (held) 0 else step, control$tied)
      rotation <- t(sqrt(colSums((mixing %*% solve(shear))^2)) * shear)
    } else {
      mixing <- mixing %*% solve(long) %*% rotation %*% long
      rotation <- long %*% rotation %*% solve(long)
    }
    if (general) mixing <- mixing %*% solve(t(rotation))
    z <- z %*% rotation
    average$cross <- average$cross %*% rotation
    average$second <- t(rotation) %*% average$second %*% rotation
    sigma2 <- noise_of(average, mixing)
    if (t > control$burn_in) {
      whole <- if (is.null(whole)) average else ref_blend(whole, average, 1 / (t - control$burn_in))
      noises <- c(noises, sigma2)
    }
    if (t <= control$burn_in) {
      for (e in seq_len(nrow(targets))) {
        rate <- colMeans(accepted[env == e, , drop = FALSE])
        driver <- vapply(seq_len(d), function(j) {
          any(vapply(seq_len(d), function(c) {
            j %in% parents[[c]] && !(control$perfect && targets[e, c] == 1)
          }, NA))
        }, NA)
        scale[driver, e] <- scale[driver, e] * exp(2 * (rate[driver] - 0.4) / sqrt(t))
      }
    }
    if (t < control$burn_in) range <- apply(z, 2, base::range)
  }
  state <- list(mixing = mixing, sigma2 = sigma2, prior = fit, latents = z, walk_scale = scale)
  for (k in seq_len(10)) fit <- fit_to(whole, fit, range)
  mixing <- update_mixing(mixing, whole)
  list(mixing = mixing, sigma2 = mean(noises), prior = fit, state = state)
}

# Sums of a sequence of vectors (in rows) by batches, whose size doubles when 16 are full.
ref_batches <- function(sequence) {
  size <- 1
  while (nrow(sequence) > 16 * size) size <- 2 * size
  list(size = size, sum = unname(rowsum(sequence, (seq_len(nrow(sequence)) - 1) %/% size)))
}

# Squared Monte-Carlo errors of the means, batches being a first-order autoregression.
ref_batch_errors <- function(sequence) {
  batches <- ref_batches(sequence)
  many <- nrow(sequence) %/% batches$size
  gap <- scale(batches$sum[seq_len(many), , drop = FALSE] / batches$size, scale = FALSE)
  r <- sum(gap[-1, ] * gap[-many, ]) / sum(gap^2) + 1 / many
  r <- max(0, min(r, 0.8))
  colSums(gap^2) / (many * (many - 1)) * (1 + r) / (1 - r)
}

# Shift of the means of the last two thirds of the batches, over its Monte-Carlo error and the
# standard deviation in the last third together.
ref_shift <- function(sequence) {
  batches <- ref_batches(sequence)
  means <- batches$sum / batches$size
  many <- nrow(means) %/% 3
  late <- utils::tail(means, many)
  early <- utils::head(utils::tail(means, 2 * many), many)
  noise <- (apply(late, 2, stats::var) + apply(early, 2, stats::var)) / many
  spread <- scale(utils::tail(sequence, many * batches$size), scale = FALSE)
  sqrt(sum((colMeans(late) - colMeans(early))^2) / (sum(noise) + sum(colMeans(spread^2))))
}

ref_blend <- function(old, new, step) {
  if (is.list(old)) Map(ref_blend, old, new, step) else old + step * (new - old)
}

# g-modeling with linear-Gaussian priors, by dense algebra and row by row. A prior is list(intercept
# (2 x d), slope (d x 2 x d: parent, state, node), variance (2 x d)), perfect or not by its zeros.

# Mean and covariance of the latents given target states.
ref_gaussian_latents <- function(prior, states) {
  d <- length(states)
  slopes <- matrix(0, d, d) # row: node
  for (j in seq_len(d)) slopes[j, ] <- prior$slope[, states[j] + 1, j]
  pick <- cbind(states + 1, seq_len(d))
  total <- solve(diag(d) - slopes)
  list(mean = drop(total %*% prior$intercept[pick]),
       cov = total %*% diag(prior$variance[pick], d) %*% t(total))
}

# Posterior of every row, and the weighted log-likelihood.
ref_gaussian_posterior <- function(x, states, weight, mixing, sigma2, prior) {
  p <- ncol(x)
  result <- list(mean = matrix(0, nrow(x), ncol(mixing)), cov = list(), loglik = 0)
  for (i in seq_len(nrow(x))) {
    z <- ref_gaussian_latents(prior, states[i, ])
    cov_x <- mixing %*% z$cov %*% t(mixing) + diag(sigma2, p)
    gain <- z$cov %*% t(mixing) %*% solve(cov_x)
    gap <- x[i, ] - drop(mixing %*% z$mean)
    result$mean[i, ] <- z$mean + drop(gain %*% gap)
    result$cov[[i]] <- z$cov - gain %*% mixing %*% z$cov
    result$loglik <- result$loglik - weight[i] / 2 *
      (p * log(2 * pi) + c(determinant(cov_x)$modulus) + sum(gap * solve(cov_x, gap)))
  }
  result
}

# Regressions of each node on its parents under the posterior.
ref_gaussian_prior <- function(post, states, weight, parents, perfect, prior) {
  d <- ncol(states)
  for (j in seq_len(d)) for (state in 0:1) {
    rows <- which(states[, j] == state)
    if (length(rows) == 0) next
    of <- if (perfect && state == 1) integer() else parents[[j]]
    family <- c(j, of)
    moment <- matrix(0, length(family) + 1, length(family) + 1) # of z_j, 1, parents
    for (i in rows) {
      mean <- append(post$mean[i, family], 1, 1)
      cov <- matrix(0, length(mean), length(mean))
      cov[-2, -2] <- post$cov[[i]][family, family]
      moment <- moment + weight[i] * (tcrossprod(mean) + cov)
    }
    coef <- solve(moment[-1, -1, drop = FALSE], moment[-1, 1])
    prior$intercept[state + 1, j] <- coef[1]
    prior$slope[of, state + 1, j] <- coef[-1]
    prior$variance[state + 1, j] <- (moment[1, 1] - sum(coef * moment[-1, 1])) / sum(weight[rows])
  }
  prior
}

# EM from A and sigma2; the first prior comes from regressions among the latents under a flat one.
ref_gaussian_em <- function(x, env, targets, parents, omega, start, perfect, kind, steps,
                            learn_sigma2 = TRUE) {
  d <- ncol(targets)
  states <- targets[env, , drop = FALSE]
  weight <- omega[env]
  mixing <- start$mixing
  sigma2 <- start$sigma2
  lengths <- sqrt(colSums(mixing^2))
  least <- solve(crossprod(mixing))
  flat <- list(mean = x %*% mixing %*% least, cov = rep(list(sigma2 * least), nrow(x)))
  prior <- list(intercept = matrix(0, 2, d), slope = array(0, c(d, 2, d)),
                variance = matrix(1, 2, d))
  prior <- ref_gaussian_prior(flat, states, weight, parents, perfect, prior)
  loglik <- numeric()
  for (t in seq_len(steps)) {
    post <- ref_gaussian_posterior(x, states, weight, mixing, sigma2, prior)
    cross <- crossprod(x, weight * post$mean)
    second <- crossprod(post$mean, weight * post$mean) + Reduce(`+`, Map(`*`, post$cov, weight))
    if (kind == "orthogonal") mixing <- ref_polar(cross %*% diag(lengths, d)) %*% diag(lengths, d)
    scale <- rep(1, d)
    if (kind == "unit") {
      mixing <- cross %*% solve(second)
      scale <- sqrt(colSums(mixing^2))
    }
    if (learn_sigma2) {
      sigma2 <- (sum(weight * x^2) - 2 * sum(mixing * cross) +
                   sum(crossprod(mixing) * second)) / (nrow(x) * ncol(x))
    }
    mixing <- mixing %*% diag(1 / scale, d)
    post$mean <- post$mean %*% diag(scale, d)
    post$cov <- lapply(post$cov, function(cov) cov * outer(scale, scale))
    prior <- ref_gaussian_prior(post, states, weight, parents, perfect, prior)
    loglik[t] <- ref_gaussian_posterior(x, states, weight, mixing, sigma2, prior)$loglik
  }
  list(mixing = mixing, sigma2 = sigma2, prior = prior, loglik = loglik)
}

# Stein's estimate of each row's squared error of posterior means, plus d sigma2.
ref_row_risks <- function(mean, sd, y) {
  vapply(seq_len(nrow(y)), function(i) {
    sum((mean[i, ] - y[i, ])^2) + 2 * sum(sd[i, ]^2)
  }, 0)
}

# Gradient by central differences.
ref_gradient <- function(f, at, step = 1e-5) {
  vapply(seq_along(at), function(i) {
    move <- replace(0 * at, i, step * max(1, abs(at[i])))
    (f(at + move) - f(at - move)) / (2 * move[i])
  }, 0)
}

# Signs of latents (src/model/signs.c) from a table of means by domain.
ref_latent_signs <- function(latents, env, targets, mixing, wanted) {
  vapply(seq_len(ncol(mixing)), function(j) {
    z <- latents[, j]
    on <- which(targets[, j] == 1)
    off <- which(rowSums(targets) == 0)
    if (length(off) == 0) off <- which(targets[, j] == 0)
    error <- function(domains) {
      rows <- env %in% domains
      squares <- sapply(domains, function(e) sum(env == e) * stats::var(z[env == e]))
      sum(squares) / sum(rows)^2
    }
    if (wanted[j] != 0 && length(on) > 0 && length(off) > 0) {
      shift <- mean(z[env %in% on]) - mean(z[env %in% off])
      if (isTRUE(abs(shift) > 4 * sqrt(error(on) + error(off)))) {
        return(as.integer(sign(shift) * wanted[j]))
      }
    }
    if (sum(mixing[, j]^3) < 0) -1L else 1L
  }, 0L)
}

# Second moments of x about its weighted mean, or about 0.
ref_moments <- function(x, env, omega, centered) {
  w <- omega[env] / nrow(x)
  mean <- colSums(w * x)
  about <- x - rep(centered * mean, each = nrow(x))
  list(mean = mean, second = t(about) %*% (w * about))
}

# Factor analysis by ECME: loadings given psi by eigenvectors (Lawley and Maxwell 1971), then psi
# given the loadings. -2 / n times the log-likelihood, less p log(2 pi), is of the whole covariance.
ref_factor_analysis <- function(s, q, equal, steps = 2000) {
  psi <- if (equal) rep(1, nrow(s)) else 0.5 * diag(s)
  for (step in if (equal) 1:2 else seq_len(steps)) {
    root <- sqrt(psi)
    e <- eigen(s / outer(root, root), symmetric = TRUE)
    lengths <- sqrt(pmax(e$values[1:q] - 1, 0))
    loadings <- root * e$vectors[, 1:q, drop = FALSE] %*% diag(lengths, q)
    used <- psi
    psi <- if (equal) rep(mean(eigen(s, TRUE)$values[-(1:q)]), nrow(s)) else
      pmax(diag(s) - rowSums(loadings^2), 1e-6 * diag(s))
  }
  sigma <- tcrossprod(loadings) + diag(used)
  list(psi = used, loadings = loadings, values = e$values[1:q],
       objective = c(determinant(sigma)$modulus) + sum(diag(solve(sigma, s))))
}
