sim <- small_sim(6)
fit <- fit_crl(sim, init = known(sim),
               control = crl_control(mixing = "orthonormal", max_iter = 4))

layers <- function(plot) {
  built <- ggplot2::ggplot_build(plot)
  stats::setNames(built$data, vapply(plot$layers, function(layer) class(layer$geom)[1], ""))
}

test_that("plot prints the plot and returns it invisibly", {
  skip_on_cran()
  withr::local_pdf(withr::local_tempfile())
  returned <- withVisible(plot(fit, type = "loadings"))
  expect_s3_class(returned$value, "ggplot")
  expect_false(returned$visible)
  for (type in c("convergence", "latents", "scores", "env")) {
    expect_silent(plot(fit, type = type, truth = if (type == "env") sim))
  }
})

test_that("convergence draws the trace", {
  fit$trace$floored <- 0
  drawn <- layers(autoplot(fit, type = "convergence"))
  points <- drawn$GeomPoint
  expect_equal(points$y[points$PANEL == 1], fit$trace$sigma2)
  expect_equal(points$y[points$PANEL == 2], fit$trace$loss)
  trace <- fit$trace
  expect_setequal(points$y[points$PANEL == 3],
                  log10(c(trace$change_mixing, trace$change_sigma2, trace$change_latents[-1],
                          trace$remaining[trace$remaining <= 1])))
  expect_equal(drawn$GeomHline$yintercept, -5)
  expect_equal(as.integer(drawn$GeomHline$PANEL), 3L)
  expect_identical(nlevels(points$PANEL), 3L)

  fit$trace$floored <- c(0, 5, 6, 0)
  points <- layers(autoplot(fit, type = "convergence"))$GeomPoint
  expect_equal(points$y[points$PANEL == 4], 100 * c(0, 5, 6, 0) / 2400)
})

test_that("convergence copes with one iteration and refuses none", {
  skip_on_cran()
  one <- oracle_fit(sim)
  expect_identical(one$iterations, 1L)
  expect_silent(drawn <- layers(autoplot(one, type = "convergence")))
  expect_equal(drawn$GeomPoint$y[1], sim$sigma2)
  none <- fit_crl(sim, control = crl_control(max_iter = 0))
  expect_error(autoplot(none, type = "convergence"), class = "ebcrl_error_range")
  expect_error(autoplot(fit, type = "trace"), class = "ebcrl_error_range")
})

test_that("loadings are the mixing matrix, as a map or by index", {
  map <- autoplot(fit, type = "loadings")
  expect_s3_class(map$layers[[1]]$geom, "GeomTile")
  expect_equal(map$data$estimate, as.vector(fit$mixing))
  # first feature on top
  expect_identical(levels(map$data$feature)[12], "1")
  tiles <- layers(map)$GeomTile
  largest <- which.max(abs(fit$mixing))
  expect_equal(as.numeric(c(tiles$x[largest], tiles$y[largest])),
               c(col(fit$mixing)[largest], 13 - row(fit$mixing)[largest]))

  wide <- small_sim(7, n = 60, p = 41)
  colnames(wide$x) <- rownames(wide$mixing) <- paste0("gene", 1:41)
  bars <- layers(autoplot(oracle_fit(wide), type = "loadings"))$GeomSegment
  expect_identical(nrow(bars), 40L)
  strongest <- apply(wide$mixing, 2, function(a) rev(a[order(-abs(a))[1:10]]))
  expect_equal(bars$xend, as.vector(strongest))
})

