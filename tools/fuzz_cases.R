# Sourced by fuzz.R: what its cases do. run_case(mode, case, seed) gives an outcome and a detail.

suppressPackageStartupMessages(library(ebcrl))

pick <- function(...) {
  choices <- list(...)
  choices[[sample.int(length(choices), 1L)]]
}
chance <- function(share) stats::runif(1L) < share
whole <- function(from, to) sample.int(to - from + 1L, 1L) + from - 1L

run_case <- function(mode, case, seed) {
  set.seed(sum(utf8ToInt(mode)) * 7919 + seed * 1e6 + case)
  odd <- character()
  result <- tryCatch(
    withCallingHandlers(cases[[mode]](), warning = function(w) {
      if (!any(grepl("^ebcrl_warning", class(w)))) odd <<- c(odd, conditionMessage(w))
      invokeRestart("muffleWarning")
    }),
    ebcrl_error = function(e) list(outcome = "classed", detail = class(e)[1L]),
    error = function(e) {
      list(outcome = "unclassed", detail = paste(conditionMessage(e), "in",
                                                 paste(deparse(conditionCall(e)), collapse = " ")))
    }
  )
  if (length(odd) > 0L && result$outcome %in% c("ok", "classed")) {
    result <- list(outcome = "unclassed", detail = paste("warning:", odd[1L]))
  }
  result
}

ok <- function(detail = "") list(outcome = "ok", detail = detail)

# Random problems ---------------------------------------------------------------------------------

random_dag <- function(d) {
  dag <- matrix(0, d, d)
  dag[upper.tri(dag)] <- stats::rbinom(d * (d - 1) / 2, 1L, stats::runif(1L))
  order <- sample.int(d)
  dag <- dag[order, order, drop = FALSE]
  dimnames(dag) <- list(paste0("z", seq_len(d)), paste0("z", seq_len(d)))
  as_dag(dag, direction = "from_row")
}

random_targets <- function(d) {
  rows <- diag(d)
  if (chance(0.5)) rows <- rbind(rows, 0)
  if (d > 1L && chance(0.3)) rows <- rbind(rows, stats::rbinom(d, 1L, 0.5))
  if (nrow(rows) > 2L && chance(0.3)) rows <- rows[-1L, , drop = FALSE]
  if (nrow(rows) < 2L) rows <- rbind(rows, 0)
  dimnames(rows) <- list(paste0("e", seq_len(nrow(rows))), paste0("z", seq_len(d)))
  rows
}

random_problem <- function(n = whole(15L, 60L), d = whole(1L, 4L), p = d + whole(0L, 8L)) {
  sim <- sim_crl(random_dag(d), n = n, p = p, targets = random_targets(d),
                 sigma2 = pick(0, 1e-6, 0.1, 2, 2, 2, 20),
                 nonlinearity = pick("linear", "bounded", "bounded", "tanh", "strong"),
                 intervention = pick("perfect", "imperfect"),
                 noise = pick("gaussian", "gaussian", "t4", "skewed"))
  unit <- if (chance(0.2)) 10^stats::runif(1L, -6, 6) else 1
  sim$x <- unit * sim$x
  sim$mixing <- unit * sim$mixing
  sim$sigma2 <- unit^2 * sim$sigma2
  if (chance(0.1)) sim$x <- sim$x + unit * stats::rnorm(1L, sd = 100)
  if (chance(0.05)) sim$x <- unit * round(sim$x / unit)
  if (chance(0.05)) sim$x <- cbind(sim$x, sim$x[, 1L])
  if (chance(0.3)) colnames(sim$x) <- paste0("g", seq_len(ncol(sim$x)))
  sim
}

