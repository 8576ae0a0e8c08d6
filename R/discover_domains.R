# The search where the pooled moments of few features do not tell factors and unequal noise
# (R/measurement_domains.R): there is no space of factors to reduce x to beforehand, since graph and
# targets say what differs between domains. So every hypothesis is fitted with its own measurement
# model, by maximum likelihood of the moments of the features.

# So many tables of targets are all tried, else a local search goes on from the best of that many.
DOMAIN_TABLES <- 200L

#' Are hypotheses to be fitted with measurement models of their own?
#' @param settings Of crl_discover().
#' @noRd
searches_by_domains <- function(data, settings) {
  if (settings$mixing != "psd" || data$n_domains < 2L) {
    return(FALSE)
  }
  spread <- data # domains that differ as much as they can
  spread$targets[] <- outer(seq_len(data$n_domains) - 1L, seq_len(data$d), function(e, j) {
    as.integer(e > 0L & (e - 1L) %% data$d == j - 1L)
  })
  needs_domains(spread, settings$measure, domain_control(settings))
}

#' @noRd
domain_control <- function(settings) {
  crl_control(intervention = settings$intervention, mixing = "psd", progress = FALSE)
}

#' As discover_problem(), of which hypotheses are fitted by fitted_by_domains()
#' @noRd
domain_problem <- function(data, known, settings, call) {
  all <- data
  data <- varying_features(data)
  moments <- domain_feature_moments(data)
  problem <- new.env(parent = emptyenv())
  problem$domains <- list(moments = moments, data = data, control = domain_control(settings),
                          call = call)
  many <- settings$measure$nuisance
  problem$nuisance <- if (identical(many, "auto")) 0L else as.integer(many)
  problem$d <- problem$core <- data$d
  problem$basis <- matrix(0, all$p, data$p)
  problem$basis[cbind(setdiff(seq_len(all$p), all$constant), seq_len(data$p))] <- moments$unit
  problem$unit <- 1
  problem$summary <- list(n = data$n_env, mean = moments$mean / moments$unit)
  problem$known <- known
  problem$equal <- equal_domains(.Call(C_domain_moments, data$x, data$env, data$n_domains))
  if (problem$equal$p_value > DISCOVER_LEVEL) problem$known$max_targets <- 0L
  problem$choices <- lapply(seq_len(data$n_domains), target_choices, known = problem$known)
  problem$perfect <- settings$intervention == "perfect"
  problem$general <- TRUE
  problem$threads <- settings$threads
  problem$log_n <- log(data$n)
  problem$data <- all
  problem$seen <- new.env(parent = emptyenv())
  problem
}

#' Hypotheses with BIC of the moments of x; `columns` (p x d) are those of A in the features' units
#' @noRd
fitted_by_domains <- function(hypotheses, problem) {
  lapply(hypotheses, function(h) {
    before <- problem$seen[[hypothesis_key(h, problem)]]
    if (is.null(before)) fitted_by_domain(h, problem) else utils::modifyList(before, h["targets"])
  })
}

#' @noRd
fitted_by_domain <- function(h, problem) {
  task <- problem$domains
  names <- task$data$latent_names
  task$data$targets <- new_targets(h$targets, task$data$env_names, names)
  task$data$dag <- new_dag(h$dag, names)
  fit <- tryCatch(domain_factor_number(task, problem$nuisance, FALSE)$fit,
                  ebcrl_error = function(e) NULL)
  if (is.null(fit)) {
    return(utils::modifyList(h, list(value = Inf, bic = Inf)))
  }
  model <- fit$model
  d <- problem$d
  kept <- seq_len(d)
  columns <- model$mixing[, kept, drop = FALSE] / task$moments$unit
  length <- sqrt(colSums((columns * task$moments$unit)^2))
  slopes <- array(0, c(d, 2L, d))
  for (j in kept) for (state in 0:1) {
    slopes[, state + 1L, j] <- model$coef[kept, cell_of(j, state)] * length[j] / length
  }
  utils::modifyList(h, list(
    columns = columns / rep(length, each = nrow(columns)), value = -fit$loglik, bic = fit$bic,
    parameters = fit$parameters, converged = isTRUE(model$converged), floored = 0L,
    intercept = t(model$intercept[, kept, drop = FALSE]) * length,
    variance = t(model$variance[, kept, drop = FALSE]) * length^2, slopes = slopes,
    psi = model$psi, center = model$center
  ))
}

#' The best hypothesis: targets with the edges that are required, then any move; the number of
#' nuisance factors, if it is sought, grows while BIC falls
#' @noRd
search_by_domains <- function(problem, settings, tick) {
  auto <- identical(settings$measure$nuisance, "auto")
  best <- best_by_domains(problem, domain_tables(problem), tick)
  while (auto && problem$nuisance + problem$d + 1L < problem$domains$data$p) {
    fewer <- problem$seen
    problem$seen <- new.env(parent = emptyenv())
    problem$nuisance <- problem$nuisance + 1L
    wider <- best_by_domains(problem, domain_tables(problem), tick)
    if (!(wider$bic < best$bic)) {
      problem$nuisance <- problem$nuisance - 1L
      problem$seen <- fewer
      break
    }
    best <- wider
  }
  problem$measured <- list(center = best$center, noise = "by_feature", noise_var = best$psi,
                           nuisance = problem$nuisance)
  problem$lines <- problem$seen
  best
}

#' Tables of targets, one of those that differ in the numbers of the latents alone
#' @noRd
domain_tables <- function(problem) {
  dag <- problem$known$required * 1L
  states <- all_targets(problem)
  if (is.null(states)) {
    states <- replicate(DOMAIN_TABLES, random_targets(problem), simplify = FALSE)
    states <- Filter(compatible, states)
  }
  distinct_states(lapply(states, function(targets) list(dag = dag, targets = targets)), problem)
}

#' @noRd
all_targets <- function(problem) {
  choices <- problem$choices
  if (prod(vapply(choices, nrow, 0L)) > EXHAUSTIVE) {
    return(NULL)
  }
  grid <- as.matrix(do.call(expand.grid, lapply(choices, function(sets) seq_len(nrow(sets)))))
  tables <- lapply(seq_len(nrow(grid)), function(r) chosen_targets(choices, grid[r, ]))
  Filter(compatible, tables)
}

#' @noRd
best_by_domains <- function(problem, states, tick) {
  fitted <- lapply(states, function(h) {
    tick()
    by_likelihood(list(h), problem)[[1L]]
  })
  evident(climb_edges(best_of(fitted), problem), problem)
}
