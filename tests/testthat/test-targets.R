bits <- function(..., domains, latents) {
  matrix(as.integer(c(...)), length(domains), byrow = TRUE, dimnames = list(domains, latents))
}

test_that("a 0/1 matrix, logical matrix or data frame is taken with its names", {
  m <- bits(0, 0, 1, 0, domains = c("obs", "a"), latents = c("raf", "mek"))
  targets <- intervention_targets(m)
  expect_s3_class(targets, c("crl_targets", "matrix", "array"), exact = TRUE)
  expect_identical(unclass(targets), m)
  expect_identical(intervention_targets(m == 1), targets)
  expect_identical(intervention_targets(as.data.frame(m)), targets)
  expect_identical(intervention_targets(targets), targets)
})

test_that("what has no name is called by position", {
  targets <- intervention_targets(rbind(c(0, 1), c(1, 0)))
  expect_identical(dimnames(targets), list(c("1", "2"), c("z1", "z2")))
  expect_identical(rownames(intervention_targets(data.frame(a = 0:1, b = 1:0))), c("1", "2"))
})

test_that("a list of positions or names gives the same matrix", {
  latents <- c("raf", "mek", "erk")
  wanted <- bits(0, 0, 0, 0, 1, 0, 1, 0, 1, domains = c("obs", "a", "b"), latents = latents)
  by_name <- list(obs = NULL, a = "mek", b = c("erk", "raf"))
  by_position <- list(obs = integer(0), a = 2, b = c(3L, 1L))
  expect_identical(unclass(intervention_targets(by_name, latents = latents)), wanted)
  expect_identical(unclass(intervention_targets(by_position, latents = latents)), wanted)
  expect_identical(unclass(intervention_targets(by_position)),
                   `colnames<-`(wanted, c("z1", "z2", "z3")))
  expect_identical(ncol(intervention_targets(by_position, d = 5)), 5L)
})

test_that("pcalg's targets and target.index give the domain of each row", {
  targets <- intervention_targets(targets = list(integer(0), 3, c(1, 2)),
                                  target.index = c(1, 1, 3, 2))
  expect_identical(matrix(targets, 3), rbind(c(0L, 0L, 0L), c(0L, 0L, 1L), c(1L, 1L, 0L)))
  expect_identical(attr(targets, "env"), factor(c(1, 1, 3, 2), levels = 1:3))
})

test_that("labels of rows give domains, targets and the domain of each row", {
  labels <- c("none", "mek", "", "raf+mek", "mek")
  targets <- intervention_targets(labels, latents = c("raf", "mek"))
  env <- attr(targets, "env")
  expect_identical(as.character(env), c("none", "mek", "none", "raf+mek", "mek"))
  attr(targets, "env") <- NULL
  expect_identical(unclass(targets),
                   bits(0, 0, 0, 1, 1, 1, domains = c("none", "mek", "raf+mek"),
                        latents = c("raf", "mek")))
  ordered <- intervention_targets(factor(labels[c(1, 2, 5)], levels = c("mek", "none", "raf")),
                                  latents = c("raf", "mek"))
  expect_identical(rownames(ordered), c("mek", "none"))
})

test_that("a latent whose own name holds a plus is one latent", {
  targets <- intervention_targets(c("none", "K+"), latents = c("K+", "Na+"))
  expect_identical(targets["K+", ], c("K+" = 1L, "Na+" = 0L))
})

test_that("a label has each latent once, and latents only", {
  for (label in c("raf+raf", "raf+", "+raf", "raf+erk", "ctrl")) {
    expect_error(intervention_targets(c("none", label), latents = c("raf", "mek")),
                 class = "ebcrl_error_targets")
  }
})

