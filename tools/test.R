# usage: Rscript tools/test.R [--cores=2]
# Runs the files of tests/testthat against the installed package, each in one of `cores` processes,
# long files first, writes "passed failed skipped" to .build/test-counts.txt, and exits 1 if any
# test failed. What is counted is test_that() blocks: one is failed if any of its expectations is,
# else skipped if it skipped, else passed.

given <- grep("^--cores=", commandArgs(trailingOnly = TRUE), value = TRUE)
cores <- if (length(given) > 0L) as.integer(sub(".*=", "", given[1L])) else 2L
cores <- max(1L, min(cores, parallel::detectCores(), na.rm = TRUE))

run_file <- function(file) {
  said <- utils::capture.output({
    results <- testthat::test_file(
      file, package = "ebcrl", load_package = "installed", stop_on_failure = FALSE,
      reporter = testthat::CheckReporter$new()
    )
  })
  list(file = basename(file), said = said, results = as.data.frame(results))
}

files <- list.files("tests/testthat", "^test-.*\\.R$", full.names = TRUE)
files <- files[order(-file.size(files))]
cl <- parallel::makePSOCKcluster(cores)
done <- parallel::parLapplyLB(cl, files, run_file, chunk.size = 1L)
parallel::stopCluster(cl)

counted <- function(results) {
  failed <- results$failed > 0L | results$error
  skipped <- results$skipped & !failed
  c(passed = sum(!failed & !skipped), failed = sum(failed), skipped = sum(skipped))
}
for (one in done[order(vapply(done, `[[`, "", "file"))]) {
  counts <- counted(one$results)
  cat(sprintf("%-32s %s\n", one$file, paste(counts, names(counts), collapse = ", ")))
  if (counts[["failed"]] > 0L || any(one$results$warning > 0L)) cat(one$said, sep = "\n")
}

results <- do.call(rbind, lapply(done, `[[`, "results"))
counts <- counted(results)
slowest <- head(results[order(-results$real), c("file", "test", "real")], 5L)
cat("\nSlowest tests (seconds):\n")
cat(sprintf("%6.1f  %s: %s\n", slowest$real, slowest$file, slowest$test), sep = "")
cat("\nTests (test_that blocks): ", paste(counts, names(counts), collapse = ", "), "\n", sep = "")

# A file in which no test ran has failed, too.
empty <- sum(vapply(done, function(one) nrow(one$results) == 0L, NA))
counts[["failed"]] <- counts[["failed"]] + empty
writeLines(paste(counts, collapse = " "), ".build/test-counts.txt")
if (counts[["failed"]] > 0L || sum(counts) == 0L) quit(status = 1L)
