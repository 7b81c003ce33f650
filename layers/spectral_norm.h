// Weights whose spectral norm is held below a target each: W min(1, target / sigma(W)). A weight below its target is
// left alone: it needs no change for the Lipschitz bound, and a residual branch may start at zero.
//
// In a training step sigma comes from one power iteration that goes on from the last step's vector, which lies among
// the parameters as a buffer, so that model files and resumed runs have it. Anywhere else the iteration runs, from that
// vector, until it has converged, and sigma is an upper bound (kernels/power_iteration.h): the map that samples are
// made by, and that is inverted, keeps the bound. It runs with every run of the tape, since the weights may have
// changed, unless they are said to be final: then once for all tapes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/core/ops/flow_ops.h"
#include "engine/core/parameters.h"

namespace otnfm {

class SpectralNorm {
 public:
  /// The weight is a matrix [rows, columns]; its spectral norm will be at most `target`.
  void add(const Parameters& parameters, Parameter weight, double target);

  /// Declares the vectors among the parameters; behind the last `add`.
  void declare(Parameters& parameters, const std::string& name);

  /// The weights stay as they are from now on: all are normalised here, on their device, and `weight` hands these out
  /// to every tape that does not learn. A second call does nothing. RunError where memory does not suffice.
  void fix(const Parameters& parameters);

  /// The normalised weight. The power iteration of all weights is recorded where a tape asks for the first.
  Tensor weight(Tape& tape, const Parameters& parameters, Parameter weight);

 private:
  struct Entry {
    Parameter weight;
    SpectralMatrix matrix;
    double target;
    Tensor normalised;
    View<float> fixed;  // no memory until `fix`
  };
  void iterate(Tape& tape, const Parameters& parameters);

  std::vector<Entry> entries_;
  std::int64_t left_ = 0, right_ = 0;  // how many numbers all u have, and all v
  Parameter vectors_;                  // v of every matrix, one behind the other
  // The serial number of the tape that asked last, and what is recorded on it.
  std::uint64_t tape_ = 0;
  std::vector<SpectralVectors> iterated_;  // one a launch of kMost matrices
  std::unique_ptr<Tape> fixed_;            // owns the memory of the fixed weights
};

}  // namespace otnfm
