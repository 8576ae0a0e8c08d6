# Records what small fits compute (tests/testthat/recording.R), and compares a later run with the
# record bit by bit: for changes that shall move no result. The installed package on R_LIBS is what
# runs.
#
#   Rscript tools/record.R before.csv             write a record
#   Rscript tools/record.R before.csv --compare   run again and compare with it
#
# tests/testthat/recording.csv is such a record: written anew where a result is meant to move, with
# the reason in the commit. Exit status 1 if a vector differs by more than 1e-10 of its norm.

suppressPackageStartupMessages(library(ebcrl))
sys.source("tests/testthat/recording.R", environment())

arguments <- commandArgs(trailingOnly = TRUE)
file <- arguments[1L]
if (is.na(file)) stop("Usage: Rscript tools/record.R <file.csv> [--compare]")
recorded <- run_cases()
failed <- recorded[startsWith(recorded$part, "error:"), ]
if (nrow(failed)) cat(sprintf("%s failed: %s\n", failed$case, failed$part), sep = "")
if ("--compare" %in% arguments) {
  found <- compare_records(read_record(file), recorded)
  moved <- found[!found$bits %in% TRUE, ]
  cat(sprintf("%-24s %-8s %.1e%s\n", moved$case, moved$part, moved$off,
              ifelse(moved$off > TOLERANCE, "  <--", "")), sep = "")
  agree <- all(found$off <= TOLERANCE)
  cat(sprintf("%d vectors of %d runs: %d with the same bits, %s\n", nrow(found),
              length(unique(found$case)), sum(found$bits, na.rm = TRUE),
              if (agree) "all within 1e-10" else "NOT all within 1e-10"))
  if (!agree) quit(status = 1L)
} else {
  write_record(recorded, file)
  cat(sprintf("%d runs recorded, %d bytes\n", length(unique(recorded$case)), file.size(file)))
}