# Some settings at random, the rest cheap.
random_control <- function() {
  any <- list(
    score = pick("causal", "markov"),
    intervention = pick("imperfect", "perfect"), penalty = pick("difference", "ridge"),
    lambda = pick("auto", 0, 0.1, 5, 1e4, 1e12), knots = whole(2L, 6L),
    range = pick("data", c(-15, 15), c(-1, 1), c(-1e-3, 1e-3), c(5, 1e3)),
    mixing = pick("auto", "orthonormal", "diagonal", "psd", "fixed"),
    update_mixing = pick("auto", TRUE, FALSE),
    sigma2 = pick("auto", "learned", "fixed"), eta = pick("auto", 0, 0.5, 1),
    tol = pick(0, 1e-5, 0.1, 1), seed = whole(0L, 100L), preset = pick("default", "paper"),
    spline = some_of(list(
      interaction = pick("auto", "tensor", "pairwise", "additive"),
      reference = pick("gaussian", "none"), acceleration = pick("anderson", "none"),
      solver = pick("auto", "cholesky", "cg"), cg_tol = pick(1e-15, 1e-8, 0.1),
      cg_max_iter = pick(1L, 50L, 2000L)
    ), 2),
    prior = random_prior(),
    saem = some_of(list(mc_tol = pick(0, 0.25, 1), chains = whole(1L, 2L)), 1)
  )
  cheap <- list(
    knots = 4L, max_iter = pick(0L, 1L, 5L, 30L), prior = prior_spline(knots = whole(2L, 6L)),
    saem = list(burn_in = whole(1L, 12L), iterations = whole(0L, 12L), draws = whole(2L, 15L)),
    start = list(starts = whole(1L, 3L), mechanisms = pick("linear", "linear", "spline", "spline",
                                                           "spline", "sampled"))
  )
  changed <- some_of(any, 4)
  prior <- if (is.null(changed$prior)) cheap$prior else changed$prior
  settings <- utils::modifyList(cheap, changed)
  settings$prior <- prior
  do.call(crl_control, settings)
}

random_prior <- function() {
  pick(prior_linear(), "normal", prior_spline(
    knots = whole(2L, 6L), lambda = pick("auto", 1e-6, 10, 1e9), noise = pick("gaussian", 2L, 3L)
  ))
}

# About so many of the entries of a list, at random.
some_of <- function(entries, many) {
  entries[sample.int(length(entries), min(length(entries), stats::rpois(1L, many)))]
}

random_init <- function(sim) {
  pick("pca", "interventional", "interventional", NULL,
       list(mixing = random_mixing(sim)), list(mixing = random_mixing(sim), sigma2 = sim$sigma2))
}

random_mixing <- function(sim) {
  d <- ncol(sim$dag)
  mixing <- matrix(stats::rnorm(ncol(sim$x) * d), ncol(sim$x), d)
  if (chance(0.7) && nrow(sim$mixing) == ncol(sim$x)) mixing[] <- sim$mixing
  mixing
}

random_fit <- function(sim = random_problem(), control = random_control(),
                       method = pick("f", "f", "g"), init = random_init(sim)) {
  weights <- if (chance(0.1)) stats::runif(nrow(sim$targets), 0.1, 1)
  fit_crl(sim$x, sim$env, sim$targets, sim$dag, method = method, init = init, control = control,
          weights = weights)
}

quietly <- function(expr) {
  grDevices::pdf(NULL)
  on.exit(grDevices::dev.off())
  utils::capture.output(value <- expr)
  value
}

# One of what a user does next: a list of what must be finite.
follow_up <- function(fit) {
  rows <- sample.int(fit$data$n, 3L)
  new <- fit$data$x[rows, , drop = FALSE]
  domains <- fit$data$env_names[fit$data$env[rows]]
  type <- pick("loadings", "latents", "convergence")
  if (type == "convergence" && fit$iterations == 0L) type <- "latents"
  quietly(pick(
    quote({
      print(fit)
      NULL
    }),
    quote({
      print(summary(fit))
      NULL
    }),
    quote(predict(fit, new, env = domains)), quote(predict(fit, new, env = domains, type = "sd")),
    quote(predict(fit, new[0L, , drop = FALSE], env = domains[1L])),
    quote(predict(fit, type = "x")), quote(as.data.frame(augment(fit))[-1L]),
    quote(list(tidy(fit)$estimate, glance(fit)$sigma2)),
    quote({
      plot(fit, type = type)
      NULL
    }),
    quote(if (fit$method == "g") simulate(fit, 1, seed = 1, thin = 1) else
      predict(fit, type = "score")),
    quote(update(fit, max_iter = 2)[c("latents", "mixing", "sigma2")])
  ) |> eval())
}

is_finite <- function(parts) all(is.finite(unlist(parts, use.names = FALSE)))

