// log|det dF(t, x)/dx| of a flow, in raw coordinates or its own (Flow::coordinates): the sum over its blocks, each by
// the way that its family and its size allow.
//   - closed form, where the family has it;
//   - d <= max_exact_dimension: the block's Jacobian (layers/maps/jacobian.h) and its LU in double, any family;
//   - above, where the block is x + r(x) with a contraction r of Jacobian R, the power series with random probes
//     (Chen et al., "Residual Flows", NeurIPS 2019):
//         log det(1 + R) = E sum_{k=1..N} (-1)^{k+1} / k  v^T R^k v / P(N >= k)
//     where v has random signs and N is random ("Russian roulette"): the estimate is unbiased. The first `exact_terms`
//     are always taken; each further one with the probability by which ||v^T R^k|| has just shrunk (0.5 to 0.98), so
//     that the terms, divided by the probability that they were reached, do not grow. A term takes one vector-Jacobian
//     product for the whole batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "layers/flows/flow.h"
#include "layers/maps/jacobian.h"

namespace otnfm {

struct LogDeterminantOptions {
  std::int64_t max_exact_dimension = 64;
  int probes = 8;       ///< random vectors of the estimator, each with a roulette of its own; at least 2
  int exact_terms = 6;  ///< of the power series, before the roulette begins
  std::uint64_t seed = 0;
};

struct LogDeterminants {
  std::vector<double> values;           ///< of each row
  std::vector<double> standard_errors;  ///< of each value, from the spread over probes; 0 where it is exact
  double mean = 0;                      ///< over rows
  /// Of the mean. Not what independent rows would give: a batch shares its roulette.
  double mean_standard_error = 0;
};

class LogDeterminant {
 public:
  /// The flow's parameters lie on `device`; it outlives this. About `batch` rows at a time. InputError where d is above
  /// max_exact_dimension and the family neither has a closed form nor contracts.
  LogDeterminant(Flow& flow, Device device, std::int64_t batch = 4096, const LogDeterminantOptions& options = {});
  ~LogDeterminant();

  /// Whether the values are estimates.
  bool estimates() const { return estimator_ != nullptr; }

  /// At every row. t [n, 1], x [n, d], in host memory. Any n. InputError for other shapes; RunError where the map or
  /// its derivative is not finite.
  LogDeterminants operator()(View<const float> t, View<const float> x);

  /// The same of F itself, in its own coordinates.
  LogDeterminants standardised(View<const float> t, View<const float> x);

 private:
  class Estimator;
  LogDeterminants in_closed_form(View<const float> t, View<const float> x);
  LogDeterminants by_jacobians(View<const float> t, View<const float> x);

  std::int64_t dimension_;
  FlowCoordinates coordinates_;
  Stream stream_;
  FlowBatch batch_;             // closed form
  std::unique_ptr<Tape> tape_;  // closed form
  Tensor log_det_;
  std::vector<std::unique_ptr<Jacobian>> jacobians_;  // one a block
  std::unique_ptr<Estimator> estimator_;
};

}  // namespace otnfm
