# The last stage of the interventional start with mechanisms = "sampled", and of that of correlated
# columns: a short g-model (src/g/saem.c) within the principal subspace. The correction for noise in
# the parents by which the spline stage (src/start/refine.c) does without a posterior is of second
# order; where mechanisms bend within a width of the noise, draws of the parents take its place.

# Rows of a domain in the spline stage, its sweeps. Then runs of SAEM: the first on as many rows,
# factor from run to run until all rows are there, iterations of the first and of each later run (at
# most: a run ends when it has settled), and averaging iterations of the last. An iteration leaves
# some 98 % of the way that steep mechanisms have to go, with few rows as with many: most of them
# are made where they are cheap. Few rows have errors of their own, which the later runs forget as
# slowly: not too few. Where there are few in all, iterations cost little and more are made, up to
# `most`: with parents in every domain (imperfect interventions) the way is longer.
# Noise has two components at least: under skewed noise a Gaussian prior would turn A away.
SAMPLING <- list(rows = 1000L, sweeps = 3L, growth = 2L, first = 200L, most = 1000L,
                 row_iterations = 8e5, later = 60L, averaging = 10L, components = 2L)

# The same where columns may be correlated. Steps of a general A are smaller, and its linear stage
# leaves steep mechanisms farther off: more iterations, on more rows, since errors of few rows are
# forgotten more slowly still. A second component would slow them further.
SAMPLING_PSD <- utils::modifyList(SAMPLING, list(rows = 2000L, first = 2000L, later = 300L,
                                                 averaging = 50L, components = 1L))

# What rotations are compared by before one of them goes there: rows of a domain, iterations of
# SAEM, draws; by how much another must be better than the first: standard errors of the difference,
# and share of the error of the projections, d sigma2. Risks of so few draws have errors common to
# all rows, some thousandths of it, which the standard error over rows does not know. Where noise is
# small beside the bends, risks differ by less whatever the rotation, and the objective, which has
# little noise to correct, is to be trusted. Nor is an optimum tried whose rows have lost more than
# `behind` of their log-likelihood, each, after the spline stage: where draws were right against it,
# in simulations, that was 0.04 at most, where they were wrong 0.13 or more.
CHOICE <- list(rows = 250L, iterations = 60L, draws = 50L, errors = 1.5, share = 0.01,
               behind = 0.08)

# From the seed of a fit to those of the runs: away from the streams of other draws. The runs of the
# comparison come after so many others, all with the same random numbers: differences between close
# rotations are then not those of the draws.
SEED_STEP <- 2^33
CHOICE_SEED <- 100
RUN_STEP <- 1000

# Runs of SAEM, whose mean is the start: a run ends at one draw of a stationary sequence with a long
# memory, so that further runs tell, and lower, what is owed to the seed better than further
# iterations do. As many as leave `rows` in all, at least two, and one only with more than
# `most_rows`, where a run moves latents by less than 1 % of their size and costs most. Ends farther
# apart than `apart` (squared distance) are different optima.
REPLICATES <- list(rows = 8000L, most = 4L, most_rows = 40000L, apart = 0.5)

