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

mkdir -p .build
cd .build
rm -rf check "$tarball"
mkdir check
R CMD build ..
R CMD check --as-cran --no-manual --output=check "$tarball" || exit 1

status=$(grep '^Status: ' "$log")
if [ "$status" != "Status: OK" ]; then
  echo "check: $status" >&2
  exit 1
fi
echo "check: no error, warning or note"
