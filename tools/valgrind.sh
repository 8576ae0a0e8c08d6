#!/bin/sh
# usage: tools/valgrind.sh
# The tests that call the C code, under valgrind. Exits non-zero when valgrind finds an error or a
# definite leak.
set -eu
cd "$(dirname "$0")/.."
# One OpenMP thread: libgomp's pool of threads is never freed and would be reported.
export OMP_NUM_THREADS=1 NOT_CRAN=true
exec R --vanilla -d "valgrind --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite" \
  -f tools/valgrind.R
