# usage: Rscript tools/fuzz.R [--mode=all] [--cases=100] [--seed=1] [--from=1] [--limit=30]
# Random calls of the package. Each mode runs `cases` cases, a number for all or one for each mode
# ("--mode=fits,edits --cases=1000,200"), in child processes that are started again after a crash
# or a hang: more than `limit` seconds of processor time, or ten times that on the clock. A case
# depends on its mode, seed and number alone; one is run again by
#   Rscript tools/fuzz.R --mode=fits --seed=1 --from=123 --cases=1
# Modes: fits (random problems, any settings), edits (controls and fits changed by hand), units (x
# in another unit), trips (saveRDS, predict and update), threads (1 and 2 give the same bits) and
# interrupts. Ends with a table of outcomes, and status 1 if any is a failure: crash, hang,
# unclassed (an error or warning without a class of the package), nonfinite, differs (from what it
# should be equal to) or absurd (|ZA'|^2 above 100 |x|^2).
# The cases are in tools/fuzz_cases.R.

fuzz_modes <- c("fits", "edits", "units", "trips", "threads", "interrupts")
failures <- c("crash", "hang", "unclassed", "nonfinite", "differs", "absurd")

options_of <- function(given) {
  set <- list(mode = "all", cases = "100", seed = "1", from = "1", limit = "30", log = "")
  for (word in given) {
    name <- sub("^--([a-z]+)=.*", "\\1", word)
    if (!grepl("^--[a-z]+=", word) || !name %in% names(set)) stop("fuzz: what is ", word, "?")
    set[[name]] <- sub("^--[a-z]+=", "", word)
  }
  modes <- if (set$mode == "all") fuzz_modes else strsplit(set$mode, ",")[[1L]]
  stopifnot(modes %in% fuzz_modes)
  cases <- rep_len(as.numeric(strsplit(set$cases, ",")[[1L]]), length(modes))
  list(modes = modes, cases = cases, seed = as.numeric(set$seed), from = as.numeric(set$from),
       limit = as.numeric(set$limit), log = set$log)
}

# A child: runs its cases and writes a line before and after each.
run_cases <- function(mode, from, to, seed, log) {
  source("tools/fuzz_cases.R", local = globalenv())
  write_line <- function(...) cat(..., "\n", sep = "\t", file = log, append = TRUE)
  write_line("process", Sys.getpid())
  for (case in seq(from, length.out = to - from + 1)) {
    write_line("begin", case)
    result <- run_case(mode, case, seed)
    write_line("end", case, result$outcome, gsub("[\n\t ]+", " ", result$detail))
  }
}

seconds_used <- function(pid) {
  stat <- tryCatch(readLines(file.path("/proc", pid, "stat")), error = function(e) NULL,
                   warning = function(w) NULL)
  if (is.null(stat)) {
    return(NA)
  }
  ticks <- strsplit(sub("^.*[)] ", "", stat), " ")[[1L]]
  if (ticks[1L] == "Z") NA else sum(as.numeric(ticks[12:15])) / 100
}

read_log <- function(log) {
  lines <- if (file.exists(log)) strsplit(readLines(log, warn = FALSE), "\t") else list()
  field <- function(k) vapply(lines, function(line) if (length(line) < k) "" else line[k], "")
  data.frame(what = field(1L), case = field(2L), outcome = field(3L), detail = field(4L))
}

# Waits for a child: to its end, or until its present case is a hang, which ends it.
watch <- function(log, limit) {
  present <- ""
  began <- used <- 0
  repeat {
    Sys.sleep(0.3)
    seen <- read_log(log)
    pid <- seen$case[seen$what == "process"][1L]
    if (is.na(pid)) next
    last <- utils::tail(seen, 1L)
    now <- seconds_used(pid)
    if (is.na(now)) {
      return(read_log(log))
    }
    if (!identical(last$case, present)) {
      present <- last$case
      began <- proc.time()[["elapsed"]]
      used <- now
    }
    if (now - used > limit || proc.time()[["elapsed"]] - began > 10 * limit) {
      tools::pskill(as.integer(pid), tools::SIGKILL)
      cat("end", present, "hang", "", "\n", sep = "\t", file = log, append = TRUE)
      Sys.sleep(0.2)
      return(read_log(log))
    }
  }
}

# All cases of a mode: a data frame of case, outcome and detail.
run_mode <- function(mode, cases, set) {
  to <- set$from + cases - 1
  from <- set$from
  found <- list()
  while (from <= to) {
    log <- tempfile()
    system2(file.path(R.home("bin"), "Rscript"),
            c("tools/fuzz.R", paste0("--mode=", mode), paste0("--cases=", to - from + 1),
              paste0("--seed=", set$seed), paste0("--from=", from), paste0("--log=", log)),
            wait = FALSE, stdout = paste0(log, ".out"), stderr = paste0(log, ".out"))
    seen <- watch(log, set$limit)
    begun <- seen$case[seen$what == "begin"]
    ended <- seen[seen$what == "end", c("case", "outcome", "detail")]
    lost <- setdiff(begun, ended$case)
    if (length(lost) > 0L) {
      said <- utils::tail(readLines(paste0(log, ".out"), warn = FALSE), 30L)
      ended <- rbind(ended, data.frame(case = lost, outcome = "crash",
                                       detail = paste(said, collapse = " | ")))
    }
    if (nrow(ended) == 0L) stop("fuzz: a child did not start: ", readLines(paste0(log, ".out")))
    found <- c(found, list(ended))
    from <- max(as.numeric(begun)) + 1
  }
  cbind(mode = mode, do.call(rbind, found))
}

report <- function(found, seed) {
  print(table(mode = factor(found$mode, unique(found$mode)), outcome = found$outcome))
  errors <- found[found$outcome == "classed", ]
  if (nrow(errors) > 0L) {
    cat("\nClassed errors:\n")
    print(utils::head(sort(table(errors$detail), decreasing = TRUE), 15L))
  }
  failed <- found[found$outcome %in% failures, ]
  for (i in seq_len(nrow(failed))) {
    cat("\nRscript tools/fuzz.R --mode=", failed$mode[i], " --seed=", seed, " --from=",
        failed$case[i], " --cases=1\n  ", failed$outcome[i], ": ", failed$detail[i], "\n", sep = "")
  }
  cat("\nfuzz:", nrow(found), "cases,", nrow(failed), "failed\n")
  if (nrow(failed) > 0L) quit(status = 1L)
}

set <- options_of(commandArgs(trailingOnly = TRUE))
if (nzchar(set$log)) {
  run_cases(set$modes, set$from, set$from + set$cases - 1, set$seed, set$log)
} else {
  found <- Map(run_mode, set$modes, set$cases, MoreArgs = list(set = set))
  report(do.call(rbind, unname(found)), set$seed)
}
