/* How many threads work, and which one this is. */
#ifndef EBCRL_THREADS_H
#define EBCRL_THREADS_H

/* To be called when the library is loaded: from then on a forked process is known as one. */
void threads_watch_forks(void);

/* How many of the threads asked for may be used: all of them, but one in a forked process, where
 * an OpenMP runtime that was in use before the fork waits forever for threads that did not follow.
 * Here alone the number of threads is decided. */
int threads_usable(int asked);

/* Number of the calling thread of a parallel region, from 0: whose scratch it uses. */
int threads_index(void);

#endif
