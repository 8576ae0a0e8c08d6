# The judgement of edges by draws: where mechanisms bend within a width of the noise, the correction
# for noise in the parents by which splines are judged (discover_curves.R) is too coarse, leaves
# dependence behind that passes for edges, and says little of their direction. Here a short g-model
# (src/g/saem.h) turns the latents to where they belong and draws them; each edge is then tried by
# src/discover/edge_loss.h, and graphs next to the one found by src/discover/draw_ratio.h.

# Rows of a domain (in all, `most_rows`), iterations of SAEM, its averaging ones, draws kept, and
# steps at most. An edge whose loss, all else held, is above so many times its price is sure: it
# stays.
DRAWN <- list(rows = 1000L, most_rows = 6000L, burn_in = 200L, iterations = 50L, draws = 30L,
              warm_up = 20L, rounds = 12L, sure = 4)

#' A hypothesis without the edges that draws do not bear out, and with the others in the direction
#' that draws are likelier in
#' @return It with its rotation as SAEM has it; `drawn`, list of `loss`, `price` (d x d); `stopped`
#'   is TRUE if SAEM could not go on
#' @noRd
stage_draws <- function(h, problem, tick) {
  found <- pruned_by_draws(h, problem, tick)
  if (isTRUE(found$h$stopped)) {
    return(found$h)
  }
  found <- improved_by_draws(found, problem, tick)
  drawn_hypotheses(found$h, found$passed, problem)
}

#' A hypothesis with lines, with edges turned round where draws are likelier so
#'
#' BIC does not take splines where the bends of few rows are not worth their parameters, but they
#' tell directions all the same. Edges are not taken away: lines have judged them from all rows.
#' @return As it was if no edge is turned, else as stage_draws() has it
#' @noRd
turned_lines <- function(h, problem, tick) {
  if (sum(h$dag) == 0L || is.na(problem$straight)) {
    return(h)
  }
  flat <- list(bend = 0 * h$dag, curves = list(indefinite = 0L, floored = 0L))
  start <- utils::modifyList(h, flat)
  tick()
  model <- drawn_model(start, problem, 1L)
  if (is.null(model)) {
    return(h)
  }
  start$columns <- model$columns
  found <- list(h = start, model = model)
  found <- improved_by_draws(found, problem, tick, lighter = FALSE)
  if (identical(found$h$dag, h$dag)) h else drawn_hypotheses(found$h, found$passed, problem)
}

#' A hypothesis without the edges that draws do not bear out
#'
#' After each g-model, of every latent the edge with the least loss is taken away, if that is below
#' its price: half log n for each effective degree of freedom.
#' @return list: `h`, the hypothesis; `model`, its g-model; `passed`, hypotheses on the way: list of
#'   `dag` and `behind`, their BIC less that of `h`
#' @noRd
pruned_by_draws <- function(h, problem, tick) {
  away <- model <- NULL
  for (round in seq_len(DRAWN$rounds)) {
    tick()
    model <- drawn_model(h, problem, round)
    if (is.null(model)) {
      return(list(h = replace(h, "stopped", TRUE)))
    }
    h$columns <- model$columns
    h$drawn <- drawn_losses(model)
    worst <- edges_to_drop(h, problem)
    if (length(worst) == 0L) break
    away <- rbind(away, cbind(at = worst, behind = 2 * (h$drawn$price - h$drawn$loss)[worst]))
    h$dag[worst] <- 0L
  }
  passed <- lapply(seq_len(NROW(away)), function(k) {
    list(dag = replace(h$dag, away[k, "at"], 1L), behind = away[k, "behind"])
  })
  list(h = h, model = model, passed = passed)
}

#' The hypothesis, and those next to it, with BIC by draws: without each edge, and those passed;
#' what splines have said of other targets stands beside them
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
  for (one in passed) add(one$dag, one$behind, 0)
  for (one in others) {
    if (any(one$targets != h$targets) && is.finite(one$bic)) {
      one$bic <- max(one$bic - by_splines$bic, 0)
      remember(one, problem)
    }
  }
  h
}

#' Of every latent the edge with the least loss for its price, if it is not worth it
#' @noRd
edges_to_drop <- function(h, problem) {
  excess <- h$drawn$loss - h$drawn$price
  excess[h$dag == 0L | problem$known$required | is.na(excess)] <- Inf
  worst <- cbind(max.col(-t(excess), "first"), seq_len(ncol(excess)))
  at <- worst[excess[worst] < 0, , drop = FALSE]
  (at[, 2L] - 1L) * nrow(excess) + at[, 1L]
}

