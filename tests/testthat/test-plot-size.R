# Pictures at 80 x 70 mm, a column of a journal: nothing is cut, no panel is swallowed.

long <- c("interferon_response", "cell_cycle_G2M", "hypoxia", "MHC_class_II_presentation",
          "ribosome", "glycolysis", "unfolded_protein_response", "apoptosis")
large_dag <- as_dag(paste0(
  "interferon_response -> MHC_class_II_presentation -> apoptosis; ",
  "hypoxia -> glycolysis -> apoptosis; interferon_response -> cell_cycle_G2M -> ribosome; ",
  "hypoxia -> unfolded_protein_response -> apoptosis; interferon_response -> apoptosis; ",
  "hypoxia -> ribosome"
))
# 20 domains, 60 features
large_sim <- withr::with_seed(4, {
  domains <- stats::setNames(as.list(rep(long, length.out = 19)),
                             paste0("guide ", LETTERS[1:19], " (CIITA)"))
  sim_crl(large_dag, n = 40, p = 60, sigma2 = 1, nonlinearity = "linear",
          targets = c(list("control, no guide" = character()), domains))
})
genes <- paste0("ENSG00000", 100100 + 1:60, "-probe", 1:60)
colnames(large_sim$x) <- rownames(large_sim$mixing) <- genes
quick_linear <- function(sim) {
  fit_crl(sim, method = "g", control = crl_control(prior = "linear", max_iter = 20, tol = 0))
}
large <- suppressWarnings(quick_linear(large_sim))

test_that("pictures of eight latents, 20 domains and long names fit a column", {
  skip_on_cran()
  for (type in c("effects", "graph", "domains", "latents", "loadings", "mechanisms", "convergence",
                 "check")) {
    expect_identical(picture_faults(autoplot(large, type)), character(), label = type)
  }
  expect_identical(picture_faults(autoplot(large, "env", truth = large_sim)), character())
  expect_identical(picture_faults(autoplot(large_sim)), character())
  boot <- crl_boot(large, times = 3, seed = 1)
  for (type in c("edges", "mixing", "effects", "mechanisms")) {
    expect_identical(picture_faults(autoplot(boot, type)), character(), label = type)
  }
})

test_that("every device has the letters of pictures", {
  skip_on_cran()
  boot <- crl_boot(large, times = 3, seed = 1)
  withr::local_pdf(withr::local_tempfile(fileext = ".pdf"))
  expect_silent(print(autoplot(boot, "edges")))
  expect_silent(print(autoplot(large, "mechanisms")))
})

test_that("pictures of one latent fit, and those of its edges are refused", {
  skip_on_cran()
  one_sim <- withr::with_seed(1, sim_crl(empty_dag(1), n = 60, p = 6,
                                         targets = list(rest = character(), heated = "z1")))
  one <- suppressWarnings(quick_linear(one_sim))
  for (type in c("effects", "graph", "domains", "latents", "loadings")) {
    expect_identical(picture_faults(autoplot(one, type)), character(), label = type)
  }
  boot <- crl_boot(one, times = 3, seed = 1)
  expect_identical(nrow(tidy(boot, "edges")), 0L)
  expect_identical(dim(confint(boot, "mechanisms")), c(0L, 2L))
  expect_error(autoplot(boot, "edges"), "No latent has a parent", class = "ebcrl_error_range")
  expect_error(autoplot(boot, "mechanisms"), class = "ebcrl_error_range")
})

