# Runs code in an R process of its own: its output, or an error after so many seconds.
in_fresh_process <- function(code, seconds) {
  script <- withr::local_tempfile(fileext = ".R")
  writeLines(c(sprintf(".libPaths(%s)", paste(deparse(.libPaths()), collapse = "")), code), script)
  suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", script),
                           stdout = TRUE, stderr = TRUE, timeout = seconds))
}

# Evaluates code with another value for an object of the package.
with_internal <- function(name, value, code) {
  space <- asNamespace("ebcrl")
  before <- get(name, space)
  put <- function(value) {
    unlockBinding(name, space)
    assign(name, value, space)
    lockBinding(name, space)
  }
  put(value)
  on.exit(put(before))
  force(code)
}

#' Names of the bars that code asks for, in order
recorded_stages <- function(code) {
  stages <- character()
  record <- function(name) stages <<- c(stages, name)
  namespace <- asNamespace("ebcrl")
  suppressMessages(trace("with_progress", where = namespace, print = FALSE,
                         tracer = bquote(.(record)(name))))
  on.exit(suppressMessages(untrace("with_progress", where = namespace)))
  suppressMessages(force(code))
  stages
}