#' The rotation to go on from, by draws
#'
#' Where mechanisms bend within a width of the noise, the objective of the spline stage may favour
#' another rotation, or lead away from the right one. So both what it started from and what it made
#' of that are candidates. Each gets a short g-model on few rows; that whose posterior means have
#' the least estimated error goes on (metrics_stein_risks() in src/truth/metrics.h: the Hyvarinen
#' loss of the score that the g-model implies, hence comparable between rotations), if it is
#' clearly better than the choice of the spline stage: ties go to the objective.
#'
#' @param joined,refined See join_cut_optima(), refined_optima().
#' @return `refined` with the rotation and the optimum that were chosen, and the `risk` of the
#'   optima that were compared (the less of two candidates): a row's squared error, up to a constant
#' @noRd
chosen_by_draws <- function(joined, refined, part, sigma2, plan) {
  if (all(is.na(refined$optima$refined))) { # far from such mechanisms, risks hardly differ
    return(refined)
  }
  lost <- refined$optima$refined - refined$optima$refined[1L]
  eligible <- refined$optima$which[!((lost > CHOICE$behind * part$n) %in% TRUE)]
  tried <- intersect(eligible, joined$tried)
  candidates <- distinct_candidates(refined$found$rotation, joined$found$rotation, tried)
  if (length(candidates) == 1L) {
    return(refined)
  }
  rows <- thinned(part, CHOICE$rows)
  risks <- vapply(seq_along(candidates), function(k) {
    draws_risks(candidates[[k]]$rotation, rows, sigma2, plan,
                plan$seed + CHOICE_SEED * SEED_STEP)
  }, numeric(rows$n))
  means <- function(reference) .Call(C_loss_means, risks, rows$env, rows$weights, reference)
  risk <- means(0L)$mean
  for (k in order(risk, decreasing = TRUE, na.last = FALSE)) { # of two the less comes last
    refined$optima$risk[refined$optima$which == candidates[[k]]$optimum] <- risk[k]
  }
  chosen <- candidates[[clearly_best(risk, means(1L), part$d * sigma2)]]
  refined$found$rotation[, , chosen$optimum] <- chosen$rotation
  refined$optima <- used_first(refined$optima, match(chosen$optimum, refined$optima$which),
                               refined$found$rotation)
  refined
}

#' The least risk, if it is clearly below the first; the first, if all are NA
#' @param against list: `mean`, `se` of the differences to the first.
#' @param projected Squared error of a row's projections: d sigma2.
#' @noRd
clearly_best <- function(risk, against, projected) {
  best <- c(which.min(risk), 1L)[1L]
  least <- max(CHOICE$errors * against$se[best], CHOICE$share * projected)
  if (is.na(risk[1L]) || against$mean[best] < -least) best else 1L
}

#' The rotations of some optima after a stage and before it, of equal ones the first
#' @param after,before d x d x optima.
#' @return list of lists: `rotation`, `optimum` (third index)
#' @noRd
distinct_candidates <- function(after, before, optima) {
  both <- array(c(after[, , optima], before[, , optima]),
                c(dim(after)[1:2], 2L * length(optima)))
  lapply(distinct_rotations(both, seq_len(dim(both)[3L])), function(k) {
    list(rotation = matrix(both[, , k], nrow(both)), optimum = rep(optima, 2L)[k])
  })
}

#' Estimated squared errors of each row's posterior means under a short g-model; NA if it stopped
#' @noRd
draws_risks <- function(rotation, rows, sigma2, plan, seed) {
  state <- list(mixing = signed_mixing(rotation, rows), sigma2 = sigma2, prior = NULL,
                walk_scale = matrix(1, rows$d, rows$n_domains), place = NULL)
  settings <- draws_plan(plan, CHOICE$iterations)
  run <- sampling_run(state, rows, settings, seed, "Start: choice by draws")
  if (is.null(run)) {
    return(rep(NA_real_, rows$n))
  }
  model <- list(gram = gram_of(run$mixing), sigma2 = sigma2, walk_scale = run$state$walk_scale,
                prior = run$prior)
  projected <- whitened_rows(rows) %*% run$mixing
  y <- if (is.null(rows$noise)) projected else t(solve(model$gram, t(projected)))
  posterior <- posterior_g(model, projected, run$state$latents, rows$env, rows$targets,
                           parent_list(rows$dag), settings, seed,
                           stream = run$state$place[["iteration"]], draws = CHOICE$draws,
                           probs = numeric())
  .Call(C_row_risks, posterior$latents, posterior$latents_sd, y, sum(posterior$error^2))
}

