# Each case is a call as a user would write it and the class of the error it must give. The snapshot
# holds the message: it names the argument, what was found, and how to mend it.

x <- withr::with_seed(1, matrix(round(stats::rnorm(60 * 5), 3), 60))
named <- `colnames<-`(x, c("egfr", "kras", "tp53", "myc", "pten"))
env <- rep(c("obs", "a", "b"), each = 20)
targets <- rbind(obs = c(raf = 0, mek = 0), a = c(1, 0), b = c(0, 1))
sets <- list(obs = NULL, a = "raf", b = "mek")
dag <- as_dag("raf -> mek")
parts <- list(obs = x[1:20, ], a = x[21:40, ], b = x[41:60, ])
known <- qr.Q(qr(x[1:5, 1:2]))
quick <- crl_control(max_iter = 2)
fit <- fit_crl(named, env, targets, dag, control = quick)
by_g <- fit_crl(named, env, targets, dag, method = "g",
                control = crl_control(saem = saem_control(burn_in = 1, iterations = 1, draws = 2),
                                      seed = 1))
never <- fit_crl(x[1:40, ], env[1:40], targets[1:2, ], dag, control = quick)
joint <- fit_crl(x[21:60, ], env[21:60], targets[2:3, ], dag,
                 control = crl_control(score = "markov", max_iter = 2))
hopeless <- withr::with_seed(1, sim_crl(complete_dag(8), n = 30, p = 8, nonlinearity = "linear"))
crowded <- withr::with_seed(1, sim_crl(complete_dag(13), n = 13, p = 13, nonlinearity = "linear"))
sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 20, p = 5))

sparse <- asS4(structure(list(), class = "dgTMatrix"))

# figures that depend on the machine or on the engine's work space
hide_figures <- function(lines) {
  lines <- gsub("[0-9.]+e-1[0-9]|(?<=about )[0-9.e-]+(?= GB)", "<figure>", lines, perl = TRUE)
  gsub("(?<=`)[^`']*COPYING|'[^']*COPYING'", "<file>", lines, perl = TRUE)
}

# On CRAN, where snapshots are not compared and time is short, every fifth case, in one test.
bad_input <- function(...) {
  cases <- rlang::exprs(...)
  on_cran <- !identical(Sys.getenv("NOT_CRAN"), "true")
  for (case in if (!on_cran) names(cases)) {
    test_that(case, {
      expect_bad_input(cases[[case]])
      call <- cases[[case]][[2L]]
      rlang::inject(expect_snapshot(!!call, error = TRUE, transform = hide_figures))
    })
  }
  if (on_cran) {
    test_that(names(cases)[1L], {
      for (case in cases[seq(1L, length(cases), by = 5L)]) expect_bad_input(case)
    })
  }
}

expect_bad_input <- function(case) {
  class <- paste0("ebcrl_error_", case[[3L]])
  error <- rlang::catch_cnd(eval(case[[2L]]), "error")
  expect_s3_class(error, c(class, "ebcrl_error", "rlang_error", "error", "condition"),
                  exact = TRUE)
  expect_match(conditionMessage(error), "`", fixed = TRUE)
}

bad_input(
  "x: an infinite value" = fit_crl(replace(x, 67, -Inf), env, targets, dag) ~ missing,
  "x: text" = fit_crl(matrix("1", 60, 5), env, targets, dag) ~ type,
  "x: a vector" = fit_crl(x[, 1], env, targets, dag) ~ type,
  "x: an array" = fit_crl(array(0, c(60, 5, 2)), env, targets, dag) ~ type,
  "x: a factor in a data frame" =
    fit_crl(data.frame(named, cell = "T"), env, targets, dag) ~ type,
  "x: NULL" = fit_crl(NULL, env, targets, dag) ~ type,
  "x: a sparse matrix" = fit_crl(sparse, env, targets, dag) ~ type,
  "x: entries whose squares overflow" = fit_crl(1e80 * x, env, targets, dag) ~ range,
  "x: entries whose squares vanish" = fit_crl(1e-40 * x, env, targets, dag) ~ range,
  "x: no columns" = fit_crl(x[, 0], env, targets, dag) ~ shape,
  "x: no rows" = fit_crl(x[0, ], character(), targets, dag) ~ shape,
  "x: one row" = fit_crl(x[1, , drop = FALSE], env[1], targets, dag) ~ rows,
  "x: fewer rows than basis functions" = fit_crl(x[c(1, 21, 41), ], env, targets, dag) ~ rows,
  "x: samples in columns" = fit_crl(t(x), env, targets, dag) ~ rows,
  "x: fewer columns than latents" = fit_crl(x[, 1, drop = FALSE], env, targets, dag) ~ rank,
  "x: rank below the number of latents" =
    fit_crl(x[, 1] %o% c(1, 2, 3), env, targets, dag) ~ rank,
  "x: fewer columns that vary than latents" =
    fit_crl(`[<-`(named, , c("kras", "myc", "egfr", "pten"), 1), env, targets, dag) ~ constant,
  "x: zero variance" = fit_crl(0 * x, env, targets, dag) ~ constant
)