test_that("latents are drawn with intervals and, if given, the truth", {
  skip_on_cran()
  drawn <- layers(autoplot(fit, type = "latents", rows = 20, level = 0.5))
  expect_identical(nrow(drawn$GeomPoint), 20L * 4L)
  rows <- spaced_rows(fit$data, 20)
  expect_identical(as.vector(table(fit$data$env[rows])), rep(5L, 4))
  expect_equal(drawn$GeomPoint$y, as.vector(fit$latents[rows, ]))
  expect_equal(drawn$GeomLinerange$ymax - drawn$GeomLinerange$ymin,
               2 * qnorm(0.75) * as.vector(fit$latents_sd[rows, ]))
  expect_identical(drawn$GeomPoint$colour == okabe_ito("vermillion"),
                   as.vector(fit$data$targets[fit$data$env[rows], ] == 1))

  # a fit with latents in another order and with another sign: the truth follows the fit
  turned <- fit
  order <- c(3, 1, 4, 2)
  turned$mixing <- fit$mixing[, order] %*% diag(c(1, -1, 1, 1))
  turned$latents <- fit$latents[, order] %*% diag(c(1, -1, 1, 1))
  plot <- autoplot(turned, type = "latents", truth = sim, rows = 20)
  crosses <- layers(plot)[[4]]
  expect_equal(unique(crosses$shape), 4)
  expect_equal(crosses$y, as.vector((sim$z[, order] %*% diag(c(1, -1, 1, 1)))[rows, ]))
})

test_that("few rows leave at least one a domain, many take them all", {
  expect_length(spaced_rows(fit$data, 1), 4)
  expect_identical(spaced_rows(fit$data, 1e6), seq_len(600))
})

test_that("score curves are the fitted score at the parents' medians, within the data", {
  skip_on_cran()
  fit <- oracle_fit(sim, spline = spline_control(reference = "none"))
  curves <- autoplot(fit, type = "scores")$data
  y <- sim$x %*% fit$orthonormal
  for (state in 0:1) {
    rows <- fit$data$targets[fit$data$env, "z2"] == state
    curve <- curves[curves$node == "z2" & curves$state == state_factor(state), ]
    expect_equal(range(curve$y), range(y[rows, 2]))
    at <- matrix(0, nrow(curve), 4)
    at[, 1] <- median(y[rows, 1])
    at[, 2] <- curve$y
    targets <- matrix(c(0, state, 0, 0), nrow(curve), 4, byrow = TRUE)
    by_hand <- ref_eval_score(at, targets, parent_list(sim$dag), fit$score$theta,
                              fit$score$range, 8)
    expect_equal(curve$score, by_hand$score[, 2])
  }
})

test_that("with a reference, score curves are of the most frequent targets, others at medians", {
  skip_on_cran()
  sim <- small_sim(9, targets = list(none = integer(), a = 1, b = 2, ab = 1:2, b2 = 2),
                   dag = chain_dag(3))
  fit <- oracle_fit(sim)
  curves <- autoplot(fit, type = "scores")$data
  y <- sim$x %*% fit$orthonormal
  for (state in 0:1) { # of z1: together with no other, and with z2
    rows <- if (state == 0) sim$env %in% c("b", "b2") else sim$env == "a"
    curve <- curves[curves$node == "z1" & curves$state == state_factor(state), ]
    expect_equal(range(curve$y), range(y[rows, 1]))
    at <- cbind(curve$y, median(y[rows, 2]), median(y[rows, 3]))
    targets <- matrix(if (state == 0) c(0, 1, 0) else c(1, 0, 0), nrow(curve), 3, byrow = TRUE)
    splines <- ref_eval_score(at, targets, parent_list(sim$dag), fit$score$theta,
                              fit$score$range, 8)$score[, 1]
    group <- fit$score$reference$group[match(if (state == 0) "b" else "a", levels(sim$env))]
    known <- -(at - rep(fit$score$reference$mean[, group], each = nrow(at))) %*%
      fit$score$reference$precision[, 1, group]
    expect_equal(curve$score, splines + drop(known))
  }
})

test_that("score curves leave out states without rows", {
  partly <- small_sim(8, targets = list(control = integer(), a = c(1, 4), b = 4))
  curves <- autoplot(oracle_fit(partly), type = "scores")$data
  expect_identical(as.vector(table(curves$node, curves$state)),
                   c(101L, 101L, 101L, 101L, 101L, 0L, 0L, 101L))
  always <- small_sim(9, targets = list(a = c(1, 4), b = c(2, 4), c = c(3, 4)))
  curves <- autoplot(oracle_fit(always), type = "scores")$data
  expect_identical(as.vector(table(curves$node, curves$state)[4, ]), c(0L, 101L))
})

