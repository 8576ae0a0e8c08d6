# CRL g-modeling (Section 6 of the paper): the interventional prior on the latents, fitted by
# stochastic-approximation EM (src/g/saem.c), and the posterior at held parameters
# (src/g/posterior.c).

# Sweeps of fresh chains that are left out, before those that count.
WARM_UP <- 50L

# Random numbers of new rows: streams that no fit reaches.
NEW_ROWS_STREAM <- 2^31

# The same at the end of a fit, whose chains are at the last iteration's parameters.
SETTLING <- 10L

# Probabilities of the posterior quantiles that a fit keeps.
FIT_PROBS <- c(0.05, 0.5, 0.95)

# The noise variance of a latent is held above this share of sigma2.
NOISE_FLOOR <- 1e-3

#' The engine of g-modeling on checked data: SAEM, then the posterior at its parameters
#' @noRd
fit_g <- function(data, init, control, call = NULL, error_call = rlang::caller_env()) {
  if (length(data$constant) > 0L) {
    return(fit_varying(fit_g, data, init, control, call, error_call))
  }
  engine <- function(...) run_engine(control$prior, ...)
  data <- with_memo(asking_columns(data, control))
  measured <- with_spinner(control$progress, "Measurement model",
                           measurement_of(data, init, control, FALSE, error_call))
  given <- init
  init <- init %||% default_init(control)
  fit <- if (!is.null(measured) && !measured$plain) {
    fit_measured(engine, data, measured, init, control, call, error_call)
  } else if (g_is_reduced(data, init, control)) {
    fit_reduced(engine, data, measured, init, carried_mixing(control, init), call, error_call)
  } else { # Gaussian priors: on moments of x in all directions
    engine(with_matrix(data, error_call), given, control, call, error_call)
  }
  decided <- !is.list(given) && has_measurement(control$prior)
  fit$doubts <- measurement_doubts(fit, data, decided, control$threads, error_call)
  without_memo(fit)
}

#' The settings with what "auto" stands for in a fit that goes on from another, which in coordinates is
#' numbers only
#' @noRd
carried_mixing <- function(control, init) {
  if (!inherits(init, "crl_fit") || control$mixing != "auto") {
    return(control)
  }
  update.crl_control(control, mixing = resolved_g_mixing("auto", init), update_mixing = "auto")
}

#' Does a g fit see coordinates of x? Not where x is coordinates already
#' @noRd
g_is_reduced <- function(data, init, control) {
  is.null(data$space) && inherits(control$prior, "prior_spline") &&
    stays_in_space(init, resolved_g_mixing(control$mixing, init) != "fixed", "g")
}

#' The same on rows whose measurement model is the paper's
#' @noRd
fit_g_rows <- function(data, init, control, call, error_call) {
  started <- proc.time()[["elapsed"]]
  init <- init %||% default_init(control)
  structure <- resolved_structure(data, init, control, error_call)
  plan <- plan_g(structure$settings, init)
  check_sign_names(plan, data, error_call)
  check_g_memory(data, plan, error_call)
  start <- starting_values(init, data, plan, error_call)
  model <- list(start = start, seed = plan$seed + (seq_len(plan$saem$chains) - 1),
                variance_floor = NOISE_FLOOR * start$sigma2,
                learn_sigma2 = learns_sigma2(plan, start, data))
  begin <- lapply(seq_along(model$seed), function(chain) {
    if (chain == 1L) chain_start(init, start, data, plan) else
      chain_start(NULL, dispersed_start(start, model, plan, model$seed[chain]), data, plan)
  })
  done <- runs_on_paying_rows(begin, model, data, plan, error_call)
  fit <- g_results(done$runs, model, data, plan, done$most)
  fit$start <- reusable_start(init)
  fit <- with_chosen(fit, structure$chosen)
  fit$call <- call
  fit$elapsed <- proc.time()[["elapsed"]] - started
  fit
}

#' The plan of a fit by SAEM. Its start goes without draws, as they are to come
#' @noRd
plan_g <- function(control, init) {
  new_plan(control,
    mixing = resolved_g_mixing(control$mixing, init), update_mixing = "auto",
    seed = control$seed %||% sample.int(.Machine$integer.max, 1L),
    stages = start_stages(control, own_draws = TRUE)
  )
}