#' The mixing of the principal coordinates that SAEM makes of another: the mean of some runs
#'
#' A = U B, U the principal components: X U (n x d) is all that the rows say on B (d x d, a
#' rotation, or with correlated columns general), so that a run takes as long for any number of
#' features. sigma2 is held. Where runs end in different optima, those near the most central one
#' count.
#' @param part Data with X U for `x`.
#' @return list: `mixing`, B; `mc_error` (d), see latent_movement(), NULL of one run; `counts`, list
#'   of `floored`, noise variances of latents that fell to their floor, `stopped`, runs that could
#'   not go on, and `sampling`, tibble of the stages of each `run`, with `rows`, `iterations` and
#'   `distance`, squared Frobenius distance from the B before it
#' @noRd
sampled_mixing <- function(mixing, part, sigma2, plan) {
  first <- signed_mixing(mixing, part)
  runs <- lapply(seq_len(replicates(part$n, plan)), function(r) {
    sampled_run(first, part, sigma2, plan, plan$seed + (r - 1) * RUN_STEP * SEED_STEP, r)
  })
  sum_of <- function(name) sum(vapply(runs, `[[`, 0, name))
  counts <- list(floored = sum_of("floored"), stopped = as.integer(sum_of("stopped")),
                 sampling = do.call(rbind, lapply(runs, `[[`, "sampling")))
  if (length(runs) == 1L) {
    return(list(mixing = runs[[1L]]$mixing, mc_error = NULL, counts = counts))
  }
  complete <- vapply(runs, `[[`, 0, "stopped") == 0
  central <- central_mixings(lapply(runs[if (any(complete)) complete else 1L], `[[`, "mixing"),
                             part$loose)
  mean <- polar_factor(Reduce(`+`, central) / length(central))
  list(mixing = mean, mc_error = latent_movement(central, mean, part$x), counts = counts)
}

#' Runs, by the rows of all domains: their cost, and their Monte-Carlo error, tell how many
#' @noRd
replicates <- function(n, plan) {
  if (plan$mixing == "psd" || n > REPLICATES$most_rows) {
    return(1L)
  }
  as.integer(max(2, min(REPLICATES$most, REPLICATES$rows %/% n)))
}

#' Rotations of the optimum that the most central one is in, with its signs
#'
#' Nuisance factors may be turned among themselves, which no result hangs on: those of all runs are
#' first turned to be like those of the first.
#' @param loose Which columns are nuisance factors.
#' @noRd
central_mixings <- function(mixings, loose = NULL) {
  if (length(loose) > 1L) {
    like <- mixings[[1L]][, loose]
    mixings <- lapply(mixings, function(mixing) {
      block <- mixing[, loose]
      mixing[, loose] <- block %*% polar_factor(crossprod(block, like))
      mixing
    })
  }
  all <- array(unlist(mixings), c(dim(mixings[[1L]]), length(mixings)))
  distance <- vapply(seq_along(mixings), function(to) {
    squared_distances(all, seq_along(mixings), to)
  }, numeric(length(mixings)))
  distance <- matrix(distance, length(mixings))
  centre <- which.min(rowSums(sqrt(distance)))
  lapply(mixings[distance[, centre] < REPLICATES$apart], function(mixing) {
    mixing * sign_by(mixing, mixings[[centre]])
  })
}

#' Monte-Carlo standard error of the mean of some rotations, as movement of each latent: root mean
#' square over the rows, in units of the standard deviation of y. Inf of one rotation.
#' @noRd
latent_movement <- function(rotations, mean, x) {
  if (length(rotations) < 2L) {
    return(rep(Inf, ncol(mean)))
  }
  moved <- vapply(rotations, function(rotation) colMeans((x %*% (rotation - mean))^2),
                  numeric(ncol(mean)))
  n_runs <- length(rotations)
  y <- x %*% mean
  variance <- colMeans(y^2) - colMeans(y)^2
  sqrt(rowSums(matrix(moved, ncol(mean))) / (n_runs * (n_runs - 1) * variance))
}