test_that("env draws the errors by domain, against the Bayes optimum if given", {
  errors <- rel_mse(fit, sim, by = "env")
  bayes <- withr::with_seed(1, bayes_latents(sim, draws = 200))
  expect_equal(layers(autoplot(fit, type = "env", truth = sim))$GeomPoint$y, errors$rel_mse)
  drawn <- layers(autoplot(fit, type = "env", truth = sim, bayes = bayes))
  expect_equal(drawn$GeomPoint$y, errors$rel_mse)
  expect_equal(drawn[[1]]$y, rel_mse(bayes, sim, by = "env")$rel_mse)
  expect_error(autoplot(fit, type = "env"), class = "ebcrl_error_truth")
  expect_snapshot(autoplot(fit, type = "env"), error = TRUE)
})

test_that("baselines are drawn in their order, on a log axis where errors differ much", {
  skip_on_cran()
  baselines <- crl_baselines(sim, methods = c("pca", "no_shrinkage", "true", "empty"),
                             init = known(sim), control = crl_control(mixing = "fixed"))
  plot <- autoplot(baselines, truth = sim)
  labels <- c("true graph", "empty graph", "no shrinkage", "PCA")
  expect_identical(levels(plot$data$method), labels)
  points <- layers(plot)$GeomPoint
  expect_equal(unique(points$colour[order(points$x)])[1:4],
               okabe_ito(c("blue", "orange", "sky", "vermillion")))
  expect_equal(10^points$y, rel_mse(baselines, sim, by = "env")$rel_mse)
  expect_match(ggplot2::ggplot_build(plot)$layout$panel_scales_y[[1]]$name, "log scale")

  near <- structure(unclass(baselines)[c("true", "empty")], class = "crl_baselines")
  points <- layers(autoplot(near, truth = sim))$GeomPoint
  expect_equal(points$y, rel_mse(near, sim, by = "env")$rel_mse)
  expect_error(autoplot(baselines), class = "ebcrl_error_truth")
  withr::local_pdf(withr::local_tempfile())
  expect_silent(plot(baselines, truth = sim))
})

test_that("long names of panels are broken into lines", {
  withr::local_pdf(withr::local_tempfile(), width = 80 / 25.4)
  long <- paste("a rather long name of latent", 1:3)
  sim <- withr::with_seed(1, sim_crl(chain_dag(long), n = 40, p = 6))
  for (type in c("scores", "latents")) {
    plot <- autoplot(oracle_fit(sim, max_iter = 1), type)
    label <- plot$facet$params$labeller(list(node = long))[[1]][[1]]
    expect_identical(label, "a rather long name of\nlatent 1")
  }
})

test_that("crowded axes turn their labels", {
  expect_null(axis_of(paste0("z", 1:4))$angle)
  expect_equal(axis_of(paste0("do(z", 1:12, ")"), 2)$angle, 90)
})

test_that("axis labels of what hardly moves differ", {
  expect_identical(distinct_labels(c(1, 1.5, NA, 2)), c("1.0", "1.5", NA, "2.0"))
  breaks <- -0.4014114 + c(0, 2, 4) * 1e-9
  expect_false(anyDuplicated(distinct_labels(breaks)) > 0)
  expect_identical(as.numeric(distinct_labels(breaks)), breaks)
})

test_that("the default plot of a fit is what the domains do to the latents", {
  plot <- autoplot(fit)
  tiles <- ggplot2::layer_data(plot, 1L)
  effects <- tidy(fit, "effects")
  expect_identical(nrow(tiles), 16L)
  expect_identical(sum(effects$targeted), nrow(ggplot2::layer_data(plot, 2L)))
  expect_equal(plot$data$shift, effects$estimate)
  expect_false(any(ggplot2::layer_data(plot, 3L)$label == "-0.0"))
})

