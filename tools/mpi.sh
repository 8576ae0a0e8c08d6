#!/bin/sh
# A fit whose passes run on the ranks of mpirun (Debian: openmpi-bin r-cran-rmpi r-cran-snow): rank 0
# runs it, the others are its workers. Prints whether it has the bits of a fit without a cluster.
#
#   tools/mpi.sh [ranks, 2]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
start=$(Rscript -e 'cat(system.file("RMPISNOW", package = "snow"))')
[ -n "$start" ] || { echo "$0: package snow is not there" >&2; exit 1; }
export R_LIBS="$here/.lib/ebcrl:$here/.lib/deps${R_LIBS:+:$R_LIBS}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
exec mpirun -n "${1:-2}" --oversubscribe "$start" --no-echo --no-restore < "$here/tools/mpi.R"
