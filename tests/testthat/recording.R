# Small fits over every method, prior, score, mixing, start and preset, and what of them is
# recorded: recording.csv has it as it was. test-recording.R compares; tools/record.R writes the
# file anew, or compares bits, for changes that shall move no result.
#
# Of every vector of numbers (A, sigma^2, latents, their sds, the trace, ...) the record has the
# length, how many are not finite, the norm, three fixed projections, and a hash of all bits. Two
# vectors agree if neither norm nor projections differ by more than 1e-10 of the norm. With another
# BLAS than that of the record, searches stop elsewhere within their tolerances: 1e-6 is then asked.

TOLERANCE <- 1e-10
TOLERANCE_ELSEWHERE <- 1e-6

blas <- function() paste("# BLAS", basename(extSoftVersion()[["BLAS"]]), "LAPACK", La_version())

digest <- function(x) {
  x <- as.double(unlist(x, use.names = FALSE))
  hash <- rlang::hash(x)
  odd <- !is.finite(x)
  x[odd] <- 0
  turned <- vapply(sqrt(1:3), function(by) sum(x * cos(by * seq_along(x))), 0)
  data.frame(length = length(x), odd = sum(odd), norm = sqrt(sum(x^2)), p1 = turned[1L],
             p2 = turned[2L], p3 = turned[3L], hash = hash)
}

numbers_of <- function(object) {
  object <- unclass(object)
  if (is.list(object) && !is.null(object$mixing)) {
    list(mixing = object$mixing, sigma2 = object$sigma2, latents = object$latents,
         sd = object$latents_sd, trace = Filter(is.numeric, as.list(object$trace)))
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

f_fit <- function(sim, ..., intervention = "imperfect", init = "pca", weights = NULL) {
  fit_crl(sim, init = init, weights = weights,
          control = update(crl_control(intervention = intervention, ...), max_iter = 4, seed = 1, knots = 4,
                           start = start_search(starts = 2)))
}

g_fit <- function(sim, ..., intervention = "imperfect", prior = prior_spline(knots = 5),
                  init = "pca", weights = NULL) {
  fit_crl(sim, method = "g", init = init, weights = weights,
          control = update(crl_control(intervention = intervention, ...), seed = 1, prior = prior, max_iter = 6,
                           saem = saem_control(burn_in = 12, iterations = 10, draws = 8),
                           start = start_search(starts = 2)))
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
    f_markov_cg = f_fit(two, score = "markov", spline = spline_control(solver = "cg")),
    f_markov_pairwise = f_fit(two, score = "markov",
                              spline = spline_control(interaction = "pairwise")),
    f_pairwise = f_fit(two, spline = spline_control(interaction = "pairwise")),
    f_additive = f_fit(two, spline = spline_control(interaction = "additive")),
    f_additive_cg = f_fit(two, spline = spline_control(interaction = "additive", solver = "cg")),
    f_cg = f_fit(two, spline = spline_control(solver = "cg")),
    f_ridge_cg = f_fit(two, spline = spline_control(solver = "cg"), penalty = "ridge"),
    f_cholesky = f_fit(two, spline = spline_control(solver = "cholesky")),
    f_ridge = f_fit(two, penalty = "ridge", lambda = 1),
    f_no_reference = f_fit(two, spline = spline_control(reference = "none")),
    f_no_reference_markov = f_fit(two, spline = spline_control(reference = "none"),
                                  score = "markov"),
    f_paper = f_fit(one, preset = "paper"),
    f_auto = f_fit(two, lambda = "auto", eta = "auto"),
    f_auto_cg = f_fit(one, lambda = "auto", eta = "auto", spline = spline_control(solver = "cg")),
    f_auto_markov = f_fit(one, lambda = "auto", eta = "auto", score = "markov"),
    f_auto_pairwise = f_fit(two, lambda = "auto",
                            spline = spline_control(interaction = "pairwise")),
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
    f_linear_start = f_fit(two, init = "interventional",
                           start = start_search(mechanisms = "linear")),
    f_spline_start = f_fit(two, init = "interventional",
                           start = start_search(mechanisms = "spline")),
    f_perfect_spline = f_fit(cut, init = "interventional", intervention = "perfect",
                             start = start_search(mechanisms = "spline")),
    f_psd_start = f_fit(cut, init = "interventional", mixing = "psd", intervention = "perfect",
                        start = start_search(mechanisms = "linear")),
    g_spline = g_fit(two),
    g_noise = g_fit(two, prior = prior_spline(knots = 5, noise = 3),
                    saem = saem_control(chains = 2)),
    g_lambda = g_fit(one, prior = prior_spline(knots = 5, lambda = 2), weights = c(0.5, 0.3, 0.2)),
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

# One row a vector; a case that fails has its message as `part`.
run_case <- function(name, case) {
  found <- tryCatch(
    numbers_of(suppressWarnings(suppressMessages(eval(case$call, case$env)))),
    error = function(e) stats::setNames(list(numeric()), paste("error:", conditionMessage(e)))
  )
  rows <- do.call(rbind, lapply(found, digest))
  data.frame(case = name, part = names(found), rows, row.names = NULL)
}

run_cases <- function(chosen = cases()) {
  do.call(rbind, Map(run_case, names(chosen), chosen, USE.NAMES = FALSE))
}

write_record <- function(record, file) {
  exact <- c("norm", "p1", "p2", "p3")
  record[exact] <- lapply(record[exact], sprintf, fmt = "%.17g")
  writeLines(blas(), file)
  suppressWarnings(utils::write.table(record, file, append = TRUE, sep = ",", row.names = FALSE,
                                      quote = FALSE)) # appends names of columns, and says so
}

read_record <- function(file) utils::read.csv(file, comment.char = "#")

# One row a vector of either record: the largest relative difference, Inf where one of them lacks
# it or its kind differs, and whether all bits agree.
compare_records <- function(before, after) {
  both <- merge(before, after, by = c("case", "part"), all = TRUE, suffixes = c("", ".now"))
  moved <- lapply(c("norm", "p1", "p2", "p3"), function(name) {
    abs(both[[name]] - both[[paste0(name, ".now")]]) / pmax(both$norm, 1e-300)
  })
  same_kind <- both$length == both$length.now & both$odd == both$odd.now
  both$off <- ifelse(same_kind %in% TRUE, do.call(pmax, moved), Inf)
  both$bits <- both$hash == both$hash.now
  both[c("case", "part", "off", "bits")]
}
