#!/bin/sh
# usage: tools/sanitize.sh TARBALL CASES
# Builds the package with gcc's address and undefined-behaviour sanitizers into a library of its own
# and runs tools/fuzz.R with it: what they find ends the child, and so is a crash of that case.
set -eu
cd "$(dirname "$0")/.."
library=$PWD/.lib/sanitized
mkdir -p "$library"
printf 'CC = gcc -fsanitize=address,undefined -fno-sanitize-recover=undefined\nCFLAGS = -g -O1 -fno-omit-frame-pointer\n' \
  > .build/Makevars.sanitized
# The sanitizers must be loaded before R, so that the package cannot be loaded while it is installed.
R_MAKEVARS_USER=$PWD/.build/Makevars.sanitized \
  R CMD INSTALL --no-test-load --no-docs --no-byte-compile --library="$library" "$1"

# R does not free all it has at its end, which is no leak of the package.
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
export R_LIBS="$library${R_LIBS:+:$R_LIBS}"
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
  Rscript tools/fuzz.R --mode=fits,edits,threads,trips --cases="$2" --limit=120