test_that("graphs and simulations draw nodes, edges, targets and latents", {
  skip_on_cran()
  dag <- as_dag("raf -> mek -> erk; raf -> erk; pka -> mek")
  drawn <- layers(autoplot(dag, targets = list(drug = "mek")))
  expect_setequal(drawn$GeomLabel$label, colnames(dag))
  expect_identical(drawn$GeomLabel$y[match(c("raf", "mek", "erk"), drawn$GeomLabel$label)],
                   c(0, -1, -2))
  arrows <- drawn$GeomLink
  expect_equal(arrows$x0, (arrows$x + arrows$xend) / 2) # none has a node in its way
  expect_identical(nrow(arrows), 4L)
  placed <- graph_layout(complete_dag(4))
  bulge <- edge_bulge(edge_ends(placed, c(1, 1, 2), c(3, 4, 4)), placed)
  expect_identical(bulge == 0, c(TRUE, FALSE, TRUE)) # z3 stands between z1 and z4
  expect_identical(drawn$GeomLabel$label[drawn$GeomLabel$fill != "white"], "mek")
  expect_named(layers(autoplot(empty_dag(2))), c("GeomPoint", "GeomLabel"))
  # arrows up, and those between neighbours, do not hide those down
  placed <- label_nodes(graph_layout(as_dag("z1 -> z2; z3 -> z2")))
  links <- edge_links(c(2, 1), c(1, 3), placed)
  expect_gt(abs(links$x0[1] - (links$x[1] + links$xend[1]) / 2), 0.2)
  expect_gt(abs(links$y0[2] - links$y[2]), 0.2)
  medians <- layers(autoplot(sim))$GeomPoint
  expected <- apply(sim$z, 2, tapply, sim$env, stats::median)
  expect_equal(medians$x[order(medians$PANEL, -medians$y)], as.vector(expected))
  expect_s3_class(autoplot(sim, type = "graph"), "ggplot")
  expect_s3_class(autoplot(sim, type = "effects"), "ggplot")
  expect_error(autoplot(sim, type = "x"), class = "ebcrl_error_range")
})

test_that("the graph of a fit has signs, widths, labels and what is not told", {
  skip_on_cran()
  weights <- matrix(0, 3, 3)
  weights[1, 2] <- 1
  weights[2, 3] <- -1
  linear_sim <- withr::with_seed(1, sim_crl((weights != 0) + 0L, n = 300, p = 12, kappa = 1,
                                            nonlinearity = "linear", edge_weights = weights))
  linear <- fit_crl(linear_sim, method = "g",
                    control = crl_control(prior = "linear", intervention = "perfect"))
  edges <- tidy(linear, "edges")
  drawn <- fitted_edges(edges, linear$data$dag)
  expect_identical(as.character(drawn$sign), ifelse(edges$effect > 0, "raises", "lowers"))
  expect_equal(drawn$share, sqrt(edges$share))
  expect_identical(drawn$label, sprintf("%+.1f", edges$effect))
  boot <- crl_boot(linear, times = 5, seed = 1)
  for (plot in list(autoplot(linear, "graph"), autoplot(linear, "graph", boot = boot),
                    autoplot(linear, "domains"), autoplot(linear, "mechanisms"),
                    autoplot(linear, "mechanisms", boot = boot), autoplot(boot),
                    autoplot(boot, "mixing"), autoplot(boot, "effects"))) {
    expect_silent(ggplot2::ggplot_build(plot))
  }
  edges$conf.low <- -1
  edges$conf.high <- c(1, -0.5)
  expect_identical(fitted_edges(edges, linear$data$dag)$told, c(FALSE, TRUE))
  violins <- ggplot2::layer_data(autoplot(linear, "domains"), 3L)
  means <- apply(linear$latents, 2, tapply, linear$data$env, stats::median)
  expect_equal(violins$x[order(violins$PANEL, -violins$y)], as.vector(means))
})