bad_input(
  "list: no domain" = fit_crl(list(), targets = targets, dag = dag) ~ shape,
  "list: an entry that is no matrix" =
    fit_crl(replace(parts, "a", list(1:5)), targets = targets, dag = dag) ~ type,
  "list: different numbers of columns" =
    fit_crl(replace(parts, "a", list(x[21:40, 1:4])), targets = targets, dag = dag) ~ shape,
  "list: other columns" = fit_crl(
    list(obs = named[1:20, 1:4], a = named[21:40, 5:2], b = named[41:60, 1:4]), targets = targets,
    dag = dag
  ) ~ shape,
  "list: columns without names" = fit_crl(
    list(obs = named[1:20, ], a = x[21:40, ], b = named[41:60, ]), targets = targets, dag = dag
  ) ~ shape,
  "list: a domain twice" =
    fit_crl(list(obs = x, a = x, a = x), targets = targets, dag = dag) ~ domain,
  "list: env as well" = fit_crl(parts, env = env, targets = targets, dag = dag) ~ domain
)

bad_input(
  "env: not given" = fit_crl(x, targets = targets, dag = dag) ~ type,
  "env: wrong length" = fit_crl(x, env[-1], targets, dag) ~ shape,
  "env: a missing entry" = fit_crl(x, replace(env, 3, NA), targets, dag) ~ missing,
  "env: a missing level" = fit_crl(x, addNA(replace(env, 3, NA)), targets, dag) ~ missing,
  "env: an unknown domain" =
    fit_crl(x, replace(env, 41:60, "mutant"), targets, dag) ~ domain,
  "env: labels for domains without names" =
    fit_crl(x, env, unname(targets), dag) ~ domain,
  "env: a domain of targets without rows" =
    fit_crl(x[1:40, ], env[1:40], targets, dag) ~ domain,
  "env: logical" = fit_crl(x, env == "a", targets, dag) ~ type,
  "env: fractions" = fit_crl(x, seq_len(60) / 20, targets, dag) ~ type
)

bad_input(
  "targets: not given" = fit_crl(x, env, dag = dag) ~ type,
  "targets: a number" = fit_crl(x, env, 1, dag) ~ type,
  "targets: entries outside 0 and 1" = fit_crl(x, env, 2 * targets, dag) ~ targets,
  "targets: two columns of text" =
    fit_crl(x, env, data.frame(domain = rownames(targets), batch = "b", targets), dag) ~ type,
  "targets: labels by position" = fit_crl(x, env, c("none", "raf", "mek"), dag) ~ shape,
  "targets: rows of a domain that differ" =
    fit_crl(x, env, rep(c("none", "raf", "raf+mek"), 20), dag) ~ domain,
  "targets: a missing entry" = fit_crl(x, env, replace(targets, 2, NA), dag) ~ missing,
  "targets: a column too many" = fit_crl(x, env, cbind(targets, erk = 0), dag) ~ shape,
  "targets: transposed" = fit_crl(x, env, t(targets), chain_dag(c("obs", "a"))) ~ shape,
  "targets: latents the graph does not have" =
    fit_crl(x, env, `colnames<-`(targets, c("raf", "erk")), dag) ~ targets,
  "targets: a domain twice" =
    fit_crl(x, env, `rownames<-`(targets, c("obs", "a", "a")), dag) ~ domain,
  "targets: one domain" =
    fit_crl(x[1:20, ], env[1:20], targets["obs", , drop = FALSE], dag) ~ domain,
  "targets: an unknown name in a set" =
    fit_crl(x, env, replace(sets, "a", "erk"), dag) ~ targets,
  "targets: a position out of range" =
    fit_crl(x, env, list(obs = NULL, a = 1, b = 3), dag) ~ targets,
  "targets: 0/1 vectors as sets" =
    fit_crl(x, env, list(obs = c(0, 0), a = c(1, 0), b = c(0, 1)), dag) ~ targets,
  "targets: a latent twice in a set" =
    fit_crl(x, env, replace(sets, "a", list(c("raf", "raf"))), dag) ~ targets,
  "targets: a logical set" =
    fit_crl(x, env, list(obs = FALSE, a = TRUE, b = TRUE), dag) ~ type,
  "targets: a set without a name" =
    fit_crl(x, env, list(obs = NULL, a = 1, 2), dag) ~ domain,
  "targets: an unknown label" =
    fit_crl(x, targets = rep(c("none", "raf", "raf+erk"), each = 20), dag = dag) ~ targets,
  "targets: a latent twice in a label" =
    fit_crl(x, targets = rep(c("none", "raf", "mek+mek"), each = 20), dag = dag) ~ targets,
  "targets: a missing label" =
    fit_crl(x, targets = rep(c("none", "raf", NA), each = 20), dag = dag) ~ missing,
  "targets: labels for too few rows" =
    fit_crl(x, targets = rep(c("none", "raf", "mek"), each = 10), dag = dag) ~ shape,
  "targets: names without latents" = intervention_targets(sets) ~ targets,
  "targets: only empty sets and no d" = intervention_targets(list(NULL, NULL)) ~ targets,
  "targets: a negative position" = intervention_targets(list(1, -2)) ~ targets,
  "targets: a missing position" = intervention_targets(list(1, NA_real_)) ~ targets,
  "targets: nothing given" = intervention_targets() ~ type,
  "targets: an empty list" = intervention_targets(list()) ~ shape,
  "targets: target.index out of range" =
    intervention_targets(list(integer(0), 1), target.index = c(1, 2, 3)) ~ domain,
  "targets: target.index of labels" =
    intervention_targets(list(integer(0), 1), target.index = c("a", "b")) ~ type
)

