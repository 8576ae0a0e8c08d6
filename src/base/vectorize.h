/* Hints for the compiler; the package stays portable and correct without them. */
#ifndef EBCRL_VECTORIZE_H
#define EBCRL_VECTORIZE_H

/* The loop that follows has independent iterations. */
#ifdef _OPENMP
#define SIMD _Pragma("omp simd")
#else
#define SIMD
#endif

/* The loop that follows makes four turns: write them out. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL_FOUR _Pragma("GCC unroll 4")
#else
#define UNROLL_FOUR
#endif

/* A second version of the function with wider vector instructions, chosen when the package is
 * loaded on a processor that has them. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE_VECTORS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE_VECTORS
#endif

/* Small functions of inner loops: inlined also into the wide version of their caller. */
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#endif
