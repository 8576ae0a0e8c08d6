#include "workspace.h"

#include <stdint.h>

enum { CACHE_LINE = 64 };

double *workspace_doubles(size_t count, allocator alloc) {
  char *start = alloc(count * sizeof(double) + CACHE_LINE, 1);
  return (double *)(start + (CACHE_LINE - (uintptr_t)start % CACHE_LINE) % CACHE_LINE);
}