bad_input(
  "dag: not given" = fit_crl(x, env, targets) ~ type,
  "dag: a number" = fit_crl(x, env, targets, 2) ~ type,
  "dag: a cycle" = fit_crl(x, env, targets, "raf -> mek -> raf") ~ dag_cycle,
  "dag: a longer cycle" =
    as_dag(rbind(c(0, 1, 0, 0), c(0, 0, 1, 1), c(1, 0, 0, 0), 0)) ~ dag_cycle,
  "dag: a loop" = as_dag(diag(2)) ~ dag_cycle,
  "dag: transposed" = fit_crl(x, env, targets, rbind(c(0, 0), c(1, 0))) ~ dag_direction,
  "dag: pcalg's child-first matrix" =
    as_dag(structure(rbind(c(0, 0), c(1, 0)), class = "amat.cpdag")) ~ dag_direction,
  "dag: an unknown direction" = as_dag(diag(0, 2), direction = "row") ~ range,
  "dag: nothing given" = as_dag() ~ type,
  "dag: not square" = fit_crl(x, env, targets, matrix(0, 2, 3)) ~ shape,
  "dag: weights" = fit_crl(x, env, targets, rbind(c(0, 0.7), c(0, 0))) ~ dag,
  "dag: a missing entry" = fit_crl(x, env, targets, rbind(c(0, NA), c(0, 0))) ~ missing,
  "dag: a list matrix" = as_dag(matrix(list(0), 2, 2)) ~ type,
  "dag: rows and columns named differently" =
    as_dag(matrix(0, 2, 2, dimnames = list(c("a", "b"), c("b", "a")))) ~ dag,
  "dag: a name twice" = as_dag(matrix(0, 2, 2, dimnames = list(c("a", "a"), NULL))) ~ range,
  "dag: a hidden common cause" = as_dag("raf <-> mek") ~ dag,
  "dag: an edge with one end" = as_dag("raf -> mek ->") ~ dag,
  "dag: text that is no graph" = as_dag("y ~ x") ~ dag,
  "dag: braces left open" = as_dag("raf -> {mek erk") ~ dag,
  "dag: no node" = as_dag("dag { }") ~ dag,
  "dag: missing text" = as_dag(c("raf -> mek", NA)) ~ missing,
  "dag: one column of edges" = as_dag(data.frame(from = "raf")) ~ shape,
  "dag: an edge without an end" = as_dag(data.frame(from = "raf", to = NA)) ~ missing,
  "dag: an edge to no node" =
    as_dag(data.frame(from = "raf", to = "erk"), nodes = c("raf", "mek")) ~ dag,
  "dag: a misspelt argument" = as_dag(rbind(c(0, 0), c(1, 0)), directions = "from_row") ~ type,
  "dag: no latents" = chain_dag(0) ~ range,
  "dag: names of another number" = chain_dag(3, names = c("raf", "mek")) ~ shape,
  "dag: an order that is no permutation" = complete_dag(c(1, 1, 3)) ~ dag,
  "dag: an order with other names" =
    complete_dag(c("raf", "mek"), names = c("raf", "erk")) ~ dag,
  "dag: a probability above 1" = random_dag(4, prob = 2) ~ range
)

test_that("dag: an undirected igraph", {
  skip_if_not_installed("igraph")
  expect_snapshot(as_dag(igraph::make_ring(3)), error = TRUE)
  expect_snapshot(as_dag(igraph::make_graph(c(1, 2, 1, 2))), error = TRUE)
})

bad_input(
  "cell: too few rows of a state" =
    fit_crl(x[c(1:20, 21:24, 41:60), ], env[c(1:20, 21:24, 41:60)], targets, dag) ~ cell,
  "cell: too few rows of several states" =
    fit_crl(x[c(1:20, 21:24, 41:43), ], env[c(1:20, 21:24, 41:43)], targets, dag) ~ cell,
  "weights: text" = fit_crl(x, env, targets, dag, weights = "equal") ~ type,
  "weights: wrong length" = fit_crl(x, env, targets, dag, weights = c(1, 2)) ~ shape,
  "weights: negative" = fit_crl(x, env, targets, dag, weights = c(1, -1, 1)) ~ range,
  "weights: missing" = fit_crl(x, env, targets, dag, weights = c(1, NA, 1)) ~ missing,
  "weights: unknown domains" =
    fit_crl(x, env, targets, dag, weights = c(obs = 1, a = 1, c = 1)) ~ domain,
  "an argument that nothing reads" = fit_crl(x, env, targets, dag, lamda = 2) ~ type,
  "an argument called class" = predict(fit, class = "sd") ~ type
)

