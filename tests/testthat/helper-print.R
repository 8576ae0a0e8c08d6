# What is printed, wherever its lines break.
expect_printed <- function(object, regexp, ...) {
  printed <- gsub("[[:space:]]+", " ", paste(utils::capture.output(print(object)), collapse = " "))
  testthat::expect_match(printed, regexp, ...)
}