test_that("labels for no intervention are read wherever a latent may stand", {
  latents <- c("A", "B")
  wanted <- bits(0, 0, 1, 0, 1, 1, 0, 0, domains = c("ctrl", "A+ctrl", "A+B", "NT+ctrl"),
                 latents = latents)
  by_row <- intervention_targets(rownames(wanted), latents = latents, none = c("ctrl", "NT"))
  expect_identical(matrix(by_row, 4), unname(wanted))
  expect_identical(rownames(by_row), rownames(wanted))
  expect_identical(attr(by_row, "labels"), list(none = c("ctrl", "NT"), sep = "+"))
  expect_identical(attr(match_latents(by_row, c("B", "A")), "labels"), attr(by_row, "labels"))

  sets <- list(north = "none", south = "A+B", east = c("A", "none"), west = "")
  wanted <- bits(0, 0, 1, 1, 1, 0, 0, 0, domains = names(sets), latents = latents)
  expect_identical(unclass(intervention_targets(sets, latents = latents)), wanted)
  expect_identical(unclass(intervention_targets(list(a = "A_B"), latents, sep = "_")),
                   `attr<-`(bits(1, 1, domains = "a", latents = latents), "labels",
                            list(none = "none", sep = "_")))
  # without a separator a label is a latent
  expect_error(intervention_targets("A+B", latents, sep = NULL), class = "ebcrl_error_targets")
  expect_error(intervention_targets("A", latents, none = "A"), class = "ebcrl_error_targets")
  expect_error(intervention_targets("A", latents, sep = 1), class = "ebcrl_error_type")
})

test_that("labels with names are one for each domain", {
  latents <- c("z1", "z2")
  wanted <- bits(1, 0, 0, 0, 1, 1, domains = c("domA", "domB", "domC"), latents = latents)
  labels <- c(domA = "z1", domB = "none", domC = "z1+z2")
  expect_identical(unclass(intervention_targets(labels, latents)), wanted)
  factor <- stats::setNames(factor(labels), names(labels))
  expect_identical(unclass(intervention_targets(factor, latents)), wanted)
  # names that repeat, or that R makes up, are not those of domains
  by_row <- intervention_targets(c(a = "z1", a = "z1", b = "none"), latents)
  expect_identical(rownames(by_row), c("z1", "none"))
  expect_identical(dim(intervention_targets(c("1" = "z1", "2" = "z1"), latents)), c(1L, 2L))
})

test_that("data frames and tibbles have their domains in a column", {
  wanted <- bits(0, 0, 1, 0, domains = c("obs", "a"), latents = c("raf", "mek"))
  table <- tibble::tibble(domain = c("obs", "a"), raf = c(0, 1), mek = c(0, 0))
  same <- function(frame, ...) {
    expect_identical(unclass(intervention_targets(frame, ...)), wanted)
  }
  same(table)
  same(table[c("raf", "domain", "mek")])
  same(stats::setNames(table, c("site", "raf", "mek")))
  same(transform(table, domain = factor(domain)))
  same(stats::setNames(table, c("env", "raf", "mek")))
  same(data.frame(raf = 0:1, mek = 0, row.names = c("obs", "a")))
  same(tibble::tibble(domain = c("obs", "a"), target = c("none", "raf")), latents = c("raf", "mek"))
  same(tibble::tibble(domain = c("obs", "a"), target = list(NULL, 1L)), latents = c("raf", "mek"))
  numbered <- intervention_targets(data.frame(domain = c(100000, 2), z1 = 0:1))
  expect_identical(rownames(numbered), c("100000", "2"))
  expect_identical(rownames(intervention_targets(data.frame(z1 = 1:0, q = 1:2), domain = "q")),
                   c("1", "2"))
  # a latent may have the name
  expect_identical(dim(intervention_targets(data.frame(env = 0:1, a = 1:0),
                                            latents = c("a", "env"))), c(2L, 2L))

  refused <- function(class, ...) {
    expect_error(intervention_targets(...), class = paste0("ebcrl_error_", class))
  }
  refused("domain", table, domain = "site")
  refused("domain", data.frame(domain = c("obs", "a"), z1 = 0:1, row.names = c("a", "obs")))
  refused("domain", data.frame(domain = c("a", "a"), z1 = 0:1))
  refused("type", data.frame(table, batch = "b"))
})