judged <- function(fit) {
  if (!is_finite(fit[c("latents", "latents_sd", "mixing", "sigma2")])) {
    return(list(outcome = "nonfinite", detail = "fit"))
  }
  size <- sum(tcrossprod(fit$latents, fit$mixing)^2) / sum(fit$data$x^2)
  if (size > 100) list(outcome = "absurd", detail = paste("|ZA'|^2 is", size, "|x|^2")) else ok()
}

# Edits -------------------------------------------------------------------------------------------

wrong_values <- function(value) {
  list(NULL, NA, NaN, Inf, -1, 0L, 1.5, 1e300, 1:2, 3:1, "lasso", "auto", TRUE, c(FALSE, TRUE),
       character(), list(), list(1, "b"), function(x) x, matrix(0, 2, 2), array(1, c(1, 1, 1)),
       factor("a"), -7L, .Machine$integer.max, value[-1L], rev(value), rep(value, 2L),
       if (is.numeric(value)) -value else 1, if (is.numeric(value)) value * NA else "",
       if (is.numeric(value)) value + 2L, as.character(value), if (is.matrix(value)) t(value))
}

# An element somewhere in a list of lists becomes something else.
edited <- function(object, depth = 4L) {
  at <- sample.int(length(object), 1L)
  part <- unclass(object)[[at]]
  deeper <- is.list(part) && length(part) > 0L && depth > 1L && chance(0.8)
  value <- if (deeper) {
    edited(part, depth - 1L)
  } else {
    plain <- is.atomic(part) || is.list(part)
    wrong <- wrong_values(if (plain) part else 1)
    wrong[[sample.int(length(wrong), 1L)]]
  }
  if (is.data.frame(object)) object <- as.list(object)
  object[at] <- list(value)
  object
}

edit_pool <- function() {
  if (is.null(pool$fits)) {
    kept <- .Random.seed
    set.seed(1)
    sim <- sim_crl("a -> b; a -> c; b -> c", n = 30, p = 6)
    control <- function(..., prior = prior_spline(knots = 4)) {
      update(crl_control(...), prior = prior, knots = 3, max_iter = 3,
             start = start_search(starts = 2, mechanisms = "linear"),
             saem = saem_control(burn_in = 5, iterations = 5, draws = 5))
    }
    g <- function(...) fit_crl(sim, method = "g", control = control(...))
    pool$sim <- sim
    pool$control <- control()
    pool$fits <- list(
      fit_crl(sim, control = control()), fit_crl(sim, control = control(score = "markov")),
      fit_crl(sim, control = control(mixing = "psd", intervention = "perfect")),
      fit_crl(sim, init = "pca",
              control = control(lambda = "auto", spline = spline_control(reference = "none"))),
      g(), g(prior = prior_spline(knots = 4, noise = 2), saem = saem_control(chains = 2)),
      g(prior = "linear"), g(prior = "normal")
    )
    assign(".Random.seed", kept, globalenv())
  }
  pool
}
pool <- new.env()

use_fit <- function(fit, sim) {
  new <- sim$x[1:3, ]
  quietly(pick(
    quote(print(fit)), quote(print(summary(fit))), quote(predict(fit)),
    quote(predict(fit, new, env = levels(sim$env)[1])),
    quote(predict(fit, new, targets = c("a", "c"), interval = "credible")),
    quote(predict(fit, type = "score")), quote(simulate(fit, 2, seed = 1)),
    quote(simulate_domain(fit, "b", 5)), quote(update(fit, max_iter = 2)), quote(mechanisms(fit)),
    quote(plot(fit, type = pick("convergence", "loadings", "latents", "scores", "mechanisms"))),
    quote(tidy(fit)), quote(tidy(fit, "domains")), quote(tidy(fit, "cells")), quote(glance(fit)),
    quote(augment(fit)), quote(residuals(fit)), quote(fitted(fit, "x")), quote(logLik(fit)),
    quote(rel_mse(fit, sim)), quote(frobenius_error(fit, sim)),
    quote(crl_compare(a = fit, b = pool$fits[[1L]], folds = 2)),
    quote(fit_crl(sim, init = fit, control = pool$control)),
    quote(fit_crl(sim, init = fit, method = "g", control = pool$control)),
    quote(fit_crl(sim, control = fit$control))
  ) |> eval())
}

# The modes ---------------------------------------------------------------------------------------

cases <- list()

