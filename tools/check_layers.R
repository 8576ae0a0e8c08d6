# Proves that the C core is layered: no file uses, directly or through others, a file that uses it,
# and each uses only files of its own layer or of those below. A file is a .c with its .h. It uses
# another whose header it includes, or one of whose symbols it refers to (nm on the objects).
#
#   Rscript tools/check_layers.R            fails on the first breach
#   Rscript tools/check_layers.R --list     and prints each file with its layer and what it uses

# The folders of src/, from the ground up; init.c, beside them, is on top.
LAYERS <- c("base", "spline", "data", "model", "truth", "start", "discover", "score", "f", "g", "glue")

fail <- function(...) {
  cat("check_layers: ", sprintf(...), "\n", sep = "")
  quit(status = 1L)
}

unit_of <- function(path) sub("[.][ch]$", "", basename(path))

layer_of <- function(path) {
  folder <- basename(dirname(path))
  if (folder == "src") folder <- "glue"
  if (!folder %in% LAYERS) fail("%s is in no layer", path)
  folder
}

includes <- function(path) {
  lines <- grep('^#include "', readLines(path), value = TRUE)
  unit_of(sub('^#include "([^"]*)".*$', "\\1", lines))
}

# Symbols as `nm` has them: `defined` or `undefined` in an object.
symbols <- function(object, which) {
  flag <- c(defined = "--defined-only", undefined = "--undefined-only")[[which]]
  lines <- system2("nm", c("-g", flag, shQuote(object)), stdout = TRUE)
  lines <- lines[nzchar(lines)]
  sub("^.* ", "", lines)
}

compile <- function(sources, folder) {
  include <- c("-Isrc", paste0("-I", unique(dirname(sources))), paste0("-I", R.home("include")))
  flags <- c("-std=gnu99", "-O0", "-DUSE_FC_LEN_T", "-DSTRICT_R_HEADERS", unique(include))
  cc <- strsplit(system2(file.path(R.home("bin"), "R"), c("CMD", "config", "CC"), stdout = TRUE),
                 " ")[[1L]]
  vapply(sources, function(source) {
    object <- file.path(folder, paste0(unit_of(source), ".o"))
    status <- system2(cc[1L], c(cc[-1L], flags, "-c", source, "-o", object))
    if (status != 0L) fail("%s does not compile", source)
    object
  }, "")
}

uses_of <- function(files, sources, objects) {
  units <- unique(unit_of(files))
  uses <- stats::setNames(rep(list(character()), length(units)), units)
  for (file in files) uses[[unit_of(file)]] <- c(uses[[unit_of(file)]], includes(file))
  defined <- lapply(objects, symbols, "defined")
  owner <- stats::setNames(rep(unit_of(sources), lengths(defined)), unlist(defined))
  for (k in seq_along(objects)) {
    unit <- unit_of(sources[k])
    needed <- intersect(symbols(objects[k], "undefined"), names(owner))
    uses[[unit]] <- c(uses[[unit]], unname(owner[needed]))
  }
  Map(function(unit, used) {
    setdiff(intersect(used, units), unit)
  }, names(uses), uses)
}

# A file that reaches itself, as the path it takes; or NULL.
circle <- function(uses) {
  state <- stats::setNames(integer(length(uses)), names(uses))
  found <- NULL
  visit <- function(unit, path) {
    if (!is.null(found) || state[[unit]] == 2L) return()
    if (state[[unit]] == 1L) {
      found <<- c(path[match(unit, path):length(path)], unit)
      return()
    }
    state[[unit]] <<- 1L
    for (next_unit in uses[[unit]]) visit(next_unit, c(path, unit))
    state[[unit]] <<- 2L
  }
  for (unit in names(uses)) visit(unit, character())
  found
}

files <- list.files("src", "[.][ch]$", recursive = TRUE, full.names = TRUE)
sources <- grep("[.]c$", files, value = TRUE)
folder <- tempfile("objects")
dir.create(folder)
uses <- uses_of(files, sources, compile(sources, folder))
layer <- vapply(split(files, unit_of(files)), function(file) layer_of(file[1L]), "")
rank <- match(layer, LAYERS)
names(rank) <- names(layer)

round <- circle(uses)
if (!is.null(round)) fail("a circle: %s", paste(round, collapse = " -> "))
for (unit in names(uses)) {
  above <- uses[[unit]][rank[uses[[unit]]] > rank[[unit]]]
  if (length(above)) {
    fail("%s/%s uses %s/%s, which is above it", layer[[unit]], unit, layer[[above[1L]]], above[1L])
  }
}
if ("--list" %in% commandArgs(trailingOnly = TRUE)) {
  for (unit in names(uses)[order(rank[names(uses)])]) {
    cat(sprintf("%-7s %-20s %s\n", layer[[unit]], unit, paste(uses[[unit]], collapse = " ")))
  }
}
cat(sprintf("%d files in %d layers: none uses a file above it, none is in a circle\n",
            length(uses), length(unique(layer))))