#' One run of SAEM, with ever more rows
#' @noRd
sampled_run <- function(mixing, part, sigma2, plan, seed, number) {
  scheme <- sampling_scheme(plan)
  sizes <- sample_sizes(part$n_env, scheme)
  state <- list(mixing = mixing, sigma2 = sigma2, prior = NULL,
                walk_scale = matrix(1, part$d, part$n_domains), place = NULL)
  out <- list(floored = 0, stopped = 0, sampling = NULL)
  for (k in seq_along(sizes)) {
    last <- k == length(sizes)
    rows <- thinned(part, sizes[k])
    settings <- draws_plan(plan, if (k == 1L) first_iterations(rows$n, scheme) else scheme$later,
                           if (last || may_pay(k, plan)) scheme$averaging else 0L)
    run <- sampling_run(state, rows, settings, seed + k * SEED_STEP,
                        paste0("Start by draws, run ", number, ", stage ", k, " of ",
                               length(sizes)))
    if (is.null(run)) {
      out$stopped <- 1
      break
    }
    run$mixing <- unwhitened(run$mixing, part, sigma2, plan)
    moved <- run$mixing - state$mixing
    distance <- sum(moved^2)
    state <- list(mixing = run$mixing, sigma2 = sigma2, prior = run$prior,
                  walk_scale = run$state$walk_scale, place = NULL)
    out$floored <- out$floored + run$counts[["noise_floored"]]
    out$sampling <- rbind(out$sampling, tibble::tibble(
      rows = rows$n, iterations = nrow(run$trace), distance = distance, run = number
    ))
    if (!last && may_pay(k, plan) && !more_rows_pay(moved, state$mixing, rows, sizes, k, sigma2)) {
      break
    }
  }
  c(list(mixing = state$mixing), out)
}

#' Iterations of the first run at most: a run ends when it has settled
#' @noRd
first_iterations <- function(n, scheme) {
  more <- min(scheme$row_iterations %/% n, max(scheme$most, scheme$first))
  as.integer(max(scheme$first, more))
}

# Share of the latents' posterior variance that more rows must still move them by to be worth it.
PAYS <- 0.01

# One move of A tells what is left within a factor of about two: so much more is counted with.
CAUTION <- 2

#' Is a stage one after which a run may stop? Not the first, which has the way from the start behind
#' it, nor with general columns, whose steps are small
#' @noRd
may_pay <- function(k, plan) {
  k > 1L && plan$mixing != "psd"
}

#' Would more rows move the latents by more than a hundredth of their posterior variance?
#'
#' A of m rows of a domain has an error of variance c / m, so that the move between two stages tells
#' c (and more, as far as the first had not settled), and c (1 / m - 1 / N) is what is left with N rows.
#' @param moved Change of A (d x d) in the stage.
#' @noRd
more_rows_pay <- function(moved, mixing, rows, sizes, k, sigma2) {
  second <- crossprod(rows$x) / rows$n
  along <- function(m) colSums(m * (second %*% m))
  left <- (1 / sizes[k] - 1 / sizes[length(sizes)]) / (1 / sizes[k - 1L] - 1 / sizes[k])
  size <- along(mixing)
  posterior <- sigma2 * pmax(1 - sigma2 / size, 0)
  any(CAUTION * along(moved) * left > PAYS * posterior)
}

#' The same with signs of latents such that their cubes have a positive sum, whatever they were:
#' draws are not those of the latents turned round
#' @noRd
signed_mixing <- function(mixing, rows) {
  cubes <- colSums((rows$x %*% t(solve(mixing)))^3)
  mixing * rep(ifelse(cubes < 0, -1, 1), each = nrow(mixing))
}

#' One run, from the least-squares latents; NULL if it could not go on
#' @param plan See draws_plan().
#' @noRd
sampling_run <- function(state, rows, plan, seed, name) {
  model <- list(seed = seed, variance_floor = NOISE_FLOOR * state$sigma2, learn_sigma2 = FALSE)
  state$latents <- rows$x %*% t(solve(state$mixing))
  if (!is.null(rows$noise)) {
    state$mixing <- noise_whitener(rows$noise, state$sigma2) %*% state$mixing
    rows$x <- whitened_rows(rows)
  }
  tryCatch(run_chains(list(state), model, rows, plan, NULL, name)[[1L]],
           ebcrl_error = function(e) NULL)
}