cases$fits <- function() {
  fit <- random_fit()
  outcome <- judged(fit)
  if (outcome$outcome == "ok" && !is_finite(follow_up(fit))) {
    outcome <- list(outcome = "nonfinite", detail = "what is read off the fit")
  }
  outcome
}

cases$edits <- function() {
  pool <- edit_pool()
  if (chance(0.3)) {
    control <- structure(edited(unclass(pool$control)), class = "crl_control")
    quietly(pick(quote(fit_crl(pool$sim, init = "pca", control = control)),
                 quote(fit_crl(pool$sim, method = "g", control = control)),
                 quote(crl_baselines(pool$sim, methods = "markov", control = control)),
                 quote(print(control))) |> eval())
  } else {
    fit <- unclass(pool$fits[[sample.int(length(pool$fits), 1L)]])
    use_fit(structure(edited(fit), class = "crl_fit"), pool$sim)
  }
  ok()
}

# Latents of x in another unit, a power of two, which rounding does not feel (draws and choices
# among optima turn on the last bit): the same, in that unit.
cases$units <- function() {
  sim <- random_problem()
  control <- random_control()
  control$seed <- 1L
  control$range <- "data"
  control$max_iter <- min(control$max_iter, 5L)
  method <- pick("f", "f", "g")
  init <- pick("pca", "interventional")
  unit <- 2^whole(-15L, 15L)
  state <- .Random.seed
  one <- random_fit(sim, control, method, init)
  sim$x <- unit * sim$x
  assign(".Random.seed", state, globalenv())
  other <- random_fit(sim, control, method, init)
  # latents of variance 1, whatever x, have the unit in A
  unit <- unit * sqrt(sum(one$mixing^2) / sum(other$mixing^2))
  gap <- sqrt(sum((other$latents / unit - one$latents)^2) / sum(one$latents^2))
  if (gap < 1e-4) ok() else
    list(outcome = "differs", detail = paste("latents by", format(gap), "in units of", unit))
}

cases$trips <- function() {
  fit <- random_fit()
  file <- tempfile()
  on.exit(unlink(file))
  saveRDS(fit, file)
  again <- readRDS(file)
  fit_same <- identical(predict(again), predict(fit))
  exact <- fit$method == "f" || !inherits(fit$control$prior, "prior_spline")
  new <- predict(again, fit$data$x, env = fit$data$env_names[fit$data$env])
  same <- !exact || isTRUE(all.equal(unname(new), unname(fit$latents), tolerance = 1e-6))
  none <- update(again, max_iter = 0)
  kept <- isTRUE(all.equal(none$mixing, fit$mixing))
  if (fit_same && same && kept) ok() else
    list(outcome = "differs", detail = paste(c("saveRDS", "predict", "update")[
      !c(fit_same, same, kept)], collapse = ", "))
}

cases$threads <- function() {
  sim <- random_problem(n = 5000L, d = whole(2L, 3L))
  control <- random_control()
  control$seed <- 1L
  control$max_iter <- min(control$max_iter, 3L)
  control$start$mechanisms <- "linear"
  method <- pick("f", "f", "g")
  init <- random_init(sim)
  state <- .Random.seed
  fits <- lapply(1:2, function(threads) {
    assign(".Random.seed", state, globalenv())
    control$threads <- threads
    random_fit(sim, control, method, init)[c("latents", "latents_sd", "mixing", "sigma2")]
  })
  if (identical(fits[[1L]], fits[[2L]])) ok() else
    list(outcome = "differs", detail = "1 and 2 threads")
}

# An interrupt somewhere in a fit; the next fit is as ever.
cases$interrupts <- function() {
  pool <- edit_pool()
  sim <- random_problem(n = 200L, d = 3L)
  control <- random_control()
  control$max_iter <- 200L
  wait <- stats::runif(1L, 0, 0.5)
  outcome <- tryCatch({
    system(sprintf("(sleep %.3f; kill -INT %d) >/dev/null 2>&1 &", wait, Sys.getpid()))
    fit <- tryCatch(random_fit(sim, control), ebcrl_error = function(e) NULL)
    Sys.sleep(wait + 2)
    "not interrupted"
  }, interrupt = function(e) "interrupted")
  fit <- fit_crl(pool$sim, control = pool$fits[[1L]]$control)
  same <- identical(fit$latents, pool$fits[[1L]]$latents)
  if (same) ok(outcome) else list(outcome = "differs", detail = "the fit after an interrupt")
}
