# usage: Rscript tools/test.R
# Runs tests/testthat against the installed package, writes "passed failed skipped" to
# .build/test-counts.txt, and exits 1 if any test failed. What is counted is test_that() blocks:
# one is failed if any of its expectations is, else skipped if it skipped, else passed.

results <- testthat::test_dir(
  "tests/testthat",
  package = "ebcrl", load_package = "installed",
  reporter = testthat::ProgressReporter$new(
    show_praise = FALSE, max_failures = Inf, update_interval = Inf
  ),
  stop_on_failure = FALSE
)
results <- as.data.frame(results)

failed <- results$failed > 0L | results$error
skipped <- results$skipped & !failed
counts <- c(passed = sum(!failed & !skipped), failed = sum(failed), skipped = sum(skipped))

slowest <- head(results[order(-results$real), c("file", "test", "real")], 5L)
cat("\nSlowest tests (seconds):\n")
cat(sprintf("%6.1f  %s: %s\n", slowest$real, slowest$file, slowest$test), sep = "")
cat("\nTests (test_that blocks): ", paste(counts, names(counts), collapse = ", "), "\n", sep = "")

writeLines(paste(counts, collapse = " "), ".build/test-counts.txt")
if (counts[["failed"]] > 0L || sum(counts) == 0L) quit(status = 1L)
