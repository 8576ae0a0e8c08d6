/* Logarithm, exponential, sine and cosine without branches, so that loops of them vectorise; the
 * mathematics library is called a number at a time.
 */
#ifndef EBCRL_ELEMENTARY_H
#define EBCRL_ELEMENTARY_H

#include "vectorize.h"

#include <stdint.h>
#include <string.h>

/* Integers below 2^52 to and from the bits of 2^52 + integer: what vector units without integer
 * conversions can do. */
#define TWO_52_BITS 0x4330000000000000u
#define ROOT_HALF_BITS 0x3FE6A09E667F3BCDu

INLINE double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

INLINE double to_double(uint64_t below_2_52) {
  return from_bits(below_2_52 | TWO_52_BITS) - 0x1p52;
}

/* log x for normal x > 0, to about 1e-14: x = 2^e m with m in [1/sqrt 2, sqrt 2), and the series of
 * the inverse hyperbolic tangent of (m - 1) / (m + 1). */
INLINE double log_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits += 0x3FF0000000000000u - ROOT_HALF_BITS;
  double e = to_double(bits >> 52) - 1023;
  double m = from_bits((bits & 0x000FFFFFFFFFFFFFu) + ROOT_HALF_BITS);
  double s = (m - 1) / (m + 1), t = s * s;
  double series = 1.0 / 17;
  series = series * t + 1.0 / 15;
  series = series * t + 1.0 / 13;
  series = series * t + 1.0 / 11;
  series = series * t + 1.0 / 9;
  series = series * t + 1.0 / 7;
  series = series * t + 1.0 / 5;
  series = series * t + 1.0 / 3;
  return e * 0.6931471805599453 + 2 * s * (series * t + 1);
}

/* Sine and cosine of pi * turn, |turn| <= 1, to about 1e-14: Taylor series at half the angle. */
INLINE void sine_cosine(double turn, double *sine, double *cosine) {
  double h = 1.5707963267948966 * turn, t = h * h;
  double s = -1.0 / 121645100408832000.0, c = -1.0 / 6402373705728000.0;
  s = s * t + 1.0 / 355687428096000.0;
  c = c * t + 1.0 / 20922789888000.0;
  s = s * t - 1.0 / 1307674368000.0;
  c = c * t - 1.0 / 87178291200.0;
  s = s * t + 1.0 / 6227020800.0;
  c = c * t + 1.0 / 479001600.0;
  s = s * t - 1.0 / 39916800.0;
  c = c * t - 1.0 / 3628800.0;
  s = s * t + 1.0 / 362880.0;
  c = c * t + 1.0 / 40320.0;
  s = s * t - 1.0 / 5040.0;
  c = c * t - 1.0 / 720.0;
  s = s * t + 1.0 / 120.0;
  c = c * t + 1.0 / 24.0;
  s = s * t - 1.0 / 6.0;
  c = c * t - 1.0 / 2.0;
  s = (s * t + 1) * h;
  c = c * t + 1;
  *sine = 2 * s * c;
  *cosine = 1 - 2 * s * s;
}

/* exp x for -700 < x <= 0, to about 1e-15: x = k log 2 + r, and the series of e^r. */
INLINE double exp_of(double x) {
  const double to_integer = 0x1.8p52; /* the sum's low bits are k */
  double shifted = x * 1.4426950408889634 + to_integer, k = shifted - to_integer, scale;
  double r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
  double series = 1.0 / 479001600;
  series = series * r + 1.0 / 39916800;
  series = series * r + 1.0 / 3628800;
  series = series * r + 1.0 / 362880;
  series = series * r + 1.0 / 40320;
  series = series * r + 1.0 / 5040;
  series = series * r + 1.0 / 720;
  series = series * r + 1.0 / 120;
  series = series * r + 1.0 / 24;
  series = series * r + 1.0 / 6;
  series = series * r + 1.0 / 2;
  series = series * r + 1;
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52; /* 2^k */
  memcpy(&scale, &bits, sizeof scale);
  return (series * r + 1) * scale;
}

#endif
