orthonormal <- function(p, d, seed = 1) {
  withr::with_seed(seed, random_orthonormal(p, d))
}

# All permutations of 1:d, for the slow search
permutations <- function(d) {
  if (d == 1L) {
    return(list(1L))
  }
  unlist(lapply(permutations(d - 1L), function(p) {
    lapply(0:(d - 1L), function(at) append(p, d, after = at))
  }), recursive = FALSE)
}

test_that("a signed permutation is undone exactly", {
  truth <- orthonormal(9, 4)
  estimate <- truth[, c(3, 1, 4, 2)] * rep(c(-1, 1, 1, -1), each = 9)
  alignment <- align_latents(estimate, truth)
  expect_identical(alignment$permutation, c(2L, 4L, 1L, 3L))
  expect_identical(unname(alignment$signs), c(1, -1, -1, 1))
  expect_equal(apply_alignment(estimate, alignment), truth)
  expect_equal(unname(alignment$agreement), rep(1, 4))
  # two latents must give up their partner, and off-diagonal products are 0 here
  expect_equal(alignment$gap, 2)
})

test_that("assignment and gap agree with a search of all permutations", {
  for (seed in 1:5) {
    d <- 4L
    truth <- orthonormal(6, d, seed)
    estimate <- orthonormal(6, d, seed + 100) * rep(c(2, 1, 1, 0.5), each = 6)
    all <- permutations(d)
    value <- abs(crossprod(truth, estimate))
    totals <- vapply(all, function(p) sum(value[cbind(1:d, p)]), numeric(1L))
    ranked <- order(totals, decreasing = TRUE)
    alignment <- align_latents(estimate, truth)
    expect_identical(alignment$permutation, as.integer(all[[ranked[1]]]))
    expect_equal(alignment$gap, totals[ranked[1]] - totals[ranked[2]])
    error <- function(p) {
      signs <- ifelse(crossprod(truth, estimate)[cbind(1:d, p)] < 0, -1, 1)
      sum((estimate[, p] * rep(signs, each = 6) - truth)^2)
    }
    expect_equal(error(all[[ranked[2]]]) - error(alignment$permutation), 2 * alignment$gap)
    matched <- alignment$permutation
    cosine <- value[cbind(1:d, matched)] / sqrt(colSums(estimate^2))[matched]
    expect_equal(unname(alignment$agreement), cosine)
  }
})

test_that("a tie has gap 0 and one latent has no runner-up", {
  truth <- orthonormal(5, 2)
  half <- cbind(truth[, 1] + truth[, 2], truth[, 1] - truth[, 2]) / sqrt(2)
  expect_equal(align_latents(half, truth)$gap, 0, tolerance = 1e-12)
  expect_identical(align_latents(-truth[, 1, drop = FALSE], truth[, 1, drop = FALSE])$gap, Inf)
})

test_that("shapes and types are checked, names carried", {
  truth <- orthonormal(5, 2)
  expect_error(align_latents(truth[-1, ], truth), class = "ebcrl_error_truth")
  expect_error(align_latents("A", truth), class = "ebcrl_error_type")
  expect_error(align_latents(truth * NA, truth), class = "ebcrl_error_missing")
  colnames(truth) <- c("raf", "mek")
  alignment <- align_latents(truth[, 2:1], truth)
  expect_named(alignment$signs, c("raf", "mek"))
  expect_match(capture.output(print(alignment)), "raf .*\\+2", all = FALSE)
})