test_that("partial residuals take off what the other parents do", {
  skip_on_cran()
  complete <- withr::with_seed(1, sim_crl(complete_dag(3), n = 200, p = 12, nonlinearity = "linear",
                                          kappa = 0.5))
  linear <- fit_crl(complete, method = "g", control = crl_control(prior = "linear"))
  coef <- coef(linear, "mechanisms")
  rows <- which(linear$data$env == 1)
  state <- linear$data$targets[1, "z3"]
  slope <- coef$estimate[coef$node == "z3" & coef$state == state & coef$term == "z2"]
  z2 <- linear$latents[, "z2"]
  in_state <- linear$data$targets[linear$data$env, "z3"] == state
  expect_equal(partial_residual(linear, "z3", "z1", rows),
               unname(linear$latents[rows, "z3"] - slope * (z2[rows] - mean(z2[in_state]))),
               ignore_attr = TRUE)
})

test_that("pictures of graphs are as they were looked at", {
  skip_on_cran()
  dag <- as_dag("raf -> mek -> erk; raf -> erk; pka -> mek")
  vdiffr::expect_doppelganger("graph with targets", autoplot(dag, targets = list(drug = "mek")))
  edges <- tibble::tibble(from = c("raf", "mek", "raf", "pka"), to = c("mek", "erk", "erk", "mek"),
                          label = c("+0.5", "-1.2", "+0.04", ""),
                          sign = factor(c("raises", "lowers", "raises", NA), c("raises", "lowers")),
                          share = c(0.5, 0.9, 0.1, 0), told = c(TRUE, TRUE, FALSE, TRUE))
  vdiffr::expect_doppelganger("graph of a fit", plot_dag(dag, state_factor(c(0, 1, 0, 1)), edges))
  shifts <- tibble::tibble(domain = rep(c("none", "a"), 2), latent = rep(c("z1", "z2"), each = 2),
                           targeted = c(FALSE, TRUE, FALSE, FALSE), shift = c(0, 4, 0, -1))
  vdiffr::expect_doppelganger("shifts by domain", plot_effects(shifts))
  table <- tibble::tibble(from = c("z1", "z1"), to = "z2", state = 0:1, estimate = c(1, 0.2),
                          conf.low = c(0.8, -0.1), conf.high = c(1.2, 0.5))
  vdiffr::expect_doppelganger("edges with intervals", plot_boot_edges(table, "Bars: intervals"))
  # pictures of experiments, of numbers that are given
  methods <- rep(c("true", "complete", "no_shrinkage", "pca", "bayes"), each = 6)
  cells <- tibble::tibble(method = factor(methods, c(baseline_names(), "bayes")), seed = rep(1:6, 5),
                          setting = factor(rep(c("few", "many"), 15)), n = rep(c(50, 500), 15),
                          rel_mse = rep(c(0.05, 0.06, 0.09, 0.6, 0.04), each = 6) *
                            rep(1 + (1:6) / 20, 5))
  drawn <- function(plot) plot + theme_crl()
  vdiffr::expect_doppelganger("few runs by method", drawn(plot_runs(cells, "rel_mse", NULL)))
  one <- cells[cells$setting == "few", ]
  one$setting <- factor("few")
  more <- rbind(one, one)
  more$seed <- seq_len(nrow(more))
  vdiffr::expect_doppelganger("boxes by method", drawn(plot_runs(more, "rel_mse", NULL)))
  swept <- cells[c("method", "seed", "setting", "n", "rel_mse")]
  vdiffr::expect_doppelganger("sweep", drawn(plot_sweep(swept, "rel_mse", "n", NULL)))
  # loadings, curves, shifts and intervals
  loadings <- tibble::tibble(feature = rep(paste0("g", 1:4), 2), latent = rep(c("z1", "z2"), each = 4),
                             estimate = c(0.9, -0.3, 0.2, 0.1, 0, 0.5, -0.8, 0.3))
  loadings$latent <- factor(loadings$latent)
  vdiffr::expect_doppelganger("loadings as a map", loadings_map(loadings))
  vdiffr::expect_doppelganger("strongest loadings", strongest_loadings(loadings, most = 2L))
  ends <- tibble::tibble(conf.low = loadings$estimate - 0.1, conf.high = loadings$estimate + 0.1)
  vdiffr::expect_doppelganger("loadings with intervals",
                              plot_boot_loadings(cbind(loadings, ends), "Bars: intervals", 3))
  curves <- tibble::tibble(node = "z2", parent = "z1", state = rep(0:1, each = 5), z = rep(-2:2, 2),
                           estimate = c(tanh(-2:2), rep(0.1, 5)))
  curves <- cbind(curves, conf.low = curves$estimate - 0.2, conf.high = curves$estimate + 0.2)
  vdiffr::expect_doppelganger("curves with bands", plot_bands(curves, "Bands: intervals"))
  z <- cbind(z1 = qnorm(ppoints(40)), z2 = qnorm(ppoints(40))^3)
  by_domain <- list(env = rep(1:2, 20), env_names = c("none", "a"), latent_names = c("z1", "z2"),
                    targets = rbind(c(0, 0), c(1, 0)))
  vdiffr::expect_doppelganger("latents by domain", plot_by_domain(z, by_domain, "Latents"))
  rank <- structure(list(factors = 2L, d = 2L, nuisance = 0L, spectrum = c(9, 3, 1.2, 1.1), edge = 1.3,
                         n = 100, p = 10), class = "crl_rank")
  vdiffr::expect_doppelganger("scree", autoplot(rank))
})