#' c N^-1/2: coordinates whose noise has covariance N, times this, have sigma2 I
#' @noRd
noise_whitener <- function(noise, sigma2) {
  symmetric_power(eigen(noise / sigma2, symmetric = TRUE), -1 / 2)
}

#' Coordinates with equal noise
#' @noRd
whitened_rows <- function(rows) {
  if (is.null(rows$noise)) rows$x else rows$x %*% noise_whitener(rows$noise, mean(diag(rows$noise)))
}

#' The mixing of the coordinates from that of the whitened ones: a rotation, or columns of length 1
#' @noRd
unwhitened <- function(mixing, part, sigma2, plan) {
  if (is.null(part$noise)) {
    return(mixing)
  }
  mixing <- solve(noise_whitener(part$noise, sigma2), mixing)
  if (plan$mixing == "psd") mixing / rep(sqrt(colSums(mixing^2)), each = nrow(mixing)) else
    polar_factor(mixing)
}

#' @noRd
sampling_scheme <- function(plan) {
  if (plan$mixing == "psd") SAMPLING_PSD else SAMPLING
}

#' The plan of a run of SAEM that is to find a mixing only
#' @noRd
draws_plan <- function(plan, burn_in, iterations = 0L) {
  components <- max(prior_control(plan)$components, sampling_scheme(plan)$components)
  derived_plan(plan,
    mixing = if (plan$mixing == "psd") "psd" else "orthonormal",
    prior = replace(start_prior(plan$prior), c("noise", "local"), list(components, FALSE)),
    saem = list(burn_in = burn_in, iterations = iterations, mc_tol = 0, chains = 1L, draws = 2L)
  )
}

#' Rows of a domain in each run
#' @noRd
sample_sizes <- function(n_env, scheme) {
  steps <- ceiling(log(max(n_env) / scheme$rows, scheme$growth))
  sizes <- scheme$rows * scheme$growth^(seq_len(max(0, steps)) - 1)
  as.integer(c(sizes[sizes <= max(n_env) / 2], max(n_env)))
}

#' At most so many rows of each domain, equally spaced
#' @noRd
thinned <- function(data, most) {
  if (max(data$n_env) <= most) {
    return(data)
  }
  rows <- sort(spaced_rows(data, most * data$n_domains))
  some_rows(data, rows, data$x[rows, , drop = FALSE])
}

#' Refuse a start that would not fit in memory, before it starts
#' @noRd
check_start_memory <- function(data, init, plan, call) {
  if (!identical(init, "interventional") || !"draws" %in% plan$stages) {
    return(invisible())
  }
  scheme <- sampling_scheme(plan)
  settings <- draws_plan(plan, scheme$first, scheme$averaging)
  less <- if (plan$mixing == "psd") "linear" else "spline"
  hint <- paste0("{.code start_search(mechanisms = \"", less, "\")}")
  hint <- paste(hint, "takes less, as does {.code prior_spline(knots = )} with fewer; or raise",
                "{.code crl_control(max_memory = )}.")
  check_saem_memory("The start", data, data$d, settings, plan$mixing == "psd", hint, call)
}

#' What the stage of draws did, in words
#' @noRd
describe_sampling <- function(fit) {
  runs <- fit$sampling
  if (!is.null(runs)) {
    paste0("; then ", count_of(sum(runs$iterations), "iteration"), " of SAEM",
           if (max(runs$run) > 1L) paste0(" in ", max(runs$run), " runs"), ", the last with ",
           count_of(runs$rows[nrow(runs)], "row"))
  }
}

#' What the latents owe to the seed, in words
#' @noRd
describe_start_error <- function(fit) {
  error <- fit$start_mc_error[fit$data$latent_names]
  if (length(error) == 0L || fit$learned[["mixing"]]) {
    return(NULL)
  }
  if (any(is.infinite(error))) {
    return(paste("The runs of the start ended in different optima: another seed may give other",
                 "latents."))
  }
  paste0("Monte-Carlo error of the start: another seed moves latents by up to ",
         format(100 * max(error) * sqrt(2), digits = 2L), " % of their sd (",
         names(which.max(error)), ").")
}
