# Several chains of SAEM: dispersed starts, R-hat, and going on with them.

# Chains whose R-hat is above this are said not to have mixed.
R_HAT <- 1.05

# Starts of further chains: A turns by angles within this (radians) in every plane of latents, log
# sigma2 moves within this. A few times the sampling error of either.
DISPERSION <- 0.2

#' SAEM, chain by chain, from a list of starts, see chain_start()
#' @param name What runs, in words.
#' @noRd
run_chains <- function(begin, model, data, control, error_call, name = "SAEM") {
  saem <- control$saem
  engine <- c(prior_control(control), list(
    variance_floor = model$variance_floor, mixing = saem_mixing(control$mixing, data),
    learn_sigma2 = model$learn_sigma2, burn_in = saem$burn_in, iterations = saem$iterations,
    features = n_features(data), outside = square_outside(data),
    mc_tol = saem$mc_tol, threads = control$threads, tied = tied_latents(data, control)
  ))
  Map(function(begin, seed, number) {
    if (saem$chains > 1L) name <- paste0(name, ", chain ", number)
    run <- with_progress(control$progress, name, steps = saem$burn_in + saem$iterations,
                         function(tick) {
      engine$learn_lambda <- engine$learn_lambda && !isTRUE(begin$prior$held)
      .Call(C_saem_fit, data$x, data$env, data$targets, parent_list(data$dag), row_weights(data),
            begin, c(engine, seed = seed), tick)
    })
    check_status(run$status, error_call)
    run$trace <- run$trace[seq_len(run$state$place[["iteration"]]), , drop = FALSE]
    if (is.null(begin$trace)) run else joined_run(run, begin)
  }, begin, model$seed, seq_along(begin))
}

# Rows of a domain that SAEM goes on first, where there are more than twice as many.
FIRST_ROWS <- 2000L

#' The chains on as many rows as pay: what the sampling error of A that they leave moves the latents
#' by is then under PAYS of their posterior variance
#' @return list: `runs`, `most` (rows of a domain)
#' @noRd
runs_on_paying_rows <- function(begin, model, data, control, error_call) {
  auto <- identical(control$saem$rows, "auto")
  most <- if (auto) FIRST_ROWS else control$saem$rows
  repeat {
    if (max(data$n_env) <= most * (1 + auto)) most <- Inf
    part <- chain_rows(data, most)
    runs <- run_chains(lapply(begin, begin_at, part), model, part, control, error_call)
    enough <- if (auto && is.finite(most)) paying_rows(runs[[1L]], part, most, max(data$n_env)) else 0
    if (enough <= most) {
      return(list(runs = runs, most = most))
    }
    most <- enough
    begin <- Map(function(begin, run) {
      run$prior$held <- begin$prior$held
      begin[c("mixing", "sigma2", "prior")] <- run[c("mixing", "sigma2", "prior")]
      begin$walk_scale <- run$state$walk_scale
      begin
    }, begin, runs)
  }
}

#' At most so many rows of each domain; `chosen`, which (NULL: all). Squares outside the space that
#' x was reduced to are their share of those of all rows.
#' @noRd
chain_rows <- function(data, most) {
  if (max(data$n_env) <= most) {
    return(data)
  }
  rows <- sort(spaced_rows(data, most * data$n_domains))
  part <- some_rows(data, rows, data$x[rows, , drop = FALSE])
  if (!is.null(data$outside)) part$outside <- data$outside * (part$n / data$n)
  part$chosen <- rows
  part
}

#' A start of all rows as one of some of them
#' @noRd
begin_at <- function(begin, part) {
  if (!is.null(part$chosen)) begin$latents <- begin$latents[part$chosen, , drop = FALSE]
  begin
}

