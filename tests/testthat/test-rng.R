hex_words <- function(words) {
  vapply(strsplit(words, " ")[[1L]], function(w) {
    sum(strtoi(substring(w, c(1, 5), c(4, 8)), 16L) * c(65536, 1))
  }, numeric(1L), USE.NAMES = FALSE)
}

test_that("Philox4x32-10 gives the published vectors", {
  # known-answer vectors of Random123
  vectors <- rbind(
    c("00000000 00000000 00000000 00000000", "00000000 00000000",
      "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    c("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
      "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    c("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
      "d16cfe09 94fdcceb 5001e420 24126ea1")
  )
  for (i in seq_len(nrow(vectors))) {
    expect_identical(.Call(C_philox_words, hex_words(vectors[i, 1]), hex_words(vectors[i, 2])),
                     hex_words(vectors[i, 3]))
  }
})

test_that("neighbouring counters and keys give unrelated words", {
  words <- vapply(0:999, function(i) .Call(C_philox_words, c(i, 0, 0, 0), c(1, 0)), numeric(4L))
  expect_gt(stats::ks.test(as.vector(words) / 2^32, "punif")$p.value, 0.01)
  expect_lt(abs(stats::cor(words[1, -1], words[1, -1000])), 0.1)
  other_key <- vapply(0:999, function(i) .Call(C_philox_words, c(i, 0, 0, 0), c(2, 0)), numeric(4L))
  expect_lt(abs(stats::cor(words[1, ], other_key[1, ])), 0.1)
})

# A nonlinearity in R sees the draws themselves: with one edge a -> b, no intervention and a flat
# function, the draws of a are its proposal N(gain y, v s / (v + s)).
proposals_of <- function(n, draws) {
  seen <- numeric()
  sim <- withr::with_seed(1, sim_crl("a -> b", n = n, p = 10, targets = list(none = character()),
                                     nonlinearity = function(z) 0 * z))
  sim$scm$nonlinearity <- function(z) {
    seen <<- c(seen, z)
    0 * z
  }
  withr::with_seed(2, bayes_latents(sim, draws = draws))
  y <- (sim$x %*% sim$mixing)[, 1]
  (matrix(seen, draws) - rep(y * 4 / 6, each = draws)) / sqrt(4 * 2 / 6)
}

test_that("the sampler's normals are standard normal, in antithetic pairs, a stream per row", {
  draws <- 20000
  e <- proposals_of(3, draws)
  first <- e[seq_len(draws / 2), ]
  expect_equal(e[-seq_len(draws / 2), ], -first, tolerance = 1e-12)
  for (row in 1:3) {
    expect_gt(stats::ks.test(first[, row], "pnorm")$p.value, 0.01)
    expect_equal(stats::var(first[, row]), 1, tolerance = 0.05)
    expect_gt(max(first[, row]), 3)
    expect_lt(abs(stats::acf(first[, row], plot = FALSE)$acf[2]), 0.03)
  }
  expect_lt(max(abs(stats::cor(first)[upper.tri(diag(3))])), 0.03)
})
