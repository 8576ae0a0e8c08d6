#include "threads.h"

#ifdef _OPENMP
#include <omp.h>
#ifndef _WIN32
#include <pthread.h>
#endif
#endif

#if defined(_OPENMP) && !defined(_WIN32)
static int is_fork = 0; /* never 0 again: what a forked process forks is one as well */

static void note_fork(void) {
  is_fork = 1;
}

void threads_watch_forks(void) {
  pthread_atfork(NULL, NULL, note_fork);
}

int threads_usable(int asked) {
  return is_fork ? 1 : asked;
}
#else
void threads_watch_forks(void) {}

int threads_usable(int asked) {
  return asked;
}
#endif

int threads_index(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}