#' A fit from the runs of all chains: that of the best of them
#'
#' @param model list: `start` (`label`, `optima`, `indefinite`), `seed` of each chain,
#'   `variance_floor`, `learn_sigma2`.
#' @param most Rows of a domain that the chains are of.
#' @noRd
g_results <- function(runs, model, data, plan, most = Inf) {
  force(runs)
  table <- run_table(runs, model)
  best <- which.max(table$objective)
  result <- runs[[best]]
  class(result$prior) <- "mechanisms_spline"
  result$prior$information <- result$information
  result$chains <- result$state$latents
  if (turns_signs(plan, model$start$label)) {
    sign <- latent_signs(result$mixing, data, plan)
    result <- turn_latents(result, parent_list(data$dag), sign)
  }
  result$gram <- gram_of(result$mixing)
  result$walk_scale <- result$state$walk_scale
  projected <- data$x %*% result$mixing
  whole <- nrow(result$chains) == data$n # else the rows have no chains yet
  begin <- if (whole) result$chains else projected %*% inverse_gram(result$gram)
  posterior <- posterior_g(result, projected, begin, data$env, data$targets,
                           parent_list(data$dag), plan, model$seed[best],
                           stream = result$state$place[["iteration"]],
                           warm_up = if (whole) SETTLING else WARM_UP)
  structure(c(named_g_results(result, posterior, data, model$start), list(
    runs = table, converged = all(table$settled & table$precise), r_hat = r_hat(runs, data),
    trace = saem_trace(runs, data),
    control = control_of(plan), init = model$start$label, optima = model$start$optima,
    seed = model$seed[1L],
    saem = list(state = Map(resumable, runs), model = model, rows = most)
  )), class = fit_class("g", plan$prior))
}

#' Which latents (columns) a latent (rows) is not to gain a multiple of (d x d, 0/1)
#'
#' Where no perfect intervention tells it from them, its ancestors: a multiple of a parent may leave
#' the prior as it is, see shearable_pairs(), or all but do so where mechanisms are weak.
#' @noRd
tied_latents <- function(data, control) {
  ancestors <- ancestor_matrix(data$dag)
  ancestors[is_cut(data, control$intervention == "perfect"), ] <- 0L
  ancestors
}

#' Ancestors (columns) of each latent (d x d, 0/1)
#' @noRd
ancestor_matrix <- function(dag) {
  ancestors <- matrix(0L, nrow(dag), nrow(dag))
  for (j in topological_order(dag)) {
    parents <- parents_of(dag, j)
    ancestors[j, ] <- as.integer(colSums(ancestors[parents, , drop = FALSE]) > 0)
    ancestors[j, parents] <- 1L
  }
  ancestors
}

#' The mixing update that "auto" stands for: A is held where its value was given, and updated as
#' before in a fit that goes on
#' @noRd
resolved_g_mixing <- function(mixing, init) {
  if (mixing != "auto") {
    return(mixing)
  }
  if (inherits(init, "crl_fit")) {
    return(if (inherits(init, "crl_fit_g")) init$control$mixing else "orthonormal")
  }
  if (is.list(init)) "fixed" else "orthonormal"
}

#' Refuse a fit that would not fit in memory, before it starts
#' @noRd
check_g_memory <- function(data, control, call) {
  check_family_size(lengths(parent_list(data$dag)), data, call,
                    hint = c("i" = "Use a sparser graph."))
  hint <- paste("Use fewer {.code saem_control(draws = )} or {.code prior_spline(knots = )}, or",
                "raise {.code crl_control(max_memory = )}.")
  check_saem_memory("The fit", data, data$p, control, control$mixing == "psd", hint, call)
}

#' Refuse a SAEM of rows of so many columns that would not fit in memory
#' @param what What needs the memory, in words.
#' @noRd
check_saem_memory <- function(what, data, columns, control, shears, hint, call) {
  check_bytes(saem_bytes(data, columns, control, shears), control, c("i" = hint), call, what)
}

#' @noRd
saem_bytes <- function(data, columns, control, shears) {
  .Call(C_saem_bytes, data$n, columns, data$n_domains, parent_list(data$dag),
        c(prior_control(control), control["threads"],
          control$saem[c("draws", "burn_in", "iterations", "chains")], shears = shears))
}

#' What the C core has to know of the prior
#' @noRd
prior_control <- function(control) {
  prior <- start_prior(control$prior)
  auto <- identical(prior$lambda, "auto")
  list(perfect = control$intervention == "perfect", knots = prior$knots,
       lambda = if (auto) 10 else prior$lambda, learn_lambda = auto,
       pieces = if (auto && prior$local) PIECES else 1L,
       components = if (prior$noise == "gaussian") 1L else prior$noise)
}

