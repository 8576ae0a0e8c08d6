sim <- withr::with_seed(1, {
  weights <- matrix(0, 3, 3)
  weights[1, 2] <- 0.8
  weights[2, 3] <- -0.5
  sim_crl((weights != 0) + 0L, n = 200, p = 15, nonlinearity = "linear", kappa = 1,
          edge_weights = weights, targets = list(none = character(), a = 1, b = 2, c = 3))
})
sim$x <- `colnames<-`(sim$x, c("</script> \"quoted\"", paste0("gene", 2:15)))
fit <- fit_crl(sim, method = "g", control = crl_control(prior = "linear", intervention = "perfect"))

test_that("JSON is what a reader of it reads", {
  expect_identical(as_json(list(a = 1, b = I(1), c = list(TRUE, "x\"\\"))),
                   '{"a":1,"b":[1],"c":[true,"x\\"\\\\"]}')
  expect_identical(as_json(c(NA, 2)), "null")
  expect_identical(as_json(I(character())), "[]")
})

test_that("the page is one file without links to others", {
  file <- withr::local_tempfile(fileext = ".html")
  expect_identical(explore(fit, file), file)
  page <- paste(readLines(file), collapse = "\n")
  expect_no_match(page, "(src|href)=")
  expect_no_match(page, "@MODEL@", fixed = TRUE)
  expect_length(gregexpr("</script>", page, fixed = TRUE)[[1]], 2L)
  expect_error(explore(fit, 3), class = "ebcrl_error_type")
  expect_error(explore(fit), class = "ebcrl_error_type")
  expect_error(explore(fit, file.path(tempdir(), "no", "folder.html")), class = "ebcrl_error_results")
})

test_that("a slider that is moved changes what follows, as effects() has it", {
  skip_on_cran()
  browser <- Sys.which(c("chromium", "chromium-browser", "google-chrome"))
  browser <- unname(browser[nzchar(browser)][1])
  skip_if(is.na(browser), "no chromium")
  folder <- withr::local_tempdir()
  file <- file.path(folder, "page.html")
  explore(fit, file)
  page <- readLines(file)
  moves <- "<script>const s = document.getElementById('slide0'); s.value = 2; s.dispatchEvent(new Event('input')); document.getElementById('search').value = 'gene7'; document.getElementById('search').dispatchEvent(new Event('input')); document.body.dataset.moved = s.value;</script>"
  writeLines(sub("</body>", paste0(moves, "</body>"), page, fixed = TRUE), file)
  dom <- suppressWarnings(system2(browser, c(
    "--headless", "--no-sandbox", "--disable-gpu", paste0("--user-data-dir=", folder),
    "--virtual-time-budget=5000", "--dump-dom", paste0("file://", file)
  ), stdout = TRUE, stderr = FALSE))
  dom <- paste(dom, collapse = "\n")
  moved <- as.numeric(sub('(?s).*data-moved="([^"]*)".*', "\\1", dom, perl = TRUE))
  expect_equal(moved, 2, tolerance = 0.05)
  after <- as.numeric(regmatches(dom, gregexpr('(?<=data-after=")[^"]*', dom, perl = TRUE))[[1]])
  change <- withr::with_seed(1, effects(fit, do = list(z1 = moved), n = 10))
  slopes <- coef(fit, "mechanisms")
  of <- function(node, term) {
    slopes$estimate[slopes$node == node & slopes$state == 0 & slopes$term == term]
  }
  z2 <- of("z2", "(Intercept)") + of("z2", "z1") * moved
  z3 <- of("z3", "(Intercept)") + of("z3", "z2") * z2
  expect_equal(after, c(moved, z2, z3), tolerance = 1e-5)
  table <- sub('(?s).*<table id="loadings">(.*?)</table>.*', "\\1", dom, perl = TRUE)
  expect_length(gregexpr("gene7", table)[[1]], 3L)
  expect_no_match(table, "gene8")
})
