# What is printed, wherever its lines break; of a fit in full, by summary().
expect_printed <- function(object, regexp, ...) {
  if (inherits(object, "crl_fit")) {
    utils::capture.output(print(object))
    object <- summary(object)
  }
  printed <- gsub("[[:space:]]+", " ", paste(utils::capture.output(print(object)), collapse = " "))
  testthat::expect_match(printed, regexp, ...)
}