test_that("columns are matched with the graph by name, else by position", {
  m <- bits(1, 0, 0, 1, domains = c("a", "b"), latents = c("mek", "raf"))
  expect_identical(unclass(intervention_targets(m, latents = c("raf", "mek"))),
                   m[, c("raf", "mek")])
  default <- `colnames<-`(m, c("z1", "z2"))
  expect_identical(unclass(match_latents(intervention_targets(default), c("raf", "mek"))),
                   `colnames<-`(m, c("raf", "mek")))
  expect_identical(unclass(match_latents(intervention_targets(m), c("z1", "z2"))), m)
  # the default names in another order are names
  swapped <- `colnames<-`(m, c("z2", "z1"))
  expect_identical(unclass(match_latents(intervention_targets(swapped), c("z1", "z2"))),
                   swapped[, c("z1", "z2")])
  half <- `colnames<-`(m, c("z1", "mek"))
  expect_error(match_latents(intervention_targets(half), c("z1", "z2")),
               class = "ebcrl_error_targets")
})

test_that("the domain of each row survives a change of columns", {
  targets <- intervention_targets(list(2, 1), target.index = c(2, 1, 1))
  matched <- match_latents(targets, c("raf", "mek"))
  expect_identical(attr(matched, "env"), factor(c(2, 1, 1)))
})

test_that("print.crl_targets() says in words who is targeted where", {
  expect_snapshot(print(intervention_targets(list(obs = NULL, a = 1, b = c(1, 3)))))
  expect_snapshot(print(intervention_targets(list(1, 2), target.index = c(1, 1, 2))))
})

test_that("states and cells are numbered as in the C core", {
  expect_identical(core_limit("states"), length(STATES))
  cells <- cells_of(1:3)
  numbers <- seq_len(n_cells(3L))
  expect_identical(cell_of(cells$node, cells$state), numbers)
  expect_identical(node_of(numbers), cells$node)
  expect_identical(state_of(numbers), cells$state)
  targets <- rbind(0:1, 0L, 1:0)
  expect_identical(state_counts(targets), rbind(c(2, 2), c(1, 1)))
  expect_identical(parents_act(STATES, TRUE), c(TRUE, FALSE))
  withr::local_seed(1)
  fit <- fit_crl(sim_crl(chain_dag(2), n = 50, p = 4), method = "g", init = "pca",
                 control = crl_control(prior = "linear"))
  expect_identical(colnames(fit$latent_noise_var), STATE_NAMES)
})

test_that("labels that are no latents are told what they may be", {
  said <- function(code) {
    error <- rlang::catch_cnd(code, "ebcrl_error_targets")
    gsub("\\s+", " ", cli::ansi_strip(conditionMessage(error)))
  }
  labels <- function(label) {
    said(intervention_targets(c("kinase", label), latents = c("receptor", "kinase")))
  }
  for (control in c("control", "ctrl", "non-targeting", "NT", "Untreated")) {
    expect_match(labels(control), paste0("none = \"", control, "\")"), fixed = TRUE)
  }
  expect_match(said(intervention_targets(list(a = "control"), latents = "kinase")),
               "none = \"control\")", fixed = TRUE)
  expect_match(labels("kinsae"), "Did you mean \"kinase\"?", fixed = TRUE)
  expect_no_match(labels("something"), "Did you mean", fixed = TRUE)
  sim <- sim_crl(chain_dag(2), n = 50, p = 5, nonlinearity = "linear",
                 targets = list(ctrl = character(), kd = "z1"))
  fit <- suppressMessages(fit_crl(sim, method = "g", control = crl_control(prior = "linear")))
  expect_match(said(predict(fit, sim$x[1:2, ], targets = "kd")),
               "\"kd\" is a domain of the fit, whose targets are \"z1\"", fixed = TRUE)
  expect_match(said(simulate_domain(fit, "ctrl", 2)), "whose targets are \"none\"", fixed = TRUE)
  expect_error(fit_crl(sim$x, sim$env, list(kd = "z1"), sim$dag), "list\\(ctrl = NULL, ...\\)",
               class = "ebcrl_error_domain")
})
