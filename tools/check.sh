#!/bin/sh
# usage: tools/check.sh
# R CMD build and R CMD check --as-cran in .build. Any error, warning or note fails.
set -eu
cd "$(dirname "$0")/.."
tarball=ebcrl_$(sed -n 's/^Version: *//p' DESCRIPTION).tar.gz
log=check/ebcrl.Rcheck/00check.log

# CRAN's list of packages is not looked up: the outcome must not depend on the network. (CRAN does,
# and notes of every first submission that it is new.)
export _R_CHECK_CRAN_INCOMING_REMOTE_=FALSE
# Nor are the time servers that the step on future file timestamps asks.
export _R_CHECK_SYSTEM_CLOCK_=FALSE
# Debian's own compiler flags come from R's Makeconf, not from the package.
export _R_CHECK_COMPILATION_FLAGS_KNOWN_="-Wformat -Werror=format-security -Wdate-time"

# Tests and examples run with the packages of Depends and Imports (and testthat) alone, as users may
# have no others; `make test` runs the tests with all of them.
export _R_CHECK_DEPENDS_ONLY_TESTS_=true _R_CHECK_DEPENDS_ONLY_EXAMPLES_=true
# On a busy machine a slow example says nothing: times are shown at the end, and are no note.
export _R_CHECK_EXAMPLE_TIMING_THRESHOLD_=1e9

Rscript tools/check_help.R

mkdir -p .build
cd .build
rm -rf check "$tarball"
mkdir check
R CMD build ..
R CMD check --as-cran --no-manual --output=check "$tarball" || exit 1

# Processor time, of which CRAN leaves little: 2 s an example, 90 s for the tests.
awk -F '\t' 'NR > 1 && $2 + $3 > 2 { printf "check: example %s took %.1f s of processor time\n", $1, $2 + $3 }' \
  check/ebcrl.Rcheck/ebcrl-Ex.timings
grep -o 'Running .testthat.R. \[.*\]' "$log" | sed 's/^/check: /' || true

status=$(grep '^Status: ' "$log")
if [ "$status" != "Status: OK" ]; then
  echo "check: $status" >&2
  exit 1
fi
echo "check: no error, warning or note"
