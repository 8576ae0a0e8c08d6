#include "workspace.h"

#include <stdint.h>

enum { CACHE_LINE = 64 };

double *workspace_doubles(size_t count, allocator alloc) {
  char *start = alloc(count * sizeof(double) + CACHE_LINE, 1);
  return (double *)(start + (CACHE_LINE - (uintptr_t)start % CACHE_LINE) % CACHE_LINE);
}

const char *workspace_status(int status) {
  static const char *const names[] = {[STATUS_OK] = "ok",
                                      [STATUS_NOT_FINITE] = "not_finite",
                                      [STATUS_EMPTY_RANGE] = "empty_range",
                                      [STATUS_SINGULAR] = "singular",
                                      [STATUS_SVD] = "svd",
                                      [STATUS_DEPENDENT] = "dependent",
                                      [STATUS_DIVERGED] = "diverged",
                                      [STATUS_SHRUNK] = "shrunk",
                                      [STATUS_EXCEEDS] = "exceeds"};
  return names[status];
}
