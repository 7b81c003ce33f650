// Coupler: optimal pairs of two small clouds, again and again, inside a program that must not wait.
//
//     Coupler coupler;
//     coupler.prepare(256, 2);                                       // allocates all
//     coupler.pair(source, target, sigma);                           // no allocation, no lock, no other thread
//     if (coupler.certificate().gap > 1e-6) ...                      // on request; this one allocates
//
// Shortest augmenting paths over all costs (ot/matching/dense_assignment.h), whose memory is known beforehand: n^2
// doubles, 8 MB for n = 1000. For larger clouds, more threads, or a gap that need not be 0, solve_exact() and
// solve_auction() are faster, and allocate.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/view.h"
#include "ot/assignment.h"
#include "ot/cost.h"

namespace otnfm {

/// One call at a time; a thread of its own has a Coupler of its own. The pairing is a function of the points alone.
class Coupler {
 public:
  explicit Coupler(Cost cost = Cost::squared_euclidean);
  ~Coupler();
  Coupler(Coupler&&) noexcept;
  Coupler& operator=(Coupler&&) noexcept;

  /// Makes room for clouds of at most n points each, in at most d dimensions. InputError where n or d is below 1, n
  /// above 32768 (8 GiB of costs) or d above 2^20; RunError where memory does not suffice.
  void prepare(std::int64_t n, std::int64_t d);

  /// The assignment of least total cost: sigma(i) is the target of source point i. source [n, d] and target [m, d],
  /// rows contiguous, in host memory; sigma [n], -1 where n > m leaves a point without a partner. InputError for more
  /// points or dimensions than were prepared for, and for a NaN or infinite coordinate.
  void pair(View<const float> source, View<const float> target, View<std::int64_t> sigma);

  /// The proof that the last pair() is optimal (ot/certificate.h), which looks at all pairs once more. The points must
  /// still be where they were. Allocates.
  Certificate certificate() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace otnfm