#' A'A; what is 0 but for rounding is made 0
#' @noRd
gram_of <- function(mixing) {
  gram <- unname(crossprod(mixing))
  size <- sqrt(diag(gram))
  gram[abs(gram) < 1e-13 * outer(size, size)] <- 0
  gram
}

#' Draws that would be as precise if they were independent; without error, infinitely many
#' @noRd
draws_worth <- function(variance, error) {
  ifelse(error > 0, variance / error, Inf)
}

#' (A'A)^-1
#' @noRd
inverse_gram <- function(gram, call = rlang::caller_env()) {
  unit <- sqrt(outer(diag(gram), diag(gram)))
  if (!all(is.finite(gram)) || !(rcond(gram / unit) > .Machine$double.eps)) {
    abort_input(c("The columns of A must be linearly independent.",
                  "x" = "To working precision they are not: latents cannot be told from {.arg x}.",
                  "i" = paste("Large means of features do this: take them off, as by",
                              "{.code scale(x, scale = FALSE)}. Or use fewer latents.")),
                "numerical", call = call)
  }
  solve(gram / unit) / unit
}

#' Where the chains begin: parameters of the start, least-squares latents, and from a g fit of as
#' many rows and the same graph also its mechanisms, chains and random-walk scales
#' @return list: `mixing`, `sigma2`, `latents`, `walk_scale`, `prior` (NULL: from the latents), and
#'   `place`, NULL: the run begins
#' @noRd
chain_start <- function(init, start, data, control) {
  mixing <- compose_mixing(start)
  latents <- unname(data$x %*% mixing %*% inverse_gram(crossprod(mixing)))
  begin <- list(mixing = unname(mixing), sigma2 = start$sigma2, latents = latents,
                walk_scale = matrix(1, data$d, data$n_domains), prior = NULL, place = NULL)
  carried <- carried_chains(init, data, control)
  replace(begin, names(carried), carried)
}

#' @noRd
carried_chains.crl_fit_g_spline <- function(fit, data, control) {
  if (same_rows(fit$data, data) && same_prior(fit, control)) {
    stats::setNames(fit[c("chains", "walk_scale", "prior")], c("latents", "walk_scale", "prior"))
  }
}

#' Have two data sets as many rows and features, in the same domains with the same graph?
#' @noRd
same_rows <- function(data, other) {
  identical(dim(data$x), dim(other$x)) && identical(data$env, other$env) &&
    identical(data$targets, other$targets) && identical(data$dag, other$dag)
}

#' Has the prior of a g fit the form that `control` asks for?
#' @noRd
same_prior <- function(fit, control) {
  form <- c("perfect", "knots", "components")
  wanted <- prior_control(control)[form]
  identical(prior_control(fit$control)[form], wanted) &&
    is.null(fit$prior$noise) == (wanted$components == 1L)
}

#' Posterior moments, quantiles and draws at the parameters of `model`
#'
#' @param model list: `gram`, `sigma2`, `walk_scale` (d x rows of `targets`), `prior`.
#' @param projected X A (rows x d).
#' @param latents Where the chains begin (rows x d).
#' @param stream Number of the last stream of random numbers that is in use.
#' @return list: `latents`, `latents_sd` (rows x d), `quantiles` (rows x d length(probs)), `draws`
#'   (rows x d keep), `error` (d: Monte-Carlo standard error of the latents), `chains` (rows x d)
#' @noRd
posterior_g <- function(model, projected, latents, env, targets, parents, control, seed, stream,
                        draws = control$saem$draws, warm_up = 0L, probs = FIT_PROBS, keep = 0L) {
  settings <- c(prior_control(control), list(
    variance_floor = 0, warm_up = warm_up, draws = draws, probs = as.double(probs), keep = keep,
    seed = seed, stream = stream, threads = control$threads
  ))
  with_spinner(control$progress, "Draws of the latents", {
    .Call(C_latent_draws, unname(projected), unname(latents), env, targets, unname(parents),
          model[c("gram", "sigma2", "walk_scale", "prior")], settings)
  })
}

#' Signs of the latents are ties: the result of SAEM with others
#' @noRd
turn_latents <- function(result, parents, sign) {
  result$prior <- turned(result$prior, parents, sign)
  result$mixing <- result$mixing * rep(sign, each = nrow(result$mixing))
  result$chains <- result$chains * rep(sign, each = nrow(result$chains))
  result
}