#' Rows of a domain, of `all`, with which the rule of runs_on_paying_rows() holds
#'
#' A of m rows has an error of variance c / m; c is told by the Monte-Carlo error and its share of
#' the sampling error. c (1 / m - 1 / N) is what is left.
#' @noRd
paying_rows <- function(run, part, m, all) {
  sampling <- sum(run$error[seq_along(run$mixing)]^2) / run$ratio[1L]^2
  if (!is.finite(sampling)) { # A is held
    return(m)
  }
  each <- sampling / length(run$mixing)
  second <- crossprod(part$x) / part$n
  size <- colSums(run$mixing * (second %*% run$mixing)) / colSums(run$mixing^2)
  noise <- run$sigma2 / colSums(run$mixing^2)
  posterior <- noise * pmax(1 - run$sigma2 / size, 0)
  moved <- each * sum(diag(second)) / colSums(run$mixing^2)
  least <- PAYS * min(posterior / moved)
  if (1 - m / all <= least) m else ceiling(1 / (least / m + 1 / all))
}

#' The kind of measurement (src/model/measurement_plain.c) by which A is updated: of coordinates
#' whitened by their noise, only turns
#' @noRd
saem_mixing <- function(mixing, data) {
  whitened <- !is.null(data$noise %||% if (!is_plain(data)) data$space)
  switch(mixing, orthonormal = , diagonal = if (whitened) "turned" else "lengths", psd = "unit",
         fixed = "held")
}

#' What a chain goes on from
#' @noRd
resumable <- function(run) {
  c(run$state, run[c("trace", "counts", "acceptance")])
}

#' A run that went on, with what came before
#' @noRd
joined_run <- function(run, begin) {
  earlier <- seq_len(nrow(begin$trace))
  run$trace[earlier, ] <- begin$trace
  run$counts <- run$counts + begin$counts
  if (nrow(run$trace) == length(earlier)) {
    run$acceptance <- begin$acceptance
    run$state$prior <- begin$prior
  }
  run
}

#' One row a chain
#'
#' `distance` is that of A from the best chain's, signs aside, in units of the sampling error.
#' @noRd
run_table <- function(runs, model) {
  value <- function(name) vapply(runs, `[[`, runs[[1L]][[name]], name)
  objective <- vapply(runs, function(run) {
    averaged <- run$state$place[["count"]] > 0L
    mean(run$trace[if (averaged) seq_len(nrow(run$trace)) > run$burn_in else TRUE, "objective"])
  }, 0)
  best <- runs[[which.max(objective)]]
  entries <- seq_along(best$mixing)
  sampling <- sqrt(sum(best$error[entries]^2)) / best$ratio[1L]
  distance <- vapply(runs, function(run) {
    sqrt(sum((run$mixing * sign_by(run$mixing, best$mixing) - best$mixing)^2)) / sampling
  }, 0)
  tibble::tibble(
    chain = seq_along(runs), seed = model$seed, burn_in = value("burn_in"),
    iterations = vapply(runs, function(run) nrow(run$trace), 0L), settled = value("settled"),
    precise = value("precise"), objective = objective, distance = distance
  )
}

#' Signs of the columns of A (p x d) that bring it closest to another
#' @noRd
sign_by <- function(mixing, other) {
  rep(ifelse(colSums(mixing * other) < 0, -1, 1), each = nrow(mixing))
}

#' Split R-hat (Gelman et al. 2013, Section 11.4) of the averaging iterations of several chains;
#' NULL of one
#'
#' From the sums of the complete batches, an even number of each chain: a half is half of them.
#' Signs of latents are those of the first chain.
#' @noRd
r_hat <- function(runs, data) {
  if (length(runs) < 2L) {
    return(NULL)
  }
  states <- lapply(runs, `[[`, "state")
  parts <- do.call(c, lapply(states, chain_halves, like = runs[[1L]]$mixing))
  value <- split_r_hat(parts)
  mixing <- seq_len(data$p * data$d)
  latents <- data$latent_names
  list(
    mixing = matrix(value[mixing], data$p, dimnames = list(data$feature_names, latents)),
    sigma2 = value[data$p * data$d + 1L], objective = value[data$p * data$d + 2L],
    noise_var = matrix(value[-seq_len(data$p * data$d + 2L)], data$d, byrow = TRUE,
                       dimnames = list(latents, STATE_NAMES))
  )
}