test_that("titles, axes and legends of experiments fit", {
  skip_on_cran()
  cells <- expand.grid(method = factor(c("true", "complete", "no_shrinkage", "pca", "bayes"),
                                       c(baseline_names(), "bayes")),
                       seed = 1:3, n = c(50, 100, 500), d = 2:3)
  cells$setting <- factor(paste0("d = ", cells$d, ", n = ", cells$n))
  cells$rel_mse <- cells$coverage <- seq(0.02, 0.9, length.out = nrow(cells))
  cells <- tibble::as_tibble(cells)
  finished <- function(plot) plot + theme_crl() + theme_panels(run_columns(6L))
  expect_identical(picture_faults(finished(plot_runs(cells, "rel_mse", NULL))), character())
  swept <- cells[cells$d == 2, c("method", "seed", "setting", "n", "rel_mse", "coverage")]
  for (metric in c("rel_mse", "coverage")) {
    plot <- plot_sweep(swept, metric, "n", NULL) + theme_crl()
    expect_identical(picture_faults(plot), character(), label = metric)
  }
})

test_that("curves of mechanisms end where most rows do, and states without curves have no line", {
  skip_on_cran()
  sim <- withr::with_seed(1, sim_crl(chain_dag(2), n = 200, p = 10, nonlinearity = "linear"))
  fit <- fit_crl(sim, method = "g",
                 control = crl_control(prior = "linear", intervention = "perfect"))
  plot <- autoplot(fit, "mechanisms")
  rows <- fit$data$targets[fit$data$env, "z2"] == 0
  ends <- range(plot$data$z)
  expect_gte(ends[1], quantile(fit$latents[rows, "z1"], 0.02))
  expect_lte(ends[2], quantile(fit$latents[rows, "z1"], 0.98))
  expect_match(gsub("\n", " ", plot$labels$subtitle), "Curves: where 96 % of the rows are")
  expect_identical(unique(as.character(plot$data$state)), "not targeted")
  guide <- plot$scales$get_scales("colour")$guide
  expect_identical(guide$override.aes$linetype, c("solid", "blank"))
})

test_that("boxes of graphs stand beside each other, and arrows end at them", {
  skip_on_cran()
  nodes <- label_nodes(graph_layout(large_dag))
  expect_gte(node_size(nodes), 1.8)
  expect_true(all(nchar(unlist(strsplit(nodes$text, "\n"))) <= 16))
  expect_identical(gsub("\n", "", nodes$text), nodes$name)
  withr::local_pdf(withr::local_tempfile(fileext = ".pdf"), width = 80 / 25.4, height = 70 / 25.4)
  across <- GRAPH_WIDTH / (diff(range(nodes$x)) + 2 * BESIDE_GRAPH)
  boxes <- boxes_of(nodes$text, nodes$x * across, nodes$y, node_size(nodes))
  for (layer in split(boxes, nodes$y)) {
    layer <- layer[order(layer$x), ]
    expect_true(all(diff(layer$x - layer$wide) > 0))
    expect_true(all(layer$x[-1] - layer$wide[-1] > (layer$x + layer$wide)[-nrow(layer)]))
  }
  link <- data.frame(x = 0, y = 0, xend = 0, yend = -30, x0 = 0, y0 = -15)
  box <- function(y) data.frame(x = 0, y = y, wide = 4, high = 3)
  line <- between_boxes(curve_through(link), box(0), box(-30), 0.5)
  expect_equal(range(line[, 2]), c(-26.5, -3), tolerance = 0.02)
  # boxes that touch leave no arrow
  expect_identical(nrow(between_boxes(curve_through(link), box(-10), box(-15), 0)), 0L)
})

test_that("labels of arrows keep clear of boxes and of each other where they can", {
  withr::local_pdf(withr::local_tempfile(fileext = ".pdf"))
  down <- function(x) cbind(x, seq(0, -30, length.out = 61))
  lines <- list(down(0), down(8))
  blocked <- data.frame(x = 5, y = -15, wide = 2, high = 3)
  panel <- data.frame(x = 4, y = -15, wide = 30, high = 20)
  label <- c("+0.5", "-0.5")
  places <- label_places(label, lines, lines, blocked, panel)
  boxes <- names(blocked)
  hits <- function(k, covered) label_hits(places[k, ], lines[[k]], lines, covered, panel)
  expect_identical(hits(1, blocked), 0)
  expect_identical(hits(2, rbind(blocked, places[1, boxes])), 0)
  expect_identical(unique(places$size), LABEL_SIZES[1])
  # the panel ends left of the lines: not outside
  narrow <- data.frame(x = 14, y = -15, wide = 15, high = 20)
  expect_true(all(label_places(label, lines, lines, blocked, narrow)$x > 0))
  # by the other line it would be read as that one's
  by_other <- data.frame(x = 6.5, y = -25, wide = 1, high = 1)
  expect_identical(label_hits(by_other, lines[[1]], lines, blocked, panel), 2)
})

