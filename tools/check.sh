#!/bin/sh
# usage: tools/check.sh
# R CMD build and R CMD check --as-cran in .build. Any error, warning or note fails, but for the
# note on CRAN's incoming queue that every first submission gets.
set -eu
cd "$(dirname "$0")/.."
tarball=ebcrl_$(sed -n 's/^Version: *//p' DESCRIPTION).tar.gz
log=check/ebcrl.Rcheck/00check.log

# CRAN's list of packages is not looked up: the outcome must not depend on the network.
export _R_CHECK_CRAN_INCOMING_REMOTE_=FALSE
# Nor are the time servers that the step on future file timestamps asks.
export _R_CHECK_SYSTEM_CLOCK_=FALSE
# Debian's own compiler flags come from R's Makeconf, not from the package.
export _R_CHECK_COMPILATION_FLAGS_KNOWN_="-Wformat -Werror=format-security -Wdate-time"

mkdir -p .build
cd .build
rm -rf check "$tarball"
mkdir check
R CMD build ..
R CMD check --as-cran --no-manual --output=check "$tarball" || exit 1

# The incoming step may say who maintains the package and that it is a new submission.
incoming=$(sed -n '/^\* checking CRAN incoming feasibility/,/^\* checking if/p' "$log" |
  grep -v -e '^\* ' -e '^Maintainer: ' -e '^New submission$' -e '^$' || true)
status=$(grep '^Status: ' "$log")
if [ "$status" = "Status: 1 NOTE" ] && [ -z "$incoming" ] &&
  grep -q '^\* checking CRAN incoming feasibility.* NOTE$' "$log"; then
  status="Status: OK"
fi
if [ "$status" != "Status: OK" ]; then
  echo "check: $status is more than the note that every new submission gets" >&2
  exit 1
fi
echo "check: no error, warning or unexpected note"