#' Sums over each half of the complete batches of a chain, with signs of latents like those of A in
#' `like`
#' @return list of two: `n` iterations, `sum`, `square`
#' @noRd
chain_halves <- function(state, like) {
  place <- state$place
  many <- place[["count"]] %/% place[["size"]] %/% 2L
  sign <- rep(1, nrow(state$sum))
  sign[seq_along(state$mixing)] <- sign_by(state$mixing, like)
  lapply(0:1, function(half) {
    batches <- half * many + seq_len(many)
    list(n = many * place[["size"]],
         sum = rowSums(state$sum[, batches, drop = FALSE]) * sign,
         square = rowSums(state$square[, batches, drop = FALSE]))
  })
}

#' R-hat of every parameter from the sums of parts of chains; NA where nothing varies
#' @noRd
split_r_hat <- function(parts) {
  means <- vapply(parts, function(part) part$sum / part$n, parts[[1L]]$sum)
  variances <- vapply(parts, function(part) {
    (part$square - part$sum^2 / part$n) / (part$n - 1)
  }, parts[[1L]]$sum)
  n <- min(vapply(parts, `[[`, 0, "n"))
  within <- rowMeans(variances)
  between <- apply(means, 1L, stats::var)
  # what does not vary has a variance of rounding errors
  within[within < 1e-13 * rowMeans(means^2)] <- NA
  sqrt((n - 1) / n + between / within)
}

#' The start of a further chain: A turned at random, another sigma2
#' @noRd
dispersed_start <- function(start, model, plan, seed) {
  if (plan$mixing == "fixed") {
    return(start)
  }
  d <- ncol(start$orthonormal)
  unit <- function(k) {
    words <- .Call(C_philox_words, c(k, 0, 0, 0), c(seed %% 2^32, seed %/% 2^32))
    2 * (words[1L] + 0.5) / 2^32 - 1
  }
  for (a in seq_len(d)) {
    for (b in seq_len(a - 1L)) {
      angle <- DISPERSION * unit(d * a + b)
      turn <- matrix(c(cos(angle), sin(angle), -sin(angle), cos(angle)), 2L)
      start$orthonormal[, c(a, b)] <- start$orthonormal[, c(a, b)] %*% turn
    }
  }
  if (model$learn_sigma2) {
    start$sigma2 <- start$sigma2 * exp(DISPERSION * unit(0L))
  }
  start
}

#' The traces of all chains as a tibble, with a column `chain` if there are several
#' @noRd
saem_trace <- function(runs, data) {
  names <- paste0("noise_var_", by_cell(data$latent_names), "_", STATE_NAMES)
  seen <- as.vector(state_counts(data$targets) > 0)
  tables <- Map(function(run, number) {
    trace <- run$trace
    of_cells <- colnames(trace) == "variance"
    variances <- `colnames<-`(trace[, of_cells, drop = FALSE], names)[, seen, drop = FALSE]
    # tibble() would translate names, which a locale may not be able to
    tibble::as_tibble(cbind(data.frame(
      chain = number, iteration = seq_len(nrow(trace)),
      trace[, !of_cells, drop = FALSE]
    ), variances))
  }, runs, seq_along(runs))
  trace <- do.call(rbind, tables)
  if (length(runs) > 1L) trace else trace[-1L]
}

# In words ----------------------------------------------------------------------------------------

