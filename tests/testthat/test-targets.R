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

test_that("a label has each latent once, and none stands alone", {
  refused <- function(label) {
    expect_error(intervention_targets(c("none", label), latents = c("raf", "mek")),
                 class = "ebcrl_error_targets")
  }
  refused("raf+raf")
  refused("raf+none")
  refused("none+none")
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