test_that("labels with intervals of a dense graph cover no node and no other label", {
  withr::local_pdf(withr::local_tempfile(fileext = ".pdf"), width = 80 / 25.4, height = 75 / 25.4)
  from <- c(1, 1, 2, 3, 4, 4, 2, 5, 6, 6, 1, 3)
  to <- c(3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 7)
  x <- c(28, 44, 12, 44, 28, 60, 28, 44)
  y <- c(45, 45, 33, 33, 21, 21, 9, 9)
  nodes <- data.frame(x = x, y = y, wide = 3, high = 2.5)
  lines <- Map(function(i, j) {
    link <- data.frame(x = x[i], y = y[i], xend = x[j], yend = y[j], x0 = (x[i] + x[j]) / 2,
                       y0 = (y[i] + y[j]) / 2)
    between_boxes(curve_through(link), nodes[i, ], nodes[j, ], 0.5)
  }, from, to)
  panel <- data.frame(x = 36, y = 27, wide = 36, high = 27)
  places <- label_places(rep("-0.9\n(-1.02, -0.87)", 12), lines, lines, nodes, panel)
  expect_true(all(overlaps(places, nodes) == 0))
  expect_lte(sum(overlaps(places, places) - 1), 2) # of one pair
  expect_true(all(abs(places$x - panel$x) + places$wide <= panel$wide))
})

test_that("evidence of many edges and targets fits a column", {
  skip_on_cran()
  edges <- tibble::tibble(from = rep(long, each = 3), to = rep(long, length.out = 24), share = 0.5,
                          present = TRUE)
  targets <- tibble::tibble(domain = rownames(large_sim$targets)[-1], known = FALSE, share = 0.9,
                            latent = rep(long, length.out = 19), present = TRUE)
  plot <- plot_shares(edges, targets, "share", c("in the best", "in others only"), 0.95)
  plot <- plot + ggplot2::labs(title = "Evidence", x = "Share")
  expect_identical(picture_faults(plot, least = 20), character())
  expect_identical(plot$labels$subtitle, "Dashed: 95 %")
  expect_identical(edge_names(c("a\rb", "d\rb\ron")), c("a -> b", "d on b"))
})

test_that("wider devices have room for longer names", {
  skip_on_cran()
  shown <- function(width) {
    withr::local_pdf(withr::local_tempfile(fileext = ".pdf"), width = width / 25.4)
    edge_names("unfolded_protein_response\rMHC_class_II_presentation")
  }
  expect_identical(shown(80), "unfol..onse -> MHC_c..tion")
  expect_identical(shown(160), "unfolded_protein_response -> MHC_class_II_presentation")
})

test_that("long names lose their middle, and stay apart", {
  expect_identical(short_names(c("z1", "unfolded_protein_response", NA), 11),
                   c("z1", "unfol..onse", NA))
  expect_identical(nchar(short_names(strrep("ab", 20:22), c(10, 11, 12))), 10:12)
  alike <- paste0("protein_kinase_", c("alpha", "betaa"), "_subunit")
  expect_identical(distinct_names(alike, 12), alike)
  expect_identical(broken_name("d = 2, n = 120", 12), "d = 2,\nn = 120")
  expect_identical(broken_name("unfolded_protein_response", 16), "unfolded_\nprotein_response")
})
