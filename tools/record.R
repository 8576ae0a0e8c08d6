# Records what small fits compute, and compares a later run with the record: for changes that shall
# move no result. The installed package on R_LIBS is what runs.
#
#   Rscript tools/record.R before.rds             write a record
#   Rscript tools/record.R before.rds --compare   run again and compare with it
#
# Of every vector of numbers (A, sigma^2, latents, their sds, the trace, ...) the record has a hash
# of all bits, the norm, and random projections. Two runs agree if no projection differs by more than
# 1e-10 of the norm; where the hashes are equal, so are all bits. Exit status 1 if they do not.

suppressPackageStartupMessages(library(ebcrl))

TOLERANCE <- 1e-10
PROJECTIONS <- 16L

digest <- function(x) {
  x <- as.double(unlist(x, use.names = FALSE))
  hash <- rlang::hash(x)
  odd <- !is.finite(x)
  x[odd] <- 0
  set.seed(length(x) %% 1000003L)
  projected <- vapply(seq_len(PROJECTIONS), function(k) sum(x * stats::rnorm(length(x))), 0)
  list(hash = hash, odd = sum(odd), norm = sqrt(sum(x^2)), projected = projected)
}

numbers_of <- function(object) {
  object <- unclass(object)
  if (is.list(object) && !is.null(object$mixing)) {
    list(mixing = object$mixing, sigma2 = object$sigma2, latents = object$latents,
         sd = object$latents_sd, trace = lapply(object$trace, as.double))
  } else {
    list(all = Filter(is.numeric, rapply(list(object), as.double, "numeric", how = "unlist")))
  }
}

chain <- function(n = 120, ...) {
  set.seed(1)
  sim_crl(dag = chain_dag(3), n = n, p = 6, ...)
}

# A collider with an additional edge, two targets in one domain, unequal rows.
collider <- function(...) {
  set.seed(2)
  dag <- matrix(0L, 4, 4)
  dag[1, 3] <- dag[2, 3] <- dag[3, 4] <- dag[1, 4] <- 1L
  targets <- rbind(0L, diag(4L), c(1L, 1L, 0L, 0L))
  sim_crl(dag = dag, n = c(150, 100, 90, 80, 110, 70), p = 7, targets = targets, ...)
}

f_fit <- function(sim, ..., init = "pca", weights = NULL) {
  fit_crl(sim, init = init, weights = weights,
          control = crl_control(..., max_iter = 4, seed = 1, knots = 4, starts = 2))
}

g_fit <- function(sim, ..., init = "pca", weights = NULL) {
  fit_crl(sim, method = "g", init = init, weights = weights, control = crl_control(
    ..., seed = 1, burn_in = 12, iterations = 10, draws = 8, mechanism_knots = 5, max_iter = 6,
    starts = 2
  ))
}