# G-models ----------------------------------------------------------------------------------------

#' A g-model of a hypothesis, and draws of the latents under it
#' @param round Sets the random numbers.
#' @return list: `h`; `rows` that were drawn; `prior`, with `parents` and `targets`; `mixing`, of
#'   the whitened coordinates, and `columns`; `draws`; NULL if SAEM could not go on
#' @noRd
drawn_model <- function(h, problem, round) {
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
  parents <- parent_list(rows$dag)
  model <- list(gram = gram_of(run$mixing), sigma2 = sigma2, walk_scale = run$state$walk_scale,
                prior = run$prior)
  posterior <- posterior_g(model, whitened_rows(rows) %*% run$mixing, run$state$latents, rows$env,
                           rows$targets, parents, control, seed,
                           stream = run$state$place[["iteration"]], warm_up = DRAWN$warm_up,
                           probs = numeric(), keep = DRAWN$draws)
  list(h = h, rows = rows[c("n", "d", "env", "targets")], knots = control$prior$knots,
       floor = NOISE_FLOOR * sigma2, draws = posterior$draws, mixing = run$mixing,
       prior = c(run$prior, list(parents = parents, targets = rows$targets)),
       columns = unwhitened(run$mixing, rows, sigma2, control))
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

#' Losses of the edges of a g-model, on the rows that were drawn
#' @return list: `loss`, `price` (d x d, NA where there is no edge), sums over the states in which
#'   parents act
#' @noRd
drawn_losses <- function(model) {
  rows <- model$rows
  prior <- model$prior
  dag <- model$h$dag
  loss <- df <- replace(matrix(0, rows$d, rows$d), dag == 0L, NA_real_)
  settings <- list(knots = model$knots, variance_floor = model$floor)
  for (j in which(colSums(dag) > 0L)) {
    parents <- prior$parents[[j]]
    for (state in STATES) {
      cell <- cell_of(j, state)
      theta <- prior$theta[[cell]]
      if (is.null(theta)) next
      mechanism <- list(node = j, state = state, parents = parents, theta = theta,
                        lambda = prior$lambda[[cell]], variance = prior$variance[state + 1L, j])
      found <- .Call(C_edge_losses, model$draws, rows$env, rows$targets, prior$range, mechanism,
                     settings)
      loss[parents, j] <- loss[parents, j] + drop(found$loss)
      df[parents, j] <- df[parents, j] + prior$df[state + 1L, j] - drop(found$df)
    }
  }
  list(loss = loss, price = df * log(rows$n) / 2)
}

# Moves -------------------------------------------------------------------------------------------

#' A hypothesis with edges turned round, taken away, or with another parent in the place of one, as
#' long as draws are likelier
#'
#' Which way an edge goes, splines judge by what the correction for noise leaves, and may be wrong
#' by a hundred units of BIC; and that an edge is worth its price with all else held is no more than
#' a bound. Here g-models of both graphs are compared, see drawn_gain().
#' @param found As pruned_by_draws() returns it.
#' @param lighter Are edges taken away or exchanged?
#' @return The same; what was tried is among `passed`
#' @noRd
improved_by_draws <- function(found, problem, tick, lighter = TRUE) {
  tried <- character()
  for (round in seq_len(DRAWN$rounds)) {
    near <- c(if (lighter) lighter_graphs(found$h, problem), turned_graphs(found$h, problem))
    near <- near[!names(near) %in% tried]
    tried <- c(tried, names(near))
    next_one <- best_near(found, near, problem, tick)
    if (is.null(next_one$found)) {
      found$passed <- next_one$passed
      break
    }
    found <- next_one$found
  }
  found
}

#' Graphs without an edge that is not sure, or with a neighbour of its parent in the parent's place;
#' named by the edge and the parents of its child
#' @noRd
lighter_graphs <- function(h, problem) {
  known <- problem$known
  weak <- which(h$dag == 1L & !known$required & h$drawn$loss < DRAWN$sure * h$drawn$price)
  graphs <- lapply(weak, function(at) {
    ends <- arrayInd(at, dim(h$dag))
    less <- replace(h$dag, at, 0L)
    beside <- h$dag[, ends[1L]] | h$dag[ends[1L], ]
    others <- which(beside & less[, ends[2L]] == 0L & known$allowed[, ends[2L]])
    more <- lapply(others, function(k) replace(less, cbind(k, ends[2L]), 1L))
    all <- c(list(less), more)
    names(all) <- paste(c(0L, others), paste(c(ends, h$dag[, ends[2L]]), collapse = "."))
    all
  })
  Filter(is_acyclic, unlist(graphs, recursive = FALSE))
}

#' Graphs with an edge turned, all parents of its two latents being parents of both, so that no
#' dependence is lost (as between the graphs of an equivalence class, Chickering 2002); named by the
#' edge and the parents of its latents
#' @noRd
turned_graphs <- function(h, problem) {
  known <- problem$known
  can <- which(h$dag == 1L & !known$required & t(known$allowed))
  graphs <- lapply(can, function(at) {
    ends <- drop(arrayInd(at, dim(h$dag)))
    parents <- rowSums(h$dag[, ends]) > 0L & !seq_len(nrow(h$dag)) %in% ends
    dag <- replace(h$dag, at, 0L)
    dag[parents, ends] <- pmax(dag[parents, ends], known$allowed[parents, ends] * 1L)
    replace(dag, cbind(ends[2L], ends[1L]), 1L)
  })
  names(graphs) <- vapply(can, function(at) {
    ends <- drop(arrayInd(at, dim(h$dag)))
    paste("turned", paste(c(ends, h$dag[, ends]), collapse = "."))
  }, "")
  Filter(is_acyclic, graphs)
}

#' The first of some graphs, the likeliest before, that is better once edges are taken away
#' @return list: `found`, as pruned_by_draws() has it, NULL if none is better; `passed`
#' @noRd
best_near <- function(found, graphs, problem, tick) {
  models <- lapply(graphs, function(dag) {
    tick()
    drawn_model(replace(found$h, "dag", list(dag)), problem, 1L)
  })
  models <- Filter(Negate(is.null), models)
  gains <- lapply(models, drawn_gain, from = found$model)
  passed <- c(found$passed, Map(function(model, gain) {
    list(dag = model$h$dag, behind = max(-2 * gain$net, 0))
  }, models, gains))
  hope <- vapply(gains, function(gain) max(gain$net, gain$loglik - gain$df), 0)
  for (k in order(-hope)[seq_len(sum(hope > 0))]) {
    pruned <- pruned_by_draws(models[[k]]$h, problem, tick)
    if (is.null(pruned$model)) next
    net <- drawn_gain(found$model, pruned$model)$net
    if (net > 0) {
      before <- c(passed, list(list(dag = found$h$dag, behind = 0)))
      before <- lapply(before, function(one) replace(one, "behind", one$behind + 2 * net))
      pruned$passed <- c(pruned$passed, before)
      return(list(found = pruned))
    }
    passed <- c(passed, list(list(dag = pruned$h$dag, behind = -2 * net)))
  }
  list(found = NULL, passed = passed)
}

#' What one g-model gains over another
#'
#' The log-likelihood of the rows, by the draws of both: the mean over few draws is too low by half
#' its variance, and that with the models exchanged too low as well, so that in half their
#' difference this cancels. Where the two do not agree which model is likelier, these are too far
#' apart for their draws to tell, or too close: no gain then, and a loss of what the first says. A
#' slope costs half log n, as in BIC. A bend costs 1 for each further degree of freedom, as its
#' smoothness is itself estimated: half log n for each would favour the direction in which the
#' curve looks straighter.
#' @return list: `loglik`, `df`, `net`, what is left of `loglik` after these costs
#' @noRd
drawn_gain <- function(from, to) {
  ratio <- function(a, b) {
    .Call(C_draw_ratios, a$draws, a$rows$env, a$prior, b$prior, solve(b$mixing, a$mixing), a$knots)
  }
  there <- ratio(from, to)
  back <- -ratio(to, from)
  loglik <- if (there * back > 0) (there + back) / 2 else min(there, 0)
  df <- sum(to$prior$df, -from$prior$df, na.rm = TRUE)
  lines <- acting_parents(to$prior) - acting_parents(from$prior)
  list(loglik = loglik, df = df, net = loglik - (df - lines) - lines * log(from$rows$n) / 2)
}

#' Parents over all nodes and the states that they act in
#' @noRd
acting_parents <- function(prior) {
  acts <- !vapply(prior$theta, is.null, NA)
  sum(acts * rep(lengths(prior$parents), each = length(STATES)))
}
