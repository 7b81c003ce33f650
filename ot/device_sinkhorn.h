// Sinkhorn's algorithm on the device of a Stream: the problem and method of ot/sinkhorn.h, with the sums over the plan
// by kernels/soft_transform.h and the next potentials by kernels/fixed_point_step.h. Potentials and marginal errors
// stay on the device within a stage of epsilon; the host looks at the error every few iterations and in between only
// launches (on CUDA a graph of them). Where the costs are kept is a choice, the regime:
//
//   streaming   computed from points: n m (2 d + 6) FLOPs an update, nothing of size n m in memory
//   stored      exponents K_ij in float32: 4 n m bytes, read once an update
//   stored_16   exponents in 16-bit fixed point: 2 n m bytes; every error is at most half of range(K) / 65535
//   resident    small problems of uniform marginals and squared Euclidean costs: the whole solve is one launch of one
//               block, which has the costs in its shared memory; no mixing. kernels/sinkhorn_resident.h solves a batch
//
// Exponents of stored and streaming costs are rounded to about 2^-24 of the largest potential over epsilon. The CPU
// takes costs relative to the potentials and so loses less: the device has to stop at an epsilon that is ten to a
// hundred times larger, and says so.
#pragma once

#include <memory>

#include "kernels/stream.h"
#include "ot/sinkhorn.h"

namespace otnfm {

enum class SinkhornRegime : std::uint8_t { automatic, streaming, stored, stored_16, resident };

const char* name_of(SinkhornRegime regime);

/// What `automatic` means, from the sizes and the free bytes of the device's memory: streaming for points of a low
/// dimension, where computing a cost takes less than reading it, and where nothing else fits; else stored, in 16 bits
/// where float32 takes more than half of the free memory. Resident is only by choice: a lone problem leaves all but one
/// multiprocessor idle.
SinkhornRegime plan_sinkhorn(const Problem& problem, std::size_t free_bytes);

class DeviceSinkhorn {
 public:
  explicit DeviceSinkhorn(Stream& stream);
  ~DeviceSinkhorn();

  /// As SinkhornSolver::solve, errors too; `most_bytes` bounds what the exponents may take of the device's memory. The
  /// problem is in host memory. Throws InputError for streaming of a matrix, for costs that do not fit where they must
  /// be stored, and for a resident problem that is not of its kind; that regime looks at no clock.
  void solve(const Problem& problem, const SinkhornOptions& options, SinkhornResult& result,
             SinkhornRegime regime = SinkhornRegime::automatic);

  /// Of the last solve: never automatic.
  SinkhornRegime regime() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace otnfm