bad_input(
  "control: not settings" = fit_crl(x, env, targets, dag, control = 5) ~ control,
  "control: an unknown setting" =
    fit_crl(x, env, targets, dag, control = list(lamda = 2)) ~ control,
  "control: a setting twice" =
    fit_crl(x, env, targets, dag, control = list(eta = 1, eta = 0.5)) ~ control,
  "control: a misspelt setting" = crl_control(lamda = 2) ~ control,
  "control: part of a name" = crl_control(max = 100) ~ control,
  "control: a setting without a name" = crl_control("markov") ~ control,
  "control: a negative lambda" = crl_control(lambda = -1) ~ control,
  "control: a lambda in words" = crl_control(lambda = "cv") ~ control,
  "control: an eta in words" = crl_control(eta = c("auto", "auto")) ~ control,
  "control: eta chosen with correlated columns" =
    fit_crl(named, env, targets, dag,
            control = crl_control(mixing = "psd", eta = "auto")) ~ control,
  "control: update_mixing in words" = crl_control(update_mixing = "yes") ~ control,
  "control: two values of update_mixing" =
    crl_control(update_mixing = c(TRUE, FALSE)) ~ control,
  "control: A held and updated" =
    crl_control(mixing = "fixed", update_mixing = TRUE) ~ control,
  "control: one knot" = crl_control(knots = 1) ~ control,
  "control: a fraction of knots" = crl_control(knots = 7.5) ~ control,
  "control: eta above 1" = crl_control(eta = 1.5) ~ control,
  "control: tol missing" = crl_control(tol = NA) ~ control,
  "control: a range upside down" = crl_control(range = c(15, -15)) ~ control,
  "control: a range for other latents" =
    fit_crl(x, env, targets, dag, control = list(range = rbind(rep(-5, 3), 5))) ~ control,
  "control: no chains" = crl_control(saem = saem_control(chains = 0)) ~ control,
  "control: a Monte-Carlo error below none" =
    crl_control(saem = saem_control(mc_tol = -0.1)) ~ control,
  "control: no burn-in" = crl_control(saem = saem_control(burn_in = 0)) ~ control,
  "control: fewer than no iterations" = crl_control(saem = saem_control(iterations = -1)) ~ control,
  "control: one draw" = crl_control(saem = saem_control(draws = 1)) ~ control,
  "control: one knot for mechanisms" = crl_control(prior = prior_spline(knots = 1)) ~ control,
  "control: lambda of mechanisms in words" =
    crl_control(prior = prior_spline(lambda = "some")) ~ control,
  "control: unknown noise" = crl_control(prior = prior_spline(noise = "t")) ~ control,
  "control: noise of one component" = crl_control(prior = prior_spline(noise = 1)) ~ control,
  "control: a negative seed" = crl_control(seed = -1) ~ control,
  "control: too little memory for g" = fit_crl(
    x, env, targets, dag, method = "g", control = crl_control(max_memory = 1e-5)
  ) ~ memory,
  "scores of a g fit" = predict(by_g, type = "score") ~ method,
  "mechanisms of an f fit" = mechanisms(fit) ~ method,
  "mechanisms of no fit" = mechanisms(1) ~ type,
  "mechanisms: one point" = mechanisms(by_g, points = 1) ~ range,
  "no draws" = simulate(by_g, nsim = 0) ~ range,
  "a domain of an f fit: do" = simulate_domain(fit, n = 5, do = list(b9 = 1)) ~ do,
  "a domain without a number of rows" = simulate_domain(by_g, "raf") ~ type,
  "a domain with unknown targets" = simulate_domain(by_g, "b9", 5) ~ targets,
  "an unknown method" = fit_crl(x, env, targets, dag, method = "h") ~ range,
  "control: an unknown acceleration" = spline_control(acceleration = "squarem") ~ control,
  "control: a negative tol" = crl_control(tol = -1e-6) ~ control,
  "control: an unknown prior" = crl_control(prior = "gaussian") ~ control,
  "control: correlated columns under a normal prior" = fit_crl(
    x, env, targets, dag, method = "g", control = crl_control(prior = "normal", mixing = "psd")
  ) ~ control,
  "init: interventional under a normal prior" = fit_crl(
    x, env, targets, dag, method = "g", init = "interventional",
    control = crl_control(prior = "normal")
  ) ~ init,
  "init: no A to hold under a normal prior" = fit_crl(
    x, env, targets, dag, method = "g", control = crl_control(prior = "normal", mixing = "fixed")
  ) ~ init,
  "init: sigma2 above an eigenvalue" = fit_crl(
    x, env, targets, dag, method = "g", init = list(mixing = known, sigma2 = 50),
    control = crl_control(prior = "normal", mixing = "diagonal", sigma2 = "fixed")
  ) ~ init,
  "control: too little memory for a linear prior" = fit_crl(
    x, env, targets, dag, method = "g",
    control = crl_control(prior = "linear", max_memory = 1e-5)
  ) ~ memory,
  "logLik: a fit without likelihood" = logLik(fit) ~ method,
  "control: an unknown penalty" = crl_control(penalty = "lasso") ~ control,
  "control: a factor" = crl_control(score = factor("causal")) ~ control,
  "control: an unknown score" = crl_control(score = "Markov") ~ control,
  "control: an unknown interaction" = spline_control(interaction = "multiplicative") ~ control,
  "control: settings of groups" = crl_control(cg_tol = 1e-9, mechanism_knots = 9) ~ control,
  "control: the same in a list" =
    fit_crl(x, env, targets, dag, control = list(draws = 10, chains = 2)) ~ control,
  "control: and given to fit_crl()" =
    fit_crl(x, env, targets, dag, mechanisms = "linear", lambda = 2, starts = 3) ~ type,
  "control: a setting in the wrong constructor" = saem_control(knots = 4, solver = "cg") ~ control,
  "control: a group that is none" = crl_control(saem = 100) ~ control,
  "control: a group made by another constructor" =
    crl_control(saem = start_search(starts = 3)) ~ control,
  "control: a list for a group, with a word misspelt" =
    crl_control(saem = list(burnin = 10)) ~ control,
  "control: a prior that is none" = crl_control(prior = list(knots = 4)) ~ control,
  "control: settings of a prior that has none" = prior_linear(knots = 4) ~ control,
  "update: a setting of a group" = update(by_g, 10, mc_tol = 0) ~ control,
  "control: an unknown intervention" = crl_control(intervention = "soft") ~ control,
  "control: an unknown preset" = crl_control(preset = "Paper") ~ control,
  "control: no threads" = crl_control(threads = 0) ~ control,
  "control: progress in words" = crl_control(progress = "yes") ~ control,
  "control: too many parents for a tensor" =
    fit_crl(crowded,
            control = crl_control(spline = spline_control(interaction = "tensor"))) ~ memory,
  "control: a tensor that no rows can fill" =
    fit_crl(hopeless,
            control = crl_control(spline = spline_control(interaction = "tensor"))) ~ memory,
  "control: too little memory" = fit_crl(
    x, env, targets, dag, control = crl_control(max_memory = 1e-5)
  ) ~ memory
)