#' @noRd
turned.mechanisms_spline <- function(prior, parents, sign) {
  for (j in which(sign < 0)) {
    prior$range[, j] <- -rev(prior$range[, j])
  }
  for (cell in which(lengths(prior$theta) > 0L)) {
    j <- node_of(cell)
    at <- matrix(seq_along(prior$theta[[cell]]), ncol = length(parents[[j]]))
    turned <- sign[parents[[j]]] < 0
    at[, turned] <- at[rev(seq_len(nrow(at))), turned]
    at <- as.vector(at)
    prior$theta[[cell]] <- prior$theta[[cell]][at] * sign[j]
    if (length(prior$information) >= cell && !is.null(prior$information[[cell]])) {
      prior$information[[cell]] <- lapply(prior$information[[cell]], function(of) of[at, at])
    }
  }
  prior$constant <- prior$constant * by_cell(sign)
  if (!is.null(prior$noise)) {
    prior$noise$mean <- prior$noise$mean * rep(by_cell(sign), each = nrow(prior$noise$mean))
  }
  prior
}

#' @noRd
named_g_results <- function(result, posterior, data, start) {
  latents <- data$latent_names
  states <- STATE_NAMES
  walks <- list(latents, data$env_names)
  variance <- `dimnames<-`(t(result$prior$variance), list(latents, states))
  entries <- seq_along(result$mixing)
  log_variance <- matrix(result$error[-seq_len(length(entries) + 2L)], data$d, byrow = TRUE)
  c(posterior_fields(posterior, data), list(
    mixing = `dimnames<-`(result$mixing, list(data$feature_names, latents)),
    sigma2 = result$sigma2,
    latent_noise_var = variance, noise = noise_table(result$prior$noise, latents),
    iterations = nrow(result$trace), prior = result$prior, gram = result$gram,
    mc_error = stats::setNames(drop(posterior$error), latents),
    ess = stats::setNames(draws_worth(colMeans(posterior$latents_sd^2), drop(posterior$error)^2),
                          latents),
    mixing_mc_error = matrix(result$error[entries], data$p,
                             dimnames = list(data$feature_names, latents)),
    sigma2_mc_error = result$error[length(entries) + 1L],
    latent_noise_var_mc_error = variance * log_variance,
    mc_ratio = stats::setNames(drop(result$ratio), c("mixing", "noise_var")),
    acceptance = `dimnames<-`(result$acceptance, walks), walk_scale = result$walk_scale,
    chains = posterior$chains,
    counts = c(result$counts, start_counts(start)),
    cells = spline_cells_table(result$prior, data), data = data
  ))
}

#' What a g fit says on its rows
#' @noRd
posterior_fields <- function(posterior, data) {
  rows <- list(data$row_names, data$latent_names)
  list(
    method = "g",
    latents = `dimnames<-`(posterior$latents, rows),
    latents_sd = `dimnames<-`(posterior$latents_sd, rows),
    quantiles = array(posterior$quantiles, c(data$n, data$d, length(FIT_PROBS)),
                      c(rows, list(format(FIT_PROBS, trim = TRUE))))
  )
}

#' The components of the noise of each (node, state), largest first; NULL where it is Gaussian
#' @noRd
noise_table <- function(noise, latents) {
  if (is.null(noise)) {
    return(NULL)
  }
  components <- nrow(noise$weight)
  cell <- as.vector(col(noise$weight))
  table <- tibble::tibble(
    node = latents[node_of(cell)], state = state_of(cell),
    weight = as.vector(noise$weight), mean = as.vector(noise$mean),
    variance = as.vector(noise$variance)
  )
  table <- table[order(cell, -table$weight), ]
  table[!is.na(table$weight), ]
}

#' @noRd
describe_noise <- function(noise) {
  if (identical(noise, "gaussian")) "Gaussian noise" else paste("noise of", noise, "Gaussians")
}

#' @noRd
spline_cells_table <- function(prior, data) {
  cell_rows(data, coefficients = pmax(lengths(prior$theta), 1L), df = as.vector(prior$df),
            noise_var = as.vector(prior$variance))
}

#' A table by (node, state), of those that have rows
#' @noRd
cell_rows <- function(data, ...) {
  rows <- as.vector(state_counts(data$targets, data$n_env))
  table <- tibble::tibble(
    node = by_cell(data$latent_names), state = rep(STATES, data$d), rows = rows, ...
  )
  table[rows > 0, ]
}
