# The judgement of edges by draws: where mechanisms bend within a width of the noise, the correction
# for noise in the parents by which splines are judged (discover_curves.R) is too coarse, and leaves
# dependence behind that passes for edges, too. Here a short g-model (src/g/saem.h) turns the
# latents to where they belong and draws them; each edge is then tried by src/discover/edge_loss.h.

# Rows of a domain (in all, `most_rows`), iterations of SAEM, its averaging ones, draws kept, and
# graphs that are tried at most.
DRAWN <- list(rows = 1000L, most_rows = 6000L, burn_in = 200L, iterations = 50L, draws = 30L,
              warm_up = 20L, rounds = 12L)

#' A hypothesis without the edges that draws do not bear out
#'
#' After each g-model, of every latent the edge with the least loss is taken away, if that is below
#' its price: half log n for each effective degree of freedom.
#' @return It with its rotation as SAEM has it; `drawn`, list of `loss`, `price` (d x d) and
#'   `rounds`, NULL if SAEM could not go on
#' @noRd
stage_draws <- function(h, problem, tick) {
  passed <- NULL
  for (round in seq_len(DRAWN$rounds)) {
    tick()
    found <- drawn_losses(h, problem, round)
    if (is.null(found)) {
      return(replace(h, "stopped", TRUE))
    }
    h$columns <- found$columns
    h$drawn <- list(loss = found$loss, price = found$price, rounds = round)
    away <- edges_to_drop(h, found, problem)
    if (length(away) == 0L) break
    for (at in away) {
      passed <- c(passed, list(list(at = at, behind = 2 * (found$price - found$loss)[at])))
    }
    h$dag[away] <- 0L
  }
  drawn_hypotheses(h, passed, problem)
}

#' The hypothesis, and those next to it, with BIC by draws: without each edge, and with each that
#' was taken away; what splines have judged otherwise stands beside them
#' @noRd
drawn_hypotheses <- function(h, passed, problem) {
  others <- as.list(problem$seen)
  by_splines <- problem$seen[[hypothesis_key(h, problem)]] %||% best_of(others)
  problem$seen <- new.env(parent = emptyenv())
  h$bic <- 0
  h$value <- by_splines$value
  h$parameters <- spline_size(h, problem)
  remember(h, problem)
  add <- function(dag, behind, loss) {
    remember(utils::modifyList(h, list(dag = dag, bic = behind, value = h$value + loss)), problem)
  }
  for (at in which(h$dag == 1L)) {
    loss <- h$drawn$loss[at]
    add(replace(h$dag, at, 0L), max(2 * (loss - h$drawn$price[at]), 0), loss)
  }
  for (one in passed) add(replace(h$dag, one$at, 1L), one$behind, 0)
  for (one in others) { # other targets, and other directions
    turned <- any(t(one$dag) & h$dag) || any(one$targets != h$targets)
    if (turned && is.finite(one$bic)) {
      one$bic <- max(one$bic - by_splines$bic, 0)
      remember(one, problem)
    }
  }
  h
}

#' Of every latent the edge with the least loss for its price, if it is not worth it
#' @noRd
edges_to_drop <- function(h, found, problem) {
  excess <- found$loss - found$price
  excess[h$dag == 0L | problem$known$required | is.na(excess)] <- Inf
  worst <- cbind(max.col(-t(excess), "first"), seq_len(ncol(excess)))
  at <- worst[excess[worst] < 0, , drop = FALSE]
  (at[, 2L] - 1L) * nrow(excess) + at[, 1L]
}

#' Losses of the edges of a hypothesis under a g-model of it, on the rows that were drawn
#' @return list: `loss`, `price` (d x d, NA where there is no edge), `columns`; NULL if it stopped
#' @noRd
drawn_losses <- function(h, problem, round) {
  rows <- drawn_problem(h, problem)
  control <- drawn_control(problem)
  sigma2 <- mean(diag(problem$summary$noise))
  seed <- problem$seed + round * SEED_STEP
  state <- list(mixing = signed_mixing(h$columns, rows), sigma2 = sigma2, prior = NULL,
                walk_scale = matrix(1, rows$d, rows$n_domains), place = NULL)
  run <- sampling_run(state, rows, control, seed, "Edges by draws")
  if (is.null(run)) {
    return(NULL)
  }
  model <- list(gram = gram_of(run$mixing), sigma2 = sigma2, walk_scale = run$state$walk_scale,
                prior = run$prior)
  posterior <- posterior_g(model, whitened_rows(rows) %*% run$mixing, run$state$latents, rows$env,
                           rows$targets, parent_list(rows$dag), control, seed,
                           stream = run$state$place[["iteration"]], warm_up = DRAWN$warm_up,
                           probs = numeric(), keep = DRAWN$draws)
  losses <- edge_losses(posterior$draws, run$prior, h, rows, control, sigma2)
  losses$price <- losses$df * log(rows$n) / 2
  c(losses, list(columns = unwhitened(run$mixing, rows, sigma2, control)))
}

#' @noRd
drawn_control <- function(problem) {
  crl_control(intervention = if (problem$perfect) "perfect" else "imperfect",
              mixing = "orthonormal", prior = prior_spline(local = FALSE),
              saem = saem_control(chains = 1, mc_tol = 0, burn_in = DRAWN$burn_in,
                                  iterations = DRAWN$iterations, draws = DRAWN$draws),
              threads = problem$threads, progress = FALSE)
}

#' @noRd
drawn_problem <- function(h, problem) {
  part <- problem$part
  names <- default_latents(problem$d)
  part$dag <- new_dag(h$dag, names)
  part$targets <- matrix(as.integer(h$targets), part$n_domains,
                         dimnames = list(part$env_names, names))
  part$d <- part$p <- problem$d
  part$latent_names <- names
  noise <- coordinate_noise(problem)
  part$noise <- if (is.matrix(noise)) noise
  thinned(part, min(DRAWN$rows, DRAWN$most_rows %/% part$n_domains))
}

#' @return list: `loss`, `df` (d x d), sums over the states in which parents act
#' @noRd
edge_losses <- function(draws, prior, h, rows, control, sigma2) {
  d <- rows$d
  loss <- df <- replace(matrix(0, d, d), h$dag == 0L, NA_real_)
  settings <- list(knots = control$prior$knots, variance_floor = NOISE_FLOOR * sigma2)
  for (j in which(colSums(h$dag) > 0L)) {
    parents <- which(h$dag[, j] == 1L)
    for (state in STATES) {
      cell <- cell_of(j, state)
      theta <- prior$theta[[cell]]
      if (is.null(theta)) next
      mechanism <- list(node = j, state = state, parents = parents, theta = theta,
                        lambda = prior$lambda[[cell]], variance = prior$variance[state + 1L, j])
      found <- .Call(C_edge_losses, draws, rows$env, rows$targets, prior$range, mechanism, settings)
      loss[parents, j] <- loss[parents, j] + drop(found$loss)
      df[parents, j] <- df[parents, j] + prior$df[state + 1L, j] - drop(found$df)
    }
  }
  list(loss = loss, df = df)
}