bad_input(
  "init: an unknown label" = fit_crl(x, env, targets, dag, init = "ica") ~ init,
  "init: a list without a mixing" =
    fit_crl(x, env, targets, dag, init = list(sigma2 = 2)) ~ init,
  "init: a mixing that is no matrix" =
    fit_crl(x, env, targets, dag, init = list(mixing = as.data.frame(known))) ~ init,
  "init: a mixing of another shape" =
    fit_crl(x, env, targets, dag, init = list(mixing = diag(2))) ~ init,
  "init: a mixing with a missing entry" =
    fit_crl(x, env, targets, dag, init = list(mixing = replace(known, 3, NA))) ~ init,
  "init: a zero column" =
    fit_crl(x, env, targets, dag, init = list(mixing = cbind(known[, 1], 0))) ~ init,
  "init: correlated columns of A = OD" =
    fit_crl(x, env, targets, dag, init = list(mixing = x[1:5, 1:2]),
            control = crl_control(mixing = "diagonal")) ~ init,
  "init: dependent columns" = fit_crl(
    x, env, targets, dag, init = list(mixing = cbind(x[1:5, 1], 2 * x[1:5, 1])),
    control = crl_control(mixing = "psd")
  ) ~ init,
  "init: a negative noise variance" =
    fit_crl(x, env, targets, dag, init = list(mixing = known, sigma2 = -1)) ~ init,
  "init: features that x does not have" = fit_crl(
    named, env, targets, dag,
    init = list(mixing = `rownames<-`(known, c("egfr", "kras", "tp53", "myc", "akt")))
  ) ~ init,
  "init: a latent twice" = fit_crl(
    x, env, targets, dag, init = list(mixing = `colnames<-`(known, c("raf", "raf")))
  ) ~ init,
  "init: an unknown part" =
    fit_crl(x, env, targets, dag, init = list(mixing = known, sigma = 1)) ~ init
)

bad_input(
  "update: a setting that changes a model that goes on" =
    update(fit, 10, lambda = 20, knots = 4) ~ control,
  "update: burn-in, which is over" = update(by_g, 10, burn_in = 50) ~ control,
  "update: going on with another graph" = update(fit, max_iter = 10, dag = dag) ~ control,
  "update: both numbers of iterations" = update(fit, max_iter = 10, iterations = 10) ~ control,
  "update: no argument" = update(fit, dog = dag) ~ control,
  "update: a setting without a name" = update(fit, 100, 1e-6) ~ control,
  "update: a fit without a call" = update(crl_baselines(sim, methods = "pca")$pca) ~ call,
  "update: a setting out of range" = update(fit, tol = 2) ~ control,
  "update: a fraction of iterations" = update(fit, max_iter = 2.5) ~ control
)

bad_input(
  "misspelt: a setting given to fit_crl()" = fit_crl(named, env, targets, dag, lambda = 3) ~ type,
  "misspelt: verbose" = fit_crl(named, env, targets, dag, verbose = TRUE) ~ type,
  "misspelt: an argument" = fit_crl(named, env, targets, dag, wieghts = 1:3, lamda = 3) ~ type,
  "misspelt: a setting given to crl_baselines()" = crl_baselines(sim, lambda = 3) ~ type,
  "misspelt: a setting" = crl_control(lamda = 3) ~ control,
  "misspelt: a setting in a list" = fit_crl(sim, control = list(knot = 3)) ~ control,
  "misspelt: a choice" = crl_control(score = "cuasal") ~ control,
  "misspelt: a baseline" = crl_baselines(sim, methods = "emtpy") ~ range,
  "misspelt: a type of plot" = plot(fit, type = "latent") ~ range,
  "misspelt: a table" = tidy(fit, "mixng") ~ range,
  "misspelt: an argument of a method" = summary(fit, digit = 3) ~ type,
  "misspelt: an argument of coef()" = coef(fit, complete = TRUE, typ = "x") ~ type,
  "misspelt: an argument of simulate_domain()" =
    simulate_domain(by_g, "raf", n = 3, nsim = 2) ~ type,
  "simulate_domain: do" = simulate_domain(by_g, "raf", n = 3, do = list(raf = "high")) ~ do,
  "simulate_domain: a function of nothing it is given" =
    simulate_domain(by_g, n = 3, do = list(raf = \(x) x)) ~ do,
  "simulate_domain: values of a function" =
    simulate_domain(by_g, n = 3, do = list(raf = \(n) 1:2)) ~ do,
  "effects: no names" = effects(by_g, do = list(1)) ~ do,
  "effects: probabilities" = effects(by_g, do = list(raf = 1), quantiles = 1) ~ range
)

