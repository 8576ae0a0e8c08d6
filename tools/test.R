# usage: Rscript tools/test.R [--cores=2]
# Runs the files of tests/testthat against the installed package, each in a process of its own,
# `cores` at a time, long files first; writes "passed failed skipped" to .build/test-counts.txt, and
# exits 1 if any test failed. What is counted is test_that() blocks: one is failed if any of its
# expectations is, else skipped if it skipped, else passed. A file whose process ends early, or in
# which no test ran, is one that failed.
# (A process is this script with --file=<test file> --out=<results>.)

given <- function(name, default = NULL) {
  found <- grep(paste0("^--", name, "="), commandArgs(trailingOnly = TRUE), value = TRUE)
  if (length(found) == 0L) default else sub("^[^=]*=", "", found[1L])
}

if (!is.null(given("file"))) {
  results <- testthat::test_file(
    given("file"), package = "ebcrl", load_package = "installed", stop_on_failure = FALSE,
    reporter = testthat::CheckReporter$new()
  )
  saveRDS(as.data.frame(results), given("out"))
  quit()
}

# The results of a file, and what was printed on the way.
run_file <- function(file) {
  out <- tempfile()
  said <- suppressWarnings(system2(
    file.path(R.home("bin"), "Rscript"),
    c("tools/test.R", paste0("--file=", file), paste0("--out=", out)), stdout = TRUE, stderr = TRUE
  ))
  list(file = basename(file), said = said, results = if (file.exists(out)) readRDS(out))
}

counted <- function(one) {
  if (is.null(one$results) || nrow(one$results) == 0L) {
    return(c(passed = 0L, failed = 1L, skipped = 0L))
  }
  failed <- one$results$failed > 0L | one$results$error
  skipped <- one$results$skipped & !failed
  c(passed = sum(!failed & !skipped), failed = sum(failed), skipped = sum(skipped))
}

files <- list.files("tests/testthat", "^test-.*\\.R$", full.names = TRUE)
files <- files[order(-file.size(files))]
cores <- max(1L, min(as.integer(given("cores", 2L)), parallel::detectCores(), na.rm = TRUE))
cl <- parallel::makePSOCKcluster(cores)
done <- parallel::parLapplyLB(cl, files, run_file, chunk.size = 1L)
parallel::stopCluster(cl)

for (one in done[order(vapply(done, `[[`, "", "file"))]) {
  counts <- counted(one)
  cat(sprintf("%-32s %s\n", one$file, paste(counts, names(counts), collapse = ", ")))
  if (counts[["failed"]] > 0L || any(one$results$warning > 0L)) cat(one$said, sep = "\n")
}

results <- do.call(rbind, lapply(done, `[[`, "results"))
counts <- rowSums(vapply(done, counted, integer(3L)))
slowest <- head(results[order(-results$real), c("file", "test", "real")], 5L)
cat("\nSlowest tests (seconds):\n")
cat(sprintf("%6.1f  %s: %s\n", slowest$real, slowest$file, slowest$test), sep = "")
cat("\nTests (test_that blocks): ", paste(counts, names(counts), collapse = ", "), "\n", sep = "")

writeLines(paste(counts, collapse = " "), ".build/test-counts.txt")
if (counts[["failed"]] > 0L || sum(counts) == 0L) quit(status = 1L)