# Each is run on its own, so that one that fails does not hide the others.
cases <- function() {
  one <- chain()
  two <- collider()
  cut <- collider(intervention = "perfect")
  known <- list(mixing = two$mixing, sigma2 = 1.7)
  skewed <- list(mixing = one$mixing %*% diag(c(1, 2, 0.5)), sigma2 = 1)
  alist(
    f_default = f_fit(one, init = NULL),
    f_pca = f_fit(two),
    f_known = f_fit(two, init = known),
    f_markov = f_fit(two, score = "markov"),
    f_markov_cg = f_fit(two, score = "markov", solver = "cg"),
    f_markov_pairwise = f_fit(two, score = "markov", interaction = "pairwise"),
    f_pairwise = f_fit(two, interaction = "pairwise"),
    f_additive = f_fit(two, interaction = "additive"),
    f_additive_cg = f_fit(two, interaction = "additive", solver = "cg"),
    f_cg = f_fit(two, solver = "cg"),
    f_ridge_cg = f_fit(two, solver = "cg", penalty = "ridge"),
    f_cholesky = f_fit(two, solver = "cholesky"),
    f_ridge = f_fit(two, penalty = "ridge", lambda = 1),
    f_no_reference = f_fit(two, reference = "none"),
    f_no_reference_markov = f_fit(two, reference = "none", score = "markov"),
    f_paper = f_fit(one, preset = "paper"),
    f_auto = f_fit(two, lambda = "auto", eta = "auto"),
    f_auto_cg = f_fit(one, lambda = "auto", eta = "auto", solver = "cg"),
    f_auto_markov = f_fit(one, lambda = "auto", eta = "auto", score = "markov"),
    f_auto_pairwise = f_fit(two, lambda = "auto", interaction = "pairwise"),
    f_eta = f_fit(one, eta = 0.5),
    f_range = f_fit(one, range = c(-9, 9)),
    f_weights = f_fit(one, weights = c(0.5, 0.3, 0.2)),
    f_perfect = f_fit(cut, intervention = "perfect"),
    f_perfect_markov = f_fit(cut, intervention = "perfect", score = "markov"),
    f_diagonal = f_fit(one, mixing = "diagonal", init = skewed, update_mixing = TRUE),
    f_psd = f_fit(cut, mixing = "psd", intervention = "perfect", init = known,
                  update_mixing = TRUE),
    f_psd_markov = f_fit(cut, mixing = "psd", intervention = "perfect", init = known,
                         score = "markov", update_mixing = TRUE),
    f_fixed = f_fit(one, mixing = "fixed", init = skewed, sigma2 = "learned"),
    f_fixed_plain = f_fit(one, mixing = "fixed", init = list(mixing = one$mixing, sigma2 = 1)),
    f_linear_start = f_fit(two, init = "interventional", mechanisms = "linear"),
    f_spline_start = f_fit(two, init = "interventional", mechanisms = "spline"),
    f_perfect_spline = f_fit(cut, init = "interventional", mechanisms = "spline",
                             intervention = "perfect"),
    f_psd_start = f_fit(cut, init = "interventional", mechanisms = "linear", mixing = "psd",
                        intervention = "perfect"),
    g_spline = g_fit(two),
    g_noise = g_fit(two, noise = 3, chains = 2),
    g_lambda = g_fit(one, mechanism_lambda = 2, weights = c(0.5, 0.3, 0.2)),
    g_perfect = g_fit(cut, intervention = "perfect"),
    g_diagonal = g_fit(one, mixing = "diagonal", init = skewed),
    g_psd = g_fit(cut, mixing = "psd", intervention = "perfect", init = known),
    g_fixed = g_fit(one, mixing = "fixed", init = skewed),
    g_linear = g_fit(two, prior = "linear"),
    g_linear_psd = g_fit(cut, prior = "linear", mixing = "psd", intervention = "perfect"),
    g_linear_diagonal = g_fit(one, prior = "linear", mixing = "diagonal", init = skewed),
    g_linear_fixed = g_fit(one, prior = "linear", mixing = "fixed", init = skewed),
    g_normal = g_fit(one, prior = "normal"),
    threads = f_fit(chain(3000), threads = 2),
    markov_threads = f_fit(chain(3000), threads = 2, score = "markov"),
    g_threads = g_fit(chain(3000), threads = 2),
    predict_f = predict(f_fit(two), two$x[1:9, ], targets = "z1+z3", type = "sd"),
    predict_perfect = predict(f_fit(cut, intervention = "perfect"), cut$x[1:9, ], targets = "z3",
                              type = "latents"),
    predict_g = predict(g_fit(two), two$x[1:9, ], targets = "z1+z4", type = "sd"),
    predict_linear = predict(g_fit(two, prior = "linear"), two$x[1:9, ], targets = "z1+z4"),
    baselines = lapply(crl_baselines(one, init = "pca",
                                     control = crl_control(max_iter = 2, knots = 4, seed = 1)),
                       function(fit) numbers_of(fit)[-5]),
    compare = as.data.frame(crl_compare(a = f_fit(one), b = f_fit(one, lambda = 50), folds = 3)),
    bayes = bayes_latents(one, draws = 50, min_ess = 1)
  ) |> lapply(function(call) list(call = call, env = environment()))
}

run <- function() {
  lapply(cases(), function(case) {
    tryCatch(
      lapply(numbers_of(suppressWarnings(suppressMessages(eval(case$call, case$env)))), digest),
      error = function(e) list(error = digest(nchar(conditionMessage(e))),
                               text = conditionMessage(e))
    )
  })
}

# One line a vector that is not the same to the last bit; TRUE if all agree.
compare <- function(before, after) {
  agree <- TRUE
  bits <- count <- 0L
  for (case in union(names(before), names(after))) {
    for (part in setdiff(union(names(before[[case]]), names(after[[case]])), "text")) {
      count <- count + 1L
      b <- before[[case]][[part]]
      a <- after[[case]][[part]]
      if (is.null(a) || is.null(b) || a$odd != b$odd) {
        agree <- FALSE
        cat(sprintf("%-24s %-8s differs in kind\n", case, part))
      } else if (identical(a$hash, b$hash)) {
        bits <- bits + 1L
      } else {
        off <- max(abs(a$projected - b$projected), abs(a$norm - b$norm)) / max(b$norm, 1e-300)
        agree <- agree && off <= TOLERANCE
        cat(sprintf("%-24s %-8s %.1e%s\n", case, part, off, if (off > TOLERANCE) "  <--" else ""))
      }
    }
  }
  cat(sprintf("%d vectors of %d runs: %d with the same bits, %s\n", count, length(after), bits,
              if (agree) "all within 1e-10" else "NOT all within 1e-10"))
  agree
}

arguments <- commandArgs(trailingOnly = TRUE)
file <- arguments[1L]
if (is.na(file)) stop("Usage: Rscript tools/record.R <file.rds> [--compare]")
recorded <- run()
failed <- Filter(function(case) !is.null(case$text), recorded)
for (name in names(failed)) cat(sprintf("%s failed: %s\n", name, failed[[name]]$text))
if ("--compare" %in% arguments) {
  if (!compare(readRDS(file), recorded)) quit(status = 1L)
} else {
  saveRDS(recorded, file)
  cat(sprintf("%d runs recorded, %d bytes\n", length(recorded), file.size(file)))
}