bad_input(
  "predict: a vector" = predict(fit, x[1, ], env = "a") ~ type,
  "predict: a sparse matrix" = predict(fit, sparse, env = "a") ~ type,
  "predict: another number of columns" = predict(fit, x[, 1:4], env = "a") ~ shape,
  "predict: a column missing by name" = predict(fit, named[, -2], env = "a") ~ shape,
  "predict: a column twice" = predict(fit, named[, c(1:5, 2)], env = "a") ~ shape,
  "predict: a missing value" = predict(fit, replace(named, 2, NA), env = "a") ~ missing,
  "predict: neither targets nor env" = predict(fit, named) ~ targets,
  "predict: targets and env" = predict(fit, named, targets = "raf", env = "a") ~ targets,
  "predict: targets without rows" = predict(fit, targets = "raf") ~ targets,
  "predict: an unknown domain" = predict(fit, named, env = "c") ~ domain,
  "predict: env of another length" = predict(fit, named, env = c("a", "b")) ~ shape,
  "predict: targets outside 0 and 1" = predict(fit, named, targets = c(0, 2)) ~ targets,
  "predict: an unknown latent" = predict(fit, named, targets = "erk") ~ targets,
  "predict: a list of other length" =
    predict(fit, named, targets = list("raf", "mek")) ~ shape,
  "predict: a set as labels" = predict(fit, named, targets = c("mek", "raf")) ~ shape,
  "predict: a missing label" = predict(fit, named[1:2, ], targets = c("raf", NA)) ~ missing,
  "predict: a function" = predict(fit, named, targets = mean) ~ type,
  "predict: targets for other rows" =
    predict(fit, named, targets = matrix(0, 2, 2)) ~ shape,
  "predict: an unknown type" = predict(fit, named, env = "a", type = "mean") ~ range,
  "predict: a state not seen in training" =
    predict(never, x, targets = "mek") ~ unseen_state,
  "predict: a combination that the training domains do not determine" =
    predict(joint, x, targets = "none") ~ unseen_state,
  "predict: an unknown interval" = predict(fit, interval = "prediction") ~ range,
  "predict: an interval of something else" =
    predict(fit, type = "sd", interval = "credible") ~ range,
  "predict: a level in percent" = predict(fit, interval = "credible", level = 90) ~ range,
  "augment: a level in percent" = augment(fit, interval = "credible", level = 90) ~ range,
  "augment: a list" = augment(fit, data = list(1:60)) ~ type,
  "augment: twice" = augment(fit, data = augment(fit)) ~ shape
)

bad_input(
  "fitted: a misspelt argument" = fitted(fit, typ = "x", rows = 3) ~ type,
  "summary: an argument" = summary(fit, correlation = TRUE) ~ type
)

other <- fit_crl(named, env, targets, empty_dag(colnames(dag)), control = quick)
gone <- fit_crl(unname(named)[1:40, ], env[1:40], targets[1:2, ], dag, control = quick)
weighted <- fit_crl(named, env, targets, dag, weights = 1:3, control = quick)
renamed <- fit_crl(named, sub("a", "c", env), `rownames<-`(targets, c("obs", "c", "b")), dag,
                   control = quick)
sampled <- by_g
cramped <- fit
cramped$control$max_memory <- 1e-6

bad_input(
  "crl_compare: no fit" = crl_compare() ~ type,
  "crl_compare: one fit" = crl_compare(fit) ~ type,
  "crl_compare: no fits" = crl_compare(fit, x) ~ type,
  "crl_compare: data" = crl_compare(sim, folds = 3) ~ type,
  "crl_compare: a list without names" = crl_compare(list(fit, other)) ~ type,
  "crl_compare: a name twice" = crl_compare(fit, fit = other) ~ range,
  "crl_compare: other rows" = crl_compare(fit, gone) ~ data,
  "crl_compare: other domains" = crl_compare(fit, renamed) ~ data,
  "crl_compare: other weights" = crl_compare(fit, weighted) ~ data,
  "crl_compare: no score" = crl_compare(fit, sampled) ~ method,
  "crl_compare: one fold" = crl_compare(fit, other, folds = 1) ~ range,
  "crl_compare: more folds than rows" = crl_compare(fit, other, folds = 21) ~ range,
  "crl_compare: folds of other rows" = crl_compare(fit, other, folds = 1:59) ~ shape,
  "crl_compare: a missing fold" =
    crl_compare(fit, other, folds = replace(rep(1:2, 30), 3, NA)) ~ missing,
  "crl_compare: domains as folds" = crl_compare(fit, other, folds = env) ~ range,
  "crl_compare: a negative seed" = crl_compare(fit, other, seed = -1) ~ range,
  "crl_compare: progress in words" = crl_compare(fit, other, progress = "yes") ~ type,
  "crl_compare: too little memory" = crl_compare(fit, cramped) ~ memory,
  "crl_compare: an unknown table" = tidy(crl_compare(fit, other, folds = 2), "rows") ~ range,
  "crl_compare: an unknown order of the plot" =
    plot(crl_compare(fit, other, folds = 2), order = "name") ~ range
)