test_that("labels of a graph have the intervals of a bootstrap", {
  edges <- tibble::tibble(from = "z1", to = "z2", state = 0L, effect = 0.82, share = 0.5,
                          conf.low = -0.004, conf.high = 1)
  expect_identical(fitted_edges(edges, chain_dag(2))$label, "+0.8\n(0.00, 1.00)")
  expect_false(fitted_edges(edges, chain_dag(2))$told)
  expect_identical(fitted_edges(edges[1:5], chain_dag(2))$label, "+0.8")
})

test_that("every picture of a fit with nuisance factors, which its engine has as latents", {
  skip_on_cran()
  measured <- withr::with_seed(3, sim_crl(
    chain_dag(3), n = 100, p = 20, center = stats::rnorm(20, 0, 3), noise_sd = 1:20 / 10,
    nuisance = 1, targets = list(none = character(), a = "z1", b = "z2", c = "z3")
  ))
  fit_of <- function(...) {
    suppressMessages(fit_crl(measured$x, measured$env, measured$targets, measured$dag, ...))
  }
  quick <- crl_control(seed = 1, intervention = "perfect",
                       saem = saem_control(burn_in = 20, iterations = 20))
  fits <- list(
    f = fit_of(nuisance = "auto"), markov = fit_of(nuisance = 2,
                                                   control = crl_control(score = "markov")),
    psd = fit_of(nuisance = 1, control = crl_control(intervention = "perfect", mixing = "psd")),
    g = fit_of(nuisance = 1, method = "g", control = quick)
  )
  expect_identical(fits$f$measurement$nuisance, 1L)
  of_all <- c("effects", "graph", "domains", "latents", "loadings", "env", "convergence", "check")
  for (name in names(fits)) {
    for (type in c(of_all, if (name == "g") "mechanisms" else "scores")) {
      drawn <- autoplot(fits[[name]], type, truth = if (type %in% c("env", "latents")) measured)
      expect_no_error(ggplot2::ggplot_build(drawn))
    }
  }
  curves <- autoplot(fits$f, "scores")$data
  expect_identical(levels(droplevels(curves$node)), c("z1", "z2", "z3"))
  # a latent without parents has a score that falls
  root <- curves[curves$node == "z1" & curves$state == "not targeted", ]
  expect_true(cor(root$y, root$score) < -0.9)
})

test_that("residuals of rows with missing entries are refused", {
  missing <- small_sim(3, n = 60, p = 20)
  missing$x[cbind(1:40, 1:20)] <- NA
  fit <- suppressMessages(fit_crl(missing))
  expect_error(autoplot(fit, "check"), class = "ebcrl_error_missing")
  expect_s3_class(autoplot(fit, "scores"), "ggplot")
})