#' Whether SAEM settled, its Monte-Carlo errors, and what to do if it did not
#' @noRd
describe_convergence.crl_fit_g_spline <- function(fit) {
  c(
    describe_runs(fit),
    paste0("Monte-Carlo error: A ", ratio_of(fit, "mixing"), " of its sampling error (Frobenius ",
           format(sqrt(sum(fit$mixing_mc_error^2)), digits = 2L), "), noise variances of latents ",
           ratio_of(fit, "noise_var"), "; latents ", describe_draws(fit), "."),
    describe_r_hat(fit),
    describe_saem_advice(fit)
  )
}

#' The same in short: what print() says of it
#' @noRd
describe_verdict.crl_fit_g_spline <- function(fit) {
  c(describe_runs(fit), paste0("Monte-Carlo error of the latents: ", describe_draws(fit), "."),
    describe_r_hat(fit), describe_saem_advice(fit))
}

#' @noRd
describe_draws <- function(fit) {
  error <- sqrt(max(1 / fit$ess))
  if (error == 0) {
    return("exact, as none drives another")
  }
  paste0("up to ", format(error, digits = 1L), " posterior sd (", fit$control$saem$draws,
         " draws worth ", whole(floor(min(fit$ess))), " or more)")
}

#' @noRd
ratio_of <- function(fit, name) {
  format(fit$mc_ratio[[name]], digits = 2L)
}

#' @noRd
describe_runs <- function(fit) {
  runs <- fit$runs
  burn_in <- paste(unique(runs$burn_in), collapse = ", ")
  averaging <- paste(unique(runs$iterations - runs$burn_in), collapse = ", ")
  chains <- if (nrow(runs) > 1L) {
    paste0(", ", nrow(runs), " chains, of which that with the largest objective is kept")
  }
  many <- sum(pmin(fit$data$n_env, fit$saem$rows %||% Inf))
  rows <- if (many < fit$data$n) paste(" on", whole(many), "of", whole(fit$data$n), "rows")
  paste0("SAEM: ", burn_in, " burn-in and ", averaging, " averaging iterations", rows, chains, ".")
}

#' @noRd
describe_r_hat <- function(fit) {
  if (is.null(fit$r_hat)) {
    return(NULL)
  }
  largest <- vapply(fit$r_hat, function(value) max(c(-Inf, value), na.rm = TRUE), 0)
  largest <- largest[is.finite(largest)]
  words <- c(mixing = "A", sigma2 = "sigma2", objective = "objective",
             noise_var = "noise variances of latents")
  if (length(largest) == 0L) {
    return("R-hat: cannot be told from so few averaging iterations.")
  }
  apart <- max(c(0, fit$runs$distance), na.rm = TRUE) # NaN where A is held
  c(
    paste0("R-hat: ", paste(words[names(largest)], format(largest, digits = 3L, nsmall = 2L),
                            collapse = ", "),
           if (any(is.finite(fit$runs$distance))) {
             paste0("; A of the chains up to ", format(apart, digits = 2L),
                    " sampling errors apart")
           }, "."),
    if (apart > 1) {
      paste("The chains disagree: they have found different optima, see `runs` of the fit. The",
            "objective, by which one is kept, is not the likelihood: it prefers small noise",
            "variances.")
    } else if (any(largest > R_HAT)) {
      paste0("The chains have not mixed (R-hat above ", R_HAT, "), for which each has to be more ",
             "precise than `mc_tol` asks: update(fit, iterations = 2000, saem = saem_control(",
             "mc_tol = ", format(signif(fit$control$saem$mc_tol / 4, 2L)), ")) goes on.")
    }
  )
}

#' @noRd
describe_saem_advice <- function(fit) {
  if (fit$converged) {
    return(NULL)
  }
  c(
    if (!all(fit$runs$settled)) {
      paste("Not settled: the parameters moved when burn-in ended. Raise `burn_in` in",
            "saem_control(), or fit anew with `init = fit`.")
    },
    if (!all(fit$runs$precise)) {
      paste0("Not as precise as asked for (`mc_tol` = ", format(fit$control$saem$mc_tol),
             "): update(fit, iterations = 1000) goes on from here.")
    }
  )
}