bad_input(
  "sim_crl: no rows" = sim_crl(n = 0) ~ range,
  "sim_crl: rows for other domains" = sim_crl(n = c(100, 200)) ~ shape,
  "sim_crl: fewer columns than latents" = sim_crl(p = 3) ~ rank,
  "sim_crl: a negative noise variance" = sim_crl(sigma2 = -1) ~ range,
  "sim_crl: an unknown nonlinearity" = sim_crl(nonlinearity = "cubic") ~ range,
  "sim_crl: a function that is not vectorised" =
    sim_crl(nonlinearity = function(z) 1) ~ type,
  "sim_crl: weights transposed" =
    sim_crl(chain_dag(2), edge_weights = rbind(c(0, 0), c(1, 0))) ~ dag,
  "sim_crl: a mixing of low rank" = sim_crl(chain_dag(2), mixing = matrix(1, 5, 2)) ~ rank,
  "rel_mse: no truth" = rel_mse(fit, x) ~ truth,
  "rel_mse: truth not given" = rel_mse(fit) ~ truth,
  "frobenius_error: truth not given" = frobenius_error(fit) ~ truth,
  "rel_mse: the truth of other data" = rel_mse(fit, sim) ~ truth,
  "rel_mse: a mixing matrix that is a data frame" = rel_mse(
    fit, list(z = fit$latents, env = env, mixing = as.data.frame(known))
  ) ~ truth,
  "frobenius_error: a logical matrix" = frobenius_error(sim$mixing > 0, sim) ~ type,
  "plot: an optimum that is a number" = plot(fit, "env", truth = sim, bayes = 1) ~ type,
  "bayes_latents: more draws than there is room for" = bayes_latents(sim, draws = 1e12) ~ range,
  "figure3: unknown data" = figure3(data = "cubic") ~ range,
  "rel_mse: a misspelt argument" = rel_mse(sim$z, sim, ration = "pooled") ~ type,
  "frobenius_error: no truth" = frobenius_error(fit, list(z = 1)) ~ truth,
  "align_latents: different shapes" = align_latents(known, sim$mixing[1:4, ]) ~ truth,
  "sim_crl: unknown noise" = sim_crl(noise = "cauchy") ~ range,
  "bayes_latents: skewed noise" = bayes_latents(sim_crl(n = 5, p = 5, noise = "skewed")) ~ noise,
  "bayes_latents: no simulation" = bayes_latents(fit) ~ type,
  "crl_baselines: an unknown method" = crl_baselines(sim, methods = "ica") ~ range,
  "crl_baselines: bad data" = crl_baselines(replace(x, 3, Inf), env, targets, dag) ~ missing,
  "plot: errors without a truth" = plot(fit, type = "env") ~ truth
)

small <- list(d = 2, n = 20, p = 5)
experiment <- crl_experiment(small, list(truth = function(sim) sim$z), seeds = 1)

bad_input(
  "crl_experiment: settings in words" = crl_experiment("chain") ~ type,
  "crl_experiment: no row of settings" = crl_experiment(data.frame(n = numeric())) ~ shape,
  "crl_experiment: an unknown argument" = crl_experiment(list(rows = 20)) ~ range,
  "crl_experiment: settings without names" = crl_experiment(list(small, small)) ~ shape,
  "crl_experiment: a setting twice" = crl_experiment(list(a = small, a = small)) ~ range,
  "crl_experiment: an argument without a name" = crl_experiment(list(a = list(20))) ~ range,
  "crl_experiment: no latents" = crl_experiment(list(d = 0)) ~ range,
  "crl_experiment: a graph and a number of latents" =
    crl_experiment(list(d = 2, dag = chain_dag(2))) ~ range,
  "crl_experiment: no method" = crl_experiment(small, list()) ~ type,
  "crl_experiment: methods without names" =
    crl_experiment(small, list(list(), list())) ~ shape,
  "crl_experiment: an unknown baseline" = crl_experiment(small, "ica") ~ range,
  "crl_experiment: an unknown engine" =
    crl_experiment(small, list(mine = list(method = "h"))) ~ range,
  "crl_experiment: a method that is a number" = crl_experiment(small, list(mine = 3)) ~ type,
  "crl_experiment: an unknown setting of a fit" =
    crl_experiment(small, list(mine = list(lamda = 3))) ~ control,
  "crl_experiment: a bad setting of a fit" =
    crl_experiment(small, list(mine = list(eta = 2))) ~ control,
  "crl_experiment: the name of the optimum" = crl_experiment(small, list(bayes = list())) ~ range,
  "crl_experiment: g without shrinkage" =
    crl_experiment(small, list(mine = list(baseline = "no_shrinkage", method = "g"))) ~ range,
  "crl_experiment: no seed" = crl_experiment(small, seeds = NULL) ~ type,
  "crl_experiment: a broken seed" = crl_experiment(small, seeds = 1.5) ~ range,
  "crl_experiment: a missing seed" = crl_experiment(small, seeds = c(1, NA)) ~ missing,
  "crl_experiment: a seed twice" = crl_experiment(small, seeds = c(1, 2, 1)) ~ range,
  "crl_experiment: bayes in words" = crl_experiment(small, bayes = "yes") ~ type,
  "crl_experiment: an unknown argument of the optimum" =
    crl_experiment(small, bayes = list(rounds = 3)) ~ range,
  "crl_experiment: a metric that is no function" =
    crl_experiment(small, metrics = list(mae = 3)) ~ type,
  "crl_experiment: a metric without a name" =
    crl_experiment(small, metrics = list(function(fit, sim) 1)) ~ shape,
  "crl_experiment: a metric with a taken name" =
    crl_experiment(small, metrics = list(ratio = function(fit, sim) 1)) ~ range,
  "crl_experiment: no simulator" = crl_experiment(small, simulate = "sim_crl") ~ type,
  "crl_experiment: no worker" = crl_experiment(small, cl = 0) ~ range,
  "crl_experiment: workers in words" = crl_experiment(small, cl = "all") ~ type,
  "crl_experiment: an object that is no cluster" =
    crl_experiment(small, cl = factor(2)) ~ type,
  "crl_experiment: a number for a directory" = crl_experiment(small, dir = 1) ~ type,
  "crl_experiment: a file for a directory" =
    crl_experiment(small, dir = file.path(R.home("doc"), "COPYING")) ~ dir,
  "crl_experiment: retry in words" = crl_experiment(small, retry = "yes") ~ type,
  "crl_experiment: progress in words" = crl_experiment(small, progress = "yes") ~ type,
  "crl_experiment: an unknown table" = tidy(experiment, "folds") ~ range,
  "crl_experiment: an unknown plot" = plot(experiment, type = "bars") ~ range,
  "crl_experiment: an unknown metric in a plot" = plot(experiment, metric = "mae") ~ range,
  "crl_experiment: domains of another metric" =
    plot(experiment, type = "env", metric = "frobenius_error") ~ range,
  "crl_experiment: nothing that varies" = plot(experiment, type = "sweep") ~ range,
  "crl_experiment: a plot without cells" = plot(experiment[0, ]) ~ shape
)

