// Which Philox stream each draw of a training run has, so that no two share numbers. Two more have their own: a model's
// first weights (0x1417, engine/core/parameters.cpp) and the noise of samples (0x5a, engine/generate/generator.cpp).
#pragma once

#include <cstdint>

namespace otnfm {

enum RandomStream : std::uint32_t {
  kSourceStream = 1,      ///< x0 of a step
  kSourceDiagonalStream,  ///< the second noise of a gaussian-fit
  kTargetStream,          ///< x1 of a step
  kTimeStream,            ///< t of a step
  kPairStream,            ///< which pairs of a bank a step takes
  kSourceBankStream,      ///< a fixed bank of noise
  kTargetBankStream,      ///< a fixed bank of data
  kPreviewStream,         ///< the data beside the samples in samples.png
  kEvaluationStream,      ///< fresh targets in eval
  kProbeSourceStream,     ///< x0 and
  kProbeTargetStream,     ///< x1 of the batches that a coupling's conditional variance is estimated from
  kPotentialStream,       ///< noise that the potentials of a semidiscrete coupling are fitted to

  kFreshNoiseStream = 0x100,  ///< a step's batches of noise beside its pairs, two streams each
  kFreshDataStream = 0x180,   ///< and of data, one each
  kDropoutStream = 0x10000,   ///< a step's dropout, a stream for each of the flow's layers that have it
};

}  // namespace otnfm