# Edited controls ---------------------------------------------------------------------------------

test_that("a setting changed in place is checked as the constructor checks it", {
  skip_on_cran()
  set.seed(1)
  s <- sim_crl(chain_dag(2), n = 40, p = 4)
  quick <- crl_control(start = start_search(mechanisms = "linear", starts = 2), max_iter = 2)
  wrong <- list(penalty = "lasso", knots = TRUE, prior = replace(prior_spline(), "knots", 1L),
                threads = -1, update_mixing = "no", range = 3:1, seed = -1, progress = 2,
                prior = replace(prior_spline(), "noise", "t4"), spline = list(solver = "cg"),
                saem = replace(crl_control()$saem, "draws", 1), start = NULL, prior = "none",
                max_memory = "all", lambda = NULL, colour = "red")
  for (k in seq_along(wrong)) {
    control <- quick
    control[names(wrong)[k]] <- wrong[k]
    expect_error(fit_crl(s, init = "pca", control = control), class = "ebcrl_error_control")
  }
  expect_error(crl_baselines(s, control = control), class = "ebcrl_error_control")
  control <- quick
  control$knots <- NULL
  expect_error(fit_crl(s, control = control), "every setting", class = "ebcrl_error_control")
  control <- quick
  control$seed <- NULL
  control$knots <- 6
  fit <- fit_crl(s, init = "pca", control = control)
  expect_identical(fit$control$knots, 6L)
  expect_error(fit_crl(s, control = structure(1, class = "crl_control")),
               class = "ebcrl_error_control")
})

# Edited fits -------------------------------------------------------------------------------------

test_that("a fit changed by hand is refused where it is used", {
  skip_on_cran()
  set.seed(1)
  s <- sim_crl(chain_dag(2), n = 40, p = 4)
  quick <- crl_control(start = start_search(mechanisms = "linear", starts = 2), max_iter = 2,
                       saem = saem_control(burn_in = 2, iterations = 2, draws = 2), seed = 1)
  f <- fit_crl(s, init = "pca", control = quick)
  g <- fit_crl(s, method = "g", init = "pca", control = quick)
  refused <- function(call) expect_error(call, "Fit again", class = "ebcrl_error_fit")
  edited <- function(fit, path, value) {
    fit[[path]] <- value
    fit
  }
  wrong <- edited(g, c("data", "env"), rep(3L, 80))
  refused(simulate(wrong, 1))
  refused(predict(wrong, s$x[1:2, ], targets = "none"))
  refused(update(wrong))
  refused(print(wrong))
  refused(simulate_domain(edited(g, c("data", "d"), 5L), "z1", 3))
  refused(simulate(edited(g, "chains", g$chains[-1, ]), 1))
  refused(simulate(edited(g, c("prior", "variance"), 1), 1))
  refused(simulate(edited(g, "gram", NA), 1))
  refused(predict(edited(f, "orthonormal", f$orthonormal[-1, ]), type = "score"))
  refused(predict(edited(f, c("score", "theta", "z2", "state1"), 1:3), type = "score"))
  refused(predict(edited(f, c("score", "parents"), list(2L, 1L)), type = "score"))
  refused(predict(edited(f, c("score", "reference", "group"), 1:3), type = "score"))
  refused(summary(edited(f, c("control", "knots"), TRUE)))
  refused(fit_crl(s, init = edited(f, "mixing", 1)))
  refused(predict(edited(f, "reduced", 3), s$x[1:2, ], targets = "none"))
  refused(plot(edited(f, "sigma2", "2"), type = "loadings"))
  expect_error(update(edited(f, c("data", "x"), replace(s$x, 3, NaN))),
               class = "ebcrl_error_missing")
  expect_error(predict(edited(f, c("data", "dag"), 1L - diag(2L) + 0L), type = "score"),
               class = "ebcrl_error")
  expect_identical(predict(edited(f, "call", NULL)), f$latents)
})

wide <- withr::with_seed(1, matrix(round(stats::rnorm(60 * 6), 3), 60))

bad_input(
  "measurement model: too few features for noise by feature" =
    fit_crl(x[, 1:4], env, 0 * targets, dag, noise = "by_feature") ~ rank,
  "measurement model: too many nuisance factors" = fit_crl(x, env, targets, dag, nuisance = 3) ~ rank,
  "measurement model: A is updated" =
    fit_crl(wide, env, targets, dag, center = TRUE, control = crl_control(update_mixing = TRUE)) ~
    control,
  "measurement model: hardly more features than latents" =
    fit_crl(x[, 1:3], env, targets, dag, noise = "by_feature") ~ control,
  "measurement model: not a choice" = fit_crl(wide, env, targets, dag, noise = "unequal") ~ range,
  "measurement model: center" = fit_crl(wide, env, targets, dag, center = "yes") ~ type,
  "measurement model: nuisance" = fit_crl(wide, env, targets, dag, nuisance = -1) ~ range,
  "measurement model: nuisance in words" =
    fit_crl(wide, env, targets, dag, nuisance = "some") ~ type
)
